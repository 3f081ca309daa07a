"""The unchecked layer of a Legendre function: derivatives where there are any, NaN elsewhere, and no error."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
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
    with pytest.raises(gf.NotLegendreError, match="singular"):
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
    induced = gf.mirror_map(gf.Parametrization(lambda x: x**2, 2, 2), [1.0, 1.0]).conjugate
    for Q, bad in ((exponential, [np.nan, 1.0]), (induced, [1e3, 2.0]), (induced, [np.nan, 2.0])):
        for f in (Q, 2 * Q):
            both = f.kernel.gradient(np.array([[0.3, 0.2], bad]))
            assert np.allclose(both[0], f.gradient([0.3, 0.2]), rtol=1e-12) and np.isnan(both[1]).all()
            assert np.array_equal(f.kernel.inside(np.array([[0.3, 0.2], bad])), [True, False])
