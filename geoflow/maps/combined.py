"""Kernels of maps made from other maps: affine images and products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from geoflow._typing import Array, Bilinear, Map
from geoflow.maps.blocks import Blocks, solved_blocks
from geoflow.maps.kernel import MapKernel
from geoflow.numerics import autodiff
from geoflow.numerics.batches import consecutive


class AffineKernel(MapKernel):
    """A G(x) + b, for A of shape=[e, d] and b of shape=[e] or []."""

    def __init__(self, part: MapKernel, A: Array, b: Array):
        self.part, self.A, self.b = part, A, b
        self.dim, self.codomain_dim, self.flat = part.dim, len(A), part.flat

    def value(self, x: Array) -> Array:
        return autodiff.matmul(self.part.value(x), self.A.T) + self.b

    def linearized(self, x: Array) -> tuple[Array, Map]:
        value, pull = self.part.linearized(x)
        return value @ self.A.T + self.b, lambda mu: pull(mu @ self.A)

    def pullback(self, x: Array, mu: Array) -> Array:
        return self.part.pullback(x, mu @ self.A)

    def pushforward(self, x: Array, v: Array) -> Array:
        return self.part.pushforward(x, v) @ self.A.T

    def derivative_of_pullback(self, x: Array, mu: Array, v: Array) -> Array:
        return self.part.derivative_of_pullback(x, mu @ self.A, v)

    def horizontal_lift(self, x: Array, dw: Array) -> tuple[Array, Array]:
        """By A C A^T from the blocks, or from as many pullbacks as A has rows; n^2 d operations a point."""
        if len(self.A) >= self.part.codomain_dim or not self.blocks.single:
            return super().horizontal_lift(x, dw)
        gram = np.stack([self.part.gram(point[None], self.A) for point in x])
        dmu = solved_blocks(gram, np.broadcast_to(dw, (len(x), len(self.A))))
        return self.part.pullback(x, dmu @ self.A), dmu

    @cached_property
    def blocks(self) -> Blocks:
        return self.part.blocks.coarser(self.A != 0) if self.flat else super().blocks

    @property
    def grows_alone(self) -> bool:
        return self.part.grows_alone

    def jacobian(self, x: Array) -> Array:
        return np.einsum("ed,...dD->...eD", self.A, self.part.jacobian(x))

    def gradients(self, x: Array) -> Array:
        return np.einsum("ed,...dD->...eD", self.A, self.part.gradients(x))

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        rows, C = self.part.gradients_and_cometric(x)
        return np.einsum("ed,...dD->...eD", self.A, rows), self.A @ C @ self.A.T

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        return np.einsum("ed,...dD->...eD", self.A, self.part.derivative_of_gradients(x, directions))

    def derivative_of_cometric(self, x: Array, directions: Array) -> Array:
        return self.A @ self.part.derivative_of_cometric(x, directions) @ self.A.T

    def field(self, i: int) -> tuple[Map, Bilinear | None]:
        functions, closed = zip(*(self.part.field(j) for j in range(self.part.codomain_dim)), strict=True)
        row = self.A[i]

        def gradient(x: Array) -> Array:
            return sum(a * f(x) for a, f in zip(row, functions, strict=True))

        if any(D is None for D in closed):
            return gradient, None
        return gradient, lambda x, v: sum(a * D(x, v) for a, D in zip(row, closed, strict=True))


class ProductKernel(MapKernel):
    """(G_1(x_1), G_2(x_2), ...): flat points are the parts' points, one after the other."""

    def __init__(self, parts: Sequence[MapKernel]):
        self.parts = tuple(parts)
        self._x, self._w = consecutive([p.dim for p in parts]), consecutive([p.codomain_dim for p in parts])
        self.dim, self.codomain_dim = sum(p.dim for p in parts), sum(p.codomain_dim for p in parts)
        self.flat = all(p.flat for p in parts)

    def value(self, x: Array) -> Array:
        return autodiff.concatenate([p.value(y) for p, y in self._each(x)], axis=-1)

    def linearized(self, x: Array) -> tuple[Array, Map]:
        found = [p.linearized(y) for p, y in self._each(x)]

        def pull(mu: Array) -> Array:
            return np.concatenate([one(mu[..., k]) for (_, one), k in zip(found, self._w, strict=True)], axis=-1)

        return np.concatenate([value for value, _ in found], axis=-1), pull

    def pullback(self, x: Array, mu: Array) -> Array:
        return self.linearized(x)[1](mu)

    def pushforward(self, x: Array, v: Array) -> Array:
        return np.concatenate([p.pushforward(y, u) for p, y, u in self._each(x, v)], axis=-1)

    def derivative_of_pullback(self, x: Array, mu: Array, v: Array) -> Array:
        each = zip(self._each(x, v), self._w, strict=True)
        return np.concatenate([p.derivative_of_pullback(y, mu[..., k], u) for (p, y, u), k in each], axis=-1)

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks.beside([p.blocks for p in self.parts]) if self.flat else super().blocks

    def jacobian(self, x: Array) -> Array:
        return self._diagonal([p.jacobian(y) for p, y in self._each(x)], self._x)

    def gradients(self, x: Array) -> Array:
        return self._diagonal([p.gradients(y) for p, y in self._each(x)], self._x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        both = [p.gradients_and_cometric(y) for p, y in self._each(x)]
        return self._diagonal([b[0] for b in both], self._x), self._diagonal([b[1] for b in both], self._w)

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        return self._diagonal([p.derivative_of_gradients(y, v) for p, y, v in self._each(x, directions)], self._x)

    def derivative_of_cometric(self, x: Array, directions: Array) -> Array:
        return self._diagonal([p.derivative_of_cometric(y, v) for p, y, v in self._each(x, directions)], self._w)

    def field(self, i: int) -> tuple[Map, Bilinear | None]:
        n = next(k for k, block in enumerate(self._w) if i < block.stop)
        block = self._x[n]
        inner, closed = self.parts[n].field(i - self._w[n].start)

        def padded(x: Array, part: Array) -> Array:
            zeros = 0.0 * x
            return autodiff.concatenate([zeros[..., : block.start], part, zeros[..., block.stop :]], axis=-1)

        derivative = None if closed is None else lambda x, v: padded(x, closed(x[..., block], v[..., block]))
        return lambda x: padded(x, inner(x[..., block])), derivative

    def _each(self, *arrays: Array) -> list[tuple[Any, ...]]:
        """Each part with its block of the arrays."""
        return [(p, *(a[..., k] for a in arrays)) for p, k in zip(self.parts, self._x, strict=True)]

    def _diagonal(self, found: Sequence[Array], columns: Sequence[slice]) -> Array:
        """Blocks on the diagonal: shape=[..., d_k, n_k] each to shape=[..., d, n]."""
        out = np.zeros((*np.shape(found[0])[:-2], self.codomain_dim, columns[-1].stop))
        for part, row, column in zip(found, self._w, columns, strict=True):
            out[..., row, column] = part
        return out
