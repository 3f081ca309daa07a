"""Results that carry their own doubt: a value, a status, and a defect recomputed from the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geoflow._frames import frame_of
from geoflow._html import facts, verdict_table
from geoflow._pickling import Portable
from geoflow._showing import Paged, Shown
from geoflow._typing import Array, ArrayLike, Evidence
from geoflow._validate import describe
from geoflow.errors import ArgumentError, CheckError, ConvergenceError, GeoflowError, in_a_line

if TYPE_CHECKING:
    import pandas


class Claim(NamedTuple):
    """What is claimed, in words, what was measured and wanted of it, and whether it holds; None beside a mere fact."""

    words: str
    measured: Any
    wanted: Any = None
    holds: bool | None = None


def rounded_to(x: float, rounding: str, digits: int) -> float:
    """A number to so many digits, up or down, but for the rounding of a float."""
    return float(Context(prec=digits, rounding=rounding).create_decimal(repr(float(x)))) if 0 < x < np.inf else float(x)


def downward(x: float, digits: int) -> str:
    """A proved lower bound in words: no larger than it is."""
    return f"{rounded_to(x, ROUND_FLOOR, digits):.{digits}g}"


def upward(x: float, digits: int) -> str:
    """A proved upper bound in words: no smaller than it is."""
    return f"{rounded_to(x, ROUND_CEILING, digits):.{digits}g}"


def at_most(words: str, value: float, tol: float) -> Claim:
    """The claim that a number is at most a tolerance; a NaN is not."""
    return Claim(words, f"{value:.1e}", f"at most {tol:.0e}" if tol else "0", bool(value <= tol))


class Verdict(Portable):
    """A result that says what fails in it: it is truthy, and `passed`, where nothing does."""

    @property
    def failures(self) -> list[str]:
        """What fails, in words; a NaN fails."""
        raise NotImplementedError

    @property
    def passed(self) -> bool:
        return not self.failures

    @property
    def claims(self) -> list[Claim]:
        """What the result claims, each in words with what was measured of it."""
        return [Claim(str(self), None, None, self.passed)]

    def _repr_html_(self) -> str:
        title = type(self).__name__ + (": " + ("holds" if self.passed else "FAILS"))
        return verdict_table(title, self.claims)

    def __bool__(self) -> bool:
        return self.passed

    def __eq__(self, other: object) -> bool:
        """Whether all figures are the same, arrays entry by entry; NaN is the same as NaN."""
        return type(self) is type(other) and _same(vars(self), vars(other))

    __hash__ = None  # type: ignore[assignment]


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal, arrays as a whole."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.shape(a) == np.shape(b) and all(map(_same, np.ravel(a).tolist(), np.ravel(b).tolist()))
    return bool(a == b or (a != a and b != b))


@dataclass(frozen=True, eq=False, repr=False)
class Check(Verdict):
    """A law tested at points: it holds where `defect <= tol`, with the point where it is worst.

    Attributes
    ----------
    name, detail : str
        The law, and what was seen at the witness, in words.
    defect, scale, tol : float
        Largest violation over the points, already divided by its scale there: defect * scale is the violation itself.
    witness : array, shape=[D]
        The point of the largest violation.
    n_points : int
    error : type
        What `unwrap` raises.
    evidence : dict
    """

    name: str
    defect: float
    scale: float
    tol: float
    witness: Array
    detail: str = ""
    n_points: int = 1
    error: type[GeoflowError] = CheckError
    evidence: Evidence = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        return [] if self.defect <= self.tol else [self.name]

    @property
    def claims(self) -> list[Claim]:
        defect = at_most(f"{self.name}: relative defect at {self.n_points} points", self.defect, self.tol)
        seen = [Claim("seen", self.detail)] if self.detail else []
        return [defect, Claim("worst at", describe(self.witness)), *seen]

    def unwrap(self) -> Check:
        """Return the check itself, or raise `error` with the defect and the witness."""
        if self.passed:
            return self
        raise self.error(
            f"{self.name} fails at {describe(self.witness)}",
            got=f"relative defect {self.defect:.3e}" + (f" ({self.detail})" if self.detail else ""),
            wanted=f"at most {self.tol:.1e}",
            **{"remedy": "", "defect": self.defect, "point": self.witness, "tol": self.tol, **self.evidence},
        )

    def __str__(self) -> str:
        verdict = "holds" if self.passed else "FAILS"
        text = f"{self.name}: {verdict}, relative defect {self.defect:.1e} (tol {self.tol:.0e}, {self.n_points} points)"
        return text + (f"; {self.detail}" if self.detail and not self.passed else "")


def require_within(t: ArrayLike, last: float) -> Array:
    """Times as an array, or an error where one is not in [0, last]."""
    times = np.asarray(t, dtype=float)
    if not np.all((times >= 0) & (times <= last * (1 + 1e-12))):
        got, wanted = f"[{times.min():.6g}, {times.max():.6g}]", f"within [0, {last:.6g}]"
        raise ArgumentError("time of the dense output", got, wanted, "integrate further: pass later times")
    return times


class Status(str, Enum):
    """How a flow or a descent ended: at its last time, where `until` was met or never was, or early."""

    SUCCESS = "success"
    SMALL_LOSS = "small_loss"
    SMALL_GRADIENT = "small_gradient"
    SMALL_CHANGE = "small_change"
    UNTIL_NOT_MET = "until_not_met"
    LEFT_DOMAIN = "left_domain"
    BLOW_UP = "blow_up"
    OVERFLOW = "overflow"
    FAILURE = "solver_failure"

    @property
    def early(self) -> bool:
        """Whether it ended before it was asked to."""
        return self in (Status.LEFT_DOMAIN, Status.BLOW_UP, Status.OVERFLOW, Status.FAILURE)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, repr=False)
class Trajectory(Shown):
    """A flow at the times `t`, and what became of it.

    Attributes
    ----------
    t : array, shape=[n_times]
        The times asked for, up to where the flow got; after an early stop the last entry is the time of the stop.
        With `until`, up to the first of them at which it is met.
    w : array, shape=[n_times, ..., d]
    x : array, shape=[n_times, ..., D], or None
        Points of the parametrization's space; None for a mirror flow.
    mu : array, shape=[n_times, ..., d]
        Dual coordinates: minus the integral of the gradient of the loss (gradient flow), or grad R(w) (mirror flow).
    loss : array, shape=[n_times, ...]
    status : Status
    message, method : str
    sol : callable
        Dense output: a time or times within [0, t[-1]], shape=[k], to w, shape=[k, ..., d]; an error beyond.
    n_evaluations : int
    statuses : array of str, shape=[...]
        How every entry of the batch ended; one that ended early is NaN at later times, and the others go on. `status`
        is that of the first to end.
    title : str
        What flows: the kind of flow, the map or potential and the loss, by their names.
    """

    t: Array
    w: Array
    x: Array | None
    mu: Array
    loss: Array
    status: Status
    message: str
    sol: Callable[[ArrayLike], Array]
    n_evaluations: int = 0
    method: str = ""
    statuses: Array = field(default_factory=lambda: np.zeros(0, dtype=str))
    title: str = ""

    @property
    def success(self) -> bool:
        return not self.status.early and self.status is not Status.UNTIL_NOT_MET

    def __call__(self, t: ArrayLike) -> Array:
        """w at the time or times t by dense output; t within [0, self.t[-1]]."""
        return self.sol(t)

    def to_frame(self) -> pandas.DataFrame:
        """A pandas table, one row a time and entry of the batch: t, loss, w_1, ..., mu_1, ..., x_1, ...."""
        return frame_of(self)

    def unwrap(self) -> Trajectory:
        """Return the trajectory, or raise with the reason it stopped early, or that it never met `until`."""
        if self.success:
            return self
        got = f"status {self.status.value} at t = {self.t[-1]:.6g}: {self.message}"
        wanted, remedy = "an integration to the last time asked for", "ask for earlier times"
        if self.status is Status.UNTIL_NOT_MET:
            wanted, remedy = "a point that meets `until`", "ask for later times or more steps"
        raise ConvergenceError("flow", got, wanted, f"{remedy}, or use what the trajectory kept", trajectory=self)

    def __str__(self) -> str:
        return f"Trajectory({len(self.t)} times to t = {self.t[-1]:.6g}, {self.status.value}: {self.message})"

    def __repr__(self) -> str:
        return in_a_line(str(self))

    def _repr_html_(self) -> str:
        of_x = [] if self.x is None else [("x", f"shape {self.x.shape}")]
        return facts(
            self.title or "trajectory",
            [("times", f"{len(self.t)}, from {self.t[0]:.6g} to {self.t[-1]:.6g}"), ("status", self.status.value),
             ("message", self.message), ("w", f"shape {self.w.shape}"), ("w at the first time", self.w[0]),
             ("w at the last", self.w[-1]), *of_x, ("loss at the first time", self.loss[0]),
             ("loss at the last", self.loss[-1]), ("integrator", self.method), ("evaluations", self.n_evaluations)],
        )  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class EquivalenceReport(Verdict, Paged):
    """Gradient flow of G against mirror flow of R, integrated separately.

    Attributes
    ----------
    commuting, regular : Check
    gap, lift_gap, dual_gap : float
        max over t of |w_GF - w_MF|, of |lift(w(t)) - x(t)| and of |grad R(w(t)) + int grad L|, relative to the sizes of
        the trajectory, of x and of the integral.
    gap_over_time : array, shape=[n_times]
    tol : float
    gradient_flow, mirror_flow : Trajectory
    legendre : LegendreFunction
    """

    commuting: Check
    regular: Check
    gap: float
    lift_gap: float
    dual_gap: float
    gap_over_time: Array
    tol: float
    gradient_flow: Trajectory
    mirror_flow: Trajectory
    legendre: Any

    @property
    def failures(self) -> list[str]:
        """Checks that do not hold, flows that did not reach the last time, and gaps above `tol`."""
        gaps = {"gap": self.gap, "lift gap": self.lift_gap, "dual gap": self.dual_gap}
        flows = {"gradient flow": self.gradient_flow, "mirror flow": self.mirror_flow}
        return [
            *self.commuting.failures, *self.regular.failures,
            *(name for name, flow in flows.items() if not flow.success),
            *(name for name, gap in gaps.items() if not gap <= self.tol),
        ]  # fmt: skip

    @property
    def claims(self) -> list[Claim]:
        told = {
            "gap: both flows are at the same w at the same time, relative to how far w goes": self.gap,
            "lift gap: the lift of w(t) is x(t), relative to x": self.lift_gap,
            "dual gap: grad R(w(t)) is minus the integral of grad L, relative to that": self.dual_gap,
        }
        flows = [
            Claim(
                f"{name} reaches the last time", f"{flow.status.value}, t = {flow.t[-1]:.6g}", "success", flow.success
            )
            for name, flow in (("gradient flow", self.gradient_flow), ("mirror flow", self.mirror_flow))
        ]
        gaps = [at_most(words, gap, self.tol) for words, gap in told.items()]
        return [*self.commuting.claims[:1], *self.regular.claims[:1], *flows, *gaps]

    def unwrap(self) -> EquivalenceReport:
        """Return the report, or raise with its figures."""
        if self.passed:
            return self
        for part in (self.commuting, self.regular, self.gradient_flow, self.mirror_flow):
            part.unwrap()
        what, remedy = "equivalence of gradient flow and mirror flow", "lower rtol and atol, or shorten the time span"
        defect = max(self.gap, self.lift_gap, self.dual_gap)
        raise CheckError(what, self._gaps, f"each at most {self.tol:.1e}", remedy, defect=defect, report=self)

    @property
    def _gaps(self) -> str:
        return f"gap {self.gap:.1e}, lift gap {self.lift_gap:.1e}, dual gap {self.dual_gap:.1e}"

    def __str__(self) -> str:
        verdict = "gradient flow is mirror flow" if self.passed else "NOT shown equivalent"
        return f"{verdict}: {self._gaps}, bracket defect {self.commuting.defect:.1e} (tol {self.tol:.0e})"


@dataclass(eq=False, repr=False)
class Row(Verdict):
    """Figures of one subject, what each has to meet, and what was raised: a row of a table, and of a JSON file.

    Attributes
    ----------
    name, error : str
        The subject, and what was raised or nothing.
    figures, tolerances : dict of str to float
        Relative defects, None where one was not asked for, and the largest value of each that decides.
    details : dict
        Plain facts beside the figures: dimensions, methods, whether a refusal was expected.
    results : dict
        The objects the figures were taken from, by name; they stay out of the JSON.
    """

    name: str
    figures: dict[str, float | None] = field(default_factory=dict)
    tolerances: dict[str, float] = field(default_factory=dict)
    error: str = ""
    details: Evidence = field(default_factory=dict)
    results: Evidence = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """Figures that miss their tolerance, or are NaN; the error, or the lack of any figure."""
        missed = [
            key for key, value in self.figures.items()
            if value is not None and key in self.tolerances and not value <= self.tolerances[key]
        ]  # fmt: skip
        return missed + ([self.error] if self.error else []) + ([] if self.figures or self.error else ["no figures"])

    @property
    def claims(self) -> list[Claim]:
        """Every figure that was asked for with what it has to meet, and what was raised."""
        asked = [(key, value, self.tolerances.get(key)) for key, value in self.figures.items() if value is not None]
        found = [Claim(key, value) if tol is None else at_most(key, value, tol) for key, value, tol in asked]
        return found + ([Claim("error", self.error, "none", False)] if self.error else [])

    def __str__(self) -> str:
        verdict = "pass" if self.passed else f"FAIL, {', '.join(self.failures)}"
        return f"{self.name}: {verdict}, {len(self.figures)} figures"

    def as_json(self) -> Evidence:
        """The row as plain numbers and strings."""
        return {
            "name": self.name,
            **self.details,
            "passed": self.passed,
            "error": self.error,
            "failures": self.failures,
            "figures": self.figures,
            "tolerances": {k: v for k, v in self.tolerances.items() if k in self.figures},
        }
