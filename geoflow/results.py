"""Results that carry their own doubt: a value, a status, and a defect recomputed from the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from geoflow.errors import ArgumentError, CheckError, ConvergenceError, GeoflowError


@dataclass(frozen=True)
class Check:
    """A law tested at points: `defect / scale <= tol`, with the point where it is worst.

    Attributes
    ----------
    name : str
        The law.
    defect : float
        Largest violation over the points, relative to `scale`.
    scale : float
        The size the defect is relative to.
    tol : float
    witness : array, shape=[D]
        The point of the largest violation.
    detail : str
        What was seen there, in words.
    n_points : int
    error : type
        What `unwrap` raises.
    evidence : dict
    """

    name: str
    defect: float
    scale: float
    tol: float
    witness: np.ndarray
    detail: str = ""
    n_points: int = 1
    error: type[GeoflowError] = CheckError
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the relative defect is at most `tol`; a NaN does not pass."""
        return bool(self.defect <= self.tol)

    def __bool__(self) -> bool:
        return self.passed

    def unwrap(self) -> Check:
        """Return the check itself, or raise `error` with the defect and the witness."""
        if self.passed:
            return self
        raise self.error(
            f"{self.name} fails at {np.array2string(np.asarray(self.witness), precision=6, threshold=12)}",
            got=f"relative defect {self.defect:.3e}" + (f" ({self.detail})" if self.detail else ""),
            wanted=f"at most {self.tol:.1e}",
            remedy=self.evidence.get("remedy", ""),
            defect=self.defect,
            point=self.witness,
            tol=self.tol,
            **{k: v for k, v in self.evidence.items() if k != "remedy"},
        )

    def __str__(self) -> str:
        verdict = "holds" if self.passed else "FAILS"
        text = f"{self.name}: {verdict}, relative defect {self.defect:.1e} (tol {self.tol:.0e}, {self.n_points} points)"
        return text + (f"; {self.detail}" if self.detail and not self.passed else "")


class Status(str, Enum):
    """How an integration ended."""

    SUCCESS = "success"
    LEFT_DOMAIN = "left_domain"
    BLOW_UP = "blow_up"
    FAILURE = "solver_failure"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Trajectory:
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
    message : str
    sol : callable
        Dense output: a time or times, shape=[k], to w, shape=[k, ..., d].
    n_evaluations : int
    method : str
    """

    t: np.ndarray
    w: np.ndarray
    x: np.ndarray | None
    mu: np.ndarray
    loss: np.ndarray
    status: Status
    message: str
    sol: Callable[[Any], np.ndarray]
    n_evaluations: int = 0
    method: str = ""

    @property
    def success(self) -> bool:
        return self.status is Status.SUCCESS

    def __call__(self, t: Any) -> np.ndarray:
        """w at the time or times t by dense output; t within [0, self.t[-1]]."""
        times = np.asarray(t, dtype=float)
        if not np.all((times >= 0) & (times <= self.t[-1] * (1 + 1e-12))):
            raise ArgumentError(
                "time of the dense output",
                got=f"[{times.min():.6g}, {times.max():.6g}]",
                wanted=f"within [0, {self.t[-1]:.6g}]",
                remedy="integrate further: pass later times to the flow",
            )
        return self.sol(times)

    def unwrap(self) -> Trajectory:
        """Return the trajectory, or raise with the reason it stopped early."""
        if self.success:
            return self
        raise ConvergenceError(
            "flow",
            got=f"status {self.status.value} at t = {self.t[-1]:.6g}: {self.message}",
            wanted="an integration to the last time asked for",
            remedy="ask for earlier times, or use what the trajectory kept",
            trajectory=self,
        )

    def __str__(self) -> str:
        return f"Trajectory({len(self.t)} times to t = {self.t[-1]:.6g}, {self.status.value}: {self.message})"


@dataclass(frozen=True)
class EquivalenceReport:
    """Gradient flow of G against mirror flow of R, integrated separately.

    Attributes
    ----------
    commuting, regular : Check
    gap : float
        max over t of |w_GF - w_MF|, relative to the size of the trajectory.
    lift_gap : float
        max over t of |lift(w(t)) - x(t)|, relative to the size of x.
    dual_gap : float
        max over t of |grad R(w(t)) + int grad L|, relative to the size of the integral.
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
    gap_over_time: np.ndarray
    tol: float
    gradient_flow: Trajectory
    mirror_flow: Trajectory
    legendre: Any

    @property
    def passed(self) -> bool:
        """Whether both flows reached the last time and every gap is at most `tol`."""
        gaps = (self.gap, self.lift_gap, self.dual_gap)
        return bool(
            self.commuting
            and self.regular
            and self.gradient_flow.success
            and self.mirror_flow.success
            and all(g <= self.tol for g in gaps)
        )

    def __bool__(self) -> bool:
        return self.passed

    def unwrap(self) -> EquivalenceReport:
        """Return the report, or raise with its figures."""
        if self.passed:
            return self
        self.commuting.unwrap()
        self.regular.unwrap()
        self.gradient_flow.unwrap()
        self.mirror_flow.unwrap()
        raise CheckError(
            "equivalence of gradient flow and mirror flow",
            got=f"gap {self.gap:.1e}, lift gap {self.lift_gap:.1e}, dual gap {self.dual_gap:.1e}",
            wanted=f"each at most {self.tol:.1e}",
            remedy="lower rtol and atol, or shorten the time span",
            defect=max(self.gap, self.lift_gap, self.dual_gap),
            report=self,
        )

    def __str__(self) -> str:
        verdict = "gradient flow is mirror flow" if self.passed else "NOT shown equivalent"
        return (
            f"{verdict}: gap {self.gap:.1e}, lift gap {self.lift_gap:.1e}, dual gap {self.dual_gap:.1e}, "
            f"bracket defect {self.commuting.defect:.1e} (tol {self.tol:.0e})"
        )
