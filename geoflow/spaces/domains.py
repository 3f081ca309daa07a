"""Open convex sets of R^d, as geomstats manifolds: where a Legendre function lives."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.base import VectorSpaceOpenSet
from geomstats.geometry.euclidean import Euclidean

from geoflow._pickling import Portable
from geoflow._validate import as_count, as_points, describe
from geoflow.errors import ArgumentError, DomainError, in_a_line
from geoflow.numerics import autodiff


class ConvexDomain(Portable, VectorSpaceOpenSet):
    """An open convex set {w : slack_k(w) > 0 for all k} of R^dim."""

    def __init__(self, dim: int):
        if isinstance(dim, bool) or int(dim) != dim or dim < 1:
            raise ArgumentError("dimension of a domain", got=repr(dim), wanted="an integer, at least 1")
        as_count(int(dim), "dimension of a domain")
        super().__init__(embedding_space=Euclidean(int(dim), equip=False), dim=int(dim), equip=False)

    def slack(self, point: Any) -> Any:
        """Concave functions that are positive exactly inside; shape=[..., m], m may be 0."""
        raise NotImplementedError

    def interior_point(self) -> np.ndarray:
        """A point well inside, shape=[d]."""
        raise NotImplementedError

    def belongs(self, point: Any, atol: float = 0.0) -> Any:
        """Whether each point has slacks > -atol; shape=[..., d] to shape=[...]. A NaN is outside."""
        point = np.asarray(point, dtype=float)
        if point.shape[-1:] != (self.dim,):
            return np.zeros(point.shape[:-1], dtype=bool)
        with np.errstate(all="ignore"):
            return np.all(np.isfinite(point), axis=-1) & np.all(self.slack(point) > -atol, axis=-1)

    def require(self, point: Any, what: str = "point") -> np.ndarray:
        """Return the points as an array, or raise `DomainError` naming the first one outside."""
        point = as_points(point, self.dim, what)
        inside = np.asarray(self.belongs(point))
        if not inside.all():
            index = tuple(int(i) for i in np.argwhere(~inside)[0])
            raise DomainError(
                f"{what} outside the domain",
                got=describe(point[index]) + (f" at batch entry {index}" if index else ""),
                wanted=f"a point of {self}",
                remedy="choose points inside the domain",
                point=point[index],
                index=index,
            )
        return point

    def projection(self, point: Any) -> Any:
        """Move points that are outside along the segment to the interior point until they are inside."""
        if autodiff.is_traced(point):  # the identity on the domain
            return point
        point = np.array(point, dtype=float)
        centre = self.interior_point()
        fraction = np.ones(point.shape[:-1])
        for _ in range(1100):
            inside = self.belongs(centre + fraction[..., None] * (point - centre))
            if np.all(inside):
                break
            fraction = np.where(inside, fraction, 0.9 * fraction)
        return centre + np.where(fraction == 1, 1, 0.99 * fraction)[..., None] * (point - centre)

    def random_point(self, n_samples: int = 1, bound: float = 1.0, rng: Any = None) -> np.ndarray:
        """Random interior points near the interior point, shape=[n_samples, d] or [d]; `rng` is a seed or Generator."""
        rng = np.random.default_rng(np.random.randint(2**31) if rng is None else rng)
        shape = (self.dim,) if n_samples == 1 else (n_samples, self.dim)
        return self.projection(self.interior_point() + bound * rng.uniform(-1, 1, size=shape))

    def __str__(self) -> str:
        return repr(self)


class WholeSpace(ConvexDomain):
    """R^d."""

    def slack(self, point: Any) -> Any:
        return anp.ones((*anp.shape(point)[:-1], 0))

    def belongs(self, point: Any, atol: float = 0.0) -> Any:
        """Where a point is finite, shape=[..., d] to shape=[...]."""
        point = np.asarray(point, dtype=float)
        return np.isfinite(point).all(axis=-1) & (point.shape[-1:] == (self.dim,))

    def require(self, point: Any, what: str = "point") -> np.ndarray:
        return as_points(point, self.dim, what)

    def interior_point(self) -> np.ndarray:
        return np.zeros(self.dim)

    def __repr__(self) -> str:
        return f"WholeSpace({self.dim})"


class Polytope(ConvexDomain):
    """{w : A w < b}, for A of shape=[m, d] and b of shape=[m]; raises `DomainError` when that is empty."""

    def __init__(self, A: Any, b: Any):
        self.A, self.b = np.atleast_2d(np.asarray(A, dtype=float)), np.atleast_1d(np.asarray(b, dtype=float))
        if self.b.shape != self.A.shape[:1] or not (np.isfinite(self.A).all() and np.isfinite(self.b).all()):
            got = f"A of shape {self.A.shape}, b of shape {self.b.shape}"
            raise ArgumentError("half-spaces A w < b", got=got, wanted="finite arrays of shape [m, d] and [m]")
        super().__init__(self.A.shape[1])
        self._interior: np.ndarray | None = None
        self.interior_point()

    def slack(self, point: Any) -> Any:
        return self.b - anp.matmul(point, self.A.T)

    def interior_point(self) -> np.ndarray:
        if self._interior is None:
            from scipy.optimize import linprog

            # largest ball inside, its radius capped so that unbounded sets have an answer
            A_ub, bounds = np.c_[self.A, np.linalg.norm(self.A, axis=1)], [(None, None)] * self.dim + [(None, 1.0)]
            result = linprog(np.r_[np.zeros(self.dim), -1.0], A_ub=A_ub, b_ub=self.b, bounds=bounds)
            if result.status != 0 or result.x[-1] <= 0:
                raise DomainError("polytope", got="an empty interior", wanted="A w < b for some w", remedy="relax b")
            self._interior = result.x[:-1]
        return self._interior

    def __repr__(self) -> str:
        return f"Polytope({len(self.b)} half-spaces of R^{self.dim})"


class Box(ConvexDomain):
    """{w : lower < w < upper}, bounds of shape=[d], which may be infinite."""

    def __init__(self, lower: Any, upper: Any):
        lower, upper = (np.atleast_1d(np.asarray(bound, dtype=float)) for bound in (lower, upper))
        self.lower, self.upper = np.broadcast_arrays(lower, upper)
        if self.lower.ndim != 1 or not np.all(self.lower < self.upper):
            got = f"lower {describe(self.lower)}, upper {describe(self.upper)}"
            raise ArgumentError("bounds of a box", got=got, wanted="vectors, lower < upper in every coordinate")
        with np.errstate(over="ignore"):
            endless = np.isfinite(self.lower) & np.isfinite(self.upper) & np.isinf(self.upper - self.lower)
        if endless.any():
            k = int(np.argmax(endless))
            got, remedy = f"{self.lower[k]:g} to {self.upper[k]:g} in coordinate {k + 1}", "use infinity for no bound"
            raise ArgumentError("bounds of a box", got, "a width that is a number", remedy)
        super().__init__(len(self.lower))
        self._below, self._above = np.flatnonzero(self.lower > -np.inf), np.flatnonzero(self.upper < np.inf)
        self.b = np.concatenate([-self.lower[self._below], self.upper[self._above]])

    @cached_property
    def A(self) -> np.ndarray:
        """The half-spaces A w < b of the finite bounds, shape=[m, d]."""
        out = np.zeros((len(self.b), self.dim))
        out[np.arange(len(self._below)), self._below] = -1.0
        out[len(self._below) + np.arange(len(self._above)), self._above] = 1.0
        return out

    def slack(self, point: Any) -> Any:
        lower, upper = self._below, self._above
        return anp.concatenate([point[..., lower] - self.lower[lower], self.upper[upper] - point[..., upper]], axis=-1)

    @property
    def bounded(self) -> bool:
        """Whether every bound is finite."""
        return bool(np.isfinite(self.lower).all() and np.isfinite(self.upper).all())

    def interior_point(self) -> np.ndarray:
        low, high = self.lower, self.upper
        with np.errstate(invalid="ignore"):
            one_sided = np.where(np.isfinite(low), low + 1, np.where(np.isfinite(high), high - 1, 0.0))
            return np.where(np.isfinite(low) & np.isfinite(high), (low + high) / 2, one_sided)

    def __repr__(self) -> str:
        if self.dim <= 4:
            return f"Box({self.lower.tolist()}, {self.upper.tolist()})"
        return f"Box in R^{self.dim}, [{self.lower.min():g}, {self.upper.max():g}] at the widest"


class Orthant(Box):
    """{w : w_i > 0}."""

    def __init__(self, dim: int):
        dim = as_count(dim, "dimension of an orthant")
        super().__init__(np.zeros(dim), np.full(dim, np.inf))

    def __repr__(self) -> str:
        return f"Orthant({self.dim})"


class Simplex(Polytope):
    """{w in R^d : w_i > 0, sum w < 1}: the open simplex in its first d barycentric coordinates."""

    def __init__(self, dim: int):
        dim = as_count(dim, "dimension of a simplex", most=10_000)
        super().__init__(np.concatenate([-np.eye(dim), np.ones((1, dim))]), np.r_[np.zeros(dim), 1.0])

    def interior_point(self) -> np.ndarray:
        return np.full(self.dim, 1 / (self.dim + 1))

    def __repr__(self) -> str:
        return f"Simplex({self.dim})"


class Ball(ConvexDomain):
    """{w : |w - center| < radius}, center of shape=[d]."""

    def __init__(self, center: Any, radius: float = 1.0):
        self.center, self.radius = np.atleast_1d(np.asarray(center, dtype=float)), float(radius)
        if not self.radius > 0:
            raise ArgumentError("radius of a ball", got=f"{radius}", wanted="a positive number")
        super().__init__(len(self.center))

    def slack(self, point: Any) -> Any:
        return self.radius**2 - anp.sum((point - self.center) ** 2, axis=-1, keepdims=True)

    def interior_point(self) -> np.ndarray:
        return self.center

    def __repr__(self) -> str:
        centre = self.center.tolist() if self.dim <= 4 else f"a point of R^{self.dim}"
        return f"Ball({centre}, {self.radius:g})"


class ImplicitDomain(ConvexDomain):
    """{w : inside(w)}: a convex open set known only by a test, such as the range of a gradient, and a point of it.

    `inside` takes points of shape=[..., d] to truth values of shape=[...]; `interior` has shape=[d].
    """

    def __init__(self, dim: int, inside: Callable[[Any], Any], interior: Any, name: str):
        super().__init__(dim)
        self._inside, self._interior, self._name = inside, np.asarray(interior, dtype=float), name

    def slack(self, point: Any) -> Any:
        return np.where(self._inside(point), 1.0, -1.0)[..., None]

    def interior_point(self) -> np.ndarray:
        return self._interior

    def __repr__(self) -> str:
        return in_a_line(self._name)


def as_domain(domain: Any) -> Any:
    """A domain as given; an int d means R^d."""
    if isinstance(domain, (int, np.integer)) and not isinstance(domain, bool):
        return WholeSpace(int(domain))
    if not hasattr(domain, "belongs"):
        raise ArgumentError(
            "domain",
            got=f"{type(domain).__name__}",
            wanted="an int (for R^d) or a set with `dim` and `belongs`",
            remedy="use geoflow.spaces.domains, for example gf.domains.Orthant(3)",
        )
    if isinstance(domain, ConvexDomain):
        return domain
    # any other manifold of vectors: its own test of membership, and a point of it to start from
    point = np.reshape(np.asarray(domain.random_point(), dtype=float), -1)
    return ImplicitDomain(int(domain.dim), lambda w: np.asarray(domain.belongs(w)), point, type(domain).__name__)


def __getattr__(name: str) -> Any:
    if name == "Region":
        warnings.warn("domains.Region is deprecated; write domains.ImplicitDomain", DeprecationWarning, stacklevel=2)
        return ImplicitDomain
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
