"""Sweeps: a function at all points of a grid, by any number of workers, kept row by row and resumed."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow._frames import require_pandas
from geoflow._usercode import described_error
from geoflow.errors import ArgumentError, FileError
from geoflow.realization.archive import write_whole

if TYPE_CHECKING:
    import pandas

#: figures of a point: a function's own names to numbers, strings or truth values
Figures = Mapping[str, Any]
#: rows done, of how many, and the seconds that are left at the pace so far
Progress = Callable[[int, int, float], None]
PLAN = "sweep.json"
#: seconds after which what a writer left beside its file is of one that was killed
STALE = 60.0


@dataclass(frozen=True)
class Sweep:
    """The rows of a sweep, in the order of its grid.

    `rows` are dicts: the point of the grid, `seed`, the figures of the function there, `seconds`, and `error`, empty or
    what was raised.
    """

    rows: tuple[dict[str, Any], ...]

    @property
    def failed(self) -> int:
        """How many rows are errors."""
        return sum(bool(row["error"]) for row in self.rows)

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a pandas table."""
        return require_pandas("a table of a sweep").DataFrame(list(self.rows))

    def __repr__(self) -> str:
        return f"Sweep({len(self.rows)} rows, {self.failed} failed)"


def sweep(
    function: Callable[..., Figures | float],
    grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    folder: str | Path | None = None,
    *,
    seed: int = 0,
    jobs: int = -1,
    progress: Progress | None = None,
    retry: bool = False,
) -> Sweep:
    """Call a function at every point of a grid, in parallel; a point that fails is a row with its error.

    Parameters
    ----------
    function : callable
        Keywords, the point of the grid, to a dict of figures, or to one number. If it takes `seed`, it gets one of its
        own, which depends on `seed` and the place of the row alone: any number of workers gives the same table.
    grid : dict of str to sequence, or sequence of dicts
        Values of every keyword, whose product is taken, the last fastest; or the points themselves.
    folder : path, optional
        Where every row is written when it is finished, as a Parquet file of its own, whole or not at all: a sweep that
        was ended goes on where it stopped, and `pandas.read_parquet(folder / "rows")` reads what there is. It needs
        `pip install geoflow[sweep]`.
    seed : int
        At least 0.
    jobs : int
        Processes of joblib, -1 for all cores; another backend by `joblib.parallel_config`, such as a Dask cluster.
    progress : callable, optional
        (rows done, rows in all, seconds left) after every row.
    retry : bool
        Whether rows of the folder with an error are computed again.

    Raises
    ------
    ArgumentError
        For a grid without points or with keywords that the function does not take, a seed or a number of jobs that is
        none, and where the extra is missing.
    FileError
        When the folder is that of another sweep, of the function before it was edited, or damaged.
    """
    points = _points(grid)
    _require_keywords(function, points)
    _require_numbers(seed, jobs, progress)
    tasks = [(k, point, int(np.random.SeedSequence([seed, k]).generate_state(1)[0])) for k, point in enumerate(points)]
    store = None if folder is None else _Store(Path(folder), points, seed, function)
    done = {} if store is None else store.rows()
    done = {k: row for k, row in done.items() if not (retry and row["error"])}
    left, begin = [task for task in tasks if task[0] not in done], time.monotonic()
    for n, (k, row) in enumerate(_rows(function, left, jobs), start=1):
        done[k] = row
        if store is not None:
            store.add(k, row)
        if progress is not None:
            progress(len(done), len(tasks), (time.monotonic() - begin) / n * (len(left) - n))
    # a figure that is None is not written: a row that was read has it all the same
    names = dict.fromkeys(name for k in sorted(done) for name, value in done[k].items() if value is not None)
    rows = ({**dict.fromkeys(tasks[k][1]), **{name: done[k].get(name) for name in names}} for k in range(len(tasks)))
    return Sweep(tuple(rows))


def _require_numbers(seed: Any, jobs: Any, progress: Any) -> None:
    whole = (int, np.integer)
    if isinstance(seed, bool) or not isinstance(seed, whole) or seed < 0:
        raise ArgumentError("seed", got=repr(seed), wanted="an integer, at least 0")
    if isinstance(jobs, bool) or not isinstance(jobs, whole) or jobs == 0:
        raise ArgumentError("jobs", got=repr(jobs), wanted="a number of processes, or -1 for one on each core")
    if progress is not None and not callable(progress):
        got = type(progress).__name__
        raise ArgumentError("progress", got=got, wanted="a callable: rows done, rows in all, seconds left")


def _name_of(function: Any) -> str:
    """What says in a folder which function its rows are of."""
    if isinstance(function, OfFile):
        return Path(function.target).name
    return str(getattr(function, "__name__", type(function).__name__))  # its module may be __main__ in one run only


def _code_of(function: Any) -> str:
    """What changes when the function is edited, and not with its comments; of what it calls nothing is seen."""
    if isinstance(function, OfFile):
        function = _read(function.target)
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else hashlib.sha256(repr(_instructions(code)).encode()).hexdigest()


def _instructions(part: Any) -> Any:
    if isinstance(part, CodeType):
        return (part.co_code, part.co_names, [_instructions(constant) for constant in part.co_consts])
    return sorted(map(repr, part)) if isinstance(part, frozenset) else part  # the order of a set is no one's


def read_plan(file: Path) -> tuple[Callable[..., Figures | float], dict[str, list[Any]], Path, int]:
    """The function, the grid, the folder and the seed of a TOML file; its paths are beside it."""
    try:
        import tomllib
    except ImportError:  # Python 3.10
        raise ArgumentError("a plan in TOML", "Python 3.10", "Python 3.11 or later", "call gf.sweep") from None
    try:
        plan = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ArgumentError(f"{file}", described_error(error), "a TOML file") from None
    wanted = {"function": str, "grid": dict, "folder": str, "seed": int}
    for name, value in plan.items():
        if name not in wanted:
            raise ArgumentError(f"{file}", f"the key {name!r}", f"{', '.join(wanted)}")
        if not isinstance(value, wanted[name]):
            raise ArgumentError(f"{name} in {file}", type(value).__name__, wanted[name].__name__)
    for name in ("function", "grid"):
        if name not in plan:
            raise ArgumentError(f"{file}", f"no {name}", 'function = "FILE.py:NAME" and a table [grid] of lists')
    function = OfFile(str(file.parent / plan["function"]))
    _read(function.target)  # a typed error where there is none
    return function, plan["grid"], file.parent / plan.get("folder", file.stem), plan.get("seed", 0)


@dataclass(frozen=True)
class OfFile:
    """The function FILE.py:NAME, read in every process that calls it."""

    target: str

    def __call__(self, **point: Any) -> Any:
        return _read(self.target)(**point)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_read(self.target))


@cache
def _read(target: str) -> Callable[..., Any]:
    from geoflow.app.targets import user_function

    return user_function(target)


def _points(grid: Any) -> list[dict[str, Any]]:
    """The points of a grid, each with its values as JSON has them."""
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
                raise ArgumentError(f"grid[{name!r}]", type(values).__name__, "a sequence of values", f"[{values!r}]")
        points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    elif isinstance(grid, Sequence) and all(isinstance(point, Mapping) for point in grid):
        points = [dict(point) for point in grid]
    else:
        raise ArgumentError("grid", type(grid).__name__, "a dict of sequences, or a sequence of dicts")
    if not points or not all(points):
        raise ArgumentError("grid", "no point", "values for every keyword")
    plain = [{str(name): _plain(value, str(name)) for name, value in point.items()} for point in points]
    reserved = {"error", "seconds"} & {name for point in plain for name in point}
    if reserved:
        raise ArgumentError("grid", f"the keyword {min(reserved)!r}", "other names: that one is a column of the table")
    return plain


def _plain(value: Any, name: str) -> Any:
    """A value as a number, a string, a truth value, None, or a list of these."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(part, name) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    remedy = "pass a name or a number, and build the object in the function"
    raise ArgumentError(f"value of {name}", type(value).__name__, "a number, a string, or a list of these", remedy)


def _require_keywords(function: Any, points: list[dict[str, Any]]) -> None:
    if not callable(function):
        raise ArgumentError("function", type(function).__name__, "a callable: keywords to a dict of figures")
    if (signature := _signature(function)) is None:
        return
    for point in points:
        more = {"seed": 0} if "seed" in signature.parameters else {}
        try:
            signature.bind(**{**more, **point})
        except TypeError as error:
            raise ArgumentError("grid", f"keywords {', '.join(point)}: {error}", f"those of {signature}") from None


def _signature(function: Any) -> inspect.Signature | None:
    """The keywords of a function; None of a builtin that does not say."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _rows(
    function: Any, tasks: list[tuple[int, dict[str, Any], int]], jobs: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows as they are finished."""
    import joblib

    run = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="all")
    found: Iterator[tuple[int, dict[str, Any]]] = run(joblib.delayed(_row)(function, *task) for task in tasks)
    return found


def _row(function: Any, k: int, point: dict[str, Any], seed: int) -> tuple[int, dict[str, Any]]:
    """The row of one point, whatever the function raises."""
    signature = _signature(function)
    own = {"seed": seed, **point} if signature is not None and "seed" in signature.parameters else point
    row, begin, error, figures = {"seed": seed, **point}, time.monotonic(), "", {}
    try:
        value = function(**own)
        figures = dict(value) if isinstance(value, Mapping) else {"value": value}
        figures = {str(name): _plain(figure, f"the figure {name}") for name, figure in figures.items()}
        if taken := {"error", "seconds", *row} & set(figures):
            raise ArgumentError("figures", f"the name {min(taken)!r}", "a name that is no keyword of the grid")
    except (Exception, SystemExit) as raised:  # a call of exit ends its point, not the sweep
        figures, error = {}, described_error(raised)
    return k, {**row, **figures, "seconds": time.monotonic() - begin, "error": error}


class _Store:
    """Rows in a folder, a Parquet file each, and the plan that they are rows of."""

    def __init__(self, folder: Path, points: list[dict[str, Any]], seed: int, function: Any):
        self._pandas, self._rows = require_pandas("a table of a sweep", parquet=True), folder / "rows"
        try:
            self._rows.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{folder}", got=described_error(error), wanted="a folder, or a place for one") from None
        text = json.dumps({"function": _name_of(function), "seed": int(seed), "points": points}, sort_keys=True)
        plan = {"seed": int(seed), "points": len(points), "plan": hashlib.sha256(text.encode()).hexdigest()}
        plan["code"] = _code_of(function)
        file = folder / PLAN
        for place in (folder, self._rows):
            _clean(place)
        if not file.exists():
            write_whole(file, json.dumps(plan, indent=1).encode())
        else:
            _require_same(file, plan)

    def rows(self) -> dict[int, dict[str, Any]]:
        """The rows that are finished."""
        found = {}
        for file in sorted(self._rows.glob("*.parquet")):
            try:
                [row] = self._pandas.read_parquet(file).to_dict("records")
                found[int(file.stem)] = {name: _plain(value, name) for name, value in row.items()}
            except (OSError, ValueError) as error:
                remedy = "remove it, and its row is computed again"
                raise FileError(f"{file}", described_error(error), "a row of this sweep", remedy) from None
        return found

    def add(self, k: int, row: dict[str, Any]) -> None:
        file = self._rows / f"{k:08d}.parquet"
        whole = {name: value for name, value in row.items() if value is not None}
        write_whole(file, self._pandas.DataFrame([whole]).to_parquet(index=False))


def _require_same(file: Path, plan: dict[str, Any]) -> None:
    """Refuse the plan of another sweep, or of the function as it was."""
    try:
        written = json.loads(file.read_text())
        same = {name: written[name] == plan[name] for name in plan}
    except (OSError, ValueError, TypeError, KeyError) as error:
        got = described_error(error)
        raise FileError(f"{file}", got, "the plan of a sweep", "use a new folder") from None
    if not (same.pop("code") and all(same.values())):
        got = (
            "a sweep of this function before it was edited" if all(same.values()) else "another function, grid or seed"
        )
        raise FileError(f"{file.parent}", f"the folder of {got}", "a new folder, or the same sweep")


def _clean(folder: Path) -> None:
    """Remove what writers that were killed left behind; a sweep beside this one may be writing now."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):  # another sweep may clean up too
            if time.time() - part.stat().st_mtime > STALE:
                part.unlink()
