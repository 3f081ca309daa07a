"""Tables in HTML, for notebooks and pages: everything escaped, every number written, nothing longer than a screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from geoflow._validate import describe
from geoflow.errors import shortened

#: rows of a table, characters of a cell, and of one that is never broken
LONGEST, WIDEST, SHORT = 20, 400, 16
Rows = Sequence[Sequence[Any]]
MARKS = {True: "holds", False: "FAILS"}


def number(value: float) -> str:
    """Three digits; NaN and infinity by their names."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    return f"{value:.3g}"


def cell(value: Any) -> str:
    """A value as escaped text: a dash where nothing was asked for."""
    if value is None:
        text = "-"
    elif isinstance(value, (bool, np.bool_)):
        text = "yes" if value else "no"
    elif isinstance(value, (int, np.integer)):
        text = str(value)
    elif isinstance(value, (float, np.floating)):
        text = number(float(value))
    elif isinstance(value, np.ndarray):
        text = describe(value)
    else:
        text = str(value)
    return escape(shortened(text, WIDEST))


def table(title: str, columns: Sequence[str], rows: Rows, longest: int = LONGEST) -> str:
    """A table with a title and a line of columns, if there are any; what is beyond `longest` rows is named in the last.

    A row begins with its name; shorter rows are filled with dashes.
    """
    rows = list(rows)
    shown = rows if len(rows) <= longest else rows[: longest - 1]
    width = max([len(columns), *(len(row) for row in shown)])
    lines = [_line("td", [*row, *[None] * (width - len(row))]) for row in shown]
    if len(shown) < len(rows):
        left = [str(row[0]) for row in rows[len(shown) :]]
        words = escape(shortened(f"and {len(left)} more: {', '.join(left)}", WIDEST))
        lines.append(f'<tr><td colspan="{width}" style="text-align:left">{words}</td></tr>')
    head = _line("th", columns) if columns else ""
    caption = f'<caption style="text-align:left;font-weight:bold">{cell(title)}</caption>'
    return f"<table>{caption}<tbody>{head}{''.join(lines)}</tbody></table>"


def facts(title: str, pairs: Iterable[tuple[str, Any]]) -> str:
    """A table of names and values."""
    return table(title, (), list(pairs))


def verdict_table(title: str, claims: Iterable[tuple[str, Any, Any, bool | None]], longest: int = LONGEST) -> str:
    """A table of claims: what is claimed, what was measured, what was wanted, and whether it holds.

    A claim that nothing was wanted of, None, is a fact beside the others.
    """
    rows = [(words, got, wanted, None if holds is None else MARKS[holds]) for words, got, wanted, holds in claims]
    return table(title, ("claim", "measured", "wanted", "verdict"), rows, longest)


def _line(tag: str, values: Sequence[Any]) -> str:
    texts = map(cell, values)
    kept = [(text, ";white-space:nowrap" if len(text) <= SHORT else "") for text in texts]
    return "<tr>" + "".join(f'<{tag} style="text-align:left{more}">{text}</{tag}>' for text, more in kept) + "</tr>"
