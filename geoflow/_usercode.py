"""Functions that users give: what they raise gets the line of the user's file, and what is no number is refused."""

from __future__ import annotations

import inspect
import linecache
import os
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from geoflow.errors import ArgumentError, GeoflowError, NotFiniteError, UserCodeError, shortened

#: what numpy says where an array does not fit
SHAPE_WORDS = ("shape", "broadcast", "axis", "axes", "dimension", "too many indices", "out of bounds", "unpack")
#: what numpy and autograd say where plain numpy meets a value that is being differentiated
TRACE_WORDS = ("Box", "array element with a sequence", "vector space")
#: what the usual mistakes are answered with, by words of the exception
REMEDIES = {
    "Python scalar": "use the functions of autograd.numpy, which take arrays, in place of those of math",
    "truth value of an array": "choose by np.where(condition, a, b), entry by entry, in place of if, and and or",
}


@cache
def _ours() -> tuple[str, ...]:
    """Folders of files that no user wrote: this package, the standard library, and what is installed."""
    paths = sysconfig.get_paths()
    folders = {str(Path(__file__).parent), *(paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))}
    return tuple(os.path.join(folder, "") for folder in folders)


def place_of(error: BaseException | TracebackType | None) -> tuple[str, int] | None:
    """File and line of the innermost line of the user that an exception passed, or that it blames; None without one."""
    if isinstance(error, UserCodeError) and error.evidence.get("file"):
        return error.evidence["file"], error.evidence["line"]
    if isinstance(error, SyntaxError) and error.filename:
        return str(error.filename), int(error.lineno or 1)
    trace, found = error.__traceback__ if isinstance(error, BaseException) else error, None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(("<frozen", "<__array_function__", *_ours())):
            found = file, trace.tb_lineno
        trace = trace.tb_next
    return found


def described_place(place: tuple[str, int] | None) -> str:
    """at FILE, line N: `its text`, or nothing."""
    if place is None:
        return ""
    text = shortened(linecache.getline(*place), 120)
    return f" at {place[0]}, line {place[1]}" + (f": `{text}`" if text else "")


def described_error(error: BaseException) -> str:
    """The kind of an exception and its words, which may themselves fail."""
    try:
        words = shortened(str(error), 400)
    except Exception:
        words = "a message that cannot be printed"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_about_shapes(error: BaseException | None) -> bool:
    """Whether an exception says that an array does not fit."""
    if not isinstance(error, (IndexError, ValueError, TypeError)):
        return False
    return isinstance(error, IndexError) or any(word in str(error) for word in SHAPE_WORDS)


class Guarded:
    """A user's function, whose exceptions become `UserCodeError` with the user's own line; typed errors pass.

    What tracing raises on purpose passes too, for whoever traces: the want of a derivative, and plain numpy at a value
    that is being differentiated. At a NaN or an infinity, which a solver may try, an exception is a `NotFiniteError`.
    """

    def __init__(self, function: Callable[..., Any], what: str):
        self.function, self.what = function, what

    def __call__(self, *arguments: Any) -> Any:
        try:
            value = self.function(*arguments)
        except GeoflowError:
            raise
        except Exception as error:
            raised = self._raised(error, arguments)
            if raised is error:
                raise
            raise raised from error
        if not (isinstance(value, np.ndarray) and value.dtype in (np.float64, np.int64)):
            self._require_numbers(value)
        return value

    def _raised(self, error: Exception, arguments: tuple[Any, ...]) -> Exception:
        plain = all(isinstance(a, (np.ndarray, np.generic, float, int)) for a in arguments)
        module = type(error).__module__
        if not plain:
            traced = isinstance(error, (TypeError, ValueError)) and any(word in str(error) for word in TRACE_WORDS)
            underived = isinstance(error, NotImplementedError) and is_of_autograd(error)
            if traced or underived or module.startswith(("jax", "geoflow")):
                return error
        elif isinstance(error, ImportError):  # of a module that is said to be missing elsewhere
            return error
        elif any(isinstance(a, np.ndarray) and a.dtype.kind == "f" and not np.isfinite(a).all() for a in arguments):
            return NotFiniteError(f"{self.what} at a point that is not finite", described_error(error), "finite points")
        place = place_of(error)
        shapes = " and ".join(str(np.shape(a)) for a in arguments) if plain else "a value being differentiated"
        (file, line), remedy = place or ("", 0), "correct that line" if place else "correct the function"
        return UserCodeError(
            f"{self.what} raised {type(error).__name__}",
            got=f"{described_error(error)}{described_place(place)}, called with {'shape ' if plain else ''}{shapes}",
            wanted="a value wherever it is called: NaN where it has none",
            remedy=next((REMEDIES[words] for words in REMEDIES if words in str(error)), remedy),
            file=file,
            line=line,
        )

    def _require_numbers(self, value: Any) -> None:
        kind = type(value)
        bad = value is None or isinstance(value, (str, bytes, dict, set, Exception)) or callable(value)
        if not bad and isinstance(value, (complex, np.ndarray, np.generic, list, tuple)):
            bad = isinstance(value, complex) or getattr(value, "dtype", np.dtype(float)).kind not in "fiubO"
        if bad:
            got = kind.__name__ + (f" of {value.dtype}" if isinstance(value, np.ndarray) else "")
            remedy = "return the value" if value is None else "return real numbers"
            raise ArgumentError(f"value of {self.what}", got, "an array of real numbers", remedy)
        if isinstance(value, np.ndarray) and value.ndim and value.dtype in (np.float32, np.float16):
            got, remedy = (
                f"numbers of {value.dtype}, which keep {np.finfo(value.dtype).precision} digits",
                "convert what it computes with: A.astype(float)",
            )
            raise ArgumentError(f"value of {self.what}", got, "numbers of float64", remedy)


def is_of_autograd(error: Exception) -> bool:
    """Whether the innermost line of an exception is autograd's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and f"{os.sep}autograd{os.sep}" in trace.tb_frame.f_code.co_filename


def guarded(function: Any, what: str, arguments: str = "") -> Any:
    """The function guarded, once; None as it is. `ArgumentError` where it cannot be called with these `arguments`."""
    if function is None or isinstance(function, Guarded):
        return function
    if not callable(function):
        raise ArgumentError(what, got=type(function).__name__, wanted=f"a callable ({arguments or 'x'})")
    if arguments:
        try:
            signature = inspect.signature(function)
        except Exception:  # of what has none, its calls tell
            return Guarded(function, what)
        try:
            signature.bind(*arguments.split(", "))
        except TypeError as error:
            got, remedy = f"a function of {signature}: {error}", "bind what else it needs by a lambda"
            raise ArgumentError(what, got, f"a function that is called with ({arguments})", remedy) from None
    return Guarded(function, what)


def takes_second(function: Any, name: str) -> bool:
    """Whether a function wants a second positional argument: one without a default, or of this name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return sum(p.default is p.empty for p in positional) >= 2 or [p.name for p in positional[1:2]] == [name]
