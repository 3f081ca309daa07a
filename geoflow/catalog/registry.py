"""Registries of named parametrizations and potentials, with what is known in closed form about each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from geoflow.errors import ArgumentError
from geoflow.fields import joint_flow
from geoflow.legendre import LegendreFunction
from geoflow.parametrization import Parametrization


@dataclass(frozen=True)
class Case:
    """A catalogue entry in one dimension, ready to run.

    Attributes
    ----------
    parametrization : Parametrization
    x0 : array, shape=[D]
        A sensible start.
    legendre : LegendreFunction, or None
        Closed form of the R induced from x0, normalised by R(w0) = 0 and grad R(w0) = 0; None where none is known.
    dual : LegendreFunction, or None
        Closed form of Q = R* where R itself has none.
    sample : callable
        (n, rng) to points of M near x0, shape=[n, D].
    mu_bound : float
        |mu_i| up to this bound is safely inside the set U of admissible mu.
    """

    parametrization: Parametrization
    x0: np.ndarray
    legendre: LegendreFunction | None
    sample: Callable[[int, np.random.Generator], np.ndarray]
    dual: LegendreFunction | None = None
    mu_bound: float = 0.5

    def reach(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Random points w = G(psi(x0; mu)), |mu_i| <= mu_bound, that flows from x0 can reach; shape=[n, d]."""
        mu = rng.uniform(-self.mu_bound, self.mu_bound, size=(n, self.parametrization.codomain_dim))
        return self.parametrization(joint_flow(self.parametrization, self.x0, mu))


@dataclass(frozen=True)
class Entry:
    """A named family of parametrizations, one for every dimension d.

    Calling an entry with d builds the `Case`.

    Attributes
    ----------
    name, family, formula, domain, known : str
        `domain` is int dom R; `known` says what is known in closed form.
    build : callable
        d to Case.
    dims : tuple of int
        Dimensions d it exists in; empty means every d >= 1.
    reason : str
        For a map that does not commute: why.
    """

    name: str
    family: str
    formula: str
    domain: str
    known: str
    build: Callable[[int], Case] = field(repr=False)
    dims: tuple[int, ...] = ()
    reason: str = ""

    def __call__(self, d: int | None = None) -> Case:
        d = (self.dims[0] if self.dims else 2) if d is None else d
        if isinstance(d, bool) or not isinstance(d, (int, np.integer)) or d < 1 or (self.dims and d not in self.dims):
            wanted = f"one of {self.dims}" if self.dims else "an integer, at least 1"
            raise ArgumentError(f"dimension d of {self.name!r}", got=repr(d), wanted=wanted)
        return self.build(int(d))


E = TypeVar("E")


class Registry(Mapping[str, E], Generic[E]):
    """Entries by name; an unknown name is answered with the nearest ones."""

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, E] = {}

    def add(self, entry: E) -> E:
        """Add an entry, which has a `name`, and return it."""
        name = getattr(entry, "name")  # noqa: B009  E is any class with a name
        if name in self._entries:
            raise ArgumentError(f"{self.kind} {name!r}", got="a second entry of that name", wanted="a new name")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> E:
        if name in self._entries:
            return self._entries[name]
        near = difflib.get_close_matches(str(name), self._entries, n=3)
        raise UnknownNameError(
            f"no {self.kind} of that name",
            got=repr(name),
            wanted=f"one of {', '.join(self._entries)}",
            remedy=f"did you mean {' or '.join(near)}?" if near else "",
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class UnknownNameError(ArgumentError, KeyError):
    """A name that is not in a registry."""

    def __str__(self) -> str:
        return str(self.args[0])


def around(x0: Any, radius: float) -> Callable[[int, np.random.Generator], np.ndarray]:
    """A sampler of points in the cube of half-width `radius` about x0."""
    x0 = np.asarray(x0, dtype=float)

    def sample(n: int, rng: np.random.Generator) -> np.ndarray:
        return x0 + rng.uniform(-radius, radius, size=(n, len(x0)))

    return sample


parametrizations: Registry[Entry] = Registry("parametrization")
noncommuting: Registry[Entry] = Registry("map that does not commute")
