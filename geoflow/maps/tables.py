"""w(mu) on a leaf whose blocks have one output each, tabulated once: for solvers that move mu thousands of times."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
from numpy.polynomial import chebyshev

from geoflow._typing import Array, Index
from geoflow.maps.kernel import MapKernel
from geoflow.maps.lifts import growth_of
from geoflow.numerics.steps import step_of_order_eight

DEGREE = 16
#: points of a piece that are reached by a step from one
LEAP = 4
#: growth of x over a piece that is tried first, and the largest
FIRST, LARGEST = 0.2, 1.5
#: errors of a step beside x, and of a polynomial beside the change of w, that a piece may have
STEP_TOL, TAIL_TOL = 1e-13, 1e-13
#: pieces of a curve, and times that one is shortened, before the table ends
PIECES, TRIES = 200, 12
#: numbers handled at once: arrays that stay in the cache
AT_ONCE = 2**14
EPS = float(np.finfo(float).eps)


class DualTable:
    """w_i(mu_i) = G_i(psi(x0; mu)), one function of one number for every output, as polynomials piece by piece.

    Pieces are added as larger |mu| are asked for, of a length of its own for every output and sign: over each x grows
    by a part, the flow of mu passes Chebyshev points one step of order eight after the other, with the error of each
    step, and of what the polynomial leaves out, at rounding. What lies beyond the last piece is NaN.
    """

    def __init__(self, kernel: MapKernel, start: Array):
        self._kernel, self._x = kernel, np.stack([start, start])
        self._dim, self._w0 = kernel.codomain_dim, kernel.value(start[None])[0]
        self._sign = np.stack([np.ones(self._dim), -np.ones(self._dim)])
        self._part = np.full((2, self._dim), FIRST)
        self._reached = np.zeros((2, self._dim))
        # a column for every piece, sign and output: where it begins, its length, and its coefficients
        self._begin = np.empty(0)
        self._length = np.empty(0)
        self._powers = np.empty((DEGREE + 1, 0))
        self._last: Index | None = None
        self._ended = False

    @property
    def pieces(self) -> int:
        """How many there are of every output and sign."""
        return len(self._begin) // (2 * self._dim)

    def value(self, mu: Array) -> Array:
        """w(mu), shape=[N, d]; NaN beyond the table."""
        return self._evaluated(mu, slope=False)

    def slope(self, mu: Array) -> Array:
        """C(mu) = dw/dmu, the diagonal of the cometric, shape=[N, d]; NaN beyond the table."""
        return self._evaluated(mu, slope=True)

    def _evaluated(self, mu: Array, slope: bool) -> Array:
        size, column = np.abs(mu).ravel(), np.tile(np.arange(self._dim), len(mu))
        side = column + self._dim * (mu.ravel() < 0)
        while not self._ended and not (size < self._reached.ravel()[side]).all():
            self._extend()
        if not self.pieces:
            return np.full(mu.shape, np.nan)
        out, place = np.empty(size.shape), self._places(side, size)
        for k in range(0, len(out), AT_ONCE):
            part = slice(k, k + AT_ONCE)
            here = place[part]
            length = self._length[here]
            t = (size[part] - self._begin[here]) * (2 / length) - 1
            found = self._powers[DEGREE][here]
            if slope:
                found = DEGREE * found
                for j in range(DEGREE - 1, 0, -1):
                    found = found * t + j * self._powers[j][here]
                out[part] = found * (2 / length) * np.where(mu.ravel()[part] < 0, -1.0, 1.0)
            else:
                for row in self._powers[DEGREE - 1 :: -1]:
                    found *= t
                    found += row[here]
                out[part] = found
        if not slope:  # what stands still at the start has no force there, not one of rounding
            still = size == 0
            out[still] = self._w0[column[still]]
        out[~(size <= self._reached.ravel()[side])] = np.nan
        return out.reshape(mu.shape)

    def _places(self, side: Index, size: Array) -> Index:
        """The columns of the pieces that the numbers lie in: those of the last time where they still do."""
        step, last = 2 * self._dim, self._last
        place = side.copy() if last is None or len(last) != len(side) else side + step * (last // step)
        wrong = np.flatnonzero(~((self._begin[place] <= size) & (size < self._begin[place] + self._length[place])))
        if len(wrong):
            begins = self._begin.reshape(-1, step)
            count = np.zeros(len(wrong), dtype=int)
            for row in begins[1:]:
                count += row[side[wrong]] <= size[wrong]
            place[wrong] = side[wrong] + step * count
        self._last = place
        return place

    def _extend(self) -> None:
        """One piece more for every output and sign, or the end of the table."""
        kernel = self._kernel
        with np.errstate(all="ignore"):
            growth = growth_of(kernel, self._x, kernel.pullback(self._x, self._sign))
            rate = growth[:, kernel.blocks.of_output]
            rate = np.where(rate < 1e290, rate, 1.0)
            for _ in range(TRIES):
                length = self._part / np.maximum(rate, 1e-290)
                values, x, worst = self._passed(length)
                series = np.tensordot(lobatto()[1], values, axes=1)
                change = np.abs(values - values[:1]).max(axis=0)
                # rounding is no error of the polynomial: a piece that shows no other may grow
                tail = np.maximum(np.abs(series[-2:]).max(axis=0) - 4 * EPS * np.abs(values).max(axis=0), 0.0)
                tail /= np.maximum(TAIL_TOL * change, 1e-300)
                error = np.maximum(np.nan_to_num(tail, nan=np.inf), np.nan_to_num(worst, nan=np.inf))
                good = error <= 1
                if good.all():
                    break
                self._part = np.where(good, self._part, self._part / 2)
            else:
                self._ended = True
                return
        for name, new in (("_begin", self._reached), ("_length", length)):
            setattr(self, name, np.concatenate([getattr(self, name), new.ravel()]))
        powers = np.tensordot(lobatto()[2], series, axes=1)
        self._powers = np.concatenate([self._powers, powers.reshape(DEGREE + 1, -1)], axis=1)
        self._x, self._reached = x, self._reached + length
        self._part = np.where(error < 1e-4, np.minimum(2 * self._part, LARGEST), self._part)
        self._ended = self.pieces >= PIECES

    def _passed(self, length: Array) -> tuple[Array, Array, Array]:
        """w at the points of a piece, shape=[DEGREE + 1, 2, d], x at its end, and the worst error of a step."""
        kernel, blocks, nodes = self._kernel, self._kernel.blocks, lobatto()[0]
        x, worst, values = self._x, np.zeros(length.shape), [kernel.value(self._x)[None]]
        for k in range(0, DEGREE, LEAP):
            # so many points from one, all at once
            ways = (0.5 * (nodes[k + 1 : k + 1 + LEAP] - nodes[k])[:, None, None] * (length * self._sign)).reshape(
                -1, self._dim
            )
            ends, errors = step_of_order_eight(partial(_pulled, kernel, ways), np.tile(x, (LEAP, 1)))
            size = np.maximum(np.tile(blocks.largest(x), (LEAP, 1)), blocks.largest(ends))
            beside = (blocks.largest(errors) / (STEP_TOL * size + 1e-300))[:, blocks.of_output]
            worst = np.maximum(worst, beside.reshape(LEAP, 2, -1).max(axis=0))
            values.append(kernel.value(ends).reshape(LEAP, 2, -1))
            x = ends[-2:]
        return np.concatenate(values), x, worst


def _pulled(kernel: MapKernel, mu: Array, s: float, x: Array) -> Array:
    return kernel.pullback(x, mu)


@cache
def lobatto() -> tuple[Array, Array, Array]:
    """The extreme points of T_DEGREE in [-1, 1], what takes values there to a Chebyshev series, and that to powers."""
    nodes = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)
    ends = np.where(np.arange(DEGREE + 1) % DEGREE == 0, 0.5, 1.0)  # of the sums of the discrete cosine transform
    series = (2 / DEGREE) * ends[:, None] * ends * chebyshev.chebvander(nodes, DEGREE).T
    powers = np.zeros((DEGREE + 1, DEGREE + 1))
    for k in range(DEGREE + 1):
        powers[: k + 1, k] = chebyshev.cheb2poly(np.eye(DEGREE + 1)[k])[: k + 1]
    return nodes, series, powers
