"""Space forms, and the metrics of geomstats that Hessian metrics with closed geodesics are."""

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.spd_matrices import SPDAffineMetric, SPDMatrices
from geomstats.information_geometry.multinomial import MultinomialDistributions
from geomstats.information_geometry.normal import UnivariateNormalDistributions

import geoflow as gf

POTENTIALS = gf.catalog.potentials


def matrix(w):
    return np.stack([np.stack([w[..., 0], w[..., 1]], -1), np.stack([w[..., 1], w[..., 2]], -1)], -2)


def test_log_det_is_the_affine_invariant_metric_of_geomstats(rng):
    metric, space = POTENTIALS["log_det_spd"](3).metric, SPDMatrices(2, equip=False)
    space.equip_with_metric(SPDAffineMetric)
    B = rng.standard_normal((2, 20, 2, 2))
    w, y = ((X[..., [0, 0, 1], [0, 1, 1]]) for X in B @ np.swapaxes(B, -1, -2) + 0.2 * np.eye(2))
    u, v = 0.4 * rng.standard_normal((2, 20, 3))
    other = space.metric
    assert np.abs(metric.dist(w, y) - other.dist(matrix(w), matrix(y))).max() < 1e-8
    assert np.abs(matrix(metric.log(y, w)) - other.log(matrix(y), matrix(w))).max() < 1e-8
    v = 0.3 * metric.log(y, w)
    assert np.abs(matrix(metric.exp(v, w)) - other.exp(matrix(v), matrix(w))).max() < 1e-8
    t = np.linspace(0, 1, 4)
    path = matrix(metric.geodesic(w, end_point=y)(t))
    assert np.abs(path - other.geodesic(matrix(w), end_point=matrix(y))(t)).max() < 1e-8
    moved = other.parallel_transport(matrix(u), matrix(w), end_point=matrix(y))
    assert np.abs(matrix(metric.parallel_transport(u, w, end_point=y)) - moved).max() < 1e-8
    # curvature of the affine-invariant metric: <R(a, b) b, a> = -|[a, b]|^2 / 4 at the identity, in the metric tr(a b)
    eye = np.array([1.0, 0.0, 1.0])
    bracket = matrix(u) @ matrix(v) - matrix(v) @ matrix(u)
    gram = [np.einsum("nij,nji->n", matrix(a), matrix(b)) for a, b in ((u, u), (v, v), (u, v))]
    closed = np.einsum("nij,nji->n", bracket, bracket) / (4 * (gram[0] * gram[1] - gram[2] ** 2))
    assert np.abs(metric.sectional_curvature(u, v, np.broadcast_to(eye, u.shape)) - closed).max() < 1e-8


def test_fisher_rao_metrics_of_geomstats(rng):
    def natural(p):
        return anp.stack([p[..., 0] / p[..., 1] ** 2, -1 / (2 * p[..., 1] ** 2)], axis=-1)

    normal, gaussian = UnivariateNormalDistributions().metric, POTENTIALS["gaussian_log_partition"](2).metric
    p, q = (np.stack([rng.normal(size=20), rng.uniform(0.5, 2, 20)], axis=-1) for _ in range(2))
    J = gf.autodiff.jacobian(natural)(p)
    v = normal.log(q, p)
    assert np.abs(normal.dist(p, q) - gaussian.dist(natural(p), natural(q))).max() < 1e-8
    assert np.abs(np.einsum("nij,nj->ni", J, v) - gaussian.log(natural(q), natural(p))).max() < 1e-8
    half = np.einsum("nij,nj->ni", J, 0.5 * v)
    assert np.abs(natural(normal.exp(0.5 * v, p)) - gaussian.exp(half, natural(p))).max() < 1e-8

    multinomial = MultinomialDistributions(dim=3, n_draws=2).metric
    simplex = (2.0 * POTENTIALS["simplex_entropy"](3)).metric
    p, q = rng.dirichlet(np.full(4, 3.0), (2, 20))
    v = multinomial.log(q, p)
    assert np.abs(multinomial.dist(p, q) - simplex.dist(p[:, :3], q[:, :3])).max() < 1e-8
    assert np.abs(v[:, :3] - simplex.log(q[:, :3], p[:, :3])).max() < 1e-8
    assert np.abs(multinomial.exp(0.5 * v, p)[:, :3] - simplex.exp(0.5 * v[:, :3], p[:, :3])).max() < 1e-8
