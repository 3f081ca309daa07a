"""Balls, bisectors and Voronoi cells of Bregman divergences, on the side of the centre that is asked for."""

from __future__ import annotations

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index, Mask
from geoflow._validate import as_finite, as_points, describe, require_type
from geoflow.errors import ArgumentError, ConvergenceError, DomainError, ShapeError, in_a_line
from geoflow.metrics.gaps import SIDES, as_side, divergence_from
from geoflow.numerics.batches import in_slices
from geoflow.numerics.roots import decreasing_zeros
from geoflow.potentials.divergence import gradient_change
from geoflow.potentials.legendre import LegendreFunction

#: what the divergence at a point of a sphere, or on a bisector, may be off by, relative to it
ACCURACY = 1e-8


class BregmanBall(Portable):
    """The points within a divergence of a centre: {w : D(w, c) <= r} for side "right".

    D(c, w) for "left", half of both for "symmetrised", J_1/2 for "jensen". Right-sided balls are convex in w,
    left-sided ones in mu = grad R(w).

    Parameters
    ----------
    R : LegendreFunction
    center : array, shape=[d]
    radius : float
        Positive, in units of the divergence.
    side : str

    Reference
    ---------
    Boissonnat, Nielsen, Nock, Bregman Voronoi diagrams, Discrete Comput. Geom. 2010.
    """

    def __init__(self, R: LegendreFunction, center: ArrayLike, radius: float, side: str = "right"):
        require_type(R, LegendreFunction, "R")
        self.R, self.side, r = R, as_side(side), as_finite(radius, "radius of a ball")
        if r.ndim or not r > 0:
            raise ArgumentError("radius of a ball", got=describe(r), wanted="a positive number")
        self.radius, self.center = float(r), _one_point(R, center, "center of a ball")

    def contains(self, points: ArrayLike) -> Mask:
        """Which points, shape=[..., d], are in the ball, shape=[...]."""
        return np.asarray(divergence_from(self.R, points, self.center, self.side) <= self.radius)

    def boundary(self, directions: ArrayLike) -> Array:
        """The points c + t u of its sphere, t > 0, for u of shape=[..., d]; every ray from c meets it once.

        Raises `DomainError` where a ray leaves the domain inside the ball, or the divergence along it stays below r.
        """
        u = as_points(directions, self.R.dim, "directions")
        flat = u.reshape(-1, self.R.dim)
        with np.errstate(all="ignore"):
            bend = np.einsum("ni,ij,nj->n", flat, self.R.hessian(self.center), flat)
        if not (bend > 0).all():
            got = describe(flat[int(np.argmax(~(bend > 0)))])
            raise ArgumentError("directions", got=got, wanted="vectors that are not 0")
        start = np.sqrt(2 * self.radius / bend)
        s = decreasing_zeros(lambda k, s: self._excess(flat[k], start[k], s), len(flat))
        missed, t = np.abs(self._excess(flat, start, s)), start * np.exp(s)
        if not (missed <= ACCURACY).all():
            k = int(np.argmax(~(missed <= ACCURACY)))
            raise DomainError(
                f"sphere of radius {self.radius:g} about {describe(self.center)}",
                got=f"a ray in the direction {describe(flat[k])} that ends inside it",
                wanted=f"a ball inside {self.R.domain} along every direction",
                remedy="ask for other directions, or take a smaller radius",
                point=flat[k],
            )
        return (self.center + t[:, None] * flat).reshape(u.shape)

    def _excess(self, u: Array, start: Array, s: Array) -> Array:
        """log r - log D at c + start e^s u; -infinity outside the domain."""
        with np.errstate(all="ignore"):
            h = (start * np.exp(s))[:, None] * u
            at = self.center + h
            inside = self.R.kernel.inside(at)
            c = np.broadcast_to(self.center, at.shape)
            D = SIDES[self.side](self.R, np.where(inside[:, None], at, c), c, np.where(inside[:, None], h, 0.0))
            return np.where(inside, np.log(self.radius) - np.log(D), -np.inf)

    def __repr__(self) -> str:
        return in_a_line(
            f"BregmanBall({self.R.name}, center {describe(self.center)}, radius {self.radius:g}, {self.side})"
        )


class Bisector(Portable):
    """The points as far from a as from b: D(w, a) = D(w, b) for side "right"; `bisector` makes it.

    Attributes
    ----------
    normal, offset : array, shape=[d], and float, or None
        The bisector is {<normal, y> = offset}, with the side of a below, in y = w for side "right" and in y = mu for
        "left"; None for the other sides, whose bisectors are curved in both charts.
    """

    normal: Array | None = None
    offset: float | None = None

    def __init__(self, R: LegendreFunction, a: Array, b: Array, side: str):
        self.R, self.a, self.b, self.side = R, a, b, side
        if side == "right":
            self.normal = gradient_change(R.formula, b[None], a[None], (b - a)[None])[0]
            self.offset = float(self.normal @ a + R.bregman_divergence(a, b))
        elif side == "left":
            self.normal = b - a
            self.offset = float(self.normal @ R.gradient(a) + R.bregman_divergence(b, a))

    def gap(self, points: ArrayLike) -> Array:
        """The divergence from a minus that from b, shape=[...], of points of shape=[..., d]: negative nearer to a."""
        first, second = (divergence_from(self.R, points, end, self.side) for end in (self.a, self.b))
        return first - second

    def crossing(self, start: ArrayLike, end: ArrayLike) -> Array:
        """A point of the bisector on each segment, shape=[..., d], between two points that it separates.

        Raises `ArgumentError` where it does not separate them.
        """
        x, y = (self.R.domain.require(end, what) for end, what in ((start, "start"), (end, "end")))
        x, y = np.broadcast_arrays(x, y)
        shape, (x, y) = x.shape, (p.reshape(-1, self.R.dim) for p in (x, y))
        before, after = self._ratio(x), self._ratio(y)
        if not (before * after < 0).all():
            k = int(np.argmax(~(before * after < 0)))
            got = f"{describe(x[k])} and {describe(y[k])}, both nearer to one of them"
            raise ArgumentError("ends of a segment", got, "points on both sides of the bisector")
        sign = np.sign(before)

        def excess(k: Index, s: Array) -> Array:
            return sign[k] * self._ratio(_between(x[k], y[k], s))

        found = _between(x, y, decreasing_zeros(excess, len(x)))
        missed = np.abs(self._ratio(found))
        if not (missed <= ACCURACY).all():
            worst = float(np.nan_to_num(missed, nan=np.inf).max())
            raise ConvergenceError("crossing of a bisector", f"divergences {worst:.1e} apart, relative",
                                   f"at most {ACCURACY:.0e}", "choose nearer ends", defect=worst)  # fmt: skip
        return found.reshape(shape)

    def _ratio(self, w: Array) -> Array:
        """log of the divergence from a over that from b."""
        with np.errstate(all="ignore"):
            first, second = (
                SIDES[self.side](self.R, w, np.broadcast_to(end, w.shape), w - end) for end in (self.a, self.b)
            )
            return np.log(first) - np.log(second)

    def __repr__(self) -> str:
        return in_a_line(f"Bisector({self.R.name}, {describe(self.a)} and {describe(self.b)}, {self.side})")


def bisector(R: LegendreFunction, a: ArrayLike, b: ArrayLike, side: str = "right") -> Bisector:
    """The bisector of two points, shape=[d] each, for the divergence from them on that side.

    D(w, a) - D(w, b) = <grad R(b) - grad R(a), w - a> - D(a, b), a hyperplane in w; D(a, w) - D(b, w) =
    <b - a, grad R(w) - grad R(a)> - D(b, a), one in mu.

    Raises
    ------
    ArgumentError, DomainError
        When the points are the same, or outside the domain.

    Reference
    ---------
    Boissonnat, Nielsen, Nock, Bregman Voronoi diagrams, Discrete Comput. Geom. 2010.
    """
    require_type(R, LegendreFunction, "R")
    a, b = _one_point(R, a, "a"), _one_point(R, b, "b")
    if (a == b).all():
        raise ArgumentError("points of a bisector", got=f"{describe(a)} twice", wanted="two points")
    return Bisector(R, a, b, as_side(side))


class VoronoiCells(Portable):
    """The cells of sites: cell i has the points to which the divergence from site i is least.

    Cells are polyhedra in w for side "right", in mu for "left".

    Parameters
    ----------
    R : LegendreFunction
    sites : array, shape=[k, d]
    side : str

    Reference
    ---------
    Boissonnat, Nielsen, Nock, Bregman Voronoi diagrams, Discrete Comput. Geom. 2010.
    """

    def __init__(self, R: LegendreFunction, sites: ArrayLike, side: str = "right"):
        require_type(R, LegendreFunction, "R")
        self.R, self.side, self.sites = R, as_side(side), R.domain.require(sites, "sites")
        if self.sites.ndim != 2:
            raise ShapeError("sites", got=f"shape {self.sites.shape}", wanted=f"shape [k, {R.dim}]")

    def divergences(self, points: ArrayLike) -> Array:
        """From every site, shape=[..., k], of points of shape=[..., d]."""
        w = self.R.domain.require(points, "points")
        k = len(self.sites)
        found = in_slices(
            lambda x: (divergence_from(self.R, x[:, None, :], self.sites, self.side),),
            k * self.R.dim**2, w.reshape(-1, self.R.dim),
        )[0]  # fmt: skip
        return found.reshape(*w.shape[:-1], k)

    def assign(self, points: ArrayLike) -> Index:
        """The index of the cell of each point, shape=[...], the first of several."""
        return np.argmin(self.divergences(points), axis=-1)

    def bisector(self, i: int, j: int) -> Bisector:
        """The bisector of sites i and j, which has the wall between their cells, where they have one."""
        for index in (i, j):
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or not 0 <= index < len(self.sites):
                raise ArgumentError("site", got=repr(index), wanted=f"an index from 0 to {len(self.sites) - 1}")
        return bisector(self.R, self.sites[i], self.sites[j], self.side)

    def half_spaces(self, i: int) -> tuple[Array, Array]:
        """A, shape=[k - 1, d], and b, shape=[k - 1], with cell i the y of A y <= b; y = w on the right, mu on the left.

        `ArgumentError` for the sides whose cells are curved.
        """
        if self.side not in ("right", "left"):
            remedy = "use `assign`, or `bisector(i, j).gap`"
            raise ArgumentError("half-spaces of a cell", f"side {self.side!r}", "'right' or 'left'", remedy)
        walls = [self.bisector(i, j) for j in range(len(self.sites)) if j != i]
        A = np.array([wall.normal for wall in walls], dtype=float).reshape(-1, self.R.dim)
        return A, np.array([wall.offset for wall in walls], dtype=float)

    def __repr__(self) -> str:
        return in_a_line(f"VoronoiCells({self.R.name}, {len(self.sites)} sites, {self.side})")


def _one_point(R: LegendreFunction, point: ArrayLike, what: str) -> Array:
    w = R.domain.require(point, what)
    if w.ndim != 1:
        raise ShapeError(what, got=f"shape {w.shape}", wanted=f"one point, shape ({R.dim},)")
    return w


def _between(x: Array, y: Array, s: Array) -> Array:
    """From x at s = -infinity to y at infinity, on the segment."""
    small = np.exp(-np.abs(s))[:, None]
    near, far = 1 / (1 + small), small / (1 + small)
    return np.where(s[:, None] > 0, near * y + far * x, near * x + far * y)
