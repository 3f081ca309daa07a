"""The command line: geoflow demo | verify | realize | list."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoflow.diabetes import BiasRow
    from geoflow.verify import ConverseRow, Row


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 all passed, 1 a row failed, 2 bad usage."""
    options = _parser().parse_args(arguments)
    from geoflow.errors import GeoflowError

    try:
        return int(options.run(options))
    except (GeoflowError, OSError) as error:
        print(f"geoflow: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="geoflow", description="Commuting parametrizations, Legendre functions and mirror flows."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run both theorems over the catalogue, and the bias on real data")
    demo.add_argument(
        "--out", default="geoflow-demo", help="folder for figures and figures.json (default: %(default)s)"
    )
    demo.set_defaults(run=_demo)
    verify = commands.add_parser("verify", help="run the laws on catalogue entries or on your own parametrization")
    verify.add_argument("targets", nargs="+", metavar="NAME|FILE.py:OBJECT")
    verify.add_argument("--dim", type=int, default=None, help="dimension d of catalogue entries (default: 2)")
    verify.add_argument("--x0", default=None, help="start of your own map, comma-separated (default: its module's x0)")
    verify.add_argument("--json", default=None, metavar="FILE", help="write every figure")
    verify.add_argument("--plot", default=None, metavar="DIR", help="write trajectories and gaps as PNG")
    verify.set_defaults(run=_verify)
    realize = commands.add_parser("realize", help="embed a Hessian metric, and run gradient flow on the result")
    realize.add_argument("target", metavar="NAME|FILE.py:OBJECT", help="a potential of the catalogue, or your own")
    realize.add_argument("--d", type=int, default=None, help="dimension d of a catalogue potential (default: 2)")
    realize.add_argument(
        "--box", default=None, metavar="LOW,..:HIGH,..", help="as -1,-2:1,-0.5, or one LOW:HIGH for every coordinate"
    )
    realize.add_argument(
        "--dim", type=int, default=None, help="ambient dimension D (default: d(d+3)/2, or by the rule)"
    )
    realize.add_argument("--tol", type=float, default=1e-8, help="relative metric error to meet (default: %(default)s)")
    realize.add_argument("--method", default="auto", choices=("auto", "exact", "twist", "spectral"))
    realize.add_argument("--plot", default=None, metavar="DIR", help="write M, the convergence and the flows as PNG")
    realize.add_argument("--save", default=None, metavar="FILE.npz", help="write the realization")
    realize.add_argument("--json", default=None, metavar="FILE", help="write every figure")
    realize.set_defaults(run=_realize)
    listing = commands.add_parser("list", help="list the catalogue")
    listing.set_defaults(run=_list)
    return parser


# commands -----------------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    from geoflow import catalog

    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("Commuting parametrizations", ("name", "w = G(x)", "int dom R", "closed forms", "d"),
         [(e.name, e.formula, e.domain, e.known, _dims(e)) for e in catalog.parametrizations.values()]),
        ("Not commuting: refused", ("name", "w = G(x)", "why", "d"),
         [(e.name, e.formula, e.reason, _dims(e)) for e in catalog.noncommuting.values()]),
        ("Potentials", ("name", "R(w)", "domain", "d"),
         [(p.name, p.formula, p.domain, _dims(p)) for p in catalog.potentials.values()]),
    ]  # fmt: skip
    for title, columns, rows in tables:
        _print_table(title, columns, rows)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from geoflow import catalog
    from geoflow.verify import verify_case, verify_potential, verify_refusal

    rows, converse = [], []
    with _progress() as advance:
        for target in options.targets:
            if target in catalog.noncommuting:
                rows.append(verify_refusal(catalog.noncommuting[target]))
                continue
            if target in catalog.potentials:
                advance(target, "realization")
                converse.append(verify_potential(target, catalog.potentials[target](options.dim)))
                continue
            case = _user_case(target, options.x0) if ".py" in target else catalog.parametrizations[target](options.dim)
            rows.append(verify_case(target, case, advance=partial(advance, target)))
    _print_rows(rows)
    _print_converse(converse)
    every: list[Any] = [*rows, *converse]
    passed = all(row.passed for row in every)
    if options.json:
        _write_json(options.json, {"rows": [row.as_json() for row in every], "passed": passed})
    if options.plot:
        _plot_rows([row for row in rows if row.reports], options.plot)
    return 0 if passed else 1


def _realize(options: argparse.Namespace) -> int:
    from pathlib import Path

    import geoflow.plotting as plotting
    from geoflow.errors import RealizationError
    from geoflow.realization import realize
    from geoflow.verify import converse_example, converse_figures, converse_tolerances

    R, box = _user_potential(options.target, options.d), None
    if options.box is not None:
        box = _box(options.box, R.dim)
    with _progress() as advance:

        def stage(name: str, stage: Any) -> None:
            advance(
                f"{name} {stage.parameter:.3g}, {stage.grid} points: error {stage.fresh:.1e}", f"{stage.seconds:.1f} s"
            )

        try:
            F, refusal = realize(R, box, options.tol, options.method, options.dim, advance=stage), ""
        except RealizationError as error:
            if error.evidence.get("realization") is None:
                raise
            F, refusal = error.evidence["realization"], str(error)
        advance(options.target, "flows on M")
        figures = converse_figures(F)
        if options.plot:
            _save(plotting.realized_surface(F), Path(options.plot) / "surface.png")
            if F.stages:
                _save(plotting.convergence(F), Path(options.plot) / "convergence.png")
            _save(plotting.flow_on_realization(F, *converse_example(F)), Path(options.plot) / "flow.png")
    failed = [key for key, value in figures.items() if not value <= converse_tolerances(F)[key]]
    c = F.certificate
    _print_table(
        f"Converse theorem: {R.name} on {F.region}, embedded in R^{F.ambient_dim}",
        ("figure", "value", "wanted"),
        [("method", repr(F.method), ""), *((key, _number(value), f"<= {converse_tolerances(F)[key]:.0e}")
         for key, value in figures.items()), ("fresh points", str(c.n_points), ""),
         ("injectivity margin", f"{c.injectivity_margin:.2g}", ">= 1e-3"),
         ("condition of dF", f"{c.condition:.3g}", ""), ("reach of M", f"{c.reach:.2g}", "")],
    )  # fmt: skip
    if options.save and not refusal:
        F.save(options.save)
        print(f"saved to {options.save}")
    if options.plot:
        print(f"figures are in {options.plot}/")
    if options.json:
        passed = not (refusal or failed)
        _write_json(options.json, {"passed": passed, "D": F.ambient_dim, "method": repr(F.method), "figures": figures})
    if refusal:
        print(f"REFUSED: {refusal}")
    print("FAIL: " + ", ".join(failed) if failed else "gradient flow on M is mirror flow of R")
    return 1 if refusal or failed else 0


def _box(text: str, dim: int) -> Any:
    from geoflow.domains import Box
    from geoflow.errors import ArgumentError

    try:
        low, high = ([float(number) for number in side.split(",")] for side in text.split(":"))
        lower, upper = (side * dim if len(side) == 1 else side for side in (low, high))
    except ValueError:
        raise ArgumentError(
            "--box",
            got=repr(text),
            wanted="LOW,..:HIGH,.. with numbers, such as -1,-2:1,-0.5",
            remedy="write --box=-1:1",
        ) from None
    return Box(lower, upper)


def _user_potential(target: str, d: int | None) -> Any:
    from geoflow import catalog
    from geoflow.errors import ArgumentError
    from geoflow.legendre import LegendreFunction

    if ".py" not in target:
        return catalog.potentials[target](d)
    value, _ = _object(target)
    if not isinstance(value, LegendreFunction):
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted="a gf.LegendreFunction")
    return value


def _demo(options: argparse.Namespace) -> int:
    import time
    from pathlib import Path

    from geoflow import catalog, diabetes
    from geoflow.verify import converse_demo, verify_case, verify_refusal

    start, rows, bias = time.perf_counter(), [], []
    with _progress() as advance:
        for name, entry in catalog.parametrizations.items():
            d = 2 if not entry.dims or 2 in entry.dims else entry.dims[0]
            rows.append(verify_case(name, entry(d), advance=partial(advance, name)))
        for name, entry in catalog.noncommuting.items():
            advance(name, "refusal")
            rows.append(verify_refusal(entry))
        converse = converse_demo(advance)
        Z, y = diabetes.load()
        optimum = diabetes.basis_pursuit(Z, y)
        for alpha in diabetes.INITIALIZATIONS:
            advance("diabetes", f"initialization {alpha:g}")
            bias.append(diabetes.verify_initialization(alpha, Z, y, optimum))
        advance("figures", "drawing")
        folder = Path(options.out)
        _plot_demo(rows, bias, folder)
        _plot_converse(converse, folder)
    results: list[Any] = [*rows, *converse, *bias]
    passed = all(row.passed for row in results)
    _print_rows(rows)
    _print_converse(converse)
    _print_bias(bias)
    seconds = time.perf_counter() - start
    _write_json(
        folder / "figures.json",
        {
            "passed": passed,
            "seconds": seconds,
            "rows": [row.as_json() for row in rows],
            "converse": [row.as_json() for row in converse],
            "diabetes": {"l1_optimum": optimum, "rows": [row.as_json() for row in bias]},
        },
    )
    n = len(results)
    verdict = f"all {n} rows pass" if passed else f"{sum(not r.passed for r in results)} of {n} rows FAIL"
    print(f"\n{verdict} in {seconds:.0f} s; figures and figures.json are in {folder}/")
    return 0 if passed else 1


# a user's own map ---------------------------------------------------------------------------------------------------


def _user_case(target: str, x0: str | None) -> Any:
    """The case of FILE.py:OBJECT, a Parametrization or a Case, started at --x0, the module's x0, or a generic point."""
    from geoflow.catalog.registry import Case
    from geoflow.errors import ArgumentError
    from geoflow.parametrization import Parametrization
    from geoflow.verify import case_of

    value, module = _object(target)
    if isinstance(value, Case):
        return value
    if not isinstance(value, Parametrization):
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted="a gf.Parametrization or a catalogue Case")
    try:
        start = [float(number) for number in x0.split(",")] if x0 else getattr(module, "x0", None)
    except ValueError:
        raise ArgumentError("--x0", got=repr(x0), wanted="numbers separated by commas, such as 1,0.5") from None
    return case_of(value, start)


def _object(target: str) -> tuple[Any, Any]:
    """The object FILE.py:OBJECT names, and its module."""
    from geoflow.errors import ArgumentError

    path, _, name = target.rpartition(":")
    if not path or not path.endswith(".py"):
        raise ArgumentError(f"target {target!r}", wanted="FILE.py:OBJECT", remedy="name the object, as in maps.py:G")
    module = _load(path)
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise ArgumentError(f"object {name!r} of {path}", got="no such name", wanted=f"one of {', '.join(public)}")
    return getattr(module, name), module


def _load(path: str) -> Any:
    import importlib.util
    from pathlib import Path

    from geoflow.errors import ArgumentError

    if not Path(path).is_file():
        raise ArgumentError(f"file {path!r}", got="no such file", wanted="a Python file")
    spec = importlib.util.spec_from_file_location("geoflow_user_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ArgumentError(
            f"file {path!r}", got=f"{type(error).__name__}: {error}", wanted="a file that runs"
        ) from error
    return module


# output -------------------------------------------------------------------------------------------------------------


def _dims(entry: Any) -> str:
    return ", ".join(map(str, entry.dims)) or "any"


def _console() -> Any:
    from rich.console import Console

    # a pipe or a log has no width of its own: do not cut the table there
    return Console() if sys.stdout.isatty() else Console(width=140)


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    _console().print(table)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.1e}"


def _print_rows(rows: list[Row]) -> None:
    keys = ("bracket", "gap", "lift gap", "dual gap", "grad R", "lift inverts", "path independence")
    accepted, refused = [r for r in rows if not r.expected_refusal], [r for r in rows if r.expected_refusal]
    if accepted:
        cells = []
        for row in accepted:
            figures = [_number(row.figures.get(k)) for k in keys]
            reason = "see below" if row.error else ", ".join(row.failures)
            cells.append((row.name, str(row.d), row.source, *figures, _verdict(row.passed, reason)))
        _print_table(
            "Direct theorem: gradient flow through G is mirror flow of R (relative defects, worst of three losses)",
            ("G", "d", "R", *keys, "verdict"), cells,
        )  # fmt: skip
    for row in accepted:
        if row.error:
            print(f"{row.name}: {row.error}")
    if refused:
        cells = [(r.name, str(r.d), _number(r.figures.get("bracket")), r.error, "refused" if r.passed else "FAIL")
                 for r in refused]  # fmt: skip
        _print_table("Not commuting: has to be refused", ("G", "d", "bracket", "what was seen", "verdict"), cells)


def _print_converse(rows: list[ConverseRow]) -> None:
    keys = ("metric", "gap", "distance", "bracket", "round trip")
    cells = []
    for row in rows:
        F = row.realization
        where = ("-", "-", "-") if F is None else (str(F.dim), str(F.ambient_dim), str(F.method))
        reason = "see below" if row.error else ", ".join(row.failures)
        cells.append((row.name, *where, *(_number(row.figures.get(k)) for k in keys), _verdict(row.passed, reason)))
    if cells:
        _print_table(
            "Converse theorem: mirror flow of R is gradient flow on M = F(K) in R^D (relative defects, three losses)",
            ("R", "d", "D", "method", "metric error", "gap", "distance to M", "bracket", "round trip", "verdict"),
            cells,
        )  # fmt: skip
    for row in rows:
        if row.error:
            print(f"{row.name}: {row.error}")


def _print_bias(rows: list[BiasRow]) -> None:
    cells = [
        (f"{r.alpha:g}", _number(r.limit_gap), _number(r.direct_gap), _number(r.loss), f"{r.l1_ratio:.4f}",
         f"{r.rate:.3f}", _verdict(r.passed, r.error or ", ".join(r.failures)))
        for r in rows
    ]  # fmt: skip
    _print_table(
        "Implicit bias on the diabetes data: 40 samples, 65 quadratic features, u^2 - v^2 from u = v = alpha",
        ("alpha", "limit vs Bregman projection", "dual flow vs flow in x", "final / initial loss",
         "l1 / basis pursuit", "max t (L - L*) / D_R", "verdict"), cells,
    )  # fmt: skip


def _verdict(passed: bool, reason: str) -> str:
    return "pass" if passed else f"FAIL: {reason}"


class _progress:  # noqa: N801  used as a function
    """A context that gives a function to announce steps with: a spinner in a terminal, plain lines elsewhere."""

    def __enter__(self) -> Any:
        self._status = None
        self._last = ""
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("starting")
            self._status.__enter__()
        return self._announce

    def _announce(self, subject: str, what: str) -> None:
        if self._status is not None:
            self._status.update(f"{subject}: {what}")
            return
        if subject != self._last:
            print(f"... {subject}", file=sys.stderr, flush=True)
            self._last = subject

    def __exit__(self, *exception: Any) -> None:
        if self._status is not None:
            self._status.__exit__(*exception)


def _write_json(path: Any, content: Any) -> None:
    import json
    from pathlib import Path

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=1) + "\n")


def _save(figure: Any, path: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _plot_rows(rows: list[Row], folder: Any) -> None:
    from pathlib import Path

    import geoflow.plotting as plotting

    for row in rows:
        stem = "".join(c if c.isalnum() else "_" for c in row.name)
        _save(plotting.trajectories(row.reports), Path(folder) / f"{stem}_trajectories.png")
        _save(plotting.gap_over_time(row.reports), Path(folder) / f"{stem}_gap.png")


def _plot_demo(rows: list[Row], bias: list[BiasRow], folder: Any) -> None:
    import numpy as np

    import geoflow.plotting as plotting
    from geoflow import catalog
    from geoflow.holonomy import lift_curve, parallelogram

    by_name = {row.name: row for row in rows if row.reports}
    if "hyperbolic" in by_name:
        _save(plotting.trajectories(by_name["hyperbolic"].reports), folder / "trajectories.png")
    gaps = {name: row.reports["quadratic"] for name, row in by_name.items() if "quadratic" in row.reports}
    _save(plotting.gap_over_time(gaps), folder / "gap.png")
    done = [row for row in bias if row.limit.size]
    if done:
        figure = plotting.regularization_path(
            [row.alpha for row in done], np.stack([row.limit for row in done]), [row.l1_ratio for row in done]
        )
        _save(figure, folder / "regularization_path.png")
    closing, open_ = _plane_maps(), catalog.noncommuting["parabola"]()
    loops = {}
    for label, case in [("squares on the sphere", catalog.parametrizations["sphere_squares"](2)), ("parabola", open_)]:
        G, x0, side = case.parametrization, case.x0, 0.15 * np.eye(2)
        w0 = G(x0)
        loops[label] = lift_curve(G, x0, _refined(parallelogram(w0, side[0], side[1])))
    _save(plotting.holonomy(loops), folder / "holonomy.png")
    _save(
        plotting.joint_flow_grid(closing, open_.parametrization, [1.0, 0.4], [0.5, 0.2]), folder / "joint_flow_grid.png"
    )


def _refined(polygon: Any, n: int = 12) -> Any:
    """The polygon with n points a side, so that its lift is drawn as the curve it is."""
    from itertools import pairwise

    import numpy as np

    legs = [np.linspace(a, b, n, endpoint=False) for a, b in pairwise(polygon)]
    return np.concatenate([*legs, polygon[-1:]])


def _plot_converse(rows: list[ConverseRow], folder: Any) -> None:
    import geoflow.plotting as plotting
    from geoflow.verify import converse_example

    solved = [row.realization for row in rows if row.realization is not None and row.realization.stages]
    for F in {str(F.method): F for F in solved}.values():
        _save(plotting.convergence(F), folder / f"convergence_{F.method}.png")
    if solved:
        _save(plotting.realized_surface(solved[0]), folder / "surface.png")
        _save(plotting.flow_on_realization(solved[0], *converse_example(solved[0])), folder / "flow_on_realization.png")


def _plane_maps() -> Any:
    """Squares in rotated coordinates of the plane: fields that commute and are not the coordinate axes."""
    import autograd.numpy as np
    import numpy as onp

    from geoflow.parametrization import Parametrization

    Q = onp.array([[onp.cos(0.5), -onp.sin(0.5)], [onp.sin(0.5), onp.cos(0.5)]])
    return Parametrization(lambda x: np.square(x @ Q), 2, 2, name="rotated squares")


if __name__ == "__main__":
    sys.exit(main())
