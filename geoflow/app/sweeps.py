"""Sweeps: a function at all points of a grid, by any number of workers, kept row by row and resumed."""

from __future__ import annotations

import inspect
import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow._frames import require_pandas
from geoflow._usercode import described_error
from geoflow.app.rowstore import RowStore, fingerprint
from geoflow.errors import ArgumentError

if TYPE_CHECKING:
    import pandas

#: figures of a point: a function's own names to numbers, strings or truth values
Figures = Mapping[str, Any]
#: rows done, of how many, and the seconds that are left at the pace so far
Progress = Callable[[int, int, float], None]


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
    store = None if folder is None else RowStore(Path(folder), points, int(seed), _named(function))
    done = {} if store is None else store.rows()
    done = {k: row for k, row in done.items() if not (retry and row["error"])}
    left, begin = [task for task in tasks if task[0] not in done], time.monotonic()
    for n, (k, row) in enumerate(_rows(function, left, jobs), start=1):
        done[k] = row if store is None else store.add(k, row)
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


def _named(function: Any) -> tuple[str, str]:
    """The name and the fingerprint of a function."""
    return _name_of(function), fingerprint(_read(function.target) if isinstance(function, OfFile) else function)


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
        parts = [_plain(part, name) for part in value]
        kinds = {_kind(part) for part in parts if part is not None}
        if len(kinds) > 1:
            raise ArgumentError(f"value of {name}", f"a list of {' and '.join(sorted(kinds))}", "a list of one kind")
        return parts
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise ArgumentError(f"value of {name}", f"an integer of {value.bit_length()} bits", "64 bits, or a float of it")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    remedy = "pass a name or a number, and build the object in the function"
    raise ArgumentError(f"value of {name}", type(value).__name__, "a number, a string, or a list of these", remedy)


def _kind(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "numbers"
    return {bool: "truth values", str: "strings"}.get(type(value), "lists")


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
    """The rows as they are finished; a point whose process ends is a row with that error."""
    import joblib
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    _hush()
    left = {task[0]: task for task in tasks}
    while left:
        try:
            run = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="all")
            for k, row in run(joblib.delayed(_row)(function, *task) for task in list(left.values())):
                del left[k]
                yield k, row
        except TerminatedWorkerError:
            for task in list(left.values()):  # one by one, until the point is found
                try:
                    k, row = get_reusable_executor(max_workers=1).submit(_row, function, *task).result()
                except TerminatedWorkerError:
                    k, point, seed = task
                    error = "the process that computed it ended: out of memory, killed, or by os._exit"
                    yield k, {"seed": seed, **point, "seconds": None, "error": error}
                    del left[k]
                    break
                del left[k]
                yield k, row


@cache
def _hush() -> None:
    """From now on nothing is told of a pool that is left before its end, as by Ctrl-C: rows that are done are kept."""
    warnings.filterwarnings("ignore", r".*tasks have been successfully executed", UserWarning)
    before = threading.excepthook

    def told(args: Any) -> None:
        if type(args.thread).__name__ != "_ExecutorManagerThread":
            before(args)

    threading.excepthook = told


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
            wanted = "another name: the table has a column of that one"
            raise ArgumentError("figures", f"the name {min(taken)!r}", wanted)
    except (Exception, SystemExit) as raised:  # a call of exit ends its point, not the sweep
        figures, error = {}, described_error(raised)
    return k, {**row, **figures, "seconds": time.monotonic() - begin, "error": error}
