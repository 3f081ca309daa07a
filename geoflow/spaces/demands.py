"""The laws of a manifold: membership, tangent vectors, inner products and gradients, each measured at points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from geomstats.geometry.base import LevelSet

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.errors import shortened
from geoflow.numerics import autodiff
from geoflow.numerics.differences import slopes
from geoflow.numerics.records import quiet
from geoflow.results import Check
from geoflow.spaces.gradients import belongs, riemannian_gradient
from geoflow.spaces.probes import LARGEST, TOL, constraint_of, drift, has_sides, normal_part, tangent_at, tangent_space

#: relative defect up to which autograd's derivative of a gradient is that of its values
DERIVATIVE_TOL = 1e-4
#: how far a point is moved to be off M, relative to |x|
AWAY = 0.1
#: the defect, and what was seen; None where a law is not asked of this manifold
Found = tuple[float, str] | None


def described(error: Exception) -> str:
    """What a method of a manifold raised, on one line."""
    return shortened(f"it raises {type(error).__name__}: {error}", 200)


class Asked:
    """A manifold without factors, flat points of it, shape=[N, D], and vectors to ask it about."""

    def __init__(self, space: Any, x: Array):
        self.space, self.x, self.D = space, x, x.shape[1]
        rng, length = np.random.default_rng(4), np.linalg.norm(x, axis=1, keepdims=True)
        self.size = np.where(length > 0, length, 1.0)
        self.u, self.v = rng.standard_normal((2, *x.shape))
        unit = rng.standard_normal(x.shape)
        self.away = x + AWAY * self.size * unit / np.linalg.norm(unit, axis=1, keepdims=True)
        self.metric = getattr(space, "metric", None)

    def shaped(self, flat: Array) -> Array:
        return flat.reshape(-1, *self.space.shape)

    def tangent(self, v: Array) -> Array:
        """to_tangent of flat vectors at the points."""
        P = tangent_at(self.space, self.x)
        return v if P is None else P(v)

    def inner(self, u: Array, v: Array, x: Array | None = None) -> Array:
        """g(u, v) at the points, of the metric given or else inherited, shape=[N]."""
        x = self.x if x is None else x
        if self.metric is not None:
            value = self.metric.inner_product(self.shaped(u), self.shaped(v), self.shaped(x))
            return np.asarray(value, dtype=float).reshape(len(u))
        if hasattr(self.space, "immersion"):
            pushed = [slopes(lambda y: np.asarray(self.space.immersion(y)), x, a).value for a in (u, v)]
            return np.sum(pushed[0] * pushed[1], axis=1)
        return np.sum(u * v, axis=1)


@dataclass(frozen=True)
class Interface:
    """A law of manifolds: its name, what to do where it fails, and the function that measures it."""

    name: str
    remedy: str
    measure: Callable[[Asked], Found]
    tol: float = TOL

    def ask(self, space: Any, x: Array, prefix: str = "") -> Check | None:
        """The law at flat points as a check; a method that raises fails it, one that is not there is not asked."""
        try:
            with quiet():
                found = self.measure(Asked(space, x))
        except NotImplementedError:
            return None
        except Exception as error:
            found = np.inf, described(error)
        if found is None:
            return None
        evidence = {"remedy": self.remedy}
        return Check(prefix + self.name, float(found[0]), 1.0, self.tol, x[0], found[1], len(x), evidence=evidence)


def _worst(gaps: Array, scale: Array | float) -> float:
    """The largest entry over the scale; NaN where one is."""
    return float(np.max(np.abs(gaps)) / np.maximum(np.max(np.abs(scale)), np.finfo(float).tiny))


# membership ---------------------------------------------------------------------------------------------------------


def _draws_points_of_m(M: Asked) -> Found:
    off = drift(M.space, M.x)
    off = np.where(np.isnan(off), np.where(belongs(M.space, M.x, TOL), 0.0, 1.0), off)
    return float(off.max()), f"{describe(M.x[int(np.argmax(off))])} is off M"


def _accepts_points(M: Asked) -> Found:
    inside = belongs(M.space, M.x, TOL)
    if not (np.nan_to_num(drift(M.space, M.x)) <= TOL).all():
        return None  # the points are wrong, which another law says
    return float(np.mean(~inside)), f"it says no to {int(np.sum(~inside))} of {len(M.x)} points of M"


def _refuses_others(M: Asked) -> Found:
    if not has_sides(M.space) or int(M.space.dim) == M.D:
        return None
    said = belongs(M.space, M.away, TOL)
    if isinstance(M.space, LevelSet):
        said = said & (drift(M.space, M.away) > 1e-3)
    return float(np.mean(said)), f"it says yes to {int(said.sum())} of {len(said)} points {AWAY:g} |x| from M"


def _projects(M: Asked) -> Found:
    if not has_sides(M.space) or not hasattr(M.space, "projection"):
        return None
    near, same = (
        np.asarray(M.space.projection(M.shaped(x)), dtype=float).reshape(x.shape)
        for x in (M.x + 0.2 * (M.away - M.x), M.x)
    )
    if (moved := _worst((same - M.x) / M.size, 1.0)) > TOL or np.isnan(moved):
        return moved, "it moves points of M"
    off = drift(M.space, near)
    return float(np.max(np.where(np.isnan(off), 1.0, off))), "what it projects is not on M"


# tangent vectors ----------------------------------------------------------------------------------------------------


def _takes_batches(M: Asked) -> Found:
    together = np.asarray(M.space.to_tangent(M.shaped(M.v), M.shaped(M.x)), dtype=float)
    if together.shape != (len(M.x), *M.space.shape):
        return np.inf, f"to_tangent of shape {together.shape} at points of shape {M.shaped(M.x).shape}"
    for what, function in (("to_tangent", M.space.to_tangent), ("belongs", lambda v, x: M.space.belongs(x))):
        every = np.asarray(function(M.shaped(M.v), M.shaped(M.x)), dtype=float)
        if every.shape[:1] != (len(M.x),):
            return np.inf, f"{what} of shape {every.shape} at {len(M.x)} points"
        for k in range(min(len(M.x), 3)):
            one = np.asarray(function(M.shaped(M.v)[k], M.shaped(M.x)[k]), dtype=float)
            if one.size != every[k].size:
                return np.inf, f"{what} of shape {one.shape} at one point"
            if (gap := _worst(every[k].ravel() - one.ravel(), max(1.0, np.abs(M.v).max()))) > TOL:
                return gap, f"{what} of one point is not that of the same point in a batch"
    return 0.0, ""


def _is_idempotent(M: Asked) -> Found:
    Pv = M.tangent(M.v)
    return _worst(M.tangent(Pv) - Pv, M.v), "it changes what it has projected"


def _is_tangent(M: Asked) -> Found:
    if not has_sides(M.space):
        return None
    what = "the constraint" if isinstance(M.space, LevelSet) else "the projection to M"
    return normal_part(M.space, M.x, M.tangent(M.v), M.v), f"{what} says that its vectors leave M"


def _is_onto(M: Asked) -> Found:
    if M.D > LARGEST:
        return None
    at = np.repeat(M.x[:1], M.D, axis=0)
    P = tangent_at(M.space, at)
    columns = np.eye(M.D) if P is None else P(np.eye(M.D))
    s = np.linalg.svd(columns, compute_uv=False)
    rank = int((s > TOL * max(s[0], 1.0)).sum())
    if rank != int(M.space.dim):
        return 1.0, f"its rank is {rank}, and dim is {int(M.space.dim)}"
    basis = tangent_space(M.space, M.x[:1])
    if basis is None:
        return 0.0, ""
    return _worst(basis @ columns - basis, 1.0), "it changes tangent vectors"


def _is_orthogonal(M: Asked) -> Found:
    if M.metric is not None or not has_sides(M.space) or type(M.space).__module__.startswith("geomstats."):
        return None  # a metric of its own needs no orthogonal projection
    Pu, Pv = M.tangent(M.u), M.tangent(M.v)
    gap = np.abs(np.sum(Pu * M.v - M.u * Pv, axis=1)) / np.sum(np.abs(M.u * M.v), axis=1)
    return float(gap.max()), "an oblique projection: <P u, v> is not <u, P v>"


def _slope_is_given(M: Asked) -> Found:
    if not isinstance(M.space, LevelSet) or str(type(M.space).tangent_submersion.__module__).startswith("geomstats."):
        return None  # not given; geomstats' own may be of another submersion, as the Grassmannian's is
    v = np.asarray(M.space.embedding_space.to_tangent(M.shaped(M.v), M.shaped(M.x)), dtype=float).reshape(M.v.shape)
    v = M.size * v / np.linalg.norm(v, axis=1, keepdims=True)
    given = np.asarray(M.space.tangent_submersion(M.shaped(v), M.shaped(M.x)), dtype=float).reshape(len(v), -1)
    found = slopes(constraint_of(M.space), M.x, v)
    factor = np.sum(given * found.value) / np.sum(found.value**2)
    if not abs(factor) > 1e-6:
        return 1.0, "it is 0 where submersion changes"
    off = np.maximum(np.abs(given / factor - found.value) - 10 * found.error, 0.0)
    return _worst(off, found.value), "it is no multiple of the derivative of submersion"


# metric -------------------------------------------------------------------------------------------------------------


def _is_symmetric(M: Asked) -> Found:
    if M.metric is None:
        return None
    u, v = M.tangent(M.u), M.tangent(M.v)
    scale = np.sqrt(np.abs(M.inner(u, u) * M.inner(v, v))) + np.finfo(float).tiny
    symmetric = np.abs(M.inner(u, v) - M.inner(v, u)) / scale
    linear = np.abs(M.inner(2 * u + v, v) - 2 * M.inner(u, v) - M.inner(v, v)) / scale
    said = "g(u, v) is not g(v, u)" if symmetric.max() > TOL else "g(2 u + v, v) is not 2 g(u, v) + g(v, v)"
    return float(np.maximum(symmetric, linear).max()), said


def _is_positive(M: Asked) -> Found:
    if M.metric is None:
        return None
    m = min(int(M.space.dim), 6)
    vectors = [M.tangent(v) for v in np.random.default_rng(5).standard_normal((m, *M.x.shape))]
    gram = np.array([[M.inner(a, b) for b in vectors] for a in vectors])  # shape=[m, m, N]
    length = gram[np.arange(m), np.arange(m)]
    if not (length > 0).all():
        return 1.0, f"g(v, v) = {np.nanmin(length):.3g} for a tangent v that is not 0"
    unit = gram / np.sqrt(length[:, None] * length[None])
    least = float(np.linalg.eigvalsh((unit + unit.transpose(1, 0, 2)).transpose(2, 0, 1) / 2).min())
    return max(
        0.0, 1.0 - least / 1e-12
    ) if least < 1e-12 else 0.0, f"its least eigenvalue is {least:.1e} of unit vectors"


def _too_large(M: Asked) -> bool:
    """Whether the solve for a gradient, which asks for g on all pairs of D unit vectors, takes gigabytes."""
    return M.metric is not None and M.D > LARGEST


def _is_gradient(M: Asked) -> Found:
    if _too_large(M):
        return None
    e, t = M.u, M.tangent(M.v)
    gradient = np.asarray(riemannian_gradient(M.space)(e[:, None, :], M.x))[:, 0]
    off = np.abs(M.tangent(gradient) - gradient).max() / np.abs(gradient).max()
    if not off <= TOL:
        return float(off), "the gradient is not tangent: a closed form for another manifold, or to_tangent is wrong"
    scale = np.sqrt(np.abs(M.inner(gradient, gradient) * M.inner(t, t))) + np.finfo(float).tiny
    gap = np.abs(M.inner(gradient, t) - np.sum(e * t, axis=1)) / scale
    return float(gap.max()), "g(grad f, v) is not df(v)"


def _is_differentiable(M: Asked) -> Found:
    if _too_large(M):
        return None
    e, gradient = np.random.default_rng(6).standard_normal(M.D), riemannian_gradient(M.space)
    t = M.tangent(M.v)
    t = M.size * t / np.maximum(np.linalg.norm(t, axis=1, keepdims=True), np.finfo(float).tiny)

    def field(y: Any) -> Any:
        return gradient(np.zeros((*np.shape(y)[:-1], 1, 1)) + e, y)[..., 0, :]

    value, traced = autodiff.jvp(field, M.x, t)
    found = slopes(lambda y: np.asarray(field(y)), M.x, t)
    off = np.maximum(np.abs(traced - found.value) - 10 * found.error, 0.0)
    return float(
        np.max(off) / (np.abs(traced).max() + np.abs(value).max())
    ), "autograd's derivative is not that of values"


#: in the order in which they are asked: what a law takes for granted is asked before it
LAWS = (
    Interface("random_point draws points of M", "project what random_point draws", _draws_points_of_m),
    Interface("belongs accepts points of M", "return whether each point is on M, to `atol`", _accepts_points),
    Interface("belongs refuses other points", "return whether each point is on M, to `atol`", _refuses_others),
    Interface("projection is one to M", "return the nearest point, or any on M that is x for x on M", _projects),
    Interface("methods take batches", "put the coordinates on the last axes: x[..., i], axis=-1", _takes_batches),
    Interface(
        "tangent_submersion is the derivative of submersion",
        "return d/ds submersion(x + s v) at s = 0, or c times it",
        _slope_is_given,
    ),
    Interface("to_tangent is idempotent", "for orthonormal normals n_k, return v - sum_k <v, n_k> n_k", _is_idempotent),
    Interface("to_tangent is tangent", "for orthonormal normals n_k, return v - sum_k <v, n_k> n_k", _is_tangent),
    Interface("to_tangent is onto", "take away the normal part and nothing else; correct dim", _is_onto),
    Interface(
        "to_tangent is orthogonal",
        "for orthonormal normals n_k, return v - sum_k <v, n_k> n_k; or equip M with a metric",
        _is_orthogonal,
    ),
    Interface("inner_product is symmetric and bilinear", "return v^T g(x) u with a symmetric g", _is_symmetric),
    Interface(
        "inner_product is positive", "return v^T g(x) u with g positive definite on tangent vectors", _is_positive
    ),
    Interface(
        "gradients are those of the metric",
        "derive from a class whose to_tangent and metric are yours: LevelSet, Manifold",
        _is_gradient,
    ),
    Interface(
        "gradients can be differentiated",
        "write to_tangent and inner_product in autograd.numpy; check rules of eigenvalues and matrix functions",
        _is_differentiable,
        DERIVATIVE_TOL,
    ),
)
