"""Riemannian gradients on curved manifolds: closed forms, linear solves, level sets and immersions."""

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
    SPDMatrices,
)
from geomstats.geometry.special_orthogonal import SpecialOrthogonal
from geomstats.geometry.stiefel import Stiefel

import geoflow as gf
from geoflow.maps.traced import FunctionKernel
from geoflow.spaces.gradients import (
    CometricMetric,
    as_space,
    belongs,
    by_linear_solve,
    membership,
    riemannian_gradient,
    seeded_points,
)
from geoflow.theorems import laws


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


def test_numbers_are_euclidean_spaces_and_anything_else_is_refused():
    assert isinstance(as_space(3), Euclidean) and as_space(3).dim == 3
    sphere = Hypersphere(2)
    assert as_space(sphere) is sphere
    for bad in (0, -1, True, 2.0, "R3", None):
        with pytest.raises(gf.ArgumentError, match="space"):
            as_space(bad)


def test_membership_is_asked_only_of_open_sets():
    assert membership(Euclidean(2)) is None and membership(Hypersphere(2)) is None
    X = np.array([np.eye(2), np.diag([1.0, -1.0]), np.diag([1e-3, 2.0])])
    assert membership(SPDMatrices(2))(X).tolist() == [True, False, True]
    assert membership(PoincareBall(2))(np.array([[0.1, 0.2], [0.9, 0.9]])).tolist() == [True, False]


def test_belonging_to_a_product_is_belonging_to_the_factors():
    space = ProductManifold([Hypersphere(1), SPDMatrices(2)])
    good, off, indefinite = [0.6, 0.8, 1, 0, 0, 1], [0.6, 0.9, 1, 0, 0, 1], [0.6, 0.8, 1, 0, 0, -1]
    assert belongs(space, np.array([good, off, indefinite], dtype=float)).tolist() == [True, False, False]
    assert belongs(Graph(1.0, 2.0), np.array([[3.0, 4.0], [np.nan, 0.0]])).tolist() == [True, False]


def test_seeded_points_leave_the_global_generator_alone():
    np.random.seed(5)
    wanted = np.random.uniform(size=3)
    np.random.seed(5)
    first = seeded_points(Hypersphere(2), 4)
    assert np.array_equal(np.random.uniform(size=3), wanted)
    assert first.shape == (4, 3) and np.array_equal(first, seeded_points(Hypersphere(2), 4))

    class Unsampled(Hypersphere):
        def random_point(self, n_samples=1, bound=1.0):
            raise NotImplementedError

    assert seeded_points(Unsampled(2), 4) is None


def test_an_immersion_in_a_curved_space_is_refused():
    class Curve(ImmersedSet):
        def __init__(self):
            super().__init__(dim=1)

        def _define_embedding_space(self):
            return Hypersphere(2)

        def immersion(self, point):
            return anp.concatenate([anp.cos(point), anp.sin(point), 0 * point], axis=-1)

    with pytest.raises(gf.ArgumentError, match="immersed in Hypersphere"):
        riemannian_gradient(Curve())


def test_a_metric_known_by_its_cometric(rng):
    space = gf.domains.Orthant(2)
    space.equip_with_metric(CometricMetric, cometric=lambda w: w[..., None] * np.eye(2))
    w, e = rng.uniform(0.5, 2, (3, 2)), rng.standard_normal((3, 4, 2))
    assert np.allclose(space.metric.metric_matrix(w), np.eye(2) / w[..., None], rtol=1e-14)
    assert np.allclose(riemannian_gradient(space)(e, w), e * w[:, None, :], rtol=1e-14)
    assert np.allclose(space.metric.inner_product(e[:, 0], e[:, 1], w), (e[:, 0] * e[:, 1] / w).sum(-1), rtol=1e-13)
    with pytest.raises(np.linalg.LinAlgError):
        space.metric.metric_matrix(np.zeros(2))


class ScaledTorus(Torus):
    """The torus in coordinates of any unit, with constraints multiplied by numbers."""

    def __init__(self, unit, factors):
        self.unit, self.factors = unit, np.asarray(factors)
        super().__init__()

    def submersion(self, point):
        return self.factors * super().submersion(point / self.unit)

    def tangent_submersion(self, vector, point):
        return self.factors * super().tangent_submersion(vector / self.unit, point / self.unit)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("factors", [(1.0, 1.0), (1e6, 1e-6), (1e-6, 1e6)])
def test_each_constraint_is_judged_in_its_own_scale(unit, factors):
    x = np.array([[0.6, 0.8, 0.0, 2.0], [0.6, 0.8 + 1e-6, 0.0, 2.0], [0.6, 0.8, 0.0, 2.0 + 1e-6]])
    x[0] += [1e-10, 0, 1e-10, 0]
    assert belongs(ScaledTorus(unit, factors), x * unit).tolist() == [True, False, False]
