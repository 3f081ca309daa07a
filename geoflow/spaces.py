"""Riemannian gradients on geomstats manifolds, differentiable and for points of any shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp
from geomstats.geometry.base import ImmersedSet, VectorSpaceOpenSet
from geomstats.geometry.euclidean import Euclidean, EuclideanMetric
from geomstats.geometry.grassmannian import Grassmannian, GrassmannianCanonicalMetric
from geomstats.geometry.hyperboloid import Hyperboloid, HyperboloidMetric
from geomstats.geometry.hypersphere import Hypersphere, HypersphereMetric
from geomstats.geometry.invariant_metric import BiInvariantMetric
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.product_manifold import ProductManifold, ProductRiemannianMetric
from geomstats.geometry.spd_matrices import SPDAffineMetric, SPDBuresWassersteinMetric, SPDMatrices
from geomstats.geometry.stiefel import Stiefel, StiefelCanonicalMetric

from geoflow import autodiff
from geoflow.errors import ArgumentError

#: (Euclidean derivatives, shape=[..., d, D]; points, shape=[..., D]) to Riemannian gradients, shape=[..., d, D]
Gradient = Callable[[Any, Any], Any]


def as_space(space: Any) -> Manifold:
    """A geomstats manifold as given; an int D means R^D."""
    if isinstance(space, (int, onp.integer)) and not isinstance(space, bool):
        if space < 1:
            raise ArgumentError("space", got=repr(space), wanted="an integer D >= 1 (for R^D), or a geomstats manifold")
        return Euclidean(int(space), equip=False)
    if not all(hasattr(space, name) for name in ("shape", "belongs", "to_tangent", "dim")):
        raise ArgumentError(
            "space",
            got=type(space).__name__,
            wanted="an int D (for R^D), or a geomstats manifold",
        )
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
    if isinstance(space, Euclidean) and (metric is None or type(metric) is EuclideanMetric):
        return lambda e, x: e
    if isinstance(space, Hypersphere) and (metric is None or type(metric) is HypersphereMetric):
        return _sphere
    if isinstance(space, Hyperboloid) and len(space.shape) == 1 and type(metric) is HyperboloidMetric:
        return _hyperboloid
    if isinstance(space, SPDMatrices) and type(metric) is SPDAffineMetric:
        return _affine_invariant(space.n)
    if isinstance(space, SPDMatrices) and type(metric) is SPDBuresWassersteinMetric:
        return _bures_wasserstein(space.n)
    rotations = type(metric) is BiInvariantMetric and len(space.shape) == 2
    if rotations or (isinstance(space, Stiefel) and type(metric) is StiefelCanonicalMetric):
        return _riccati(tuple(space.shape))
    if isinstance(space, Grassmannian) and type(metric) is GrassmannianCanonicalMetric:
        return _grassmannian(space.n)
    if isinstance(space, VectorSpaceOpenSet) and len(space.shape) == 1 and hasattr(metric, "cometric_matrix"):
        return lambda e, x: np.einsum("...DE,...dE->...dD", metric.cometric_matrix(x), e)
    return _general(space, metric)


def membership(space: Manifold) -> Callable[[onp.ndarray], onp.ndarray] | None:
    """Whether finite points, shape=[N, ...], are inside an open set of a vector space; None where no flow can leave."""
    if not isinstance(space, VectorSpaceOpenSet) or isinstance(space, Euclidean):
        return None
    if isinstance(space, SPDMatrices):  # geomstats factorises one matrix at a time
        return lambda X: onp.linalg.eigvalsh((X + onp.swapaxes(X, -1, -2)) / 2)[:, 0] > 0
    return lambda x: onp.asarray(space.belongs(x, atol=1e-8))


def belongs(space: Manifold, x: onp.ndarray, atol: float = 1e-8) -> onp.ndarray:
    """Whether flat points are on the manifold, shape=[N, D] to shape=[N]; products by their factors."""
    if isinstance(space, ImmersedSet):  # points are coordinates of an immersion
        return onp.isfinite(x).all(axis=-1)
    if isinstance(space, ProductManifold):
        parts = zip(space.factors, _blocks(space), strict=True)
        return onp.logical_and.reduce([belongs(factor, x[:, block], atol) for factor, block in parts])
    return onp.asarray(space.belongs(x.reshape(-1, *space.shape), atol=atol)).reshape(len(x))


def _blocks(space: ProductManifold) -> list[slice]:
    """The factors' places in a flattened point of the product."""
    sizes = [int(onp.prod(factor.shape)) for factor in space.factors]
    ends = onp.cumsum(sizes)
    return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]


def _sphere(e: Any, x: Any) -> Any:
    """The projection of e to the orthogonal complement of x."""
    along = np.sum(e * x[..., None, :], axis=-1, keepdims=True) / np.sum(x**2, axis=-1)[..., None, None]
    return e - along * x[..., None, :]


def _hyperboloid(e: Any, x: Any) -> Any:
    """The Minkowski projection of J e, J = diag(-1, 1, ..., 1), to the complement of x."""
    signs = onp.r_[-1.0, onp.ones(np.shape(x)[-1] - 1)]
    u = e * signs
    along = np.sum(e * x[..., None, :], axis=-1, keepdims=True) / np.sum(signs * x**2, axis=-1)[..., None, None]
    return u - along * x[..., None, :]


def _symmetric(e: Any, x: Any, n: int) -> tuple[Any, Any]:
    """The symmetric part of the derivatives, and the points, as matrices with one more axis for the components."""
    E = np.reshape(e, (*np.shape(e)[:-1], n, n))
    return (E + np.swapaxes(E, -1, -2)) / 2, np.reshape(x, (*np.shape(x)[:-1], 1, n, n))


def _affine_invariant(n: int) -> Gradient:
    """<U, V> = tr(X^-1 U X^-1 V), so the gradient is X sym(E) X."""

    def gradient(e: Any, x: Any) -> Any:
        E, X = _symmetric(e, x, n)
        return np.reshape(np.matmul(np.matmul(X, E), X), np.shape(e))

    return gradient


def _bures_wasserstein(n: int) -> Gradient:
    """geomstats' metric is tr(L_X(U) V) / 2 with X L + L X = U, so the gradient is 2 (E X + X E), E symmetric."""

    def gradient(e: Any, x: Any) -> Any:
        E, X = _symmetric(e, x, n)
        return np.reshape(2 * (np.matmul(X, E) + np.matmul(E, X)), np.shape(e))

    return gradient


def _riccati(shape: tuple[int, ...]) -> Gradient:
    """Canonical metric tr(U^T (I - X X^T / 2) V) of a Stiefel manifold, tr(U^T V) / 2 on SO(n): E - X E^T X."""

    def gradient(e: Any, x: Any) -> Any:
        E, X = np.reshape(e, (*np.shape(e)[:-1], *shape)), np.reshape(x, (*np.shape(x)[:-1], 1, *shape))
        return np.reshape(E - np.matmul(X, np.matmul(np.swapaxes(E, -1, -2), X)), np.shape(e))

    return gradient


def _grassmannian(n: int) -> Gradient:
    """Projectors P with the metric tr(U V): (I - P) E P + P E (I - P) = E P + P E - 2 P E P, E symmetric."""

    def gradient(e: Any, x: Any) -> Any:
        E, P = _symmetric(e, x, n)
        half = np.matmul(E, P) - np.matmul(P, np.matmul(E, P))
        return np.reshape(half + np.swapaxes(half, -1, -2), np.shape(e))

    return gradient


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

    def gradient(e: Any, x: Any) -> Any:
        J = jacobian(x)
        gram = np.matmul(np.swapaxes(J, -1, -2), J)
        return np.swapaxes(np.linalg.solve(gram, np.swapaxes(e, -1, -2)), -1, -2)

    return gradient


def _product(space: ProductManifold) -> Gradient:
    """Every factor on its own block of the flattened point."""
    blocks = _blocks(space)
    parts = [riemannian_gradient(factor) for factor in space.factors]

    def gradient(e: Any, x: Any) -> Any:
        rows = [part(e[..., block], x[..., block]) for part, block in zip(parts, blocks, strict=True)]
        return np.concatenate(rows, axis=-1)

    return gradient


def _general(space: Manifold, metric: Any) -> Gradient:
    """Solve (P^T g P + (I - P)^T (I - P)) X = P^T e, P the tangent projection, orthogonal or not, and g the metric.

    On tangent v it says g(v, P X) = e.v, and on the kernel of P that (I - P) X = 0.
    """
    shape, D = tuple(space.shape), int(onp.prod(space.shape))
    units = onp.eye(D)

    def gradient(e: Any, x: Any) -> Any:
        batch = np.shape(x)[:-1]
        flat = np.reshape(x, (-1, D))
        N = len(flat)
        # geomstats' products and matrix spaces take one batch axis: a point for every pair of unit vectors
        points = np.reshape(flat[:, None, :] + onp.zeros((D, 1)), (N * D, *shape))
        vectors = np.reshape(onp.tile(units, (N, 1)), (N * D, *shape))
        columns = np.reshape(space.to_tangent(vectors, points), (N, D, D))  # the row a is P e_a
        P = np.swapaxes(columns, 1, 2)
        if metric is None:
            inner = np.matmul(columns, P)
        else:
            pairs = (N * D * D, *shape)
            one = np.reshape(columns[:, :, None, :] + onp.zeros((D, 1)), pairs)
            other = np.reshape(columns[:, None, :, :] + onp.zeros((D, 1, 1)), pairs)
            base = np.reshape(flat[:, None, :] + onp.zeros((D * D, 1)), pairs)
            inner = np.reshape(metric.inner_product(one, other, base), (N, D, D))
        normal = units - P
        system = inner + np.matmul(np.swapaxes(normal, 1, 2), normal)
        right = np.matmul(columns, np.swapaxes(np.reshape(e, (N, -1, D)), 1, 2))
        X = np.swapaxes(np.linalg.solve(system, right), 1, 2)
        return np.reshape(X, (*batch, -1, D))

    return gradient
