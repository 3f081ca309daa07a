"""One HTML page of a report, a realization or the rows of a command: claims in words, pictures that turn, offline."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from geoflow._html import facts, table, verdict_table
from geoflow._typing import Array
from geoflow._version import __version__
from geoflow.app import tables
from geoflow.app.figures import interactive
from geoflow.app.figures.styling import in_words
from geoflow.errors import ArgumentError, FileError, GeoflowError
from geoflow.realization.archive import write_whole
from geoflow.realization.realized import Realization
from geoflow.results import Claim, EquivalenceReport, Row, Verdict, at_most
from geoflow.theorems.converse import converse_example
from geoflow.theorems.laws import LAWS

#: bytes of a page, and the numbers of an array that a call names one by one
LARGEST, NAMED = 6_000_000, 12
MEASURED = (
    "Every number here was measured, at the points and times it names: it is evidence, and no proof. "
    "All are relative unless they say otherwise."
)
#: nothing may be asked of any network; plotly.js compiles shaders, and makes pictures of what it has drawn
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
CSS = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; } caption { padding: 0.3rem 0; }
td, th { border-bottom: 1px solid #e5e5e5; padding: 0.25rem 0.8rem 0.25rem 0; vertical-align: top; }
td:first-child { min-width: 11rem; } td:nth-child(n+3) { white-space: nowrap; }
pre { background: #f4f4f4; padding: 0.8rem; overflow-x: auto; } figure { margin: 1rem 0; }
figcaption { font-size: 0.9rem; color: #444; } .verdict { font-weight: bold; }
"""
DRAW = """
const pictures = JSON.parse(document.getElementById("pictures").textContent);
for (const [id, picture] of Object.entries(pictures))
  Plotly.newPlot(id, picture.data, picture.layout, {displaylogo: false, responsive: true});
"""


@dataclass
class Section:
    """A heading, tables in HTML, pictures with what they show, and tables of what is beside them."""

    title: str
    verdict: str = ""
    tables: list[str] = field(default_factory=list)
    pictures: list[tuple[interactive.Picture, str]] = field(default_factory=list)
    more: list[str] = field(default_factory=list)


def require_plotly() -> Callable[[], str]:
    """The function that gives the text of plotly.js, or an error that says how to get it."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ArgumentError("a page", f"no {error.name}", "plotly 5 or later", "pip install geoflow[report]") from None
    plotly: Callable[[], str] = get_plotlyjs
    return plotly


@singledispatch
def write_page(value: Any, path: str | PathLike[str]) -> Path:
    """Write the page of a report or of a realization; see `Paged.to_html`."""
    raise ArgumentError("object of a page", type(value).__name__, "an EquivalenceReport or a Realization")


@write_page.register
def _(value: EquivalenceReport, path: str | PathLike[str]) -> Path:
    file, flow = _file(path), value.gradient_flow
    subject = flow.title.partition(", ")[2] or "G"
    title = f"Gradient flow and mirror flow: {subject}, potential {value.legendre.name}"
    section = Section(flow.title or "The flows", str(value), [_claims(value)], _pictures({"": value}))
    start = np.zeros(0) if flow.x is None else flow.x[0]
    call = (
        f"import numpy as np\nimport geoflow as gf\n\n# {flow.title or 'loss and G'}; {value.legendre.name}\n"
        f"report = gf.verify_equivalence(loss, G, x0={_array(start, 'x0')}, t={_times(flow.t)}, tol={value.tol:g})\n"
        f"report.to_html({str(path)!r})"
    )
    return _write(file, title, call, [section])


@write_page.register
def _(value: Realization, path: str | PathLike[str]) -> Path:
    file = _file(path)
    where = "" if value.exact and value.target.box is None else f", {value.region}"
    of = "realize" if value.potential is not None else "realize_metric"
    call = (
        f"import geoflow as gf\n\n# R: {value.target.name}\n"
        f"F = gf.{of}(R{where.replace(', Box(', ', gf.domains.Box(')}, tol={value.certificate.tol:g}, "
        f"method={value.method!r}, ambient_dim={value.ambient_dim})\nF.to_html({str(path)!r})"
    )
    return _write(file, f"Realization of {value.target.name}", call, [_of_realization(value)])


def write_rows(
    path: str | PathLike[str],
    title: str,
    command: str,
    rows: Sequence[Row],
    proofs: Sequence[Verdict] = (),
) -> Path:
    """Write the page of the rows of a command, with what was proved beside what was measured."""
    file, sections = _file(path), [_of_row(row) for row in rows]
    if proofs:
        proved = [claim for proof in proofs for claim in proof.claims]
        sections.append(Section("What is proved", "", [verdict_table("Proofs, not measurements", proved)]))
    return _write(file, title, command, sections)


# sections -----------------------------------------------------------------------------------------------------------


def _of_row(row: Row) -> Section:
    F = row.results.get("realization")
    verdict = "All claims hold." if row.passed else f"FAILS: {', '.join(row.failures)}."
    section = Section(row.name, verdict, [_claims(row, _claims_of_row(row, _words(F is not None)), "The theorem")])
    if F is not None:
        found = _of_realization(F)
        section.tables, section.pictures, section.more = section.tables + found.tables, found.pictures, found.more
    elif row.results:
        section.pictures = _pictures(row.results)
        gaps = [(loss, report.gap, report.lift_gap, report.dual_gap) for loss, report in row.results.items()]
        section.more.append(table("By loss", ("loss", "gap", "lift gap", "dual gap"), gaps))
        statements = [(name, LAWS[name].statement) for name in row.details.get("laws", ())]
        section.more.append(facts("Laws that were run", statements))
    told = {key: value for key, value in row.details.items() if key not in ("laws", "seen", "expected", "refused")}
    section.more.append(facts("Beside them", told.items()))
    return section


def _claims_of_row(row: Row, words: dict[str, str]) -> list[Claim]:
    """Every figure that has to meet a tolerance, in words; those of one loss are in the largest of all."""
    claims = []
    for key, value in row.figures.items():
        if value is not None and key in row.tolerances:
            claims.append(at_most(f"{key}: {words[key]}" if key in words else key, value, row.tolerances[key]))
        elif value is not None and key in words:
            claims.append(Claim(f"{key}: {words[key]}", f"{value:.1e}"))
    if row.details.get("expected") == "refusal":
        claims.append(Claim("refused, as it has to be", row.details.get("seen", row.error), "a refusal", row.passed))
    elif row.error:
        claims.append(Claim("error", row.error, "none", False))
    return claims


def _of_realization(F: Realization) -> Section:
    title = f"{F.target.name} on {in_words(F.region)}"
    verdict = "The embedding is certified." if F.certificate.passed else "The embedding is NOT certified."
    section = Section(title, verdict, [_claims(F.certificate, F.claims, "The certificate of F")])
    flow = mirror = None
    if F.potential is not None:
        try:
            flow, mirror = converse_example(F)
        except GeoflowError as error:  # a realization that fails may carry no flow, and is shown without
            section.more.append(facts("No flow on M", [("why", str(error))]))
    section.pictures.append(interactive.surface(F, flow))
    if flow is not None and mirror is not None:
        section.pictures.append(interactive.compared({"": (flow, mirror)}))
    if len(F.stages) > 1:
        section.pictures.append(interactive.stages(F))
    return section


def _pictures(reports: Any) -> list[tuple[interactive.Picture, str]]:
    return [interactive.paths(reports), interactive.gaps(reports)]


def _claims(value: Verdict, claims: Sequence[Claim] | None = None, title: str = "Claims") -> str:
    return verdict_table(title, value.claims if claims is None else claims, longest=60)


def _words(converse: bool) -> dict[str, str]:
    """Names of figures in words: the columns of the tables, and the laws by their statements."""
    if converse:
        columns = tables.CONVERSE_WORDS
        return {**columns, "metric": columns["metric error"], "distance": columns["distance to M"]}
    laws = {law.figure: law.statement for law in LAWS.values() if law.figure}
    return {**laws, "regular": "dG has full rank at random points; 0 where it has", **tables.DIRECT_WORDS}


# the page -----------------------------------------------------------------------------------------------------------


def _write(path: Path, title: str, call: str, sections: Sequence[Section]) -> Path:
    plotly, pictures, body = require_plotly()(), {}, []
    room = LARGEST - len(plotly.encode()) - 200_000
    for k, section in enumerate(sections):
        body += [f"<h2>{escape(section.title)}</h2>", f'<p class="verdict">{escape(section.verdict)}</p>']
        body += section.tables
        for n, (picture, words) in enumerate(section.pictures):
            name, size = f"picture-{k}-{n}", len(json.dumps(picture))
            if size > room:
                body.append(f"<p>A picture is left out, to keep the page small: {escape(words)}</p>")
                continue
            room, pictures[name] = room - size, picture
            body.append(f'<figure><div id="{name}"></div><figcaption>{escape(words)}</figcaption></figure>')
        body += section.more
    text = json.dumps(pictures, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    made = f"geoflow {__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}"
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{CSS}</style></head><body>
<h1>{escape(title)}</h1><p>{MEASURED}</p><h2>To make this page again</h2><pre>{escape(call)}</pre><p>{escape(made)}</p>
{"".join(body)}
<script type="application/json" id="pictures">{text}</script>
<script>{plotly}</script><script>{DRAW}</script></body></html>
"""
    try:
        write_whole(path, page.encode())
    except OSError as error:
        got, remedy = f"{type(error).__name__}: {error}", "name a file in a folder that is there and can be written"
        raise FileError(f"writing {path}", got, "a file that can be written", remedy) from error
    return path


def _file(path: str | PathLike[str]) -> Path:
    require_plotly()
    try:
        return Path(os.fsdecode(path))
    except TypeError:
        raise ArgumentError("path of a page", type(path).__name__, "a str or a pathlib.Path") from None


def _array(x: Array, name: str) -> str:
    """Numbers as a call has them, or a name where they are many."""
    return str(x.tolist()) if 0 < x.size <= NAMED else f"{name} of shape {x.shape}"


def _times(t: Array) -> str:
    even = np.linspace(0.0, t[-1], len(t))
    if len(t) > 1 and np.allclose(t, even, rtol=0, atol=1e-12 * abs(t[-1])):
        return f"np.linspace(0, {t[-1]:.6g}, {len(t)})"
    return _array(t, "t")
