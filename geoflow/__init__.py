"""The geometry behind implicit bias: commuting parametrizations, Legendre functions and mirror flows.

``import geoflow as gf`` gives the names listed in `__init__.pyi`; each is loaded when it is first used.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from pathlib import Path

from geoflow.errors import BackendError


def _choose_backend() -> None:
    """Ask geomstats for its autograd backend, and say so plainly when another one is already loaded."""
    loaded = sys.modules.get("geomstats.backend")
    if loaded is None:
        name = os.environ.setdefault("GEOMSTATS_BACKEND", "autograd")
    else:
        name = loaded.__name__.removeprefix("geomstats.")
    if name != "autograd":
        remedy = "import geoflow before geomstats, or set the environment variable GEOMSTATS_BACKEND=autograd"
        raise BackendError("geomstats backend", f"{name!r}", "'autograd', which geoflow differentiates with", remedy)


def _public() -> dict[str, tuple[str, str]]:
    """Public names to (module, name there), read from the stub."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text())
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


_choose_backend()
_HOME = _public()
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name in _HOME:
        module, attribute = _HOME[name]
        try:
            value: object = importlib.import_module(f"{module}.{attribute}")  # a public module
        except ModuleNotFoundError as error:
            if error.name != f"{module}.{attribute}":
                raise
            value = getattr(importlib.import_module(module), attribute)
        globals()[name] = importlib.import_module("geoflow._signatures").unquoted(value)
        return value
    return importlib.import_module("geoflow._deprecated").get(name)


def __dir__() -> list[str]:
    return sorted(__all__)
