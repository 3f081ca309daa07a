"""All cells, each measured by a worker process that is ended, and started again without the way, when one hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import Record, Size, Task, measure

ROOT = Path(__file__).parent.parent
PINNED = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "JAX_ENABLE_X64": "1",
}
# beyond the budget of a call, for what no signal interrupts, and for problem and reference
GRACE, REFERENCE = 10.0, 1200.0


def run_here(task: Task, size: Size, budget: float) -> list[Record]:
    """One cell in this process, for toy sizes."""
    records: list[Record] = []
    measure(task, size, budget, {}, records.append, most=0)
    found = {record["way"]: record for record in records if "way" in record}
    return [found[way.name] for way in task.ways]


def run_cell(module: str, task: Task, size: Size, budget: float, skip: dict[str, str]) -> list[Record]:
    """One cell: a record a way, in the order of the ways."""
    skip, found = dict(skip), {}
    while True:
        events, ended = _worker(module, task, size, budget, skip, single=False)
        cell = {event["way"]: event for event in events if "way" in event}
        found.update(cell)
        over = {way: r["status"] for way, r in cell.items() if r["status"].startswith("over") and way not in skip}
        if over:
            skip.update(over)
            continue
        begun = next(
            (event.get("begin") for event in reversed(events) if "begin" in event or "reference" in event), None
        )
        if not ended:
            break
        if begun is None or begun in skip:
            for way in task.ways:
                found.setdefault(way.name, {"way": way.name, "status": f"failed: {ended}"})
            break
        skip[begun] = ended  # once more, without the way that ended the process
    if task.memory:
        _add_memory(module, task, size, budget, found)
    return [found[way.name] for way in task.ways]


def _add_memory(module: str, task: Task, size: Size, budget: float, found: dict[str, Record]) -> None:
    """The peak of one call of each way that has a time, in a process of its own."""
    measured = [name for name, record in found.items() if record["status"] in ("ok", "WRONG")]
    for name in measured:
        others = {way.name: "not asked" for way in task.ways if way.name != name}
        events, ended = _worker(module, task, size, 3 * budget, others, single=True)
        if not ended:
            found[name].update(events[-1])


def _worker(
    module: str, task: Task, size: Size, budget: float, skip: dict[str, str], single: bool
) -> tuple[list[Record], str]:
    """What a worker logged, and how it ended where it did not end well."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.touch()
        order = {"module": module, "task": task.name, "size": size, "budget": budget, "skip": skip, "single": single}
        command = [sys.executable, "-m", "benchmarks.worker", json.dumps({**order, "log": str(log)})]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, **PINNED, "PYTHONPATH": path}
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            ended = _watch(process, log, budget)
        finally:
            process.kill()  # where this process is interrupted
        text = log.read_text()
        events = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return events, ended


def _watch(process: subprocess.Popen[str], log: Path, budget: float) -> str:
    """Wait for a worker whose log grows; end one whose log has not grown for longer than one call may take."""
    while True:
        try:
            _, errors = process.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            text = log.read_text()
            # the problem before the first call, and the reference after the first that has a value, take their time
            allowed = budget + GRACE if '"begin"' in text[text.rfind("\n", 0, -1) + 1 :] else REFERENCE
            if time.time() - log.stat().st_mtime <= allowed:
                continue
            process.kill()
            process.communicate()
            return f"over budget: {budget:g} s, ended after {allowed:g} s"
        if process.returncode == 0:
            return ""
        # compiled code that gets no memory ends its process
        if any(word in errors for word in ("RESOURCE_EXHAUSTED", "bad_alloc", "MemoryError", "ut of memory")):
            return "over memory"
        last = errors.strip().splitlines()[-1][:200] if errors.strip() else "no message"
        return f"failed: process ended with {process.returncode}, {last}"


def run_task(module: str, task: Task, toy: bool, budget: float | None, report: Callable[[str], None]) -> list[Record]:
    """All cells of a task; a way that is over budget or memory at a size is not tried at a larger one."""
    records: list[Record] = []
    over: list[tuple[str, Size, str]] = []
    for size in task.toy if toy else task.sizes:
        limit = task.budget if budget is None else min(budget, task.budget)
        skip = {
            name: f"not tried: {reason.split(',')[0]} at {describe(smaller)}"
            for name, smaller, reason in over
            if all(size[key] >= value for key, value in smaller.items())
        }
        cell = run_here(task, size, limit) if toy else run_cell(module, task, size, limit, skip)
        for record in cell:
            if record["status"].startswith("over"):
                over.append((record["way"], size, record["status"]))
            records.append({"task": task.name, "size": size, "tol": task.tol, **record})
            seconds = f"  {record['median_s']:.3g} s  error {record['error']:.1e}" if "median_s" in record else ""
            report(f"{task.name}, {describe(size)}: {record['way']}: {record['status']}{seconds}")
    return records


def describe(size: Size) -> str:
    return ", ".join(f"{key} = {value:,}" for key, value in size.items())


def order_of(names: Sequence[str], themes: Sequence[str]) -> list[str]:
    """The themes asked for, or all; a name that is none is refused."""
    unknown = sorted(set(names) - set(themes))
    if unknown:
        raise SystemExit(f"no theme {', '.join(unknown)}: choose among {', '.join(themes)}")
    return [theme for theme in themes if theme in names or not names]
