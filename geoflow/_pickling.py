"""Objects that hold functions, made picklable: for process pools, sweeps and copies.

What a user gave is pickled as Python pickles it: a function by the name under which another process imports it. The
functions that geoflow itself makes inside others have no such name; their code and what they close over is written.
"""

from __future__ import annotations

import copyreg
import importlib
import inspect
import io
import marshal
import pickle
import sys
from copy import deepcopy
from functools import cached_property
from types import CellType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from geoflow.errors import GeoflowError, NotPicklableError, in_a_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

OWN = __name__.partition(".")[0]
#: where autograd keeps its primitives, whose names do not say it
PRIMITIVES = ("autograd.numpy", "autograd.numpy.linalg", "autograd.numpy.fft", "autograd.scipy.special")
#: packages, and what they are vendored as, whose picklers write functions by their code
OTHERS = {"cloudpickle", "dill", "_dill"}
REBUILT_BY = "rebuilt_by"


class Portable:
    """A base of classes whose objects hold functions: they are pickled and copied whole, without what they cached."""

    def __getstate__(self) -> dict[str, Any]:
        kind = type(self)
        return {k: v for k, v in vars(self).items() if not isinstance(getattr(kind, k, None), cached_property)}

    def __repr__(self) -> str:
        """Its class, with what it says of itself."""
        told = f"({self})" if type(self).__str__ is not object.__str__ else ""
        return in_a_line(f"{type(self).__name__}{told}")

    def __reduce_ex__(self, protocol: Any) -> Any:
        if _asked_by_another():
            return object.__reduce_ex__(self, protocol)
        return _unpack, (_pack(self),)

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        _set_state(new, self.__getstate__())
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = memo[id(self)] = object.__new__(type(self))
        _set_state(new, deepcopy(self.__getstate__(), memo))
        return new


def rebuilt_by(function: Any, maker: Callable[..., Any], *arguments: Any) -> Any:
    """The function, which is pickled as the call that makes it: for those that a library registered or compiled."""
    setattr(function, REBUILT_BY, (id(function), maker, arguments))
    return function


class _Pickler(pickle.Pickler):
    """Python's, which also writes the functions that geoflow makes inside others."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Portable):  # this pickle is its own: parts that are shared stay shared
            return copyreg.__newobj__, (type(value),), value.__getstate__(), None, None, _set_state  # type: ignore[attr-defined]
        if isinstance(value, ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, MappingProxyType):  # keywords of a recorded step
            return _frozen, (dict(value),)
        if isinstance(value, FunctionType) and vars(value).get(REBUILT_BY, (None,))[0] == id(value):
            return vars(value)[REBUILT_BY][1:]  # not one that a decorator copied from another function
        if not isinstance(value, FunctionType) or _found(value.__module__, value.__qualname__) is value:
            return NotImplemented
        for place in PRIMITIVES:
            if place in sys.modules and _found(place, value.__name__) is value:
                return getattr, (sys.modules[place], value.__name__)
        home = str(value.__globals__.get("__name__"))
        if home.partition(".")[0] != OWN:
            raise _refusal(value)
        contents = [_content_of(cell) for cell in value.__closure__ or ()]
        attributes = {k: v for k, v in vars(value).items() if k != REBUILT_BY}
        state = contents, value.__defaults__, value.__kwdefaults__, attributes
        made_of = home, _tag(), marshal.dumps(value.__code__), value.__qualname__, len(contents)
        return _function, made_of, state, None, None, _fill


def _asked_by_another() -> bool:
    """Whether the pickler at work is one that writes every function itself, as those of joblib, dask and ray do."""
    frame = inspect.currentframe()
    for _ in range(5):  # this function, the one that asks, and those of the pickler
        if frame is None:
            return False
        if OTHERS & set(str(frame.f_globals.get("__name__")).split(".")):
            return True
        frame = frame.f_back
    return False


def _pack(value: Any) -> bytes:
    stream = io.BytesIO()
    try:
        _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except NotPicklableError as error:
        raise NotPicklableError(f"pickling {_name(value)}", error.got, error.wanted, error.remedy) from None
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        if isinstance(error, GeoflowError):
            raise
        raise NotPicklableError(f"pickling {_name(value)}", str(error), *_WANTED) from error
    return stream.getvalue()


def _unpack(data: bytes) -> Any:
    return pickle.loads(data)


_WANTED = (
    "functions, and objects, that another process can import by name",
    "define the function with `def` at the top level of a module, or use functools.partial of one that is",
)


def _frozen(content: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(content)


def _refusal(function: FunctionType) -> NotPicklableError:
    code = function.__code__
    return NotPicklableError(
        "pickling a function", f"{function.__qualname__} of {code.co_filename}, line {code.co_firstlineno}", *_WANTED
    )


def _name(value: Any) -> str:
    name = getattr(value, "name", None)
    return type(value).__name__ + (f" {name!r}" if isinstance(name, str) else "")


def _found(module: str | None, qualname: str) -> Any:
    """What another process finds under this name, or None."""
    found: Any = sys.modules.get(module or "")
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _set_state(value: Any, state: dict[str, Any]) -> None:
    """The attributes of an object, also of a frozen one; a class may put back more with `__setstate__`."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
    else:
        vars(value).update(state)


# functions by their code --------------------------------------------------------------------------------------------


def _tag() -> str:
    return str(sys.implementation.cache_tag)


def _content_of(cell: CellType) -> tuple[Any, ...]:
    """What a function closes over, in a tuple that is empty where it is not set yet."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _function(home: str, tag: str, code: bytes, qualname: str, cells: int) -> FunctionType:
    """A function with its code and nothing closed over yet, so that it may close over itself."""
    if tag != _tag():
        what, remedy = f"function {qualname} of {home} in a pickle", "pickle and unpickle with one version of Python"
        raise NotPicklableError(what, f"code of {tag}", f"code of {_tag()}", remedy)
    loaded: CodeType = marshal.loads(code)
    closure = tuple(CellType() for _ in range(cells))
    function = FunctionType(loaded, vars(importlib.import_module(home)), loaded.co_name, None, closure)
    function.__qualname__ = qualname
    return function


def _fill(function: FunctionType, state: tuple[Any, ...]) -> None:
    contents, defaults, keyword_defaults, attributes = state
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]
    function.__defaults__, function.__kwdefaults__ = defaults, keyword_defaults
    vars(function).update(attributes)
