"""The theorems as functions that return (defect, scale), and the register of them: `LAWS`.

A law holds where defect <= tol * scale. Each raises what the objects it calls raise. The suite and `verify` run the
same ones; every law comes with a case that must break it. `laws.NAME` is the function of `LAWS["NAME"]`.
"""

from __future__ import annotations

from collections.abc import Callable

from geoflow.theorems.laws import conserved, flows, limits, maps, potentials  # noqa: F401  each registers its laws
from geoflow.theorems.laws.register import LAWS, Defect, Law, law

__all__ = ["LAWS", "Defect", "Law", "law"]


def __getattr__(name: str) -> Callable[..., Defect]:
    if name not in LAWS:
        raise AttributeError(f"no law of the name {name!r}; there are {', '.join(LAWS)}")
    return LAWS[name].function


def __dir__() -> list[str]:
    return sorted([*__all__, *LAWS])
