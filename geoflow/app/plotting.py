"""One function a picture; each returns a matplotlib Figure and shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_points, describe
from geoflow.errors import ArgumentError
from geoflow.maps.holonomy import Lift
from geoflow.maps.parametrization import Parametrization
from geoflow.metrics.barycentres import barycentre
from geoflow.metrics.cells import BregmanBall, VoronoiCells
from geoflow.realization.realized import Realization
from geoflow.results import EquivalenceReport, Trajectory

# Okabe and Ito's palette, distinguishable with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE: Any = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10, "axes.titlesize": 11}


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
        return figure, figure.subplots(1, columns)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def trajectories(reports: Mapping[str, EquivalenceReport]) -> Figure:
    """Paths in the first two coordinates of w, or in (t, w) for d = 1: gradient flow (wide), mirror flow (dashed)."""
    if not reports:
        raise ArgumentError("reports", got="none", wanted="at least one EquivalenceReport")
    figure, axis = _figure(6.4, 4.6)
    for k, (label, report) in enumerate(reports.items()):
        colour = COLOURS[k % len(COLOURS)]
        one, other = _plane_path(report.gradient_flow), _plane_path(report.mirror_flow)
        axis.plot(*one.T, color=colour, lw=6, alpha=0.3, solid_capstyle="round", label=f"{label}: gradient flow")
        axis.plot(*other.T, color=colour, lw=1.6, ls=(0, (4, 2)), label=f"{label}: mirror flow")
        axis.plot(*one[-1], "o", color=colour, ms=5)
    first = next(iter(reports.values())).gradient_flow
    axis.plot(*_plane_path(first)[0], "s", color="black", ms=6, label="start")
    planar = first.w.shape[-1] > 1
    axis.set(xlabel="$w_1$" if planar else "$t$", ylabel="$w_2$" if planar else "$w_1$")
    axis.set_title("Gradient flow through G, and mirror flow of R over it")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _plane_path(flow: Trajectory) -> Array:
    """The first two coordinates of (w, t), or (t, w_1); shape=[n_times, 2]."""
    return flow.w[:, :2] if flow.w.shape[-1] > 1 else np.c_[flow.t, flow.w]


def gap_over_time(reports: Mapping[str, EquivalenceReport], tol: float = 1e-7) -> Figure:
    """Gap between the two flows, relative to the trajectory's size, against time on a log scale."""
    figure, axis = _figure(7.4, 4.6)
    for k, (label, report) in enumerate(reports.items()):
        gap = report.gap_over_time
        t = report.gradient_flow.t[: len(gap)]
        seen = gap > 0
        axis.semilogy(t[seen], gap[seen], color=COLOURS[k % len(COLOURS)], lw=1.5, label=label,
                      ls=("-", "--", ":")[(k // len(COLOURS)) % 3])  # fmt: skip
    axis.axhline(tol, color="black", lw=0.8, ls="--")
    axis.annotate(f"tolerance {tol:.0e}", (0.99, tol), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                  fontsize=8)  # fmt: skip
    axis.set(xlabel="$t$", ylabel=r"$\max_i |w_i^{GF} - w_i^{MF}|$, relative", ylim=(1e-16, 10 * tol))
    axis.set_title("Gap between gradient flow and mirror flow")
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def regularization_path(alphas: Sequence[float], coefficients: ArrayLike, l1_ratios: Sequence[float]) -> Figure:
    """Coefficients of the limit, shape=[n_alphas, d], and its l1 norm over the optimum, against the initialization."""
    w = np.asarray(coefficients, dtype=float)
    figure, (left, right) = _figure(9.6, 4.2, columns=2)
    strongest = np.argsort(-np.abs(w[np.argmin(alphas)]))
    for rank, i in enumerate(strongest):
        strong = rank < len(COLOURS)
        left.semilogx(alphas, w[:, i], color=COLOURS[rank] if strong else "0.75", lw=1.6 if strong else 0.6,
                      zorder=3 if strong else 1, marker="o" if strong else None, ms=3)  # fmt: skip
    left.invert_xaxis()
    left.set(xlabel=r"initialization $\alpha$ of $u^2 - v^2$", ylabel="coefficients of the limit")
    left.set_title(f"Regularization path, {w.shape[1]} features (7 largest in colour)")
    right.semilogx(alphas, l1_ratios, "o-", color=COLOURS[0])
    right.axhline(1.0, color="black", lw=0.8, ls="--")
    right.annotate("basis pursuit", (0.02, 1.0), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    right.invert_xaxis()
    right.set(xlabel=r"initialization $\alpha$", ylabel=r"$|w_\infty|_1$ / optimum")
    right.set_title("The limit tends to the basis-pursuit solution")
    return figure


def _grid_paths(axis: Any, G: Parametrization, x0: Array, size: float, n: int) -> float:
    """Flow lines of both orders of the two gradient fields of a plane map; returns the distance of the far corners."""
    X, Y = G.gradient_fields
    along = np.linspace(0, size, 8 * n)
    for fixed in np.linspace(0, size, n):
        columns = Y.flow(X.flow(x0, fixed), along)
        rows = X.flow(Y.flow(x0, fixed), along)
        axis.plot(*columns.T, color=COLOURS[0], lw=1.3)
        axis.plot(*rows.T, color=COLOURS[1], lw=1.3, ls="--")
    ends = Y.flow(X.flow(x0, size), size), X.flow(Y.flow(x0, size), size)
    axis.plot(*np.stack(ends).T, "-", color="black", lw=1)
    axis.plot(*ends[0], "o", color=COLOURS[0], ms=7)
    axis.plot(*ends[1], "o", color=COLOURS[1], ms=4)
    axis.plot(*x0, "s", color="black", ms=6)
    return float(np.linalg.norm(ends[0] - ends[1]))


def joint_flow_grid(
    commuting: Parametrization, other: Parametrization, x0: ArrayLike, y0: ArrayLike, size: float = 0.3, n: int = 7
) -> Figure:
    """Flows of grad G_1 then grad G_2 (solid) and in the other order (dashed): one grid that closes, one that does not.

    The maps are of the plane; x0 and y0 are where each grid starts, `size` the time each field flows, n lines a side.
    """
    figure, axes = _figure(9.6, 4.4, columns=2)
    for axis, G, start in zip(axes, (commuting, other), (x0, y0), strict=True):
        if (G.dim, G.codomain_dim) != (2, 2):
            raise ArgumentError("map of the grid", got=repr(G), wanted="a map of R^2 to R^2")
        gap = _grid_paths(axis, G, np.asarray(start, dtype=float), size, n)
        verdict = "closes" if gap < 1e-8 else "does not close"
        axis.set_title(f"{G.name}: the grid {verdict}\n(corners {gap:.1e} apart)")
        axis.set(xlabel="$x_1$", ylabel="$x_2$")
    axes[0].plot([], [], color=COLOURS[0], label=r"grad $G_1$, then grad $G_2$")
    axes[0].plot([], [], color=COLOURS[1], ls="--", label=r"grad $G_2$, then grad $G_1$")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def realized_surface(F: Realization, n: int = 60) -> Figure:
    """M = F(K) in its three principal components, coloured by relative metric error; d > 2 shows two axes."""
    figure = Figure(figsize=(7.5, 6), layout="constrained")
    axis = figure.add_subplot(projection="3d")
    low, high = _bounds(F)
    w = np.tile(F.region.interior_point(), (n, n, 1))
    w[..., 0] = np.linspace(low[0], high[0], n)[:, None]
    if F.dim > 1:
        w[..., -1] = np.linspace(low[-1], high[-1], n)[None, :]
    p, share = _principal(F.embedding(w), 3)
    error = np.log10(np.maximum(F.metric_error(w), 1e-17))
    norm = Normalize(error.min() - 1e-9, error.max() + 1e-9)
    map_ = matplotlib.colormaps["viridis"]
    axis.plot_surface(*np.moveaxis(p, -1, 0), facecolors=map_(norm(error)), rstride=1, cstride=1, shade=False)
    bar = figure.colorbar(ScalarMappable(norm, map_), ax=axis, shrink=0.7, pad=0.08)
    bar.set_label("log10 of relative metric error")
    shown = "" if F.ambient_dim <= 3 else f", {100 * share:.1f} % of the variance of R^{F.ambient_dim}"
    axis.set_title(f"M = F(K), {F.method}{shown}")
    for letter, name in zip("xyz", ("first", "second", "third"), strict=True):
        getattr(axis, f"set_{letter}label")(f"{name} component")
    return figure


def _principal(x: Array, k: int) -> tuple[Array, float]:
    """The k principal components of points, shape=[..., k], 0 beyond the dimension, and their share of the variance."""
    centred = x.reshape(-1, x.shape[-1]) - x.reshape(-1, x.shape[-1]).mean(axis=0)
    components = centred @ np.linalg.svd(centred, full_matrices=False)[2][:k].T
    share = float((components**2).sum() / max((centred**2).sum(), 1e-300))
    padded = np.pad(components, ((0, 0), (0, k - components.shape[1])))
    return padded.reshape(*x.shape[:-1], k), share


def convergence(F: Realization) -> Figure:
    """Relative metric error of every stage of the solver, at the points it saw and at fresh ones."""
    figure, axis = _figure(6.5, 4.2)
    twist, stages, place = F.method == "twist", F.stages, np.arange(len(F.stages))
    labels = [f"{s.parameter:.3g}" + (f"\n{s.grid}" if twist else "") for s in stages]
    axis.semilogy(place, [s.fresh for s in stages], "o-", color=COLOURS[0], label="fresh points")
    axis.semilogy(place, [max(s.fitted, 1e-17) for s in stages], "s--", color=COLOURS[1], label="points of the solver")
    axis.axhline(F.certificate.tol, color="grey", linewidth=0.8, label="tol")
    axis.set_xticks(place, labels, fontsize=8)
    axis.set(xlabel="frequency, and points an axis" if twist else "degree", ylabel="relative metric error")
    axis.set_title(f"{F.method} in R^{F.ambient_dim}")
    axis.legend()
    return figure


def flow_on_realization(F: Realization, flow: Trajectory, mirror: Trajectory) -> Figure:
    """Gradient flow on M, seen in its two principal components, beside mirror flow in w."""
    figure, (left, right) = _figure(9.5, 4.2, columns=2)
    assert flow.x is not None
    p = _principal(flow.x, 2)[0]
    left.plot(*p.T, color=COLOURS[0])
    left.plot(*p[0], "o", color=COLOURS[0])
    left.set(title=f"gradient flow on M in R^{F.ambient_dim}", xlabel="first component", ylabel="second component")
    for i in range(F.dim):
        colour = COLOURS[i % len(COLOURS)]
        right.plot(mirror.t, mirror.w[:, i], color=colour, label=f"$w_{i + 1}$ mirror flow")
        right.plot(flow.t, flow.w[:, i], "o", color=colour, markersize=3.5, label=f"$G_{i + 1}(x)$ on M")
    gap = np.abs(flow.w - mirror.w).max()
    right.set(title=f"gap {gap:.1e}", xlabel="t", ylabel="w")
    right.legend(fontsize=8)
    return figure


def _bounds(F: Realization) -> tuple[Array, Array]:
    """Corners of the box to draw: the region, or the spread of its sample where it is unbounded."""
    box = F.target.box
    if box is not None:
        inset = 1e-3 * (box.upper - box.lower)
        return box.lower + inset, box.upper - inset
    centre = F.region.interior_point()
    room = float(F.target.room(centre[None])[0])
    return centre - 0.5 * room / len(centre), centre + 0.5 * room / len(centre)


def holonomy(lifts: Mapping[str, Lift]) -> Figure:
    """Closed loops in w, d >= 2, and their lifts in the dual coordinates: they close where the gradient fields commute.

    One panel each, in the first two coordinates.
    """
    if not lifts or any(not lift.closed or lift.w.shape[1] < 2 for lift in lifts.values()):
        raise ArgumentError("lifts", got=f"{len(lifts)} lifts", wanted="lifts of closed loops with d >= 2")
    figure, axes = _figure(3.4 * len(lifts), 3.7, len(lifts))
    for axis, (label, lift) in zip(np.atleast_1d(axes), lifts.items(), strict=True):
        for path, colour, name in [(lift.w, COLOURS[0], "loop $w - w_0$"), (lift.mu, COLOURS[1], r"lift $\mu$")]:
            y = (path - path[0])[:, :2] / np.abs(path - path[0]).max()
            axis.plot(y[:, 0], y[:, 1], color=colour, lw=2, label=name)
            axis.plot(*y[-1], "o", color=colour, ms=6)
        axis.plot(0, 0, "s", color="black", ms=6, label="start")
        axis.set_title(f"{label}\ndisplacement {lift.defect:.0e} of its way")
        axis.set(xlabel="first coordinate, scaled", ylabel="second")
        axis.set_aspect("equal")
    np.atleast_1d(axes)[0].legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def bregman_cells(
    cells: VoronoiCells, lower: ArrayLike, upper: ArrayLike, radius: float | None = None, n: int = 200
) -> Figure:
    """Voronoi cells of an R of the plane, in a box of w and the same in mu, with their sites, balls and barycentre.

    Walls are straight in w for side "right", in mu for "left". `lower` and `upper` have shape=[2]; balls of that
    radius are drawn about the sites, where they are in the box; points outside the domain stay white.
    """
    low, high = (as_points(corner, 2, "corner of the cells to draw") for corner in (lower, upper))
    if cells.R.dim != 2 or low.shape != (2,) or high.shape != (2,) or not (low < high).all():
        got = f"R of dimension {cells.R.dim} and corners {describe(low)} and {describe(high)}"
        raise ArgumentError("cells to draw", got, "an R of the plane, and the lower and the upper corner of a box")
    figure, axes = _figure(9.6, 4.6, columns=2)
    grid = np.stack(np.meshgrid(*np.linspace(low, high, n).T), axis=-1)
    inside = np.asarray(cells.R.domain.belongs(grid))
    safe = np.where(inside[..., None], grid, cells.sites[0])
    mu, whole = cells.R.gradient(safe), inside[:-1, :-1] & inside[1:, :-1] & inside[1:, 1:] & inside[:-1, 1:]
    fill = np.array(COLOURS)[cells.assign(safe)[:-1, :-1][whole] % len(COLOURS)]
    balls = [] if radius is None else [BregmanBall(cells.R, site, radius, cells.side) for site in cells.sites]
    excess = [
        np.where(inside, cells.divergences(safe)[..., i] / ball.radius - 1, np.nan) for i, ball in enumerate(balls)
    ]
    centre = barycentre(cells.R, cells.sites, side=cells.side)
    charts: tuple[Map, Map] = (np.asarray, cells.R.gradient)
    for axis, at, move, letter in zip(axes, (grid, mu), charts, ("w", r"\mu"), strict=True):
        quads = np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], axis=2)[whole]
        axis.add_collection(PolyCollection(quads, facecolors=fill, alpha=0.35, edgecolors="none", antialiaseds=False))
        for i, site in enumerate(cells.sites):
            axis.plot(*move(site), "o", color=COLOURS[i % len(COLOURS)], ms=6, mec="white", zorder=3)
        for i, level in enumerate(excess):
            axis.contour(at[..., 0], at[..., 1], level, [0.0], colors=COLOURS[i % len(COLOURS)], linewidths=1)
        axis.plot(*move(centre), "*", color="black", ms=9, label=f"{cells.side} barycentre", zorder=3)
        axis.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$")
        axis.autoscale_view()
    axes[0].set_title(f"{cells.R.name}: cells of the {cells.side} divergence")
    axes[1].set_title(r"the same in $\mu = \nabla R(w)$")
    axes[0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure
