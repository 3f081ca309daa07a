"""Which operation of a function has the wrong derivative: its record, step by step, against differences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Map
from geoflow.numerics import autodiff
from geoflow.numerics.differences import clearly_off, directions, slopes
from geoflow.numerics.records import ControlFlowError, IndependentError, Record, Step, quiet, traced

PLAIN = (
    "uses plain numpy (or float, np.asarray, a copy) where autograd cannot follow: "
    "write `import autograd.numpy as np` where it is defined"
)


def blame(f: Map, x: Array, order: int) -> str:
    """Why the derivative of f at x, to this order, is not that of its values, in words; empty where nothing is found.

    x is one point, shape=[D], or a batch, as f is differentiated.
    """
    with quiet():
        try:
            if _is_not_followed(f, x):
                return PLAIN
            recorded = traced(f, x)
        except IndependentError:
            return PLAIN
        except ControlFlowError:
            return "its `if` or `while` depends on x"
        except Exception:
            return ""
        if _misses_something(f, recorded, x):
            return PLAIN
        for look in range(1, order + 1):
            for step, inputs in _calls(recorded):
                if found := _fault(step, inputs, look):
                    return found
    return ""


def _is_not_followed(f: Map, x: Array) -> bool:
    try:
        return not autodiff.follows(f, x)
    except Exception:  # an operation without a rule
        return False


def unsupported(error: Exception) -> str:
    """Which operation has no rule, or that numpy was given what is traced, from what was raised."""
    if any(word in str(error) for word in ("array element with a sequence", "ArrayBox", "inhomogeneous")):
        return PLAIN
    found = re.search(r"[VJ]?[VJ]P of (\w+) wrt", str(error))
    return f"autograd has no derivative of np.{found[1]}" if found else ""


def unfinished(f: Map, x: Array, order: int) -> str:
    """Which operation has no finite derivative of this order at the point x, shape=[D], in words; else empty."""
    with quiet():
        try:
            recorded = traced(f, x)
        except Exception:
            return ""
        if any(not _finite(step.value) for step in recorded.steps[1:]):
            step = next(step for step in recorded.steps[1:] if not _finite(step.value))
            return (
                f"{_name(step)} is not finite there in a branch that np.where does not take, and both are "
                "differentiated: give it an argument that is safe, np.where(inside, x, 1)"
            )
        for look in range(1, order + 1):
            for step, inputs in _calls(recorded):
                if not np.isfinite(_derivatives(step, inputs, look)).all():
                    return f"the derivative of {_name(step)} is not finite there{_remark(step)}"
    return ""


def _remark(step: Step) -> str:
    if step.name == "norm":
        return " (a norm at 0): use np.sum(x**2, axis=-1)"
    return " (eigenvalues that repeat)" if step.name.startswith("eig") else ""


def _finite(value: Any) -> bool:
    leaves = value if isinstance(value, (tuple, list)) else (value,)
    return all(np.isfinite(leaf).all() for leaf in leaves if isinstance(leaf, (np.ndarray, float)))


def _misses_something(f: Map, recorded: Record, x: Array) -> bool:
    """Whether the record, all that autograd knows of f, has not the values of f beside x."""
    for h in (1e-3, -1e-2):
        beside = x + h * directions(np.atleast_2d(x), np.random.default_rng(7)).reshape(x.shape)
        wanted = np.asarray(f(beside), dtype=float)
        try:
            got = np.asarray(recorded.replay(beside), dtype=float)
        except Exception:  # an array of numpy's that holds what was traced
            return True
        both = np.isfinite(wanted) & np.isfinite(got)
        if both.any() and not np.allclose(got[both], wanted[both], rtol=1e-9, atol=0.0):
            return True
    return False


def _calls(recorded: Record) -> list[tuple[Step, list[tuple[int, Array]]]]:
    """Every call, with the places and values of its arguments that are arrays and depend on x."""
    found = []
    for step in recorded.steps[1:]:
        values = [
            (place, recorded.steps[parent].value) for place, parent in zip(step.argnums, step.parents, strict=True)
        ]
        arrays = [(p, np.asarray(a)) for p, a in values if isinstance(a, (np.ndarray, float)) and np.isrealobj(a)]
        if arrays and len(arrays) == len(values):
            found.append((step, arrays))
    return found


def _scalar(step: Step, place: int, shape: tuple[int, ...]) -> Map:
    """A random combination of the results of a call, as a function of one flat argument."""
    leaves = step.value if isinstance(step.value, (tuple, list)) else None
    rng = np.random.default_rng(11)
    weights = [rng.standard_normal((2, *np.shape(leaf))) for leaf in (leaves or [step.value])]

    def s(flat: Array) -> Array:
        args = list(step.args)
        args[place] = anp.reshape(flat, shape)
        out = step.primitive(*args, **step.kwargs)
        outs = [out] if leaves is None else [out[k] for k in range(len(leaves))]
        terms = [anp.sum(w[0] * anp.real(o)) + anp.sum(w[1] * anp.imag(o)) if _is_complex(v) else anp.sum(w[0] * o)
                 for w, o, v in zip(weights, outs, leaves or [step.value], strict=True)]  # fmt: skip
        return sum(terms[1:], terms[0])

    return s


def _is_complex(value: Any) -> bool:
    return bool(np.iscomplexobj(value))


def _gradient(s: Map) -> Map:
    return lambda flat: autodiff.value_and_vjp(s, flat)[1](1.0)  # type: ignore[arg-type]


def _derivatives(step: Step, inputs: list[tuple[int, Array]], order: int) -> Array:
    """The derivatives of a call along random directions, by its rules, in all arguments."""
    found = []
    for place, a in inputs:
        s, flat = _scalar(step, place, a.shape), np.array(a, dtype=float).ravel()
        v = directions(flat[None], np.random.default_rng(12))[0]
        found.append(_gradient(s)(flat) if order == 1 else autodiff.jvp(_gradient(s), flat, v)[1])
    return np.concatenate(found)


def _fault(step: Step, inputs: list[tuple[int, Array]], order: int) -> str:
    """What is wrong with the rule of one call; empty where it has the differences of its values."""
    if "out" in step.kwargs:  # a function of numpy that called a method of what is traced
        return PLAIN
    for place, a in inputs:
        if a.size == 0:
            continue
        s, flat = _scalar(step, place, a.shape), np.array(a, dtype=float).ravel()
        v = directions(flat[None], np.random.default_rng(12))[0]
        f = s if order == 1 else _gradient(s)
        try:
            found = slopes(_rowwise(f), flat[None], v[None])
            given = [autodiff.jvp(f, flat, v)[1]]
            given.append(_gradient(s)(flat) @ v if order == 1 else autodiff.value_and_vjp(f, flat)[1](v))
        except NotImplementedError:
            return f"autograd has no derivative of {_name(step)}"
        except Exception as error:
            return f"the derivative of {_name(step)} fails in autograd ({type(error).__name__}: {str(error)[:80]})"
        for value in given:
            scale = np.abs(np.nan_to_num(np.asarray(value, dtype=float))).max(initial=0.0)
            if clearly_off(np.asarray(value, dtype=float)[None], found, scale).any():
                kind = "derivative" if order == 1 else "second derivative"
                return f"the {kind} of {_name(step)} is wrong in autograd"
    return ""


def _rowwise(f: Callable[[Array], Any]) -> Map:
    return lambda rows: np.stack([np.asarray(f(row), dtype=float) for row in rows])


def _name(step: Step) -> str:
    """A call as its user would write it: np.repeat with axis=-1."""
    function = getattr(step.primitive, "fun", step.primitive)
    module = str(getattr(function, "__module__", "") or "")
    place = next((p for p in ("scipy.special", "scipy.linalg", "scipy.signal") if module.startswith(p)), "")
    if not place:
        place = "np.linalg" if "linalg" in module else "np" if "numpy" in module or not module else ""
    named = {k: v for k, v in step.kwargs.items() if isinstance(v, (int, float, str, tuple))}
    told = ", ".join(f"{k}={v!r}" for k, v in named.items())
    return f"{place}.{step.name}".lstrip(".") + (f" with {told}" if told else "")
