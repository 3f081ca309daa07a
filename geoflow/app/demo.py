"""The demo: both theorems over the catalogue, the bias on real data, and every picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import autograd.numpy as anp
import numpy as np
from matplotlib.axes import Axes

from geoflow import catalog
from geoflow.app import diabetes, plotting, tables
from geoflow.app.figures.flows import compared
from geoflow.app.figures.styling import sheet
from geoflow.app.rows import rows_of, tasks
from geoflow.catalog.registry import Case
from geoflow.maps.holonomy import Lift, lift_curve, parallelogram
from geoflow.maps.parametrization import Parametrization
from geoflow.realization.realized import Realization
from geoflow.results import Row
from geoflow.theorems.converse import converse_example


def run_demo(folder: Path, told: tables.Advance = lambda subject, what: None, jobs: int = 1) -> bool:
    """Run everything, print it, and write pictures and results.json to the folder; whether every row passes.

    `told` hears of every step; the rows are run by that many processes.
    """
    start = time.perf_counter()
    with tables.progress(told) as advance:
        found = rows_of(tasks(), jobs, advance)
        rows, converse, bias = found["direct"], found["converse"], found["bias"]
        advance("pictures", "drawing")
        draw_direct(rows, folder)
        draw_bias(bias, folder)
        draw_converse(converse, folder)
        draw_loops(folder)
    every = [*rows, *converse, *bias]
    passed = all(row.passed for row in every)
    tables.print_direct(rows)
    tables.print_words(tables.DIRECT_WORDS, tables.DASH["direct"])
    tables.print_converse(converse)
    tables.print_words(tables.CONVERSE_WORDS, tables.DASH["converse"])
    tables.print_bias(bias)
    tables.print_words(tables.BIAS_WORDS, tables.DASH["bias"])
    seconds, n = time.perf_counter() - start, len(every)
    content = {
        "passed": passed,
        "seconds": seconds,
        "rows": [row.as_json() for row in rows],
        "converse": [row.as_json() for row in converse],
        "diabetes": {"l1_optimum": diabetes.basis_pursuit(*diabetes.load()), "rows": [row.as_json() for row in bias]},
    }
    tables.write_json(folder / "results.json", content)
    verdict = f"all {n} rows pass" if passed else f"{sum(not r.passed for r in every)} of {n} rows FAIL"
    print(f"\n{verdict} in {seconds:.0f} s; pictures and results.json, every number, are in {folder}/")
    return passed


# pictures -----------------------------------------------------------------------------------------------------------


def draw_rows(rows: Sequence[Row], folder: Path) -> None:
    """Trajectories and gaps of every row of the direct theorem that has flows."""
    for row in rows:
        if row.results:
            stem = "".join(c if c.isalnum() else "_" for c in row.name)
            _save(partial(plotting.trajectories, row.results), folder / f"{stem}_trajectories", 3.0, _solid(row))
            _save(partial(plotting.gap_over_time, row.results), folder / f"{stem}_gap")


def draw_direct(rows: Sequence[Row], folder: Path) -> None:
    """Trajectories of u^2 - v^2, and the gaps of all maps."""
    by_name = {row.name: row.results for row in rows if row.results}
    if "hyperbolic" in by_name:
        _save(partial(plotting.trajectories, by_name["hyperbolic"]), folder / "trajectories", 3.4)
    if by_name:
        _save(partial(plotting.gaps, by_name), folder / "gap", max(2.4, 1.2 + 0.145 * len(by_name)))


def draw_bias(rows: Sequence[Row], folder: Path) -> None:
    """The regularization path, with the features' names, and its l1 norm against that of basis pursuit."""
    done = [row for row in rows if "limit" in row.results]
    if not done:
        return
    alphas, limits = [row.details["alpha"] for row in done], np.stack([row.results["limit"] for row in done])
    ratios = [row.figures["l1 ratio"] or np.nan for row in done]
    with plotting.style():
        figure, (top, bottom) = sheet(2, 1, 4.6)
        plotting.regularization_path(
            alphas, limits, top, diabetes.names(), "Diabetes data, map u^2 - v^2, least squares"
        )
        plotting.norm_ratios(alphas, ratios, bottom, "Limits of the same flows")
        plotting.save(figure, folder / "regularization_path")


def draw_converse(rows: Sequence[Row], folder: Path) -> None:
    """How far each solver came, and the first solved M with a flow on it."""
    found = [row.results["realization"] for row in rows if "realization" in row.results]
    solved = [F for F in found if F.stages]
    for F in {F.method: F for F in solved}.values():
        draw_solver(F, folder / F.method)
    if solved:
        draw_realization(solved[0], folder)


def draw_solver(F: Realization, path: Path) -> None:
    """The error of every stage of a solver, where there are several, and over the region."""
    if len(F.stages) > 1:
        _save(partial(plotting.convergence, F), path.with_name(f"{path.name}_convergence"))
    _save(partial(plotting.metric_error, F), path.with_name(f"{path.name}_error"), 2.8)


def draw_realization(F: Realization, folder: Path) -> None:
    """M, and a gradient flow on it beside the mirror flow in w."""
    _save(partial(plotting.realized_surface, F), folder / "surface", 2.9, True)
    flow, mirror = converse_example(F)
    gap = np.abs(flow.w - mirror.w).max() / max(np.abs(mirror.w - mirror.w[0]).max(), 1e-300)
    with plotting.style():
        figure, (top, bottom) = sheet(2, 1, 5.6, solid=(0, *((1,) if F.dim == 3 else ())))
        plotting.flow_on_realization(F, flow, top)
        told = f"{mirror.title}; the same flow in w", f"gap {gap:.1e} of the way"
        compared({"": (flow, mirror)}, *told, ax=bottom)
        plotting.save(figure, folder / "flow_on_realization")


def draw_loops(folder: Path) -> None:
    """A loop and a grid that close where fields commute, beside those of the parabola."""
    parabola, squares = catalog.noncommuting["parabola"](), catalog.parametrizations["sphere_squares"](2)
    # fields that commute and are not the coordinate axes
    Q = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    plane = Parametrization(lambda x: anp.square(x @ Q), 2, 2, name="rotated squares")
    with plotting.style():
        figure, axes = sheet(2, 2, 3.6)
        for column, (label, case) in enumerate((("squares on the sphere", squares), ("parabola", parabola))):
            lift = _lifted_square(case)
            for axis, of in zip(axes[column::2], ("w", "mu"), strict=True):
                plotting.holonomy(lift, axis, of, label)
        plotting.save(figure, folder / "holonomy")
        figure, axes = sheet(1, 2, 2.7)
        for axis, G, start in zip(
            axes, (plane, parabola.parametrization), (Q @ [0.5, 0.5], np.array([0.5, 0.2])), strict=True
        ):
            plotting.joint_flow_grid(G, start, axis, legend=False)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        plotting.save(figure, folder / "joint_flow_grid")


def _lifted_square(case: Case) -> Lift:
    G, side = case.parametrization, 0.15 * np.eye(2)
    polygon = parallelogram(G(case.x0), side[0], side[1])
    # 8 points a side, so that the lift is drawn as the curve it is
    legs = [np.linspace(a, b, 8, endpoint=False) for a, b in pairwise(polygon)]
    return lift_curve(G, case.x0, np.concatenate([*legs, polygon[-1:]]))


def _solid(row: Row) -> bool:
    return bool(row.details.get("d") == 3)


def _save(draw: Callable[[Axes], object], path: Path, height: float = 2.6, solid: bool = False) -> None:
    """One picture of one Axes."""
    with plotting.style():
        figure, (axis,) = sheet(height=height, solid=(0,) if solid else ())
        draw(axis)
        plotting.save(figure, path)
