"""Parametrizations on curved manifolds with their own metrics: matrices, hyperbolic planes, groups, products."""

from __future__ import annotations

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.grassmannian import Grassmannian
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.poincare_ball import PoincareBall
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.geometry.spd_matrices import SPDBuresWassersteinMetric, SPDEuclideanMetric, SPDMatrices
from geomstats.geometry.special_orthogonal import SpecialOrthogonal
from geomstats.geometry.stiefel import Stiefel

from geoflow._typing import Array, ArrayLike, Mask
from geoflow.catalog import functions  # noqa: F401  registers the potentials
from geoflow.catalog.quadratic import exponential_sum
from geoflow.catalog.registry import MODULO_FIBRES, Case, Entry, noncommuting, parametrizations, potentials
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow
from geoflow.metrics.identity_map import identity
from geoflow.numerics import exact
from geoflow.potentials.composition import product
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import ImplicitDomain, WholeSpace


def _case(G: Parametrization, x0: ArrayLike, dual: LegendreFunction | None = None, mu_bound: float = 0.3) -> Case:
    """A case whose sample points are those that flows from x0 reach: they are on the manifold, and on its leaf."""
    x0 = np.asarray(x0, dtype=float)

    def sample(n: int, rng: np.random.Generator) -> Array:
        points = joint_flow(G, x0, rng.uniform(-mu_bound, mu_bound, size=(n, G.codomain_dim)))
        return np.asarray(G.space.projection(points), dtype=float)

    return Case(G, x0, None, sample, dual=dual, mu_bound=mu_bound)


def _symmetric_matrices(d: int, n: int, commuting: bool) -> Array:
    """d fixed symmetric n x n matrices, with a common eigenbasis or without; shape=[d, n, n]."""
    rng = np.random.default_rng(5)
    if commuting:
        V = np.linalg.qr(rng.standard_normal((n, n)))[0]
        return np.einsum("ik,dk,jk->dij", V, 0.3 * rng.standard_normal((d, n)) + np.eye(d, n), V)
    A = 0.5 * rng.standard_normal((d, n, n))
    return A + np.swapaxes(A, 1, 2)


def _measurements(A: Array, space: Manifold, name: str) -> Parametrization:
    """tr(A_i^T X) on a manifold of matrices."""
    return Parametrization(
        lambda X: anp.einsum("dij,...ij->...d", A, X),
        space,
        len(A),
        jacobian=lambda X: np.broadcast_to(A, (*np.shape(X)[:-2], *A.shape)),
        name=name,
    )


def _size_for(d: int) -> int:
    """The smallest n with n (n + 1) / 2 > d, so that the symmetric matrices have room for d measurements and one."""
    return next(n for n in range(2, d + 3) if n * (n + 1) // 2 > d)


def _spd_start(n: int) -> Array:
    off = np.linspace(0.1, 0.3, n * n).reshape(n, n)
    return np.diag(np.linspace(0.8, 1.4, n)) + (off + off.T) / 4


# symmetric positive definite matrices -------------------------------------------------------------------------------


def log_det_dual(A: ArrayLike, X0: ArrayLike) -> LegendreFunction:
    """Q(mu) = -log det(X0^-1 - sum mu_i A_i) - log det X0: X^-1 moves on a straight line, whatever the A_i.

    A has shape=[d, n, n] and X0 shape=[n, n].
    """
    A, start = np.asarray(A, dtype=float), np.asarray(X0, dtype=float)
    inverse, root = np.linalg.inv(start), np.linalg.cholesky(start)
    moved = root.T @ A @ root

    def precision(mu: Array) -> Array:
        return inverse - anp.einsum("...d,dij->...ij", mu, A)

    def inside(mu: Array) -> Mask:
        return np.linalg.eigvalsh(precision(np.asarray(mu)))[..., 0] > 0

    def hessian(mu: Array) -> Array:
        XA = anp.matmul(anp.linalg.inv(precision(mu))[..., None, :, :], A)
        return anp.einsum("...aij,...bji->...ab", XA, XA)

    return LegendreFunction(
        lambda mu: -exact.log_det_one_plus(-anp.einsum("...d,dij->...ij", mu, moved)),
        ImplicitDomain(len(A), inside, np.zeros(len(A)), "{mu : X0^-1 - sum mu_i A_i > 0}"),
        gradient=lambda mu: anp.einsum("...ij,dij->...d", anp.linalg.inv(precision(mu)), A),
        hessian=hessian,
        name="Q of affine-invariant measurements",
    )


def _spd_affine(d: int) -> Case:
    n = _size_for(d)
    A, X0 = _symmetric_matrices(d, n, commuting=False), _spd_start(n)
    return _case(_measurements(A, SPDMatrices(n), "spd_affine"), X0, log_det_dual(A, X0), 0.05)


def _spd_bures(d: int) -> Case:
    """X' = 2 (A X + X A), so X = exp(2 A) X0 exp(2 A) for A = sum mu_i A_i, and Q = (tr exp(4 A) X0 - tr X0) / 4."""
    n = d + 1
    A, X0 = _symmetric_matrices(d, n, commuting=True), _spd_start(n)
    V = np.linalg.eigh(np.einsum("d,dij->ij", np.linspace(1, 2, d), A))[1]
    a = np.einsum("ik,dij,jk->dk", V, A, V)
    dual = exponential_sum(a, np.einsum("ik,ij,jk->k", V, X0, V), 4.0)
    return _case(
        _measurements(A, _with(SPDMatrices(n, equip=False), SPDBuresWassersteinMetric), "spd_bures"), X0, dual, 0.1
    )


def _spd_euclidean(d: int) -> Case:
    """A linear map of a flat space: w = w0 + <A_i, A_j> mu."""
    n = _size_for(d)
    A, X0 = _symmetric_matrices(d, n, commuting=False), _spd_start(n)
    gram, w0 = np.einsum("aij,bij->ab", A, A), np.einsum("dij,ij->d", A, X0)
    dual = LegendreFunction(
        lambda mu: anp.matmul(mu, w0) + anp.sum(anp.matmul(mu, gram) * mu, axis=-1) / 2,
        WholeSpace(d),
        gradient=lambda mu: w0 + anp.matmul(mu, gram),
        hessian=lambda mu: gram + 0 * mu[..., None],
        name="Q of linear measurements",
    )
    return _case(
        _measurements(A, _with(SPDMatrices(n, equip=False), SPDEuclideanMetric), "spd_euclidean"), X0, dual, 0.02
    )


def _with(space: Manifold, metric: type) -> Manifold:
    """A space that comes with `equip=False`, and a metric."""
    space.equip_with_metric(metric)
    return space


# rotations, frames and subspaces ------------------------------------------------------------------------------------


def riccati_dual(diagonals: ArrayLike, X0: ArrayLike) -> LegendreFunction:
    """Q(mu) = log det(cosh D + sinh D X0), D = diag(sum mu_i a_i), X0 cut to its first p rows.

    The flow X' = A - X A^T X of measurements tr(A_i^T X), A_i diagonal n x p, is X = Y Z^-1 with Y' = A Z, Z' = A^T Y.
    The diagonals a_i of the A_i have shape=[d, p], X0 has shape=[n, p].
    """
    a, start = np.asarray(diagonals, dtype=float), np.asarray(X0, dtype=float)
    top = start[: start.shape[1]]
    unit = np.eye(a.shape[1])

    def both(mu: Array) -> tuple[Array, Array]:
        s = anp.matmul(mu, a)[..., :, None]
        return anp.cosh(s) * unit + anp.sinh(s) * top, anp.sinh(s) * unit + anp.cosh(s) * top  # Z and the top of Y

    def value(mu: Array) -> Array:
        s = anp.matmul(mu, a)[..., :, None]
        return exact.log_det_one_plus(2 * anp.sinh(s / 2) ** 2 * unit + anp.sinh(s) * top)

    def gradient(mu: Array) -> Array:
        Z, Y = both(mu)
        return anp.einsum("...kk,dk->...d", anp.matmul(Y, anp.linalg.inv(Z)), a)

    def hessian(mu: Array) -> Array:
        Z, Y = both(mu)
        X = anp.matmul(Y, anp.linalg.inv(Z))
        # d X_kk / d s_l = delta_kl - X_kl X_lk
        return anp.einsum("...kl,ak,bl->...ab", unit - X * anp.swapaxes(X, -1, -2), a, a)

    return LegendreFunction(
        value,
        WholeSpace(len(a)),
        gradient=gradient,
        hessian=hessian,
        name="Q of diagonal measurements",
    )


def _rotation(n: int) -> Array:
    """A fixed rotation, by the Cayley transform, whose diagonal entries have independent derivatives."""
    K = np.triu(np.linspace(0.2, 0.6, n * n).reshape(n, n), 1)
    return np.linalg.solve(np.eye(n) + (K - K.T), np.eye(n) - (K - K.T))


def _diagonal(d: int, n: int, p: int) -> Array:
    """The matrices E_ii, i <= d, of shape [n, p]."""
    E = np.zeros((d, n, p))
    E[np.arange(d), np.arange(d), np.arange(d)] = 1
    return E


def _so_diagonal(d: int) -> Case:
    n, X0 = d + 1, _rotation(d + 1)
    G = _measurements(_diagonal(d, n, n), SpecialOrthogonal(n), "so_diagonal")
    return _case(G, X0, riccati_dual(np.eye(d, n), X0))


def _so_torus(d: int) -> Case:
    """Half traces of the 2 x 2 blocks: w_i = cos theta_i on the maximal torus, which is the leaf of its points."""
    angles = np.linspace(0.8, 1.6, d)
    X0 = np.zeros((2 * d, 2 * d))
    for i, t in enumerate(angles):
        X0[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]
    halves = np.kron(np.eye(d), [0.5, 0.5])
    G = _measurements(np.stack([np.diag(row) for row in halves]), SpecialOrthogonal(2 * d), "so_torus")
    return _case(G, X0, riccati_dual(halves, X0))


def _stiefel_diagonal(d: int) -> Case:
    n, X0 = d + 1, _rotation(d + 1)[:, :d]
    G = _measurements(_diagonal(d, n, d), Stiefel(n, d), "stiefel_diagonal")
    return _case(G, X0, riccati_dual(np.eye(d), X0))


def _grassmannian_diagonal(d: int) -> Case:
    """The range of P moves by X' = D X, D = diag(mu, 0), so Q = log det(X0^T exp(2 D) X0) / 2."""
    n, k = d + 2, 2
    X0, pad = _rotation(n)[:, :k], np.eye(d, n)

    def grown(mu: Array) -> Array:
        return anp.exp(2 * anp.matmul(mu, pad))[..., :, None] * X0

    def value(mu: Array) -> Array:
        changed = anp.expm1(2 * anp.matmul(mu, pad))[..., :, None] * X0  # X0^T X0 = I
        return exact.log_det_one_plus(anp.matmul(X0.T, changed)) / 2

    def gradient(mu: Array) -> Array:
        X = grown(mu)
        inverse = anp.linalg.inv(anp.matmul(X0.T, X))
        return anp.einsum("...ik,...kl,il->...i", X, inverse, X0)[..., :d]

    dual = LegendreFunction(
        value, WholeSpace(d), gradient=gradient,
        name="Q of diagonal entries of a projector",
    )  # fmt: skip
    G = _measurements(_diagonal(d, n, n), Grassmannian(n, k), "grassmannian_diagonal")
    return _case(G, X0 @ X0.T, dual)


# hyperbolic planes --------------------------------------------------------------------------------------------------


def _gaussian_chart(x: Array) -> Array:
    """Natural parameters of the normal family on the hyperboloid, whose curvature -1 is twice the Fisher metric's."""
    height = x[..., 0] - x[..., 1]
    return anp.stack([anp.sqrt(2.0) * x[..., 2] * height, -(height**2) / 2], axis=-1)


def _to_hyperboloid(y: Array) -> Array:
    """Poincare ball to hyperboloid, an isometry."""
    size = anp.sum(y**2, axis=-1, keepdims=True)
    return anp.concatenate([1 + size, 2 * y], axis=-1) / (1 - size)


def _hyperboloid_gaussian(d: int) -> Case:
    G = Parametrization(_gaussian_chart, Hyperboloid(2), 2, name="hyperboloid_gaussian")
    return _hyperbolic_case(G, np.array([np.sqrt(1.29), 0.2, 0.5]))


def _ball_gaussian(d: int) -> Case:
    G = Parametrization(lambda y: _gaussian_chart(_to_hyperboloid(y)), PoincareBall(2), 2, name="ball_gaussian")
    return _hyperbolic_case(G, np.array([0.1, 0.25]))


def _hyperbolic_case(G: Parametrization, x0: Array) -> Case:
    case = _case(G, x0, mu_bound=0.05)
    return replace(case, legendre=(0.5 * potentials["gaussian_log_partition"](2)).tilt(G(x0)))


# products, and Hessian manifolds themselves -------------------------------------------------------------------------


def _sphere_and_spd(d: int) -> Case:
    """x_1^2 on the circle and tr(A X) on SPD(2): R is the sum of the parts."""
    A, X0, angle = _symmetric_matrices(1, 2, commuting=False), _spd_start(2), 0.9
    weights = np.array([np.cos(angle) ** 2, np.sin(angle) ** 2])
    circle = LegendreFunction(
        lambda mu: anp.log1p(weights[0] * anp.expm1(4 * mu[..., 0])) / 4, WholeSpace(1), name="circle"
    )
    space = ProductManifold([Hypersphere(1), SPDMatrices(2)])

    def jacobian(x: Array) -> Array:
        rows = np.zeros((*x.shape[:-1], 2, 6))
        rows[..., 0, 0], rows[..., 1, 2:] = 2 * x[..., 0], A[0].ravel()
        return rows

    G = Parametrization(
        lambda x: anp.stack([x[..., 0] ** 2, anp.sum(A[0].ravel() * x[..., 2:], axis=-1)], axis=-1), space, 2, jacobian,
        name="sphere_and_spd",
    )  # fmt: skip
    x0 = np.concatenate([[np.cos(angle), np.sin(angle)], X0.ravel()])
    return _case(G, x0, product(circle, log_det_dual(A, X0)), 0.1)


def _hessian_identity(d: int) -> Case:
    R = potentials["logistic_regression"](d)
    w0 = R.domain.random_point(rng=0, bound=0.3)
    case = _case(identity(R, "hessian_identity"), w0, mu_bound=0.3)
    return replace(case, legendre=R.tilt(w0))


# what does not commute ----------------------------------------------------------------------------------------------


class HeisenbergMetric(RiemannianMetric):
    """The left-invariant metric of the Heisenberg group R^3 with orthonormal fields d_x, d_y + x d_z and d_z."""

    def metric_matrix(self, base_point: Array) -> Array:
        """g = dx^2 + dy^2 + (dz - x dy)^2, shape=[..., 3, 3]."""
        x = base_point[..., :1, None]
        linear = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
        return np.eye(3) + x * linear + x**2 * np.diag([0.0, 1.0, 0.0])


def _heisenberg(d: int) -> Case:
    space = _with(Euclidean(3, equip=False), HeisenbergMetric)
    return _case(Parametrization(lambda x: x[..., :2], space, 2, name="heisenberg"), [0.3, -0.2, 0.5])


def _neuron(d: int) -> Case:
    G = Parametrization(lambda x: x[..., :1] * x[..., 1:], d + 1, d, name="neuron")
    return _case(G, np.r_[0.9, np.linspace(0.5, 1.0, d)])


def _spd_bures_general(d: int) -> Case:
    A = _symmetric_matrices(d, 2, commuting=False)
    G = _measurements(A, _with(SPDMatrices(2, equip=False), SPDBuresWassersteinMetric), "spd_bures_general")
    return _case(G, _spd_start(2), mu_bound=0.1)


def _so_general(d: int) -> Case:
    A = np.random.default_rng(6).standard_normal((d, 3, 3))
    return _case(_measurements(A, SpecialOrthogonal(3), "so_general"), _rotation(3))


def _stiefel_rows(d: int) -> Case:
    G = Parametrization(lambda X: anp.sum(X**2, axis=-1)[..., :d], Stiefel(4, 2), d, name="stiefel_rows")
    return _case(G, _rotation(4)[:, :2])


def _hyperboloid_coordinates(d: int) -> Case:
    G = Parametrization(lambda x: x[..., 1:], Hyperboloid(2), 2, name="hyperboloid_coordinates")
    return _case(G, [np.sqrt(1.29), 0.2, 0.5])


def _ball_identity(d: int) -> Case:
    return _case(Parametrization(lambda x: x, PoincareBall(2), 2, name="ball_identity"), [0.1, 0.25])


for _name, _formula, _domain, _known, _build, _dims in [
    ("spd_affine", "tr(A_i X) on SPD, affine-invariant metric", "a spectrahedron's dual", "Q", _spd_affine, ()),
    ("spd_bures", "tr(A_i X) on SPD, Bures-Wasserstein, A_i commuting", "cone spanned by the spectra", "Q", _spd_bures,
     ()),
    ("spd_euclidean", "tr(A_i X) on SPD, Euclidean metric", "image of the cone", "Q", _spd_euclidean, ()),
    ("so_diagonal", "X_ii, i <= d, on SO(d + 1)", "inside [-1, 1]^d", "Q", _so_diagonal, (1, 2, 3)),
    ("so_torus", "half traces of 2 x 2 blocks on SO(2d)", "(-1, 1)^d", "Q", _so_torus, (1, 2, 3)),
    ("stiefel_diagonal", "X_ii on Stiefel(d + 1, d), canonical metric", "inside [-1, 1]^d", "Q", _stiefel_diagonal,
     (1, 2, 3)),
    ("grassmannian_diagonal", "P_ii, i <= d, on Gr(d + 2, 2)", "hypersimplex", "Q", _grassmannian_diagonal, (1, 2, 3)),
    ("hyperboloid_gaussian", "(sqrt(2) x_2 (x_0 - x_1), -(x_0 - x_1)^2 / 2) on the hyperboloid", "half plane",
     "R, grad R, hess R", _hyperboloid_gaussian, (2,)),
    ("ball_gaussian", "the same on the Poincare ball", "half plane", "R, grad R, hess R", _ball_gaussian, (2,)),
    ("sphere_and_spd", "(x_1^2, tr(A X)) on S^1 x SPD(2)", "interval x ray", "Q", _sphere_and_spd, (2,)),
    ("hessian_identity", "w on (dom R, hess R), R of logistic regression", "dom R", "R, grad R, hess R",
     _hessian_identity, ()),
]:  # fmt: skip
    parametrizations.add(Entry(_name, "manifold", _formula, _domain, _known, _build, dims=_dims))

for _name, _formula, _build, _d, _reason in [
    ("neuron", "a v", _neuron, 2, "one output weight for all: the cometric is conformal to a Hessian one"),
    ("heisenberg", "(x, y) on the Heisenberg group", _heisenberg, 2, "[grad G_1, grad G_2] = d/dz, vertical"),
    ("spd_bures_general", "tr(A_i X), Bures-Wasserstein", _spd_bures_general, 2, "the A_i do not commute"),
    ("so_general", "tr(A_i^T X) on SO(3)", _so_general, 2, "A_i A_j^T is not symmetric"),
    (
        "stiefel_rows",
        "squared norms of rows on Stiefel(4, 2)",
        _stiefel_rows,
        2,
        "the brackets rotate the columns, vertical",
    ),
    ("hyperboloid_coordinates", "(x_1, x_2) on the hyperboloid", _hyperboloid_coordinates, 2, "not Hessian in x"),
    ("ball_identity", "x on the Poincare ball", _ball_identity, 2, "a conformal metric that is not Hessian in x"),
]:
    _known = MODULO_FIBRES if _name in ("heisenberg", "stiefel_rows") else "refused"
    noncommuting.add(Entry(_name, "manifold", _formula, "-", _known, _build, dims=(_d,), reason=_reason))
