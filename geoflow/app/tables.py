"""Rows as tables on a terminal or in a log, progress, and rows as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import ROUND_CEILING
from pathlib import Path

from geoflow._typing import Evidence
from geoflow.results import Row, rounded_to

DIRECT = ("bracket", "gap", "lift gap", "dual gap", "grad R", "lift inverts", "path independence")
CONVERSE = ("metric", "gap", "distance", "bracket", "round trip")
#: every column of numbers in words, by its table; each number is relative, and the largest that was seen
DIRECT_WORDS = {
    "commuting": "proved: every bracket is the zero polynomial, or no two outputs share an input; measured: at points",
    "bracket": "size of the Lie brackets of gradient fields at random points; 0 where the fields commute",
    "gap": "|w of gradient flow - w of mirror flow| at the same time, relative to how far w goes",
    "lift gap": "|lift of w(t) - x(t)|, both by numbers: the x found from w alone against that of gradient flow",
    "dual gap": "|grad R(w(t)) + integral of grad L from 0 to t|, relative to the integral",
    "grad R": "gradient of the R computed from G alone against its closed form, at points the flows do not visit",
    "lift inverts": "|G(lift(w)) - w| at points the flows do not visit",
    "path independence": "where the lift of a straight path and that of a path by way of a corner end",
}
CONVERSE_WORDS = {
    "metric error": "|dF^T dF - hess R| relative to hess R, at points no solver saw",
    "proved": "a bound of the metric error on the whole box, by ball arithmetic",
    "gap": "|w of gradient flow on M - w of mirror flow| at the same time, relative to how far w goes",
    "distance to M": "how far the flow in R^D is from M",
    "bracket": "size of the Lie brackets of the gradient fields on M, at points of the flows",
    "round trip": "gradient of the R computed from the map on M against grad R",
}
BIAS_WORDS = {
    "limit vs Bregman projection": "|limit of the flow - Bregman projection of its start on Zw = y|",
    "dual flow vs flow in x": "|w of mirror flow - w of gradient flow in x| at the same time",
    "l1 / basis pursuit": "|limit|_1 over the least l1 norm of all w with Zw = y; tends to 1 with alpha",
    "max t (L - L*) / D_R": "the rate: L(w(t)) - L* is at most D_R(w*, w(0)) / t where this is at most 1",
}
DASH = {
    "direct": "'-': not asked for. grad R needs a closed form; the lifts of a map that commutes modulo fibres differ",
    "converse": "'-': not asked for. Proofs are of solved maps, the round trip of D <= 5",
    "bias": "'-': not asked for. At a small alpha the flow in x is too stiff to follow",
}
CONVERSE_HEADS = ("gap", "distance to M", "bracket", "round trip")
Advance = Callable[[str, str], None]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table as wide as the terminal; a pipe or a log has no width of its own, and cuts nothing."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=170)
    console.print(table)


def print_words(words: Mapping[str, str], dash: str) -> None:
    """What each column of a table means, and what a dash in it does."""
    width = max(map(len, words))
    for column, meaning in words.items():
        print(f"  {column:<{width}}  {meaning}")
    print(f"  {dash}\n")


def number(value: float | None) -> str:
    """Two digits, or a dash where nothing was asked for."""
    return "-" if value is None else f"{value:.1e}"


def _proved(bound: float | None) -> str:
    """The same of a proved bound, rounded up."""
    return "-" if bound is None else number(rounded_to(bound, ROUND_CEILING, 2))


def verdict(row: Row) -> str:
    """pass, or FAIL with the reason; errors are printed below the table."""
    return "pass" if row.passed else "FAIL: " + ("see below" if row.error else ", ".join(row.failures))


def print_direct(rows: Sequence[Row]) -> None:
    """Rows of the direct theorem, then those of maps that have to be refused; and the laws that were run."""
    accepted = [r for r in rows if r.details.get("expected") != "refusal"]
    refused = [r for r in rows if r.details.get("expected") == "refusal"]
    if accepted:
        cells = [
            (
                r.name,
                str(r.details["d"]),
                r.details["source"],
                r.details.get("brackets", "measured"),
                *(number(r.figures.get(k)) for k in DIRECT),
                verdict(r),
            )
            for r in accepted
        ]
        print_table(
            "Direct theorem: gradient flow through G is mirror flow of R (relative defects, worst of three losses)",
            ("G", "d", "R", "commuting", *DIRECT, "verdict"), cells,
        )  # fmt: skip
    _print_errors(accepted)
    if refused:
        cells = [
            (r.name, str(r.details["d"]), r.details.get("brackets", "measured"), number(r.figures.get("bracket")),
             r.details.get("seen", r.error), "refused" if r.passed else "FAIL")
            for r in refused
        ]  # fmt: skip
        print_table(
            "Not commuting: has to be refused", ("G", "d", "commuting", "bracket", "what was seen", "verdict"), cells
        )


def print_laws(rows: Sequence[Row]) -> None:
    """Which laws the rows ran."""
    run = dict.fromkeys(name for row in rows for name in row.details.get("laws", ()))
    if run:
        print(f"laws run: {', '.join(run)}")


def print_converse(rows: Sequence[Row]) -> None:
    """Rows of the converse theorem."""
    cells = []
    for row in rows:
        F = row.results.get("realization")
        where = ("-", "-", "-") if F is None else (str(F.dim), str(F.ambient_dim), F.method)
        first, *rest = (number(row.figures.get(k)) for k in CONVERSE)
        cells.append((row.name, *where, first, _proved(row.details.get("proved")), *rest, verdict(row)))
    if cells:
        print_table(
            "Converse theorem: mirror flow of R is gradient flow on M = F(K) in R^D (relative defects, three losses)",
            ("R", "d", "D", "method", "metric error", "proved", *CONVERSE_HEADS, "verdict"),
            cells,
        )  # fmt: skip
    _print_errors(rows)


def print_bias(rows: Sequence[Row]) -> None:
    """Rows of the implicit bias on data."""
    cells = [
        (row.name, number(row.figures.get("limit gap")), number(row.figures.get("direct gap")),
         number(row.figures.get("loss")), f"{row.figures.get('l1 ratio', float('nan')):.4f}",
         f"{row.figures.get('rate', float('nan')):.3f}", verdict(row))
        for row in rows
    ]  # fmt: skip
    print_table(
        "Implicit bias on the diabetes data: 40 samples, 65 quadratic features, u^2 - v^2 from u = v = alpha",
        ("alpha", "limit vs Bregman projection", "dual flow vs flow in x", "final / initial loss",
         "l1 / basis pursuit", "max t (L - L*) / D_R", "verdict"), cells,
    )  # fmt: skip
    _print_errors(rows)


def _print_errors(rows: Sequence[Row]) -> None:
    for row in rows:
        if row.error:
            print(f"{row.name}: {row.error}")


@contextmanager
def progress(told: Advance = lambda subject, what: None) -> Iterator[Advance]:
    """A function to announce steps with: a spinner in a terminal, plain lines elsewhere; `told` hears every step."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("starting") as status:

            def show(subject: str, what: str) -> None:
                told(subject, what)
                status.update(f"{subject}: {what}")

            yield show
        return
    last = ""

    def announce(subject: str, what: str) -> None:
        nonlocal last
        told(subject, what)
        if subject != last:
            print(f"... {subject}", file=sys.stderr, flush=True)
            last = subject

    yield announce


def write_json(path: str | Path, content: Evidence) -> None:
    """Write plain numbers and words, making the folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=1) + "\n")
