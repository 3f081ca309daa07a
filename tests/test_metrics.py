"""Hessian geometry: curvature, geodesics, transport, closed forms, against geomstats and against each other."""

import copy

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.geometry.spd_matrices import SPDAffineMetric, SPDMatrices
from geomstats.information_geometry.multinomial import MultinomialDistributions
from geomstats.information_geometry.normal import UnivariateNormalDistributions

import geoflow as gf
from geoflow.theorems import laws

POTENTIALS = gf.catalog.potentials
CLOSED = [
    ("simplex_entropy", 3), ("log_sum_exp", 3), ("gaussian_log_partition", 2), ("log_det_spd", 3),
    ("negative_entropy", 2), ("burg", 2), ("fermi_dirac", 2), ("hyperbolic_entropy", 2), ("quadratic_form", 3),
]  # fmt: skip
OPEN = [("quartic", 2), ("logistic_regression", 2), ("soft_max_affine", 2)]


class MatrixOnly(RiemannianMetric):
    """The same metric known to geomstats by its matrix alone: an independent, slow reference."""

    def __init__(self, space, potential):
        super().__init__(space)
        self._hessian = potential.kernel.hessian

    def metric_matrix(self, base_point=None):
        # a constant matrix has to depend on the point for geomstats to differentiate it
        return self._hessian(base_point) + 0.0 * anp.sum(base_point, axis=-1)[..., None, None]


def equipped(R, metric, **options):
    space = copy.copy(R.domain)
    space.equip_with_metric(metric, potential=R, **options)
    return space.metric


def points(R, n, rng, bound=0.25):
    return R.domain.random_point(n, bound=bound, rng=rng)


@pytest.mark.parametrize("name, d", CLOSED + OPEN)
def test_curvature_tensors_are_those_of_the_metric_matrix(name, d, rng):
    R = POTENTIALS[name](d)
    metric, reference = R.metric, equipped(R, MatrixOnly)
    w = points(R, 4, rng)
    a, b, c = rng.standard_normal((3, 4, d))
    for method, arguments in [
        ("christoffels", ()),
        ("riemann_tensor", ()),
        ("covariant_riemann_tensor", ()),
        ("ricci_tensor", ()),
        ("scalar_curvature", ()),
        ("curvature", (a, b, c)),
        ("sectional_curvature", (a, b)),
    ]:
        value, wanted = getattr(metric, method)(*arguments, w), getattr(reference, method)(*arguments, w)
        assert value.shape == wanted.shape
        assert np.abs(value - wanted).max() <= 1e-9 * (1 + np.abs(wanted).max()), method
    first = np.einsum("nkl,nlij->nkij", metric.metric_matrix(w), metric.christoffels(w))
    assert np.allclose(metric.christoffels_first_kind(w), first, rtol=1e-10, atol=1e-12)


def test_curvature_of_the_gaussian_family_and_of_the_simplex(rng):
    gaussian = POTENTIALS["gaussian_log_partition"](2).metric
    w = np.stack([rng.uniform(-3, 3, 1000), rng.uniform(-5, -0.2, 1000)], axis=-1)
    a, b = rng.standard_normal((2, 1000, 2))
    assert np.abs(gaussian.sectional_curvature(a, b, w) + 0.5).max() < 1e-10
    R = POTENTIALS["simplex_entropy"](4)
    w = points(R, 100, rng, bound=0.1)
    a, b = rng.standard_normal((2, 100, 4))
    assert np.abs(R.metric.sectional_curvature(a, b, w) - 0.25).max() < 1e-10
    assert np.abs(R.metric.scalar_curvature(w) - 4 * 3 / 4).max() < 1e-9
    assert laws.curvature_is_constant(R, w, 0.25)[0] < 1e-10
    # a metric whose curvature varies fails the law
    quartic = POTENTIALS["quartic"](2)
    defect, scale = laws.curvature_is_constant(quartic, points(quartic, 20, rng, 1.0), 0.0)
    assert defect > 1e-3 * scale
    with pytest.raises(gf.ArgumentError, match="independent"):
        gaussian.sectional_curvature([1.0, 0.0], [2.0, 0.0], [0.0, -1.0])


@pytest.mark.parametrize("name, d", CLOSED)
def test_closed_geodesics_are_the_integrated_ones(name, d, rng):
    R = POTENTIALS[name](d)
    closed, numeric = R.metric, equipped(R, gf.HessianMetric, closed_forms=False)
    assert closed.isometry is not None and numeric.isometry is None
    w, y = points(R, 5, rng), points(R, 5, rng)
    u = rng.standard_normal(w.shape)
    v = closed.log(y, w)
    assert np.abs(numeric.log(y, w) - v).max() <= 1e-9 * (1 + np.abs(v).max())
    assert np.abs(numeric.exp(v, w) - y).max() < 1e-9 and np.abs(closed.exp(v, w) - y).max() < 1e-10
    assert np.abs(numeric.dist(w, y) - closed.dist(w, y)).max() < 1e-9
    moved = closed.parallel_transport(u, w, direction=v)
    assert np.abs(moved - numeric.parallel_transport(u, w, end_point=y)).max() <= 1e-8 * (1 + np.abs(moved).max())
    path = closed.geodesic(w, initial_tangent_vec=v)(np.array([0.0, 0.5, 1.0]))
    assert np.abs(path - numeric.geodesic(w, initial_tangent_vec=v)(np.array([0.0, 0.5, 1.0]))).max() < 1e-9


@pytest.mark.parametrize("name, d", CLOSED + OPEN)
def test_exp_log_energy_and_transport(name, d, rng):
    R = POTENTIALS[name](d)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w, y = points(R, 4, rng), points(R, 4, rng)
    v = metric.log(y, w)
    u = rng.standard_normal(w.shape)
    for law, arguments, tol in [
        (laws.exp_inverts_log, (metric, y, w), 1e-7),
        (laws.energy_is_constant, (metric, v, w), 1e-9),
        (laws.transport_is_isometry, (metric, u, w, v), 1e-9),
    ]:
        defect, scale = law(*arguments)
        assert defect <= tol * scale, law.__name__


def test_geomstats_euler_steps_fail_the_laws_that_ours_pass(rng):
    from geomstats.numerics.geodesic import ExpODESolver
    from geomstats.numerics.ivp import GSIVPIntegrator

    R = POTENTIALS["gaussian_log_partition"](2)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w, y = np.array([[0.0, -1.0]]), np.array([[1.0, -0.5]])
    metric.exp_solver = ExpODESolver(metric.domain, GSIVPIntegrator(n_steps=100))  # selectable, and coarse
    defect, scale = laws.exp_inverts_log(metric, y, w)
    assert defect > 1e-4 * scale
    defect, scale = laws.energy_is_constant(metric, metric.log(y, w), w)
    assert defect > 1e-4 * scale
    # plain vectors are not transported by leaving them alone
    metric.parallel_transport = lambda u, w, direction: u
    defect, scale = laws.transport_is_isometry(metric, np.ones((1, 2)), w, y - w)
    assert defect > 1e-2 * scale


def test_affine_images_scalings_and_products_keep_closed_forms(rng):
    A = np.array([[1.0, 0.5], [-0.3, 2.0]])
    R = gf.product(3.0 * POTENTIALS["simplex_entropy"](2), POTENTIALS["gaussian_log_partition"](2).compose_affine(A))
    w, y = points(R, 4, rng, 0.1), points(R, 4, rng, 0.1)
    numeric = equipped(R, gf.HessianMetric, closed_forms=False)
    assert R.metric.isometry is not None
    assert np.abs(R.metric.log(y, w) - numeric.log(y, w)).max() < 1e-9


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


def test_geodesics_that_leave_the_domain_are_refused_not_reflected():
    for name, w, v in [
        ("simplex_entropy", [0.3, 0.3], [-3.0, 0.0]),
        ("simplex_entropy", [0.3, 0.3], [-9.0, 0.0]),  # a great circle that has come back inside
        ("negative_entropy", [0.5, 0.5], [-3.0, 0.0]),
    ]:
        R = POTENTIALS[name](2)
        for metric in (R.metric, equipped(R, gf.HessianMetric, closed_forms=False)):
            with pytest.raises(gf.DomainError, match="geodesic leaves the domain"):
                metric.exp(np.array(v), np.array(w))
    metric = POTENTIALS["simplex_entropy"](2).metric
    with pytest.raises(gf.DomainError):
        metric.log([0.9, 0.9], [0.3, 0.3])
    with pytest.raises(gf.ShapeError):
        metric.exp([1.0, 2.0, 3.0], [0.3, 0.3])
    with pytest.raises(gf.ArgumentError, match="exactly one"):
        metric.parallel_transport([0.1, 0.1], [0.3, 0.3])


def test_exp_and_distance_can_be_differentiated():
    metric = POTENTIALS["gaussian_log_partition"](2).metric
    w, v, y = np.array([0.2, -1.0]), np.array([0.3, 0.1]), np.array([-0.5, -0.7])
    for f, x in [
        (lambda p: anp.sum(metric.exp(p, w) ** 2), v),
        (lambda p: anp.sum(metric.exp(v, p) ** 2), w),
        (lambda p: metric.squared_dist(p, y), w),
        (lambda p: metric.squared_dist(y, p), w),
    ]:
        value = gf.autodiff.jacobian(f)(x)
        h = 1e-5
        wanted = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(2)]
        assert np.allclose(value, wanted, rtol=1e-7, atol=1e-9)


def test_geomstats_learning_runs_unchanged_on_a_hessian_manifold(rng):
    from geomstats.learning.exponential_barycenter import ExponentialBarycenter
    from geomstats.learning.frechet_mean import FrechetMean
    from geomstats.learning.geodesic_regression import GeodesicRegression
    from geomstats.learning.kmeans import RiemannianKMeans
    from geomstats.learning.pca import TangentPCA

    manifold = gf.DuallyFlatManifold(POTENTIALS["gaussian_log_partition"](2))
    space, metric = manifold.space, manifold.metric
    centre = np.array([0.5, -1.0])
    X = metric.exp(0.2 * rng.standard_normal((12, 2)), centre)
    mean = FrechetMean(space).fit(X).estimate_
    assert np.linalg.norm(metric.log(X, mean).mean(axis=0)) < 1e-3

    line = metric.exp(np.linspace(-0.5, 0.5, 11)[:, None] * np.array([0.3, 0.2]), centre)
    pca = TangentPCA(space, n_components=2).fit(line, base_point=centre)
    assert pca.explained_variance_ratio_[0] > 1 - 1e-9
    back = pca.inverse_transform(pca.transform(line))
    assert np.abs(back - line).max() < 1e-9

    far = metric.exp(0.05 * rng.standard_normal((10, 2)), np.array([-3.0, -2.0]))
    np.random.seed(0)  # KMeans draws its starts from numpy's global generator
    means = RiemannianKMeans(space, n_clusters=2, init="kmeans++")
    labels = means.fit(np.concatenate([X, far])).labels_
    assert len(set(labels[:12])) == 1 and len(set(labels[12:])) == 1 and labels[0] != labels[-1]

    times = np.linspace(-0.5, 0.5, 8)
    slope = np.array([0.6, 0.3])
    y = metric.exp(times[:, None] * slope, centre)
    for method in ("riemannian", "extrinsic"):
        model = GeodesicRegression(space, center_X=False, method=method, initialization="warm_start")
        model.intercept_, model.coef_ = centre + 0.02, slope * 1.1
        model.fit(times, y)
        assert model.score(times, y) > 0.999, method

    # the barycenter of the translations of mu is the point with the mean of mu: for the entropy, the geometric mean
    entropy = gf.DuallyFlatManifold(POTENTIALS["negative_entropy"](2))
    X = rng.uniform(0.5, 2.0, (6, 2))
    estimate = ExponentialBarycenter(entropy.translations).fit(X).estimate_
    assert np.allclose(estimate, np.exp(np.log(X).mean(axis=0)), rtol=1e-6)
