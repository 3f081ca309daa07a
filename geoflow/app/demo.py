"""The demo: both theorems over the catalogue, the bias on real data, and every figure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import autograd.numpy as anp
import numpy as np

from geoflow import catalog
from geoflow.app import diabetes, plotting, tables
from geoflow.maps.holonomy import lift_curve, parallelogram
from geoflow.maps.parametrization import Parametrization
from geoflow.results import Row
from geoflow.theorems.converse import converse_demo, converse_example
from geoflow.theorems.direct import verify_case, verify_refusal


def run_demo(folder: Path, told: tables.Advance = lambda subject, what: None) -> bool:
    """Run everything, print it, and write figures and figures.json to the folder; whether every row passes.

    `told` hears of every step.
    """
    start = time.perf_counter()
    with tables.progress(told) as advance:
        rows = _direct_rows(advance)
        converse = converse_demo(advance)
        optimum, bias = _bias_rows(advance)
        advance("figures", "drawing")
        draw_direct(rows, folder)
        draw_bias(bias, folder)
        draw_converse(converse, folder)
        draw_loops(folder)
    every = [*rows, *converse, *bias]
    passed = all(row.passed for row in every)
    tables.print_direct(rows)
    tables.print_converse(converse)
    tables.print_bias(bias)
    seconds, n = time.perf_counter() - start, len(every)
    content = {
        "passed": passed,
        "seconds": seconds,
        "rows": [row.as_json() for row in rows],
        "converse": [row.as_json() for row in converse],
        "diabetes": {"l1_optimum": optimum, "rows": [row.as_json() for row in bias]},
    }
    tables.write_json(folder / "figures.json", content)
    verdict = f"all {n} rows pass" if passed else f"{sum(not r.passed for r in every)} of {n} rows FAIL"
    print(f"\n{verdict} in {seconds:.0f} s; figures and figures.json are in {folder}/")
    return passed


def _direct_rows(advance: tables.Advance) -> list[Row]:
    rows = []
    for name, entry in catalog.parametrizations.items():
        d = 2 if not entry.dims or 2 in entry.dims else entry.dims[0]
        rows.append(verify_case(name, entry(d), advance=partial(advance, name)))
    for name, entry in catalog.noncommuting.items():
        advance(name, "refusal")
        rows.append(verify_refusal(entry))
    return rows


def _bias_rows(advance: tables.Advance) -> tuple[float, list[Row]]:
    Z, y = diabetes.load()
    optimum, rows = diabetes.basis_pursuit(Z, y), []
    for alpha in diabetes.INITIALIZATIONS:
        advance("diabetes", f"initialization {alpha:g}")
        rows.append(diabetes.verify_initialization(alpha, Z, y, optimum))
    return optimum, rows


# figures ------------------------------------------------------------------------------------------------------------


def draw_rows(rows: Sequence[Row], folder: Path) -> None:
    """Trajectories and gaps of every row of the direct theorem that has flows."""
    for row in rows:
        if row.results:
            stem = "".join(c if c.isalnum() else "_" for c in row.name)
            plotting.save(plotting.trajectories(row.results), folder / f"{stem}_trajectories.png")
            plotting.save(plotting.gap_over_time(row.results), folder / f"{stem}_gap.png")


def draw_direct(rows: Sequence[Row], folder: Path) -> None:
    """Trajectories of u^2 - v^2, and the gaps of all maps."""
    by_name = {row.name: row.results for row in rows if row.results}
    if "hyperbolic" in by_name:
        plotting.save(plotting.trajectories(by_name["hyperbolic"]), folder / "trajectories.png")
    gaps = {name: reports["quadratic"] for name, reports in by_name.items() if "quadratic" in reports}
    plotting.save(plotting.gap_over_time(gaps), folder / "gap.png")


def draw_bias(rows: Sequence[Row], folder: Path) -> None:
    """The regularization path."""
    done = [row for row in rows if "limit" in row.results]
    if done:
        alphas, ratios = [row.details["alpha"] for row in done], [row.figures["l1 ratio"] or np.nan for row in done]
        figure = plotting.regularization_path(alphas, np.stack([row.results["limit"] for row in done]), ratios)
        plotting.save(figure, folder / "regularization_path.png")


def draw_converse(rows: Sequence[Row], folder: Path) -> None:
    """The convergence of each solver, and the first solved M with a flow on it."""
    found = [row.results["realization"] for row in rows if "realization" in row.results]
    solved = [F for F in found if F.stages]
    for F in {F.method: F for F in solved}.values():
        plotting.save(plotting.convergence(F), folder / f"convergence_{F.method}.png")
    if solved:
        plotting.save(plotting.realized_surface(solved[0]), folder / "surface.png")
        flows = converse_example(solved[0])
        plotting.save(plotting.flow_on_realization(solved[0], *flows), folder / "flow_on_realization.png")


def draw_loops(folder: Path) -> None:
    """A loop and a grid that close where fields commute, beside those of the parabola."""
    parabola, squares, loops = catalog.noncommuting["parabola"](), catalog.parametrizations["sphere_squares"](2), {}
    for label, case in (("squares on the sphere", squares), ("parabola", parabola)):
        G, side = case.parametrization, 0.15 * np.eye(2)
        polygon = parallelogram(G(case.x0), side[0], side[1])
        # 12 points a side, so that the lift is drawn as the curve it is
        legs = [np.linspace(a, b, 12, endpoint=False) for a, b in pairwise(polygon)]
        loops[label] = lift_curve(G, case.x0, np.concatenate([*legs, polygon[-1:]]))
    plotting.save(plotting.holonomy(loops), folder / "holonomy.png")
    # fields that commute and are not the coordinate axes
    Q = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    plane = Parametrization(lambda x: anp.square(x @ Q), 2, 2, name="rotated squares")
    grid = plotting.joint_flow_grid(plane, parabola.parametrization, [1.0, 0.4], [0.5, 0.2])
    plotting.save(grid, folder / "joint_flow_grid.png")
