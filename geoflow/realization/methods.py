"""Numerical methods of realization: what they may spend, are given and give back, and the register of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import ArgumentError
from geoflow.realization.embedding import Embedding


class BudgetOptions(TypedDict, total=False):
    """The keywords of a `Budget`, as `realize` takes them."""

    ambient_dim: int | None
    max_degree: int | None
    frequency: float | None
    seed: int
    advance: Callable[[str, Stage], None] | None


@dataclass(frozen=True)
class Budget:
    """Limits of the solvers, the seed of the certificate, and who is told of progress.

    Attributes
    ----------
    ambient_dim, max_degree : int, optional
        D and the largest degree of the spectral solver; D is at least d, and that of an exact rule if one is taken.
    frequency : float, optional
        Fixed frequency of the twist, in radians for a unit of length of the mean metric; automatic by default.
    seed : int
        Of the certificate's points.
    advance : callable, optional
        Told the method and every `Stage` of a solver, for a progress display.
    """

    ambient_dim: int | None = None
    max_degree: int | None = None
    frequency: float | None = None
    seed: int = 0
    advance: Callable[[str, Stage], None] | None = None

    def __post_init__(self) -> None:
        for name, n in (("ambient_dim", self.ambient_dim), ("max_degree", self.max_degree)):
            if n is not None and (isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1):
                raise ArgumentError(name, got=repr(n), wanted="a positive integer")
        f = self.frequency
        if f is not None and not (isinstance(f, (int, float)) and 0 < f < np.inf):
            raise ArgumentError("frequency", got=repr(f), wanted="a positive number")


@dataclass(frozen=True)
class Stage:
    """What one stage of a numerical realization reached."""

    parameter: float  # the degree of the spectral solver, or the frequency of the twist
    grid: int  # collocation points, or grid points
    fitted: float  # largest relative metric error at the points the solver saw
    fresh: float  # and at points it never saw
    seconds: float  # since the solver started


@dataclass(frozen=True)
class Task:
    """A metric on a box, shape=[N, d] to shape=[N, d, d], and when to stop."""

    metric: Map
    lower: Array
    upper: Array
    tol: float  # relative metric error to meet at fresh points
    fresh_error: Callable[[Embedding], float]  # that error, at points that the solver does not see
    budget: Budget = field(default_factory=Budget)
    advance: Callable[[Stage], None] = lambda stage: None  # told every stage

    @property
    def dim(self) -> int:
        return len(self.lower)


@dataclass(frozen=True)
class Solved:
    """The best embedding a method found, every stage, and in words how it was got."""

    embedding: Embedding
    stages: list[Stage]
    reason: str


@dataclass(frozen=True)
class NumericalMethod:
    """A solver, and how its embeddings are stored as arrays."""

    name: str
    solve: Callable[[Task], Solved]  # `ConvergenceError` where it cannot start
    arrays_of: Callable[[Embedding], dict[str, Array]]
    from_arrays: Callable[[Array, Array, Mapping[str, Array]], Embedding]  # (lower, upper, arrays)
    remedy: str  # what a user can change where it does not meet tol


METHODS: dict[str, NumericalMethod] = {}


def register(method: NumericalMethod) -> NumericalMethod:
    """Make a method known to `realize` and to saved files, by its name."""
    if method.name in METHODS or method.name in ("auto", "exact"):
        raise ArgumentError("method", got=f"a second one named {method.name!r}", wanted="a new name")
    METHODS[method.name] = method
    return method
