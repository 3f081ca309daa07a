"""Results that carry their own doubt: a value, a status, and a defect recomputed from the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow._frames import frame_of
from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Evidence
from geoflow._validate import describe
from geoflow.errors import ArgumentError, CheckError, ConvergenceError, GeoflowError

if TYPE_CHECKING:
    import pandas


class Verdict(Portable):
    """A result that says what fails in it: it is truthy, and `passed`, where nothing does."""

    @property
    def failures(self) -> list[str]:
        """What fails, in words; a NaN fails."""
        raise NotImplementedError

    @property
    def passed(self) -> bool:
        return not self.failures

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
    """How an integration ended."""

    SUCCESS = "success"
    LEFT_DOMAIN = "left_domain"
    BLOW_UP = "blow_up"
    OVERFLOW = "overflow"
    FAILURE = "solver_failure"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, repr=False)
class Trajectory(Portable):
    """A flow at the times `t`, and what became of it.

    Attributes
    ----------
    t : array, shape=[n_times]
        The times asked for, up to where the flow got; after an early stop the last entry is the time of the stop.
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

    @property
    def success(self) -> bool:
        return self.status is Status.SUCCESS

    def __call__(self, t: ArrayLike) -> Array:
        """w at the time or times t by dense output; t within [0, self.t[-1]]."""
        return self.sol(t)

    def to_frame(self) -> pandas.DataFrame:
        """A pandas table, one row a time and entry of the batch: t, loss, w_1, ..., mu_1, ..., x_1, ...."""
        return frame_of(self)

    def unwrap(self) -> Trajectory:
        """Return the trajectory, or raise with the reason it stopped early."""
        if self.success:
            return self
        got = f"status {self.status.value} at t = {self.t[-1]:.6g}: {self.message}"
        remedy = "ask for earlier times, or use what the trajectory kept"
        raise ConvergenceError("flow", got, "an integration to the last time asked for", remedy, trajectory=self)

    def __str__(self) -> str:
        return f"Trajectory({len(self.t)} times to t = {self.t[-1]:.6g}, {self.status.value}: {self.message})"

    __repr__ = __str__


@dataclass(frozen=True, eq=False, repr=False)
class EquivalenceReport(Verdict):
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


@dataclass(eq=False)
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
