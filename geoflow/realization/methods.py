"""Numerical methods of realization: what they may spend, are given and give back, and the register of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import ArgumentError
from geoflow.realization.embedding import Embedding

if TYPE_CHECKING:
    from typing_extensions import NotRequired


class BudgetOptions(TypedDict):
    """The keywords of a `Budget`, as `realize` takes them."""

    ambient_dim: NotRequired[int | None]
    max_degree: NotRequired[int | None]
    frequency: NotRequired[float | None]
    seed: NotRequired[int]
    advance: NotRequired[Callable[[str, Stage], None] | None]


@dataclass(frozen=True)
class Budget:
    """Limits of the solvers, the seed of the certificate, and who is told of progress.

    Attributes
    ----------
    ambient_dim : int, optional
        D of the spectral solver, at least d; of an exact rule too, if it is to be taken.
    max_degree : int, optional
        Largest degree of the spectral solver.
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
        for name, value in (("ambient_dim", self.ambient_dim), ("max_degree", self.max_degree)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
                raise ArgumentError(name, got=repr(value), wanted="a positive integer")
        f = self.frequency
        if f is not None and not (isinstance(f, (int, float)) and 0 < f < np.inf):
            raise ArgumentError("frequency", got=repr(f), wanted="a positive number")


@dataclass(frozen=True)
class Stage:
    """What one stage of a numerical realization reached.

    Attributes
    ----------
    parameter : float
        The degree of the spectral solver, or the frequency of the twist.
    grid : int
        Collocation points, or grid points.
    fitted : float
        Largest relative metric error at the points the solver saw.
    fresh : float
        Largest relative metric error at points it never saw.
    seconds : float
        Since the solver started.
    """

    parameter: float
    grid: int
    fitted: float
    fresh: float
    seconds: float


@dataclass(frozen=True)
class Task:
    """A metric on a box, and when to stop.

    Attributes
    ----------
    metric : callable
        shape=[N, d] to shape=[N, d, d].
    lower, upper : array, shape=[d]
    tol : float
        Relative metric error to meet at fresh points.
    fresh_error : callable
        An embedding to its relative metric error at points that the solver does not see.
    budget : Budget
    advance : callable
        Told every `Stage`.
    """

    metric: Map
    lower: Array
    upper: Array
    tol: float
    fresh_error: Callable[[Embedding], float]
    budget: Budget = field(default_factory=Budget)
    advance: Callable[[Stage], None] = lambda stage: None

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
    """A solver, and how its embeddings are stored as arrays.

    Attributes
    ----------
    name : str
    solve : callable
        `Task` to `Solved`; `ConvergenceError` where it cannot start.
    arrays_of : callable
        An embedding to arrays by name.
    from_arrays : callable
        (lower, upper, arrays) back to the embedding.
    remedy : str
        What a user can change where it does not meet tol.
    """

    name: str
    solve: Callable[[Task], Solved]
    arrays_of: Callable[[Embedding], dict[str, Array]]
    from_arrays: Callable[[Array, Array, Mapping[str, Array]], Embedding]
    remedy: str


METHODS: dict[str, NumericalMethod] = {}


def register(method: NumericalMethod) -> NumericalMethod:
    """Make a method known to `realize` and to saved files, by its name."""
    if method.name in METHODS or method.name in ("auto", "exact"):
        raise ArgumentError("method", got=f"a second one named {method.name!r}", wanted="a new name")
    METHODS[method.name] = method
    return method
