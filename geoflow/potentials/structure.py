"""How Legendre functions are built from others: each way is a formula with a domain and a name.

`realize` reads exact embeddings off these, the Hessian metric its geodesics, and `conjugate_of` the conjugate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING, Protocol

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.numerics.blocks import consecutive
from geoflow.potentials.kernel import LegendreKernel
from geoflow.potentials.profiles import Profile
from geoflow.spaces.algebra import intersection, polytope, preimage, product_of_domains
from geoflow.spaces.domains import ConvexDomain, WholeSpace

if TYPE_CHECKING:
    from typing_extensions import Self


class Part(Protocol):
    """What a structure asks of the Legendre functions it is built from."""

    dim: int
    domain: ConvexDomain
    name: str
    kernel: LegendreKernel
    has_closed_conjugate: bool

    @property
    def conjugate(self) -> Self: ...
    @classmethod
    def composed(cls, structure: Structure) -> Self: ...
    def compose_affine(self, A: ArrayLike, b: ArrayLike = 0.0) -> Self: ...
    def add_affine(self, slope: ArrayLike = 0.0, offset: float = 0.0) -> Self: ...
    def __rmul__(self, factor: float) -> Self: ...


class Structure(Protocol):
    """A formula that knows its domain and its name: all that makes a `LegendreFunction`."""

    @property
    def name(self) -> str: ...
    @property
    def domain(self) -> ConvexDomain: ...
    @property
    def has_closed_conjugate(self) -> bool: ...

    def derivative(self, order: int, w: Array) -> Array: ...


@dataclass(frozen=True)
class Ridges:
    """sum_k r_k(<a_k, w> + b_k): directions a of shape=[m, d], offsets b of shape=[m]."""

    directions: Array
    offsets: Array
    profiles: tuple[Profile, ...]
    name: str = "ridge sum"
    has_closed_conjugate = False

    @property
    def domain(self) -> ConvexDomain:
        """Where lower_k < <a_k, w> + b_k < upper_k."""
        a, b = self.directions, self.offsets
        lower = np.array([r.domain[0] for r in self.profiles])
        upper = np.array([r.domain[1] for r in self.profiles])
        low, high = np.isfinite(lower), np.isfinite(upper)
        if not (low.any() or high.any()):
            return WholeSpace(a.shape[1])
        return polytope(np.concatenate([-a[low], a[high]]), np.concatenate([(b - lower)[low], (upper - b)[high]]))

    def derivative(self, order: int, w: Array) -> Array:
        a, s = self.directions, anp.matmul(w, self.directions.T) + self.offsets
        groups = [(p, np.flatnonzero([q is p for q in self.profiles])) for p in dict.fromkeys(self.profiles)]
        if len(groups) == 1:
            values = groups[0][0].derivative(order, s)
        else:
            values = anp.concatenate([p.derivative(order, s[..., k]) for p, k in groups], axis=-1)
            values = values[..., np.argsort(np.concatenate([k for _, k in groups]))]
        return anp.einsum(
            ("...k->...", "...k,ki->...i", "...k,ki,kj->...ij", "...k,ki,kj,kl->...ijl")[order], values, *[a] * order
        )


@dataclass(frozen=True)
class Sum:
    """R_1(w) + R_2(w) + ..."""

    parts: tuple[Part, ...]
    has_closed_conjugate = False

    @property
    def domain(self) -> ConvexDomain:
        return intersection([p.domain for p in self.parts])

    @property
    def name(self) -> str:
        return " + ".join(p.name for p in self.parts)

    def derivative(self, order: int, w: Array) -> Array:
        return sum(p.kernel.derivative(order, w) for p in self.parts)


@dataclass(frozen=True)
class Scaled:
    """c R(w), c > 0."""

    factor: float
    part: Part

    @property
    def domain(self) -> ConvexDomain:
        return self.part.domain

    @property
    def name(self) -> str:
        return f"{self.factor:g} ({self.part.name})"

    @property
    def has_closed_conjugate(self) -> bool:
        return self.part.has_closed_conjugate

    def derivative(self, order: int, w: Array) -> Array:
        return self.factor * self.part.kernel.derivative(order, w)


@dataclass(frozen=True)
class Affine:
    """R(A w + b): A of shape=[e, d], or a number for a multiple of the identity; b of shape=[e]."""

    part: Part
    A: Array | float
    b: Array

    @property
    def matrix(self) -> Array:
        """A, shape=[e, d]."""
        return self.A * np.eye(self.part.dim) if np.ndim(self.A) == 0 else np.asarray(self.A)

    @property
    def domain(self) -> ConvexDomain:
        return preimage(self.part.domain, self.matrix, self.b)

    @property
    def name(self) -> str:
        return f"{self.part.name} of A w + b"

    @property
    def has_closed_conjugate(self) -> bool:
        square = np.ndim(self.A) == 0 or len(np.asarray(self.A)) == np.shape(self.A)[1]
        return self.part.has_closed_conjugate and square

    def derivative(self, order: int, w: Array) -> Array:
        if np.ndim(self.A) == 0:
            return self.A**order * self.part.kernel.derivative(order, self.A * w + self.b)
        A = np.asarray(self.A)
        value = self.part.kernel.derivative(order, anp.matmul(w, A.T) + self.b)
        if order < 2:
            return value if order == 0 else anp.matmul(value, A)
        return anp.einsum(("...ij,ia,jb->...ab", "...ijk,ia,jb,kc->...abc")[order - 2], value, *[A] * order)


@dataclass(frozen=True)
class Tilted:
    """R(w) + <slope, w> + offset: the same metric, and mirror coordinates moved by a constant."""

    part: Part
    slope: Array
    offset: float

    @property
    def domain(self) -> ConvexDomain:
        return self.part.domain

    @property
    def name(self) -> str:
        return f"{self.part.name}, tilted"

    @property
    def has_closed_conjugate(self) -> bool:
        return self.part.has_closed_conjugate

    def derivative(self, order: int, w: Array) -> Array:
        value = self.part.kernel.derivative(order, w)
        if order == 0:
            return value + (anp.matmul(w, self.slope) + self.offset)
        return value + self.slope if order == 1 else value


@dataclass(frozen=True)
class Product:
    """R_1(w_1) + R_2(w_2) + ..., each on its own coordinates."""

    parts: tuple[Part, ...]
    blocks: list[slice] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", consecutive([p.dim for p in self.parts]))

    @property
    def dim(self) -> int:
        return sum(p.dim for p in self.parts)

    @property
    def domain(self) -> ConvexDomain:
        return product_of_domains([p.domain for p in self.parts], self.blocks, self.dim)

    @property
    def name(self) -> str:
        return " x ".join(p.name for p in self.parts)

    @property
    def has_closed_conjugate(self) -> bool:
        return all(p.has_closed_conjugate for p in self.parts)

    def derivative(self, order: int, w: Array) -> Array:
        values = [p.kernel.derivative(order, w[..., block]) for p, block in zip(self.parts, self.blocks, strict=True)]
        if order == 0:
            return sum(values)
        total = 0.0
        for value, block in zip(values, self.blocks, strict=True):
            E = np.eye(self.dim)[block]
            letters = "ijk"[:order], "abc"[:order]
            spec = ",".join(["..." + letters[0], *(x + y for x, y in zip(*letters, strict=True))])
            total = total + anp.einsum(f"{spec}->...{letters[1]}", value, *[E] * order)
        return total


@dataclass(frozen=True)
class Pullback:
    """A Hessian metric that is a sum of pullbacks of homogeneous metrics; a structure of the metric alone.

    Pieces are (model, chart): "euclidean", |dc|^2 for c = chart(w) of any length, or "hyperbolic plane",
    2 (du^2 + cosh(u)^2 dv^2) for (u, v) = chart(w), of curvature -1/2; charts in autograd.numpy. `inverse`, where it
    is given, takes the values of all the charts to w; with it geodesics have a closed form.
    """

    pieces: tuple[tuple[str, Callable[[Array], Array]], ...]
    inverse: Callable[..., Array] | None = None


@singledispatch
def conjugate_of(structure: object) -> Part | None:
    """The conjugate of a Legendre function of this structure, where that of its parts makes it; else None."""
    return None


@conjugate_of.register
def _(structure: Product) -> Part | None:
    """Part by part."""
    return structure.parts[0].composed(Product(tuple(p.conjugate for p in structure.parts)))


@conjugate_of.register
def _(structure: Scaled) -> Part | None:
    """(c R)*(mu) = c Q(mu / c)."""
    if not structure.has_closed_conjugate:
        return None
    return structure.factor * structure.part.conjugate.compose_affine(1 / structure.factor)


@conjugate_of.register
def _(structure: Affine) -> Part | None:
    """R(A w + b) with A invertible: Q(A^{-T} mu) - <b, A^{-T} mu>."""
    if not structure.has_closed_conjugate:
        return None
    inverse = 1 / structure.A if np.ndim(structure.A) == 0 else np.linalg.inv(structure.A).T
    slope = structure.b * inverse if np.ndim(inverse) == 0 else structure.b @ inverse
    return structure.part.conjugate.compose_affine(inverse).add_affine(-slope)


@conjugate_of.register
def _(structure: Tilted) -> Part | None:
    """R(w) + <s, w> + k: Q(mu - s) - k."""
    if not structure.has_closed_conjugate:
        return None
    return structure.part.conjugate.compose_affine(1.0, -structure.slope).add_affine(offset=-structure.offset)
