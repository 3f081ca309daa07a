"""Chebyshev series: on tensor grids of a box, of chosen products on a box, and by panels on a line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import chebyshev

from geoflow._typing import Array, Index, Map
from geoflow.errors import ConvergenceError

PANEL_DEGREE = 24
PANELS = 4000
CHUNK = 200_000  # doubles of one contraction, a thread's cache rather than all memory


def vandermonde(t: Array, degree: int, order: int, scale: float) -> list[Array]:
    """Values and derivatives up to `order` of T_0..T_degree at t in [-1, 1], the latter times scale^order."""
    out, D = [chebyshev.chebvander(t, degree)], derivative_matrix(degree) * scale
    for _ in range(order):
        out.append(out[-1] @ D)
    return out


def derivative_matrix(degree: int) -> Array:
    """Column k holds the Chebyshev coefficients of T_k'."""
    D = np.zeros((degree + 1, degree + 1))
    for k in range(1, degree + 1):
        D[k - 1 :: -2, k] = 2 * k
    D[0] /= 2
    return D


def pairs(d: int) -> list[tuple[int, int]]:
    """(i, j) with i <= j."""
    return list(itertools.combinations_with_replacement(range(d), 2))


def in_chunks(arrays: Callable[[Array], Sequence[Array]], w: Array, step: int) -> list[Array]:
    """The arrays of w, shape=[N, d], by `step` points at a time."""
    parts = [arrays(w[k : k + step]) for k in range(0, max(1, len(w)), step)]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


class BoxMap:
    """The affine map of a box onto [-1, 1]^d."""

    def __init__(self, lower: Array, upper: Array):
        self.lower, self.upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
        self.dim, self.scale = len(self.lower), 2 / (self.upper - self.lower)

    def to_unit(self, w: Array) -> Array:
        return (w - self.lower) * self.scale - 1

    def from_unit(self, t: Array) -> Array:
        """Points of the closed box, also where rounding would put an end of it outside."""
        return np.clip(self.lower + (t + 1) / self.scale, self.lower, self.upper)


class TensorGrid(BoxMap):
    """The tensor grid of n + 1 Chebyshev points of the first kind an axis, and interpolation on it."""

    def __init__(self, lower: Array, upper: Array, degree: int):
        super().__init__(lower, upper)
        self.degree, self.shape = degree, (degree + 1,) * self.dim
        nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
        self._values = chebyshev.chebvander(nodes, degree)
        self._transform = self._values.T * 2 / (degree + 1)
        self._transform[0] /= 2
        self._derive = self._values @ derivative_matrix(degree) @ self._transform  # values to values of the derivative
        axes = np.meshgrid(*[nodes] * self.dim, indexing="ij")
        self.points = self.from_unit(np.stack(axes, axis=-1)).reshape(-1, self.dim)

    def coefficients(self, values: Array) -> Array:
        """Values at the points, shape=[P, K], to coefficients, shape=[n+1, ..., n+1, K]."""
        c = values.reshape(*self.shape, -1)
        for axis in range(self.dim):
            c = np.moveaxis(np.tensordot(self._transform, c, axes=(1, axis)), 0, axis)
        return c

    def gradient(self, values: Array) -> Array:
        """Values at the points, shape=[P, K], to gradients of the interpolant there, shape=[P, K, d]."""
        f = values.reshape(*self.shape, -1)
        parts = [
            np.moveaxis(np.tensordot(self._derive * self.scale[i], f, axes=(1, i)), 0, i).reshape(len(values), -1)
            for i in range(self.dim)
        ]
        return np.stack(parts, axis=-1)


class TensorSeries(BoxMap):
    """K functions by tensor Chebyshev coefficients of shape=[n+1, ..., n+1, K]."""

    def __init__(self, lower: Array, upper: Array, coefficients: Array):
        super().__init__(lower, upper)
        self.coefficients, self.degree = coefficients, coefficients.shape[0] - 1

    def jet(self, w: Array) -> tuple[Array, Array, Array]:
        """Values, gradients and Hessians: shape=[N, K], [N, K, d], [N, K, d, d]."""
        value, first, second = self.derivatives(w, 2)
        return value, first, second

    def derivatives(self, w: Array, order: int) -> list[Array]:
        """The first order + 1 parts of the jet."""
        return in_chunks(lambda part: self._derivatives(part, order), w, max(1, CHUNK * 8 // self.coefficients[0].size))

    def _derivatives(self, w: Array, order: int) -> list[Array]:
        t, d, n = self.to_unit(w), self.dim, len(w)
        V = [vandermonde(t[:, i], self.degree, order, self.scale[i]) for i in range(d)]
        memo: dict[tuple[int, ...], Array] = {}

        def contract(orders: tuple[int, ...]) -> Array:
            """The first len(orders) axes summed, at the given orders of derivatives."""
            if orders not in memo:
                *head, last = orders
                if head:
                    memo[orders] = np.einsum("pa,pa...->p...", V[len(head)][last], contract(tuple(head)))
                else:
                    memo[orders] = np.tensordot(V[0][last], self.coefficients, axes=(1, 0))
            return memo[orders]

        K, unit = self.coefficients.shape[-1], np.eye(d, dtype=int)
        out = [contract((0,) * d)]
        if order >= 1:
            out.append(np.stack([contract(tuple(unit[i])) for i in range(d)], axis=-1))
        if order >= 2:
            second = np.empty((n, K, d, d))
            for i, j in pairs(d):
                second[:, :, i, j] = second[:, :, j, i] = contract(tuple(unit[i] + unit[j]))
            out.append(second)
        return out


def total_degree(d: int, degree: int) -> Index:
    """The k in N^d with k_1 + ... + k_d <= degree, shape=[m, d]."""
    k = np.indices((degree + 1,) * d).reshape(d, -1).T
    return np.asarray(k[k.sum(axis=1) <= degree])


class ProductBasis(BoxMap):
    """The products T_k1(t1) ... T_kd(td), k in `index`, shape=[m, d]; `degree` is the largest of one variable."""

    def __init__(self, lower: Array, upper: Array, index: Index):
        super().__init__(lower, upper)
        self.index, self.degree = index, int(index.max())

    def __len__(self) -> int:
        return len(self.index)

    def derivatives(self, w: Array, order: int) -> list[Array]:
        """Values [N, m], gradients [N, d, m] and, at order 2, second derivatives [N, d(d+1)/2, m] of the basis."""
        d, parts = self.dim, zip(self.to_unit(w).T, self.scale, self.index.T, strict=True)
        V = [[v[:, k] for v in vandermonde(t, self.degree, order, scale)] for t, scale, k in parts]

        def product(orders: Array) -> Array:
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

    def value(self, w: Array, A: Array) -> Array:
        """Values at w, shape=[N, K], of the functions with coefficients A of shape=[K, m]."""
        return in_chunks(lambda part: [self.derivatives(part, 0)[0] @ A.T], w, self._step)[0]

    def gradient(self, w: Array, A: Array) -> Array:
        """Gradients at w, shape=[N, K, d], of the functions with coefficients A of shape=[K, m]."""
        return np.swapaxes(in_chunks(lambda part: [self.derivatives(part, 1)[1] @ A.T], w, self._step)[0], 1, 2)

    def jet(self, w: Array, A: Array) -> tuple[Array, Array, Array]:
        """2-jet at w of the functions with coefficients A of shape=[K, m]."""

        def jet(w: Array) -> tuple[Array, Array, Array]:
            values, first, second = self.derivatives(w, 2)
            full = np.empty((len(values), len(A), self.dim, self.dim))
            for (i, j), column in zip(pairs(self.dim), np.moveaxis(second @ A.T, 1, 0), strict=True):
                full[:, :, i, j] = full[:, :, j, i] = column
            return values @ A.T, np.swapaxes(first @ A.T, 1, 2), full

        value, first, second = in_chunks(jet, w, self._step)
        return value, first, second

    @property
    def _step(self) -> int:
        return max(1, CHUNK // len(self))


class Antiderivative:
    """int_c^s g, g entry by entry, by Chebyshev panels over what has been asked for, halved until each is resolved."""

    def __init__(self, function: Map, centre: float, name: str = "g"):
        self._g, self._name = function, name
        self._nodes = np.cos(np.pi * (np.arange(PANEL_DEGREE + 1) + 0.5) / (PANEL_DEGREE + 1))
        self._transform = 2 / (PANEL_DEGREE + 1) * chebyshev.chebvander(self._nodes, PANEL_DEGREE).T
        self._transform[0] /= 2
        self._edges = np.array([centre])  # increasing
        self._series = np.zeros((0, PANEL_DEGREE + 2))  # antiderivative on each panel, with its constant

    def __call__(self, s: Array) -> Array:
        s = np.asarray(s, dtype=float)
        if s.size == 0 or not np.isfinite(s).all():
            return np.full(s.shape, np.nan)
        self._cover(float(s.min()), float(s.max()))
        if len(self._edges) == 1:
            return np.zeros(s.shape)
        panel = np.clip(np.searchsorted(self._edges, s) - 1, 0, len(self._series) - 1)
        low, high = self._edges[panel], self._edges[panel + 1]
        t = (2 * s - low - high) / (high - low)
        return np.einsum("...k,...k->...", chebyshev.chebvander(t, PANEL_DEGREE + 1), self._series[panel])

    def _cover(self, low: float, high: float) -> None:
        if high > self._edges[-1]:
            edges, series = self._panels(self._edges[-1], high)
            series[1:, 0] += np.cumsum(series.sum(axis=1))[:-1]
            series[:, 0] += self._series[-1].sum() if len(self._series) else 0.0
            self._edges = np.concatenate([self._edges, edges[1:]])
            self._series = np.concatenate([self._series, series])
        if low < self._edges[0]:
            edges, series = self._panels(low, self._edges[0])
            start = (self._series[0] * (-1.0) ** np.arange(PANEL_DEGREE + 2)).sum() if len(self._series) else 0.0
            series[:, 0] += start - np.cumsum(series.sum(axis=1)[::-1])[::-1]  # outward: near 0 nothing cancels
            self._edges = np.concatenate([edges[:-1], self._edges])
            self._series = np.concatenate([series, self._series])

    def _panels(self, low: float, high: float) -> tuple[Array, Array]:
        """Edges of panels from low to high, and on each the antiderivative that is 0 at its lower end."""
        todo, done = [(low, high)], []
        while todo:
            a, b = todo.pop()
            c = self._transform @ self._g((a + b) / 2 + (b - a) / 2 * self._nodes)
            if np.abs(c[-4:]).max() <= 2e-15 * np.abs(c).max() + 1e-300 or b - a <= 1e-13 * max(abs(a), abs(b)):
                done.append((a, b, chebyshev.chebint(c, lbnd=-1) * (b - a) / 2))
                continue
            if len(done) + len(todo) > PANELS:
                raise ConvergenceError(
                    f"integral of {self._name} from {low:.6g} to {high:.6g}",
                    got=f"not resolved by {PANELS} Chebyshev panels near {a:.6g}",
                    wanted="a smooth function",
                    remedy="give the closed form: Profile(..., root_integral=...)",
                )
            todo.extend([((a + b) / 2, b), (a, (a + b) / 2)])
        return np.array([low, *(b for _, b, _ in done)]), np.stack([c for _, _, c in done])
