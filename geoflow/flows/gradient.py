"""Gradient flow through a parametrization, by scipy's integrators, or diffrax's where the kernel is compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_options, as_times, require_type
from geoflow.flows.compiled import compiled_flow
from geoflow.flows.losses import Loss, PointwiseLoss, Schedule, as_schedule, trajectory_of
from geoflow.maps.compiled import CompiledKernel
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics.integrate import Problem, Solver, SolverOptions
from geoflow.potentials.regularized import with_regularizer
from geoflow.results import Trajectory

if TYPE_CHECKING:
    from typing_extensions import Unpack


def gradient_flow(
    loss: Loss,
    G: Parametrization,
    x0: ArrayLike,
    t: ArrayLike,
    *,
    regularizer: Map | None = None,
    schedule: Schedule | None = None,
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
    rtol, atol, method : optional
        As for `geoflow.numerics.integrate.Solver`; on a curved M a hundredth of the tolerances is used.

    Raises
    ------
    NotOnManifoldError, ShapeError, ArgumentError, NotFiniteError
        For bad input. A flow that leaves the domain or blows up does not raise: it stops with a status.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0, times, integrator = G.require_points(x0, "x0"), as_times(t), as_options(Solver, solver, "gradient_flow")
    w0, x0, d, D = G(x0).reshape(-1, G.codomain_dim), G.flatten(x0), G.codomain_dim, G.dim
    pointwise = PointwiseLoss(loss, d)
    pointwise.require_scalar(w0[0], 0.0)
    alpha, n, batch = as_schedule(schedule, regularizer is not None), len(w0), x0.shape[:-1]
    fields = G if regularizer is None else _joint(G, regularizer, x0)
    note = ""
    if isinstance(fields.kernel, CompiledKernel) and integrator.method == "auto" and times[-1] > 0:
        sharper = integrator.sharper(1.0 if G.is_euclidean else 1e-2)
        found, note = _compiled(fields.kernel, pointwise, (x0, w0), times, schedule, sharper)
        if found is not None:
            return _of_batch(found, G, batch)

    def rhs(s: float, y: Array) -> Array:
        value, pull = fields.kernel.linearized(y.reshape(n, D + d)[:, :D])
        force = -pointwise.gradient(value[:, :d], s)
        push = force if fields is G else np.concatenate([force, np.full((n, 1), -alpha(s))], axis=1)
        return np.concatenate([pull(push), force], axis=1).ravel()

    def states(y: Array) -> Array:
        return y.reshape(*y.shape[:-1], *batch, D + d)

    y0 = np.concatenate([x0.reshape(n, D), np.zeros((n, d))], axis=1).ravel()
    # nothing but the integrator's own accuracy keeps a flow on a curved M: two more digits there
    solution = integrator.sharper(1.0 if G.is_euclidean else 1e-2).integrate(Problem(rhs, y0, n), times)
    x, mu = states(solution.y)[..., :D], states(solution.y)[..., D:]
    flow = trajectory_of(solution, pointwise, lambda y: G.kernel.value(states(y)[..., :D]), mu, G.unflatten(x))
    return replace(flow, message=f"{flow.message}; not by the compiled loop: {note}") if note else flow


def _compiled(
    kernel: CompiledKernel, loss: PointwiseLoss, start: tuple[Array, Array], times: Array, alpha: Any, solver: Solver
) -> tuple[Trajectory | None, str]:
    """The flow of flat points by the compiled loop, or None and why not."""
    if callable(alpha):
        return None, "the schedule is a function of time"
    x0, w0 = start
    flow, note = compiled_flow(kernel, w0.shape[1], loss, w0[0])
    if flow is None:
        return None, note
    return flow.run(loss, x0.reshape(-1, kernel.dim), times, 1.0 if alpha is None else float(alpha), solver)


def _joint(G: Parametrization, regularizer: Map, x0: Array) -> Parametrization:
    """The map (G, h), which a compiled kernel remembers."""
    known: dict[Any, Parametrization] = G.kernel.remembered if isinstance(G.kernel, CompiledKernel) else {}
    if regularizer not in known:
        known[regularizer] = with_regularizer(G, regularizer, G.unflatten(x0.reshape(-1, G.dim)[0]))
    return known[regularizer]


def _of_batch(flow: Trajectory, G: Parametrization, batch: tuple[int, ...]) -> Trajectory:
    """A flow of flat points, shape=[N, D], as one of the points of a batch."""

    def shaped(v: Array) -> Array:
        return v.reshape(v.shape[0], *batch, *v.shape[2:])

    def dense(t: ArrayLike) -> Array:
        w = flow.sol(t)
        return w.reshape(*np.shape(t), *batch, w.shape[-1])

    assert flow.x is not None
    x = G.unflatten(shaped(flow.x))
    return replace(flow, w=shaped(flow.w), x=x, mu=shaped(flow.mu), loss=shaped(flow.loss), sol=dense)
