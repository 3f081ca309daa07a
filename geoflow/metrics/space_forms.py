"""Spaces of constant curvature in closed form, and isometries to products of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, Map
from geoflow._validate import describe
from geoflow.errors import DomainError
from geoflow.numerics.batches import consecutive
from geoflow.spaces.domains import ConvexDomain


@dataclass(frozen=True)
class SpaceForm:
    """A complete space of constant curvature in R^m: {<x, x> = 1 / curvature}, or R^m itself where it is 0.

    For negative curvature the first coordinate is timelike, <x, y> = -x_1 y_1 + x_2 y_2 + ...
    """

    curvature: float
    ambient_dim: int

    @property
    def signature(self) -> Array:
        """Signs of the ambient inner product, shape=[m]."""
        return np.r_[-1.0 if self.curvature < 0 else 1.0, np.ones(self.ambient_dim - 1)]

    def inner(self, u: Array, v: Array) -> Array:
        """<u, v>, shape=[...]."""
        return np.einsum("...i,...i,i->...", u, v, self.signature)

    def norm(self, u: Array) -> Array:
        """Length of tangent vectors, shape=[...]."""
        return np.sqrt(np.maximum(self.inner(u, u), 0.0))

    def exp(self, u: Array, x: Array) -> Array:
        """End at time 1 of the geodesic from x with velocity u, shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return x + u
        cos, sinc = self._cos_sinc(np.sqrt(abs(k)) * self.norm(u)[..., None])
        return cos * x + sinc * u

    def log(self, y: Array, x: Array) -> Array:
        """The shortest u with exp(u, x) = y, shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return y - x
        across = y - k * self.inner(x, y)[..., None] * x
        # the angle from the chord: arccos would lose half the digits of close points
        half = np.sqrt(abs(k)) * self.norm(y - x) / 2
        angle = 2 * (np.arcsin(np.minimum(half, 1.0)) if k > 0 else np.arcsinh(half))
        length = np.sqrt(abs(k)) * self.norm(across)
        ratio = np.where(length > 1e-12, angle / np.where(length > 1e-12, length, 1.0), 1.0)
        return ratio[..., None] * across

    def _cos_sinc(self, angle: Array) -> tuple[Array, Array]:
        """cos(t) and sin(t) / t of an angle t, hyperbolic where the curvature is negative."""
        if self.curvature > 0:
            return np.cos(angle), np.sinc(angle / np.pi)
        small = angle < 1e-4
        return np.cosh(angle), np.where(small, 1 + angle**2 / 6, np.sinh(angle) / np.where(small, 1.0, angle))

    def transport(self, t: Array, u: Array, x: Array) -> Array:
        """Parallel transport of t along the geodesic from x with velocity u, to its end; shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return t
        y, square = self.exp(u, x), self.inner(u, u)
        angle = np.sqrt(abs(k) * np.maximum(square, 0.0))[..., None]
        along = self.inner(t, u) / np.where(square > 0, square, 1.0)
        cos, sinc = self._cos_sinc(angle)
        arrival = cos * u - k * square[..., None] * sinc * x
        moved = t + along[..., None] * (arrival - u)
        # tangent at y to rounding
        return moved - k * self.inner(moved, y)[..., None] * y


@dataclass(frozen=True)
class Isometry(Portable):
    """An isometry Phi of a Hessian manifold onto an open, geodesically convex part of a product of space forms."""

    forms: tuple[SpaceForm, ...]
    forward: Map  # w to Phi(w), shape=[..., d] to [..., m], m the sum of the ambient dimensions; in autograd.numpy
    inverse: Map  # Phi(w) to w; outside the image, anything or NaN
    jacobian: Map  # dPhi, shape=[..., m, d]

    def each(self, what: str, *arrays: Array) -> Array:
        """A map of the space forms, block by block."""
        blocks = consecutive([f.ambient_dim for f in self.forms])
        parts = [getattr(f, what)(*(a[..., k] for a in arrays)) for f, k in zip(self.forms, blocks, strict=True)]
        return np.concatenate(parts, axis=-1)

    def push(self, v: Array, w: Array) -> Array:
        """dPhi(w).v, shape=[..., m]."""
        return np.einsum("...Di,...i->...D", self.jacobian(w), v)

    def pull(self, u: Array, w: Array) -> Array:
        """The v with dPhi(w).v = u, shape=[..., d]."""
        J = self.jacobian(w)
        dual = np.einsum("...Di,D->...iD", J, np.concatenate([f.signature for f in self.forms]))
        return np.linalg.solve(dual @ J, np.einsum("...iD,...D->...i", dual, u)[..., None])[..., 0]

    def exp(self, v: Array, w: Array, domain: ConvexDomain) -> Array:
        """End of the geodesic from w with velocity v, or `DomainError` where it leaves the domain."""
        x, u = np.asarray(self.forward(w)), self.push(v, w)
        y = self.each("exp", u, x)
        with np.errstate(all="ignore"):
            end = np.asarray(self.inverse(y), dtype=float)
            inside = np.asarray(domain.belongs(end))
            back = np.asarray(self.forward(np.where(inside[..., None], end, w)))
        ok = inside & (np.abs(back - y).max(-1) <= 1e-7 * (1 + np.abs(y).max(-1)))
        # the image is convex, but a great circle that leaves it comes back after half a turn
        for f, block in zip(self.forms, consecutive([f.ambient_dim for f in self.forms]), strict=True):
            if f.curvature > 0:
                ok &= np.sqrt(f.curvature) * f.norm(u[..., block]) < np.pi
        if not ok.all():
            index = tuple(int(i) for i in np.argwhere(~ok)[0])
            entry = f", batch entry {index}" if index else ""
            got = f"tangent vector {describe(v[index])} at {describe(w[index])}{entry}"
            wanted, remedy = f"a geodesic that stays in {domain} to t = 1", "scale the tangent vector down"
            raise DomainError("geodesic leaves the domain", got, wanted, remedy, index=index, point=w[index])
        return end

    def log(self, y: Array, w: Array) -> Array:
        """The v with exp(v, w) = y, shape=[..., d]."""
        return self.pull(self.each("log", np.asarray(self.forward(y)), np.asarray(self.forward(w))), w)

    def transport(self, t: Array, v: Array, w: Array, end: Array) -> Array:
        """Parallel transport of t from w along the geodesic with velocity v to its end; shape=[..., d]."""
        moved = self.each("transport", self.push(t, w), self.push(v, w), np.asarray(self.forward(w)))
        return self.pull(moved, end)
