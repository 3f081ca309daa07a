"""Records as text, and back: what a file keeps of a function, so that it can be run again without the function.

A primitive is kept by its name, a float by the digits that give it back. Only what `enclosures` can run is kept.
"""

from __future__ import annotations

import json
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from geoflow.errors import ProofError
from geoflow.numerics.enclosures import known_primitives
from geoflow.numerics.records import Record, Step

#: steps, and entries of a constant array, beyond which a text is not read
MOST_STEPS, MOST_ENTRIES = 100_000, 2**20


def text_of(recorded: Record) -> str:
    """A record as JSON: the number of variables, the place of the output, and every step."""
    steps = [
        [step.name, list(step.argnums), list(step.parents), [
            None if k in step.argnums else _plain(arg) for k, arg in enumerate(step.args)
        ], {key: _plain(value) for key, value in step.kwargs.items()}]
        for step in recorded.steps[1:]
    ]  # fmt: skip
    for step in recorded.steps[1:]:
        if _by_name().get(step.name) is not step.primitive:
            raise ProofError("a record as text", f"the operation {step.name}", "operations that balls have")
    dim = int(np.size(recorded.steps[0].value))
    return json.dumps({"variables": dim, "output": recorded.output, "steps": steps}, separators=(",", ":"))


def record_of(text: str) -> Record:
    """The record that `text_of` wrote; `ValueError` for any other text."""
    data = json.loads(text)
    dim, output, rows = data["variables"], data["output"], data["steps"]
    if not (isinstance(dim, int) and 1 <= dim <= MOST_ENTRIES and len(rows) <= MOST_STEPS):
        raise ValueError(f"a record of {dim} variables and {len(rows)} steps")
    steps = [Step(None, (), MappingProxyType({}), (), (), np.zeros(dim))]
    for name, argnums, parents, args, kwargs in rows:
        if name not in _by_name():
            raise ValueError(f"an unknown operation {name!r}")
        places = all(isinstance(k, int) and 0 <= k < len(args) for k in argnums)
        if not places or not all(isinstance(k, int) and 0 <= k < len(steps) for k in parents):
            raise ValueError(f"a step {name!r} that takes what is not there")
        known = MappingProxyType({key: _value(value) for key, value in kwargs.items()})
        steps.append(
            Step(_by_name()[name], tuple(map(_value, args)), known, tuple(argnums), tuple(parents), None)
        )  # fmt: skip
    if not (isinstance(output, int) and 0 <= output < len(steps)):
        raise ValueError(f"an output at step {output} of {len(steps)}")
    return Record(tuple(steps), output)


@cache
def _by_name() -> dict[str, Any]:
    return {str(getattr(p, "__name__", p)): p for p in known_primitives()}


def _plain(value: Any) -> Any:
    """A constant as JSON has it; arrays, tuples and places with a mark."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return float(value) if isinstance(value, float) else value
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return {"array": value.ravel().tolist(), "shape": list(value.shape), "kind": value.dtype.kind}
    if isinstance(value, (tuple, list)):
        return {"tuple" if isinstance(value, tuple) else "list": [_plain(v) for v in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _plain(v) for key, v in value.items()}}
    if isinstance(value, slice):
        return {"slice": [_plain(v) for v in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"dots": 0}
    raise ProofError("a record as text", f"a constant of type {type(value).__name__}", "numbers, arrays and indices")


def _value(plain: Any) -> Any:
    if not isinstance(plain, dict):
        if plain is None or isinstance(plain, (bool, int, float, str)):
            return plain
        raise ValueError(f"a constant of type {type(plain).__name__}")
    if "array" in plain:
        if plain["kind"] not in ("f", "i", "u", "b") or len(plain["array"]) > MOST_ENTRIES:
            raise ValueError(f"an array of kind {plain['kind']!r} with {len(plain['array'])} entries")
        dtype = {"f": float, "i": np.int64, "u": np.uint64, "b": bool}[plain["kind"]]
        return np.array(plain["array"], dtype=dtype).reshape(plain["shape"])
    if "tuple" in plain:
        return tuple(map(_value, plain["tuple"]))
    if "list" in plain:
        return list(map(_value, plain["list"]))
    if "dict" in plain:
        return {key: _value(v) for key, v in plain["dict"].items()}
    if "slice" in plain:
        return slice(*map(_value, plain["slice"]))
    if "dots" in plain:
        return Ellipsis
    raise ValueError(f"a constant with {', '.join(plain)}")
