"""Run: python -m benchmarks [--smoke] [--budget SECONDS] [--out FOLDER] [theme ...]; all themes by default."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks import report
from benchmarks.cells import order_of, run_task
from benchmarks.harness import Record

THEMES = ("flows", "commuting", "induced", "kernels", "geodesics", "realization")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("themes", nargs="*", metavar="theme", help=", ".join(THEMES))
    parser.add_argument("--smoke", action="store_true", help="toy sizes, in this process")
    parser.add_argument("--budget", type=float, help="seconds that no call may exceed, where a task would allow more")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of the results, instead of the repository's own; some themes alone write only there",
    )
    options = parser.parse_args()
    names = order_of(options.themes, THEMES)
    themes = {name: importlib.import_module(f"benchmarks.{name}").TASKS for name in names}
    settings = {"toy": options.smoke, "budget": options.budget}
    records: dict[str, list[Record]] = {}
    for name, tasks in themes.items():
        records[name] = []
        for task in tasks:
            records[name] += run_task(f"benchmarks.{name}", task, options.smoke, options.budget, say)
        found = report.results(themes, records, settings)  # as it stands: a long run that is ended has its figures
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            report.write(found, options.out / "results.json", options.out / "benchmarks.md")
        elif not options.smoke and set(names) == set(THEMES):
            report.write(found)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
