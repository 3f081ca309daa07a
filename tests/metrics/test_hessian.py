"""Hessian metrics as geomstats metrics: tensors, curvature, derivatives of exp, and statistics."""

import copy

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.riemannian_metric import RiemannianMetric

import geoflow as gf
from geoflow.theorems import laws

entropy = gf.LegendreFunction(lambda w: anp.sum(w * anp.log(w) - w, axis=-1), gf.domains.Orthant(3), name="entropy")
burg = gf.LegendreFunction(lambda w: -anp.sum(anp.log(w), axis=-1), gf.domains.Orthant(2), name="Burg")
coupled = gf.LegendreFunction(
    lambda w: anp.sum(w**4, axis=-1) / 4 + anp.sum(w**2, axis=-1) + w[..., 0] * w[..., 1], 2, name="coupled quartic"
)


def points(R, rng, n=20):
    return R.domain.random_point(n, bound=0.9, rng=rng)


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


def some_points(R, n, rng, bound=0.25):
    return R.domain.random_point(n, bound=bound, rng=rng)


@pytest.mark.parametrize("name, d", CLOSED + OPEN)
def test_curvature_tensors_are_those_of_the_metric_matrix(name, d, rng):
    R = POTENTIALS[name](d)
    metric, reference = R.metric, equipped(R, MatrixOnly)
    w = some_points(R, 4, rng)
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
    w = some_points(R, 100, rng, bound=0.1)
    a, b = rng.standard_normal((2, 100, 4))
    assert np.abs(R.metric.sectional_curvature(a, b, w) - 0.25).max() < 1e-10
    assert np.abs(R.metric.scalar_curvature(w) - 4 * 3 / 4).max() < 1e-9
    assert laws.curvature_is_constant(R, w, 0.25)[0] < 1e-10
    # a metric whose curvature varies fails the law
    quartic = POTENTIALS["quartic"](2)
    defect, scale = laws.curvature_is_constant(quartic, some_points(quartic, 20, rng, 1.0), 0.0)
    assert defect > 1e-3 * scale
    with pytest.raises(gf.ArgumentError, match="independent"):
        gaussian.sectional_curvature([1.0, 0.0], [2.0, 0.0], [0.0, -1.0])


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


@pytest.mark.parametrize("name", ["log_sum_exp", "gaussian_log_partition", "log_det_spd"])
def test_compiled_tensors_are_those_of_numpy(name):
    pytest.importorskip("jax")
    R = gf.catalog.potentials[name]()
    fast, plain = (gf.LegendreFunction(R.potential, R.domain, engine=engine).metric for engine in ("jax", "autograd"))
    w = R.domain.random_point(5, rng=0)
    for tensor in ("christoffels", "riemann_tensor"):
        for at in (w, w[0]):
            a, b = getattr(fast, tensor)(at), getattr(plain, tensor)(at)
            assert a.shape == b.shape and np.abs(a - b).max() <= 1e-11 * np.abs(b).max()
    with pytest.raises(gf.DomainError if name != "log_sum_exp" else gf.NotFiniteError):
        fast.christoffels(np.full(R.dim, np.nan) if name == "log_sum_exp" else -R.domain.interior_point())


def test_a_singular_metric_is_the_same_error_with_the_engine():
    pytest.importorskip("jax")
    metrics = [gf.LegendreFunction(lambda w: anp.sum(w**4, -1), 2, engine=e).metric for e in ("jax", "autograd")]
    saddles = [
        gf.LegendreFunction(lambda w: w[..., 0] ** 4 - w[..., 1] ** 4, 2, engine=m.potential.engine).metric
        for m in metrics
    ]
    for metric in metrics + saddles:
        for tensor in metric.christoffels, metric.riemann_tensor, metric.ricci_tensor:
            with pytest.raises(gf.NotLegendreError, match="not positive definite"):
                tensor([0.0, 1.0] if metric in metrics else [[1.0, 2.0], [0.5, 1.0]])


def test_a_saddle_whose_tensors_are_finite_is_refused_with_the_engine():
    """H = (2, 3; 3, 2) to first order: its diagonal is positive, and it has an inverse."""
    pytest.importorskip("jax")
    said = []
    for engine in ("jax", "autograd"):
        R = gf.LegendreFunction(
            lambda w: anp.sum(w**2 + 0.1 * w**3, -1) + 3 * w[..., 0] * w[..., 1], 2, engine=engine, check=False
        )
        for tensor in R.metric.christoffels, R.metric.riemann_tensor:
            with pytest.raises(gf.NotLegendreError, match="not positive definite") as error:
                tensor([[0.1, 0.2], [0.3, 0.1]])
            said.append(str(error.value))
    assert len(set(said)) == 1


def test_tensors_are_compiled_once_for_all_metrics_of_a_potential():
    jnp, traces = pytest.importorskip("jax").numpy, []

    def potential(w):
        traces.append(w.shape)
        return jnp.sum(jnp.cosh(w), axis=-1)

    R, w = gf.LegendreFunction(potential, 2), np.ones((4, 2))
    for _ in range(2):
        R.metric.christoffels(w), R.metric.riemann_tensor(w)
    before = len(traces)
    R.metric.christoffels(2 * w), R.metric.riemann_tensor(2 * w)
    assert len(traces) == before


def test_methods_take_lists_as_they_take_arrays():
    metric = gf.LegendreFunction(lambda w: anp.sum(anp.cosh(w), axis=-1) + anp.sum(w, axis=-1) ** 4 / 8, 2).metric
    p, q, a, b = [0.3, 0.4], [0.5, 0.6], [0.1, 0.2], [0.3, -0.1]
    for name, arguments in {
        "norm": (a, p), "squared_norm": (a, p), "normalize": (a, p), "inner_product": (a, b, p), "exp": (a, p),
        "log": (q, p), "dist": (p, q), "dist_broadcast": ([p, q], [q]), "closest_neighbor_index": (p, [q, p]),
        "diameter": ([p, q],), "geodesic_equation": ([p, a],), "sectional_curvature": (a, b, p),
        "curvature": (a, b, a, p), "metric_matrix": (p,), "christoffels": (p,), "ricci_tensor": (p,),
    }.items():  # fmt: skip
        method = getattr(metric, name)
        assert np.allclose(method(*arguments), method(*(np.array(v) for v in arguments)), rtol=1e-13), name
    path = metric.geodesic(p, initial_tangent_vec=a)
    again = metric.geodesic(np.array(p), None, np.array(a))(np.array([0.0, 0.5]))
    assert np.allclose(path([0.0, 0.5]), again, rtol=1e-13)
    with pytest.raises(gf.ShapeError, match="argument of norm"):
        metric.norm([1.0, 2.0, 3.0], p)
    with pytest.raises(gf.ArgumentError, match="real numbers"):
        metric.inner_product(a, "b", p)
