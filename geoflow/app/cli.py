"""The command line: geoflow demo | verify | realize | list."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoflow.catalog.registry import Entry
    from geoflow.realization.realized import Realization
    from geoflow.results import Row


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
    description = "Commuting parametrizations, Legendre functions and mirror flows."
    parser = argparse.ArgumentParser(prog="geoflow", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run both theorems over the catalogue, and the bias on real data")
    demo.add_argument("--out", default="geoflow-demo", help="folder of figures and figures.json (default: %(default)s)")
    demo.set_defaults(run=_demo)
    verify = commands.add_parser("verify", help="run the laws on catalogue entries or on your own parametrization")
    verify.add_argument("targets", nargs="+", metavar="NAME|FILE.py:OBJECT")
    verify.add_argument("--dim", type=int, help="dimension d of catalogue entries (default: 2)")
    verify.add_argument("--x0", help="start of your own map, comma-separated (default: its module's x0)")
    verify.add_argument("--json", metavar="FILE", help="write every figure")
    verify.add_argument("--plot", metavar="DIR", help="write trajectories and gaps as PNG")
    verify.set_defaults(run=_verify)
    realize = commands.add_parser("realize", help="embed a Hessian metric, and run gradient flow on the result")
    realize.add_argument("target", metavar="NAME|FILE.py:OBJECT", help="a potential of the catalogue, or your own")
    realize.add_argument("--d", type=int, help="dimension d of a catalogue potential (default: 2)")
    realize.add_argument("--box", metavar="LOW,..:HIGH,..", help="as -1,-2:1,-0.5, or one LOW:HIGH for all coordinates")
    realize.add_argument("--dim", type=int, help="ambient dimension D (default: d(d+3)/2, or by the rule)")
    realize.add_argument("--tol", type=float, default=1e-8, help="relative metric error to meet (default: %(default)s)")
    realize.add_argument("--method", default="auto", choices=("auto", "exact", "twist", "spectral"))
    realize.add_argument("--plot", metavar="DIR", help="write M, the convergence and the flows as PNG")
    realize.add_argument("--save", metavar="FILE.npz", help="write the realization")
    realize.add_argument("--json", metavar="FILE", help="write every figure")
    realize.set_defaults(run=_realize)
    listing = commands.add_parser("list", help="list the catalogue")
    listing.set_defaults(run=_list)
    return parser


# commands: what they need is imported when they run, so that --help answers at once --------------------------------


def _list(options: argparse.Namespace) -> int:
    from geoflow import catalog
    from geoflow.app.tables import print_table

    def dims(entry: Entry[Any]) -> str:
        return ", ".join(map(str, entry.dims)) or "any"

    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("Commuting parametrizations", ("name", "w = G(x)", "int dom R", "closed forms", "d"),
         [(e.name, e.formula, e.domain, e.known, dims(e)) for e in catalog.parametrizations.values()]),
        ("Not commuting: refused", ("name", "w = G(x)", "why", "d"),
         [(e.name, e.formula, e.reason, dims(e)) for e in catalog.noncommuting.values()]),
        ("Potentials", ("name", "R(w)", "domain", "d"),
         [(p.name, p.formula, p.domain, dims(p)) for p in catalog.potentials.values()]),
    ]  # fmt: skip
    for title, columns, rows in tables:
        print_table(title, columns, rows)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from geoflow import catalog
    from geoflow.app import tables
    from geoflow.app.demo import draw_rows
    from geoflow.app.targets import user_case
    from geoflow.theorems.converse import verify_potential
    from geoflow.theorems.direct import verify_case, verify_refusal

    direct: list[Row] = []
    converse: list[Row] = []
    with tables.progress() as advance:
        for target in options.targets:
            if target in catalog.noncommuting:
                direct.append(verify_refusal(catalog.noncommuting[target]))
            elif target in catalog.potentials:
                advance(target, "realization")
                converse.append(verify_potential(target, catalog.potentials[target](options.dim)))
            else:
                own = ".py" in target
                case = user_case(target, options.x0) if own else catalog.parametrizations[target](options.dim)
                direct.append(verify_case(target, case, advance=partial(advance, target)))
    tables.print_direct(direct)
    tables.print_converse(converse)
    tables.print_laws(direct)
    every = [*direct, *converse]
    passed = all(row.passed for row in every)
    if options.json:
        tables.write_json(options.json, {"rows": [row.as_json() for row in every], "passed": passed})
    if options.plot:
        draw_rows(direct, Path(options.plot))
    return 0 if passed else 1


def _realize(options: argparse.Namespace) -> int:
    from geoflow.app import tables
    from geoflow.app.targets import box_of, user_potential
    from geoflow.errors import RealizationError
    from geoflow.realization.construct import realize
    from geoflow.realization.methods import Stage
    from geoflow.theorems.converse import converse_figures, converse_row

    R = user_potential(options.target, options.d)
    box = None if options.box is None else box_of(options.box, R.dim)
    with tables.progress() as advance:

        def stage(name: str, stage: Stage) -> None:
            reached = f"{stage.parameter:.3g}, {stage.grid} points: error {stage.fresh:.1e}"
            advance(f"{name} {reached}", f"{stage.seconds:.1f} s")

        try:
            F, refusal = realize(R, box, options.tol, options.method, ambient_dim=options.dim, advance=stage), ""
        except RealizationError as error:
            if error.evidence.get("realization") is None:
                raise
            F, refusal = error.evidence["realization"], str(error)
        advance(options.target, "flows on M")
        row = converse_row(R.name, F, converse_figures(F), refusal)
        if options.plot:
            _draw_realization(F, Path(options.plot))
    _print_realization(row, F)
    if options.save and not refusal:
        print(f"saved to {F.save(options.save)}")
    if options.plot:
        print(f"figures are in {options.plot}/")
    if options.json:
        tables.write_json(options.json, row.as_json())
    if refusal:
        print(f"REFUSED: {refusal}")
    missed = [key for key in row.failures if key in row.figures]
    print("FAIL: " + ", ".join(missed) if missed else "gradient flow on M is mirror flow of R")
    return 0 if row.passed else 1


def _draw_realization(F: Realization, folder: Path) -> None:
    from geoflow.app import plotting
    from geoflow.theorems.converse import converse_example

    plotting.save(plotting.realized_surface(F), folder / "surface.png")
    if F.stages:
        plotting.save(plotting.convergence(F), folder / "convergence.png")
    plotting.save(plotting.flow_on_realization(F, *converse_example(F)), folder / "flow.png")


def _print_realization(row: Row, F: Realization) -> None:
    from geoflow.app.tables import number, print_table

    c = F.certificate
    print_table(
        f"Converse theorem: {row.name} on {F.region}, embedded in R^{F.ambient_dim}",
        ("figure", "value", "wanted"),
        [("method", f"{F.method} ({F.reason})", ""),
         *((key, number(value), f"<= {row.tolerances[key]:.0e}") for key, value in row.figures.items()),
         ("fresh points", str(c.n_points), ""), ("injectivity margin", f"{c.injectivity_margin:.2g}", ">= 1e-3"),
         ("condition of dF", f"{c.condition:.3g}", ""), ("reach of M", f"{c.reach:.2g}", "")],
    )  # fmt: skip


def _demo(options: argparse.Namespace) -> int:
    from geoflow.app.demo import run_demo

    return 0 if run_demo(Path(options.out)) else 1


if __name__ == "__main__":
    sys.exit(main())
