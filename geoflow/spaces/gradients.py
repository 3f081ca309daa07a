"""Riemannian gradients on geomstats manifolds, differentiable and for points of any shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.base import ImmersedSet, LevelSet, VectorSpaceOpenSet
from geomstats.geometry.euclidean import Euclidean, EuclideanMetric
from geomstats.geometry.grassmannian import Grassmannian, GrassmannianCanonicalMetric
from geomstats.geometry.hyperboloid import Hyperboloid, HyperboloidMetric
from geomstats.geometry.hypersphere import Hypersphere, HypersphereMetric
from geomstats.geometry.invariant_metric import BiInvariantMetric
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.product_manifold import ProductManifold, ProductRiemannianMetric
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.geometry.spd_matrices import SPDAffineMetric, SPDBuresWassersteinMetric, SPDMatrices
from geomstats.geometry.stiefel import Stiefel, StiefelCanonicalMetric

from geoflow._typing import Array, ArrayLike, Map, Mask
from geoflow._validate import as_count
from geoflow.errors import ArgumentError
from geoflow.numerics import autodiff
from geoflow.numerics.batches import consecutive

#: (Euclidean derivatives, shape=[..., d, D]; points, shape=[..., D]) to Riemannian gradients, shape=[..., d, D]
Gradient = Callable[[Array, Array], Array]


def as_space(space: Any) -> Manifold:
    """A geomstats manifold as given; an int D means R^D."""
    if isinstance(space, (int, np.integer)) and not isinstance(space, bool):
        if space < 1:
            raise ArgumentError("space", got=repr(space), wanted="an integer D >= 1 (for R^D), or a geomstats manifold")
        return Euclidean(as_count(space, "space"), equip=False)
    if not all(hasattr(space, name) for name in ("shape", "belongs", "to_tangent", "dim")):
        raise ArgumentError("space", got=type(space).__name__, wanted="an int D (for R^D), or a geomstats manifold")
    return space


def riemannian_gradient(space: Manifold) -> Gradient:
    """The map from Euclidean derivatives to gradients for the manifold's own metric, on flattened points.

    Without a metric (`equip=False`) it is the metric that the manifold inherits from its ambient space. Closed forms:
    Euclidean, spheres, hyperboloids, affine-invariant and Bures-Wasserstein SPD matrices, Stiefel with the canonical
    and rotation matrices with the bi-invariant metric, Grassmannians, immersed sets, blocks of products; anything else
    by one linear solve with the manifold's `to_tangent` and its metric's `inner_product`.
    """
    metric: Any = getattr(space, "metric", None)
    if isinstance(space, ProductManifold) and (metric is None or type(metric) is ProductRiemannianMetric):
        return _product(space)
    if isinstance(space, ImmersedSet):
        return _immersed(space)
    if is_flat(space):
        return lambda e, x: e
    if isinstance(space, Hypersphere) and (metric is None or type(metric) is HypersphereMetric):
        return _sphere
    if isinstance(space, Hyperboloid) and len(space.shape) == 1 and type(metric) is HyperboloidMetric:
        return _hyperboloid
    if isinstance(space, SPDMatrices) and type(metric) is SPDAffineMetric:
        return _of_matrices(_affine_invariant, space, symmetric=True)
    if isinstance(space, SPDMatrices) and type(metric) is SPDBuresWassersteinMetric:
        return _of_matrices(_bures_wasserstein, space, symmetric=True)
    rotations = type(metric) is BiInvariantMetric and len(space.shape) == 2
    if rotations or (isinstance(space, Stiefel) and type(metric) is StiefelCanonicalMetric):
        return _of_matrices(_riccati, space, symmetric=False)
    if isinstance(space, Grassmannian) and type(metric) is GrassmannianCanonicalMetric:
        return _of_matrices(_grassmannian, space, symmetric=True)
    if isinstance(space, VectorSpaceOpenSet) and len(space.shape) == 1 and hasattr(metric, "cometric_matrix"):
        return lambda e, x: anp.einsum("...DE,...dE->...dD", metric.cometric_matrix(x), e)
    return by_linear_solve(space, metric)


def is_flat(space: Manifold) -> bool:
    """Whether gradients are the Euclidean derivatives: R^D with its own metric."""
    metric = getattr(space, "metric", None)
    return isinstance(space, Euclidean) and (metric is None or type(metric) is EuclideanMetric)


def membership(space: Manifold) -> Callable[[Array], Mask] | None:
    """Whether finite points, shape=[N, ...], are inside an open set of a vector space; None where no flow can leave."""
    if not isinstance(space, VectorSpaceOpenSet) or isinstance(space, Euclidean):
        return None
    if isinstance(space, SPDMatrices):  # geomstats factorises one matrix at a time
        return lambda X: np.linalg.eigvalsh((X + np.swapaxes(X, -1, -2)) / 2)[:, 0] > 0
    return lambda x: np.asarray(space.belongs(x, atol=1e-8))


def belongs(space: Manifold, x: Array, atol: float = 1e-8) -> Mask:
    """Whether flat points are on the manifold, shape=[N, D] to shape=[N]; products by their factors."""
    if isinstance(space, ImmersedSet):  # points are coordinates of an immersion
        return np.asarray(np.isfinite(x).all(axis=-1))
    if isinstance(space, ProductManifold):
        parts = zip(space.factors, _blocks(space), strict=True)
        return np.logical_and.reduce([belongs(factor, x[:, block], atol) for factor, block in parts])
    if _has_constraints(space):
        inside = np.asarray(space.embedding_space.belongs(x.reshape(-1, *space.shape), atol=atol)).reshape(len(x))
        return inside & _meets_constraints(space, x, atol)
    return np.asarray(space.belongs(x.reshape(-1, *space.shape), atol=atol)).reshape(len(x))


def _has_constraints(space: Manifold) -> bool:
    """Whether it is a user's level set whose derivative is given; those of geomstats have unit scale."""
    own, base = type(space), LevelSet
    if not isinstance(space, base) or own.belongs is not base.belongs or own.__module__.startswith("geomstats."):
        return False
    return own.tangent_submersion is not base.tangent_submersion


def _meets_constraints(space: LevelSet, x: Array, atol: float) -> Mask:
    """Whether each constraint is 0 to `atol` of |dF_i| |x| / 2, its own scale, which is 1 for the unit sphere."""
    shape, D = tuple(space.shape), x.shape[-1]
    points, units = (np.tile(a, n).reshape(-1, *shape) for a, n in ((x, (1, D)), (np.eye(D), (len(x), 1))))
    with np.errstate(all="ignore"):
        F = np.asarray(space.submersion(x.reshape(-1, *shape)), dtype=float).reshape(len(x), -1)
        slopes = np.asarray(space.tangent_submersion(units, points), dtype=float).reshape(len(x), D, -1)
        length = np.linalg.norm(x, axis=-1)
        scale = np.linalg.norm(slopes, axis=1) * np.where(length > 0, length, 1.0)[:, None] / 2
        return np.asarray((np.abs(F) <= atol * scale).all(axis=-1))


def seeded_points(space: Manifold, n: int) -> Array | None:
    """Points of the space from a fixed seed, shape=[n, *space.shape]; None where it cannot sample."""
    state = np.random.get_state()  # geomstats draws from numpy's global generator: leave it as it was
    try:
        np.random.seed(0)
        points = np.asarray(space.random_point(n), dtype=float)
    except Exception:
        return None
    finally:
        np.random.set_state(state)
    return points if points.shape == (n, *space.shape) else None


def _blocks(space: ProductManifold) -> list[slice]:
    """The factors' places in a flattened point of the product."""
    return consecutive([int(np.prod(factor.shape)) for factor in space.factors])


def _sphere(e: Array, x: Array) -> Array:
    """The projection of e to the orthogonal complement of x."""
    along = anp.sum(e * x[..., None, :], axis=-1, keepdims=True) / anp.sum(x**2, axis=-1)[..., None, None]
    return e - along * x[..., None, :]


def _hyperboloid(e: Array, x: Array) -> Array:
    """The Minkowski projection of J e, J = diag(-1, 1, ..., 1), to the complement of x."""
    signs = np.r_[-1.0, np.ones(anp.shape(x)[-1] - 1)]
    u = e * signs
    along = anp.sum(e * x[..., None, :], axis=-1, keepdims=True) / anp.sum(signs * x**2, axis=-1)[..., None, None]
    return u - along * x[..., None, :]


def _of_matrices(formula: Gradient, space: Manifold, symmetric: bool) -> Gradient:
    """A formula of the derivatives, or of their symmetric part, and the points, as matrices of a batch."""

    def gradient(e: Array, x: Array) -> Array:
        E = anp.reshape(e, (*anp.shape(e)[:-1], *space.shape))
        E = (E + anp.swapaxes(E, -1, -2)) / 2 if symmetric else E
        return anp.reshape(formula(E, anp.reshape(x, (*anp.shape(x)[:-1], 1, *space.shape))), anp.shape(e))

    return gradient


def _affine_invariant(E: Array, X: Array) -> Array:
    """<U, V> = tr(X^-1 U X^-1 V), so the gradient is X E X."""
    return anp.matmul(anp.matmul(X, E), X)


def _bures_wasserstein(E: Array, X: Array) -> Array:
    """geomstats' metric is tr(L_X(U) V) / 2 with X L + L X = U, so the gradient is 2 (E X + X E)."""
    return 2 * (anp.matmul(X, E) + anp.matmul(E, X))


def _riccati(E: Array, X: Array) -> Array:
    """Canonical metric tr(U^T (I - X X^T / 2) V) of a Stiefel manifold, tr(U^T V) / 2 on SO(n): E - X E^T X."""
    return E - anp.matmul(X, anp.matmul(anp.swapaxes(E, -1, -2), X))


def _grassmannian(E: Array, P: Array) -> Array:
    """Projectors P with the metric tr(U V): (I - P) E P + P E (I - P) = E P + P E - 2 P E P."""
    half = anp.matmul(E, P) - anp.matmul(P, anp.matmul(E, P))
    return half + anp.swapaxes(half, -1, -2)


def _immersed(space: ImmersedSet) -> Gradient:
    """Coordinates of an immersion f with the pulled-back metric df^T df."""
    flat = len(space.embedding_space.shape) == 1
    inner = None if isinstance(space.embedding_space, Euclidean) else getattr(space.embedding_space, "metric", None)
    if not flat or inner is not None:
        raise ArgumentError(
            "space",
            got=f"{type(space).__name__}, immersed in {type(space.embedding_space).__name__}",
            wanted="an immersion in Euclidean R^m",
            remedy="give a LevelSet, or compose the immersion with the metric of its ambient space",
        )
    jacobian = autodiff.jacobian(space.immersion)

    def gradient(e: Array, x: Array) -> Array:
        J = jacobian(x)
        gram = anp.matmul(anp.swapaxes(J, -1, -2), J)
        return anp.swapaxes(anp.linalg.solve(gram, anp.swapaxes(e, -1, -2)), -1, -2)

    return gradient


def _product(space: ProductManifold) -> Gradient:
    """Every factor on its own block of the flattened point."""
    parts = list(zip([riemannian_gradient(factor) for factor in space.factors], _blocks(space), strict=True))

    def gradient(e: Array, x: Array) -> Array:
        return anp.concatenate([part(e[..., block], x[..., block]) for part, block in parts], axis=-1)

    return gradient


def by_linear_solve(space: Manifold, metric: Any) -> Gradient:
    """Solve (P^T g P + (I - P)^T (I - P)) X = P^T e, P the tangent projection, orthogonal or not, and g the metric.

    On tangent v it says g(v, P X) = e.v, and on the kernel of P that (I - P) X = 0.
    """
    shape, D = tuple(space.shape), int(np.prod(space.shape))
    units = np.eye(D)

    def gradient(e: Array, x: Array) -> Array:
        flat = anp.reshape(x, (-1, D))
        N = len(flat)
        # geomstats' products and matrix spaces take one batch axis: a point for every pair of unit vectors
        points = anp.reshape(flat[:, None, :] + np.zeros((D, 1)), (N * D, *shape))
        vectors = anp.reshape(np.tile(units, (N, 1)), (N * D, *shape))
        columns = anp.reshape(space.to_tangent(vectors, points), (N, D, D))  # the row a is P e_a
        P = anp.swapaxes(columns, 1, 2)
        if metric is None:
            inner = anp.matmul(columns, P)
        else:
            pairs = (N * D * D, *shape)
            one = anp.reshape(columns[:, :, None, :] + np.zeros((D, 1)), pairs)
            other = anp.reshape(columns[:, None, :, :] + np.zeros((D, 1, 1)), pairs)
            base = anp.reshape(flat[:, None, :] + np.zeros((D * D, 1)), pairs)
            inner = anp.reshape(metric.inner_product(one, other, base), (N, D, D))
        normal = units - P
        system = inner + anp.matmul(anp.swapaxes(normal, 1, 2), normal)
        right = anp.matmul(columns, anp.swapaxes(anp.reshape(e, (N, -1, D)), 1, 2))
        return anp.reshape(anp.swapaxes(anp.linalg.solve(system, right), 1, 2), anp.shape(e))

    return gradient


class CometricMetric(RiemannianMetric):
    """The metric C(w)^{-1} on a space of vectors; `cometric` takes w of shape=[..., d] to C(w) of shape=[..., d, d]."""

    def __init__(self, space: Any, cometric: Map):
        super().__init__(space=space)
        self._cometric = cometric

    def cometric_matrix(self, base_point: ArrayLike) -> Array:
        """C(w), shape=[..., d, d]."""
        return self._cometric(np.asarray(base_point, dtype=float))

    def metric_matrix(self, base_point: ArrayLike) -> Array:
        """C(w)^{-1}, shape=[..., d, d]."""
        return np.linalg.inv(self.cometric_matrix(base_point))
