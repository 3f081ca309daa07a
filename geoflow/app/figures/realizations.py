"""Realizations: M = F(K), the metric error on it, the stages of its solver, and flows on it."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from geoflow._typing import Array
from geoflow.app.figures.styling import COLOURS, MAP, drawing, entitle, equal_solid, face, in_words
from geoflow.errors import ArgumentError
from geoflow.realization.realized import Realization
from geoflow.results import Trajectory

SMALLEST = 1e-17


def realized_surface(F: Realization, ax: Axes | None = None, flow: Trajectory | None = None, n: int = 40) -> Axes:
    """M = F(K) in R^3, or in its three principal axes, all of one scale, coloured by relative metric error.

    For d = 1 it is a curve; for d > 2 the first and the last coordinate of w vary, and the others are those of the
    interior point. A `flow` on M is drawn on it, from a square to a dot.
    """
    w = grid_of(F, n)
    x = F.embedding(w)
    frame = Frame(x)
    p, error = frame(x), np.log10(np.maximum(F.metric_error(w), SMALLEST))
    with drawing(ax, height=3.0, solid=True) as axis:
        norm = Normalize(error.min() - 1e-9, error.max() + 1e-9)
        map_ = matplotlib.colormaps[MAP]
        if F.dim == 1:
            axis.scatter(*p[:, 0].T, c=map_(norm(error[:, 0])), s=4)
        else:
            look = {"alpha": 0.55, "lw": 0} if flow is not None else {}
            axis.plot_surface(*np.moveaxis(p, -1, 0), facecolors=map_(norm(error)), rstride=1, cstride=1, shade=False,
                              rasterized=True, **look)  # fmt: skip
        drawn = [p.reshape(-1, 3)]
        if flow is not None and flow.x is not None:
            path = frame(flow.x.reshape(len(flow.t), -1))
            axis.plot(*path.T, color=COLOURS[1], lw=2, zorder=10)
            axis.plot(*path[:1].T, "s", color="black", ms=4, zorder=11)
            axis.plot(*path[-1:].T, "o", color=COLOURS[1], ms=4, zorder=11)
            drawn.append(path)
        equal_solid(axis, np.concatenate(drawn))
        face(axis, np.concatenate(drawn))
        for letter, label in zip("xyz", frame.labels, strict=True):
            getattr(axis, f"set_{letter}label")(label, labelpad=-6, fontsize=7)
        bar = axis.figure.colorbar(
            ScalarMappable(norm, map_), ax=axis, location="bottom", shrink=0.6, pad=0.0, aspect=24
        )
        bar.set_label(r"$\log_{10}$ of relative metric error", fontsize=7)
        entitle(axis, *titles(F), frame.said, _slice(F))
        return axis


def flow_on_realization(F: Realization, flow: Trajectory, ax: Axes | None = None, n: int = 40) -> Axes:
    """M = F(K) as `realized_surface` draws it, with a gradient flow on it."""
    if flow.x is None:
        raise ArgumentError("flow", "a mirror flow, which has no x", "a gradient flow of F.parametrization")
    return realized_surface(F, ax, flow, n)


def metric_error(F: Realization, ax: Axes | None = None, n: int = 60) -> Axes:
    """Relative metric error over the region: a curve for d = 1, a map of the plane for d = 2.

    For d > 2 it is the share of random points with an error up to a number. A cross is the worst point of the
    certificate, a line its tolerance.
    """
    c = F.certificate
    with drawing(ax) as axis:
        entitle(axis, *titles(F), f"largest error {c.metric_error:.1e}, tolerance {c.tol:.0e}")
        if F.dim > 2:
            points = F.target.sample(2000, np.random.default_rng(0))
            errors = np.sort(np.maximum(F.metric_error(points), SMALLEST))
            axis.semilogx(errors, np.arange(1, len(errors) + 1) / len(errors), color=COLOURS[0])
            axis.axvline(c.tol, color="black", lw=0.8, ls="--")
            axis.set(xlabel="relative metric error", ylabel="share of points below")
            return axis
        w = grid_of(F, n)
        errors = np.maximum(F.metric_error(w), SMALLEST)
        if F.dim == 1:
            axis.semilogy(w[:, 0, 0], errors[:, 0], color=COLOURS[0])
            axis.axhline(c.tol, color="black", lw=0.8, ls="--")
            axis.set(xlabel="$w_1$", ylabel="relative metric error")
            return axis
        drawn = axis.pcolormesh(w[..., 0], w[..., 1], np.log10(errors), shading="gouraud", cmap=MAP, rasterized=True)
        axis.plot(*c.witness, "x", color=COLOURS[1], ms=6, mew=1.5, clip_on=False)
        axis.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal")
        axis.figure.colorbar(drawn, ax=axis).set_label(r"$\log_{10}$ of relative metric error")
        return axis


def convergence(F: Realization, ax: Axes | None = None) -> Axes:
    """Relative metric error of every stage of the solver, at the points it saw and at fresh ones.

    A solver that stopped after one stage has no convergence to show: `metric_error` shows where its error is.
    """
    if len(F.stages) < 2:
        got = f"{len(F.stages)} of method {F.method!r}"
        raise ArgumentError("stages of the solver", got, "at least 2", "gf.plotting.metric_error draws its error")
    twist, stages, place = F.method == "twist", F.stages, np.arange(len(F.stages))
    labels = [f"{s.parameter:.3g}" + (f"\n{s.grid}" if twist else "") for s in stages]
    with drawing(ax) as axis:
        axis.semilogy(place, [s.fresh for s in stages], "o-", color=COLOURS[0], label="fresh points")
        seen = [max(s.fitted, SMALLEST) for s in stages]
        axis.semilogy(place, seen, "s--", color=COLOURS[1], label="points of the solver")
        axis.axhline(F.certificate.tol, color="black", lw=0.8, ls=":", label="tolerance")
        axis.set_xticks(place, labels)
        axis.set(xlabel="frequency, and points an axis" if twist else "degree", ylabel="relative metric error")
        axis.legend()
        entitle(axis, *titles(F), "error of every stage of the solver")
        return axis


# what pages draw, too -----------------------------------------------------------------------------------------------


class Frame:
    """Points of R^D as points of R^3: themselves for D <= 3, else in the three principal axes of given ones."""

    def __init__(self, x: Array):
        flat = x.reshape(-1, x.shape[-1])
        self.dim, self.middle = x.shape[-1], np.zeros(x.shape[-1])
        self.axes = np.eye(3, self.dim) if self.dim <= 3 else np.zeros((3, self.dim))
        self.labels: tuple[str, ...] = tuple(f"$x_{i}$" if i <= self.dim else "" for i in (1, 2, 3))
        self.said = ""
        if self.dim > 3:
            self.middle = flat.mean(axis=0)
            _, size, axes = np.linalg.svd(flat - self.middle, full_matrices=False)
            share = 100 * size[:3] ** 2 / max(float((size**2).sum()), 1e-300)
            self.axes[: min(3, len(axes))] = axes[:3]
            self.labels = "axis 1", "axis 2", "axis 3"
            held = ", ".join(f"{s:.3g}" for s in share)
            self.said = f"M in three principal axes of R^{self.dim}, with {held} % of its variance"

    def __call__(self, x: Array) -> Array:
        """shape=[..., D] to shape=[..., 3]."""
        return (x - self.middle) @ self.axes.T


def grid_of(F: Realization, n: int) -> Array:
    """Points of the region: its first and its last coordinate vary; shape=[n, n, d], or [n, 1, 1] for d = 1."""
    low, high = _bounds(F)
    w = np.tile(F.region.interior_point(), (n, n if F.dim > 1 else 1, 1))
    w[..., 0] = np.linspace(low[0], high[0], n)[:, None]
    if F.dim > 1:
        w[..., -1] = np.linspace(low[-1], high[-1], n)[None, :]
    return w


def titles(F: Realization) -> tuple[str, str]:
    """What was realized where, and how."""
    return f"{F.target.name} on {in_words(F.region)}", f"{F.method} embedding in R^{F.ambient_dim}"


def _slice(F: Realization) -> str:
    if F.dim <= 2:
        return ""
    point = F.region.interior_point()[1:-1]
    return f"w_1 and w_{F.dim} vary, the others are {', '.join(f'{v:.3g}' for v in point[:6])}"


def _bounds(F: Realization) -> tuple[Array, Array]:
    """Corners of the box to draw: the region, or the spread of its sample where it is unbounded."""
    box = F.target.box
    if box is not None:
        inset = 1e-3 * (box.upper - box.lower)
        return box.lower + inset, box.upper - inset
    centre = F.region.interior_point()
    room = float(F.target.room(centre[None])[0])
    return centre - 0.5 * room / len(centre), centre + 0.5 * room / len(centre)
