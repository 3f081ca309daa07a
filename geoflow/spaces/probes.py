"""What is asked of a manifold: that `to_tangent` is the projection to its tangent spaces, and that flows stay on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from geomstats.geometry.base import ImmersedSet, LevelSet, VectorSpaceOpenSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.product_manifold import ProductManifold

from geoflow._typing import Array, Bilinear, Map
from geoflow._usercode import guarded
from geoflow._validate import describe
from geoflow.errors import ArgumentError, NotOnManifoldError
from geoflow.numerics.batches import consecutive
from geoflow.numerics.differences import slopes
from geoflow.numerics.records import quiet
from geoflow.spaces.gradients import belongs

#: relative defects up to which a projection is one, coordinates up to which its matrix is formed
TOL, LARGEST = 1e-6, 64
#: distance from M, relative to |x|, beyond which a flow has left it
DRIFT = 1e-6


def has_sides(space: Manifold) -> bool:
    """Whether points of M fill no open set of their coordinates, so that a flow can drift off M."""
    return not isinstance(space, (Euclidean, VectorSpaceOpenSet, ImmersedSet))


def remembers(space: Any) -> bool:
    """Whether a manifold goes on from the point it was asked about last, as nearest points on a realized M do."""
    if isinstance(space, ProductManifold):
        return any(remembers(factor) for factor in space.factors)
    return bool(getattr(space, "remembers", False))


def _flat_tangent(space: Any) -> Bilinear:
    """`to_tangent` on flat vectors v and points x, whose errors name it."""
    shape, tangent = (-1, *space.shape), guarded(space.to_tangent, f"to_tangent of {type(space).__name__}")

    def projected(v: Array, x: Array) -> Array:
        return np.asarray(tangent(v.reshape(shape), x.reshape(shape)), dtype=float).reshape(v.shape)

    return projected


def tangent_at(space: Any, x: Array) -> Map | None:
    """The projection of flat vectors at flat points to the tangent spaces; None where those are all of R^D.

    Products factor by factor: geomstats' own fails where a factor has matrices for points.
    """
    if isinstance(space, (Euclidean, ImmersedSet)):
        return None
    if not isinstance(space, ProductManifold):
        tangent = _flat_tangent(space)
        return lambda v: tangent(v, x)
    places = consecutive([int(np.prod(factor.shape)) for factor in space.factors])
    parts = [(tangent_at(f, x[:, place]), place) for f, place in zip(space.factors, places, strict=True)]
    return lambda v: np.concatenate([v[:, k] if P is None else P(v[:, k]) for P, k in parts], axis=1)


def probe_manifold(space: Manifold, x: Array) -> None:
    """Ask `to_tangent` at flat points of M, shape=[N, D], whether it is a projection to the tangent spaces of M.

    Its values are tangent: the constraint has no derivative along them; it is idempotent, the identity on tangent
    vectors, and, where M inherits its metric, self-adjoint. Raises `ArgumentError` with `defect`.
    """
    if not has_sides(space):
        return
    if isinstance(space, ProductManifold):
        places = consecutive([int(np.prod(factor.shape)) for factor in space.factors])
        for factor, place in zip(space.factors, places, strict=True):
            probe_manifold(factor, x[:, place])
        return
    with quiet():
        _probe(space, x)


def _probe(space: Any, x: Array) -> None:
    name, D = type(space).__name__, x.shape[1]
    outside = ~belongs(space, x, 1e-6)
    if outside.any():
        raise ArgumentError(
            f"random_point of {name}", got=f"{describe(x[outside][0])}, which does not belong to it",
            wanted="points of the manifold", remedy="project what random_point draws",
        )  # fmt: skip

    to_tangent = _flat_tangent(space)

    def P(v: Array, at: Array = x) -> Array:
        return to_tangent(v, at)

    def refuse(got: str, wanted: str, defect: float) -> None:
        raise ArgumentError(
            f"to_tangent of {name}", got=f"{got}, by {defect:.1e} relative", wanted=wanted,
            remedy="v minus its normal part: for orthonormal normals n_k, v - sum_k <v, n_k> n_k; "
            "check=False believes it",
            defect=defect,
        )  # fmt: skip

    rng = np.random.default_rng(4)
    u, v = rng.standard_normal((2, *x.shape))
    Pu, Pv = P(u), P(v)
    size = float(np.abs(v).max())
    if (gap := float(np.abs(P(Pv) - Pv).max() / size)) > TOL:
        refuse("a map that changes what it has projected", "an idempotent projection", gap)
    if (gap := normal_part(space, x, Pv, v)) > TOL:
        refuse("vectors that are not tangent: the constraint changes along them", "tangent vectors", gap)
    if D <= LARGEST:
        tangent = tangent_space(space, x[:1])
        if tangent is not None:
            t = rng.standard_normal((3, tangent.shape[0])) @ tangent
            if (gap := float(np.abs(P(t, np.repeat(x[:1], 3, axis=0)) - t).max() / np.abs(t).max())) > TOL:
                refuse("a map that changes tangent vectors", "the identity on tangent vectors", gap)
        s = np.linalg.svd(P(np.eye(D), np.repeat(x[:1], D, axis=0)), compute_uv=False)
        if (rank := int((s > TOL * max(s[0], 1.0)).sum())) != int(space.dim):
            refuse(f"a projection of rank {rank}", f"rank {space.dim}, the dimension of M", 1.0)
    # gradients are right for oblique projections of geomstats' own, such as the hyperboloid's
    if getattr(space, "metric", None) is None and not type(space).__module__.startswith("geomstats."):
        gap = float((np.abs(np.sum(Pu * v - u * Pv, axis=1)) / (np.sum(np.abs(u * v), axis=1))).max())
        if gap > TOL:
            refuse("an oblique projection", "the orthogonal one, self-adjoint in the metric that M inherits", gap)


def constraint_of(space: Any) -> Map:
    def constraint(y: Array) -> Array:
        return np.asarray(space.submersion(y.reshape(-1, *space.shape)), dtype=float).reshape(len(y), -1)

    return constraint


def normal_part(space: Any, x: Array, Pv: Array, v: Array) -> float:
    """How far the constraint, or the projection to M, moves along what is called tangent; relative."""
    if isinstance(space, LevelSet):
        f = constraint_of(space)
        found, free = slopes(f, x, Pv), slopes(f, x, v)
        scale = np.nanmax(np.abs(free.value)) + 1e-300
        # differences that are 0 to rounding at all but the widest step have no value: what is left of them is a bound
        value = np.where(np.isnan(found.value), np.fmin.reduce(np.abs(found.raw), axis=0), found.value)
        error = np.where(np.isnan(found.value), 0.0, found.error)
        return float(np.maximum(np.abs(value) - 10 * error, 0.0).max() / scale)

    def projected(y: Array) -> Array:
        return np.asarray(space.projection(y.reshape(-1, *space.shape)), dtype=float).reshape(y.shape)

    try:  # the derivative of a projection to M is the identity on tangent vectors
        found = slopes(projected, x, Pv)
    except Exception:
        return 0.0
    off = np.maximum(np.abs(found.value - Pv) - 10 * found.error, 0.0)
    return float(np.nan_to_num(off, posinf=0.0).max() / np.abs(v).max())


def tangent_space(space: Any, x: Array) -> Array | None:
    """An orthonormal basis of the tangent space at one point, shape=[dim, D], from the constraint; None without one."""
    if not isinstance(space, LevelSet):
        return None
    D = x.shape[1]
    found = slopes(constraint_of(space), np.repeat(x, D, axis=0), np.eye(D))
    if not np.isfinite(found.value).all():
        return None
    _, s, rows = np.linalg.svd(found.value.T, full_matrices=True)
    rank = int((s > TOL * max(s[0], 1e-300)).sum())
    return rows[rank:] if D - rank == int(space.dim) else None


# flows --------------------------------------------------------------------------------------------------------------


def drift(space: Manifold, x: Array) -> Array:
    """How far flat points are from M, relative to |x|; shape=[N, D] to shape=[N]. NaN where M cannot tell.

    A point nearer to 0 than others is measured by the largest |x|, or M's own `extent`, or by 1 where that is smaller.

    By the constraint of a level set over its slope towards M, else by the projection to M.
    """
    if not has_sides(space):
        return np.zeros(len(x))
    space_: Any = space
    if isinstance(space, ProductManifold):
        places = consecutive([int(np.prod(factor.shape)) for factor in space.factors])
        parts = [drift(factor, x[:, place]) for factor, place in zip(space.factors, places, strict=True)]
        return np.asarray(np.max(parts, axis=0))
    size = _sizes(x, getattr(space, "extent", 0.0))
    with quiet():
        if isinstance(space, LevelSet):
            f = constraint_of(space)
            value = np.abs(f(x)).max(axis=1)
            v = np.random.default_rng(8).standard_normal(x.shape)
            h = 1e-6 * size[:, None]
            slope = np.abs(f(x + h * v) - f(x - h * v)).max(axis=1) / (2 * h[:, 0])
            return np.asarray(value / (slope + value / size + 1e-300) / size)
        try:
            moved = np.asarray(space_.projection(x.reshape(-1, *space.shape)), dtype=float).reshape(x.shape)
        except Exception:
            return np.where(belongs(space, x, DRIFT), 0.0, np.nan)
    return np.asarray(np.linalg.norm(moved - x, axis=1) / size)


def _sizes(x: Array, extent: float) -> Array:
    size = np.linalg.norm(x, axis=1)
    largest = float(np.max(np.nan_to_num(size), initial=extent))
    return np.maximum(size, min(largest, 1.0) or 1.0)


def require_near(space: Manifold, x: Array, what: str, allowed: float = DRIFT) -> None:
    """`NotOnManifoldError` where what moved along M has left it."""
    if not has_sides(space):
        return
    off = drift(space, x)
    if not (worst := float(np.max(np.nan_to_num(off), initial=0.0))) <= allowed:
        k = int(np.argmax(np.nan_to_num(off)))
        raise NotOnManifoldError(
            f"{what} left {type(space).__name__}",
            got=f"a point {worst:.1e} off it, relative to |x|: {describe(x[k])}",
            wanted=f"at most {allowed:.0e}", remedy="check `to_tangent` and the metric of the manifold", defect=worst,
            point=x[k],
        )  # fmt: skip
