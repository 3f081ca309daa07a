"""Spaces of constant curvature in closed form, and isometries to products of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, Map
from geoflow._validate import describe
from geoflow.errors import DomainError
from geoflow.numerics.batches import consecutive
from geoflow.potentials.divergence import Pairwise
from geoflow.spaces.domains import ConvexDomain


class Form(Protocol):
    """A complete space of constant curvature, with points and tangent vectors as vectors of R^m.

    Where two points are given their difference is given too, with all its digits: points may be nearer than rounding.
    """

    @property
    def curvature(self) -> float: ...
    @property
    def ambient_dim(self) -> int: ...
    def weights(self, x: Array) -> Array: ...
    def exp(self, u: Array, x: Array) -> Array: ...
    def log(self, y: Array, x: Array, difference: Array) -> Array: ...
    def distance(self, y: Array, x: Array, difference: Array) -> Array: ...
    def transport(self, t: Array, u: Array, x: Array) -> Array: ...


@dataclass(frozen=True)
class SpaceForm:
    """A sphere {|x|^2 = 1 / curvature} of R^m, or R^m itself where the curvature is 0."""

    curvature: float
    ambient_dim: int

    def weights(self, x: Array) -> Array:
        """The diagonal of the inner product of tangent vectors at x, shape=[..., m]."""
        return np.ones(np.shape(x))

    def exp(self, u: Array, x: Array) -> Array:
        """End at time 1 of the geodesic from x with velocity u, shape=[..., m]."""
        if self.curvature == 0:
            return x + u
        angle = np.sqrt(self.curvature) * _length(u)[..., None]
        return np.cos(angle) * x + np.sinc(angle / np.pi) * u

    def log(self, y: Array, x: Array, difference: Array) -> Array:
        """The shortest u with exp(u, x) = y, shape=[..., m]; the difference is y - x."""
        if self.curvature == 0:
            return difference
        # y less its part along x, where <x, y - x> = -|y - x|^2 / 2
        across = difference + self.curvature / 2 * np.sum(difference**2, axis=-1, keepdims=True) * x
        length = _length(across)
        return (self.distance(y, x, difference) / np.where(length > 0, length, 1.0))[..., None] * across

    def distance(self, y: Array, x: Array, difference: Array) -> Array:
        """Length of the shortest geodesic, shape=[...]; of near points and of antipodes to all digits."""
        if self.curvature == 0:
            return _length(difference)
        return 2 * np.arctan2(_length(difference), _length(x + y)) / np.sqrt(self.curvature)

    def transport(self, t: Array, u: Array, x: Array) -> Array:
        """Parallel transport of t along the geodesic from x with velocity u, to its end; shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return t
        y, square = self.exp(u, x), np.sum(u * u, axis=-1)
        angle = np.sqrt(k * square)[..., None]
        along = np.sum(t * u, axis=-1) / np.where(square > 0, square, 1.0)
        arrival = np.cos(angle) * u - k * square[..., None] * np.sinc(angle / np.pi) * x
        moved = t + along[..., None] * (arrival - u)
        # tangent at y to rounding
        return moved - k * np.sum(moved * y, axis=-1, keepdims=True) * y


@dataclass(frozen=True)
class HalfPlane:
    """The hyperbolic plane as {(x, y): y > 0} with metric (dx^2 + dy^2) / (-curvature y^2).

    Sums of positive terms, where the hyperboloid has differences of squares: far points keep their digits.
    """

    curvature: float
    ambient_dim = 2

    def weights(self, x: Array) -> Array:
        """The diagonal of the inner product of tangent vectors at x, shape=[..., 2]."""
        return np.broadcast_to(1 / (-self.curvature * x[..., 1:] ** 2), np.shape(x))

    def exp(self, u: Array, x: Array) -> Array:
        """End at time 1 of the geodesic from x with velocity u, shape=[..., 2]."""
        height, size = x[..., 1], np.hypot(u[..., 0], u[..., 1])
        with np.errstate(all="ignore"):
            length, e = size / height, u / np.where(size > 0, size, 1.0)[..., None]
            right, up = e[..., 0], e[..., 1]
            # cosh(length) - up sinh(length), 1 - up and 1 + up without cancellation
            less = np.where(up > 0, right**2 / (1 + up), 1 - up)
            more = np.where(up > 0, 1 + up, right**2 / (1 - up))
            less, more = np.where(size > 0, less, 1.0), np.where(size > 0, more, 1.0)
            over = 2 * np.exp(-length) / (less + more * np.exp(-2 * length))
            moved = height * right * over * np.sinh(length)
        return np.stack([x[..., 0] + moved, height * over], axis=-1)

    def log(self, y: Array, x: Array, difference: Array) -> Array:
        """The u with exp(u, x) = y, shape=[..., 2]; the difference is y - x."""
        way = self._direction(x[..., 1], y[..., 1], difference)
        size = _length(way)
        unit = way / np.where(size > 0, size, 1.0)[..., None]
        return (np.sqrt(-self.curvature) * self.distance(y, x, difference) * x[..., 1])[..., None] * unit

    def distance(self, y: Array, x: Array, difference: Array) -> Array:
        """Length of the geodesic, shape=[...], from half its chord."""
        half = _length(difference) / (2 * np.sqrt(x[..., 1]) * np.sqrt(y[..., 1]))
        return 2 * np.arcsinh(half) / np.sqrt(-self.curvature)

    def transport(self, t: Array, u: Array, x: Array) -> Array:
        """Parallel transport of t along the geodesic from x with velocity u, to its end: it turns with the geodesic."""
        y = self.exp(u, x)
        start, end = u, -self._direction(y[..., 1], x[..., 1], x - y)
        start, end = (way[..., 0] + 1j * way[..., 1] for way in (start, end))
        still = (np.abs(start) == 0) | (np.abs(end) == 0)
        turn = np.where(still, 1.0, end / np.where(still, 1.0, np.abs(end)))
        turn = turn / np.where(still, 1.0, start / np.where(still, 1.0, np.abs(start)))
        moved = (t[..., 0] + 1j * t[..., 1]) * turn * (y[..., 1] / x[..., 1])
        return np.stack([moved.real, moved.imag], axis=-1)

    @staticmethod
    def _direction(start: Array, end: Array, difference: Array) -> Array:
        """Of the geodesic at its start, from the heights of its ends and their difference; of any length."""
        right, up = difference[..., 0], difference[..., 1]
        scale = _length(difference)
        scale = np.where(scale > 0, scale, 1.0)
        right, up = right / scale, up / scale
        total = (start + end) / scale
        return np.stack([2 * right * (start / scale), right**2 + up * total], axis=-1)


def _length(u: Array) -> Array:
    """Euclidean, shape=[...], of vectors of any size."""
    size = np.abs(u).max(axis=-1)
    return np.linalg.norm(u / np.where(size > 0, size, 1.0)[..., None], axis=-1) * size


@dataclass(frozen=True)
class Isometry(Portable):
    """An isometry Phi of a Hessian manifold onto an open, geodesically convex part of a product of space forms."""

    forms: tuple[Form, ...]
    forward: Map  # w to Phi(w), shape=[..., d] to [..., m], m the sum of the ambient dimensions; in autograd.numpy
    inverse: Map  # Phi(w) to w; outside the image, anything or NaN
    jacobian: Map  # dPhi, shape=[..., m, d]
    change: Pairwise  # (y, w, y - w) to Phi(y) - Phi(w), to all digits of y - w

    def each(self, what: str, *arrays: Array) -> list[Array]:
        """A map of the forms, block by block."""
        blocks = consecutive([f.ambient_dim for f in self.forms])
        return [getattr(f, what)(*(a[..., k] for a in arrays)) for f, k in zip(self.forms, blocks, strict=True)]

    def push(self, v: Array, w: Array) -> Array:
        """dPhi(w).v, shape=[..., m]."""
        return np.einsum("...Di,...i->...D", self.jacobian(w), v)

    def pull(self, u: Array, w: Array) -> Array:
        """The v with dPhi(w).v = u, shape=[..., d]."""
        J = self.jacobian(w)
        if J.shape[-1] == J.shape[-2]:
            return np.linalg.solve(J, u[..., None])[..., 0]
        weights = np.concatenate(self.each("weights", np.asarray(self.forward(w))), axis=-1)
        dual = np.einsum("...Di,...D->...iD", J, weights)
        return np.linalg.solve(dual @ J, np.einsum("...iD,...D->...i", dual, u)[..., None])[..., 0]

    def exp(self, v: Array, w: Array, domain: ConvexDomain) -> Array:
        """End of the geodesic from w with velocity v, or `DomainError` where it leaves the domain."""
        x, u = np.asarray(self.forward(w)), self.push(v, w)
        y = np.concatenate(self.each("exp", u, x), axis=-1)
        with np.errstate(all="ignore"):
            end = np.asarray(self.inverse(y), dtype=float)
            inside = np.asarray(domain.belongs(end))
            back = np.asarray(self.forward(np.where(inside[..., None], end, w)))
        ok = inside & (np.abs(back - y).max(-1) <= 1e-7 * (1 + np.abs(y).max(-1)))
        # the image is convex, but a great circle that leaves it comes back after half a turn
        for f, block in zip(self.forms, consecutive([f.ambient_dim for f in self.forms]), strict=True):
            if f.curvature > 0:
                ok &= np.sqrt(f.curvature) * _length(u[..., block]) < np.pi
        if not ok.all():
            index = tuple(int(i) for i in np.argwhere(~ok)[0])
            entry = f", batch entry {index}" if index else ""
            got = f"tangent vector {describe(v[index])} at {describe(w[index])}{entry}"
            wanted, remedy = f"a geodesic that stays in {domain} to t = 1", "scale the tangent vector down"
            raise DomainError("geodesic leaves the domain", got, wanted, remedy, index=index, point=w[index])
        return end

    def log(self, y: Array, w: Array) -> Array:
        """The v with exp(v, w) = y, shape=[..., d]."""
        return self.pull(np.concatenate(self.each("log", *self._pair(y, w)), axis=-1), w)

    def distance(self, y: Array, w: Array) -> Array:
        """Length of the geodesic, shape=[...]."""
        return _length(np.stack(self.each("distance", *self._pair(y, w)), axis=-1))

    def transport(self, t: Array, v: Array, w: Array, end: Array) -> Array:
        """Parallel transport of t from w along the geodesic with velocity v to its end; shape=[..., d]."""
        moved = self.each("transport", self.push(t, w), self.push(v, w), np.asarray(self.forward(w)))
        return self.pull(np.concatenate(moved, axis=-1), end)

    def _pair(self, y: Array, w: Array) -> tuple[Array, Array, Array]:
        return np.asarray(self.forward(y)), np.asarray(self.forward(w)), self.change(y, w, y - w)
