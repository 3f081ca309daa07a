"""What a user names on the command line: entries of the catalogue, and objects of a Python file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from geoflow import catalog
from geoflow.catalog.registry import Case
from geoflow.errors import ArgumentError
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import Box
from geoflow.theorems.direct import case_of


def user_case(target: str, x0: str | None) -> Case:
    """The case of FILE.py:OBJECT, a Parametrization or a Case, started at --x0, the module's x0, or a generic point."""
    value, module = _object(target)
    if isinstance(value, Case):
        return value
    if not isinstance(value, Parametrization):
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted="a gf.Parametrization or a catalogue Case")
    try:
        start = [float(number) for number in x0.split(",")] if x0 else getattr(module, "x0", None)
    except ValueError:
        raise ArgumentError("--x0", got=repr(x0), wanted="numbers separated by commas, such as 1,0.5") from None
    return case_of(value, start)


def user_potential(target: str, d: int | None) -> LegendreFunction:
    """A potential of the catalogue, or FILE.py:OBJECT."""
    if ".py" not in target:
        return catalog.potentials[target](d)
    value, _ = _object(target)
    if not isinstance(value, LegendreFunction):
        raise ArgumentError(f"{target}", got=type(value).__name__, wanted="a gf.LegendreFunction")
    return value


def box_of(text: str, dim: int) -> Box:
    """LOW,..:HIGH,.. as a box."""
    try:
        low, high = ([float(number) for number in side.split(",")] for side in text.split(":"))
        lower, upper = (side * dim if len(side) == 1 else side for side in (low, high))
    except ValueError:
        wanted = "LOW,..:HIGH,.. with numbers, such as -1,-2:1,-0.5"
        raise ArgumentError("--box", repr(text), wanted, remedy="write --box=-1:1") from None
    return Box(lower, upper)


def _object(target: str) -> tuple[object, ModuleType]:
    """The object FILE.py:OBJECT names, and its module."""
    path, _, name = target.rpartition(":")
    if not path or not path.endswith(".py"):
        raise ArgumentError(f"target {target!r}", wanted="FILE.py:OBJECT", remedy="name the object, as in maps.py:G")
    module = _load(path)
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise ArgumentError(f"object {name!r} of {path}", got="no such name", wanted=f"one of {', '.join(public)}")
    return getattr(module, name), module


def _load(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise ArgumentError(f"file {path!r}", got="no such file", wanted="a Python file")
    spec = importlib.util.spec_from_file_location("geoflow_user_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ArgumentError(f"file {path!r}", f"{type(error).__name__}: {error}", "a file that runs") from error
    return module
