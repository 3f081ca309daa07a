"""Space forms, and the metrics of geomstats that Hessian metrics with closed geodesics are."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.spd_matrices import SPDAffineMetric, SPDMatrices
from geomstats.information_geometry.multinomial import MultinomialDistributions
from geomstats.information_geometry.normal import UnivariateNormalDistributions

import geoflow as gf
from geoflow.metrics.space_forms import HalfPlane, SpaceForm

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


FORMS = [SpaceForm(0.0, 2), SpaceForm(0.25, 3), SpaceForm(1.0, 2), HalfPlane(-0.5), HalfPlane(-2.0)]


def on_form(form, n, rng):
    """Points, and tangent vectors of length about a half."""
    x = rng.standard_normal((n, form.ambient_dim))
    if form.curvature > 0:
        x /= np.linalg.norm(x, axis=1, keepdims=True) * np.sqrt(form.curvature)
    if form.curvature < 0:
        x[:, 1] = np.exp(x[:, 1])
    u = 0.5 * rng.standard_normal(x.shape) / np.sqrt(form.weights(x))
    return x, u - form.curvature * (x * u).sum(-1, keepdims=True) * x if form.curvature > 0 else u


def inner(form, u, v, x):
    return (form.weights(x) * u * v).sum(axis=-1)


def log(form, y, x):
    return form.log(y, x, y - x)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_geodesics_of_space_forms(form, rng):
    """They stay on the form, have constant speed, and log inverts exp."""
    x, u = on_form(form, 20, rng)
    y = form.exp(u, x)
    if form.curvature > 0:
        assert np.allclose(np.sum(y * y, axis=-1), 1 / form.curvature, rtol=1e-12)
        assert np.abs(np.sum(log(form, y, x) * x, axis=-1)).max() < 1e-12
    assert np.allclose(log(form, y, x), u, rtol=1e-9, atol=1e-11)
    speed = np.sqrt(inner(form, u, u, x))
    assert np.allclose(form.distance(y, x, y - x), speed, rtol=1e-12)
    half = form.exp(0.5 * u, x)
    assert np.allclose(form.distance(y, half, y - half), 0.5 * speed, rtol=1e-9)
    assert np.array_equal(form.exp(0 * u, x), x) and not log(form, x, x).any()
    tiny = 1e-9 * u
    assert np.allclose(log(form, form.exp(tiny, x), x), tiny, rtol=1e-5, atol=1e-15)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_transport_keeps_inner_products_and_the_velocity(form, rng):
    x, u = on_form(form, 20, rng)
    t = on_form(form, 20, rng)[1]
    t = t - form.curvature * (x * t).sum(-1, keepdims=True) * x if form.curvature > 0 else t
    moved, arrived, y = form.transport(t, u, x), form.transport(u, u, x), form.exp(u, x)
    assert np.allclose(inner(form, moved, moved, y), inner(form, t, t, x), rtol=1e-10, atol=1e-12)
    assert np.allclose(inner(form, moved, arrived, y), inner(form, t, u, x), rtol=1e-9, atol=1e-12)
    assert np.allclose(arrived, -log(form, x, y), rtol=1e-8, atol=1e-10)
    assert np.allclose(form.transport(t, 0 * u, x), t, rtol=1e-14)
    if form.curvature > 0:
        assert np.abs(np.sum(moved * y, axis=-1)).max() < 1e-11


def test_a_quarter_of_a_great_circle():
    sphere = SpaceForm(0.25, 3)  # of radius 2
    x, u = np.array([2.0, 0, 0]), np.array([0, np.pi, 0])
    assert np.allclose(sphere.exp(u, x), [0, 2, 0], atol=1e-15)
    assert np.allclose(sphere.transport(u, u, x), [-np.pi, 0, 0], atol=1e-14)
    assert np.allclose(sphere.transport(np.array([0, 0, 1.0]), u, x), [0, 0, 1], atol=1e-15)
    plane = HalfPlane(-1.0)
    assert np.allclose(plane.exp(np.array([0.0, 2.0]), np.array([3.0, 2.0])), [3, 2 * np.e])
    assert np.allclose(plane.exp(np.array([1.0, 0.0]), np.array([0.0, 1.0])), [np.tanh(1), 1 / np.cosh(1)])


def test_antipodes_of_a_sphere_and_far_points_of_a_half_plane_keep_their_digits():
    x, angle = np.array([1.0, 0.0]), np.pi - 1e-9
    y = np.array([np.cos(angle), np.sin(angle)])
    assert abs(SpaceForm(1.0, 2).distance(y, x, y - x) - angle) < 1e-15
    plane = HalfPlane(-1.0)
    for height in (1e-150, 1e-8, 1e8, 1e150):
        p, q = np.array([0.0, 1.0]), np.array([0.0, height])
        assert abs(plane.distance(q, p, q - p) / abs(np.log(height)) - 1) < 1e-14
        assert np.allclose(plane.exp(plane.log(q, p, q - p), p), q, rtol=1e-12)
    p, q = np.array([0.0, 1.0]), np.array([1e8, 1.0])
    assert abs(plane.distance(q, p, q - p) / (2 * np.arcsinh(5e7)) - 1) < 1e-15
    assert np.allclose(plane.exp(plane.log(q, p, q - p), p), q, rtol=1e-6)


def test_a_geodesic_out_of_the_image_is_refused_where_it_comes_back_too():
    R = POTENTIALS["simplex_entropy"](2)
    phi, w = R.metric.isometry, np.array([[0.3, 0.3], [0.2, 0.3]])
    v = np.array([[0.1, 0.0], [-0.05, 0.02]])
    assert np.allclose(phi.log(phi.exp(v, w, R.domain), w), v, rtol=1e-9)
    for size in (50.0, 4 * np.pi / np.sqrt(R.metric.squared_norm(v[1], w[1]))):  # outside; once round
        with pytest.raises(gf.DomainError, match="leaves the domain") as caught:
            phi.exp(np.stack([v[0], size * v[1]]), w, R.domain)
        assert caught.value.index == (1,)
