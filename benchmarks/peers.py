"""What several themes share: both engines of geoflow as ways, and jax in float64."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import geoflow as gf
from benchmarks.harness import Way

JAX = ("jax",)
DIFFRAX = ("jax", "diffrax")


def engines(build: Callable[..., Any], of: Callable[..., Any] = gf.Parametrization) -> tuple[Way, Way]:
    """geoflow in its base install, and with its jax engine; `build` takes the problem and the keywords of `of`.

    Where `of` has no argument `engine`, the second way is reported as absent.
    """
    there = bool({"engine", "options"} & set(inspect.signature(of).parameters))
    plain = {"engine": "autograd"} if there else {}
    absent = "" if there else f"absent: {of.__name__} takes no engine"
    return (
        Way("geoflow", partial(build, options=plain)),
        Way("geoflow, engine=jax", partial(build, options={"engine": "jax"}), DIFFRAX, absent),
    )


def ready(value: Any) -> np.ndarray:
    """The array that a compiled call computes; read before it is ready, one that got no memory ends the process."""
    import jax

    return np.asarray(jax.block_until_ready(value))


def jax64() -> Any:
    """The module jax, in float64."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax
