"""Checks of arguments, made once, at the public call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np

from geoflow._typing import Array
from geoflow.errors import ArgumentError, ConvergenceError, NotFiniteError, ShapeError, shortened

T = TypeVar("T")


def describe(point: Any) -> str:
    """An array as messages print it: on one line, at most 8 numbers of it, or 6, 16 or 2^axes at its corners."""
    array = np.asarray(point)
    corner = {0: 3, 1: 3, 2: 2}.get(array.ndim, 1)
    return " ".join(np.array2string(array, precision=6, threshold=8, edgeitems=corner).split())


def all_finite(array: Array) -> bool:
    """Whether no entry is NaN or infinite; one product where squares do not overflow."""
    return bool(np.isfinite(np.vdot(array, array))) or bool(np.isfinite(array).all())


def as_finite(value: Any, what: str) -> Array:
    """The value as a float array without NaN or infinity."""
    try:
        if np.iscomplexobj(value):
            raise TypeError("complex numbers")
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise ArgumentError(what, got=f"{type(value).__name__} ({error})", wanted="an array of real numbers") from None
    if not all_finite(array):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        if np.asarray(value, dtype=object)[index] is None:
            raise ArgumentError(
                what, got=f"None at index {index}" if index else "None", wanted="an array of real numbers"
            )
        place = f" at index {index}" if index else ""
        got, remedy = f"{array[index]}{place}", "remove the NaN or infinity before the call"
        raise NotFiniteError(what, got, "finite numbers", remedy, index=index)
    return array


def as_points(value: Any, shape: int | tuple[int, ...], what: str) -> Array:
    """The value as a finite float array of shape=[..., *shape]; an int stands for vectors."""
    array = as_finite(value, what)
    shape = (shape,) if isinstance(shape, int) else shape
    if array.ndim < len(shape) or array.shape[array.ndim - len(shape) :] != shape:
        remedy = "put the coordinates on the last " + ("axis" if len(shape) == 1 else f"{len(shape)} axes")
        raise ShapeError(what, f"shape {array.shape}", f"shape [..., {', '.join(map(str, shape))}]", remedy)
    if array.size == 0:
        raise ArgumentError(what, got=f"an empty array of shape {array.shape}", wanted="at least one point")
    return array


#: largest dimension or count of anything: beyond, one array of it takes gigabytes
LARGEST = 100_000_000


def as_count(value: Any, what: str, most: int = LARGEST) -> int:
    """An integer from 1 to `most`, refused by its size before anything of that size is formed."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(what, got=shortened(repr(value), 80), wanted="an integer, at least 1")
    if value > most:
        got = shortened(repr(value), 80) if value < 10**80 else "an integer of more than 80 digits"
        raise ArgumentError(what, got=got, wanted=f"an integer, at least 1 and at most {most}")
    return int(value)


def require_type(value: Any, wanted: type, what: str, remedy: str = "") -> None:
    """Refuse an argument that is not an instance of the class it has to be."""
    if not isinstance(value, wanted):
        raise ArgumentError(what, got=type(value).__name__, wanted=f"a gf.{wanted.__name__}", remedy=remedy)


def require_flag(check: object) -> None:
    """Refuse a `check` that is neither True nor False."""
    if not isinstance(check, (bool, np.bool_)):
        raise ArgumentError("check", got=repr(check), wanted="True, or False to believe what is given")


def as_times(value: Any) -> Array:
    """Output times: an increasing array of nonnegative numbers; a positive scalar T means 101 times from 0 to T."""
    times = as_finite(value, "times t")
    if times.ndim == 0:
        if not times > 0:
            raise ArgumentError("final time t", got=f"{times}", wanted="a positive number")
        return np.linspace(0.0, float(times), 101)
    if times.ndim != 1 or times.size == 0:
        raise ShapeError("times t", got=f"shape {times.shape}", wanted="a scalar or shape [n_times]")
    if times[0] < 0 or np.any(np.diff(times) <= 0):
        remedy = "sort the times and shift them to start at 0 or later: the flow starts at t = 0"
        raise ArgumentError("times t", describe(times), "nonnegative and strictly increasing", remedy)
    return times


def as_positive(value: Any, what: str = "tol") -> float:
    """A positive number."""
    tol = np.nan if isinstance(value, (bool, str, bytes)) or value is None else as_finite(value, what)
    if np.ndim(tol) or not tol > 0:
        raise ArgumentError(what, got=shortened(repr(value), 80), wanted="a positive number")
    return float(tol)


def require_converged(defect: float, tol: float, what: str, remedy: str) -> None:
    """Raise `ConvergenceError` when a recomputed defect exceeds its tolerance, or is NaN."""
    if not defect <= tol:
        raise ConvergenceError(what, f"defect {defect:.1e}", f"at most {tol:.0e}", remedy, defect=defect)


@cache
def _parameters(kind: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(kind).parameters)


def as_options(kind: Callable[..., T], given: Mapping[str, Any], what: str) -> T:
    """kind(**given) for a dataclass of options; `TypeError` in the name of the function that took an unknown one."""
    allowed = _parameters(kind)
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise TypeError(f"{what}() got an unexpected keyword {unknown[0]!r}; the options are {', '.join(allowed)}")
    return kind(**given)
