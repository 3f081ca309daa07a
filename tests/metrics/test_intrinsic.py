"""Metrics induced without commuting, as geomstats metrics: against Bures-Wasserstein, and against flows in x."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.spd_matrices import SPDBuresWassersteinMetric, SPDMatrices
from geomstats.learning.frechet_mean import FrechetMean

import geoflow as gf
from geoflow.theorems import laws


def square(n):
    """The upper triangle of U U^T."""
    upper = np.triu_indices(n)

    def f(x):
        U = anp.reshape(x, (*anp.shape(x)[:-1], n, n))
        return anp.einsum("...ia,...ja->...ij", U, U)[..., upper[0], upper[1]]

    return gf.Parametrization(f, n * n, len(upper[0]), name="U U^T"), upper


def matrices(n, count, rng):
    A = np.eye(n) + 0.3 * rng.standard_normal((count, n, n))
    return A @ np.swapaxes(A, 1, 2)


@pytest.mark.parametrize("n", [2, 3])
def test_the_metric_of_squares_is_bures_wasserstein(n, rng):
    G, (i, j) = square(n)
    metric = gf.induced_metric(G, np.eye(n).ravel() + 0.1 * rng.standard_normal(n * n))
    space = SPDMatrices(n, equip=False)
    space.equip_with_metric(SPDBuresWassersteinMetric)
    W = matrices(n, 3, rng)
    V = 0.05 * rng.standard_normal((3, n, n))
    V = V + np.swapaxes(V, 1, 2)
    w, v = W[:, i, j], V[:, i, j]
    assert np.allclose(metric.squared_norm(v, w), space.metric.squared_norm(V, W), rtol=1e-11)
    assert np.allclose(metric.exp(v, w), space.metric.exp(V, W)[:, i, j], rtol=0, atol=1e-11)
    assert np.allclose(metric.exp(v[0], w[0]), metric.exp(v, w)[0], rtol=1e-12)  # one point
    assert np.allclose(metric.log(w[1:], w[0]), space.metric.log(W[1:], W[0])[:, i, j], rtol=0, atol=1e-8)
    assert np.allclose(metric.dist(w[0], w[1:]), space.metric.dist(W[0], W[1:]), rtol=1e-8)
    if n == 2:
        mine = FrechetMean(metric._space).fit(w).estimate_
        assert np.abs(mine - FrechetMean(space).fit(W).estimate_[i, j]).max() < 1e-8
        middle = metric.geodesic(w[0], w[1])(0.5)
        assert np.allclose(2 * metric.dist(w[0], middle), metric.dist(w[0], w[1]), rtol=1e-9)


def test_derivatives_are_those_of_the_metric_matrix(rng):
    G, (i, j) = square(2)
    metric = gf.induced_metric(G, np.eye(2).ravel())
    w, h = matrices(2, 2, rng)[:, i, j], 1e-5
    shifts = h * np.eye(3)[:, None, :]
    slope = (metric.metric_matrix(w + shifts) - metric.metric_matrix(w - shifts)) / (2 * h)
    dg = metric.inner_product_derivative_matrix(w)
    assert np.allclose(np.moveaxis(slope, 0, -1), dg, rtol=0, atol=1e-8 * np.abs(dg).max())
    gamma = metric.christoffels(w)
    lower = np.einsum("...kl,...lij->...kij", metric.metric_matrix(w), gamma)
    wanted = (np.einsum("nlji->nlij", dg) + dg - np.einsum("nijl->nlij", dg)) / 2
    assert np.allclose(lower, wanted, atol=1e-11)
    state = np.stack([w, 0 * w + 0.1], axis=1)
    assert np.allclose(
        metric.geodesic_equation(state)[:, 1], -np.einsum("nkij,ni,nj->nk", gamma, 0 * w + 0.1, 0 * w + 0.1)
    )


def test_curvature_is_that_of_a_quotient(rng):
    """Of the Hopf map |w| = |x|^2 the metric is |dw|^2 / (4 |w|): a cone over the sphere of radius 1/2, of curvature
    3 / |w| in planes orthogonal to w, r^2 = |w|, and flat along the ray."""

    def hopf(x):
        a, b, c, d = (x[..., k] for k in range(4))
        return anp.stack([a * a + b * b - c * c - d * d, 2 * (a * c + b * d), 2 * (b * c - a * d)], axis=-1)

    metric = gf.induced_metric(gf.Parametrization(hopf, 4, 3), [0.8, 0.3, -0.4, 0.6])
    w = np.array([0.5, 0.9, 0.4])
    assert np.allclose(metric.cometric_matrix(w), 4 * np.linalg.norm(w) * np.eye(3), rtol=1e-10)
    frame = np.linalg.qr(np.stack([w, *rng.standard_normal((2, 3))], axis=1))[0].T
    assert np.isclose(metric.sectional_curvature(frame[1], frame[2], w), 3 / np.linalg.norm(w), rtol=1e-6)
    assert abs(metric.sectional_curvature(frame[0], frame[1], w)) < 1e-6


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_geodesics_keep_their_digits_in_all_units(unit, rng):
    G, (i, j) = square(2)
    metric = gf.induced_metric(G, unit * np.array([1.0, 0.2, -0.1, 0.9]))
    W, V = matrices(2, 1, rng)[0], 0.1 * np.array([[0.3, -0.2], [-0.2, 0.5]])
    space = SPDMatrices(2, equip=False)
    space.equip_with_metric(SPDBuresWassersteinMetric)
    w, v = unit**2 * W[i, j], unit**2 * V[i, j]
    end = metric.exp(v, w)
    assert np.allclose(end / unit**2, space.metric.exp(V, W)[i, j], rtol=1e-10)
    assert np.allclose(metric.log(end, w) / unit**2, V[i, j], rtol=1e-7)
    near = metric.exp(1e-9 * v, w)
    assert np.isclose(metric.dist(near, w), 1e-9 * metric.norm(v, w), rtol=1e-6)


def test_flows_in_w_are_those_in_x():
    case = gf.catalog.noncommuting["matrix_square"]()
    target = case.parametrization(case.x0) + np.array([0.1, -0.05, 0.2])
    loss = gf.LeastSquares(np.eye(3), target)
    defect, scale = laws.intrinsic_flow_is_of_w(loss, case.parametrization, case.x0, 1.0)
    assert defect <= 1e-8 * scale


def test_flows_from_balanced_factors_are_flows_of_w(rng):
    def product(x):
        U, V = (anp.reshape(part, (*anp.shape(x)[:-1], 2, 2)) for part in (x[..., :4], x[..., 4:]))
        return anp.reshape(anp.einsum("...ia,...ja->...ij", U, V), (*anp.shape(x)[:-1], 4))

    G, U = gf.Parametrization(product, 8, 4), np.array([[1.0, 0.3], [-0.2, 0.9]])
    Q = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    loss = gf.LeastSquares(np.eye(4), [0.5, 0.1, -0.2, 0.7])
    x0 = np.concatenate([U.ravel(), (Q @ U).ravel()])
    loss = gf.LeastSquares(np.eye(4), G(x0) + np.array([0.1, 0.2, -0.1, 0.1]))
    defect, scale = laws.intrinsic_flow_is_of_w(loss, G, x0, 1.0)
    assert defect <= 1e-8 * scale
    apart = np.concatenate([U.ravel(), (2 * Q @ U + 0.3).ravel()])
    loss = gf.LeastSquares(np.eye(4), G(apart) + np.array([0.4, -0.8, 0.3, 0.4]))
    defect, scale = laws.intrinsic_flow_is_of_w(loss, G, apart, 1.0)
    assert defect > 1e-7 * scale


def test_mirror_flows_have_the_hessian_metric():
    case = gf.catalog.parametrizations["hyperbolic"](2)
    metric = gf.induced_metric(case.parametrization, case.x0)
    w = case.parametrization(case.x0) + 0.1
    assert np.allclose(metric.metric_matrix(w), case.legendre.hessian(w), rtol=1e-9)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda m: m.metric_matrix([1.0, 2.0]), gf.ShapeError, "shape"),
        (lambda m: m.metric_matrix([-1.0, 0.0, 1.0]), gf.DomainError, "range"),
        (lambda m: m.exp([-20.0, 0.0, 0.0], [1.0, 0.0, 1.0]), gf.DomainError, "geodesic"),
        (lambda m: m.log([-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]), gf.DomainError, "range"),
        (lambda m: m.exp([np.nan, 0.0, 0.0], [1.0, 0.0, 1.0]), gf.NotFiniteError, "NaN"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make(gf.induced_metric(square(2)[0], np.eye(2).ravel()))


def test_a_metric_that_ends_to_be_one_far_away_is_refused_there():
    """Near x0 it is U U^T; further out a term is added to two of its outputs."""
    plain = square(2)[0].kernel.value

    def bent(x):
        far = anp.stack([anp.maximum(x[..., 0] - 1.5, 0) ** 4, anp.maximum(x[..., 1] - 0.8, 0) ** 4, 0 * x[..., 0]], -1)
        return plain(x) + far

    metric = gf.induced_metric(gf.Parametrization(bent, 4, 3), [1.0, 0.2, 0.3, 1.5])
    assert np.isfinite(metric.metric_matrix([1.1, 0.6, 2.3])).all()
    with pytest.raises(gf.NotIntrinsicError, match="two lifts") as caught:
        metric.metric_matrix([[1.1, 0.6, 2.3], [9.0, 1.0, 3.0]])
    assert caught.value.lifts.shape == (2, 4)


@pytest.mark.parametrize("speed", [1.01, 1.5])
def test_a_geodesic_past_the_boundary_ends_there(speed):
    metric = gf.induced_metric(square(2)[0], np.eye(2).ravel())
    with pytest.raises(gf.DomainError, match="geodesic") as caught:
        metric.exp([-2 * speed, 0.0, 0.0], [1.0, 0.0, 1.0])
    assert abs(caught.value.s - 1 / speed) < 1e-4
