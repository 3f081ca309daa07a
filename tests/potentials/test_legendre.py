"""Legendre functions: laws, shapes, affine changes and refusals."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

entropy = gf.LegendreFunction(lambda w: anp.sum(w * anp.log(w) - w, axis=-1), gf.domains.Orthant(3), name="entropy")
burg = gf.LegendreFunction(lambda w: -anp.sum(anp.log(w), axis=-1), gf.domains.Orthant(2), name="Burg")
log_sum_exp = gf.LegendreFunction(lambda w: anp.log(1 + anp.sum(anp.exp(w), axis=-1)), 2, name="log-sum-exp")
coupled = gf.LegendreFunction(
    lambda w: anp.sum(w**4, axis=-1) / 4 + anp.sum(w**2, axis=-1) + w[..., 0] * w[..., 1], 2, name="coupled quartic"
)
closed = gf.LegendreFunction(
    lambda w: anp.sum(w * anp.log(w) - w, axis=-1),
    gf.domains.Orthant(2),
    gradient=anp.log,
    hessian=lambda w: anp.eye(2) / w[..., None],
    conjugate=lambda mu: anp.sum(anp.exp(mu), axis=-1),
)


def points(R, rng, n=20):
    return R.domain.random_point(n, bound=0.9, rng=rng)


@pytest.mark.parametrize("R", [entropy, burg, log_sum_exp, coupled, closed], ids=lambda R: R.name)
def test_laws_hold(R, rng):
    w, v = points(R, rng), points(R, rng)
    for law in (
        laws.gradient_is_derivative,
        laws.hessian_is_derivative,
        laws.third_derivative_is_derivative,
        laws.third_derivative_is_symmetric,
        laws.gradient_inverts,
        laws.fenchel_young,
        laws.conjugate_is_involution,
        laws.inverse_hessian_is_conjugate_hessian,
    ):
        defect, scale = law(R, w)
        assert defect <= 1e-10 * scale, (law.__name__, defect, scale)
    defect, scale = laws.bregman_is_nonnegative(R, w, v)
    assert defect <= 1e-15 * scale
    assert R.conjugate.conjugate is R


def test_laws_fail_where_they_must(rng):
    w = rng.uniform(0.5, 2, size=(5, 2))
    wrong = gf.LegendreFunction(
        lambda u: anp.sum(u * anp.log(u) - u, axis=-1),
        gf.domains.Orthant(2),
        gradient=lambda u: 1.01 * anp.log(u),
        hessian=lambda u: 1.01 * anp.eye(2) / u[..., None],
        third_derivative=lambda u: anp.ones((*u.shape[:-1], 2, 2, 2)) * u[..., None, None] * np.array([1.0, 2.0]),
        conjugate=lambda mu: anp.sum(anp.exp(1.1 * mu), axis=-1),
        check=False,
    )
    for law in (
        laws.gradient_is_derivative,
        laws.hessian_is_derivative,
        laws.third_derivative_is_derivative,
        laws.third_derivative_is_symmetric,
        laws.gradient_inverts,
        laws.fenchel_young,
        laws.conjugate_is_involution,
        laws.inverse_hessian_is_conjugate_hessian,
    ):
        try:
            defect, scale = law(wrong, w)
        except gf.DomainError:
            continue  # the wrong conjugate's domain does not even contain grad R(w)
        assert defect > 1e-3 * scale, law.__name__
    concave = gf.LegendreFunction(lambda u: -anp.sum(u**2, axis=-1), 2)
    defect, scale = laws.bregman_is_nonnegative(concave, w, w + 1)
    assert defect > 0.1 * scale


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_shapes_over_any_batch(batch, rng):
    w = rng.uniform(0.5, 2, size=(*batch, 3))
    mu = entropy.gradient(w)
    assert entropy(w).shape == batch and mu.shape == (*batch, 3)
    assert entropy.hessian(w).shape == (*batch, 3, 3) and entropy.third_derivative(w).shape == (*batch, 3, 3, 3)
    assert entropy.conjugate(mu).shape == batch and entropy.conjugate.hessian(mu).shape == (*batch, 3, 3)
    assert entropy.conjugate.third_derivative(mu).shape == (*batch, 3, 3, 3)
    assert np.allclose(np.einsum("...iii->...i", entropy.conjugate.third_derivative(mu)), w)
    assert entropy.bregman_divergence(w, w[..., ::-1]).shape == batch


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: entropy([1.0, -1.0, 1.0]), gf.DomainError, "outside the domain"),
        (lambda: entropy.gradient([1.0, 1.0]), gf.ShapeError, r"\[..., 3\]"),
        (lambda: entropy([1.0, np.nan, 1.0]), gf.NotFiniteError, "nan"),
        (lambda: burg.inverse_gradient([1.0, -1.0]), gf.DomainError, "range of the gradient"),
        (lambda: log_sum_exp.inverse_gradient([0.7, 0.7]), gf.DomainError, "range of the gradient"),
        (lambda: closed.conjugate(np.ones(3)), gf.ShapeError, r"\[..., 2\]"),
        (lambda: gf.LegendreFunction(3, 2), gf.ArgumentError, "callable"),
        (lambda: gf.LegendreFunction(anp.sum, "R2"), gf.ArgumentError, "domain"),
        (lambda: gf.LegendreFunction(lambda w: w**2, 2)(np.ones(2)), gf.ShapeError, "last axis"),
        (lambda: gf.LegendreFunction(lambda w: anp.sum(anp.log(w), -1), 2)(-np.ones(2)), gf.NotFiniteError, "finite"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert caught.value.got and caught.value.wanted


@pytest.mark.parametrize("value", [np.zeros((0, 3)), np.ones(3) * 1j, "abc", None])
def test_values_that_are_no_points(value):
    with pytest.raises(gf.GeoflowError):
        entropy(value)
    with pytest.raises(gf.GeoflowError):
        entropy.inverse_gradient(value)


@pytest.mark.parametrize("R", [entropy, burg, log_sum_exp, coupled, closed], ids=lambda R: R.name)
def test_a_tilt_is_the_bregman_divergence_from_a_point(R, rng):
    w0, w = points(R, rng, 2)[0], points(R, rng)
    D = R.tilt(w0)
    assert np.allclose(D(w), R.bregman_divergence(w, np.broadcast_to(w0, w.shape)), rtol=1e-12, atol=1e-13)
    assert np.allclose(D.gradient(w), R.gradient(w) - R.gradient(w0), rtol=1e-12, atol=1e-13)
    assert abs(D(w0)) < 1e-14 and np.abs(D.gradient(w0)).max() < 1e-14
    assert np.array_equal(D.hessian(w), R.hessian(w)) and np.array_equal(D.third_derivative(w), R.third_derivative(w))
    assert np.allclose(D.conjugate.gradient(D.gradient(w)), w, rtol=1e-8)
    # mirror flow is the same, from another origin of mu
    loss = gf.LeastSquares(np.eye(R.dim), R.domain.interior_point())
    one, other = (gf.mirror_flow(loss, F, w0, [0.0, 0.3], coordinates="w") for F in (R, D))
    assert np.allclose(one.w, other.w, rtol=1e-9) and np.allclose(
        one.mu - other.mu, R.gradient(w0), rtol=1e-9, atol=1e-9
    )


def test_affine_functions_are_added_and_refused(rng):
    w = rng.uniform(0.5, 2, (5, 3))
    slope = np.array([1.0, 2.0, 3.0])
    R = entropy.add_affine(slope, 4.0)
    assert np.allclose(R(w), entropy(w) + w @ slope + 4.0, rtol=1e-14)
    assert np.allclose(R.gradient(w), entropy.gradient(w) + slope, rtol=1e-14)
    assert np.allclose(entropy.add_affine(2.0).gradient(w), entropy.gradient(w) + 2.0, rtol=1e-14)
    assert np.allclose(entropy.add_affine(offset=1.0)(w), entropy(w) + 1.0, rtol=1e-14)
    with pytest.raises(gf.ShapeError, match="slope"):
        entropy.add_affine([1.0, 2.0])
    with pytest.raises(gf.NotFiniteError):
        entropy.add_affine(np.nan)
    with pytest.raises(gf.ShapeError, match="one point"):
        entropy.tilt(w)
    with pytest.raises(gf.DomainError):
        entropy.tilt([-1.0, 1.0, 1.0])


def test_a_number_stands_for_a_multiple_of_the_identity(rng):
    w, b = rng.uniform(0.5, 2, (5, 3)), np.array([0.1, 0.2, 0.3])
    for number in (2.0, 0.5):
        one, other = entropy.compose_affine(number, b), entropy.compose_affine(number * np.eye(3), b)
        assert one.dim == 3 and np.allclose(one(w), entropy(number * w + b), rtol=1e-13)
        for method in ("__call__", "gradient", "hessian", "third_derivative"):
            assert np.allclose(getattr(one, method)(w), getattr(other, method)(w), rtol=1e-13, atol=1e-14), method
        assert np.array_equal(one.domain.belongs(w - 0.6), other.domain.belongs(w - 0.6))
    mirrored = entropy.compose_affine(-1.0, 3.0)
    assert mirrored.domain.belongs([1.0, 2.0, -5.0]) and not mirrored.domain.belongs([1.0, 4.0, 0.0])
    assert np.allclose(mirrored.gradient(w), -np.log(3 - w), rtol=1e-13)
    assert np.allclose(closed.compose_affine(2.0).conjugate([0.3, 0.4]), np.exp([0.15, 0.2]).sum(), rtol=1e-13)
    with pytest.raises(gf.NotLegendreError, match="rank 0"):
        entropy.compose_affine(0.0)


def test_a_function_by_its_kernel_alone_is_the_same_function(rng):
    w = rng.uniform(0.5, 2, (3, 3))
    again = gf.LegendreFunction.from_kernel(entropy.kernel, "again")
    assert again.name == "again" and np.array_equal(again.hessian(w), entropy.hessian(w))
    marker = object()
    assert again.set_structure(marker) is again and again.structure is marker
