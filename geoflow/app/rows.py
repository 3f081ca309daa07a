"""The rows of the demo: one task each, run here or in a few processes, which give the same numbers."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial

from geoflow import catalog
from geoflow.app import diabetes
from geoflow.app.tables import Advance
from geoflow.results import Row
from geoflow.theorems.converse import converse_cases
from geoflow.theorems.direct import verify_case, verify_refusal

#: a table, and the name of one of its rows
Task = tuple[str, str]
#: more processes than this wait for the longest row
MOST = 4


def tasks() -> list[Task]:
    """Every row of the demo, in the order of its tables."""
    direct = [*catalog.parametrizations, *catalog.noncommuting]
    bias = [f"{alpha:g}" for alpha in diabetes.INITIALIZATIONS]
    return [
        *(("direct", name) for name in direct),
        *(("converse", name) for name in converse_cases()),
        *(("bias", alpha) for alpha in bias),
    ]


def row_of(task: Task, advance: Advance = lambda subject, what: None) -> Row:
    """The row of a task; `advance` is told its steps."""
    table, name = task
    advance(f"{name}, {table}" if table != "direct" else name, "running")
    if table == "converse":
        return converse_cases()[name]()
    if table == "bias":
        Z, y = diabetes.load()
        return diabetes.verify_initialization(float(name), Z, y, diabetes.basis_pursuit(Z, y))
    if name in catalog.noncommuting:
        return verify_refusal(catalog.noncommuting[name])
    entry = catalog.parametrizations[name]
    d = 2 if not entry.dims or 2 in entry.dims else entry.dims[0]
    return verify_case(name, entry(d), advance=partial(advance, name))


def default_jobs() -> int:
    """A process for each core that this one may use, at most `MOST`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores)


def rows_of(asked: Sequence[Task], jobs: int, advance: Advance) -> dict[str, list[Row]]:
    """The rows of tasks by table, in their order, by that many processes; 1 is this one."""
    if jobs == 1:
        found = {k: row_of(task, advance) for k, task in enumerate(asked)}
    else:
        found = {}
        for k, row in _in_processes(asked, jobs):
            found[k] = row
            advance(f"{asked[k][0]}: {row.name}", f"row {len(found)} of {len(asked)}")
    return {
        table: [found[k] for k, task in enumerate(asked) if task[0] == table]
        for table in ("direct", "converse", "bias")
    }


def _in_processes(asked: Sequence[Task], jobs: int) -> Iterator[tuple[int, Row]]:
    """Numbers and rows as they are finished; whatever ends this early ends the processes too."""
    others = set(multiprocessing.active_children())
    # started afresh: a copy of this process would have its threads' locks and not its threads
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_deaf)
    try:
        numbers = {pool.submit(row_of, task): k for k, task in enumerate(asked)}
        for done in as_completed(numbers):
            yield numbers[done], done.result()
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise


def _deaf() -> None:
    """Ctrl-C is for the process that has begun the run, which ends its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
