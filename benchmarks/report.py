"""From records to results.json and the tables of docs/benchmarks.md: ratios, slopes, largest sizes, goals."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells import ROOT, describe
from benchmarks.harness import Goal, Record, Task
from benchmarks.worker import LIMIT

PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results.json"
BEGIN, END = "<!-- tables: written by make bench -->", "<!-- end of tables -->"
OURS = "geoflow"
# memory below this is the noise of an allocator
SMALLEST_MEMORY = 30e6
HEAD = "size | way | median | once | error | geoflow / way | peak memory | status"


def slopes(records: Sequence[Record], key: str = "median_s") -> list[dict[str, Any]]:
    """Least-squares slopes of log cost against log size, for each way and each axis along which the rest is equal."""
    found = []
    for task, way in dict.fromkeys((r["task"], r["way"]) for r in records):
        mine = [
            r for r in records if (r["task"], r["way"]) == (task, way) and r["status"] == "ok" and r.get(key, 0) > 0
        ]
        for axis in dict.fromkeys(name for r in mine for name in r["size"]):
            lines: dict[str, list[Record]] = {}
            for r in mine:
                lines.setdefault(json.dumps({k: v for k, v in r["size"].items() if k != axis}), []).append(r)
            for rest, line in lines.items():
                line.sort(key=lambda r: r["size"][axis])
                n, cost = np.array([r["size"][axis] for r in line], float), np.array([r[key] for r in line])
                if len(set(n)) < 2:
                    continue
                slope = float(np.polyfit(np.log(n), np.log(cost), 1)[0])
                last = float(np.log(cost[-1] / cost[-2]) / np.log(n[-1] / n[-2]))
                found.append(
                    {"task": task, "way": way, "axis": axis, "at": json.loads(rest), "sizes": n.tolist(),
                     "slope": slope, "last_slope": last}
                )  # fmt: skip
    return found


def largest_sizes(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The largest size measured within 8 GB for each way and axis, the smallest that was over, and where 8 GB would be.

    The last is an extrapolation, along the last slope of what memory has grown by since the smallest size, or linear
    where that has grown once only; it is None where memory has not grown beyond noise, or a size was over.
    """
    found = []
    for line in slopes([r for r in records if "peak_bytes" in r], "peak_bytes"):
        same = [r for r in records if (r["task"], r["way"]) == (line["task"], line["way"])]
        rows = [r for r in same if {k: v for k, v in r["size"].items() if k != line["axis"]} == line["at"]]
        rows.sort(key=lambda r: r["size"][line["axis"]])
        over = [r["size"][line["axis"]] for r in rows if r["status"] == "over memory"]
        n = [r["size"][line["axis"]] for r in rows if "peak_bytes" in r]
        peaks = [r["peak_bytes"] for r in rows if "peak_bytes" in r]
        grown = [peak - peaks[0] for peak in peaks]
        exponent, reach = 1.0, None
        if grown[-2] > SMALLEST_MEMORY:
            exponent = max(0.1, float(np.log(grown[-1] / grown[-2]) / np.log(n[-1] / n[-2])))
        if grown[-1] > SMALLEST_MEMORY and not over:
            reach = float(f"{n[-1] * ((LIMIT - peaks[0]) / grown[-1]) ** (1 / exponent):.2g}")
        found.append(
            {**{key: line[key] for key in ("task", "way", "axis", "at")}, "measured": n[-1], "peak_bytes": peaks[-1],
             "over_memory": min(over, default=None), "exponent": exponent, "extrapolated": reach}
        )  # fmt: skip
    return found


def lower_bound(record: Record) -> float | None:
    """Seconds that a way took at least, where it was over a budget at this size or at a smaller one."""
    budget = re.search(r"over budget: ([\d.]+) s", record["status"])
    return float(budget.group(1)) if budget else None


def verdict(task: Task, goal: Goal, records: Iterable[Record]) -> dict[str, Any]:
    """Whether a goal is met: the time or the ratio of medians, with an answer that is right and an error not larger."""
    cell = {r["way"]: r for r in records if r["task"] == task.name and r["size"] == goal.size}
    ours, peer = cell.get(goal.way), cell.get(goal.peer) if goal.peer else None
    row = {"task": task.name, "size": goal.size, "way": goal.way, "peer": goal.peer, "at_most": goal.at_most}
    if ours is None or (goal.peer and peer is None):
        return {**row, "measured": None, "verdict": "not run"}
    bound = lower_bound(peer) if peer else None
    if peer and bound and ours["status"] == "ok" and ours["median_s"] <= goal.at_most * bound:
        text = f"met: {goal.peer} takes more than {bound:g} s, the ratio is below the one shown"
        return {**row, "measured": ours["median_s"] / bound, "verdict": text}
    for side in filter(None, (ours, peer)):
        if side["status"] not in ("ok", "WRONG"):
            word = "missed" if side is ours and side["status"].startswith(("over", "failed", "not tried")) else "open"
            return {**row, "measured": None, "verdict": f"{word}: {side['way']} {side['status']}"}
    measured = ours["median_s"] / (peer["median_s"] if peer else 1.0)
    if ours["status"] == "WRONG":
        return {**row, "measured": measured, "verdict": f"missed: error {ours['error']:.1e}"}
    if peer and peer["status"] == "ok" and ours["error"] > max(peer["error"], task.accuracy):
        text = f"missed: error {ours['error']:.1e}, of {goal.peer} {peer['error']:.1e}"
        return {**row, "measured": measured, "verdict": text}
    return {**row, "measured": measured, "verdict": "met" if measured <= goal.at_most else "missed"}


def environment() -> dict[str, Any]:
    """What the figures were measured with."""
    versions = {}
    for name in ("geoflow", "numpy", "scipy", "autograd", "geomstats", "jax", "diffrax"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    cores = os.cpu_count()
    return {"python": platform.python_version(), "machine": platform.machine(), "cores": cores, "versions": versions}


def results(themes: dict[str, tuple[Task, ...]], records: dict[str, list[Record]], settings: Record) -> Record:
    """Everything that was measured, and what follows from it, as plain numbers and strings."""
    every = [r for theme in records.values() for r in theme]
    goals = [verdict(t, g, every) for name in records for t in themes[name] for g in t.goals]
    return {
        "environment": environment(),
        "settings": {"float": "float64", "blas_threads": 1, "cores_used": 1, "memory_limit_bytes": LIMIT, **settings},
        "goals": goals,
        "slopes": slopes(every),
        "largest_sizes": largest_sizes(every),
        "records": records,
    }


# tables ---------------------------------------------------------------------------------------------------------------


def tables(found: Record) -> str:
    """The results as markdown: goals, then a table a theme, slopes, and largest sizes."""
    settings, env = found["settings"], found["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in env["versions"].items())
    toy = "**Toy sizes: these figures say nothing about speed.** " if settings.get("toy") else ""
    budget = settings.get("budget")
    capped = "" if budget is None else f" No call was given more than {budget:g} s in this run."
    parts = [f"{toy}Measured with Python {env['python']} on one of {env['cores']} cores: {versions}.{capped}"]
    parts += ["## Goals", _table("task | size | way | at most | measured | verdict", map(_goal_row, found["goals"]))]
    for theme, records in found["records"].items():
        parts.append(f"## {theme.capitalize()}")
        for task in dict.fromkeys(r["task"] for r in records):
            mine = [r for r in records if r["task"] == task]
            parts += [f"### {task}", f"Wrong is an error above {mine[0]['tol']:.0e}.", _table(HEAD, _rows(mine))]
    rows = [
        [s["task"], s["way"], s["axis"], describe(s["at"]), f"{s['sizes'][0]:,.0f} to {s['sizes'][-1]:,.0f}",
         f"{s['slope']:.2f}", f"{s['last_slope']:.2f}"]
        for s in found["slopes"]
    ]  # fmt: skip
    parts += ["## Cost against size", _table("task | way | axis | at | from, to | slope | last slope", rows)]
    rows = [
        [s["task"], s["way"], s["axis"], describe(s["at"]), f"{s['measured']:,.0f}", f"{s['peak_bytes'] / 1e9:.2f} GB",
         _reach(s)]
        for s in found["largest_sizes"]
    ]  # fmt: skip
    head = "task | way | axis | at | largest measured | its peak | size at 8 GB"
    return "\n\n".join([*parts, "## Memory against size", _table(head, rows)])


def _rows(records: Sequence[Record]) -> Iterable[list[str]]:
    """The rows of one task; a ratio of medians only where both answers are right, one row for a way that is nowhere."""
    ours = {describe(r["size"]): r["median_s"] for r in records if r["way"] == OURS and r["status"] == "ok"}
    statuses = {
        way: {r["status"] for r in records if r["way"] == way} for way in dict.fromkeys(r["way"] for r in records)
    }
    nowhere = [w for w, found in statuses.items() if len(found) == 1 and min(found).startswith("not installed")]
    for r in records:
        size, peak = describe(r["size"]), f"{r['peak_bytes'] / 1e9:.2f} GB" if "peak_bytes" in r else ""
        if "median_s" not in r:
            if r["way"] not in nowhere:
                yield [size, r["way"], "", "", "", "", peak, r["status"]]
            continue
        compared = r["status"] == "ok" and r["way"] != OURS and size in ours
        ratio = f"{ours[size] / r['median_s']:.3g}" if compared else ""
        status = "**WRONG**" if r["status"] == "WRONG" else r["status"]
        yield [size, r["way"], seconds(r["median_s"]), seconds(r["once_s"]), f"{r['error']:.1e}", ratio, peak, status]
    for way in nowhere:
        yield ["any", way, "", "", "", "", "", min(statuses[way])]


def _goal_row(goal: Record) -> list[str]:
    unit = f" x {goal['peer']}" if goal["peer"] else " s"
    measured = "" if goal["measured"] is None else f"{goal['measured']:.3g}{unit}"
    at_most = f"{goal['at_most']:.3g}{unit}"
    return [goal["task"], describe(goal["size"]), goal["way"], at_most, measured, goal["verdict"]]


def _reach(line: Record) -> str:
    if line["over_memory"] is not None:
        return f"over memory at {line['over_memory']:,.0f}"
    if line["extrapolated"] is None:
        return "not seen: memory hardly grows"
    # memory that has grown once only grows linearly at least
    most = "at most " if line["exponent"] == 1.0 else ""
    return f"{most}about {line['extrapolated']:,.0f}, extrapolated with exponent {line['exponent']:.2g}"


def seconds(value: float) -> str:
    """With a unit that leaves one to three digits before the point."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def _table(head: str, rows: Iterable[list[str]]) -> str:
    columns = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) if len(lines) > 2 else "None."


def write(found: Record, results_file: Path = RESULTS, page: Path = PAGE) -> None:
    """Write results.json, and the tables between the two marks of the page."""
    results_file.write_text(json.dumps(found, indent=1) + "\n")
    text = page.read_text() if page.exists() else f"{BEGIN}\n{END}\n"
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    page.write_text(f"{before}{BEGIN}\n\n{tables(found)}\n\n{after}")
