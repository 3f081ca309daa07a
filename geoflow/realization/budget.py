"""What a realization may spend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from geoflow.errors import ArgumentError

if TYPE_CHECKING:
    from typing_extensions import NotRequired


class BudgetOptions(TypedDict):
    """The keywords of a `Budget`, as `realize` takes them."""

    ambient_dim: NotRequired[int | None]
    max_degree: NotRequired[int | None]
    frequency: NotRequired[float | None]
    seed: NotRequired[int]
    advance: NotRequired[Callable[[str, object], None] | None]


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
    advance: Callable[[str, object], None] | None = None

    def __post_init__(self) -> None:
        for name, value in (("ambient_dim", self.ambient_dim), ("max_degree", self.max_degree)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
                raise ArgumentError(name, got=repr(value), wanted="a positive integer")
        f = self.frequency
        if f is not None and not (isinstance(f, (int, float)) and 0 < f < np.inf):
            raise ArgumentError("frequency", got=repr(f), wanted="a positive number")
