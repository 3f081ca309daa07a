"""Chebyshev series on a box: tensor grids for the twist, total degree for the spectral solver."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.polynomial import chebyshev

CHUNK = 200_000  # doubles of one contraction, a thread's cache rather than all memory


def vandermonde(t: np.ndarray, degree: int, order: int, scale: float) -> list[np.ndarray]:
    """Values and derivatives up to `order` of T_0..T_degree at t in [-1, 1], the latter times scale^order."""
    V = chebyshev.chebvander(t, degree)
    D = derivative_matrix(degree) * scale
    out = [V]
    for _ in range(order):
        out.append(out[-1] @ D)
    return out


def derivative_matrix(degree: int) -> np.ndarray:
    """Column k holds the Chebyshev coefficients of T_k'."""
    D = np.zeros((degree + 1, degree + 1))
    for k in range(1, degree + 1):
        j = np.arange(k - 1, -1, -2)
        D[j, k] = 2 * k
    D[0] /= 2
    return D


def pairs(d: int) -> list[tuple[int, int]]:
    """(i, j) with i <= j."""
    return [(i, j) for i in range(d) for j in range(i, d)]


class BoxMap:
    """The affine map of a box onto [-1, 1]^d."""

    def __init__(self, lower: np.ndarray, upper: np.ndarray):
        self.lower, self.upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
        self.dim = len(self.lower)
        self.scale = 2 / (self.upper - self.lower)

    def to_unit(self, w: np.ndarray) -> np.ndarray:
        return (w - self.lower) * self.scale - 1

    def from_unit(self, t: np.ndarray) -> np.ndarray:
        return self.lower + (t + 1) / self.scale


class TensorGrid(BoxMap):
    """The tensor grid of n + 1 Chebyshev points of the first kind an axis, and interpolation on it."""

    def __init__(self, lower: np.ndarray, upper: np.ndarray, degree: int):
        super().__init__(lower, upper)
        self.degree = degree
        k = np.arange(degree + 1)
        nodes = np.cos(np.pi * (k + 0.5) / (degree + 1))
        self._values = chebyshev.chebvander(nodes, degree)
        self._transform = self._values.T * 2 / (degree + 1)
        self._transform[0] /= 2
        self._derive = self._values @ derivative_matrix(degree) @ self._transform  # values to values of the derivative
        axes = np.meshgrid(*[nodes] * self.dim, indexing="ij")
        self.points = self.from_unit(np.stack(axes, axis=-1)).reshape(-1, self.dim)
        self.shape = (degree + 1,) * self.dim

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """Values at the points, shape=[P, K], to coefficients, shape=[n+1, ..., n+1, K]."""
        c = values.reshape(*self.shape, -1)
        for axis in range(self.dim):
            c = np.moveaxis(np.tensordot(self._transform, c, axes=(1, axis)), 0, axis)
        return c

    def gradient(self, values: np.ndarray) -> np.ndarray:
        """Values at the points, shape=[P, K], to gradients of the interpolant there, shape=[P, K, d]."""
        f = values.reshape(*self.shape, -1)
        parts = [
            np.moveaxis(np.tensordot(self._derive * self.scale[i], f, axes=(1, i)), 0, i).reshape(len(values), -1)
            for i in range(self.dim)
        ]
        return np.stack(parts, axis=-1)


class TensorSeries(BoxMap):
    """K functions by tensor Chebyshev coefficients of shape=[n+1, ..., n+1, K]."""

    def __init__(self, lower: np.ndarray, upper: np.ndarray, coefficients: np.ndarray):
        super().__init__(lower, upper)
        self.coefficients, self.degree = coefficients, coefficients.shape[0] - 1

    def jet(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, gradients and Hessians: shape=[N, K], [N, K, d], [N, K, d, d]."""
        step = max(1, CHUNK * 8 // self.coefficients[0].size)
        jets = [self._jet(w[k : k + step]) for k in range(0, len(w), step)]
        value, first, second = (np.concatenate([jet[k] for jet in jets]) for k in range(3))
        return value, first, second

    def _jet(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        t, d, n = self.to_unit(w), self.dim, len(w)
        V = [vandermonde(t[:, i], self.degree, 2, self.scale[i]) for i in range(d)]
        memo: dict[tuple[int, ...], np.ndarray] = {}

        def contract(orders: tuple[int, ...]) -> np.ndarray:
            """The first len(orders) axes summed, at the given orders of derivatives."""
            if orders not in memo:
                *head, last = orders
                axis = len(head)
                if not head:
                    memo[orders] = np.tensordot(V[0][last], self.coefficients, axes=(1, 0))
                else:
                    memo[orders] = np.einsum("pa,pa...->p...", V[axis][last], contract(tuple(head)))
            return memo[orders]

        K, unit = self.coefficients.shape[-1], np.eye(d, dtype=int)
        value, first, second = contract((0,) * d), np.empty((n, K, d)), np.empty((n, K, d, d))
        for i in range(d):
            first[:, :, i] = contract(tuple(unit[i]))
        for i, j in pairs(d):
            second[:, :, i, j] = second[:, :, j, i] = contract(tuple(unit[i] + unit[j]))
        return value, first, second


class TotalDegreeBasis(BoxMap):
    """The products T_k1(t1) ... T_kd(td) of total degree at most p."""

    def __init__(self, lower: np.ndarray, upper: np.ndarray, degree: int):
        super().__init__(lower, upper)
        self.degree = degree
        every = itertools.product(range(degree + 1), repeat=self.dim)
        self.index = np.array([k for k in every if sum(k) <= degree])
        self.place = {tuple(k): m for m, k in enumerate(self.index)}

    def __len__(self) -> int:
        return len(self.index)

    def derivatives(self, w: np.ndarray, order: int) -> list[np.ndarray]:
        """Values [N, m], gradients [N, d, m] and, at order 2, second derivatives [N, d(d+1)/2, m] of the basis."""
        t, d = self.to_unit(w), self.dim
        V = [
            [v[:, self.index[:, i]] for v in vandermonde(t[:, i], self.degree, order, self.scale[i])] for i in range(d)
        ]

        def product(orders: np.ndarray) -> np.ndarray:
            out = V[0][orders[0]].copy()
            for i in range(1, d):
                out *= V[i][orders[i]]
            return out

        unit = np.eye(d, dtype=int)
        out = [product(0 * unit[0])]
        if order >= 1:
            out.append(np.stack([product(unit[i]) for i in range(d)], axis=1))
        if order >= 2:
            out.append(np.stack([product(unit[i] + unit[j]) for i, j in pairs(d)], axis=1))
        return out

    def jet(self, w: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """2-jet at w of the functions with coefficients A of shape=[K, m]."""
        step = max(1, CHUNK // len(self))
        parts = []
        for k in range(0, len(w), step):
            values, first, second = self.derivatives(w[k : k + step], 2)
            full = np.empty((len(values), len(A), self.dim, self.dim))
            for (i, j), column in zip(pairs(self.dim), np.moveaxis(second @ A.T, 1, 0), strict=True):
                full[:, :, i, j] = full[:, :, j, i] = column
            parts.append((values @ A.T, np.swapaxes(first @ A.T, 1, 2), full))
        value, J, S = (np.concatenate([part[k] for part in parts]) for k in range(3))
        return value, J, S
