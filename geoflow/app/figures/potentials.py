"""Potentials: their values over a box, and the Voronoi cells of their divergences."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_points, describe
from geoflow.app.figures.styling import COLOURS, MAP, colour_of, drawing, entitle, equal, in_words
from geoflow.errors import ArgumentError
from geoflow.metrics.barycentres import barycentre
from geoflow.metrics.cells import BregmanBall, VoronoiCells
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import Box


def potential(
    R: LegendreFunction,
    ax: Axes | None = None,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    n: int = 60,
) -> Axes:
    """R over a box: a curve for d = 1, contours with the field of mu = grad R for d = 2.

    For d > 2 it is R along every coordinate through the middle of the box. `lower` and `upper`, shape=[d], are the
    corners; by default a cube about the interior point, of half-width at most 1, inside the domain. Where R has no
    value nothing is drawn.
    """
    low, high = _corners(R, lower, upper)
    middle, box = (low + high) / 2, f"on {in_words(Box(low, high))}"
    with drawing(ax, height=2.9 if R.dim == 2 else 2.4) as axis:
        if R.dim == 2:
            return _contours(R, axis, low, high, n)
        spread = np.linspace(-1.0, 1.0, 4 * n + 1)
        count = min(R.dim, len(COLOURS) - 1)
        for i in range(count):
            w = np.tile(middle, (len(spread), 1))
            w[:, i] += (high - low)[i] / 2 * spread
            axis.plot(w[:, i] if R.dim == 1 else spread, values(R, 0, w), color=colour_of(i),
                      lw=1.3 + 1.2 * (count - 1 - i), label=f"$w_{i + 1}$")  # fmt: skip
        axis.set(xlabel="$w_1$" if R.dim == 1 else "coordinate, from one face of the box to the other", ylabel="$R(w)$")
        along = ""
        if R.dim > 1:
            axis.legend()
            along = f"along {count} of {R.dim} coordinates through the middle of the box"
        entitle(axis, f"{R.name} {box}", along)
        return axis


def bregman_cells(
    cells: VoronoiCells,
    lower: ArrayLike,
    upper: ArrayLike,
    ax: Axes | None = None,
    dual: bool = False,
    radius: float | None = None,
    n: int = 200,
) -> Axes:
    """Voronoi cells of an R of the plane, in a box of w, or that in mu if `dual`, with sites, balls and barycentre.

    Walls are straight in w for side "right", in mu for "left". `lower` and `upper` have shape=[2]; balls of that
    radius are drawn about the sites, where they are in the box; points outside the domain stay white.
    """
    low, high = (as_points(corner, 2, "corner of the cells to draw") for corner in (lower, upper))
    if cells.R.dim != 2 or low.shape != (2,) or high.shape != (2,) or not (low < high).all():
        got = f"R of dimension {cells.R.dim} and corners {describe(low)} and {describe(high)}"
        raise ArgumentError("cells to draw", got, "an R of the plane, and the lower and the upper corner of a box")
    grid = np.stack(np.meshgrid(*np.linspace(low, high, n).T), axis=-1)
    inside = np.asarray(cells.R.domain.belongs(grid))
    safe = np.where(inside[..., None], grid, cells.sites[0])
    whole = inside[:-1, :-1] & inside[1:, :-1] & inside[1:, 1:] & inside[:-1, 1:]
    fill = np.array(COLOURS)[cells.assign(safe)[:-1, :-1][whole] % len(COLOURS)]
    move: Map = cells.R.gradient if dual else np.asarray
    at, letter = (cells.R.gradient(safe), r"\mu") if dual else (grid, "w")
    with drawing(ax, height=3.0) as axis:
        quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], axis=2)[whole]
        axis.add_collection(PolyCollection(quads, facecolors=fill, alpha=0.35, edgecolors="none", antialiaseds=False))
        for i, site in enumerate(cells.sites):
            axis.plot(*move(site), "o", color=colour_of(i), ms=5, mec="white", zorder=3)
            if radius is not None:
                ball = BregmanBall(cells.R, site, radius, cells.side)
                level = np.where(inside, cells.divergences(safe)[..., i] / ball.radius - 1, np.nan)
                axis.contour(at[..., 0], at[..., 1], level, [0.0], colors=colour_of(i), linewidths=1)
        centre = barycentre(cells.R, cells.sites, side=cells.side)
        axis.plot(*move(centre), "*", color="black", ms=8, label=f"{cells.side} barycentre", zorder=3)
        axis.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$")
        axis.autoscale_view()
        equal(axis, quads)
        axis.legend(loc="best")
        where = f"w in {in_words(Box(low, high))}" + (", drawn in mu = grad R(w)" if dual else "")
        entitle(axis, f"Cells of the {cells.side} divergence of {cells.R.name}", where)
        return axis


# inside -------------------------------------------------------------------------------------------------------------


def _contours(R: LegendreFunction, axis: Any, low: Array, high: Array, n: int) -> Axes:
    """Contours of R in the plane, and arrows along grad R."""
    w = np.stack(np.meshgrid(*np.linspace(low, high, n).T), axis=-1)
    drawn = axis.contourf(w[..., 0], w[..., 1], values(R, 0, w.reshape(-1, 2)).reshape(n, n), 12, cmap=MAP)
    some = w[n // 16 :: n // 8, n // 16 :: n // 8].reshape(-1, 2)
    axis.quiver(*some.T, *values(R, 1, some).T, color="white", width=0.006, angles="xy")
    axis.figure.colorbar(drawn, ax=axis).set_label("$R(w)$")
    axis.set(xlabel="$w_1$", ylabel="$w_2$")
    equal(axis, w)
    entitle(axis, f"{R.name} on {in_words(Box(low, high))}", r"arrows: $\mu = \nabla R(w)$")
    return axis


def values(R: LegendreFunction, order: int, w: Array) -> Array:
    """R or its gradient at points, shape=[n, d], NaN where there is none."""
    w = np.asarray(w, dtype=float)
    with np.errstate(all="ignore"):
        if isinstance(R, InducedLegendreFunction):  # what cannot be lifted has no value
            return np.asarray(R.kernel.derivative(order, np.where(np.isfinite(w), w, R.w0)))
        inside = np.asarray(R.domain.belongs(w))
        found = np.asarray(R.kernel.derivative(order, np.where(inside[:, None], w, R.domain.interior_point())))
    return np.where(inside if order == 0 else inside[:, None], found, np.nan)


def _corners(R: LegendreFunction, lower: ArrayLike | None, upper: ArrayLike | None) -> tuple[Array, Array]:
    if lower is None and upper is None:
        return own_box(R)
    if lower is None or upper is None:
        raise ArgumentError("box to draw", "one corner", "lower= and upper=, or neither")
    low, high = (as_points(corner, R.dim, "corner of the box to draw") for corner in (lower, upper))
    if low.shape != (R.dim,) or high.shape != (R.dim,) or not (low < high).all():
        raise ArgumentError("box to draw", f"corners {describe(low)} and {describe(high)}", "lower < upper")
    return low, high


def own_box(R: LegendreFunction) -> tuple[Array, Array]:
    """A cube about the interior point, of half-width at most 1, that a quarter larger still is inside the domain."""
    if isinstance(R.domain, Box) and R.domain.bounded:
        inset = 1e-3 * (R.domain.upper - R.domain.lower)
        return R.domain.lower + inset, R.domain.upper - inset
    centre, half = R.domain.interior_point(), 1.0
    steps = 1.25 * np.concatenate([np.eye(R.dim), -np.eye(R.dim), [np.ones(R.dim), -np.ones(R.dim)]])
    while half > 1e-12 and not np.all(R.domain.belongs(centre + half * steps)):
        half *= 0.8
    return centre - half, centre + half
