"""Pictures that turn: data and layouts of plotly.js, as plain dicts, and no more numbers than a page needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from geoflow._typing import Array, Index
from geoflow.app.figures.potentials import values
from geoflow.app.figures.realizations import SMALLEST, Frame, grid_of
from geoflow.app.figures.styling import colour_of
from geoflow.potentials.legendre import LegendreFunction
from geoflow.realization.realized import Realization
from geoflow.results import EquivalenceReport, Trajectory

#: a picture of plotly.js: its data and its layout
Picture = dict[str, Any]
#: times of a path, coordinates of w and paths of a batch that are drawn; and points a side of a surface
TIMES, COORDINATES, PATHS, SIDE = 400, 12, 12, 36
#: points of a path that is drawn as dots over another
DOTS = 30
SCALE = "Cividis"


def paths(reports: Mapping[str, EquivalenceReport]) -> tuple[Picture, str]:
    """Both flows of every report as one picture, and what it shows in words.

    For d = 2 they are drawn on the graph of R, for d = 3 in space, else every coordinate is drawn against time.
    """
    pairs = {label: (report.gradient_flow, report.mirror_flow) for label, report in reports.items()}
    R = next(iter(reports.values())).legendre
    if R.dim == 2:
        every = np.concatenate([_points(flow) for pair in pairs.values() for flow in pair])
        return on_graph(R, pairs, every), (
            f"The graph of {R.name}, and on it gradient flow (a line) and mirror flow (black dots) of w: one path for"
            " each loss. Turn it with the mouse."
        )
    return compared(pairs)


def on_graph(R: LegendreFunction, pairs: Mapping[str, tuple[Trajectory, Trajectory]], every: Array) -> Picture:
    """The graph of an R of the plane over the box of some points, and pairs of flows on it."""
    low, high = np.nanmin(every, axis=0), np.nanmax(every, axis=0)
    room = 0.15 * np.maximum(high - low, 0.2 * max(float((high - low).max()), 1e-300))
    sides = np.linspace(low - room, high + room, SIDE).T
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    heights = values(R, 0, grid).reshape(SIDE, SIDE)
    surface = {
        "type": "surface", "x": plain(sides[0]), "y": plain(sides[1]), "z": plain(heights), "opacity": 0.8,
        "colorscale": SCALE, "colorbar": {"title": {"text": "R(w)"}, "len": 0.6},
    }  # fmt: skip
    data: list[Any] = [surface]
    for k, (label, (flow, mirror)) in enumerate(pairs.items()):
        for one, kind in ((flow, "gradient flow"), (mirror, "mirror flow")):
            points = _points(one)[: TIMES * PATHS]
            name = f"{label}: {kind}" if label else kind
            xyz = np.column_stack([points, values(R, 0, points)])
            data.append(_path(xyz, name, colour_of(k + 1), dots=kind == "mirror flow"))
    return {"data": data, "layout": solid_layout(("w₁", "w₂", "R(w)"), equal=False)}


def compared(pairs: Mapping[str, tuple[Trajectory, Trajectory]]) -> tuple[Picture, str]:
    """Pairs of flows: w in space for d = 3, in the plane for d = 2, else its coordinates against time."""
    d, data = next(iter(pairs.values()))[0].w.shape[-1], []
    for k, (label, pair) in enumerate(pairs.items()):
        for flow, kind in zip(pair, ("gradient flow", "mirror flow"), strict=True):
            name, dots = f"{label}: {kind}" if label else kind, kind == "mirror flow"
            if d in (2, 3):
                data.append(_path(_points(flow), name, colour_of(k), dots))
            else:
                data += _coordinates(flow, name, dots, colour_of(k) if len(pairs) > 1 else "")
    words = "Gradient flow (a line) and mirror flow (black dots) of w: one path for each loss."
    if d == 3:
        return {"data": data, "layout": solid_layout(("w₁", "w₂", "w₃"))}, words + " Turn it with the mouse."
    if d == 2:
        return {"data": data, "layout": plane_layout("w₁", "w₂", equal=True)}, words
    some = f" The {COORDINATES} of {d} coordinates that move farthest." if d > COORDINATES else ""
    return {"data": data, "layout": plane_layout("t", "w")}, words + some


def gaps(reports: Mapping[str, EquivalenceReport]) -> tuple[Picture, str]:
    """The gap between both flows against time, and its tolerance."""
    data: list[Any] = []
    for k, (label, report) in enumerate(reports.items()):
        t, gap = report.gradient_flow.t[: len(report.gap_over_time)], report.gap_over_time
        some = _some(len(t))
        shown = np.where(gap[some] > 0, gap[some], np.nan)
        data.append({"type": "scatter", "mode": "lines", "x": plain(t[some]), "y": plain(shown), "name": label or "gap",
                     "line": {"color": colour_of(k)}, "connectgaps": True})  # fmt: skip
    first = next(iter(reports.values()))
    ends = [0.0, float(first.gradient_flow.t[-1])]
    data.append({"type": "scatter", "mode": "lines", "x": ends, "y": [first.tol] * 2, "name": "tolerance",
                 "line": {"color": "black", "dash": "dash", "width": 1}})  # fmt: skip
    layout = plane_layout("t", "gap, relative to the way of w")
    layout["yaxis"] |= {"type": "log", "exponentformat": "power"}
    return {"data": data, "layout": layout}, "Largest difference of w between both flows, over time."


def surface(F: Realization, flow: Trajectory | None) -> tuple[Picture, str]:
    """M = F(K) in R^3 or its three principal axes, coloured by metric error, with a gradient flow on it."""
    w = grid_of(F, SIDE + 14)
    frame = Frame(F.embedding(w))
    p, error = frame(F.embedding(w)), np.log10(np.maximum(F.metric_error(w), SMALLEST))
    bar = {"title": {"text": "log₁₀ of relative<br>metric error"}, "len": 0.6}
    if F.dim == 1:
        look = {"color": plain(error[:, 0]), "colorscale": SCALE, "colorbar": bar, "size": 3}
        xyz = dict(zip("xyz", map(plain, p[:, 0].T), strict=True))
        data: list[Any] = [{"type": "scatter3d", "mode": "markers", **xyz, "marker": look, "name": "M"}]
    else:
        xyz = dict(zip("xyz", map(plain, np.moveaxis(p, -1, 0)), strict=True))
        data = [{"type": "surface", **xyz, "surfacecolor": plain(error), "colorscale": SCALE, "colorbar": bar,
                 "opacity": 0.85, "name": "M"}]  # fmt: skip
    if flow is not None and flow.x is not None:
        x = flow.x.reshape(len(flow.t), -1)[_some(len(flow.t))]
        data.append(_path(frame(x), "gradient flow", colour_of(1), dots=False))
    letters = ("x₁", "x₂", "x₃") if F.ambient_dim <= 3 else ("axis 1", "axis 2", "axis 3")
    words = f"{frame.said or f'M in R^{F.ambient_dim}'}, all axes of one scale. Turn it with the mouse."
    return {"data": data, "layout": solid_layout(letters)}, words


def stages(F: Realization) -> tuple[Picture, str]:
    """The error of every stage of the solver."""
    places = list(range(len(F.stages)))  # one a stage: another start has the same degrees again
    told = {"fresh points": [s.fresh for s in F.stages], "points of the solver": [s.fitted for s in F.stages]}
    data = [
        {"type": "scatter", "mode": "lines+markers", "x": places, "y": plain(np.maximum(y, SMALLEST)), "name": name,
         "line": {"color": colour_of(k)}}
        for k, (name, y) in enumerate(told.items())
    ]  # fmt: skip
    layout = plane_layout("frequency" if F.method == "twist" else "degree", "relative metric error")
    layout["yaxis"] |= {"type": "log", "exponentformat": "power"}
    layout["xaxis"] |= {"tickvals": places, "ticktext": [f"{stage.parameter:.3g}" for stage in F.stages]}
    return {"data": data, "layout": layout}, "Relative metric error of every stage of the solver."


# layouts and traces -------------------------------------------------------------------------------------------------


def solid_layout(letters: tuple[str, str, str], equal: bool = True) -> dict[str, Any]:
    """A layout with three axes, of one scale if `equal`."""
    axes = {f"{key}axis": {"title": {"text": text}} for key, text in zip("xyz", letters, strict=True)}
    scene = {**axes, "aspectmode": "data" if equal else "cube", "camera": {"eye": {"x": 1.5, "y": -1.7, "z": 1.1}}}
    return {"scene": scene, "margin": {"l": 0, "r": 0, "t": 10, "b": 0}, "legend": {"orientation": "h"}, "height": 520}


def plane_layout(x: str, y: str, equal: bool = False) -> dict[str, Any]:
    """A layout of the plane, of one scale if `equal`."""
    grid = {"gridcolor": "#e5e5e5", "zeroline": False}
    other: dict[str, Any] = {"title": {"text": y}, **grid, **({"scaleanchor": "x"} if equal else {})}
    return {"xaxis": {"title": {"text": x}, **grid}, "yaxis": other, "height": 400, "plot_bgcolor": "white",
            "legend": {"orientation": "h", "y": -0.2}, "margin": {"l": 70, "r": 20, "t": 30, "b": 50}}  # fmt: skip


def plain(array: Any) -> Any:
    """An array as lists of six digits, None where there is no number: what JSON has."""
    array = np.asarray(array, dtype=float)
    if array.ndim > 1:
        return [plain(row) for row in array]
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in array.tolist()]


def _path(points: Array, name: str, colour: str, dots: bool) -> dict[str, Any]:
    d = points.shape[1]
    points = points[_some(len(points), DOTS)] if dots else points
    look: dict[str, Any] = (
        {"mode": "markers", "marker": {"color": "black", "size": 2.5 if d == 3 else 4, "line": {"width": 0}}}
        if dots
        else {"mode": "lines", "line": {"color": colour, "width": 8}, "opacity": 1.0 if d == 3 else 0.45}
    )
    kind = "scatter3d" if d == 3 else "scatter"
    return {"type": kind, "name": name, **dict(zip("xyz", map(plain, points.T), strict=False)), **look}


def _coordinates(flow: Trajectory, name: str, dots: bool, colour: str) -> list[dict[str, Any]]:
    """Coordinates of the first path against time, those that move farthest."""
    some, w = _some(len(flow.t)), flow.w.reshape(len(flow.t), -1, flow.w.shape[-1])[:, 0]
    order = np.argsort(-np.ptp(np.nan_to_num(w), axis=0), kind="stable")[:COORDINATES]
    return [
        _path(np.column_stack([flow.t[some], w[some, i]]), f"w{i + 1}, {name}", colour or colour_of(rank), dots)
        for rank, i in enumerate(order)
    ]


def _points(flow: Trajectory) -> Array:
    """Points of the paths of a flow, with a gap between two of a batch; shape=[n, d]."""
    d, some = flow.w.shape[-1], _some(len(flow.t))
    whole = flow.w.reshape(len(flow.t), -1, d)[some][:, :PATHS]
    parts = [whole[:, 0]]
    for k in range(1, whole.shape[1]):
        parts += [np.full((1, d), np.nan), whole[:, k]]
    return np.concatenate(parts)


def _some(n: int, most: int = TIMES) -> Index:
    """At most `most` of n times, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))
