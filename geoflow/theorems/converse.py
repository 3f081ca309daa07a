"""The converse theorem, run: realize a potential, and compare flows on M with mirror flow in w."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.catalog.registry import potentials
from geoflow.errors import ArgumentError, GeoflowError, ProofError, RealizationError, UserCodeError
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.losses import LeastSquares, Loss
from geoflow.flows.mirror import mirror_flow
from geoflow.potentials.induced import mirror_map
from geoflow.potentials.legendre import LegendreFunction
from geoflow.realization.construct import realize
from geoflow.realization.proof import Proof
from geoflow.realization.realized import Realization
from geoflow.realization.rules import exact_embedding
from geoflow.results import Row, Trajectory
from geoflow.spaces.domains import Box, ConvexDomain
from geoflow.theorems.direct import TIME, signs, three_losses


def converse_losses(F: Realization, w0: Array, rng: np.random.Generator) -> dict[str, Loss]:
    """A quadratic, a logistic and a time-dependent loss whose mirror flows from w0 stay in the region."""
    assert F.potential is not None
    d, H, reach = F.dim, F.potential.hessian(w0), _reach(F, w0)
    target = w0 + reach * rng.uniform(0.5, 1.0, size=d) * signs(rng, d) / np.sqrt(d)
    # forces of a size that moves w about one reach in the time span, whatever the scale of the metric
    force = np.linalg.norm(H @ (target - w0)) / TIME
    data = rng.standard_normal((4 * d, d)) / np.sqrt(d) * force
    half, stiffness = target + (w0 - target) / 2, float(force / np.linalg.norm(target - w0))
    Z, labels = np.sqrt(stiffness) * np.eye(d), signs(rng, 4 * d)
    return three_losses(Z, target, data, labels, lambda t: half + (target - half) * np.sin(3 * t), stiffness)


def _reach(F: Realization, w0: Array) -> Array:
    """How far from w0 flows may go in every coordinate, shape=[d]: a quarter of the sides of a box."""
    assert F.potential is not None
    d, box = F.dim, F.target.box
    reach: Array = 0.5 * np.ones(d) if box is None else 0.25 * (box.upper - box.lower)
    corners = 2 * np.concatenate([np.eye(d), -np.eye(d)])
    while box is None and not np.all(F.potential.domain.belongs(w0 + reach * corners)):
        reach = reach / 2
    return reach


def converse_figures(F: Realization, seed: int = 0, round_trip: bool = True) -> dict[str, float]:
    """The converse theorem, run on a realization: flows on M against mirror flow in w, brackets, and the round trip.

    "gap": largest |w_GF - w_MF| over three losses, relative to the size of the path; "distance": of the flow to M;
    "bracket": relative, at points of the flows; "round trip": grad of the induced R against grad R, relative.
    """
    if F.potential is None:
        raise ArgumentError("realization", got="one of a bare metric", wanted="one of a Legendre function")
    R, G, rng = F.potential, F.parametrization, np.random.default_rng(seed)
    w0, times, visited = F.region.interior_point(), np.linspace(0, TIME, 31), []
    figures = {"metric": F.certificate.metric_error, "gap": 0.0, "distance": 0.0}
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


def verify_potential(
    name: str,
    R: LegendreFunction,
    box: ConvexDomain | Sequence[ArrayLike] | None = None,
    largest_round_trip: int = 99,
    **options: Any,
) -> Row:
    """Realize R and run the converse theorem on the result; options are those of `realize`.

    The round trip through `mirror_map` is left out where D exceeds `largest_round_trip`. The row carries the
    realization as `results["realization"]`. Without a box, a potential that has no exact rule is realized on the
    largest cube about its interior point, of half-width at most 1, whose double is inside its domain.
    """
    try:
        F = realize(R, _default_box(R) if box is None else box, **options)
        return converse_row(name, F, converse_figures(F, round_trip=F.ambient_dim <= largest_round_trip))
    except RealizationError as error:
        found = error.evidence.get("realization")
        return Row(name, error=str(error)) if found is None else converse_row(name, found, {}, str(error))
    except UserCodeError:
        raise
    except GeoflowError as error:
        return Row(name, error=f"{type(error).__name__}: {error}")


def converse_row(name: str, F: Realization, figures: dict[str, float], error: str = "") -> Row:
    """A row with the figures of a realization and what they have to meet."""
    details = {"d": F.dim, "D": F.ambient_dim, "method": f"{F.method} ({F.reason})"}
    return Row(name, dict(figures), converse_tolerances(F), error, details, {"realization": F})


def _default_box(R: LegendreFunction) -> Box | None:
    if exact_embedding(R) is not None:
        return None
    centre, half = R.domain.interior_point(), 1.0
    corners = np.stack(np.meshgrid(*[[-2.0, 2.0]] * R.dim, indexing="ij"), axis=-1).reshape(-1, R.dim)
    while not np.all(R.domain.belongs(centre + half * corners)):
        half /= 2
    return Box(centre - half, centre + half)


def converse_cases() -> dict[str, Callable[[], Row]]:
    """What the demo runs, by name: exact rules where there are over the catalogue, and both solvers on a black box."""

    def proved(row: Row) -> Row:
        F = row.results.get("realization")
        if F is not None and F.stages:
            row.details["proved"] = _proved(F)
        return row

    def of_entry(name: str) -> Row:
        return proved(verify_potential(name, potentials[name](), largest_round_trip=5))

    def of_solver(method: str) -> Row:
        lse = potentials["log_sum_exp"](2)
        black_box = LegendreFunction(
            lse.potential, lse.domain, hessian=partial(lse.kernel.derivative, 2), name="log-sum-exp, as a black box"
        )
        return proved(verify_potential(f"log_sum_exp, {method}", black_box, Box([-1, -1], [1, 1]), 5, method=method))

    cases = {name: partial(of_entry, name) for name in potentials}
    return {**cases, **{f"log_sum_exp, {method}": partial(of_solver, method) for method in ("spectral", "twist")}}


def _proved(F: Realization) -> float | None:
    """The proved bound of the metric error; None where nothing is proved, or can be."""
    try:
        proof = F.prove()
    except ProofError:
        return None
    return proof.eps if proof else None


def proved_gap(F: Realization, proof: Proof) -> tuple[float, float]:
    """|w_M(t) - w_R(t)| of the two flows of a quadratic loss: a bound by Gronwall while both are in the box, and the
    largest that is measured."""
    assert F.potential is not None and F.target.box is not None
    loss = converse_losses(F, F.region.interior_point(), np.random.default_rng(0))["quadratic"]
    assert isinstance(loss, LeastSquares)
    corners = np.array(list(itertools.product(*np.stack([F.target.box.lower, F.target.box.upper], axis=1))))
    # |grad L| is convex, and largest at a corner
    steepest = np.linalg.norm((corners @ loss.Z.T - loss.y) @ loss.Z, axis=1).max()
    flow, mirror = converse_example(F)
    bound = proof.flow_gap(TIME, float(np.linalg.norm(loss.Z, 2) ** 2 * (1 + 1e-9)), float(steepest * (1 + 1e-9)))
    return bound, float(np.linalg.norm(flow.w - mirror.w, axis=-1).max())


def converse_example(F: Realization) -> tuple[Trajectory, Trajectory]:
    """Gradient flow on M and mirror flow in w towards a goal that goes round, for a picture: a path that bends."""
    assert F.potential is not None
    w0, times = F.region.interior_point(), np.linspace(0, TIME, 121)
    H, reach = F.potential.hessian(w0), _reach(F, w0)
    ends, weight = np.eye(F.dim)[[0, -1]], 6 * float(np.trace(H)) / F.dim

    def moving_goal(w: Array, t: float) -> Any:
        turn = 2 * np.pi * t / TIME
        goal = w0 + 1.2 * reach * (np.sin(turn) * ends[0] + (F.dim > 1) * (1 - np.cos(turn)) / 2 * ends[1])
        return weight * anp.sum((w - goal) ** 2) / 2

    flow = gradient_flow(moving_goal, F.parametrization, F.embedding(w0), times)
    return flow, mirror_flow(moving_goal, F.potential, w0, times, rtol=1e-11, atol=1e-14)
