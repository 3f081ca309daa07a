"""One run of scipy's integrators over output times, and how it ended: success, blow-up, left the domain, or why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from geoflow._typing import Array, Field, Map
from geoflow.errors import DomainError, GeoflowError, NotFiniteError
from geoflow.results import Status

#: growth beside the start from which a blow-up is looked for, and size beyond which nothing is computed
BLOW_UP, FAR, OVERFLOW = 1e14, 1e100, 1e280
MAX_EVALUATIONS = 500_000
#: a run is given up where it would take so many times MAX_EVALUATIONS at the pace of its last steps
PATIENCE = 20
#: windows more of evaluations, in the last of which the state stood still to tolerance, from which LSODA is left
STILL = 4
#: looks at the pace, one after the other, none of which sees it get faster, before that is believed
LOOKS = 20
#: unknowns beyond which no square matrix of them is formed, and beyond which no interpolant of every step is kept
LARGEST_IMPLICIT, LARGEST_DENSE = 1000, 20_000
#: what a field raises where it is not defined
UNDEFINED = (NotFiniteError, DomainError, FloatingPointError, np.linalg.LinAlgError)
#: the method of `collocated`, and unknowns up to which its complex matrices are small beside what LSODA asks of a field
COLLOCATION, LARGEST_COLLOCATED = "Radau IIA of order 17", 200


@dataclass(frozen=True)
class Problem:
    """y' = rhs(t, y) from y(0) = start, shape=[k]: the flat states of so many `entries` of a batch.

    rhs gives NaN, or raises `DomainError` or `NotFiniteError`, where the field is not defined; jac is its derivative,
    (t, y) to shape=[k, k]. DOP853 meets its tolerances in every entry, and not in their mean. `drive` is what depends
    on time, at the start: t to an array, where the field does. `remembers` is whether rhs goes on from where it was
    asked last, so that it is not asked again about what has passed. `velocities` is that of many states at once,
    shape=[m, k], of a field that does not depend on time, where that is cheaper than one by one.
    """

    rhs: Field
    start: Array
    entries: int = 1
    jac: Field | None = None
    drive: Callable[[float], Array] | None = None
    remembers: bool = False
    velocities: Map | None = None


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
    #: how each entry of the batch ended, and when, shape=[entries]
    statuses: list[Status] = field(default_factory=list)
    ends: Array = field(default_factory=lambda: np.zeros(0))
    #: the ends of the steps taken, where their dense output is kept
    steps: Array = field(default_factory=lambda: np.zeros(0))


def error_norm(estimates: list[Array]) -> float:
    """The error of the worst entry of a step, from estimates beside what is allowed, each of shape=[entries, k].

    The root mean square of one estimate, and Hairer's combination of the two of DOP853.

    Reference
    ---------
    Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, section II.10.
    """
    first = estimates[0]
    square = np.einsum("nk,nk->n", first, first)
    if len(estimates) == 1:
        return float(np.sqrt(square.max(initial=0.0) / first.shape[1]))
    both = square + 0.01 * np.einsum("nk,nk->n", estimates[1], estimates[1])
    with np.errstate(all="ignore"):
        norms = np.where(both == 0, 0.0, square / np.sqrt(both * first.shape[1]))
    return float(norms.max(initial=0.0))


class Tolerances(NamedTuple):
    """What errors may be, in the mean over each of so many entries of the states."""

    rtol: float
    atol: float | Array
    entries: int

    def measured(self, estimates: Sequence[Array], y: Array, end: Array) -> float:
        """`error_norm` of one or two estimates of the error of a step from y to its end, shape=[N, k]."""
        scale = np.maximum(self.atol + self.rtol * np.maximum(np.abs(y), np.abs(end)), 1e-300)
        return error_norm([(errors / scale).reshape(self.entries, -1) for errors in estimates])


@cache
def batchwise(entries: int) -> Any:
    """scipy's DOP853 with the error of the worst of so many entries of the state, and not their mean square."""
    from scipy.integrate import DOP853

    class BatchwiseDOP853(DOP853):
        def _estimate_error_norm(self, K: Array, h: float, scale: Array) -> float:
            return float(np.abs(h) * error_norm([(K.T @ E / scale).reshape(entries, -1) for E in (self.E5, self.E3)]))

    return DOP853 if entries == 1 else BatchwiseDOP853


class LsodaStuckError(Exception):
    """LSODA, unlike a Runge-Kutta method, neither recovers from a NaN nor gives up at a singularity."""


class Run:
    """One run of scipy's `solve_ivp`; `count` is its evaluations so far."""

    def __init__(self, problem: Problem, tolerances: tuple[float, float], method: str, max_step: float):
        self._problem, self._rhs, self._y0, self._max_step = problem, problem.rhs, problem.start, max_step
        self._tolerances, self._method = tolerances, method
        self.count, self._last_seen, self._reached = 0, (0.0, problem.start), (0.0, problem.start)
        # a jacobian by differences takes an evaluation an unknown, and tells nothing about progress
        self._window, self._last = 1000 + 50 * min(len(self._y0), LARGEST_IMPLICIT), 0.0
        self._bound, self._hopeless = BLOW_UP * (1 + np.abs(self._y0).max()), False
        self._stepped = 0.0
        self._halt: float | None = None
        self._pace, self._looks = np.inf, 0

    def run(self, times: Array) -> Solution:
        y0 = self._y0
        self._last = float(times[-1])
        if times[-1] == 0.0:
            return Solution(times, y0[None].copy(), _constant(y0), Status.SUCCESS, "no time to flow", 0, self._method)
        with np.errstate(all="ignore"):
            if not np.isfinite(self._velocity(0.0, y0)).all():
                got, wanted = "NaN or infinity at the starting point", "a loss and a map that are differentiable there"
                raise NotFiniteError("velocity of the flow", got=got, wanted=wanted, remedy="start inside the domain")
            keep = len(y0) <= LARGEST_DENSE
            options = {"dense_output": True} if keep else {"t_eval": times}
            try:
                found = self._solve((0.0, float(times[-1])), y0, options)
            except GeoflowError:
                raise
            except (ValueError, np.linalg.LinAlgError) as error:
                found = self._until_it_broke(error, options)
        reached, y = self._reached
        whole = found.status == 0 and reached == times[-1]
        with np.errstate(all="ignore"):
            status, message = self._verdict(found, reached, y, whole)
        out = times if status is Status.SUCCESS else np.append(times[times < reached], reached)
        if keep:
            dense = _interpolant(found) if len(found.sol.interpolants) else _constant(y0)
            values = dense(out)
        else:
            passed = np.reshape(found.y, (len(y0), -1)).T[: len(out)]
            values = passed if status is Status.SUCCESS else np.r_[passed[: len(out) - 1], y[None]]
            dense = self._again(out, values)
        values[out == 0.0] = y0
        taken = np.asarray(found.sol.ts) if keep and status is Status.SUCCESS else np.zeros(0)
        return Solution(out, values, dense, status, message, self.count, self._method, steps=taken)

    def _solve(self, span: tuple[float, float], start: Array, options: dict[str, Any]) -> Any:
        from scipy.integrate import solve_ivp

        def blow_up(s: float, y: Array) -> float:
            size = float(np.abs(y).max())
            if np.isfinite(size) and size > self._bound and size < OVERFLOW and not self._ends_soon(s, y):
                self._bound = min(BLOW_UP * size, OVERFLOW)
            if np.isfinite(size) and size <= self._bound:
                self._reached = s, y.copy()
            if self._hopeless and self._halt is None:
                self._halt = (self._stepped + s) / 2  # in the last step, where scipy looks for the root
            self._stepped = s
            return self._bound - size if self._halt is None else self._halt - s

        blow_up.terminal = True  # type: ignore[attr-defined]
        method: Any = self._method
        if method == "DOP853":
            method = batchwise(self._problem.entries)
        if method == COLLOCATION:
            from geoflow.numerics.collocated import Collocation

            method, options = Collocation, {**options, "velocities": self._velocities}
        if self._problem.jac is not None and self._method in ("Radau", "BDF", "LSODA", COLLOCATION):
            options = {**options, "jac": self._problem.jac}
        return solve_ivp(
            self._velocity, span, start, method=method, rtol=max(self._tolerances[0], 3e-14), atol=self._tolerances[1],
            events=blow_up, max_step=self._max_step, **options,
        )  # fmt: skip

    def _until_it_broke(self, error: Exception, options: dict[str, Any]) -> Any:
        """The integration up to the last step before one at which scipy raised: a jacobian that is not finite."""
        last = self._reached[0]
        if last == 0.0:
            got = f"{type(error).__name__}: {error}"
            raise NotFiniteError("jacobian of the flow", got, "finite derivatives at the start", "use method='auto'")
        if "t_eval" in options:
            options = {"t_eval": options["t_eval"][options["t_eval"] <= last]}
        self._stepped, self._halt = 0.0, None
        found = self._solve((0.0, last), self._y0, options)
        found.status, found.message = -1, f"the jacobian is not finite: {error}"
        return found

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
        velocity = self._counted(1, self._rhs, s, y)
        if self._method == "LSODA" and self.count > 1 and not np.isfinite(velocity).all():
            raise LsodaStuckError
        self._watch(1, s, y)
        return velocity

    def _velocities(self, s: float, states: Array) -> Array:
        """Those of many states at once, shape=[m, k], in a step from time s."""
        many = self._problem.velocities
        assert many is not None
        found = self._counted(len(states), lambda _, y: many(y), s, states)
        self._watch(len(states), s, states[0])
        return found

    def _counted(self, count: int, rhs: Field, s: float, y: Array) -> Array:
        """So many velocities; NaN where there is none."""
        self.count += count
        if self.count <= MAX_EVALUATIONS:  # else the integration ends, and keeps what there is
            with suppress(*UNDEFINED):
                return rhs(s, y)
        return np.full(y.shape, np.nan)

    def _watch(self, count: int, s: float, y: Array) -> None:
        """Whether the integration gets on, once in a window of evaluations, of which these were the last."""
        if self.count % self._window < count:
            progress = s - self._last_seen[0]
            endless = self._window * (self._last - s) > PATIENCE * MAX_EVALUATIONS * progress
            if not endless or progress > 2 * self._pace:
                self._pace, self._looks = progress, 0
            self._looks += 1
            slow = endless and (progress <= 1e-6 * s or self._looks > LOOKS)
            size, last = float(np.abs(y).max()), self._last_seen[1]
            self._hopeless = slow and not size > 1.1 * np.abs(last).max()  # what grows may be about to blow up
            # LSODA bounds its steps by a Lipschitz constant from differences of the field, also of its rounding: it is
            # left where it takes short steps at rest, but not where `max_step` asks for them
            waits = self._last - s > STILL * progress and progress < 0.1 * self._window * self._max_step
            still = waits and not (np.abs(y - last) > self._tolerances[1]).any()
            if self._method == "LSODA" and (slow or still):
                raise LsodaStuckError
            self._last_seen = s, y.copy()

    def _ends_soon(self, s: float, y: Array) -> bool:
        """Whether 1 / rate, the rate of growth |y'| / |y|, falls to 0 in a time far shorter than has passed.

        In a blow-up y' ~ y^(1 + 1/p) it is (T - t) / p; for y' = y it is constant, and there is none.
        """
        entry = int(np.abs(y).argmax()) * self._problem.entries // len(y)

        def size(z: Array) -> float:
            return float(np.abs(z.reshape(self._problem.entries, -1)[entry]).max())

        velocity = self._velocity(s, y)
        rest = size(y) / size(velocity)
        step = 1e-3 * rest
        for side in (1, -1):  # back where there is no number ahead
            near = y + side * step * velocity
            other = size(near) / size(self._velocity(s + side * step, near))
            if np.isfinite(other) and other > 0:
                return not rest * step > 1e-3 * s * side * (rest - other)
        return False

    def _runs_away(self, s: float, y: Array, way: Array) -> bool:
        """Whether the velocity goes on along a way as long as the state, in its direction and ever larger."""
        last = self._velocity(s, y)
        for part in (1e-3, 1e-2, 0.1, 1.0):
            velocity = self._velocity(s, y + part * way)
            if not (
                np.isfinite(velocity).all() and velocity @ last > 0 and np.abs(velocity).max() > np.abs(last).max()
            ):
                return False
            last = velocity
        return True

    def _verdict(self, found: Any, reached: float, y: Array, finite: bool) -> tuple[Status, str]:
        if found.status == 0 and finite:
            return Status.SUCCESS, "reached the last time asked for"
        gave_up = self._hopeless or self.count > MAX_EVALUATIONS
        taken, self.count = self.count, 0  # a few evaluations more, to say why
        try:
            status, message = self._reason(found.status == 1 and not gave_up, reached, y)
        finally:
            self.count += taken
        if status is Status.FAILURE and gave_up and not message:
            count = min(taken, MAX_EVALUATIONS)
            message = f"gave up after {count} evaluations at t = {reached:.6g}: the steps are too short to arrive"
        return status, message or f"{found.message} (t = {reached:.6g})"

    def _reason(self, too_large: bool, reached: float, y: Array) -> tuple[Status, str]:
        """Why an integration ended early: read off the state and the field where it ended, and just ahead."""
        start, size = 1 + np.abs(self._y0).max(), np.abs(y).max()
        if size > 1e6 * start and self._ends_soon(reached, y):
            return Status.BLOW_UP, f"the flow blows up at t = {reached:.6g}"
        if too_large:
            return Status.OVERFLOW, f"the state exceeds {OVERFLOW:.0e} at t = {reached:.6g}, and would go on growing"
        velocity = self._velocity(reached, y)
        way = velocity / (1e-300 + np.abs(velocity).max()) * (1 + size)
        ahead = self._velocity(reached, y + 1e-6 * way)
        if size > FAR * start and not np.isfinite(ahead).all():
            return Status.OVERFLOW, f"the field is no number beyond a state of {size:.0e} at t = {reached:.6g}"
        if reached == 0 and np.isfinite(velocity).all() and np.isfinite(ahead).all():
            speed = f"{np.abs(velocity).max():.1e}"
            return Status.FAILURE, f"no step from the start is short enough for a velocity of {speed}; scale the loss"
        if np.abs(velocity).max() > 1e4 * start and self._runs_away(reached, y, way):
            return Status.BLOW_UP, f"the velocity grows without bound: the flow blows up at t = {reached:.6g}"
        if not (np.isfinite(velocity).all() and np.isfinite(ahead).all()) or np.abs(velocity).max() > 1e4 * start:
            return Status.LEFT_DOMAIN, f"the flow reaches the boundary of the domain at t = {reached:.6g}"
        behind = self._velocity(reached, y - 1e-6 * way)
        if np.abs(ahead - behind).max() > 0.5 * np.abs(velocity).max():
            kink = f"the velocity jumps at t = {reached:.6g}: a kink of the loss or of the map, along which the flow"
            return Status.FAILURE, f"{kink} would slide; replace it by a smooth one, such as sqrt(x^2 + e^2) for |x|"
        return Status.FAILURE, ""


def _interpolant(found: Any) -> Callable[[Any], Array]:
    """Dense output of every step, a time or times to states with the unknowns on the last axis."""
    return lambda s: np.moveaxis(np.asarray(found.sol(np.asarray(s, dtype=float))), 0, -1)


def _constant(y0: Array) -> Callable[[Any], Array]:
    return lambda s: np.broadcast_to(y0, (*np.shape(s), len(y0))).copy()
