"""Motions of few unknowns by Picard's iteration: the velocities at all nodes of a step are asked for in one batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

from geoflow._typing import Array
from geoflow.errors import UserCodeError
from geoflow.numerics.legendre import dwindling, integrals
from geoflow.numerics.runs import UNDEFINED, Tolerances

#: nodes of a step, and iterations that it may take
NODES, ITERATIONS = 16, 30
#: part of the tolerance to which the iteration is solved; to rounding, where changes get no smaller from the sixth on
SOLVED, ROUNDED, SOME = 0.003, 0.3, 6
#: first change of a way beside it from which a step is given up, and what it is then made to be
STEEP, AIMED = 2.5, 1.5
#: error beside the tolerance at which a step is given up before the iteration is solved
HOPELESS = 100.0
#: a step beside the one that the error allows, beside the last one at least and at most, and where none was solved
SAFE, SHORTER, LONGER, UNSOLVED = 0.9, 0.2, 4.0, 0.4
#: iterations from which the next step is no longer, those from which it is shorter, and by what
MANY, TOO_MANY, SLOWER = 18, 24, 0.7
#: the least step, below which an integrator that adapts to singularities and stiffness does better
LEAST_STEP = 1 / 64
#: points in every gap of the nodes at which the velocity is looked at again, once a step is solved
BETWEEN = 3
#: numbers in the states at all nodes, up to which a batch of them costs about as much as one
AT_ONCE = 2**13
#: part in the error of the coefficient before the last, which itself may be 0 by chance
BEFORE = 0.3
#: part of the tolerance that the error of the polynomials may be
SHARE = 0.1


class Gauss(NamedTuple):
    """Gauss's nodes in (0, 1), shape=[m], and what takes values there to the integrals up to each node and up to 1,
    shape=[m + 1, m], and to coefficients in Legendre polynomials, shape=[m, m]; ends and points between, shape=[n],
    and what takes coefficients to the values and to the integrals there, both of shape=[n, m]."""

    nodes: Array
    integrals: Array
    series: Array
    between: Array
    seen: Array
    moved: Array


@cache
def gauss(count: int = NODES) -> Gauss:
    """The matrices of collocation at Gauss's nodes."""
    x, _ = legendre.leggauss(count)
    series = np.linalg.inv(legendre.legvander(x, count - 1))
    angles = np.arccos(np.r_[1.0, -x, -1.0])
    parts = np.arange(1, BETWEEN + 1) / (BETWEEN + 1)
    between = np.r_[-1.0, -np.cos(angles[:-1, None] + np.diff(angles)[:, None] * parts).ravel(), 1.0]
    up_to, moved = integrals(np.append(x, 1.0), count) @ series / 2, integrals(between, count) / 2
    return Gauss((x + 1) / 2, up_to, series, (between + 1) / 2, legendre.legvander(between, count - 1), moved)


class Rowwise:
    """A field whose rows know nothing of each other: rate(s, y, *parameters) is y', shape=[N, k].

    s is a number, or one of every row, shape=[N, 1]; `parameters` are of shape=[N, ...].
    """

    def __init__(self, rate: Callable[..., Array], *parameters: Array):
        self._rate, self._parameters = rate, parameters
        self._tiled: dict[int, tuple[Array, ...]] = {}

    def __call__(self, s: float, y: Array) -> Array:
        return self._rate(s, y, *self._parameters)

    def at_nodes(self, s: Array, y: Array) -> Array:
        """The velocities at times of shape=[m] of a state at each, shape=[m, N, k], in one call."""
        m, n, k = y.shape
        if m not in self._tiled:
            self._tiled[m] = tuple(np.concatenate([p] * m) for p in self._parameters)
        found = self._rate(np.repeat(s, n)[:, None], y.reshape(m * n, k), *self._tiled[m])
        return np.asarray(found, dtype=float).reshape(y.shape)


class _Step(NamedTuple):
    """A step: its length, the ways to its nodes and its end, the coefficients of the velocity, and its iterations."""

    h: float
    ways: Array
    series: Array
    iterations: int


class Picard:
    """y' = field(s, y) by Picard's iteration on the polynomials through Gauss's nodes: each asks for one batch.

    Smooth flows that are not stiff take a fifth as many calls as by DOP853, of two to five times as many rows.
    The error that tolerances bound is that of the polynomials, of order 16; ends of steps are of order 32.

    Reference
    ---------
    Clenshaw, Norton, The solution of nonlinear ordinary differential equations in Chebyshev series, Comput. J. (1963).
    Wright, Some relationships between implicit Runge-Kutta, collocation and Lanczos tau methods, BIT 10 (1970).
    """

    def __init__(self, field: Rowwise, tolerances: Tolerances):
        self._field, self._tolerances = field, tolerances
        self._last: _Step | None = None

    def advance(
        self, y: Array, velocity: Array, passing: Callable[[float, Array], None] | None = None
    ) -> tuple[float, Array]:
        """How far in [0, 1] steps lead from y at 0, shape=[N, k], and the states there: where a step would be short.

        `velocity` is that at the start, and `passing` is shown a state within every step, and its end.
        """
        s, h = 0.0, 1.0
        while s < 1:
            step, factor = self._accepted(s, y, velocity, min(h, 1 - s))
            if step is None:
                break
            if passing is not None:
                passing(s + step.h * float(gauss().nodes[NODES // 2]), y + step.ways[NODES // 2])
            s, y, self._last = 1.0 if step.h == 1 - s else s + step.h, y + step.ways[-1], step
            if passing is not None:
                passing(s, y)
            most = LONGER if step.iterations < MANY else 1.0 if step.iterations < TOO_MANY else SLOWER
            h = step.h * min(factor, most)
        return s, y

    def _accepted(self, s: float, y: Array, velocity: Array, h: float) -> tuple[_Step | None, float]:
        """A step of length h from y at s, or shorter, and by what the next may be longer; None where it is short."""
        least = min(LEAST_STEP, 1 - s)
        while h >= least:
            try:
                step, factor = self._step(s, y, velocity, h)
            except (*UNDEFINED, UserCodeError):  # nothing is known of the field so far ahead
                step, factor = None, UNSOLVED
            if step is not None:
                return step, factor
            h *= factor
        return None, UNSOLVED

    def _step(self, s: float, y: Array, velocity: Array, h: float) -> tuple[_Step | None, float]:
        """A step of length h, None where it is not accurate, and by what another is to be longer or shorter."""
        method, before = gauss(), np.inf
        ways = h * np.tensordot(method.integrals, self._guess(velocity, h), 1)
        for k in range(1, ITERATIONS + 1):
            v = self._field.at_nodes(s + h * method.nodes, y + ways[:-1])
            if not np.isfinite(v).all():
                break
            found = h * np.tensordot(method.integrals, v, 1)
            change, ways = np.abs(found - ways).max(axis=0), found
            if k == 1 and self._last is None:
                steep = float((change.max(axis=1) / np.maximum(np.abs(ways).max(axis=(0, 2)), 1e-300)).max())
                if steep > STEEP:
                    return None, max(AIMED / steep, SHORTER)
            size = self._tolerances.measured([change], y, y + ways[-1])
            rate, stalled = size / before, k > SOME and size > before / 2
            solved = size <= SOLVED**2 or (k > 1 and rate < 1 and size * rate <= SOLVED * (1 - rate))
            solved = solved or (stalled and size <= ROUNDED)
            if solved or k % SOME == 0:
                series = np.tensordot(method.series, v, 1)
                tail = np.abs(series[-1]) + BEFORE * np.abs(series[-2])
                error = self._error(h * tail, y, ways[-1])
                if error > HOPELESS * max(size, 1.0):
                    return None, _factor(error)
                if solved:
                    error = max(error, self._error(h * self._unseen(s, y, h, series), y, ways[-1]))
                    return (_Step(h, ways, series, k) if error <= 1 else None), _factor(error)
            if stalled and size > before:
                break
            before = size
        return None, UNSOLVED

    def _guess(self, velocity: Array, h: float) -> Array:
        """The velocity at the nodes as that of the last step goes on, by as many terms as get smaller there."""
        last = self._last
        if last is None:
            return np.broadcast_to(velocity, (NODES, *velocity.shape))
        x = 1 + 2 * h / last.h * gauss().nodes
        kept = dwindling(np.abs(last.series).max(axis=(1, 2)), float(x[-1]))
        return np.moveaxis(legendre.legval(x, last.series[:kept]), -1, 0)

    def _error(self, off: Array, y: Array, way: Array) -> float:
        """What terms of this size, or what the polynomial is off by, move beside what it may be; infinite for NaN."""
        error = self._tolerances.measured([off / (2 * NODES * SHARE)], y, y + way)
        return error if np.isfinite(error) else np.inf

    def _unseen(self, s: float, y: Array, h: float, series: Array) -> Array:
        """How far the polynomial is from the velocity at both ends and between the nodes, where it leads."""
        method = gauss()
        v = self._field.at_nodes(s + h * method.between, y + h * np.tensordot(method.moved, series, 1))
        return np.abs(v - np.tensordot(method.seen, series, 1)).max(axis=0)


def _factor(error: float) -> float:
    """A step beside one with this error beside what is allowed."""
    return max(SHORTER, SAFE * max(error, 1e-300) ** (-1 / NODES)) if np.isfinite(error) else UNSOLVED
