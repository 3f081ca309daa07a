"""The unchecked layer of a Legendre function: derivatives where there are any, NaN elsewhere, and no error."""

from functools import cache

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.potentials.kernel import ClosedFormula, LegendreKernel

P = gf.catalog.potentials
CURVED = gf.LegendreFunction(  # its domain is all that keeps it from being finite everywhere
    lambda w: anp.sum(w**4 + w**2, axis=-1) + w[..., 0] * w[..., 1], gf.domains.Ball([0.0, 0.0])
)
KERNELS = {
    "entropy": P["negative_entropy"](2),
    "simplex": P["simplex_entropy"](2),
    "barrier": P["polytope_barrier"](2),
    "Gaussian": P["gaussian_log_partition"](2),
    "a function on a ball": CURVED,
    "a sum": P["burg"](2) + CURVED,
    "a numerical conjugate": gf.LegendreFunction(P["log_sum_exp"](2).potential, 2).conjugate,
    "a conjugate with a range": P["log_sum_exp"](2).compose_affine(np.array([[1.0, 0.5], [0.0, 2.0]])).conjugate,
    "induced": gf.mirror_map(gf.Parametrization(lambda x: x**2, 2, 2), [0.7, 0.6]),
}
OUTSIDE = np.array([[7.0, 9.0], [-3.0, 5.0], [-2.0, -6.0], [np.nan, 0.2], [0.2, np.inf]])
SOLVED = ("a numerical conjugate", "induced")  # formulas that solve are asked at finite points only
METHODS = ("value", "gradient", "hessian", "third_derivative")


@cache
def batches(name):
    """Two points inside, and those of OUTSIDE that are outside, in no order."""
    R = KERNELS[name]
    inside = R.domain.interior_point() + np.array([[0.05, 0.02], [-0.03, 0.04]])
    outside = OUTSIDE[:3] if name in SOLVED else OUTSIDE
    outside = outside[~np.asarray(R.domain.belongs(outside))]
    points = np.concatenate([outside[:1], inside[:1], outside[1:], inside[1:]])
    return points, np.asarray(R.domain.belongs(points))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("order", range(4))
def test_outside_the_domain_there_is_nan_and_nothing_is_raised(name, order):
    R = KERNELS[name]
    f, (points, inside) = getattr(R.kernel, METHODS[order]), batches(name)
    assert inside.sum() == 2 and (~inside).sum() >= 2
    value = f(points)
    assert value.shape == (len(points), *(2,) * order)
    flat = value.reshape(len(points), -1)
    assert np.isfinite(flat[inside]).all() and np.isnan(flat[~inside]).all()
    for point, one, fine in zip(points, value, inside, strict=True):
        alone = f(point)
        assert alone.shape == (2,) * order
        assert np.allclose(alone, one, rtol=1e-9, atol=1e-11) if fine else np.isnan(alone).all()
    twice = f(np.stack([points, points[::-1]]))
    assert twice.shape == (2, len(points), *(2,) * order)
    assert np.allclose(twice[0], value, rtol=1e-9, atol=1e-11, equal_nan=True)
    assert np.allclose(twice[1], value[::-1], rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.mark.parametrize("name", KERNELS)
def test_the_cometric_inverts_the_hessian_where_there_is_one(name):
    R = KERNELS[name]
    points, inside = batches(name)
    C = R.kernel.cometric(points)
    assert np.isnan(C[~inside]).all()
    assert np.allclose(C[inside] @ R.kernel.hessian(points[inside]), np.eye(2), atol=1e-9)
    force = np.ones((inside.sum(), 2))
    velocity = R.kernel.velocity_along()(points[inside], force)
    assert np.allclose(velocity, C[inside].sum(axis=-1), rtol=1e-8, atol=1e-10)


def test_a_singular_hessian_has_no_cometric():
    flat = gf.LegendreFunction(lambda w: anp.sum(w**4, axis=-1), 2)
    assert np.isnan(flat.kernel.cometric(np.zeros((1, 2)))).all()
    with pytest.raises(gf.NotLegendreError, match="not positive definite"):
        flat.cometric(np.zeros(2))


def test_closed_derivatives_are_used_as_given_and_what_is_missing_is_automatic(rng):
    w = rng.uniform(0.5, 2, (3, 2))

    def potential(u):
        return anp.sum(u**3, axis=-1)

    formula = ClosedFormula(potential, (None, lambda u: 7 * anp.ones((*u.shape, 2)), None))
    kernel = LegendreKernel(formula, gf.domains.Orthant(2))
    assert np.allclose(kernel.value(w), (w**3).sum(-1)) and np.allclose(kernel.gradient(w), 3 * w**2)
    assert (kernel.hessian(w) == 7).all()  # wrong, and believed: laws and certificates find that out
    third = np.einsum("...iii->...i", kernel.third_derivative(w))
    assert np.allclose(third, 6)


def test_kernels_can_be_differentiated(rng):
    R, w = KERNELS["entropy"], rng.uniform(0.5, 2, (3, 2))
    assert np.allclose(gf.autodiff.jacobian(R.kernel.value)(w), np.log(w), rtol=1e-13, atol=1e-15)
    assert np.allclose(gf.autodiff.jacobian(R.kernel.gradient)(w), np.eye(2) / w[..., None], rtol=1e-13)


def test_one_bad_entry_leaves_its_neighbours_alone():
    quartic = gf.LegendreFunction(lambda w: anp.sum(w**4, axis=-1), 2)
    found = quartic.kernel.cometric(np.array([[1.0, 1.0], [0.0, 0.0]]))
    assert np.allclose(found[0], np.eye(2) / 12, rtol=1e-14) and np.isnan(found[1]).all()
    exponential = gf.LegendreFunction(lambda w: anp.sum(anp.exp(w), axis=-1), 2).conjugate
    induced = InducedLegendreFunction(gf.Parametrization(lambda x: x**2, 2, 2), np.ones(2)).conjugate
    for Q, bad in ((exponential, [np.nan, 1.0]), (induced, [1e3, 2.0]), (induced, [np.nan, 2.0])):
        for f in (Q, 2 * Q):
            both = f.kernel.gradient(np.array([[0.3, 0.2], bad]))
            assert np.allclose(both[0], f.gradient([0.3, 0.2]), rtol=1e-12) and np.isnan(both[1]).all()
            assert np.array_equal(f.kernel.inside(np.array([[0.3, 0.2], bad])), [True, False])


# the jax engine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["negative_entropy", "log_sum_exp", "log_det_spd", "gaussian_log_partition", "quartic"]
)
def test_compiled_derivatives_are_those_of_autograd(name, rng):
    pytest.importorskip("jax")
    R = gf.catalog.potentials[name]()
    plain, fast = (gf.LegendreFunction(R.potential, R.domain, engine=engine) for engine in ("autograd", "jax"))
    assert (plain.engine, fast.engine, fast.engine_note) == ("autograd", "jax", "")
    w = R.domain.random_point(6, rng=rng)
    for order in range(4):
        a, b = fast.kernel.derivative(order, w), plain.kernel.derivative(order, w)
        assert a.shape == b.shape and np.abs(a - b).max() <= 1e-12 * np.abs(b).max()
        assert np.allclose(fast.kernel.derivative(order, w[0]), b[0], rtol=1e-12, atol=1e-13)
    mu = plain.gradient(w)
    assert np.allclose(fast.inverse_gradient(mu), w, rtol=1e-8, atol=1e-9)
    assert np.allclose((2 * fast + fast).hessian(w), 3 * plain.hessian(w), rtol=1e-12)
    a, b = fast.metric.christoffels(w), plain.metric.christoffels(w)
    assert np.abs(a - b).max() <= 1e-11 * np.abs(b).max()


def test_the_laws_of_potentials_hold_with_the_engine():
    pytest.importorskip("jax")
    R = gf.catalog.potentials["negative_entropy"](2)
    fast, w = gf.LegendreFunction(R.potential, R.domain, engine="jax"), np.array([[0.5, 1.0], [1.5, 0.2]])
    for law in (gf.laws.gradient_is_derivative, gf.laws.hessian_is_derivative, gf.laws.third_derivative_is_derivative):
        defect, scale = law(fast, w)
        assert defect <= 1e-12 * scale


def test_closed_forms_stay_what_they_are_with_the_engine():
    pytest.importorskip("jax")
    seen = []

    def gradient(w):
        seen.append(w.shape)
        return 4 * w**3

    R = gf.LegendreFunction(lambda w: anp.sum(w**4, axis=-1), 2, gradient=gradient, engine="jax")
    assert R.gradient([1.0, 2.0]).tolist() == [4.0, 32.0] and (2,) in seen and R.engine == "jax"
    assert R.hessian([1.0, 2.0]).tolist() == [[12.0, 0.0], [0.0, 48.0]]


def test_a_potential_written_in_jax_numpy_is_taken_as_it_is(rng):
    jnp = pytest.importorskip("jax").numpy
    R = gf.LegendreFunction(lambda w: jnp.log(1 + jnp.sum(jnp.exp(w), axis=-1)), 2)
    S = gf.LegendreFunction(lambda w: anp.log(1 + anp.sum(anp.exp(w), axis=-1)), 2)
    w = rng.standard_normal((4, 2))
    assert (R.engine, S.engine) == ("jax", "autograd")
    with pytest.raises(gf.ArgumentError, match=r"written in jax\.numpy"):
        gf.LegendreFunction(lambda w: jnp.sum(w**2, axis=-1), 2, engine="autograd")
    assert np.allclose(R.third_derivative(w), S.third_derivative(w), rtol=1e-11, atol=1e-13)
    assert np.allclose(R.metric.dist(w[0], w[1]), S.metric.dist(w[0], w[1]), rtol=1e-9)
    moved = R.compose_affine(np.array([[1.0, 0.5], [0.0, 2.0]]))  # differentiated through by autograd where it must be
    assert np.allclose(moved.hessian(w), S.compose_affine(np.array([[1.0, 0.5], [0.0, 2.0]])).hessian(w), rtol=1e-12)


def test_a_potential_that_cannot_be_recorded_has_a_note():
    pytest.importorskip("jax")
    R = gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) if np.all(w > -9) else anp.sum(w**4, -1), 2, engine="jax")
    assert R.engine == "autograd" and "truth of a value" in R.engine_note
    assert R.hessian([1.0, 2.0]).tolist() == [[2.0, 0.0], [0.0, 2.0]]
