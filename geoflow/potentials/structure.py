"""How Legendre functions are built from others: each way is a formula with a domain and a name.

`realize` reads exact embeddings off these, the Hessian metric its geodesics, and `conjugate_of` the conjugate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import TYPE_CHECKING, Any, Protocol

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index, Mask
from geoflow.numerics import autodiff, exact
from geoflow.numerics.batches import consecutive, moments, pulled_back
from geoflow.potentials.divergence import Pairwise, between, gradient_change
from geoflow.potentials.kernel import Formula
from geoflow.potentials.profiles import Profile
from geoflow.spaces.algebra import intersection, polytope, preimage, product_of_domains
from geoflow.spaces.domains import Box, ConvexDomain, Orthant, WholeSpace

if TYPE_CHECKING:
    from typing_extensions import Self


#: beside its terms, where a sum is computed otherwise
CANCELS = 1e-6


class Part(Protocol):
    """What a structure asks of the Legendre functions it is built from."""

    dim: int
    domain: ConvexDomain
    name: str
    formula: Formula
    has_closed_conjugate: bool

    @property
    def conjugate(self) -> Self: ...
    def divergence_or_nan(self, w: Array, v: Array, h: Array) -> Array: ...
    def compose_affine(self, A: ArrayLike, b: ArrayLike = 0.0) -> Self: ...
    def add_affine(self, slope: ArrayLike = 0.0, offset: float = 0.0) -> Self: ...
    def __rmul__(self, factor: float) -> Self: ...


class Structure(Portable):
    """A formula that knows its domain and its name: all that makes a `LegendreFunction`."""

    name: str
    domain: ConvexDomain
    has_closed_conjugate = False

    def derivative(self, order: int, w: Array) -> Array:
        """The derivative of order 0 to 3: shape=[...], [..., d], [..., d, d] or [..., d, d, d]."""
        raise NotImplementedError

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        """D(w, v) with h = w - v, all of shape=[N, d], to all digits of h; NaN where they are in doubt; shape=[N]."""
        return between(self, w, v, h)


class Ridges(Structure):
    """sum_k r_k(<a_k, w> + b_k): directions a of shape=[m, d], offsets b of shape=[m]."""

    def __init__(self, directions: Array, offsets: Array, profiles: tuple[Profile, ...], name: str = "ridge sum"):
        self.directions, self.offsets, self.profiles, self.name = directions, offsets, profiles, name

    @property
    def domain(self) -> ConvexDomain:  # type: ignore[override]
        """Where lower_k < <a_k, w> + b_k < upper_k."""
        a, b = self.directions, self.offsets
        lower, upper = np.array([r.domain for r in self.profiles]).T
        low, high = np.isfinite(lower), np.isfinite(upper)
        if not (low.any() or high.any()):
            return WholeSpace(a.shape[1])
        return polytope(np.concatenate([-a[low], a[high]]), np.concatenate([(b - lower)[low], (upper - b)[high]]))

    def derivative(self, order: int, w: Array) -> Array:
        a, s, groups = self.directions, self._arguments(w), self._groups()
        if len(groups) == 1:
            values = groups[0][0].derivative(order, s)
        else:
            values = anp.concatenate([p.derivative(order, s[..., k]) for p, k in groups], axis=-1)
            values = values[..., np.argsort(np.concatenate([k for _, k in groups]))]
        return moments(values, a, order) if order else anp.sum(values, axis=-1)

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        """Ridge by ridge where their profiles have closed forms."""
        along, groups = np.matmul(h, self.directions.T), self._groups()
        if any(p.divergence is None for p, _ in groups):
            return between(self, w, v, h, self._bend)
        s, t = self._arguments(w), self._arguments(v)
        values = [p.divergence(s[:, k], t[:, k], along[:, k]) for p, k in groups if p.divergence]
        return np.concatenate(values, axis=-1).sum(axis=-1)

    def _bend(self, w: Array, h: Array) -> Array:
        s, along = self._arguments(w), np.matmul(h, self.directions.T)
        return sum((p.derivative(2, s[..., k]) * along[..., k] ** 2).sum(-1) for p, k in self._groups())

    def _arguments(self, w: Array) -> Array:
        """<a_k, w> + b_k, shape=[..., m]: to all digits where a profile ends there."""
        if any(np.isfinite(p.domain).any() for p in dict.fromkeys(self.profiles)):
            return exact.affine(w, self.directions, self.offsets)
        return anp.matmul(w, self.directions.T) + self.offsets

    def _groups(self) -> list[tuple[Profile, Index]]:
        """The profiles with their ridges."""
        return [(p, np.flatnonzero([q is p for q in self.profiles])) for p in dict.fromkeys(self.profiles)]


class Separable(Structure):
    """r(w_1) + ... + r(w_d), with the conjugate of r where it is known.

    Where it is not `uniform`, r is another function in every coordinate, one of whole vectors: no exact embedding.
    """

    def __init__(self, profile: Profile, dim: int, name: str, uniform: bool = True):
        self.profile, self.dim, self.name, self.uniform = profile, dim, name, uniform
        self.has_closed_conjugate = profile.conjugate is not None
        lower, upper = profile.domain
        self.domain = Box(np.full(dim, lower), np.full(dim, upper))
        if upper == np.inf and lower in (-np.inf, 0.0):
            self.domain = Orthant(dim) if lower == 0 else WholeSpace(dim)

    @property
    def ridges(self) -> Ridges:
        """The same as ridges along the axes."""
        return Ridges(np.eye(self.dim), np.zeros(self.dim), (self.profile,) * self.dim, self.name)

    def derivative(self, order: int, w: Array) -> Array:
        value = self.profile.derivative(order, w)
        if order < 2:
            return value if order else anp.sum(value, axis=-1)
        eye = np.eye(self.dim)
        return value[..., None] * eye if order == 2 else value[..., None, None] * eye[:, :, None] * eye[:, None, :]

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        """Coordinate by coordinate."""
        if self.profile.divergence is not None:
            return self.profile.divergence(w, v, h).sum(axis=-1)
        return between(self, w, v, h, lambda at, h: (self.profile.derivative(2, at) * h**2).sum(axis=-1))


class Sum(Structure):
    """R_1(w) + R_2(w) + ..."""

    def __init__(self, *parts: Part):
        self.parts, self.name = parts, " + ".join(p.name for p in parts)
        self.domain = intersection([p.domain for p in parts])

    def derivative(self, order: int, w: Array) -> Array:
        first, *rest = (p.formula.derivative(order, w) for p in self.parts)
        return sum(rest, first)

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        return sum((p.divergence_or_nan(w, v, h) for p in self.parts), np.zeros(len(w)))


class Scaled(Structure):
    """c R(w), c > 0."""

    def __init__(self, factor: float, part: Part):
        self.factor, self.part, self.name, self.domain = factor, part, f"{factor:g} ({part.name})", part.domain
        self.has_closed_conjugate = part.has_closed_conjugate

    def derivative(self, order: int, w: Array) -> Array:
        return self.factor * self.part.formula.derivative(order, w)

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        return self.factor * self.part.divergence_or_nan(w, v, h)


class Affine(Structure):
    """R(A w + b): A of shape=[e, d], or a number for a multiple of the identity; b of shape=[e]."""

    def __init__(self, part: Part, A: Array | float, b: Array):
        self.part, self.A, self.b, self.name = part, A, b, f"{part.name} of A w + b"
        self.domain = preimage(part.domain, A, b)
        self.has_closed_conjugate = part.has_closed_conjugate and (np.ndim(A) == 0 or np.shape(A) == (part.dim,) * 2)

    @cached_property
    def matrix(self) -> Array:
        """A of shape=[e, d], also where it is a number."""
        return self.A * np.eye(self.part.dim) if np.ndim(self.A) == 0 else np.asarray(self.A)

    def derivative(self, order: int, w: Array) -> Array:
        at = self.inside(w)
        if np.ndim(self.A) == 0:
            return self.A**order * self.part.formula.derivative(order, at)
        return pulled_back(self.part.formula.derivative(order, at), self.matrix, order)

    def inside(self, w: Array) -> Array:
        """A w + b."""
        return self.A * w + self.b if np.ndim(self.A) == 0 else anp.matmul(w, self.matrix.T) + self.b

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        way = self.A * h if np.ndim(self.A) == 0 else h @ self.matrix.T
        return self.part.divergence_or_nan(self.inside(w), self.inside(v), way)


class Tilted(Structure):
    """R(w) + <slope, w> + offset: the same metric, and mirror coordinates moved by a constant.

    `at`, where it is known, is a point with the gradient and the value there: near it they are computed from it, by the
    divergence and the Hessian of R, as the sum cancels.
    """

    def __init__(self, part: Part, slope: Array, offset: float, at: tuple[Array, Array, float] | None = None):
        self.part, self.slope, self.offset, self.at = part, slope, offset, at
        self.name, self.domain = f"{part.name}, tilted", part.domain
        self.has_closed_conjugate = part.has_closed_conjugate

    def derivative(self, order: int, w: Array) -> Array:
        value = self.part.formula.derivative(order, w)
        if order > 1:
            return value
        moved = self.slope if order else anp.matmul(w, self.slope) + self.offset
        total = value + moved
        if self.at is None or autodiff.is_traced(w):
            return total
        size = np.abs(value) + (np.abs(moved) if order else np.abs(w) @ np.abs(self.slope) + abs(self.offset))
        small = np.abs(total) < CANCELS * size
        return self._near(order, w, total, small) if small.any() else total

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        return self.part.divergence_or_nan(w, v, h)

    def _near(self, order: int, w: Array, total: Array, small: Mask) -> Array:
        """The value or the gradient with the entries that cancel from the point where they are known."""
        assert self.at is not None
        point, slope, value = self.at
        w, shape, d = np.reshape(w, (-1, len(point))), np.shape(total), len(point)
        total, small = np.reshape(total, (-1, d) if order else -1), np.reshape(small, (-1, d) if order else -1)
        rows = np.flatnonzero(small.any(axis=-1) if order else small)
        at, base = w[rows], np.broadcast_to(point, (len(rows), d))
        h = at - base
        if order:
            found = gradient_change(self.part.formula, at, base, h) + slope
        else:
            found = self.part.divergence_or_nan(at, base, h) + h @ slope + value
        result = np.array(total)
        result[rows] = np.where(small[rows] & np.isfinite(found), found, result[rows])
        return result.reshape(shape)


class Product(Structure):
    """R_1(w_1) + R_2(w_2) + ..., each on its own coordinates."""

    def __init__(self, *parts: Part):
        self.parts, self.name = parts, " x ".join(p.name for p in parts)
        self.blocks, self.dim = consecutive([p.dim for p in parts]), sum(p.dim for p in parts)
        self.domain = product_of_domains([p.domain for p in parts], self.blocks, self.dim)
        self.has_closed_conjugate = all(p.has_closed_conjugate for p in parts)

    def derivative(self, order: int, w: Array) -> Array:
        values = [p.formula.derivative(order, w[..., block]) for p, block in zip(self.parts, self.blocks, strict=True)]
        if order == 0:
            return sum(values[1:], values[0])
        if order == 1:
            return anp.concatenate(values, axis=-1)
        if not any(map(autodiff.is_traced, values)):
            whole = np.zeros((*w.shape[:-1], *[self.dim] * order))
            for value, block in zip(values, self.blocks, strict=True):
                index: Any = (..., *[block] * order)
                whole[index] = value
            return whole
        total: Array = np.zeros(())
        for value, block in zip(values, self.blocks, strict=True):
            E = np.eye(self.dim)[block]
            letters = "ijk"[:order], "abc"[:order]
            spec = ",".join(["..." + letters[0], *(x + y for x, y in zip(*letters, strict=True))])
            total = total + anp.einsum(f"{spec}->...{letters[1]}", value, *[E] * order)
        return total

    def divergence(self, w: Array, v: Array, h: Array) -> Array:
        parts = zip(self.parts, self.blocks, strict=True)
        return sum((p.divergence_or_nan(w[:, k], v[:, k], h[:, k]) for p, k in parts), np.zeros(len(w)))


@dataclass(frozen=True)
class Pullback(Portable):
    """A Hessian metric that is a sum of pullbacks of homogeneous metrics; a structure of the metric alone.

    Pieces are (model, chart): "euclidean", |dc|^2 for c = chart(w) of any length, or "hyperbolic plane",
    2 (du^2 + cosh(u)^2 dv^2) for (u, v) = chart(w), of curvature -1/2; charts in autograd.numpy. `inverse`, where it
    is given, takes the values of all the charts to w; with it geodesics have a closed form. `derivatives`, where they
    are given, are for each chart a function of points, shape=[N, d], to its first and second derivatives in closed
    form, shape=[N, m, d] and [N, m, d, d]. `steps`, where they are given, are for each piece coordinates, Euclidean or
    those (e^v tanh u, e^v / cosh u) of the half plane, and what they change by as a function of (y, w, y - w), to all
    digits: distances of near points need it.
    """

    pieces: tuple[tuple[str, Callable[[Array], Array]], ...]
    inverse: Callable[..., Array] | None = None
    derivatives: tuple[Callable[[Array], tuple[Array, Array]], ...] = ()
    steps: tuple[tuple[Callable[[Array], Array], Pairwise], ...] = ()


@singledispatch
def conjugate_of(structure: object) -> Part | Structure | None:
    """The conjugate of a Legendre function of this structure, or its structure, where the parts make it; else None."""
    return None


@conjugate_of.register
def _(structure: Separable) -> Part | Structure | None:
    """Coordinate by coordinate."""
    dual, name = structure.profile.conjugate, f"conjugate of {structure.name}"
    return None if dual is None else Separable(dual, structure.dim, name, structure.uniform)


@conjugate_of.register
def _(structure: Product) -> Part | Structure | None:
    """Part by part."""
    return Product(*(p.conjugate for p in structure.parts))


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
def _(structure: Tilted) -> Part | Structure | None:
    """R(w) + <s, w> + k: Q(mu - s) - k."""
    if not structure.has_closed_conjugate:
        return None
    moved = structure.part.conjugate.compose_affine(1.0, -structure.slope)
    if structure.at is None:
        return moved.add_affine(offset=-structure.offset)
    w, mu, value = structure.at
    return Tilted(moved, np.zeros(len(w)), -structure.offset, (mu, w, float(w @ mu) - value))
