"""Rows of a sweep in a folder: a Parquet file each, all of one schema, and the plan that they are rows of."""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from geoflow._frames import require_pandas
from geoflow._usercode import described_error
from geoflow.errors import FileError
from geoflow.realization.archive import write_whole

PLAN = "sweep.json"
#: seconds after which what a writer left beside its file is of one that was killed
STALE = 60.0


class RowStore:
    """Rows in a folder, one table whatever their figures: numbers are floats, but of a keyword that has integers."""

    def __init__(self, folder: Path, points: list[dict[str, Any]], seed: int, function: tuple[str, str]):
        require_pandas("a table of a sweep", parquet=True)
        self._rows = folder / "rows"
        try:
            self._rows.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{folder}", got=described_error(error), wanted="a folder, or a place for one") from None
        text = json.dumps({"function": function[0], "seed": seed, "points": points}, sort_keys=True)
        plan = {"seed": seed, "points": len(points), "plan": hashlib.sha256(text.encode()).hexdigest()}
        plan["code"] = function[1]
        file = folder / PLAN
        for place in (folder, self._rows):
            _clean(place)
        if not file.exists():
            write_whole(file, json.dumps(plan, indent=1).encode())
        else:
            _require_same(file, plan)
        #: the columns so far that hold something, with their types
        self._types: dict[str, Any] = {}
        self._whole = {"seed"} | {name for name in points[0] if all(_is_whole(point.get(name)) for point in points)}

    def rows(self) -> dict[int, dict[str, Any]]:
        """The rows that are finished."""
        found, types = {}, []
        for file in self._files():
            try:
                table = self._read(file)
                [row] = table.to_pylist()
                found[int(file.stem)] = row
            except (OSError, ValueError) as error:
                remedy = "remove it, and its row is computed again"
                raise FileError(f"{file}", described_error(error), "a row of this sweep", remedy) from None
            types.append(dict(zip(table.column_names, table.schema.types, strict=True)))
            self._types |= {name: kind for name, kind in types[-1].items() if "null" not in str(kind)}
        if any(kinds != self._types for kinds in types):  # one was killed before all were alike
            self._rewrite()
        return found

    def add(self, k: int, row: dict[str, Any]) -> dict[str, Any]:
        """Write a row, and give it as it is kept; rows before it get the columns that it is the first to have.

        A figure that is of another kind than it was in other rows is an error of the row, without its figures.
        """
        import pyarrow

        row, before = dict(row), len(self._types)
        for name in list(row):
            array = pyarrow.array([self._stored(name, row[name])])
            if "null" in str(array.type):
                continue
            wanted = self._types.setdefault(name, array.type)
            if array.type != wanted:
                row["error"] = row["error"] or f"the figure {name} is of another kind than in other rows: {row[name]!r}"
                row[name] = None
        self._write(self._rows / f"{k:08d}.parquet", row)
        if len(self._types) > before and len(self._files()) > 1:
            self._rewrite()
        return row

    def _stored(self, name: str, value: Any) -> Any:
        """A number as a float, but for truth values, and integers of a keyword that has no others."""
        if isinstance(value, (list, tuple)):
            return [self._stored("", part) for part in value]
        return float(value) if _is_whole(value) and name not in self._whole else value

    def _files(self) -> list[Path]:
        return sorted(self._rows.glob("*.parquet"))

    def _read(self, file: Path) -> Any:
        import pyarrow.parquet

        return pyarrow.parquet.read_table(file, partitioning=None)

    def _rewrite(self) -> None:
        for file in self._files():
            table = self._read(file)
            if dict(zip(table.column_names, table.schema.types, strict=True)) != self._types:
                self._write(file, table.to_pylist()[0])

    def _write(self, file: Path, row: Mapping[str, Any]) -> None:
        import pyarrow.parquet

        columns = {name: pyarrow.array([self._stored(name, row.get(name))], kind) for name, kind in self._types.items()}
        whole = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), whole)
        write_whole(file, whole.getvalue())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_same(file: Path, plan: dict[str, Any]) -> None:
    """Refuse the plan of another sweep, or of the function as it was."""
    try:
        written = json.loads(file.read_text())
        same = {name: written[name] == plan[name] for name in plan}
    except (OSError, ValueError, TypeError, KeyError) as error:
        got = described_error(error)
        raise FileError(f"{file}", got, "the plan of a sweep", "use a new folder") from None
    if not (same.pop("code") and all(same.values())):
        other = "this function before it was edited" if all(same.values()) else "another function, grid or seed"
        raise FileError(f"{file.parent}", f"the folder of a sweep of {other}", "a new folder, or the same sweep")


def _clean(folder: Path) -> None:
    """Remove what writers that were killed left behind; a sweep beside this one may be writing now."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):  # another sweep may clean up too
            if time.time() - part.stat().st_mtime > STALE:
                part.unlink()


# functions ----------------------------------------------------------------------------------------------------------


def fingerprint(function: Any) -> str:
    """What changes when a function is edited, or what it holds is another: code, defaults, closures, attributes.

    Comments change nothing; nothing is seen of the functions that it calls by their names, nor of lists, sets and dicts
    in closures and attributes, which may be a function's notes.
    """
    return hashlib.sha256(repr(_parts_of(function, 0)).encode()).hexdigest()


def _parts_of(value: Any, depth: int) -> Any:
    """A value, or the parts of a function or an object, as what has one repr in every process."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
        return repr(value)
    if depth > 8:
        return type(value).__name__
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest(), value.shape, str(value.dtype)
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, [_parts_of(part, depth + 1) for part in value.co_consts]
    if isinstance(value, functools.partial):
        value = (value.func, value.args, value.keywords)
    if isinstance(value, (tuple, list)):
        return [_parts_of(part, depth + 1) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, (_parts_of(part, depth + 1) for part in value)))  # the order of a set is no one's
    if isinstance(value, Mapping):
        return [(str(name), _parts_of(part, depth + 1)) for name, part in value.items()]
    if isinstance(value, FunctionType):
        value = inspect.unwrap(value)
        cells = [_settled(_content(cell)) for cell in value.__closure__ or ()]
        held = [value.__code__, value.__defaults__, value.__kwdefaults__, cells]
        return [_parts_of(part, depth + 1) for part in held]
    if inspect.ismethod(value):
        return [_parts_of(value.__func__, depth + 1), _parts_of(value.__self__, depth + 1)]
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return getattr(value, "__name__", type(value).__name__)
    call = inspect.getattr_static(type(value), "__call__", None)
    own = {name: _settled(part) for name, part in vars(value).items()}
    return [type(value).__name__, _parts_of(call, depth + 1), _parts_of(own, depth + 1)]


def _settled(value: Any) -> Any:
    return type(value).__name__ if isinstance(value, (list, set, dict)) else value


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
