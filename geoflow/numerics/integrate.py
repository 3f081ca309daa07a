"""Integration that ends with a verdict: over output times with dense output, and of a batch over [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, TypedDict

import numpy as np

from geoflow._typing import Array, Index, Map
from geoflow._validate import describe, require_flag
from geoflow.errors import ArgumentError, ConvergenceError, DomainError, NotFiniteError
from geoflow.results import Status

METHODS = ("auto", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
BLOW_UP = 1e14
MAX_EVALUATIONS = 500_000
#: unknowns beyond which no square matrix of them is formed, and beyond which no interpolant of every step is kept
LARGEST_IMPLICIT, LARGEST_DENSE = 1000, 20_000
FLOW_RTOL, FLOW_ATOL = 1e-12, 1e-14
MAX_STEPS = 3000
#: (s, state) to its velocity; NaN where there is none
Field = Callable[[float, Array], Array]


class SolverOptions(TypedDict, total=False):
    """The keywords of a `Solver`, as functions that integrate take them."""

    rtol: float
    atol: float
    method: str
    check: bool


@dataclass(frozen=True)
class Solver:
    """How to integrate over output times: tolerances a step, and a method of scipy's `solve_ivp`.

    "auto" is LSODA, which handles stiff flows, and DOP853 where LSODA gives up: approaching a boundary or a blow-up;
    beyond 1000 unknowns, where an implicit method would form too large a matrix, it is DOP853 alone. Beyond 20,000
    unknowns the dense output integrates again from the last output time, instead of keeping every step. `check` is
    whether the field, the gradient of a loss, is probed before it is integrated.
    """

    rtol: float = 1e-9
    atol: float = 1e-12
    method: str = "auto"
    check: bool = True

    def __post_init__(self) -> None:
        require_flag(self.check)
        if self.method not in METHODS:
            raise ArgumentError("method", got=repr(self.method), wanted=f"one of {METHODS}")
        if not (self.rtol > 0 and self.atol >= 0):
            raise ArgumentError("tolerances", got=f"rtol {self.rtol}, atol {self.atol}", wanted="rtol > 0, atol >= 0")

    def sharper(self, factor: float) -> Solver:
        """The same with both tolerances multiplied by a factor."""
        return replace(self, rtol=factor * self.rtol, atol=factor * self.atol)

    def integrate(self, problem: Problem, times: Array) -> Solution:
        """Integrate a problem from time 0, with a status instead of an exception.

        `NotFiniteError` is raised only when the field is not defined at the start.
        """
        if self.method not in ("auto", "LSODA"):
            return _Attempt(problem, self, self.method).run(times)
        # DOP853 alone would do at the ends of its steps, but its dense output loses digits on slightly stiff flows
        if self.method == "LSODA" or len(problem.start) <= LARGEST_IMPLICIT:
            with suppress(_LsodaStuckError):
                found = _Attempt(problem, self, "LSODA").run(times)
                if found.status is Status.SUCCESS or self.method == "LSODA":
                    return found
        return _Attempt(problem, self, "DOP853").run(times)


@dataclass(frozen=True)
class Problem:
    """y' = rhs(t, y) from y(0) = start, shape=[k]: the flat states of so many `entries` of a batch.

    rhs gives NaN, or raises `DomainError` or `NotFiniteError`, where the field is not defined; jac is its derivative,
    (t, y) to shape=[k, k]. DOP853 meets its tolerances in every entry, and not in their mean.
    """

    rhs: Field
    start: Array
    entries: int = 1
    jac: Field | None = None


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

    def __init__(self, problem: Problem, solver: Solver, method: str):
        self._problem, self._rhs, self._y0 = problem, problem.rhs, problem.start
        self._solver, self._method = solver, method
        self._count, self._last_seen, self._reached = 0, 0.0, (0.0, problem.start)
        # a jacobian by differences takes an evaluation an unknown, and tells nothing about progress
        self._window = 1000 + 50 * len(self._y0)

    def run(self, times: Array) -> Solution:
        y0 = self._y0
        if times[-1] == 0.0:
            return Solution(times, y0[None].copy(), _constant(y0), Status.SUCCESS, "no time to flow", 0, self._method)
        with np.errstate(all="ignore"):
            if not np.isfinite(self._velocity(0.0, y0)).all():
                got, wanted = "NaN or infinity at the starting point", "a loss and a map that are differentiable there"
                raise NotFiniteError("velocity of the flow", got=got, wanted=wanted, remedy="start inside the domain")
            keep = len(y0) <= LARGEST_DENSE
            found = self._solve((0.0, float(times[-1])), y0, {"dense_output": True} if keep else {"t_eval": times})
        reached, y = self._reached
        whole = found.status == 0 and reached == times[-1]
        if self._count > MAX_EVALUATIONS:
            status, message = Status.FAILURE, f"gave up after {MAX_EVALUATIONS} evaluations at t = {reached:.6g}"
        else:
            status, message = self._verdict(found, reached, y, whole)
        out = times if status is Status.SUCCESS else np.append(times[times < reached], reached)
        if keep:
            dense = _interpolant(found)
            values = dense(out)
        else:
            passed = np.reshape(found.y, (len(y0), -1)).T[: len(out)]
            values = passed if status is Status.SUCCESS else np.r_[passed[: len(out) - 1], y[None]]
            dense = self._again(out, values)
        values[out == 0.0] = y0
        return Solution(out, values, dense, status, message, self._count, self._method)

    def _solve(self, span: tuple[float, float], start: Array, options: dict[str, Any]) -> Any:
        from scipy.integrate import solve_ivp

        bound = BLOW_UP * (1 + np.abs(self._y0).max())

        def blow_up(s: float, y: Array) -> float:
            size = np.abs(y).max()
            if np.isfinite(size) and size <= bound:
                self._reached = s, y.copy()
            return float(bound - size)

        blow_up.terminal = True  # type: ignore[attr-defined]
        method: Any = self._method
        if method == "DOP853":
            method = batchwise("DOP853", self._problem.entries)
        if self._problem.jac is not None and self._method in ("Radau", "BDF", "LSODA"):
            options = {**options, "jac": self._problem.jac}
        return solve_ivp(
            self._velocity, span, start, method=method, rtol=max(self._solver.rtol, 3e-14), atol=self._solver.atol,
            events=blow_up, **options,
        )  # fmt: skip

    def _again(self, times: Array, values: Array) -> Callable[[Any], Array]:
        """The dense output that keeps no steps: integrate from the last of these times."""

        def at(s: float) -> Array:
            k = max(int(np.searchsorted(times, s, side="right")) - 1, 0)
            begin, start = (times[k], values[k]) if times[k] <= s else (0.0, self._y0)
            if begin == s:
                return start
            found = self._solve((begin, s), start, {"t_eval": [s]})
            return found.y[:, -1] if len(found.t) else np.full(start.shape, np.nan)

        def dense(s: Any) -> Array:
            s = np.asarray(s, dtype=float)
            with np.errstate(all="ignore"):
                return np.stack([at(float(t)) for t in s.ravel()]).reshape(*s.shape, -1)

        return dense

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


def _interpolant(found: Any) -> Callable[[Any], Array]:
    """Dense output of every step, a time or times to states with the unknowns on the last axis."""
    return lambda s: np.moveaxis(np.asarray(found.sol(np.asarray(s, dtype=float))), 0, -1)


def _constant(y0: Array) -> Callable[[Any], Array]:
    return lambda s: np.broadcast_to(y0, (*np.shape(s), len(y0))).copy()


# a batch over [0, 1] ------------------------------------------------------------------------------------------------


@cache
def batchwise(method: str, entries: int) -> Any:
    """scipy's DOP853 or RK45 with the error of the worst of so many entries of the state, and not their mean square."""
    from scipy.integrate import DOP853, RK45

    class BatchwiseDOP853(DOP853):
        def _estimate_error_norm(self, K: Array, h: float, scale: Array) -> float:
            fifth, third = ((K.T @ E / scale).reshape(entries, -1) for E in (self.E5, self.E3))
            square = np.einsum("nk,nk->n", fifth, fifth)
            both = square + 0.01 * np.einsum("nk,nk->n", third, third)
            with np.errstate(all="ignore"):
                norms = np.where(both == 0, 0.0, square / np.sqrt(both * fifth.shape[1]))
            return float(np.abs(h) * norms.max())

    class BatchwiseRK45(RK45):
        def _estimate_error_norm(self, K: Array, h: float, scale: Array) -> float:
            error = (K.T @ self.E * h / scale).reshape(entries, -1)
            return float(np.sqrt(np.einsum("nk,nk->n", error, error).max() / error.shape[1]))

    if method == "RK45":
        return BatchwiseRK45
    return DOP853 if entries == 1 else BatchwiseDOP853


class Steps(NamedTuple):
    """How to step through [0, 1].

    The first step, None for a guess; the least, one below which is taken for the end of a flow; and scipy's method,
    "RK45" where a flow is so short that one step of it will do.
    """

    first: float | None = None
    least: float = 1e-13
    method: str = "DOP853"


STEPS = Steps()


class Stop:
    """Where a batched integration ended early: the parameter s, the batch entry that ended it, and the last state."""

    def __init__(self, s: float, entry: int, state: Array):
        self.s, self.entry, self.state, self.point = s, entry, state, state[entry]

    def index(self, batch: tuple[int, ...], entries: Index | None = None) -> tuple[int, ...]:
        """The entry as an index of a batch of that shape, of which these `entries` were integrated, by default all."""
        place = self.entry if entries is None else int(entries[self.entry])
        return tuple(int(i) for i in np.unravel_index(place, batch)) if batch else ()


def integrate_batch(
    field: Field,
    start: Array,
    rtol: float = FLOW_RTOL,
    atol: float | Array = FLOW_ATOL,
    steps: Steps = STEPS,
    entries: int | None = None,
    passing: Callable[[float, Array], None] | None = None,
) -> tuple[Array, Stop | None]:
    """Integrate dy/ds = field(s, y), y of shape=[N, k], over s in [0, 1] with one adaptive step size for all.

    Tolerances are met in the mean over each of so many `entries`, by default N: N k for every component by itself.
    `passing` is shown every step that is accepted.
    Returns the end and None, or the last state and a `Stop`; raises `ConvergenceError` after `MAX_STEPS` steps.
    """
    shape = start.shape
    if start.size == 0:
        return start.copy(), None
    rtol = max(rtol, 3e-14)

    def rhs(s: float, y: Array) -> Array:
        return np.asarray(field(s, y.reshape(shape)), dtype=float).ravel()

    with np.errstate(all="ignore"):
        if not np.isfinite(rhs(0.0, start.ravel())).all():
            return start, _stop(field, 0.0, start)
        method = batchwise(steps.method, shape[0] if entries is None else entries)
        least = atol.ravel() if isinstance(atol, np.ndarray) else atol
        solver = method(rhs, 0.0, start.ravel(), 1.0, rtol=rtol, atol=least, first_step=steps.first)
        taken, ended = 0, False
        while solver.status == "running" and not ended:
            solver.step()
            taken += 1
            if passing is not None and solver.status != "failed":
                passing(float(solver.t), solver.y.reshape(shape))
            if taken > MAX_STEPS and not solver.h_abs < 1e-9:
                raise ConvergenceError(
                    "integration over s in [0, 1]",
                    got=f"{MAX_STEPS} steps to s = {solver.t:.6g}, the last of length {solver.h_abs:.1e}",
                    wanted=f"a field that is smooth to the tolerance rtol = {rtol:.1e}",
                    remedy="loosen rtol and atol: the field is stiff, or its values carry more noise than that",
                    s=float(solver.t),
                )
            # a step far below the parameter's own resolution of the end means a finite end, not stiffness; after many
            # steps a short one means a finite end that is blurred by rounding
            tiny = solver.status == "running" and solver.h_abs < steps.least
            ended = taken > MAX_STEPS or solver.status == "failed" or tiny
        end = solver.y.reshape(shape)
        ended = ended or not np.isfinite(end).all()
        return end, _stop(field, float(solver.t), end) if ended else None


def _stop(field: Field, s: float, y: Array) -> Stop:
    """The entry whose relative speed is largest, or which is not finite, is the one that ends the flow."""
    speed = np.linalg.norm(np.asarray(field(s, y), dtype=float), axis=-1) / (1e-300 + np.linalg.norm(y, axis=-1))
    entry = int(np.argmax(np.where(np.isfinite(speed), speed, np.inf)))
    return Stop(s, entry, y)


def unit_time_flow(field: Map, start: Array, rtol: float, atol: float, what: str) -> Array:
    """Flow every batch entry of `start`, shape=[..., k], by dx/ds = field(x), x of shape=[N, k], to s = 1 in one solve.

    `DomainError` when a flow ends before s = 1: carries `index` (the batch entry), `s` and `point`.
    """
    end, stop = integrate_batch(lambda s, x: field(x), start.reshape(-1, start.shape[-1]), rtol, atol)
    require_arrival(stop, start.shape[:-1], what)
    return end.reshape(start.shape)


def require_arrival(stop: Stop | None, batch: tuple[int, ...], what: str, entries: Index | None = None) -> None:
    """Raise `DomainError` where a flow of a batch ended early; `entries` are the places of what flowed in the batch."""
    if stop is None:
        return
    index = stop.index(batch, entries)
    entry = f" for batch entry {index}" if index else ""
    raise DomainError(
        f"{what} ends before the time asked for",
        got=f"a maximal solution that ends at s = {stop.s:.6g} of 1{entry}, last point {describe(stop.point)}",
        wanted="a parameter for which the flow exists to s = 1",
        remedy=f"scale the parameter by less than {stop.s:.6g}",
        index=index,
        s=stop.s,
        point=stop.point,
    )
