"""Legendre functions, their conjugates, and the Hessian metric."""

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


def test_numerical_conjugate_against_closed_forms(rng):
    mu = rng.uniform(-30, 5, size=(40, 3))
    assert np.allclose(entropy.inverse_gradient(mu), np.exp(mu), rtol=1e-10, atol=0)
    assert np.allclose(entropy.conjugate(mu), np.exp(mu).sum(-1), rtol=1e-9)
    q = rng.dirichlet([1, 1, 1], size=30)[:, :2]  # conjugate of log-sum-exp: simplex entropy
    expected = (q * np.log(q)).sum(-1) + (1 - q.sum(-1)) * np.log(1 - q.sum(-1))
    assert np.allclose(log_sum_exp.conjugate(q), expected, rtol=1e-10, atol=1e-13)
    assert log_sum_exp.conjugate.domain.belongs(np.array([0.3, 0.3]))
    assert not log_sum_exp.conjugate.domain.belongs(np.array([0.7, 0.7]))


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


def test_a_potential_that_is_not_convex_is_refused_with_the_point():
    well = gf.LegendreFunction(lambda w: anp.sum(w**4 - w**2, axis=-1), 2)
    with pytest.raises(gf.NotLegendreError) as caught:
        well.inverse_gradient(np.array([0.1, 0.2]))
    assert np.abs(caught.value.point).max() < 0.5  # it is convex for |w_i| > 1 / sqrt(6)


def test_metric_is_a_geomstats_metric():
    metric = entropy.metric
    w = np.array([[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]])
    assert np.allclose(metric.metric_matrix(w), np.eye(3) / w[..., None])
    assert np.allclose(metric.cometric_matrix(w) @ metric.metric_matrix(w), np.eye(3))
    christoffels = metric.christoffels(w)
    expected = np.einsum("...k,ki,kj->...kij", -1 / (2 * w), np.eye(3), np.eye(3))
    assert np.allclose(christoffels, expected)
    # in coordinates 2 sqrt(w) the metric is flat: geodesics and distances are known
    v = np.array([0.3, -0.2, 0.1])
    assert np.allclose(metric.exp(v, w[0]), (np.sqrt(w[0]) + v / (2 * np.sqrt(w[0]))) ** 2, rtol=1e-8)
    assert np.allclose(metric.dist(w[0], w[1]), 2 * np.linalg.norm(np.sqrt(w[0]) - np.sqrt(w[1])), rtol=1e-8)
    assert np.allclose(metric.squared_norm(v, w[0]), (v**2 / w[0]).sum())


def test_christoffels_agree_with_those_geomstats_derives(rng):
    w = rng.standard_normal((3, 2))
    derived = super(type(coupled.metric), coupled.metric).christoffels(w)
    assert np.allclose(coupled.metric.christoffels(w), derived, atol=1e-12)


def test_curvature_by_geomstats_own_tools():
    """The Gaussian family has constant curvature -1/2; a separable potential is flat."""
    u, v = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    gaussian = gf.catalog.potentials["gaussian_log_partition"](2).metric
    points = np.array([[0.3, -0.7], [-1.0, -2.0]])
    for point in points:
        assert abs(gaussian.sectional_curvature(u, v, point) + 0.5) < 1e-10
        assert abs(burg.metric.sectional_curvature(u, v, -point[::-1] + 3)) < 1e-12


def test_frechet_mean_on_a_hessian_manifold(rng):
    from geomstats.learning.frechet_mean import FrechetMean

    metric, points = entropy.metric, rng.uniform(0.5, 2, size=(5, 3))
    mean = FrechetMean(metric.domain).fit(points).estimate_
    assert np.allclose(mean, np.sqrt(points).mean(0) ** 2, rtol=1e-6)  # flat in the coordinates 2 sqrt(w)


def test_newton_at_hard_covectors():
    mu = np.array([1e-30, 0.5])
    assert np.allclose(log_sum_exp.inverse_gradient(mu), np.log(mu / (1 - mu.sum())), rtol=1e-12)
    far = np.array([300.0, -300.0, 0.0])
    assert np.allclose(entropy.inverse_gradient(far), np.exp(far), rtol=1e-10, atol=0)
    degenerate = gf.LegendreFunction(lambda w: anp.sum(w**4, axis=-1), 2)  # its Hessian vanishes at 0
    assert np.allclose(degenerate.inverse_gradient([4.0, -32.0]), [1.0, -2.0], rtol=1e-12)
    not_twice = gf.LegendreFunction(lambda w: anp.sum(anp.abs(w) ** 1.5, axis=-1), 2)
    assert np.allclose(not_twice.inverse_gradient([1.5, -3.0]), [1.0, -4.0], rtol=1e-10)


@pytest.mark.parametrize("value", [np.zeros((0, 3)), np.ones(3) * 1j, "abc", None])
def test_values_that_are_no_points(value):
    with pytest.raises(gf.GeoflowError):
        entropy(value)
    with pytest.raises(gf.GeoflowError):
        entropy.inverse_gradient(value)
