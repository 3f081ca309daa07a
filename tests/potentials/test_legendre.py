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
