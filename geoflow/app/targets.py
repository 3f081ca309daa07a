"""What a user names on the command line: entries of the catalogue, and objects of a Python file."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from geoflow import catalog
from geoflow._usercode import described_error, described_place, place_of
from geoflow.catalog.registry import Case
from geoflow.errors import ArgumentError, ShapeError, UserCodeError, shortened
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import Box
from geoflow.theorems.direct import case_of


def is_file(target: str) -> bool:
    """Whether a target means a file, and not a name of the catalogue."""
    return ":" in target or "/" in target or target.endswith(".py")


def user_case(target: str, x0: str | None, read: dict[str, ModuleType] | None = None) -> Case:
    """The case of FILE.py:OBJECT, a Parametrization or a Case, started at --x0, the module's x0, or a generic point.

    A file that was `read` is not read again.
    """
    value, module = _object(target, {} if read is None else read)
    if _is(value, Case):
        if x0 is not None:
            raise ArgumentError("--x0", f"{x0} beside {target}", "a gf.Parametrization: a Case has its own start")
        return _sound(target, value)
    if not _is(value, Parametrization):
        remedy = f"geoflow realize {target}" if _is(value, LegendreFunction) else "wrap the map: gf.Parametrization"
        wanted = "a gf.Parametrization or a catalogue Case"
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted=wanted, remedy=remedy)
    try:
        start = _attribute(module, "x0", None) if x0 is None else [float(number) for number in x0.split(",")]
    except ValueError:
        raise ArgumentError("--x0", got=repr(x0), wanted="numbers separated by commas, such as 1,0.5") from None
    which = "--x0" if x0 is not None else f"x0 of the module {target.rpartition(':')[0]}, or --x0, as the start of G"
    return case_of(value, None if start is None else value.require_point(start, which))


def user_potential(target: str, d: int | None) -> LegendreFunction:
    """A potential of the catalogue, or FILE.py:OBJECT."""
    if not is_file(target):
        return catalog.potentials[target](d)
    if d is not None:
        raise ArgumentError("--d", f"{d}", "a potential of the catalogue", "your own potential has its dimension")
    value, _ = _object(target, {})
    if not _is(value, LegendreFunction):
        remedy = f"geoflow verify {target}" if _is(value, Parametrization) else "wrap it: gf.LegendreFunction"
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted="a gf.LegendreFunction", remedy=remedy)
    potential: LegendreFunction = value
    return potential


def user_function(target: str) -> Callable[..., Any]:
    """A function FILE.py:NAME."""
    value, _ = _object(target, {})
    if not callable(value):
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted="a function of the keywords of the grid")
    function: Callable[..., Any] = value
    return function


def _is(value: object, kind: type) -> bool:
    """As isinstance, which asks the value itself, for a value that may answer anything."""
    return issubclass(type(value), kind)


def _sound(target: str, case: Case) -> Case:
    """A user's case, its fields of the kinds they have to be."""
    kinds = {"parametrization": Parametrization, "legendre": LegendreFunction, "dual": LegendreFunction}
    for name, kind in kinds.items():
        value = getattr(case, name)
        if not _is(value, kind) and not (value is None and name != "parametrization"):
            raise ArgumentError(f"{name} of {target}", got=type(value).__name__, wanted=f"a gf.{kind.__name__}")
    case.parametrization.require_point(case.x0, f"x0 of {target}")
    if not callable(case.sample):
        raise ArgumentError(f"sample of {target}", got=type(case.sample).__name__, wanted="a callable (n, rng)")
    if isinstance(case.mu_bound, bool) or not isinstance(case.mu_bound, (int, float)) or not 0 < case.mu_bound < np.inf:
        raise ArgumentError(f"mu_bound of {target}", got=f"{case.mu_bound!r}", wanted="a positive number")
    return case


def box_of(text: str, dim: int) -> Box:
    """LOW,..:HIGH,.. as a box."""
    try:
        low, high = ([float(number) for number in side.split(",")] for side in text.split(":"))
        lower, upper = (side * dim if len(side) == 1 else side for side in (low, high))
        if len(lower) != dim or len(upper) != dim:
            raise ShapeError(
                "--box", f"{len(low)} and {len(high)} numbers", f"1 or d = {dim} on either side of the colon"
            )
    except ShapeError:
        raise
    except ValueError:
        wanted = "LOW,..:HIGH,.. with numbers, such as -1,-2:1,-0.5"
        raise ArgumentError("--box", repr(text), wanted, remedy="write --box -1:1") from None
    return Box(lower, upper)


def _object(target: str, read: dict[str, ModuleType]) -> tuple[Any, ModuleType]:
    """The object FILE.py:OBJECT names, and its module."""
    path, _, name = target.rpartition(":")
    if not path or not path.endswith(".py"):
        raise ArgumentError(f"target {target!r}", wanted="FILE.py:OBJECT", remedy="name the object, as in maps.py:G")
    if path not in read:
        read[path] = _load(path)
    module, missing = read[path], object()
    value = _attribute(module, name, missing)
    if value is missing:
        public = [n for n, held in vars(module).items() if not (n.startswith("_") or _is(held, ModuleType))]
        wanted = f"one of {shortened(', '.join(public), 300)}" if public else "a file that defines it"
        raise ArgumentError(f"object {name!r} of {path}", got="no such name", wanted=wanted)
    return value, module


def _attribute(module: ModuleType, name: str, otherwise: object) -> Any:
    """A name of a module, whose own `__getattr__` may raise."""
    try:
        return getattr(module, name, otherwise)
    except Exception as error:
        raise _raised(f"{name} of {module.__file__}", error) from error


def _load(path: str) -> ModuleType:
    if not Path(path).is_file():
        got = "a folder" if Path(path).is_dir() else "no such file"
        raise ArgumentError(f"file {path!r}", got=got, wanted="a Python file")
    spec = importlib.util.spec_from_file_location("geoflow_user_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look there
    folder = str(Path(path).absolute().parent)
    if folder not in sys.path:  # as for a script: files beside it can be imported
        sys.path.insert(0, folder)
    try:
        with np.errstate(), warnings.catch_warnings():  # what it sets for itself is not set for the library
            spec.loader.exec_module(module)
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        raise _raised(f"file {path!r}", error) from error
    return module


def _raised(what: str, error: BaseException) -> UserCodeError:
    """What a user's file raised as it was read, with the line."""
    place = place_of(error)
    file, line = place or ("", 0)
    remedy = f"python {file} shows the whole traceback" if file else ""
    got = f"{described_error(error)}{described_place(place)}"
    return UserCodeError(what, got, "a file that runs", remedy, file=file, line=line)
