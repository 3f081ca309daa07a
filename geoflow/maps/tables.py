"""w(mu) on a leaf whose blocks have one output each, tabulated once: for solvers that move mu thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from geoflow._typing import Array, Index
from geoflow.maps.kernel import MapKernel
from geoflow.maps.lifts import growth_of

DEGREE = 16
#: times that the flow over a piece is put into its integral equation
ITERATIONS = 40
#: growth of x over a piece that is tried first, and the largest
FIRST, LARGEST = 0.2, 1.25
#: looks at the flow in each gap between the points of a piece: what is narrower than 1 % of x may be overlooked
LOOKS = 7
#: of one length that the next may be: the growth at the end of a piece may be far less than within
LONGER = 4.0
#: errors of the flow beside x, and of a polynomial beside the change of w, that a piece may have
STEP_TOL, TAIL_TOL = 1e-13, 1e-13
#: the part of the length that the next piece may have, as its coefficients fall
SAFE = 0.9
#: pieces of a curve, and times that one is shortened, before the table ends
PIECES, TRIES = 200, 12
#: numbers handled at once: arrays that stay in the cache
AT_ONCE = 2**14
EPS = float(np.finfo(float).eps)
#: one thread at a time adds to a table; no code of a user runs meanwhile
_ADDING = Lock()


class DualTable:
    """w_i(mu_i) = G_i(psi(x0; mu)), one function of one number for every output, as polynomials piece by piece.

    Where many are alike, `kinds`, shape=[d], says which output of the map each is; by default its own. Pieces are added
    as larger |mu| are asked for, of a length of its own for every output and sign: over each x grows by a part, and the
    flow of mu, and w on it, are polynomials to rounding, as points between those that made them show. What lies beyond
    the last piece is NaN.
    """

    def __init__(self, kernel: MapKernel, start: Array, kinds: Index | None = None):
        self._kernel, self._x = kernel, np.stack([start, start])
        self._dim, self._w0 = kernel.codomain_dim, kernel.value(start[None])[0]
        self._kinds = np.arange(self._dim) if kinds is None else kinds
        self._sign = np.stack([np.ones(self._dim), -np.ones(self._dim)])
        self._part, self._length = np.full((2, self._dim), FIRST), np.full((2, self._dim), np.inf)
        self._reached = np.zeros((2, self._dim))
        # a column for every piece, sign and output: where it begins and 2 / length, signed, and its coefficients
        self._begin, self._scale = np.empty(0), np.empty(0)
        self._powers = np.empty((DEGREE + 1, 0))
        # the columns of the last numbers, for the last two shapes: of a state, and of those of a step
        self._last: dict[tuple[int, ...], Index] = {}
        self._ended = False

    @property
    def pieces(self) -> int:
        """How many there are of every output and sign."""
        return len(self._begin) // (2 * self._dim)

    def value(self, mu: Array) -> Array:
        """w(mu), shape=[N, d]; NaN beyond the table, which goes on as far as it can."""
        return self._evaluated(mu, slope=False)

    def slope(self, mu: Array) -> Array:
        """C(mu) = dw/dmu, the diagonal of the cometric, shape=[N, d]; NaN beyond the table."""
        return self._evaluated(mu, slope=True)

    def parts(
        self, mu_of: Callable[[slice], Array], states: int, points: int = 1, *, slope: bool = False, most: int = PIECES
    ) -> Iterator[tuple[slice, Array]]:
        """w or dw/dmu of so many states of N points, shape=[S, N d], part by part: where a part is, and it.

        `mu_of` takes such a place to mu there, shape=[S, k]. At most so many pieces are added to the table.
        """
        room, kinds = min(self.pieces + most, PIECES), np.tile(self._kinds, points)
        shape, width = (states, len(kinds)), max(1, AT_ONCE // max(1, states))
        last = self._last.get(shape)
        if last is None:
            last = np.tile(kinds, (states, 1))
            self._last = {**dict(list(self._last.items())[-1:]), shape: last}
        for k in range(0, len(kinds), width):
            part = slice(k, min(k + width, len(kinds)))
            with np.errstate(over="ignore", invalid="ignore"):  # far beyond the table
                found = self._evaluated_part(mu_of(part), kinds[part], last[:, part], slope, room)
            yield part, found

    def _evaluated(self, mu: Array, slope: bool) -> Array:
        out, flat = np.empty(mu.size), mu.reshape(1, -1)
        for part, found in self.parts(lambda part: flat[:, part], 1, len(mu), slope=slope):
            out[part] = found[0]
        return out.reshape(mu.shape)

    def _evaluated_part(self, mu: Array, kind: Index, place: Index, slope: bool, room: int) -> Array:
        """So many numbers of all states, shape=[S, k]; `place`, their columns of the last time, becomes theirs.

        Coefficients are looked up once for all states, where the last of them was, and anew for what is not there.
        """
        if not self.pieces and not self._ended:
            self._extend()
        if not self.pieces or not len(mu):
            return np.full(mu.shape, np.nan)
        last = place[-1].copy()  # another thread may write to it
        t = self._within(last, mu)
        found, left = self._polynomial(last, t, slope), ~(np.abs(t) <= 1)
        if left.any():
            state, column = np.nonzero(left)
            own, part = place[state, column], mu[state, column]
            t = self._within(own, part)
            lost = np.flatnonzero(~(np.abs(t) <= 1))
            if len(lost):
                side = kind[column[lost]] + self._dim * (part[lost] < 0)
                own[lost], t[lost] = self._found(side, np.abs(part[lost]), room)
            place[state, column] = own
            found[state, column] = self._polynomial(own, t, slope)
        if not slope:
            still = mu == 0  # what stands still at the start has no force there, not one of rounding
            if still.any():
                found[still] = self._w0[kind[np.nonzero(still)[1]]]
        return found

    def _polynomial(self, place: Index, t: Array, slope: bool) -> Array:
        """w, or dw/dmu, in the pieces of these columns, shape=[k], where they are t, shape=[..., k], from -1 to 1."""
        row, least = np.empty(len(place)), int(slope)
        found = t * (self._powers[DEGREE].take(place) * DEGREE**least)
        for j in range(DEGREE - 1, least - 1, -1):
            self._powers[j].take(place, out=row, mode="clip")  # no check of the places: faster by a fifth
            if slope:
                row *= j
            found += row
            if j > least:
                found *= t
        return found * self._scale.take(place) if slope else found

    def _within(self, place: Index, mu: Array) -> Array:
        """Where numbers lie in the pieces of these columns, from -1 to 1."""
        return (mu - self._begin.take(place)) * self._scale.take(place) - 1

    def _found(self, side: Index, size: Array, room: int) -> tuple[Index, Array]:
        """The columns of the pieces that numbers of these sizes lie in, and where in them; NaN beyond the table.

        The table grows to `room` pieces for them.
        """
        while self.pieces < room and not self._ended and (size >= self._reached.ravel()[side]).any():
            self._extend()
        count = np.zeros(len(side), dtype=int)
        for row in np.abs(self._begin).reshape(-1, 2 * self._dim)[1:]:
            count += row[side] <= size
        place, mu = side + 2 * self._dim * count, self._sign.ravel()[side] * size
        return place, np.where(size <= self._reached.ravel()[side], self._within(place, mu), np.nan)

    def _extend(self) -> None:
        """One piece more for every output and sign, or the end of the table."""
        before = self._begin
        piece = self._next()
        with _ADDING:
            if self._begin is not before:  # another thread has added that piece
                return
            if piece is None:
                self._ended = True
                return
            x, length, values, part = piece
            # the series first: values to powers at once lose six digits
            series = np.tensordot(collocation().series, values, axes=1)
            powers = np.tensordot(collocation().powers, series, axes=1).reshape(DEGREE + 1, -1)
            # the k-th falls as r^-k, r as one over the length; those of the end, under rounding, are told by two before
            change, noise = np.maximum(_change(values), 1e-300), 4 * EPS * np.abs(values).max(axis=0)
            early, late = (np.abs(series[k : k + 2]).max(axis=0) - noise for k in (3, 11))
            early, late = (np.maximum(part / change, EPS) for part in (early, late))
            longer = SAFE * (TAIL_TOL / (late * np.sqrt(late / early))) ** (1 / DEGREE)
            self._part = np.minimum(part * np.clip(longer, 0.5, 2.0), LARGEST)
            # coefficients first: other threads may read up to the pieces that are said to be there
            begin = (self._sign * self._reached).ravel()
            self._powers = np.concatenate([self._powers, powers], axis=1)
            self._scale = np.concatenate([self._scale, (2 * self._sign / length).ravel()])
            self._x, self._length = x, length
            self._begin, self._reached = np.concatenate([self._begin, begin]), self._reached + length

    def _next(self) -> tuple[Array, Array, Array, Array] | None:
        """x at the end of the next piece, its lengths, w at its points and growths; None where no length will do."""
        kernel, part = self._kernel, self._part
        with np.errstate(all="ignore"):
            growth = growth_of(kernel, self._x, kernel.pullback(self._x, self._sign))
            rate = growth[:, kernel.blocks.of_output]
            rate = np.maximum(np.where(rate < 1e290, rate, 1.0), 1e-290)
            for _ in range(TRIES):
                length = np.minimum(part / rate, LONGER * self._length)
                values, x, error = self._passed(length)
                good = error <= 1
                if good.all():
                    return x, length, values, part
                part = np.where(good, part, rate * length / 2)
        return None

    def _passed(self, length: Array) -> tuple[Array, Array, Array]:
        """w at the points of a piece, shape=[DEGREE + 1, 2, d], x at its end, and its errors beside those allowed.

        The flow is a fixed point, x = start + int pullback(x), of polynomials. Its errors are read off between their
        points, where both the velocity and w are asked anew; those of every coordinate beside its own size, as a small
        one may be the large one later.
        """
        kernel, blocks, grid, start = self._kernel, self._kernel.blocks, collocation(), self._x
        half = 0.5 * length * self._sign
        ways, at = np.tile(half, (DEGREE + 1, 1)), (-1, *start.shape)
        x = np.tile(start, (DEGREE + 1, 1))
        for _ in range(ITERATIONS):
            velocity = kernel.pullback(x, ways).reshape(at)
            new = start + np.tensordot(grid.integral, velocity, axes=1)
            size, moved = (np.abs(part).max(axis=0) for part in (new, new - x.reshape(at)))
            x = new.reshape(x.shape)
            if not (moved > 4 * EPS * size).any():
                break
        between = np.tensordot(grid.between, x.reshape(at), axes=1).reshape(-1, start.shape[1])
        values = kernel.value(x).reshape(-1, *length.shape)
        w_error = _missed(kernel.value(between).reshape(-1, *length.shape), values)
        asked = kernel.pullback(between, np.tile(half, (len(grid.between), 1))).reshape(at)
        x_error = _missed(asked, velocity) + np.maximum(moved - 4 * EPS * size, 0.0)
        beside = blocks.largest(x_error / (STEP_TOL * size + 1e-300))[:, blocks.of_output]
        error = np.maximum(beside, w_error / np.maximum(TAIL_TOL * _change(values), 1e-300))
        return values, x[-2:], np.nan_to_num(error, nan=np.inf)


def _change(values: Array) -> Array:
    return np.asarray(np.abs(values - values[:1]).max(axis=0))


def _missed(asked: Array, values: Array) -> Array:
    """How far numbers between the points are from the polynomial through values at them, beyond rounding."""
    error = np.abs(asked - np.tensordot(collocation().between, values, axes=1)).max(axis=0)
    return np.maximum(error - 16 * EPS * np.abs(values).max(axis=0), 0.0)


class Collocation(NamedTuple):
    """What takes values at the extreme points of T_DEGREE in [-1, 1] to other numbers, as matrices.

    To the integral from -1 to each of them, to values at LOOKS angles a gap, to the series in T_k, and that to powers.
    """

    integral: Array
    between: Array
    series: Array
    powers: Array


@cache
def collocation() -> Collocation:
    """The matrices of `Collocation`."""
    angle = np.pi * np.arange(DEGREE + 1) / DEGREE
    looks = (angle[:-1, None] + angle[1] * np.arange(1, LOOKS + 1) / (LOOKS + 1)).ravel()
    nodes = -np.cos(angle)
    ends = np.where(np.arange(DEGREE + 1) % DEGREE == 0, 0.5, 1.0)  # of the sums of the discrete cosine transform
    series = (2 / DEGREE) * ends[:, None] * ends * chebyshev.chebvander(nodes, DEGREE).T
    powers = np.zeros((DEGREE + 1, DEGREE + 1))
    for k in range(DEGREE + 1):
        powers[: k + 1, k] = chebyshev.cheb2poly(np.eye(DEGREE + 1)[k])[: k + 1]
    integral = chebyshev.chebvander(nodes, DEGREE + 1) @ chebyshev.chebint(series, lbnd=-1)
    return Collocation(integral, chebyshev.chebvander(-np.cos(looks), DEGREE) @ series, series, powers)
