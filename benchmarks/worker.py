"""One cell in a process of its own: one core, one BLAS thread, at most 8 GB. Started by `benchmarks.cells`.

Arguments: a JSON object {module, task, size, budget, skip, single, log}; records are appended to the file `log`.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

LIMIT = 8 * 2**30


def peak_bytes() -> int:
    """The largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # the figure of getrusage begins, on Linux, with that of the process that started this one
        (kilobytes,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return 1024 * int(kilobytes)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def confine() -> None:
    """One core, before any library counts the cores, and allocations beyond `LIMIT` fail."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def main(argument: str) -> None:
    order = json.loads(argument)
    confine()
    from benchmarks.harness import measure

    tasks = {task.name: task for task in importlib.import_module(order["module"]).TASKS}
    with open(order["log"], "a") as file:

        def log(record: dict[str, Any]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()
            if record.get("status", "").startswith("over") and record["way"] not in order["skip"]:
                os._exit(0)  # compiled code may go on computing: the other ways get a process without it

        before = peak_bytes()
        measure(tasks[order["task"]], order["size"], order["budget"], order["skip"], log, single=order["single"])
        log({"base_bytes": before, "peak_bytes": peak_bytes()})


if __name__ == "__main__":
    main(sys.argv[1])
