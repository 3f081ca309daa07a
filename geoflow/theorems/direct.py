"""The direct theorem, run: over the catalogue, or over a user's own map, as rows of figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.catalog.registry import MODULO_FIBRES, Case, Entry
from geoflow.errors import DomainError, GeoflowError, NotCommutingError, ProofError, UserCodeError
from geoflow.flows.losses import LeastSquares, LogisticLoss, Loss
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.proofs import REFUTED, ROUNDED, UNDECIDED, prove_commuting
from geoflow.maps.reach import joint_flow, shrunk_until
from geoflow.maps.vertical import vertical_check
from geoflow.potentials.induced import InducedLegendreFunction, mirror_map
from geoflow.results import Row
from geoflow.theorems.equivalence import verify_equivalence
from geoflow.theorems.laws import LAWS

TIME = 2.0

#: what each figure of a row has to meet: of the laws, and of what is measured beside them
TOLERANCES = {
    **{law.figure: law.tol for law in LAWS.values() if law.figure},
    "bracket": LAWS["gradients_commute"].tol,
    "regular": LAWS["regular"].tol,
    "gap": LAWS["equivalence_gap"].tol,
    "lift gap": LAWS["dual_coordinate_is_loss_integral"].tol,
    "dual gap": LAWS["dual_coordinate_is_loss_integral"].tol,
    "grad Q": LAWS["induced_gradient_matches"].tol,
}


def signs(rng: np.random.Generator, n: int) -> Array:
    """n random signs."""
    return np.where(rng.uniform(size=n) < 0.5, -1.0, 1.0)


def three_losses(
    Z: Array, target: Array, data: Array, labels: Array, goal: Callable[[float], Array], weight: float = 1.0
) -> dict[str, Loss]:
    """|Z (w - target)|^2 / 2, a logistic loss, and weight |w - goal(t)|^2 / 2."""

    def moving(w: Array, t: float) -> Any:
        return weight * anp.sum((w - goal(t)) ** 2) / 2

    return {"quadratic": LeastSquares(Z, Z @ target), "logistic": LogisticLoss(data, labels), "time-dependent": moving}


def standard_losses(case: Case, rng: np.random.Generator) -> dict[str, Loss]:
    """A quadratic, a logistic and a time-dependent loss whose flows from x0 stay in reach."""
    G = case.parametrization
    d, w0 = G.codomain_dim, G(case.x0)
    mu = case.mu_bound * rng.uniform(0.5, 1.0, size=d) * signs(rng, d)
    target = G(joint_flow(G, case.x0, mu))  # well away from w0, so that relative gaps mean something
    Z = np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d)
    data = rng.uniform(-1, 1, size=(4 * d, d)) * case.mu_bound / TIME  # so that |mu(t)| stays below mu_bound
    return three_losses(Z, target, data, signs(rng, 4 * d), lambda t: w0 + (target - w0) * (1 + np.sin(3 * t)) / 2)


def how_known(G: Parametrization) -> str:
    """What is known of the brackets beside what is measured: "proved" to vanish, "refuted", or "measured" alone.

    "to rounding": they do not vanish for the rounded coefficients of the map, by no more than rounding.
    """
    try:
        found = prove_commuting(G)
    except ProofError:  # no record, or functions that need balls, which are not installed
        return "measured"
    if found.status == UNDECIDED:
        return "measured"
    return "to rounding" if found.status == REFUTED and found.defect <= ROUNDED else found.status


#: laws of the point x over w, which many lifts come to where a map commutes modulo fibres alone
OF_POINTS = ("flows_commute", "lift_is_path_independent")


def verify_case(name: str, case: Case, seed: int = 0, advance: Callable[[str], None] = lambda what: None) -> Row:
    """Run the laws of the direct theorem on one case; `advance` is told every step, `seed` is of points and losses."""
    rng, G = np.random.default_rng(seed), case.parametrization
    details: dict[str, Any] = {
        "d": G.codomain_dim, "refused": False, "source": "induced" if case.legendre is None else "closed form",
        "laws": [], "brackets": how_known(G),
    }  # fmt: skip
    row = Row(name, tolerances=dict(TOLERANCES), details=details)
    try:
        advance("brackets")
        row.figures["bracket"] = G.check_commuting(case.sample(100, rng)).defect
        induced = mirror_map(G, case.x0)
        if induced.leaf.fibred:
            points = G.flatten(case.sample(100, rng))
            row.figures["bracket"] = vertical_check(G.kernel, points, G.name, G.point_shape).defect
        row.details["laws"].append("necessary_condition" if induced.leaf.fibred else "gradients_commute")
        row.figures["regular"] = G.check_regular(case.sample(100, rng)).defect
        row.details["laws"].append("regular")
        advance("lift")
        _verify_induced(row, case, induced, rng)
        for loss_name, loss in standard_losses(case, rng).items():
            advance(f"flows, {loss_name} loss")
            report = verify_equivalence(loss, G, case.x0, np.linspace(0, TIME, 41), case.legendre)
            report.gradient_flow.unwrap()
            report.mirror_flow.unwrap()
            row.results[loss_name] = report
            for key, value in (("gap", report.gap), ("lift gap", report.lift_gap), ("dual gap", report.dual_gap)):
                row.figures[key] = max(row.figures.get(key) or 0.0, value)
                row.figures[f"{key}, {loss_name}"] = value
        row.details["laws"] += ["equivalence_gap", "dual_coordinate_is_loss_integral"]
    except NotCommutingError as error:
        row.details["refused"], row.error = True, str(error)
        row.figures["bracket"] = float(error.evidence.get("defect", np.nan))
    except UserCodeError:
        raise
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row


def _verify_induced(row: Row, case: Case, induced: InducedLegendreFunction, rng: np.random.Generator) -> None:
    """Laws of the map and of the lift, and closed forms where there are any, at points the flows do not visit."""
    G, w = case.parametrization, case.reach(8, rng)
    arguments: dict[str, tuple[Any, ...]] = {"map": (G, case.x0), "induced": (induced, w), "potential": (induced, w)}
    if case.legendre is not None:
        arguments["closed form"] = induced, case.legendre, w
    # points close enough to w0 that a path by way of a corner stays in the range
    near = induced.w0 + 0.3 * (w[:2] - induced.w0)
    own = {"flows_commute": (G, case.x0, case.mu_bound / 4), "lift_is_path_independent": (induced, near)}
    for name, law in LAWS.items():
        if law.figure and law.domain in arguments and not (induced.leaf.fibred and name in OF_POINTS):
            row.figures[law.figure] = law.relative(*own.get(name, arguments[law.domain]))
            row.tolerances[law.figure] = law.tol  # of a law that was registered later, too
            row.details["laws"].append(name)
    if case.legendre is None and case.dual is not None:
        value = case.dual.gradient(induced.gradient(w))
        row.figures["grad Q"] = float(np.abs(value - w).max()) / float(np.abs(w).max())


def verify_refusal(entry: Entry[Case]) -> Row:
    """A map that does not commute has to be refused; the row carries the bracket's defect.

    One that commutes modulo fibres has to be accepted: its row is that of `verify_case`.
    """
    case = entry()
    if entry.known == MODULO_FIBRES:
        return verify_case(entry.name, case)
    row = Row(entry.name, details={"d": case.parametrization.codomain_dim, "refused": False, "expected": "refusal"})
    row.details["brackets"] = how_known(case.parametrization)
    try:
        mirror_map(case.parametrization, case.x0)
        row.error = "accepted"
    except NotCommutingError as error:
        row.details.update(refused=True, seen=error.got)
        row.figures["bracket"] = float(error.evidence["defect"])
    except UserCodeError:
        raise
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row


def case_of(G: Parametrization, x0: ArrayLike | None = None, seed: int = 0) -> Case:
    """A case for a user's own parametrization: how far flows from x0, shape=[D], may go is found by trying.

    By default x0 is a random point of the space; for R^D, coordinates between 0.5 and 1.5.
    """
    if x0 is None:
        points = G.generic_points()
        x0 = np.random.default_rng(seed).uniform(0.5, 1.5, size=G.dim) if points is None else points[0]
        x0 = G.unflatten(x0)
    start, d = G.require_points(x0, "x0"), G.codomain_dim
    corners = np.concatenate([np.eye(d), -np.eye(d), np.ones((1, d)), -np.ones((1, d))])
    try:
        bound = shrunk_until(lambda size: joint_flow(G, start, 1.5 * size * corners, rtol=1e-6, atol=1e-9), 0.5)[1]
    except DomainError:
        bound = 0.5**21

    def sample(n: int, rng: np.random.Generator) -> Array:
        return joint_flow(G, start, rng.uniform(-bound, bound, size=(n, d)))

    return Case(G, start, None, sample, mu_bound=bound)
