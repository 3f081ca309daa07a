"""What several themes share: both engines of geoflow as ways, and jax in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Way

JAX = ("jax",)
DIFFRAX = ("jax", "diffrax")


def engines(build: Callable[..., Any]) -> tuple[Way, Way]:
    """geoflow in its base install, and with its jax engine; `build` takes the problem, and keywords of what is made."""
    return (
        Way("geoflow", partial(build, options={"engine": "autograd"})),
        Way("geoflow, engine=jax", partial(build, options={"engine": "jax"}), DIFFRAX),
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
