"""Parametrizations on curved manifolds: gradients for their metrics, intrinsic brackets, flows that stay, refusals."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.base import ImmersedSet, LevelSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.poincare_ball import PoincareBall
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.spd_matrices import (
    SPDBuresWassersteinMetric,
    SPDEuclideanMetric,
    SPDLogEuclideanMetric,
    SPDMatrices,
)
from geomstats.geometry.special_orthogonal import SpecialOrthogonal
from geomstats.geometry.stiefel import Stiefel

import geoflow as gf
from geoflow.maps.kernel import FunctionKernel
from geoflow.spaces.gradients import by_linear_solve, riemannian_gradient
from geoflow.theorems import laws

CURVED = [n for n, e in gf.catalog.parametrizations.items() if e.family in ("manifold", "sphere")]
REFUSED = [n for n, e in gf.catalog.noncommuting.items() if e.family == "manifold"]


def spd(n, metric):
    space = SPDMatrices(n, equip=False)
    space.equip_with_metric(metric)
    return space


def traces(A):
    return lambda X: anp.einsum("aij,...ij->...a", A, X)


def symmetric(rng, d=2, n=3, commuting=False):
    if commuting:
        V = np.linalg.qr(rng.standard_normal((n, n)))[0]
        return np.einsum("ik,dk,jk->dij", V, rng.standard_normal((d, n)), V)
    A = rng.standard_normal((d, n, n))
    return A + np.swapaxes(A, 1, 2)


def points_of(space, n, seed=1):
    state = np.random.get_state()
    np.random.seed(seed)
    points = np.asarray(space.random_point(n))
    np.random.set_state(state)
    return points


class Torus(LevelSet):
    """x_1^2 + x_2^2 = 1 and x_3^2 + x_4^2 = 4, with the metric it inherits from R^4."""

    def __init__(self):
        super().__init__(dim=2, equip=False)

    def _define_embedding_space(self):
        return Euclidean(4, equip=False)

    def submersion(self, point):
        return anp.stack([anp.sum(point[..., :2] ** 2, -1) - 1, anp.sum(point[..., 2:] ** 2, -1) - 4], -1)

    def tangent_submersion(self, vector, point):
        return 2 * anp.stack([anp.sum((point * vector)[..., :2], -1), anp.sum((point * vector)[..., 2:], -1)], -1)

    def to_tangent(self, vector, base_point):
        parts = []
        for k in (slice(0, 2), slice(2, 4)):
            x, v = base_point[..., k], vector[..., k]
            parts.append(v - x * (anp.sum(x * v, -1) / anp.sum(x * x, -1))[..., None])
        return anp.concatenate(parts, axis=-1)

    def projection(self, point):
        one, two = point[..., :2], point[..., 2:]
        size = [anp.linalg.norm(p, axis=-1, keepdims=True) for p in (one, two)]
        return anp.concatenate([one / size[0], 2 * two / size[1]], axis=-1)

    def random_point(self, n_samples=1, bound=1.0):
        return self.projection(np.random.standard_normal((n_samples, 4)))


class Graph(ImmersedSet):
    """(u, v) -> (u, v, (a u^2 + b v^2) / 2)."""

    def __init__(self, a, b):
        self.weights = np.array([a, b]) / 2
        super().__init__(dim=2)

    def _define_embedding_space(self):
        return Euclidean(3)

    def immersion(self, point):
        return anp.concatenate([point, anp.sum(self.weights * point**2, axis=-1, keepdims=True)], axis=-1)


@pytest.mark.parametrize("name", CURVED + REFUSED)
def test_gradients_are_for_the_manifolds_own_metric(name, rng):
    entry = gf.catalog.parametrizations[name] if name in CURVED else gf.catalog.noncommuting[name]
    case = entry()
    G, x = case.parametrization, case.sample(6, rng)
    v = np.asarray(G.space.to_tangent(rng.standard_normal(x.shape), x))
    defect, scale = laws.gradient_is_riemannian(G, x, v)
    assert defect <= 1e-12 * scale


def test_a_gradient_for_another_metric_fails_the_law(rng):
    space = SPDMatrices(2)
    G = gf.Parametrization(traces(symmetric(rng, n=2)), space, 2)
    x, v = points_of(space, 5), symmetric(rng, 5, 2)
    assert laws.gradient_is_riemannian(G, x, v)[0] <= 1e-12 * laws.gradient_is_riemannian(G, x, v)[1]
    wrong = FunctionKernel(G.kernel.function, spd(2, SPDEuclideanMetric), 2)
    defect, scale = laws.gradient_is_riemannian(gf.Parametrization.from_kernel(wrong, space), x, v)
    assert defect > 0.05 * scale


@pytest.mark.parametrize(
    "space",
    [Hypersphere(3), Hyperboloid(2), SPDMatrices(3), SpecialOrthogonal(3), Stiefel(3, 2), PoincareBall(2),
     ProductManifold([Hypersphere(1), SPDMatrices(2)]), ProductManifold([SpecialOrthogonal(2), SpecialOrthogonal(2)])],
    ids=lambda s: f"{type(s).__name__}{s.shape}",
)  # fmt: skip
def test_closed_gradients_are_those_of_the_linear_solve(space, rng):
    x = points_of(space, 4)
    D = int(np.prod(space.shape))
    e, flat = rng.standard_normal((4, 3, D)), x.reshape(4, D)
    closed, solved = riemannian_gradient(space)(e, flat), by_linear_solve(space, space.metric)(e, flat)
    assert np.abs(closed - solved).max() <= 1e-9 * np.abs(solved).max()


@pytest.mark.parametrize("name", CURVED)
def test_flows_stay_on_the_manifold_and_are_mirror_flows(name, rng):
    case = gf.catalog.parametrizations[name]()
    G, d = case.parametrization, case.parametrization.codomain_dim
    target = G(gf.joint_flow(G, case.x0, rng.uniform(-1, 1, d) * case.mu_bound / 2))
    report = gf.verify_equivalence(gf.LeastSquares(np.eye(d), target), G, case.x0, 1.0)
    assert report, str(report)
    x = report.gradient_flow.x
    assert x.shape == (101, *G.point_shape)
    assert np.all(G.space.belongs(x, atol=1e-8))
    gap = np.abs(np.asarray(G.space.projection(x)) - x).max()
    assert gap <= 1e-8, gap


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_carry_the_bracket(name):
    case = gf.catalog.noncommuting[name]()
    with pytest.raises(gf.NotCommutingError) as caught:
        gf.mirror_map(case.parametrization, case.x0)
    assert caught.value.defect > 1e-3 and caught.value.point.shape == case.parametrization.point_shape


def test_affine_invariant_gradients_commute_for_every_choice_and_bures_for_commuting_ones(rng):
    for n in (2, 3, 4):
        for _ in range(5):
            general, diagonal = symmetric(rng, 3, n), symmetric(rng, 3, n, commuting=True)
            x = points_of(SPDMatrices(n), 10, seed=n)
            bures = spd(n, SPDBuresWassersteinMetric)
            assert gf.Parametrization(traces(general), SPDMatrices(n), 3).check_commuting(x).defect < 1e-12
            assert gf.Parametrization(traces(diagonal), bures, 3).check_commuting(x).defect < 1e-12
            assert gf.Parametrization(traces(general), bures, 3).check_commuting(x).defect > 1e-3


@pytest.mark.parametrize("space", [SpecialOrthogonal(3), Stiefel(4, 3)], ids=["SO", "Stiefel"])
def test_measurements_of_frames_commute_exactly_where_the_products_are_symmetric(space, rng):
    """grad tr(A^T X) = A - X A^T X: they commute where A_i A_j^T and A_i^T A_j are symmetric."""
    n, p = space.shape
    x = points_of(space, 20)
    U, V = np.linalg.qr(rng.standard_normal((n, n)))[0], np.linalg.qr(rng.standard_normal((p, p)))[0]
    A = np.einsum("ik,dk,jk->dij", U[:, :p], rng.standard_normal((2, p)), V)
    assert gf.Parametrization(traces(A), space, 2).check_commuting(x).defect < 1e-12
    assert gf.Parametrization(traces(rng.standard_normal((2, n, p))), space, 2).check_commuting(x).defect > 1e-2


@pytest.mark.parametrize("name", CURVED)
def test_brackets_do_not_depend_on_the_extension_off_the_manifold(name, rng):
    """Adding to G what vanishes on M changes neither its gradients nor its brackets there."""
    case = gf.catalog.parametrizations[name]()
    G, x = case.parametrization, case.sample(5, rng)
    vanishing = {
        "Hypersphere": lambda y: anp.sum(y**2, -1) - 1,
        "Hyperboloid": lambda y: -(y[..., 0] ** 2) + anp.sum(y[..., 1:] ** 2, -1) + 1,
        "_SpecialOrthogonalMatrices": lambda y: anp.sum(y[..., 0, :] ** 2, -1) - 1,
        "Stiefel": lambda y: anp.sum(y[..., :, 0] ** 2, -1) - 1,
        "Grassmannian": lambda y: anp.sum(y * np.eye(y.shape[-1]), axis=(-1, -2)) - 2,
        "ProductManifold": lambda y: anp.sum(y[..., :2] ** 2, -1) - 1,
        "SPDMatrices": lambda y: y[..., 0, 1] - y[..., 1, 0],
    }.get(type(G.space).__name__)
    if vanishing is None:
        return  # an open set of R^D has no outside
    inner = G.kernel.value

    def shifted(y):
        bump = vanishing(y)[..., None]
        flat = anp.reshape(y, (*anp.shape(y)[: anp.ndim(y) - len(G.point_shape)], G.dim))
        return inner(flat) + bump * (1 + flat[..., : G.codomain_dim] + 3 * bump)

    other = gf.Parametrization(shifted, G.space, G.codomain_dim)
    assert np.allclose(other.gradients(x), G.gradients(x), atol=1e-11)
    assert np.allclose(other.brackets(x), G.brackets(x), atol=1e-10)
    assert gf.LieAlgebra(other.gradient_fields).dimension(x[0], depth=3) == G.codomain_dim


def test_shapes_of_matrix_points(rng):
    G = gf.Parametrization(traces(symmetric(rng)), SPDMatrices(3), 2)
    for batch in [(), (4,), (2, 3)]:
        x = points_of(SPDMatrices(3), 6)[: int(np.prod(batch))].reshape(*batch, 3, 3)
        assert G(x).shape == (*batch, 2) and G.gradients(x).shape == (*batch, 2, 3, 3)
        assert G.brackets(x).shape == (*batch, 2, 2, 3, 3) and G.cometric(x).shape == (*batch, 2, 2)
        assert np.allclose(G.gradient_fields[1](x), G.gradients(x)[..., 1, :, :])
    X, Y = G.gradient_fields
    assert np.abs(gf.lie_bracket(X, Y)(x)).max() < 1e-11 * np.abs(X(x)).max()
    assert gf.joint_flow(G, x[0, 0], 0.01 * np.ones((5, 2))).shape == (5, 3, 3)
    assert X.flow(x, 0.01).shape == x.shape
    with pytest.raises(gf.ShapeError, match=r"\[..., 3, 3\]"):
        G(np.eye(2))
    with pytest.raises(gf.NotOnManifoldError, match="SPDMatrices"):
        gf.gradient_flow(lambda w: anp.sum(w), G, -np.eye(3), 1.0)


def test_a_product_of_two_spaces_of_matrices(rng):
    space = ProductManifold([SPDMatrices(2), Stiefel(3, 2)])
    G = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 4]], axis=-1), space, 2)
    x = points_of(space, 3)
    assert G.require_points(x).shape == (3, 10) and G.check_commuting(x).defect < 1e-12
    with pytest.raises(gf.NotOnManifoldError):
        G.require_points(-x)
    assert gf.verify_equivalence(gf.LeastSquares(np.eye(2), G(x[0]) + 0.02), G, x[0], 1.0)


def test_a_users_level_set_and_immersed_set(rng):
    torus = Torus()
    G = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 2]], -1), torus, 2, name="cosines")
    x0 = np.array([0.6, 0.8, 1.2, 1.6])
    report = gf.verify_equivalence(gf.LeastSquares([[1.0, 0.5]], [0.4]), G, x0, 1.0)
    assert report and np.abs(torus.submersion(report.gradient_flow.x)).max() < 1e-9
    mixed = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 0] * x[..., 2]], -1), torus, 2)
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(mixed, x0)
    paraboloid = Graph(1.0, 1.0)
    radial = gf.Parametrization(lambda u: anp.sum(u**2, -1, keepdims=True), paraboloid, 1)
    u = rng.standard_normal((4, 2))
    J = gf.autodiff.jacobian(paraboloid.immersion)(u)
    gram = np.swapaxes(J, 1, 2) @ J
    assert np.allclose(radial.gradients(u)[:, 0], np.linalg.solve(gram, 2 * u[..., None])[..., 0], atol=1e-13)
    assert gf.mirror_map(radial, np.array([0.5, 0.7])).metric is not None
    # the coordinates of a cylinder have the Hessian metric diag(1 + u^2, 1), those of the paraboloid I + u u^T do not
    assert gf.Parametrization(lambda u: u, Graph(1.0, 0.0), 2).check_commuting(u)
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(gf.Parametrization(lambda u: u, paraboloid, 2), np.array([0.5, 0.7]))


def test_identity_of_a_hessian_manifold_commutes_for_every_potential(rng):
    for name, entry in gf.catalog.potentials.items():
        R = entry(entry.dims[0] if entry.dims else 2)
        G = gf.identity(R)
        w = R.domain.random_point(6, bound=0.5, rng=rng).reshape(-1, R.dim)
        assert G.check_commuting(w).defect < 1e-10, name
        assert np.allclose(G.cometric(w), R.metric.cometric_matrix(w), rtol=1e-9)


def test_a_metric_that_cannot_be_differentiated_is_refused():
    with pytest.raises(gf.ArgumentError, match="SPDLogEuclideanMetric"):
        gf.Parametrization(lambda X: X[..., 0, :1], spd(2, SPDLogEuclideanMetric), 1)


def test_a_flow_that_leaves_the_cone_stops_there():
    G = gf.Parametrization(lambda X: X[..., 0, :1], spd(2, SPDEuclideanMetric), 1)
    flow = gf.gradient_flow(lambda w: w[0], G, np.eye(2), 2.0)  # x_11 falls at rate 1 and is 0 at t = 1
    assert flow.status is gf.Status.LEFT_DOMAIN and abs(flow.t[-1] - 1) < 1e-3
    with pytest.raises(gf.DomainError, match="ends before"):
        gf.joint_flow(G, np.eye(2), [-2.0])
