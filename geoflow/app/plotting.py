"""Every picture: each function draws on the Axes it is given, or on a figure of its own, and returns the Axes.

`plot` draws the obvious picture of one object; `save` writes a picture as PNG and as SVG; `style` is the style of all.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from matplotlib.axes import Axes

from geoflow.app.figures.bias import norm_ratios, regularization_path
from geoflow.app.figures.flows import gap_over_time, gaps, trajectories, trajectory
from geoflow.app.figures.loops import holonomy, joint_flow_grid
from geoflow.app.figures.potentials import bregman_cells, potential
from geoflow.app.figures.realizations import convergence, flow_on_realization, metric_error, realized_surface
from geoflow.app.figures.styling import COLOURS, STYLE, save, style
from geoflow.errors import ArgumentError
from geoflow.potentials.legendre import LegendreFunction
from geoflow.realization.realized import Realization
from geoflow.results import EquivalenceReport, Trajectory

__all__ = [
    "COLOURS",
    "STYLE",
    "bregman_cells",
    "convergence",
    "flow_on_realization",
    "gap_over_time",
    "gaps",
    "holonomy",
    "joint_flow_grid",
    "metric_error",
    "norm_ratios",
    "plot",
    "potential",
    "realized_surface",
    "regularization_path",
    "save",
    "style",
    "trajectories",
    "trajectory",
]


@singledispatch
def plot(value: Any, ax: Axes | None = None, **options: Any) -> Axes:
    """The obvious picture of a trajectory, a report, a realization or a Legendre function."""
    raise ArgumentError("object to draw", type(value).__name__, "a Trajectory, a report, a Realization or an R")


@plot.register
def _(value: Trajectory, ax: Axes | None = None, **options: Any) -> Axes:
    return trajectory(value, ax, **options)


@plot.register
def _(value: EquivalenceReport, ax: Axes | None = None, **options: Any) -> Axes:
    return trajectories({"": value}, ax, **options)


@plot.register
def _(value: Realization, ax: Axes | None = None, **options: Any) -> Axes:
    return realized_surface(value, ax, **options)


@plot.register
def _(value: LegendreFunction, ax: Axes | None = None, **options: Any) -> Axes:
    return potential(value, ax, **options)
