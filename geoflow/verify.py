"""The direct theorem, run: over the catalogue, or over a user's own map, as rows of figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow import laws
from geoflow.catalog.potentials import potentials
from geoflow.catalog.registry import Case, Entry
from geoflow.domains import Box
from geoflow.errors import ArgumentError, DomainError, GeoflowError, NotCommutingError, RealizationError
from geoflow.fields import joint_flow
from geoflow.flows import gradient_flow, mirror_flow
from geoflow.induced import InducedLegendreFunction, mirror_map
from geoflow.legendre import LegendreFunction
from geoflow.losses import LeastSquares, LogisticLoss
from geoflow.parametrization import Parametrization
from geoflow.realization import Realization, realize
from geoflow.realization.rules import exact_embedding
from geoflow.results import EquivalenceReport

TIME = 2.0

# what each figure of a row has to meet
TOLERANCES = {
    "bracket": 1e-9,
    "regular": 0.0,
    "gap": 1e-7,
    "lift gap": 1e-8,
    "dual gap": 1e-8,
    "grad R": 1e-9,
    "R": 1e-9,
    "hess R": 1e-9,
    "grad Q": 1e-9,
    "lift inverts": 1e-10,
    "flows commute": 1e-9,
    "path independence": 1e-7,
    "T symmetric": 1e-8,
}


def verify_equivalence(
    loss: Any,
    G: Parametrization,
    x0: Any,
    t: Any,
    legendre: LegendreFunction | None = None,
    tol: float = 1e-7,
    rtol: float = 1e-11,
    atol: float = 1e-14,
) -> EquivalenceReport:
    """Integrate gradient flow of G and mirror flow of R separately, and compare them; the direct theorem as a test.

    Parameters
    ----------
    loss : callable
        loss(w) or loss(w, t).
    G : Parametrization
    x0 : array-like, shape=[D]
    t : float or array-like, shape=[n_times]
    legendre : LegendreFunction, optional
        R in closed form, with grad R(G(x0)) = 0; by default the numerically induced one is integrated.
    tol : float
        What every gap of the report has to meet.
    rtol, atol : float
        Tolerances of both integrations.

    Returns
    -------
    EquivalenceReport
        Its lift and dual gaps always test the numerically induced R, by one batched lift of the whole trajectory.

    Raises
    ------
    NotCommutingError, NotRegularError
        When G is not covered by the theorem.
    """
    induced = mirror_map(G, x0)
    R = induced if legendre is None else legendre
    flow = gradient_flow(loss, G, x0, t, rtol=rtol, atol=atol)
    mirror = mirror_flow(loss, R, induced.w0, t, rtol=rtol, atol=atol)
    n = min(len(flow.t), len(mirror.t)) - (0 if flow.success and mirror.success else 1)
    w, v = flow.w[:n], mirror.w[:n]
    assert flow.x is not None
    size = np.abs(w - induced.w0).max(initial=0.0) + 1e-300
    over_time = np.abs(w - v).max(axis=-1) / size
    lift, mu = induced.lift(w), induced.gradient(w)
    return EquivalenceReport(
        commuting=G.check_commuting(flow.x[:n]),
        regular=G.check_regular(flow.x[:n]),
        gap=float(over_time.max(initial=0.0)),
        lift_gap=float(np.abs(lift - flow.x[:n]).max(initial=0.0) / (np.abs(flow.x[:n]).max(initial=0.0) + 1e-300)),
        dual_gap=float(np.abs(mu - flow.mu[:n]).max(initial=0.0) / (np.abs(flow.mu[:n]).max(initial=0.0) + 1e-300)),
        gap_over_time=over_time,
        tol=tol,
        gradient_flow=flow,
        mirror_flow=mirror,
        legendre=R,
    )


@dataclass
class Row:
    """Figures of one entry, and the verdict.

    Attributes
    ----------
    name : str
    d : int
    figures : dict of str to float
        Relative defects; those named in `TOLERANCES` decide.
    source : str
        Where the R of the mirror flow comes from: "closed form" or "induced".
    error : str
        What was raised, or empty.
    refused : bool
        Whether a map that does not commute was refused.
    expected_refusal : bool
    reports : dict of str to EquivalenceReport
    """

    name: str
    d: int
    figures: dict[str, float] = field(default_factory=dict)
    source: str = ""
    error: str = ""
    refused: bool = False
    expected_refusal: bool = False
    reports: dict[str, EquivalenceReport] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """Figures that miss their tolerance, or are NaN."""
        return [k for k, v in self.figures.items() if k in TOLERANCES and not v <= TOLERANCES[k]]

    @property
    def passed(self) -> bool:
        if self.expected_refusal:
            return self.refused
        return not self.error and not self.failures and bool(self.figures)

    def as_json(self) -> dict[str, Any]:
        """The row as plain numbers and strings."""
        return {
            "name": self.name,
            "d": self.d,
            "passed": self.passed,
            "source": self.source,
            "refused": self.refused,
            "error": self.error,
            "failures": self.failures if not self.expected_refusal else [],
            "figures": self.figures,
            "tolerances": {k: TOLERANCES[k] for k in self.figures if k in TOLERANCES},
        }


def standard_losses(case: Case, rng: np.random.Generator) -> dict[str, Any]:
    """A quadratic, a logistic and a time-dependent loss whose flows from x0 stay in reach."""
    G = case.parametrization
    d, w0 = G.codomain_dim, G(case.x0)
    mu = case.mu_bound * rng.uniform(0.5, 1.0, size=d) * np.where(rng.uniform(size=d) < 0.5, -1, 1)
    target = G(joint_flow(G, case.x0, mu))  # well away from w0, so that relative gaps mean something
    Z = np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d)
    data = rng.uniform(-1, 1, size=(4 * d, d)) * case.mu_bound / TIME  # so that |mu(t)| stays below mu_bound

    def moving(w: Any, t: float) -> Any:
        goal = w0 + (target - w0) * (1 + np.sin(3 * t)) / 2
        return anp.sum((w - goal) ** 2) / 2

    return {
        "quadratic": LeastSquares(Z, Z @ target),
        "logistic": LogisticLoss(data, np.where(rng.uniform(size=4 * d) < 0.5, -1.0, 1.0)),
        "time-dependent": moving,
    }


def verify_case(name: str, case: Case, seed: int = 0, advance: Callable[[str], None] = lambda what: None) -> Row:
    """Run the laws of the direct theorem on one case.

    Parameters
    ----------
    name : str
    case : Case
    seed : int
        Of the points and losses.
    advance : callable
        Told the name of every step as it begins, for a progress display.
    """
    rng, G = np.random.default_rng(seed), case.parametrization
    row = Row(name, G.codomain_dim, source="closed form" if case.legendre is not None else "induced")
    try:
        advance("brackets")
        check = G.check_commuting(case.sample(100, rng))
        row.figures["bracket"] = check.defect
        induced = mirror_map(G, case.x0)
        row.figures["regular"] = G.check_regular(case.sample(100, rng)).defect
        advance("lift")
        _verify_induced(row, case, induced, rng)
        for loss_name, loss in standard_losses(case, rng).items():
            advance(f"flows, {loss_name} loss")
            report = verify_equivalence(loss, G, case.x0, np.linspace(0, TIME, 41), case.legendre)
            report.gradient_flow.unwrap()
            report.mirror_flow.unwrap()
            row.reports[loss_name] = report
            for key, value in (("gap", report.gap), ("lift gap", report.lift_gap), ("dual gap", report.dual_gap)):
                row.figures[key] = max(row.figures.get(key, 0.0), value)
                row.figures[f"{key}, {loss_name}"] = value
    except NotCommutingError as error:
        row.refused, row.error = True, str(error)
        row.figures["bracket"] = float(error.evidence.get("defect", np.nan))
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row


def _verify_induced(row: Row, case: Case, induced: InducedLegendreFunction, rng: np.random.Generator) -> None:
    """Laws of the lift, and closed forms where there are any, at points the flows do not visit."""
    G, w = case.parametrization, case.reach(8, rng)
    results = {
        "lift inverts": laws.lift_inverts(induced, w),
        "flows commute": laws.flows_commute(G, case.x0, case.mu_bound / 4),
        "path independence": laws.lift_is_path_independent(induced, _corner_reachable(case, w[:2])),
        "T symmetric": laws.third_derivative_is_symmetric(induced, w),
    }
    if case.legendre is not None:
        results["grad R"] = laws.induced_gradient_matches(induced, case.legendre, w)
        results["R"] = laws.induced_value_matches(induced, case.legendre, w)
        results["hess R"] = laws.induced_hessian_matches(induced, case.legendre, w)
    elif case.dual is not None:
        value = case.dual.gradient(induced.gradient(w))
        results["grad Q"] = float(np.abs(value - w).max()), float(np.abs(w).max())
    row.figures.update({k: defect / scale for k, (defect, scale) in results.items()})


def _corner_reachable(case: Case, w: np.ndarray) -> np.ndarray:
    """Points close enough to w0 that a path by way of a corner stays in the range."""
    w0 = case.parametrization(case.x0)
    return w0 + 0.3 * (w - w0)


def verify_refusal(entry: Entry) -> Row:
    """A map that does not commute has to be refused; the row carries the bracket's defect."""
    case = entry()
    row = Row(entry.name, case.parametrization.codomain_dim, expected_refusal=True)
    try:
        mirror_map(case.parametrization, case.x0)
        row.error = "accepted"
    except NotCommutingError as error:
        row.refused, row.error = True, error.got
        row.figures["bracket"] = float(error.evidence["defect"])
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row


def case_of(G: Parametrization, x0: Any = None, seed: int = 0) -> Case:
    """A case for a user's own parametrization: how far flows from x0 may go is found by trying.

    Parameters
    ----------
    G : Parametrization
    x0 : array-like, shape=[D], optional
        By default a random point of the space; for R^D, coordinates between 0.5 and 1.5.
    seed : int
    """
    rng = np.random.default_rng(seed)
    if x0 is None:
        points = G._probe_points()
        x0 = G._shaped(points[0]) if points is not None else rng.uniform(0.5, 1.5, size=G.dim)
    x0 = G.require_points(x0, "x0")
    d, bound = G.codomain_dim, 0.5
    for _ in range(20):
        try:
            corners = np.concatenate([np.eye(d), -np.eye(d), np.ones((1, d)), -np.ones((1, d))])
            joint_flow(G, x0, 1.5 * bound * corners, rtol=1e-6, atol=1e-9)
            break
        except DomainError:
            bound /= 2

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        return joint_flow(G, x0, rng.uniform(-bound, bound, size=(n, d)))

    return Case(G, x0, None, sample, mu_bound=bound)


def converse_losses(F: Realization, w0: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """A quadratic, a logistic and a time-dependent loss whose mirror flows from w0 stay in the region."""
    R = F.potential
    assert R is not None
    d, H = F.dim, R.hessian(w0)
    reach = 0.5 * np.ones(d)
    if isinstance(F.region, Box) and F.region.bounded:
        reach = 0.25 * (F.region.upper - F.region.lower)
    else:
        while not np.all(R.domain.belongs(w0 + 2 * reach * np.concatenate([np.eye(d), -np.eye(d)]))):
            reach = reach / 2
    target = w0 + reach * rng.uniform(0.5, 1.0, size=d) * np.where(rng.uniform(size=d) < 0.5, -1, 1) / np.sqrt(d)
    # forces of a size that moves w about one reach in the time span, whatever the scale of the metric
    force = np.linalg.norm(H @ (target - w0)) / TIME
    data = rng.standard_normal((4 * d, d)) / np.sqrt(d) * force
    half = target + (w0 - target) / 2

    def moving(w: Any, t: float) -> Any:
        goal = half + (target - half) * anp.sin(3 * t)
        return stiffness * anp.sum((w - goal) ** 2) / 2

    stiffness = force / np.linalg.norm(target - w0)
    Z = np.sqrt(stiffness) * np.eye(d)
    labels = np.where(rng.uniform(size=4 * d) < 0.5, -1.0, 1.0)
    return {"quadratic": LeastSquares(Z, Z @ target), "logistic": LogisticLoss(data, labels), "time-dependent": moving}


def converse_figures(F: Realization, seed: int = 0, round_trip: bool = True) -> dict[str, float]:
    """The converse theorem, run on a realization: flows on M against mirror flow in w, brackets, and the round trip.

    Returns
    -------
    dict of str to float
        "gap": largest |w_GF - w_MF| over three losses, relative to the size of the path; "distance": of the flow to
        M; "bracket": relative, at points of the flows; "round trip": grad of the induced R against grad R, relative.
    """
    if F.potential is None:
        raise ArgumentError("realization", got="one of a bare metric", wanted="one of a Legendre function")
    R, G, rng = F.potential, F.parametrization, np.random.default_rng(seed)
    w0 = F.region.interior_point()
    times = np.linspace(0, TIME, 31)
    figures = {"metric": F.certificate.metric_error, "gap": 0.0, "distance": 0.0}
    visited = []
    for loss in converse_losses(F, w0, rng).values():
        flow = gradient_flow(loss, G, F.embedding(w0), times).unwrap()
        mirror = mirror_flow(loss, R, w0, times, rtol=1e-11, atol=1e-14).unwrap()
        size = np.abs(mirror.w - w0).max() + 1e-300
        figures["gap"] = max(figures["gap"], float(np.abs(flow.w - mirror.w).max() / size))
        figures["distance"] = max(figures["distance"], float(np.max(G.space.distance_to(flow.x))))
        visited.append((flow.w, flow.x))
    points = np.concatenate([x for _, x in visited])
    figures["bracket"] = G.check_commuting(points[:: max(1, len(points) // 30)]).defect
    if round_trip:
        w = visited[0][0][[10, 30]]
        induced, closed = mirror_map(G, F.embedding(w0)).gradient(w), R.gradient(w) - R.gradient(w0)
        figures["round trip"] = float(np.abs(induced - closed).max() / np.abs(closed).max())
    return figures


def converse_tolerances(F: Realization) -> dict[str, float]:
    """What each figure of `converse_figures` has to meet, given the certified metric error."""
    error = F.certificate.metric_error
    return {
        "metric": F.certificate.tol,
        "gap": max(1e-6, 10 * error),
        "distance": max(1e-7, 10 * error),
        "bracket": max(1e-6, 30 * error),
        "round trip": max(1e-6, 10 * error),
    }


@dataclass
class ConverseRow:
    """Figures of the converse theorem for one potential, and the verdict.

    Attributes
    ----------
    name : str
    figures : dict of str to float
    realization : Realization, or None
    error : str
    """

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    realization: Realization | None = None
    error: str = ""

    @property
    def failures(self) -> list[str]:
        """Figures that miss their tolerance, or are NaN."""
        if self.realization is None:
            return ["realization"]
        wanted = converse_tolerances(self.realization)
        return [key for key, value in self.figures.items() if not value <= wanted[key]]

    @property
    def passed(self) -> bool:
        return not self.error and not self.failures and bool(self.figures)

    def as_json(self) -> dict[str, Any]:
        """The row as plain numbers and strings."""
        F = self.realization
        return {
            "name": self.name,
            "passed": self.passed,
            "error": self.error,
            "failures": self.failures,
            "figures": self.figures,
            "D": None if F is None else F.ambient_dim,
            "method": "" if F is None else repr(F.method),
        }


def verify_potential(
    name: str, R: LegendreFunction, box: Any = None, largest_round_trip: int = 99, **options: Any
) -> ConverseRow:
    """Realize R and run the converse theorem on the result; options are those of `realize`.

    The round trip through `mirror_map` is left out where D exceeds `largest_round_trip`.

    Without a box, a potential that has no exact rule is realized on the largest cube about its interior point, of
    half-width at most 1, whose double is inside its domain.
    """
    row = ConverseRow(name)
    try:
        if box is None and exact_embedding(R) is None:
            centre, half = R.domain.interior_point(), 1.0
            corners = np.stack(np.meshgrid(*[[-2.0, 2.0]] * R.dim, indexing="ij"), axis=-1).reshape(-1, R.dim)
            while not np.all(R.domain.belongs(centre + half * corners)):
                half /= 2
            box = Box(centre - half, centre + half)
        row.realization = realize(R, box, **options)
        round_trip = row.realization.ambient_dim <= largest_round_trip
        row.figures = converse_figures(row.realization, round_trip=round_trip)
    except RealizationError as error:
        row.realization, row.error = error.evidence.get("realization"), str(error)
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row


def converse_demo(advance: Callable[[str, str], None] = lambda subject, what: None) -> list[ConverseRow]:
    """The converse theorem over the catalogue: exact rules where there are, and both solvers on a black box."""
    rows = []
    for name, entry in potentials.items():
        advance(name, "realization")
        rows.append(verify_potential(name, entry(), largest_round_trip=5))
    lse = potentials["log_sum_exp"](2)
    black_box = LegendreFunction(lse.potential, lse.domain, hessian=lse._hessian, name="log-sum-exp, as a black box")
    for method in ("spectral", "twist"):
        advance("log_sum_exp", f"{method} on a black box")
        rows.append(verify_potential(f"log_sum_exp, {method}", black_box, Box([-1, -1], [1, 1]), 5, method=method))
    return rows


def converse_example(F: Realization) -> tuple[Any, Any]:
    """Gradient flow on M and mirror flow in w of a quadratic loss, for a picture."""
    assert F.potential is not None
    w0, times = F.region.interior_point(), np.linspace(0, TIME, 41)
    loss = converse_losses(F, w0, np.random.default_rng(0))["quadratic"]
    flow = gradient_flow(loss, F.parametrization, F.embedding(w0), times)
    return flow, mirror_flow(loss, F.potential, w0, times, rtol=1e-11, atol=1e-14)
