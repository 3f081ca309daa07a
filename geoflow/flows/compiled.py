"""Gradient flow of a compiled kernel: velocities in jax, integrated in one compiled loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow.flows.losses import LeastSquares, LinearModelLoss, LogisticLoss, PointwiseLoss
from geoflow.maps.compiled import CompiledKernel
from geoflow.maps.kernel import MapKernel
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics import engine
from geoflow.numerics.engine import Compiled, Point
from geoflow.numerics.integrate import Solver
from geoflow.numerics.loops import CompiledFlow
from geoflow.potentials.regularized import with_regularizer
from geoflow.results import Status, Trajectory, require_within

#: compiled flows that a kernel remembers
REMEMBERED = 16


class GradientFlow:
    """x' = sum_i mu_i' grad G_i with mu' = -grad L_t(G(x)), compiled for one loss, or for one kind of linear model.

    `value` and `force` take (w, t, data) to L and to its gradient or, for a linear model L(w) = l(Zw) with
    data = (Z, y, ...), to grad l, shape=[n]. The state is x and the dual coordinates: nu in R^n with mu = -Z^T nu for a
    model with fewer rows than w has entries, else mu. Outputs of the kernel after the first d are regularizers.
    """

    def __init__(self, kernel: CompiledKernel, d: int, value: Point, force: Point, rows: int | None):
        self.kernel, self.d, self._value, self._force = kernel, d, value, force
        self._linear, self._short = rows is not None, rows is not None and rows < d
        self._dual = rows if rows is not None and rows < d else d
        self._flow = CompiledFlow(self._rhs, self._observe, kernel.dim)
        self._loss_at = Compiled(lambda w, t: (value(w, t, ()), force(w, t, ())), 1, 0)

    def is_of(self, loss: PointwiseLoss, w: Array) -> bool:
        """Whether a loss that was compiled has not changed since: at w, shape=[d], it and its gradient are the same."""
        with np.errstate(all="ignore"):
            now = loss.value(w[None], 0.0)[0], loss.gradient(w[None], 0.0)[0]
            return not any(engine.disagreement(a, b) for a, b in zip(self._loss_at(w, 0.0), now, strict=True))

    def run(
        self, loss: PointwiseLoss, x: Array, times: Array, alpha: float, solver: Solver
    ) -> tuple[Trajectory | None, str]:
        """The trajectory from flat points, shape=[N, D], or None and a note where the loop ended early."""
        model: Any = loss.loss
        data = (model.Z, model.y) if self._linear else ()
        data = (*data, np.full(self.kernel.codomain_dim - self.d, alpha))
        # diffrax interpolates between the ends of steps, with an error some ten times theirs
        own, interpolated = ((max(s.rtol, 3e-14), s.atol) for s in (solver, solver.sharper(0.3)))
        end, tolerances = float(times[-1]), interpolated if np.any(times[:-1] > 0) else own
        start = np.concatenate([x, np.zeros((len(x), self._dual))], axis=1)
        seen, evaluations, success = self._flow(start, times[:-1], end, data, tolerances)
        if not success:
            return None, "it ended early"

        def dense(t: ArrayLike) -> Array:
            s = require_within(t, end)
            order = np.argsort(s.ravel())
            w = np.empty((s.size, len(x), self.d))
            w[order] = self._flow(start, np.minimum(s.ravel()[order], end), end, data, interpolated)[0][1][:-1]
            return w.reshape(*s.shape, *w.shape[1:])

        at, w, mu, losses = seen
        message, statuses = "reached the last time asked for", np.full(len(x), Status.SUCCESS.value)
        return Trajectory(times, w, at, mu, losses, Status.SUCCESS, message, dense, evaluations, "Dopri8", statuses), ""

    def _rhs(self, t: Any, y: Any, data: Any) -> Any:
        x = y[: self.kernel.dim]
        rate = self._force(self.kernel.point(x)[: self.d], t, data)
        force = -(rate @ data[0]) if self._linear else -rate
        push = engine.concatenate([force, -data[-1]]) if self.kernel.codomain_dim > self.d else force
        return engine.concatenate([self.kernel.pull_at(x, push), rate if self._short else force])

    def _observe(self, t: Any, y: Any, data: Any) -> Any:
        x, dual = y[: self.kernel.dim], y[self.kernel.dim :]
        w = self.kernel.point(x)[: self.d]
        return x, w, -(dual @ data[0]) if self._short else dual, self._value(w, t, data)


def compiled_trajectory(
    kernel: MapKernel,
    loss: PointwiseLoss,
    start: Array,
    times: Array,
    how: tuple[Callable[[float], float] | float | None, Solver],
) -> tuple[Trajectory | None, str]:
    """The flow of the states (x, mu), shape=[N, D + d], by the compiled loop; or None, and a note where that is news.

    `how` has the strength of a regularizer, the kernel's last output where it has more than d, and the tolerances.
    """
    alpha, solver = how
    if not isinstance(kernel, CompiledKernel) or solver.method != "auto" or times[-1] == 0:
        return None, ""
    if not engine.has_diffrax():
        return None, "diffrax is not installed: pip install geoflow[jax]"
    if kernel.may_leave:
        return None, "a flow may leave the open manifold"
    if callable(alpha):
        return None, "the schedule is a function of time"
    x = start[:, : kernel.dim]
    flow, note = _flow_of(kernel, loss, x[0])
    if flow is None:
        return None, note
    return flow.run(loss, x, times, 1.0 if alpha is None else float(alpha), solver)


def joint_map(G: Parametrization, h: Map, x: Array) -> Parametrization:
    """The map (G, h), which a compiled kernel remembers as long as h has its value at flat points x, shape=[1, D]."""
    point = G.unflatten(x)[0]
    if not isinstance(G.kernel, CompiledKernel) or not isinstance(h, Hashable):
        return with_regularizer(G, h, point)
    key = ("with", h)
    known: Parametrization | None = G.kernel.remembered.get(key)
    if known is None or engine.disagreement(known.kernel.value(x)[:, -1], np.asarray(h(G.unflatten(x)))):
        known = with_regularizer(G, h, point)
        _remember(G.kernel, key, known)
    return known


def _flow_of(kernel: CompiledKernel, loss: PointwiseLoss, x: Array) -> tuple[GradientFlow | None, str]:
    """The compiled flow for a loss, recorded at a flat point; what was compiled is remembered with the kernel."""
    model: Any = loss.loss
    linear = type(model) in (LeastSquares, LogisticLoss)
    key: Any = (type(model), *model.Z.shape) if linear else model
    if not isinstance(key, Hashable):
        return None, "a loss that cannot be hashed is not compiled"
    found: GradientFlow | None = kernel.remembered.get(key)
    if linear and found is not None:
        return found, ""
    w = kernel.value(x)[: loss.dim]
    if found is None or not found.is_of(loss, w):
        value, force, note = _linear_model(model) if linear else _recorded(loss, w)
        if value is None or force is None:
            return None, f"the loss cannot be recorded: {note}"
        found = GradientFlow(kernel, loss.dim, value, force, len(model.y) if linear else None)
        _remember(kernel, key, found)
    return found, ""


def _remember(kernel: CompiledKernel, key: Hashable, made: Any) -> None:
    while len(kernel.remembered) >= REMEMBERED:
        kernel.remembered.pop(next(iter(kernel.remembered)))
    kernel.remembered[key] = made


def _linear_model(model: LinearModelLoss) -> tuple[Point | None, Point | None, str]:
    """l(Zw) and grad l(Zw) of (w, t, (Z, y)), from the formulas of the model's class with y as an argument."""
    n = len(model.y)

    def with_labels(y: Array) -> LinearModelLoss:
        other = copy.copy(model)
        other.y = y
        return other

    z = np.random.default_rng(0).standard_normal((3, n))
    points = np.concatenate([z, np.broadcast_to(model.y, z.shape)], axis=1)
    link, note = engine.recorded_point(_one_by_one(lambda s: with_labels(s[n:]).link(s[:n])), points)
    slope, other_note = engine.recorded_point(_one_by_one(lambda s: with_labels(s[n:]).link_gradient(s[:n])), points)
    if link is None or slope is None:
        return None, None, note or other_note
    return (
        lambda w, t, data: link(engine.concatenate([data[0] @ w, data[1]])),
        lambda w, t, data: slope(engine.concatenate([data[0] @ w, data[1]])),
        "",
    )


def _recorded(loss: PointwiseLoss, w: Array) -> tuple[Point | None, Point | None, str]:
    """L and grad L of (w, t, data), recorded; the gradient is the loss's own where it has one."""
    d, rng = len(w), np.random.default_rng(0)
    points = np.stack([np.r_[w * rng.uniform(0.8, 1.2, d), t] for t in (0.0, 0.3, 1.7)])
    value, note = engine.recorded_point(_one_by_one(lambda s: loss.at(s[:d], s[d])), points)
    if value is None:
        return None, None, note
    L = value
    if (own := loss.own_gradient) is None:
        slope: Point | None = engine.jacobian(L)
    else:
        slope, note = engine.recorded_point(_one_by_one(lambda s: own(s[:d], s[d])), points)
    if slope is None:
        return None, None, note
    dL = slope
    return (
        lambda w, t, data: L(engine.concatenate([w, t.reshape(1)])),
        lambda w, t, data: dL(engine.concatenate([w, t.reshape(1)]))[:d],
        "",
    )


def _one_by_one(f: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """f of one vector as a function of a batch, for a loss that is only asked for one point."""

    def batched(s: Array) -> Any:
        if np.ndim(s) == 1:
            return f(s)
        values = np.stack([np.asarray(f(point), dtype=float) for point in s.reshape(-1, s.shape[-1])])
        return values.reshape(s.shape[:-1] + values.shape[1:])

    return batched
