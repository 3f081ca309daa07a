"""Legendre functions, their conjugates, and the Hessian metric."""

import autograd.numpy as np
import numpy as onp
import pytest

import geoflow as gf
from geoflow import laws

entropy = gf.LegendreFunction(lambda w: np.sum(w * np.log(w) - w, axis=-1), gf.domains.Orthant(3), name="entropy")
burg = gf.LegendreFunction(lambda w: -np.sum(np.log(w), axis=-1), gf.domains.Orthant(2), name="Burg")
log_sum_exp = gf.LegendreFunction(lambda w: np.log(1 + np.sum(np.exp(w), axis=-1)), 2, name="log-sum-exp")
coupled = gf.LegendreFunction(
    lambda w: np.sum(w**4, axis=-1) / 4 + np.sum(w**2, axis=-1) + w[..., 0] * w[..., 1], 2, name="coupled quartic"
)
closed = gf.LegendreFunction(
    lambda w: np.sum(w * np.log(w) - w, axis=-1),
    gf.domains.Orthant(2),
    gradient=np.log,
    hessian=lambda w: np.eye(2) / w[..., None],
    conjugate=lambda mu: np.sum(np.exp(mu), axis=-1),
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
        lambda u: np.sum(u * np.log(u) - u, axis=-1),
        gf.domains.Orthant(2),
        gradient=lambda u: 1.01 * np.log(u),
        hessian=lambda u: 1.01 * np.eye(2) / u[..., None],
        third_derivative=lambda u: np.ones((*u.shape[:-1], 2, 2, 2)) * u[..., None, None] * onp.array([1.0, 2.0]),
        conjugate=lambda mu: np.sum(np.exp(1.1 * mu), axis=-1),
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
    concave = gf.LegendreFunction(lambda u: -np.sum(u**2, axis=-1), 2)
    defect, scale = laws.bregman_is_nonnegative(concave, w, w + 1)
    assert defect > 0.1 * scale


def test_numerical_conjugate_against_closed_forms(rng):
    mu = rng.uniform(-30, 5, size=(40, 3))
    assert onp.allclose(entropy.inverse_gradient(mu), onp.exp(mu), rtol=1e-10, atol=0)
    assert onp.allclose(entropy.conjugate(mu), onp.exp(mu).sum(-1), rtol=1e-9)
    q = rng.dirichlet([1, 1, 1], size=30)[:, :2]  # conjugate of log-sum-exp: simplex entropy
    expected = (q * onp.log(q)).sum(-1) + (1 - q.sum(-1)) * onp.log(1 - q.sum(-1))
    assert onp.allclose(log_sum_exp.conjugate(q), expected, rtol=1e-10, atol=1e-13)
    assert log_sum_exp.conjugate.domain.belongs(onp.array([0.3, 0.3]))
    assert not log_sum_exp.conjugate.domain.belongs(onp.array([0.7, 0.7]))


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_shapes_over_any_batch(batch, rng):
    w = rng.uniform(0.5, 2, size=(*batch, 3))
    mu = entropy.gradient(w)
    assert entropy(w).shape == batch and mu.shape == (*batch, 3)
    assert entropy.hessian(w).shape == (*batch, 3, 3) and entropy.third_derivative(w).shape == (*batch, 3, 3, 3)
    assert entropy.conjugate(mu).shape == batch and entropy.conjugate.hessian(mu).shape == (*batch, 3, 3)
    assert entropy.conjugate.third_derivative(mu).shape == (*batch, 3, 3, 3)
    assert onp.allclose(onp.einsum("...iii->...i", entropy.conjugate.third_derivative(mu)), w)
    assert entropy.bregman_divergence(w, w[..., ::-1]).shape == batch


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: entropy([1.0, -1.0, 1.0]), gf.DomainError, "outside the domain"),
        (lambda: entropy.gradient([1.0, 1.0]), gf.ShapeError, r"\[..., 3\]"),
        (lambda: entropy([1.0, onp.nan, 1.0]), gf.NotFiniteError, "nan"),
        (lambda: burg.inverse_gradient([1.0, -1.0]), gf.DomainError, "range of the gradient"),
        (lambda: log_sum_exp.inverse_gradient([0.7, 0.7]), gf.DomainError, "range of the gradient"),
        (lambda: closed.conjugate(onp.ones(3)), gf.ShapeError, r"\[..., 2\]"),
        (lambda: gf.LegendreFunction(3, 2), gf.ArgumentError, "callable"),
        (lambda: gf.LegendreFunction(np.sum, "R2"), gf.ArgumentError, "domain"),
        (lambda: gf.LegendreFunction(lambda w: w**2, 2)(onp.ones(2)), gf.ShapeError, "last axis"),
        (lambda: gf.LegendreFunction(lambda w: np.sum(np.log(w), -1), 2)(-onp.ones(2)), gf.NotFiniteError, "finite"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert caught.value.got and caught.value.wanted


def test_a_potential_that_is_not_convex_is_refused_with_the_point():
    well = gf.LegendreFunction(lambda w: np.sum(w**4 - w**2, axis=-1), 2)
    with pytest.raises(gf.NotLegendreError) as caught:
        well.inverse_gradient(onp.array([0.1, 0.2]))
    assert onp.abs(caught.value.point).max() < 0.5  # it is convex for |w_i| > 1 / sqrt(6)


def test_metric_is_a_geomstats_metric():
    metric = entropy.metric
    w = onp.array([[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]])
    assert onp.allclose(metric.metric_matrix(w), onp.eye(3) / w[..., None])
    assert onp.allclose(metric.cometric_matrix(w) @ metric.metric_matrix(w), onp.eye(3))
    christoffels = metric.christoffels(w)
    expected = onp.einsum("...k,ki,kj->...kij", -1 / (2 * w), onp.eye(3), onp.eye(3))
    assert onp.allclose(christoffels, expected)
    # in coordinates 2 sqrt(w) the metric is flat: geodesics and distances are known
    v = onp.array([0.3, -0.2, 0.1])
    assert onp.allclose(metric.exp(v, w[0]), (onp.sqrt(w[0]) + v / (2 * onp.sqrt(w[0]))) ** 2, rtol=1e-8)
    assert onp.allclose(metric.dist(w[0], w[1]), 2 * onp.linalg.norm(onp.sqrt(w[0]) - onp.sqrt(w[1])), rtol=1e-8)
    assert onp.allclose(metric.squared_norm(v, w[0]), (v**2 / w[0]).sum())


def test_christoffels_agree_with_those_geomstats_derives(rng):
    w = rng.standard_normal((3, 2))
    derived = super(type(coupled.metric), coupled.metric).christoffels(w)
    assert onp.allclose(coupled.metric.christoffels(w), derived, atol=1e-12)


def test_curvature_by_geomstats_own_tools():
    """The Gaussian family has constant curvature -1/2; a separable potential is flat."""
    u, v = onp.array([1.0, 0.0]), onp.array([0.0, 1.0])
    gaussian = gf.catalog.potentials["gaussian_log_partition"](2).metric
    points = onp.array([[0.3, -0.7], [-1.0, -2.0]])
    for point in points:
        assert abs(gaussian.sectional_curvature(u, v, point) + 0.5) < 1e-10
        assert abs(burg.metric.sectional_curvature(u, v, -point[::-1] + 3)) < 1e-12


def test_frechet_mean_on_a_hessian_manifold(rng):
    from geomstats.learning.frechet_mean import FrechetMean

    metric, points = entropy.metric, rng.uniform(0.5, 2, size=(5, 3))
    mean = FrechetMean(metric._space).fit(points).estimate_
    assert onp.allclose(mean, onp.sqrt(points).mean(0) ** 2, rtol=1e-6)  # flat in the coordinates 2 sqrt(w)


def test_newton_at_hard_covectors():
    mu = onp.array([1e-30, 0.5])
    assert onp.allclose(log_sum_exp.inverse_gradient(mu), onp.log(mu / (1 - mu.sum())), rtol=1e-12)
    far = onp.array([300.0, -300.0, 0.0])
    assert onp.allclose(entropy.inverse_gradient(far), onp.exp(far), rtol=1e-10, atol=0)
    degenerate = gf.LegendreFunction(lambda w: np.sum(w**4, axis=-1), 2)  # its Hessian vanishes at 0
    assert onp.allclose(degenerate.inverse_gradient([4.0, -32.0]), [1.0, -2.0], rtol=1e-12)
    not_twice = gf.LegendreFunction(lambda w: np.sum(np.abs(w) ** 1.5, axis=-1), 2)
    assert onp.allclose(not_twice.inverse_gradient([1.5, -3.0]), [1.0, -4.0], rtol=1e-10)


@pytest.mark.parametrize("value", [onp.zeros((0, 3)), onp.ones(3) * 1j, "abc", None])
def test_values_that_are_no_points(value):
    with pytest.raises(gf.GeoflowError):
        entropy(value)
    with pytest.raises(gf.GeoflowError):
        entropy.inverse_gradient(value)
