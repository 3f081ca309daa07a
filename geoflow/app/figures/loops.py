"""What commutes closes: grids of two flows in both orders, and closed loops in w with their lifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from geoflow._typing import ArrayLike
from geoflow.app.figures.styling import COLOURS, drawing, entitle, equal
from geoflow.errors import ArgumentError
from geoflow.maps.holonomy import Lift
from geoflow.maps.parametrization import Parametrization

#: what a lift has, and how its coordinates are written
LETTERS = {"w": "w", "mu": r"\mu", "x": "x"}
CLOSES = 1e-8


def joint_flow_grid(
    G: Parametrization, x0: ArrayLike, ax: Axes | None = None, size: float = 0.3, n: int = 7, legend: bool = True
) -> Axes:
    """Flows of grad G_1 then grad G_2 (solid) and in the other order (dashed): a grid that closes where they commute.

    G is a map of the plane; x0, shape=[2], is where the grid starts, `size` the time each field flows, n lines a side.
    The gap between the two far corners is drawn in black.
    """
    if (G.dim, G.codomain_dim) != (2, 2) or not G.is_euclidean:
        raise ArgumentError("map of the grid", got=repr(G), wanted="a map of R^2 to R^2")
    x0 = G.require_point(x0, "x0")
    X, Y = G.gradient_fields
    sides, along = np.linspace(0, size, n), np.linspace(0, size, 8 * n)
    columns = Y.flow(X.flow(x0, sides)[:, None], along[None])  # all lines of a kind in one batch
    rows = X.flow(Y.flow(x0, sides)[:, None], along[None])
    points = np.concatenate([columns, rows]).reshape(-1, 2)
    with drawing(ax) as axis:
        first, other = ["grad $G_1$, then grad $G_2$"], ["the other order"]
        axis.plot(*np.moveaxis(columns, -1, 0).swapaxes(1, 2), color=COLOURS[0], lw=1.1, label=first + [None] * (n - 1))
        axis.plot(*np.moveaxis(rows, -1, 0).swapaxes(1, 2), color=COLOURS[1], lw=1.1, ls=(0, (3, 2)),
                  label=other + [None] * (n - 1))  # fmt: skip
        ends = np.stack([columns[-1, -1], rows[-1, -1]])
        gap = float(np.linalg.norm(ends[0] - ends[1]))
        axis.plot(*ends.T, "-", color="black", lw=2, label="gap between the far corners", zorder=4)
        for end, colour, ms in zip(ends, COLOURS, (5, 3), strict=False):
            axis.plot(*end, "o", color=colour, ms=ms, zorder=5)
        axis.plot(*x0, "s", color="black", ms=4, label="start")
        equal(axis, points)
        closes = gap <= CLOSES * max(float(np.ptp(points, axis=0).max()), 1e-300)
        entitle(axis, G.name, "closes" if closes else "does not close", f"gap {gap:.1e}", width=22)
        axis.set(xlabel="$x_1$", ylabel="$x_2$")
        if legend:
            axis.legend(fontsize=6.5)
        return axis


def holonomy(lift: Lift, ax: Axes | None = None, of: str = "mu", name: str = "") -> Axes:
    """The first two coordinates of a lifted loop, d >= 2: of w, where it is closed, of mu or of x, where it may not be.

    Both axes are in the units of the coordinates themselves. What a lift fails to close by is drawn in black.
    """
    if of not in LETTERS:
        raise ArgumentError("of", got=repr(of), wanted=f"one of {', '.join(LETTERS)}")
    if not lift.closed or lift.w.shape[1] < 2:
        raise ArgumentError("lift", got=str(lift), wanted="the lift of a closed loop with d >= 2")
    path: Any = getattr(lift, of).reshape(len(lift.w), -1)
    n = path.shape[1]
    with drawing(ax) as axis:
        axis.plot(*path[:, :2].T, color=COLOURS[0 if of == "w" else 1])
        axis.plot(*path[[-1, 0], :2].T, color="black", lw=2, zorder=3)
        axis.plot(*path[0, :2], "s", color="black", ms=4, zorder=4)
        axis.plot(*path[-1, :2], "o", color=COLOURS[0 if of == "w" else 1], ms=3.5, zorder=5)
        equal(axis, path[:, :2])
        letter = LETTERS[of]
        axis.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$")
        gap = float(np.linalg.norm(path[-1] - path[0]))
        told = "the loop in w" if of == "w" else f"its lift ends {gap:.1e} off" if gap > 1e-12 else "its lift closes"
        entitle(axis, name, told, f"2 of {n} coordinates" if n > 2 else "", width=22)
        return axis
