"""Flows: one trajectory, two side by side, and the gaps between them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from geoflow._typing import Array, Index
from geoflow.app.figures.styling import COLOURS, GREY, below, colour_of, drawing, entitle, equal, equal_solid
from geoflow.errors import ArgumentError
from geoflow.results import EquivalenceReport, Trajectory

#: coordinates that are drawn in a colour of their own, with a name, where all are drawn against time
NAMED = len(COLOURS) - 1
#: the last two of the pair of flows that should be one: wide under, dashed over
WIDE: dict[str, Any] = {"lw": 5, "alpha": 0.3, "solid_capstyle": "round"}
DASHED: dict[str, Any] = {"lw": 1.3, "ls": (0, (4, 2))}


def trajectory(flow: Trajectory, ax: Axes | None = None) -> Axes:
    """The path of w: in the plane for d = 2, in space for d = 3, else every coordinate against time.

    No coordinate is dropped: on an Axes of the plane a w of dimension 3 is drawn against time as well. Every entry of a
    batch is a path. A square is the start, a dot the end.
    """
    dim = _form(flow, ax)
    with drawing(ax, solid=dim == 3) as axis:
        for path in _paths(flow):
            _draw(axis, flow, path, dim, "", {})
        _mark(axis, flow, dim)
        _dress(axis, [flow], dim, True)
        entitle(axis, flow.title or "flow", _ending(flow), _some(flow, dim))
        return axis


def trajectories(reports: Mapping[str, EquivalenceReport], ax: Axes | None = None) -> Axes:
    """Gradient flow (wide) and mirror flow (dashed) of every report, drawn as `trajectory` draws one flow."""
    if not reports:
        raise ArgumentError("reports", got="none", wanted="at least one EquivalenceReport")
    pairs = {label: (report.gradient_flow, report.mirror_flow) for label, report in reports.items()}
    first = next(iter(reports.values()))
    flows = first.gradient_flow.title if len(reports) == 1 else first.gradient_flow.title.partition(", ")[2]
    gap = max(report.gap for report in reports.values())
    said = f"potential {first.legendre.name}; largest gap {gap:.1e} of the way"
    return compared(pairs, flows, said, ax=ax)


def compared(pairs: Mapping[str, tuple[Trajectory, Trajectory]], *title: str, ax: Axes | None = None) -> Axes:
    """Pairs of a gradient flow (wide) and a mirror flow (dashed) that should be one path, by the names of losses."""
    flows = [flow for pair in pairs.values() for flow in pair]
    dim = _form(flows[0], ax)
    with drawing(ax, solid=dim == 3) as axis:
        alone = len(pairs) == 1 and not dim
        for k, pair in enumerate(pairs.values()):
            for flow, look in zip(pair, (WIDE, DASHED), strict=True):
                for path in _paths(flow):
                    _draw(axis, flow, path, dim, "" if alone else colour_of(k), look)
            _mark(axis, pair[0], dim, colour_of(k))
        _dress(axis, flows, dim, alone)
        handles = [Line2D([], [], color=colour_of(k), label=label) for k, label in enumerate(pairs) if label]
        handles = [] if alone else handles
        handles += [
            Line2D([], [], color="0.3", label="gradient flow", **WIDE),
            Line2D([], [], color="0.3", label="mirror flow", **DASHED),
        ]
        below(axis, handles, 3)
        entitle(axis, *title, _some(flows[0], dim) if alone else "")
        return axis


def gap_over_time(reports: Mapping[str, EquivalenceReport], ax: Axes | None = None, tol: float = 1e-7) -> Axes:
    """Gap between the two flows, relative to how far w goes, against time; for more than a few reports see `gaps`."""
    if not reports or len(reports) > len(COLOURS):
        wanted = f"1 to {len(COLOURS)} reports, one a colour"
        raise ArgumentError("reports", f"{len(reports)}", wanted, "gf.plotting.gaps shows the distribution of many")
    with drawing(ax) as axis:
        for k, (label, report) in enumerate(reports.items()):
            t, gap = _gaps_seen(report)
            axis.semilogy(t, gap, color=colour_of(k), label=label)
        first = next(iter(reports.values()))
        _tolerance(axis.axhline, tol)
        axis.set(xlabel="$t$", ylabel="gap, relative to the way of $w$")
        axis.set_ylim(top=10 * tol)
        if any(reports):
            axis.legend(loc="best")
        title = first.gradient_flow.title.partition(", ")[2]
        entitle(axis, "Largest |w of gradient flow - w of mirror flow|", f"{title}, potential {first.legendre.name}")
        return axis


def gaps(rows: Mapping[str, Mapping[str, EquivalenceReport]], ax: Axes | None = None, tol: float = 1e-7) -> Axes:
    """The distribution over time and losses of the gap of every map: median, 5 to 95 % as a bar, the largest as a dot.

    `rows` has the reports of every map, by the names of their losses.
    """
    if not rows or not all(rows.values()):
        raise ArgumentError("rows", got="none", wanted="at least one report of every map")
    found = {name: np.concatenate([_gaps_seen(report)[1] for report in of.values()]) for name, of in rows.items()}
    order = sorted(found, key=lambda name: found[name].max(initial=0.0))
    with drawing(ax, height=max(2.4, 1.2 + 0.145 * len(rows))) as axis:
        for k, name in enumerate(order):
            if not len(found[name]):  # both flows are the same number at all times
                continue
            low, middle, high = np.percentile(found[name], [5, 50, 95])
            axis.plot([low, high], [k, k], color=COLOURS[5], lw=4, solid_capstyle="butt")
            axis.plot(middle, k, "|", color=COLOURS[0], ms=6, mew=1.5)
            axis.plot(found[name].max(), k, "o", color=COLOURS[1], ms=3.5)
        _tolerance(axis.axvline, tol)
        axis.set_xscale("log")
        axis.set_yticks(range(len(order)), [name.replace("_", " ") for name in order], fontsize=6.5)
        axis.set(xlabel="gap, relative to the way of $w$", ylim=(-0.7, len(order) - 0.3))
        axis.set_xlim(right=10 * tol)
        axis.grid(axis="y", lw=0.3, color="0.9")
        axis.set_axisbelow(True)
        handles = [
            Line2D([], [], color=COLOURS[5], lw=4, label="5 to 95 %"),
            Line2D([], [], color=COLOURS[0], marker="|", ms=6, mew=1.5, ls="", label="median"),
            Line2D([], [], color=COLOURS[1], marker="o", ms=3.5, ls="", label="largest"),
        ]
        axis.legend(
            handles=handles, ncols=3, loc="upper center", bbox_to_anchor=(0.35, -0.75 / (1 + 0.145 * len(rows)))
        )
        losses = dict.fromkeys(loss for of in rows.values() for loss in of)
        words = f"all times; losses: {', '.join(losses)}"
        entitle(axis, f"Gradient and mirror flow, {len(rows)} maps", words, width=36)
        return axis


# inside -------------------------------------------------------------------------------------------------------------


def _gaps_seen(report: EquivalenceReport) -> tuple[Array, Array]:
    """Times and gaps where there is one: 0 has no place on a log scale."""
    gap = report.gap_over_time
    seen = gap > 0
    return report.gradient_flow.t[: len(gap)][seen], gap[seen]


def _tolerance(line: Any, tol: float) -> None:
    axis = line(tol, color="black", lw=0.8, ls="--").axes
    upright = line.__name__ == "axvline"
    where = (tol, 1.0) if upright else (0.99, tol)
    coords = ("data", "axes fraction") if upright else ("axes fraction", "data")
    text = f"tolerance {tol:.0e}"
    axis.annotate(text, where, (-2, 0), xycoords=coords, textcoords="offset points", ha="right",
                  va="top" if upright else "bottom", fontsize=6.5, rotation=90 if upright else 0)  # fmt: skip


def _form(flow: Trajectory, ax: Axes | None) -> int:
    """2 or 3 where w is drawn as a path in that dimension; 0 where its coordinates are drawn against time."""
    d = flow.w.shape[-1]
    return d if d == 2 or (d == 3 and (ax is None or getattr(ax, "name", "") == "3d")) else 0


def _paths(flow: Trajectory) -> Array:
    """The path of every entry of a batch; shape=[n_entries, n_times, d]."""
    return np.moveaxis(flow.w.reshape(len(flow.t), -1, flow.w.shape[-1]), 1, 0)


def _draw(axis: Any, flow: Trajectory, path: Array, dim: int, colour: str, look: dict[str, Any]) -> None:
    """A path, or coordinates against time: without a `colour` each of those that move farthest has its own."""
    if dim:
        axis.plot(*path.T, color=colour or COLOURS[0], **look)
        return
    order = _by_way(path)
    for rank, i in enumerate(order[:NAMED]):
        axis.plot(flow.t, path[:, i], color=colour or colour_of(rank), zorder=3, **look)
    rest = [np.column_stack([flow.t, path[:, i]]) for i in order[NAMED:]]
    axis.add_collection(LineCollection(rest, colors=colour or GREY, linewidths=0.4, zorder=1))


def _by_way(path: Array) -> Index:
    """Coordinates, those that move farthest first; shape=[n_times, d] to [d]."""
    return np.argsort(-np.ptp(np.where(np.isfinite(path), path, path[0]), axis=0), kind="stable")


def _mark(axis: Any, flow: Trajectory, dim: int, colour: str = COLOURS[0]) -> None:
    """A square where a path starts and a dot where it ends."""
    if not dim:
        return
    for path in _paths(flow):
        there = path[np.isfinite(path).all(axis=1)]
        axis.plot(*there[:1].T, "s", color="black", ms=4, zorder=4)
        axis.plot(*there[-1:].T, "o", color=colour, ms=4, zorder=4)


def _dress(axis: Any, flows: list[Trajectory], dim: int, named: bool) -> None:
    """Names and scales of the axes, and names of the coordinates where each has a colour, against time."""
    if dim:
        points = np.concatenate([flow.w.reshape(-1, dim) for flow in flows])
        (equal if dim == 2 else equal_solid)(axis, points)
        for letter, i in zip("xyz"[:dim], (1, 2, 3), strict=False):
            getattr(axis, f"set_{letter}label")(f"$w_{i}$", labelpad=-6 if dim == 3 else None)
        return
    d = flows[0].w.shape[-1]
    axis.set(xlabel="$t$", ylabel="$w_1$" if d == 1 else "coordinates of $w$")
    if d > 1 and named:
        path = _paths(flows[0])[0]
        order = _by_way(path)[:NAMED]
        end = flows[0].t[-1]
        last = np.array([path[np.flatnonzero(np.isfinite(path[:, i]))[-1], i] for i in order])
        for place, rank in zip(_apart(last, path), range(len(order)), strict=True):
            axis.annotate(f"$w_{{{order[rank] + 1}}}$", (end, place), xytext=(3, 0), textcoords="offset points",
                          color=colour_of(rank), va="center", fontsize=7, annotation_clip=False)  # fmt: skip


def _apart(places: Array, path: Array) -> Array:
    """Heights of labels, moved up where they would meet."""
    room = 0.06 * max(float(np.nanmax(path) - np.nanmin(path)), 1e-300)
    out, order = np.array(places, dtype=float), np.argsort(places)
    for low, high in pairwise(order):
        out[high] = max(out[high], out[low] + room)
    return out


def _some(flow: Trajectory, dim: int) -> str:
    d = flow.w.shape[-1]
    return f"{NAMED} of {d} coordinates in colour: those that move farthest" if not dim and d > NAMED else ""


def _ending(flow: Trajectory) -> str:
    ended = "" if flow.success else f" ({flow.status.value})"
    return f"t from {flow.t[0]:g} to {flow.t[-1]:g}{ended}; square: start, dot: end"
