"""Registries of named parametrizations and potentials, with what is known in closed form about each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from geoflow._html import facts, table
from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_count
from geoflow.errors import ArgumentError, in_a_line
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow
from geoflow.potentials.legendre import LegendreFunction


@dataclass(frozen=True, repr=False)
class Case(Portable):
    """A catalogue entry in one dimension, ready to run.

    Attributes
    ----------
    parametrization : Parametrization
    x0 : array, shape=[D]
        A sensible start.
    legendre, dual : LegendreFunction, or None
        Closed form of the R induced from x0, normalised by R(w0) = 0 and grad R(w0) = 0, or of Q = R*, where known.
    sample : callable
        (n, rng) to points of M near x0, shape=[n, D].
    mu_bound : float
        |mu_i| up to this bound is safely inside the set U of admissible mu.
    """

    parametrization: Parametrization
    x0: Array
    legendre: LegendreFunction | None
    sample: Callable[[int, np.random.Generator], Array]
    dual: LegendreFunction | None = None
    mu_bound: float = 0.5

    def __post_init__(self) -> None:
        if self.legendre is not None:
            self.legendre.name = f"R of {self.parametrization.name}"  # not how it is composed

    def __str__(self) -> str:
        return f"{self.parametrization}, {'no R' if self.legendre is None else 'R'} in closed form"

    def reach(self, n: int, rng: np.random.Generator) -> Array:
        """Random points w = G(psi(x0; mu)), |mu_i| <= mu_bound, that flows from x0 can reach; shape=[n, d]."""
        mu = rng.uniform(-self.mu_bound, self.mu_bound, size=(n, self.parametrization.codomain_dim))
        return self.parametrization(joint_flow(self.parametrization, self.x0, mu))


T = TypeVar("T")


#: `known` of a map whose fields do not commute, and w follows a mirror flow
MODULO_FIBRES = "modulo fibres"


@dataclass(frozen=True)
class Entry(Portable, Generic[T]):
    """A named family, one member for every dimension d: of maps, which build a `Case`, or of Legendre functions.

    Calling an entry with d builds its member.

    Attributes
    ----------
    name, family, formula, domain, known : str
        `domain` is int dom R; `known` says what is known in closed form.
    build : callable
        d to a `Case`, or to a `LegendreFunction`.
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
    build: Callable[[int], T] = field(repr=False)
    dims: tuple[int, ...] = ()
    reason: str = ""

    def _repr_html_(self) -> str:
        told = {"formula": self.formula, "family": self.family, "domain": self.domain, "known": self.known,
                "why it does not commute": self.reason, "d": self.dimensions}  # fmt: skip
        return facts(self.name, [(key, value) for key, value in told.items() if value not in ("", "-")])

    @property
    def dimensions(self) -> str:
        """The dimensions d it exists in, in words."""
        return ", ".join(map(str, self.dims)) or "any"

    def __call__(self, d: int | None = None, *more: Any, **options: Any) -> T:
        if more or options:
            got = f"{1 + len(more)} arguments" + (f" and {', '.join(options)}=" if options else "")
            remedy = f"call it with d alone: {self.name} has no other parameter"
            raise ArgumentError(f"arguments of {self.name!r}", got, "one argument at most, the dimension d", remedy)
        d = (self.dims[0] if self.dims else 2) if d is None else d
        if isinstance(d, bool) or not isinstance(d, (int, np.integer)) or d < 1 or (self.dims and d not in self.dims):
            wanted = f"one of {self.dims}" if self.dims else "an integer, at least 1"
            raise ArgumentError(f"dimension d of {self.name!r}", got=repr(d), wanted=wanted)
        return self.build(as_count(d, f"dimension d of {self.name!r}"))


class Registry(Mapping[str, Entry[T]]):
    """Entries by name; an unknown name is answered with the nearest ones."""

    def __init__(self, kind: str):
        self.kind = kind
        self.entries: dict[str, Entry[T]] = {}

    def __repr__(self) -> str:
        return in_a_line(f"Registry({self.kind}, {len(self)} entries: {', '.join([*self.entries][:5])}, ...)")

    def _repr_html_(self) -> str:
        rows = [(e.name, e.formula, e.reason or e.domain or None, e.dimensions) for e in self.values()]
        third = "why" if any(e.reason for e in self.values()) else "domain"
        return table(f"{self.kind}: {len(self)} entries", ("name", "formula", third, "d"), rows)

    def add(self, entry: Entry[T]) -> Entry[T]:
        """Add an entry and return it."""
        if entry.name in self.entries:
            raise ArgumentError(f"{self.kind} {entry.name!r}", got="a second entry of that name", wanted="a new name")
        self.entries[entry.name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry[T]:
        if name in self.entries:
            return self.entries[name]
        near = difflib.get_close_matches(str(name), self.entries, n=3)
        wanted, remedy = f"one of {', '.join(self.entries)}", f"did you mean {' or '.join(near)}?" if near else ""
        raise UnknownNameError(f"no {self.kind} of that name", repr(name), wanted, remedy)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class UnknownNameError(ArgumentError, KeyError):
    """A name that is not in a registry."""

    def __str__(self) -> str:
        return str(self.args[0])


def around(x0: ArrayLike, radius: float) -> Callable[[int, np.random.Generator], Array]:
    """A sampler of points in the cube of half-width `radius` about x0."""
    x0 = np.asarray(x0, dtype=float)

    def sample(n: int, rng: np.random.Generator) -> Array:
        return x0 + rng.uniform(-radius, radius, size=(n, len(x0)))

    return sample


parametrizations: Registry[Case] = Registry("parametrization")
noncommuting: Registry[Case] = Registry("map that does not commute")
potentials: Registry[LegendreFunction] = Registry("potential")
