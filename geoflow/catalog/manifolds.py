"""Parametrizations on curved manifolds with their own metrics: matrices, hyperbolic planes, groups, products."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import autograd.numpy as np
import numpy as onp
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.grassmannian import Grassmannian
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.poincare_ball import PoincareBall
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.geometry.spd_matrices import SPDBuresWassersteinMetric, SPDEuclideanMetric, SPDMatrices
from geomstats.geometry.special_orthogonal import SpecialOrthogonal
from geomstats.geometry.stiefel import Stiefel

from geoflow.catalog.potentials import potentials
from geoflow.catalog.quadratic import exponential_sum
from geoflow.catalog.registry import Case, Entry, noncommuting, parametrizations
from geoflow.composition import product
from geoflow.domains import Region, WholeSpace
from geoflow.fields import joint_flow
from geoflow.legendre import LegendreFunction
from geoflow.maps import identity
from geoflow.parametrization import Parametrization


def _case(G: Parametrization, x0: Any, dual: LegendreFunction | None = None, mu_bound: float = 0.3) -> Case:
    """A case whose sample points are those that flows from x0 reach: they are on the manifold, and on its leaf."""
    x0 = onp.asarray(x0, dtype=float)

    def sample(n: int, rng: onp.random.Generator) -> onp.ndarray:
        points = joint_flow(G, x0, rng.uniform(-mu_bound, mu_bound, size=(n, G.codomain_dim)))
        return onp.asarray(G.space.projection(points), dtype=float)

    return Case(G, x0, None, sample, dual=dual, mu_bound=mu_bound)


def _symmetric_matrices(d: int, n: int, commuting: bool) -> onp.ndarray:
    """d fixed symmetric n x n matrices, with a common eigenbasis or without; shape=[d, n, n]."""
    rng = onp.random.default_rng(5)
    if commuting:
        V = onp.linalg.qr(rng.standard_normal((n, n)))[0]
        return onp.einsum("ik,dk,jk->dij", V, 0.3 * rng.standard_normal((d, n)) + onp.eye(d, n), V)
    A = 0.5 * rng.standard_normal((d, n, n))
    return A + onp.swapaxes(A, 1, 2)


def _measurements(A: onp.ndarray, space: Any, name: str) -> Parametrization:
    """tr(A_i^T X) on a manifold of matrices."""
    return Parametrization(
        lambda X: np.einsum("dij,...ij->...d", A, X),
        space,
        len(A),
        jacobian=lambda X: onp.broadcast_to(A, (*onp.shape(X)[:-2], *A.shape)),
        name=name,
    )


def _size_for(d: int) -> int:
    """The smallest n with n (n + 1) / 2 > d, so that the symmetric matrices have room for d measurements and one."""
    return next(n for n in range(2, d + 3) if n * (n + 1) // 2 > d)


def _spd_start(n: int) -> onp.ndarray:
    off = onp.linspace(0.1, 0.3, n * n).reshape(n, n)
    return onp.diag(onp.linspace(0.8, 1.4, n)) + (off + off.T) / 4


# symmetric positive definite matrices -------------------------------------------------------------------------------


def log_det_dual(A: Any, X0: Any) -> LegendreFunction:
    """Q(mu) = -log det(X0^-1 - sum mu_i A_i) - log det X0: X^-1 moves on a straight line, whatever the A_i.

    Parameters
    ----------
    A : array-like, shape=[d, n, n]
    X0 : array-like, shape=[n, n]
    """
    A, inverse = onp.asarray(A, dtype=float), onp.linalg.inv(X0)

    def precision(mu: Any) -> Any:
        return inverse - np.einsum("...d,dij->...ij", mu, A)

    def inside(mu: Any) -> onp.ndarray:
        return onp.linalg.eigvalsh(precision(onp.asarray(mu)))[..., 0] > 0

    def hessian(mu: Any) -> Any:
        XA = np.matmul(np.linalg.inv(precision(mu))[..., None, :, :], A)
        return np.einsum("...aij,...bji->...ab", XA, XA)

    offset = onp.linalg.slogdet(X0)[1]
    return LegendreFunction(
        lambda mu: -np.linalg.slogdet(precision(mu))[1] - offset,
        Region(len(A), inside, onp.zeros(len(A)), "{mu : X0^-1 - sum mu_i A_i > 0}"),
        gradient=lambda mu: np.einsum("...ij,dij->...d", np.linalg.inv(precision(mu)), A),
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
    V = onp.linalg.eigh(onp.einsum("d,dij->ij", onp.linspace(1, 2, d), A))[1]
    a = onp.einsum("ik,dij,jk->dk", V, A, V)
    dual = exponential_sum(a, onp.einsum("ik,ij,jk->k", V, X0, V), 4.0)
    return _case(_measurements(A, _spd(n, SPDBuresWassersteinMetric), "spd_bures"), X0, dual, 0.1)


def _spd_euclidean(d: int) -> Case:
    """A linear map of a flat space: w = w0 + <A_i, A_j> mu."""
    n = _size_for(d)
    A, X0 = _symmetric_matrices(d, n, commuting=False), _spd_start(n)
    gram, w0 = onp.einsum("aij,bij->ab", A, A), onp.einsum("dij,ij->d", A, X0)
    dual = LegendreFunction(
        lambda mu: np.matmul(mu, w0) + np.sum(np.matmul(mu, gram) * mu, axis=-1) / 2,
        WholeSpace(d),
        gradient=lambda mu: w0 + np.matmul(mu, gram),
        hessian=lambda mu: gram + 0 * mu[..., None],
        name="Q of linear measurements",
    )
    return _case(_measurements(A, _spd(n, SPDEuclideanMetric), "spd_euclidean"), X0, dual, 0.02)


def _spd(n: int, metric: type) -> SPDMatrices:
    space = SPDMatrices(n, equip=False)
    space.equip_with_metric(metric)
    return space


# rotations, frames and subspaces ------------------------------------------------------------------------------------


def riccati_dual(diagonals: Any, X0: Any) -> LegendreFunction:
    """Q(mu) = log det(cosh D + sinh D X0), D = diag(sum mu_i a_i), X0 cut to its first p rows.

    The flow X' = A - X A^T X of measurements tr(A_i^T X), A_i diagonal n x p, is X = Y Z^-1 with Y' = A Z, Z' = A^T Y.

    Parameters
    ----------
    diagonals : array-like, shape=[d, p]
        The diagonals a_i of the A_i.
    X0 : array-like, shape=[n, p]
    """
    a, top = onp.asarray(diagonals, dtype=float), onp.asarray(X0, dtype=float)[: len(X0[0])]
    unit = onp.eye(a.shape[1])

    def both(mu: Any) -> tuple[Any, Any]:
        s = np.matmul(mu, a)[..., :, None]
        return np.cosh(s) * unit + np.sinh(s) * top, np.sinh(s) * unit + np.cosh(s) * top  # Z and the top of Y

    def gradient(mu: Any) -> Any:
        Z, Y = both(mu)
        return np.einsum("...kk,dk->...d", np.matmul(Y, np.linalg.inv(Z)), a)

    def hessian(mu: Any) -> Any:
        Z, Y = both(mu)
        X = np.matmul(Y, np.linalg.inv(Z))
        # d X_kk / d s_l = delta_kl - X_kl X_lk
        return np.einsum("...kl,ak,bl->...ab", unit - X * np.swapaxes(X, -1, -2), a, a)

    return LegendreFunction(
        lambda mu: np.linalg.slogdet(both(mu)[0])[1],
        WholeSpace(len(a)),
        gradient=gradient,
        hessian=hessian,
        name="Q of diagonal measurements",
    )


def _rotation(n: int) -> onp.ndarray:
    """A fixed rotation, by the Cayley transform, whose diagonal entries have independent derivatives."""
    K = onp.triu(onp.linspace(0.2, 0.6, n * n).reshape(n, n), 1)
    return onp.linalg.solve(onp.eye(n) + (K - K.T), onp.eye(n) - (K - K.T))


def _diagonal(d: int, n: int, p: int) -> onp.ndarray:
    """The matrices E_ii, i <= d, of shape [n, p]."""
    E = onp.zeros((d, n, p))
    E[onp.arange(d), onp.arange(d), onp.arange(d)] = 1
    return E


def _so_diagonal(d: int) -> Case:
    n, X0 = d + 1, _rotation(d + 1)
    G = _measurements(_diagonal(d, n, n), SpecialOrthogonal(n), "so_diagonal")
    return _case(G, X0, riccati_dual(onp.eye(d, n), X0))


def _so_torus(d: int) -> Case:
    """Half traces of the 2 x 2 blocks: w_i = cos theta_i on the maximal torus, which is the leaf of its points."""
    angles = onp.linspace(0.8, 1.6, d)
    X0 = onp.zeros((2 * d, 2 * d))
    for i, t in enumerate(angles):
        X0[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[onp.cos(t), -onp.sin(t)], [onp.sin(t), onp.cos(t)]]
    halves = onp.kron(onp.eye(d), [0.5, 0.5])

    blocks = onp.stack([onp.diag(row) for row in halves])
    G = _measurements(blocks, SpecialOrthogonal(2 * d), "so_torus")
    return _case(G, X0, riccati_dual(halves, X0))


def _stiefel_diagonal(d: int) -> Case:
    n, X0 = d + 1, _rotation(d + 1)[:, :d]
    G = _measurements(_diagonal(d, n, d), Stiefel(n, d), "stiefel_diagonal")
    return _case(G, X0, riccati_dual(onp.eye(d), X0))


def _grassmannian_diagonal(d: int) -> Case:
    """The range of P moves by X' = D X, D = diag(mu, 0), so Q = log det(X0^T exp(2 D) X0) / 2."""
    n, k = d + 2, 2
    X0, pad = _rotation(n)[:, :k], onp.eye(d, n)

    def grown(mu: Any) -> Any:
        return np.exp(2 * np.matmul(mu, pad))[..., :, None] * X0

    def gradient(mu: Any) -> Any:
        X = grown(mu)
        inverse = np.linalg.inv(np.matmul(X0.T, X))
        return np.einsum("...ik,...kl,il->...i", X, inverse, X0)[..., :d]

    dual = LegendreFunction(
        lambda mu: np.linalg.slogdet(np.matmul(X0.T, grown(mu)))[1] / 2, WholeSpace(d), gradient=gradient,
        name="Q of diagonal entries of a projector",
    )  # fmt: skip
    G = _measurements(_diagonal(d, n, n), Grassmannian(n, k), "grassmannian_diagonal")
    return _case(G, X0 @ X0.T, dual)


# hyperbolic planes --------------------------------------------------------------------------------------------------


def tilted(R: LegendreFunction, w0: Any, factor: float = 1.0) -> LegendreFunction:
    """factor D_R(w, w0): R up to scale and an affine function, with value and gradient 0 at w0."""
    w0 = onp.asarray(w0, dtype=float)
    r0, g0 = R(w0), R.gradient(w0)
    return LegendreFunction(
        lambda w: factor * (R.potential(w) - r0 - np.matmul(w - w0, g0)),
        R.domain,
        gradient=lambda w: factor * (R._gradient(w) - g0),
        hessian=lambda w: factor * R._hessian(w),
        third_derivative=lambda w: factor * R._third(w),
        name=f"{R.name} tilted at w0",
    )


def _gaussian_chart(x: Any) -> Any:
    """Natural parameters of the normal family on the hyperboloid, whose curvature -1 is twice the Fisher metric's."""
    height = x[..., 0] - x[..., 1]
    return np.stack([np.sqrt(2.0) * x[..., 2] * height, -(height**2) / 2], axis=-1)


def _to_hyperboloid(y: Any) -> Any:
    """Poincare ball to hyperboloid, an isometry."""
    size = np.sum(y**2, axis=-1, keepdims=True)
    return np.concatenate([1 + size, 2 * y], axis=-1) / (1 - size)


def _hyperboloid_gaussian(d: int) -> Case:
    x0 = onp.array([onp.sqrt(1.29), 0.2, 0.5])
    G = Parametrization(_gaussian_chart, Hyperboloid(2), 2, name="hyperboloid_gaussian")
    return _hyperbolic_case(G, x0)


def _ball_gaussian(d: int) -> Case:
    G = Parametrization(lambda y: _gaussian_chart(_to_hyperboloid(y)), PoincareBall(2), 2, name="ball_gaussian")
    return _hyperbolic_case(G, onp.array([0.1, 0.25]))


def _hyperbolic_case(G: Parametrization, x0: onp.ndarray) -> Case:
    case = _case(G, x0, mu_bound=0.05)
    return replace(case, legendre=tilted(potentials["gaussian_log_partition"](2), G(x0), 0.5))


# products, and Hessian manifolds themselves -------------------------------------------------------------------------


def _sphere_and_spd(d: int) -> Case:
    """x_1^2 on the circle and tr(A X) on SPD(2): R is the sum of the parts."""
    A, X0, angle = _symmetric_matrices(1, 2, commuting=False), _spd_start(2), 0.9
    weights = onp.array([onp.cos(angle) ** 2, onp.sin(angle) ** 2])
    circle = LegendreFunction(
        lambda mu: np.log(weights[0] * np.exp(4 * mu[..., 0]) + weights[1]) / 4, WholeSpace(1), name="circle"
    )
    space = ProductManifold([Hypersphere(1), SPDMatrices(2)])

    def jacobian(x: onp.ndarray) -> onp.ndarray:
        rows = onp.zeros((*x.shape[:-1], 2, 6))
        rows[..., 0, 0], rows[..., 1, 2:] = 2 * x[..., 0], A[0].ravel()
        return rows

    G = Parametrization(
        lambda x: np.stack([x[..., 0] ** 2, np.sum(A[0].ravel() * x[..., 2:], axis=-1)], axis=-1), space, 2, jacobian,
        name="sphere_and_spd",
    )  # fmt: skip
    x0 = onp.concatenate([[onp.cos(angle), onp.sin(angle)], X0.ravel()])
    return _case(G, x0, product(circle, log_det_dual(A, X0)), 0.1)


def _hessian_identity(d: int) -> Case:
    R = potentials["logistic_regression"](d)
    w0 = R.domain.random_point(rng=0, bound=0.3)
    case = _case(identity(R, "hessian_identity"), w0, mu_bound=0.3)
    return replace(case, legendre=tilted(R, w0))


# what does not commute ----------------------------------------------------------------------------------------------


class HeisenbergMetric(RiemannianMetric):
    """The left-invariant metric of the Heisenberg group R^3 with orthonormal fields d_x, d_y + x d_z and d_z."""

    def metric_matrix(self, base_point: Any = None) -> Any:
        """g = dx^2 + dy^2 + (dz - x dy)^2, shape=[..., 3, 3]."""
        x = base_point[..., 0]
        one, zero = np.ones(np.shape(x)), np.zeros(np.shape(x))
        rows = [[one, zero, zero], [zero, 1 + x**2, -x], [zero, -x, one]]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _heisenberg(d: int) -> Case:
    space = Euclidean(3, equip=False)
    space.equip_with_metric(HeisenbergMetric)
    return _case(Parametrization(lambda x: x[..., :2], space, 2, name="heisenberg"), [0.3, -0.2, 0.5])


def _neuron(d: int) -> Case:
    G = Parametrization(lambda x: x[..., :1] * x[..., 1:], d + 1, d, name="neuron")
    return _case(G, onp.r_[0.9, onp.linspace(0.5, 1.0, d)])


def _spd_bures_general(d: int) -> Case:
    A = _symmetric_matrices(d, 2, commuting=False)
    G = _measurements(A, _spd(2, SPDBuresWassersteinMetric), "spd_bures_general")
    return _case(G, _spd_start(2), mu_bound=0.1)


def _so_general(d: int) -> Case:
    A = onp.random.default_rng(6).standard_normal((d, 3, 3))
    return _case(_measurements(A, SpecialOrthogonal(3), "so_general"), _rotation(3))


def _stiefel_rows(d: int) -> Case:
    G = Parametrization(lambda X: np.sum(X**2, axis=-1)[..., :d], Stiefel(4, 2), d, name="stiefel_rows")
    return _case(G, _rotation(4)[:, :2])


def _hyperboloid_coordinates(d: int) -> Case:
    G = Parametrization(lambda x: x[..., 1:], Hyperboloid(2), 2, name="hyperboloid_coordinates")
    return _case(G, [onp.sqrt(1.29), 0.2, 0.5])


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
        "the brackets rotate the columns",
    ),
    ("hyperboloid_coordinates", "(x_1, x_2) on the hyperboloid", _hyperboloid_coordinates, 2, "not Hessian in x"),
    ("ball_identity", "x on the Poincare ball", _ball_identity, 2, "a conformal metric that is not Hessian in x"),
]:
    noncommuting.add(Entry(_name, "manifold", _formula, "-", "refused", _build, dims=(_d,), reason=_reason))
