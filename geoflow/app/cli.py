"""The command line: geoflow demo | verify | realize | check | sweep | list | completion."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoflow.app.answers import answered
from geoflow.app.arguments import parser
from geoflow.app.session import FAILED, PASSED, Session, run_to_status, say

if TYPE_CHECKING:
    from geoflow.app.tables import Advance
    from geoflow.catalog.registry import Case, Entry
    from geoflow.realization.realized import Realization
    from geoflow.results import Row, Verdict


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 every check passed; 1 a check failed; 2 no answer, because of the call or of what a user's file raised; 124 the
    timeout is over; 130 Ctrl-C; 141 what reads the output has ended.
    """
    try:
        options = parser(COMMANDS).parse_args(arguments)
    except SystemExit as end:  # --help, or a call that argparse has answered
        return int(end.code or PASSED)
    options.session = Session(options.timeout)
    options.command = shlex.join(["geoflow", *(sys.argv[1:] if arguments is None else arguments)])
    return run_to_status(lambda: answered(options), options.session, options.traceback)


# commands: what they need is imported when they run, so that --help answers at once --------------------------------


def _list(options: argparse.Namespace) -> int:
    from geoflow import catalog
    from geoflow.app.tables import print_table

    def dims(entry: Entry[Any]) -> str:
        return ", ".join(map(str, entry.dims)) or "any"

    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("Commuting parametrizations", ("name", "w = G(x)", "int dom R", "closed forms", "d"),
         [(e.name, e.formula, e.domain, e.known, dims(e)) for e in catalog.parametrizations.values()]),
        ("Not commuting: refused, or mirror flow modulo fibres", ("name", "w = G(x)", "why", "d"),
         [(e.name, e.formula, e.reason, dims(e)) for e in catalog.noncommuting.values()]),
        ("Potentials", ("name", "R(w)", "domain", "d"),
         [(p.name, p.formula, p.domain, dims(p)) for p in catalog.potentials.values()]),
    ]  # fmt: skip
    for title, columns, rows in tables:
        print_table(title, columns, rows)
        options.content[title] = [dict(zip(columns, row, strict=True)) for row in rows]
    return PASSED


def _completion(options: argparse.Namespace) -> int:
    from geoflow import catalog
    from geoflow._version import __version__
    from geoflow.app.completion import script

    maps, potentials = [*catalog.parametrizations, *catalog.noncommuting], [*catalog.potentials]
    names = {"verify": [*maps, *potentials], "realize": potentials, "completion": ["bash", "zsh"]}
    options.content["script"] = script(options.shell, parser(COMMANDS), names, __version__)
    print(options.content["script"], end="")
    return PASSED


def _verify(options: argparse.Namespace) -> int:
    from geoflow.app import tables
    from geoflow.app.demo import draw_rows

    if options.report:
        _report().require_plotly()
    direct: list[Row] = []
    converse: list[Row] = []
    cases: dict[str, Case] = {}
    error = "stopped"
    _require_use(options)
    try:
        with tables.progress(options.session.announce) as advance:
            _verify_targets(options, advance, (direct, converse), cases)
        error = ""
    finally:  # what was done is shown, however the rest ends
        tables.print_direct(direct)
        tables.print_converse(converse)
        tables.print_laws(direct)
        every = [*direct, *converse]
        passed = all(row.passed for row in every) and not error
        options.content["rows"] = [row.as_json() for row in every]
    if options.plot:
        draw_rows(direct, Path(options.plot))
        drawn = ", ".join(row.name for row in direct if row.results)
        print(f"pictures of {drawn} are in {options.plot}/" if drawn else "no pictures: nothing here has flows in x")
    proofs = _print_proofs(options, cases) if options.prove else []
    if options.report:
        _write_report(options, f"geoflow verify {' '.join(options.targets)}", every, proofs)
    return PASSED if passed else FAILED


def _report() -> Any:
    from geoflow.app import report

    return report


def _write_report(options: argparse.Namespace, title: str, rows: Sequence[Row], proofs: Sequence[Verdict]) -> None:
    folder = Path(options.report)
    folder.mkdir(parents=True, exist_ok=True)
    path = _report().write_rows(folder / "report.html", title, options.command, rows, proofs)
    print(f"the report is {path}")


def _print_proofs(options: argparse.Namespace, cases: dict[str, Case]) -> list[Verdict]:
    """What is proved of the brackets of every map among the targets, in other words than what was measured."""
    from geoflow.errors import ProofError, shortened
    from geoflow.maps.proofs import prove_commuting

    told = options.content["proofs"] = []
    proofs: list[Verdict] = []
    for target, case in cases.items():
        try:
            proof = prove_commuting(case.parametrization)
        except ProofError as error:
            print(f"{target}: nothing is proved: {error}")
            told.append({"name": target, "status": "no proof", "proof": str(error)})
        else:
            print(f"{target}: {shortened(str(proof))}")
            told.append({"name": target, "status": proof.status, "proof": str(proof)})
            proofs.append(proof)
    return proofs


def _require_use(options: argparse.Namespace) -> None:
    """Refuse an option that no target has a use for, and say so on stderr of those that some have not."""
    from geoflow import catalog
    from geoflow.app.targets import is_file
    from geoflow.errors import ArgumentError

    def has(target: str) -> bool:  # an entry with the dimension asked for
        fixed = catalog.noncommuting[target].dims if target in catalog.noncommuting else ()
        return not is_file(target) and (not fixed or options.dim in fixed)

    uses = {
        "--dim": (options.dim, has, "a catalogue entry with that d: your own map, and a single entry, has its own"),
        "--x0": (options.x0, is_file, "a map of yours, FILE.py:OBJECT: entries have their own start"),
        "--prove": (options.prove or None, lambda t: t not in catalog.potentials, "a map: R.prove_legendre(box) is for"
                    " potentials"),
    }  # fmt: skip
    for option, (value, used, wanted) in uses.items():
        idle = [target for target in options.targets if not used(target)]
        if value is not None and len(idle) == len(options.targets):
            raise ArgumentError(option, f"{'' if value is True else value} with {', '.join(idle)}".strip(), wanted)
        if value is not None and idle:
            say(f"{option} is not for {', '.join(idle)}")


def _verify_targets(
    options: argparse.Namespace, advance: Advance, rows: tuple[list[Row], list[Row]], cases: dict[str, Case]
) -> None:
    """Rows of the direct and of the converse theorem, added as they are done, and the case of every map."""
    from geoflow import catalog
    from geoflow.app.targets import is_file, user_case
    from geoflow.theorems.converse import verify_potential
    from geoflow.theorems.direct import verify_case, verify_refusal

    direct, converse = rows
    read: dict[str, Any] = {}
    for target in options.targets:
        advance(target, "reading it")
        if target in catalog.noncommuting:
            cases[target] = catalog.noncommuting[target]()
            direct.append(verify_refusal(catalog.noncommuting[target]))
        elif target in catalog.potentials:
            R = catalog.potentials[target](options.dim)
            advance(target, "realization")
            converse.append(verify_potential(target, R))
        else:
            own = is_file(target)
            case = user_case(target, options.x0, read) if own else catalog.parametrizations[target](options.dim)
            cases[target] = case
            direct.append(verify_case(target, case, advance=partial(advance, target)))


def _realize(options: argparse.Namespace) -> int:
    from geoflow.app import tables
    from geoflow.app.demo import draw_realization, draw_solver
    from geoflow.app.targets import box_of, user_potential
    from geoflow.errors import RealizationError
    from geoflow.realization.construct import realize
    from geoflow.realization.methods import Stage
    from geoflow.results import upward
    from geoflow.theorems.converse import converse_figures, converse_row, proved_gap

    if options.report:
        _report().require_plotly()
    options.session.announce(options.target, "reading it")
    R = user_potential(options.target, options.d)
    box = None if options.box is None else box_of(options.box, R.dim)
    with tables.progress(options.session.announce) as advance:

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
            draw_solver(F, Path(options.plot) / F.method)
            draw_realization(F, Path(options.plot))
    _print_realization(row, F)
    proof = F.prove() if options.prove else None
    options.content.update(row.as_json())
    if proof is not None:
        print(proof)
        options.content["proof"] = {"passed": proof.passed, "eps": proof.eps, "proof": str(proof)}
    if proof:
        bound, gap = proved_gap(F, proof)
        print(
            f"flows of a quadratic loss on M and of R, while in the box: proved to be at most {upward(bound, 2)} apart;"
        )
        print(f"measured, with what the integrators add: {gap:.1e}")
        options.content["proof"].update(flow_gap=bound, measured_flow_gap=gap)
    if options.save and refusal:
        print("not saved: what misses its tolerance is refused")
    elif options.save:
        Path(options.save).parent.mkdir(parents=True, exist_ok=True)
        print(f"saved to {F.save(options.save)}")
    if options.plot:
        print(f"pictures are in {options.plot}/")
    if options.report:
        _write_report(options, f"geoflow realize {options.target}", [row], [] if proof is None else [proof])
    if refusal:
        print(f"REFUSED: {refusal}")
    missed = [key for key in row.failures if key in row.figures]
    print("FAIL: " + ", ".join(missed) if missed else "gradient flow on M is mirror flow of R")
    return PASSED if row.passed and (proof is None or proof.passed) else FAILED


def _check(options: argparse.Namespace) -> int:
    from geoflow.realization.files import check_proof

    proof = check_proof(options.file)
    print(proof)
    print("what is proved was computed again; what was measured is as it was saved")
    options.content["proof"] = {"passed": proof.passed, "eps": proof.eps, "proof": str(proof)}
    return PASSED if proof.passed else FAILED


def _print_realization(row: Row, F: Realization) -> None:
    from geoflow.app.tables import number, print_table

    c = F.certificate
    print_table(
        f"Converse theorem: {row.name} on {F.region}, embedded in R^{F.ambient_dim}",
        ("quantity", "value", "wanted"),
        [("method", f"{F.method} ({F.reason})", ""),
         *((key, number(value), f"<= {row.tolerances[key]:.0e}") for key, value in row.figures.items()),
         ("fresh points", str(c.n_points), ""), ("injectivity margin", f"{c.injectivity_margin:.2g}", ">= 1e-3"),
         ("condition of dF", f"{c.condition:.3g}", ""), ("reach of M", f"{c.reach:.2g}", "")],
    )  # fmt: skip


def _demo(options: argparse.Namespace) -> int:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # of the processes, and of this one: its matrices are small
    from geoflow.app.demo import run_demo
    from geoflow.app.rows import default_jobs

    folder = Path(options.out)
    passed = run_demo(folder, options.session.announce, options.jobs or default_jobs())
    options.content.update(json.loads((folder / "results.json").read_text()))
    return PASSED if passed else FAILED


def _sweep(options: argparse.Namespace) -> int:
    from geoflow.app.sweeps import read_plan, sweep

    function, grid, folder, seed = read_plan(Path(options.spec))

    def progress(done: int, total: int, left: float) -> None:
        options.session.announce(f"row {done} of {total}", f"{left:.0f} s left")
        if sys.stderr.isatty():
            print(f"\r{done} of {total} rows, {left:.0f} s left ", end="" if done < total else "\n", file=sys.stderr)

    try:
        found = sweep(function, grid, folder, seed=seed, jobs=options.jobs, progress=progress, retry=options.retry)
    except BaseException:
        if options.session.stopped is not None:
            say(f"finished rows are in {folder / 'rows'}; the same command goes on")
        raise
    print(f"{len(found.rows)} rows in {folder / 'rows'}, {found.failed} failed")
    for row in [row for row in found.rows if row["error"]][:5]:
        print(f"  {', '.join(f'{name} = {row[name]}' for name in grid)}: {row['error']}")
    options.content["folder"] = str(folder)
    options.content.update(rows=list(found.rows), failed=found.failed)
    return FAILED if found.failed else PASSED


COMMANDS = {
    "demo": _demo, "verify": _verify, "realize": _realize, "check": _check, "sweep": _sweep, "list": _list,
    "completion": _completion,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
