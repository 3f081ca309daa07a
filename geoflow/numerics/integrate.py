"""Integration that ends with a verdict: over output times with dense output, and of a batch over [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, NamedTuple, TypedDict

import numpy as np

from geoflow._typing import Array, ArrayLike, Field, Index, Map, Mask
from geoflow._validate import as_finite, describe, require_flag
from geoflow.errors import ArgumentError, ConvergenceError, DomainError
from geoflow.numerics.intervals import NONE, Stretch, features, stretches
from geoflow.numerics.picard import AT_ONCE, NODES, Picard, Rowwise
from geoflow.numerics.runs import (
    COLLOCATION,
    LARGEST_COLLOCATED,
    LARGEST_IMPLICIT,
    UNDEFINED,
    LsodaStuckError,
    Problem,
    Run,
    Solution,
    Tolerances,
    batchwise,
)
from geoflow.numerics.unseen import Overlooked, overlooked
from geoflow.results import Status

METHODS = ("auto", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
FLOW_RTOL, FLOW_ATOL = 1e-12, 1e-14
MAX_STEPS = 3000
#: features that steps went over, for each of which an integration begins again before it, and what is said of more
LOOKS, UNSEEN = 20, "steps went over a feature of the field at"


class SolverOptions(TypedDict, total=False):
    """The keywords of a `Solver`, as functions that integrate take them."""

    rtol: float
    atol: float
    method: str
    max_step: float
    breakpoints: ArrayLike
    check: bool


@dataclass(frozen=True)
class Solver:
    """How to integrate over output times: tolerances a step, and a method of scipy's `solve_ivp`.

    No step is longer than `max_step`, and none goes across one of the `breakpoints`, shape=[k]: times at which the
    field jumps, or is not smooth. Where a field depends on time its jumps are looked for, and no step is longer than
    the gaps of the output times there, 1/64 of the whole, and what is found between them (`intervals.features`).
    A tenth more evaluations look inside the steps along which a state goes farthest, and where the field is not that of
    the dense output the steps are shorter (`unseen.overlooked`): a bump is seen that is wider than a few hundredths of
    the way, of each unknown. Not where points are solved for along mu, beyond 20,000 unknowns, or in compiled loops.

    "auto" is LSODA, which handles stiff flows, and DOP853 where LSODA gives up: approaching a boundary or a blow-up;
    beyond 1000 unknowns, where an implicit method would form too large a matrix, it is DOP853 alone. Flows of up to
    200 unknowns that answer many states at once, mirror flows in nu, are tried by Radau IIA of order 17 first
    (`collocated.Collocation`), which asks for nine at a time, in far fewer batches than LSODA has steps. Beyond 20,000
    unknowns the dense output integrates again from the last output time, instead of keeping every step. `check` is
    whether the field, the gradient of a loss, is probed before it is integrated. In flows of maps and potentials `atol`
    is in units of the smallest of what they integrate where they set out, at most 1: see `geoflow.flows.units`.
    """

    rtol: float = 1e-9
    atol: float = 1e-12
    method: str = "auto"
    max_step: float = np.inf
    breakpoints: ArrayLike = ()
    check: bool = True

    def __post_init__(self) -> None:
        require_flag(self.check)
        if self.method not in METHODS:
            raise ArgumentError("method", got=repr(self.method), wanted=f"one of {METHODS}")
        for name in ("rtol", "atol", "max_step"):
            if not isinstance(getattr(self, name), Real):
                raise ArgumentError(name, got=repr(getattr(self, name)), wanted="a number")
        if not (self.rtol > 0 and self.atol >= 0):
            raise ArgumentError("tolerances", got=f"rtol {self.rtol}, atol {self.atol}", wanted="rtol > 0, atol >= 0")
        if not self.max_step > 0:
            raise ArgumentError("max_step", got=f"{self.max_step}", wanted="a positive time, or infinity")
        breakpoints = as_finite(self.breakpoints, "breakpoints")
        if breakpoints.ndim != 1:
            raise ArgumentError("breakpoints", got=f"shape {breakpoints.shape}", wanted="times, shape [k]")
        object.__setattr__(self, "breakpoints", tuple(breakpoints.tolist()))

    def sharper(self, factor: float) -> Solver:
        """The same with both tolerances multiplied by a factor."""
        return replace(self, rtol=factor * self.rtol, atol=factor * self.atol)

    def integrate(self, problem: Problem, times: Array) -> Solution:
        """Integrate a problem from time 0, with a status instead of an exception.

        An entry of the batch that ends early is held where it ended, and the others go on.
        `NotFiniteError` is raised only when the field is not defined at the start.
        """
        found = NONE if problem.drive is None or times[-1] == 0 else features(problem.drive, times)
        parts = stretches(times, np.asarray(self.breakpoints), found, self.max_step)
        joined, held = _Joined(problem.start, problem.entries), np.zeros(problem.entries, dtype=bool)
        looks, looked = 0, 0.0
        while parts and not held.all():
            part, (begin, state) = parts[0], joined.now
            piece = _piece(problem, begin, part, state, held)
            inside = times[((times > begin) | (begin == 0)) & (times < part.end)]
            solution = self._whole(piece, np.append(inside, part.end) - begin, part.max_step)
            asked_anew = not problem.remembers or solution.method == COLLOCATION
            if solution.status is Status.SUCCESS and part.begin >= looked and asked_anew:
                feature, count = overlooked(piece, solution, self.rtol, self.atol)
                solution.n_evaluations += count
                if feature is not None and looks < LOOKS:
                    parts[:1], looks, looked = _around(part, begin, feature), looks + 1, begin + feature.end
                    joined.discard(solution)
                    continue
                if feature is not None:
                    solution.message += f" ({UNSEEN} t = {begin + feature.begin:.6g}: pass a shorter max_step)"
            joined.add(solution)
            if solution.status is Status.SUCCESS:
                parts.pop(0)
                continue
            ended = _ended(piece, solution) & ~held
            if not ended.any():
                ended = ~held
            joined.stop(ended, solution)
            held |= ended
        return joined.at(times)

    def _whole(self, problem: Problem, times: Array, max_step: float) -> Solution:
        """Integrate over one stretch of time, from 0."""
        methods, spent = self._methods(problem), 0
        for method in methods:
            run = Run(problem, (self.rtol, self.atol), method, max_step)
            with suppress(LsodaStuckError):
                found = run.run(times)
                if found.status is Status.SUCCESS or method in (self.method, methods[-1]):
                    break
            spent += run.count
        found.n_evaluations += spent  # those of the methods that gave up were made too
        return found

    def _methods(self, problem: Problem) -> list[str]:
        """Those that are tried in turn; LSODA goes on to the next only where it is stuck, or for "auto"."""
        if self.method not in ("auto", "LSODA"):
            return [self.method]
        # DOP853 alone would do at the ends of its steps, but its dense output loses digits on slightly stiff flows
        if self.method == "LSODA" or len(problem.start) <= LARGEST_IMPLICIT:
            at_once = self.method == "auto" and problem.velocities and len(problem.start) <= LARGEST_COLLOCATED
            return [COLLOCATION, "LSODA", "DOP853"] if at_once else ["LSODA", "DOP853"]
        return ["DOP853"]


def _piece(problem: Problem, begin: float, part: Stretch, state: Array, held: Mask) -> Problem:
    """The problem from a later time and state on, up to the end of a stretch; what is held stays.

    The field is asked within the stretch only, and not at its ends, where it may jump.
    """
    if begin == 0 and part.begin == 0 and part.final and not held.any():
        return problem
    first, last, stays = np.nextafter(part.begin, np.inf), np.nextafter(part.end, -np.inf), np.flatnonzero(held)
    if part.begin == 0:
        first = 0.0

    def at(s: float) -> float:
        return min(max(begin + s, first), last)

    def rhs(s: float, y: Array) -> Array:
        velocity = np.asarray(problem.rhs(at(s), y), dtype=float)
        if len(stays):
            velocity = velocity.copy()
            velocity.reshape(problem.entries, -1)[stays] = 0.0
        return velocity

    jac = problem.jac
    return replace(problem, rhs=rhs, start=state, jac=None if jac is None else lambda s, y: jac(at(s), y), drive=None)


def _around(part: Stretch, begin: float, feature: Overlooked) -> list[Stretch]:
    """A stretch, integrated from a time on, with shorter steps across a feature that its own steps went over."""
    first, second = begin + feature.begin, begin + feature.end
    short = min(part.max_step, feature.max_step)
    spans = (part.begin, first, part.max_step), (first, second, short), (second, part.end, part.max_step)
    kept = [span for span in spans if max(span[0], begin) < span[1]]
    return [Stretch(*span, part.final and span[1] == part.end) for span in kept]


def _ended(problem: Problem, solution: Solution) -> Mask:
    """Which entries ended the integration of a batch: those without a velocity there or just ahead, or the fastest."""
    n = problem.entries
    if n == 1 or len(solution.y) == 0:
        return np.ones(n, dtype=bool)
    s, y = float(solution.t[-1]), solution.y[-1]
    with np.errstate(all="ignore"):
        try:
            velocity = np.asarray(problem.rhs(s, y), dtype=float).reshape(n, -1)
            size = 1 + np.abs(y).reshape(n, -1).max(axis=1)
            speed = np.abs(velocity).max(axis=1) / size
            step = 1e-6 / np.where(speed > 0, speed, 1.0)
            ahead = np.asarray(problem.rhs(s, y + (step[:, None] * velocity).ravel()), dtype=float).reshape(n, -1)
        except UNDEFINED:
            return np.ones(n, dtype=bool)
    lost = ~np.isfinite(velocity + ahead).all(axis=1)
    return lost if lost.any() else np.asarray(speed >= 0.1 * speed.max())


class _Joined:
    """The solutions of one stretch after the other, as one; `now` is the time and the state that they have come to."""

    def __init__(self, start: Array, entries: int):
        self._parts: list[tuple[float, Solution]] = []
        self._statuses, self._ends = [Status.SUCCESS] * entries, np.full(entries, np.inf)
        self._why: Solution | None = None
        self._start, self._discarded = start.reshape(entries, -1), 0
        self.now: tuple[float, Array] = 0.0, start

    def add(self, solution: Solution) -> None:
        begin = self.now[0]
        self._parts.append((begin, solution))
        self.now = begin + float(solution.t[-1]), solution.y[-1]

    def discard(self, solution: Solution) -> None:
        """Its evaluations were made, and it is not part of the solution."""
        self._discarded += solution.n_evaluations

    def stop(self, ended: Mask, solution: Solution) -> None:
        """So many entries have ended, as this solution says."""
        self._why = self._why or replace(solution, t=np.array([self.now[0]]))
        state = self.now[1].reshape(len(ended), -1).copy()
        for k in np.flatnonzero(ended):
            self._statuses[k], self._ends[k] = solution.status, self.now[0]
            state[k] = self._start[k]
        self.now = self.now[0], state.ravel()

    def at(self, times: Array) -> Solution:
        """The states at times, up to where all entries have ended; after its own end an entry is at its start."""
        reached, why = self.now[0], self._why
        out = times if reached >= times[-1] else np.append(times[times < reached], reached)
        status = Status.SUCCESS if why is None else why.status
        last, evaluations = self._parts[-1][1], sum(part.n_evaluations for _, part in self._parts) + self._discarded
        message = last.message if why is None else why.message
        if why is not None and len(self._ends) > 1:
            count = sum(s is not Status.SUCCESS for s in self._statuses)
            message += f"; {count} of {len(self._ends)} entries of the batch ended early, see statuses"
        if len(self._parts) == 1:
            return replace(last, statuses=self._statuses, ends=self._ends, message=message)
        return Solution(
            out, self._dense(out), self._dense, status, message, evaluations, last.method, self._statuses, self._ends
        )

    def _dense(self, s: Any) -> Array:
        """Dense output of the part that each time lies in."""
        s = np.asarray(s, dtype=float)
        begins = np.array([begin for begin, _ in self._parts])
        place = np.maximum(np.searchsorted(begins, s, side="left") - 1, 0)
        out = np.empty((*s.shape, len(self.now[1])))
        for k, (begin, part) in enumerate(self._parts):
            if (place == k).any():
                out[place == k] = part.dense(s[place == k] - begin)
        return out


# a batch over [0, 1] ------------------------------------------------------------------------------------------------


class Steps(NamedTuple):
    """How to step through [0, 1]: the first step, None for a guess; the least, one below which is taken for the end."""

    first: float | None = None
    least: float = 1e-13


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
    field: Field | Rowwise,
    start: Array,
    rtol: float = FLOW_RTOL,
    atol: float | Array = FLOW_ATOL,
    steps: Steps = STEPS,
    entries: int | None = None,
    passing: Callable[[float, Array], None] | None = None,
) -> tuple[Array, Stop | None]:
    """Integrate dy/ds = field(s, y), y of shape=[N, k], over s in [0, 1] with one adaptive step size for all.

    Tolerances are met in the mean over each of so many `entries`, by default N: N k for every component by itself.
    Few unknowns of a `Rowwise` field go by `Picard` as far as its steps lead, and by DOP853 from there on.
    `passing` is shown every step that is accepted, and a state within each of Picard's.
    Returns the end and None, or the last state and a `Stop`; raises `ConvergenceError` after `MAX_STEPS` steps.
    """
    shape = start.shape
    if start.size == 0:
        return start.copy(), None
    rtol = max(rtol, 3e-14)

    def rhs(s: float, y: Array) -> Array:
        return np.asarray(field(s, y.reshape(shape)), dtype=float).ravel()

    with np.errstate(all="ignore"):
        velocity = rhs(0.0, start.ravel())
        if not np.isfinite(velocity).all():
            return start, _stop(field, 0.0, start)
        entries, s = shape[0] if entries is None else entries, 0.0
        if isinstance(field, Rowwise) and start.size * NODES <= AT_ONCE:
            picard = Picard(field, Tolerances(rtol, atol, entries))
            s, start = picard.advance(start, velocity.reshape(shape), passing)
            if s == 1:
                return start, None
        least = atol.ravel() if isinstance(atol, np.ndarray) else atol
        first = steps.first if s == 0 else None
        solver = batchwise(entries)(rhs, s, start.ravel(), 1.0, rtol=rtol, atol=least, first_step=first)
        taken, ended = 0, False
        while solver.status == "running" and not ended:
            before = solver.h_abs
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
            tiny = solver.status == "running" and solver.h_abs < min(steps.least, before)  # a first step may be short
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
