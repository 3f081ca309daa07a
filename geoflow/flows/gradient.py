"""Gradient flow through a parametrization, by scipy's integrators, or diffrax's where the kernel is compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_options, as_times, require_type
from geoflow.errors import DomainError, NotFiniteError
from geoflow.flows.compiled import compiled_trajectory, joint_map
from geoflow.flows.losses import Loss, PointwiseLoss, Schedule, as_schedule, trajectory_of
from geoflow.flows.titles import titled
from geoflow.flows.units import sized, sizes_on_leaf
from geoflow.flows.until import Until, as_until, stopped
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics.differences import entrywise_jacobian
from geoflow.numerics.integrate import Solver, SolverOptions
from geoflow.numerics.runs import Problem, Solution
from geoflow.results import Status, Trajectory
from geoflow.spaces.probes import DRIFT, drift, has_sides, remembers

if TYPE_CHECKING:
    from typing_extensions import Unpack


@titled("gradient flow", "map")
def gradient_flow(
    loss: Loss,
    G: Parametrization,
    x0: ArrayLike,
    t: ArrayLike,
    *,
    regularizer: Map | None = None,
    schedule: Schedule | None = None,
    until: Until | None = None,
    **solver: Unpack[SolverOptions],
) -> Trajectory:
    """Integrate gradient flow on M, x' = -dG(x)^T grad L_t(G(x)), from x(0) = x0.

    With a regularizer, x' = -dG(x)^T grad L_t(G(x)) - alpha(t) grad h(x). `mu` is minus the integral of grad L.

    Parameters
    ----------
    loss : callable
        loss(w) or loss(w, t), scalar; its `gradient` is used where it has one.
    G : Parametrization
    x0 : array-like, shape=[..., D]
    t : float or array-like, shape=[n_times]
        Output times, increasing and nonnegative; a scalar T means 101 times from 0 to T. The flow starts at t = 0.
    regularizer : callable, optional
        x to h(x), scalar; |x|^2 / 2 is weight decay.
    schedule : callable or float, optional
        t to alpha(t), the strength of the regularizer; 1 by default.
    until : dict, optional
        Bounds of `geoflow.flows.until.Until`, as {"loss": 1e-8}, on "loss", "gradient" and "change".
    check : bool
        The gradient of the loss is compared with differences of its values near the start; False believes it.
    rtol, atol, method : optional
        As for `geoflow.numerics.integrate.Solver`; on a curved M a hundredth of the tolerances is used.

    Raises
    ------
    NotOnManifoldError, ShapeError, ArgumentError, NotFiniteError
        For bad input. A flow that leaves the domain or blows up does not raise: it stops with a status.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0, times, integrator = G.require_points(x0, "x0"), as_times(t), as_options(Solver, solver, "gradient_flow")
    bounds = as_until(until)
    w0, x0 = G(x0).reshape(-1, G.codomain_dim), G.flatten(x0)
    pointwise = PointwiseLoss(loss, G.codomain_dim, integrator.check)
    pointwise.require_scalar(w0[0], 0.0)
    alpha, batch = as_schedule(schedule, regularizer is not None), x0.shape[:-1]
    fields = G if regularizer is None else joint_map(G, regularizer, x0.reshape(-1, G.dim)[:1])
    start = np.concatenate([x0.reshape(len(w0), -1), np.zeros_like(w0)], axis=1)
    plain = _problem(fields, pointwise, start, alpha)
    integrator = _in_units(integrator, G, plain, x0, float(times[-1]))
    flow, note = compiled_trajectory(fields.kernel, pointwise, start, times, (schedule, integrator))
    if flow is None:
        drive = pointwise.drive(w0[0], alpha if callable(schedule) else None)
        problem = replace(plain, drive=drive, remembers=remembers(G.space))
        flow = _by_steps(integrator.integrate(problem, times), G, pointwise, start.shape)
    return stopped(_of_batch(_watched(flow, G, integrator.rtol), G, batch, note), pointwise, bounds)


def _by_steps(solution: Solution, G: Parametrization, loss: PointwiseLoss, shape: tuple[int, ...]) -> Trajectory:
    """The trajectory of flat states (x, mu), which have this shape."""

    def states(y: Array) -> Array:
        return y.reshape(*y.shape[:-1], *shape)

    x, mu = states(solution.y)[..., : G.dim], states(solution.y)[..., G.dim :]
    return trajectory_of(solution, loss, lambda y: G.kernel.value(states(y)[..., : G.dim]), mu, x)


def _watched(flow: Trajectory, G: Parametrization, rtol: float) -> Trajectory:
    """The flow with its drift off a curved M in its message, and as a failure where it has left M."""
    if not has_sides(G.space) or flow.x is None:
        return flow
    off = np.nan_to_num(drift(G.space, flow.x.reshape(-1, G.dim))).reshape(len(flow.t), -1).max(axis=1)
    worst, name = int(np.argmax(off)), type(G.space).__name__
    if off[worst] <= max(DRIFT, 1e4 * rtol):
        return replace(flow, message=f"{flow.message}; on {name} to {off[worst]:.1e}")
    message = (
        f"the flow left {name}: {off[worst]:.1e} off it at t = {flow.t[worst]:.6g}; check to_tangent and the metric"
    )
    return replace(flow, status=Status.FAILURE, message=message)


def _problem(G: Parametrization, loss: PointwiseLoss, start: Array, alpha: Callable[[float], float]) -> Problem:
    """The flow of the states (x, mu), shape=[N, D + d], where the map may have an output more, the regularizer."""
    n, D, d = len(start), G.dim, loss.dim

    def along(s: float, y: Array) -> Array:
        value, pull = G.kernel.linearized(y[:, :D])
        force = -loss.gradient(value[:, :d], s)
        push = force if G.codomain_dim == d else np.concatenate([force, np.full((len(y), 1), -alpha(s))], axis=1)
        return np.concatenate([pull(push), force], axis=1)

    def rhs(s: float, y: Array) -> Array:
        return along(s, y.reshape(n, D + d)).ravel()

    def jacobian(s: float, y: Array) -> Array:  # nothing depends on mu
        return entrywise_jacobian(partial(along, s), y.reshape(n, D + d), D)

    return Problem(rhs, start.ravel(), n, None if remembers(G.space) else jacobian)


def _in_units(integrator: Solver, G: Parametrization, problem: Problem, x0: Array, end: float) -> Solver:
    """The absolute tolerance in the size of x, and of mu, whatever their units.

    On a curved M nothing but the integrator's own accuracy keeps the flow on M: two more digits. There x may start at
    the origin of coordinates, and its size is that of its way.
    """
    x0 = x0.reshape(problem.entries, -1)
    try:
        with np.errstate(all="ignore"):
            way = problem.rhs(0.0, problem.start).reshape(problem.entries, -1)[:, : x0.shape[-1]] * end
    except (DomainError, NotFiniteError):  # the flow ends where it starts, and says so
        way = np.zeros_like(x0)
    if not G.is_euclidean:
        return sized(integrator.sharper(1e-2), np.maximum(np.abs(x0).max(), np.abs(way).max()))
    size, _, of_mu = sizes_on_leaf(G.kernel, x0, way)
    return sized(integrator, size, of_mu)


def _of_batch(flow: Trajectory, G: Parametrization, batch: tuple[int, ...], note: str) -> Trajectory:
    """A flow of flat points, shape=[N, D], as one of the points of a batch; the note is on the compiled loop."""

    def shaped(v: Array, axes: int = 1) -> Array:
        return v.reshape(*v.shape[:axes], *batch, *v.shape[axes + 1 :])

    assert flow.x is not None
    return replace(
        flow, w=shaped(flow.w), x=G.unflatten(shaped(flow.x)), mu=shaped(flow.mu), loss=shaped(flow.loss),
        sol=lambda t: shaped(flow.sol(t), np.ndim(t)), statuses=flow.statuses.reshape(batch),
        message=f"{flow.message}; not by the compiled loop: {note}" if note else flow.message,
    )  # fmt: skip
