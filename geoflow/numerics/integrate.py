"""Integration that ends with a verdict: over output times with dense output, and of a batch over [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np

from geoflow._typing import Array, Map
from geoflow._validate import describe
from geoflow.errors import ArgumentError, ConvergenceError, DomainError, NotFiniteError
from geoflow.results import Status

METHODS = ("auto", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
BLOW_UP = 1e14
MAX_EVALUATIONS = 500_000
FLOW_RTOL, FLOW_ATOL = 1e-12, 1e-14
MAX_STEPS = 3000
#: (s, state) to its velocity; NaN where there is none
Field = Callable[[float, Array], Array]


class SolverOptions(TypedDict, total=False):
    """The keywords of a `Solver`, as functions that integrate take them."""

    rtol: float
    atol: float
    method: str


@dataclass(frozen=True)
class Solver:
    """How to integrate over output times.

    Attributes
    ----------
    rtol, atol : float
        Tolerances of the integrator, a step.
    method : str
        A method of scipy's `solve_ivp`; "auto" is LSODA, which handles stiff flows, and DOP853 for the approach to a
        boundary or a blow-up where LSODA gives up.
    """

    rtol: float = 1e-9
    atol: float = 1e-12
    method: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ArgumentError("method", got=repr(self.method), wanted=f"one of {METHODS}")
        if not (self.rtol > 0 and self.atol >= 0):
            raise ArgumentError(
                "tolerances", got=f"rtol {self.rtol}, atol {self.atol}", wanted="rtol > 0 and atol >= 0"
            )

    def sharper(self, factor: float) -> Solver:
        """The same with both tolerances multiplied by a factor."""
        return replace(self, rtol=factor * self.rtol, atol=factor * self.atol)

    def integrate(
        self, rhs: Field, y0: Array, times: Array, jac: Callable[[float, Array], Array] | None = None
    ) -> Solution:
        """Integrate y' = rhs(t, y) from y(0) = y0, with a status instead of an exception.

        Parameters
        ----------
        rhs : callable
            (t, y of shape=[k]) to shape=[k]; NaN, `DomainError` or `NotFiniteError` where the field is not defined.
        y0 : array, shape=[k]
        times : array, shape=[n_times]
        jac : callable, optional
            (t, y) to the derivative of rhs, shape=[k, k].

        Raises
        ------
        NotFiniteError
            When the field is not defined at the start.
        """
        if self.method not in ("auto", "LSODA"):
            return _Attempt(rhs, y0, self, self.method, jac).run(times)
        # DOP853 alone would do at the ends of its steps, but its dense output loses digits on flows that are a little
        # stiff
        try:
            found = _Attempt(rhs, y0, self, "LSODA", jac).run(times)
        except _LsodaStuckError:
            found = None
        if found is not None and (found.status is Status.SUCCESS or self.method == "LSODA"):
            return found
        return _Attempt(rhs, y0, self, "DOP853", jac).run(times)


@dataclass
class Solution:
    """States at the times asked for, up to where the integration got, and how it ended."""

    t: Array
    y: Array
    dense: Callable[[Any], Array]
    status: Status
    message: str
    n_evaluations: int
    method: str


class _LsodaStuckError(Exception):
    """LSODA, unlike a Runge-Kutta method, neither recovers from a NaN nor gives up at a singularity."""


class _Attempt:
    """One run of scipy's `solve_ivp`, its evaluations counted."""

    def __init__(self, rhs: Field, y0: Array, solver: Solver, method: str, jac: Callable[[float, Array], Array] | None):
        self._rhs, self._y0, self._solver, self._method, self._jac = rhs, y0, solver, method, jac
        self._count, self._last_seen = 0, 0.0
        # a jacobian by differences takes an evaluation an unknown, and tells nothing about progress
        self._window = 1000 + 50 * len(y0)

    def run(self, times: Array) -> Solution:
        from scipy.integrate import solve_ivp

        y0, method, end = self._y0, self._method, float(times[-1])
        bound = BLOW_UP * (1 + np.abs(y0).max())

        def blow_up(s: float, y: Array) -> float:
            return float(bound - np.abs(y).max())

        blow_up.terminal = True  # type: ignore[attr-defined]
        if end == 0.0:
            return Solution(
                times, y0[None].copy(), lambda s: _constant(y0, s), Status.SUCCESS, "no time to flow", 0, method
            )
        implicit = self._jac is not None and method in ("Radau", "BDF", "LSODA")
        options: dict[str, Any] = {"jac": self._jac} if implicit else {}
        with np.errstate(all="ignore"):
            if not np.isfinite(self._velocity(0.0, y0)).all():
                raise NotFiniteError(
                    "velocity of the flow",
                    got="NaN or infinity at the starting point",
                    wanted="a loss and a map that are differentiable there",
                    remedy="start inside the domain",
                )
            found = solve_ivp(
                self._velocity, (0.0, end), y0, method=method, rtol=max(self._solver.rtol, 3e-14),
                atol=self._solver.atol, dense_output=True, events=blow_up, **options,
            )  # fmt: skip
        return self._solution(found, times)

    def _velocity(self, s: float, y: Array) -> Array:
        self._count += 1
        if self._count > MAX_EVALUATIONS:  # a step that cannot succeed ends the integration, and keeps what there is
            return np.full(y.shape, np.nan)
        try:
            velocity = self._rhs(s, y)
        except (NotFiniteError, DomainError, FloatingPointError, np.linalg.LinAlgError):
            velocity = np.full(y.shape, np.nan)
        if self._method == "LSODA" and self._count > 1 and not np.isfinite(velocity).all():
            raise _LsodaStuckError
        if self._method == "LSODA" and self._count % self._window == 0:
            if s - self._last_seen <= 1e-9 * s:
                raise _LsodaStuckError
            self._last_seen = s
        return velocity

    def _solution(self, found: Any, times: Array) -> Solution:
        finite = np.isfinite(found.y).all(axis=0)
        last = int(np.argmin(finite)) - 1 if not finite.all() else len(finite) - 1
        reached, count = float(found.t[last]), self._count
        if count > MAX_EVALUATIONS:
            status, message = Status.FAILURE, f"gave up after {MAX_EVALUATIONS} evaluations at t = {reached:.6g}"
        else:
            status, message = self._verdict(found, reached, found.y[:, last], bool(finite.all()))
        out = times if status is Status.SUCCESS else np.append(times[times < reached], reached)

        def dense(s: Any) -> Array:
            return np.moveaxis(np.asarray(found.sol(np.asarray(s, dtype=float))), 0, -1)

        y = dense(out)
        y[out == 0.0] = self._y0
        return Solution(out, y, dense, status, message, count, self._method)

    def _verdict(self, found: Any, reached: float, y: Array, finite: bool) -> tuple[Status, str]:
        start = 1 + np.abs(self._y0).max()
        if found.status == 0 and finite:
            return Status.SUCCESS, "reached the last time asked for"
        if found.status == 1:
            return Status.BLOW_UP, f"the state exceeds {BLOW_UP:.0e} times its start at t = {reached:.6g}"
        if np.abs(y).max() > 1e6 * start:
            return Status.BLOW_UP, f"the flow blows up at t = {reached:.6g}"
        # look just ahead: does the field still exist there?
        velocity = self._velocity(reached, y)
        with np.errstate(all="ignore"):
            step = 1e-6 * velocity / (1e-300 + np.abs(velocity).max()) * (1 + np.abs(y).max())
            ahead = self._velocity(reached, y + step)
        if not (np.isfinite(velocity).all() and np.isfinite(ahead).all()) or np.abs(velocity).max() > 1e4 * start:
            return Status.LEFT_DOMAIN, f"the flow reaches the boundary of the domain at t = {reached:.6g}"
        return Status.FAILURE, f"{found.message} (t = {reached:.6g})"


def _constant(y0: Array, s: Any) -> Array:
    return np.broadcast_to(y0, (*np.shape(s), len(y0))).copy()


# a batch over [0, 1] ------------------------------------------------------------------------------------------------


class Stop:
    """Where a batched integration ended early: the parameter s, the batch entry that ended it, and the last state."""

    def __init__(self, s: float, entry: int, state: Array):
        self.s, self.entry, self.state, self.point = s, entry, state, state[entry]

    def index(self, batch: tuple[int, ...]) -> tuple[int, ...]:
        """The entry as an index of a batch of that shape."""
        return tuple(int(i) for i in np.unravel_index(self.entry, batch)) if batch else ()


def integrate_batch(
    field: Field,
    start: Array,
    rtol: float = FLOW_RTOL,
    atol: float = FLOW_ATOL,
    first_step: float | None = None,
    min_step: float = 1e-13,
) -> tuple[Array, Stop | None]:
    """Integrate dy/ds = field(s, y), y of shape=[N, k], over s in [0, 1] with one adaptive step size for all.

    Returns the end and None, or the last state and a `Stop`; `ConvergenceError` after `MAX_STEPS` steps.
    """
    from scipy.integrate import DOP853

    shape = start.shape
    if start.size == 0:
        return start.copy(), None
    # one error norm over N entries would hide one bad entry among many good ones: tighten by sqrt(N)
    rtol = max(rtol / np.sqrt(shape[0]), 3e-14)

    def rhs(s: float, y: Array) -> Array:
        return np.asarray(field(s, y.reshape(shape)), dtype=float).ravel()

    with np.errstate(all="ignore"):
        if not np.isfinite(rhs(0.0, start.ravel())).all():
            return start, _stop(field, 0.0, start)
        solver = DOP853(rhs, 0.0, start.ravel(), 1.0, rtol=rtol, atol=atol / np.sqrt(shape[0]), first_step=first_step)
        # a step far below the parameter's own resolution of the end means a finite end, not stiffness
        steps = 0
        while solver.status == "running":
            solver.step()
            steps += 1
            if steps > MAX_STEPS and solver.h_abs < 1e-9:  # a finite end, blurred by rounding
                return solver.y.reshape(shape), _stop(field, float(solver.t), solver.y.reshape(shape))
            if steps > MAX_STEPS:
                raise ConvergenceError(
                    "integration over s in [0, 1]",
                    got=f"{MAX_STEPS} steps to s = {solver.t:.6g}, the last of length {solver.h_abs:.1e}",
                    wanted=f"a field that is smooth to the tolerance rtol = {rtol:.1e}",
                    remedy="loosen rtol and atol: the field is stiff, or its values carry more noise than that",
                    s=float(solver.t),
                )
            if solver.status == "failed" or (solver.status == "running" and solver.h_abs < min_step):
                return solver.y.reshape(shape), _stop(field, float(solver.t), solver.y.reshape(shape))
        end = solver.y.reshape(shape)
    if not np.isfinite(end).all():
        return end, _stop(field, float(solver.t), end)
    return end, None


def _stop(field: Field, s: float, y: Array) -> Stop:
    """The entry whose relative speed is largest, or which is not finite, is the one that ends the flow."""
    speed = np.linalg.norm(np.asarray(field(s, y), dtype=float), axis=-1) / (1e-300 + np.linalg.norm(y, axis=-1))
    entry = int(np.argmax(np.where(np.isfinite(speed), speed, np.inf)))
    return Stop(s, entry, y)


def unit_time_flow(field: Map, start: Array, rtol: float, atol: float, what: str) -> Array:
    """Flow every batch entry of `start`, shape=[..., k], by dx/ds = field(x), x of shape=[N, k], to s = 1 in one solve.

    Raises
    ------
    DomainError
        When a flow ends before s = 1: carries `index` (the batch entry), `s` and `point`.
    """
    batch, dim = start.shape[:-1], start.shape[-1]
    end, stop = integrate_batch(lambda s, x: field(x), start.reshape(-1, dim), rtol, atol)
    if stop is None:
        return end.reshape(start.shape)
    index = stop.index(batch)
    raise DomainError(
        f"{what} ends before the time asked for",
        got=f"a maximal solution that ends at s = {stop.s:.6g} of 1"
        + (f" for batch entry {index}" if index else "")
        + f", last point {describe(stop.point)}",
        wanted="a parameter for which the flow exists to s = 1",
        remedy=f"scale the parameter by less than {stop.s:.6g}",
        index=index,
        s=stop.s,
        point=stop.point,
    )
