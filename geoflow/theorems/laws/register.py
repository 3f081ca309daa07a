"""What a law is: a function to (defect, scale), the tolerance it is asked to meet, and a case that must break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec

import numpy as np

from geoflow._typing import ArrayLike
from geoflow.errors import ArgumentError, in_a_line
from geoflow.theorems.laws import cases

Defect = tuple[float, float]
P = ParamSpec("P")


@dataclass(frozen=True, repr=False)
class Law:
    """A statement that can be measured: it holds where defect <= tol * scale.

    The domain is what it is a law of: "map" takes (G, x), "potential" (R, w), "induced" (R, w) with R of `mirror_map`,
    "closed form" (induced R, R, w); anything else has arguments of its own.
    """

    function: Callable[..., Defect]
    domain: str
    tol: float
    holds: Callable[[], tuple[Any, ...]]  # the law's arguments in a case of the theory
    broken: Callable[[], tuple[Any, ...]]  # and in a case made to break it
    figure: str = ""  # its name in a row of `verify`, which runs the laws that have one

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def statement(self) -> str:
        return (self.function.__doc__ or "").splitlines()[0]

    def __repr__(self) -> str:
        return in_a_line(f"Law({self.name}, of a {self.domain}, to {self.tol:.0e}: {self.statement})")

    def relative(self, *arguments: Any) -> float:
        """defect / scale."""
        defect, scale = self.function(*arguments)
        return defect / scale


#: a case of the theory for each domain whose laws share one
HOLDS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "map": cases.at_start,
    "potential": cases.entropy,
    "induced": cases.induced,
    "closed form": cases.closed_form,
    "report": lambda: (cases.report(),),
    "realization": cases.realization,
}
#: every law, by name
LAWS: dict[str, Law] = {}


def law(
    domain: str,
    tol: float,
    broken: Callable[[], tuple[Any, ...]],
    holds: Callable[[], tuple[Any, ...]] | None = None,
    figure: str = "",
) -> Callable[[Callable[P, Defect]], Callable[P, Defect]]:
    """Register a function as a law; see `Law`. By default it holds on the case of its domain in `HOLDS`."""

    def register(function: Callable[P, Defect]) -> Callable[P, Defect]:
        entry = Law(function, domain, tol, holds or HOLDS[domain], broken, figure)
        if entry.name in LAWS:
            raise ArgumentError("law", got=f"a second one named {entry.name!r}", wanted="a new name")
        LAWS[entry.name] = entry
        return function

    return register


def size_of(value: ArrayLike) -> float:
    """The largest entry in absolute value; 0 of nothing."""
    return float(np.abs(value).max(initial=0.0)) if np.size(value) else 0.0


def scale_of(*references: ArrayLike) -> float:
    """The largest entry of all in absolute value, and never 0."""
    return max(*map(size_of, references), float(np.finfo(float).tiny))


def compare(value: ArrayLike, reference: ArrayLike) -> Defect:
    """Largest difference, and the largest entry of the reference."""
    value, reference = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    return size_of(value - reference), scale_of(reference)
