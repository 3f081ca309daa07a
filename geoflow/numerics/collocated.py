"""Stiff flows by collocation of high order: the velocities at all stages of a step are asked for in one batch."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.polynomial import legendre
from scipy.integrate import DenseOutput, OdeSolver
from scipy.linalg import lu_factor, lu_solve

from geoflow._typing import Array, Field
from geoflow.numerics.legendre import dwindling, integrals

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: stages of a step
STAGES = 9
#: Newton steps for the states at the stages, and the part of the tolerance to which they are solved, or to rounding
NEWTON, SOLVED, ROUNDED = 12, 0.03, 0.3
#: part of the last Newton step, after so many, from which they do not converge
STALLED, SOME = 0.9, 3
#: error beside the tolerance at which a step is given up before its stages are solved
HOPELESS = 100.0
#: a step beside the one that the error allows, beside the last one at least and at most, and where none was solved
SAFE, SHORTER, LONGER, UNSOLVED = 0.9, 0.2, 5.0, 0.25
#: Newton steps from which the next step is no longer than the last
MANY = 6
#: error below which the trend of errors says nothing
SMALL = 1e-2
#: the first step beside the time in which the velocity changes, and beside all of it
FIRST, AT_FIRST = 0.1, 1e-4
#: the least tolerance
LEAST = 1e-290
#: Legendre polynomials at the start of a step
ALTERNATING = (-1.0) ** np.arange(STAGES)
#: part in the error of the coefficient before the last, which itself may be 0 by chance
BEFORE = 0.3


class Radau(NamedTuple):
    """Radau IIA: nodes in (0, 1], shape=[s], weights A, shape=[s, s], and A = Re(back diag(shifts) into).

    `series` takes the ways from the start to the nodes to the coefficients of h y' in Legendre polynomials.
    """

    nodes: Array
    A: Array
    shifts: Array
    into: Array
    back: Array
    series: Array


@cache
def radau(stages: int = STAGES) -> Radau:
    """The matrices of Radau IIA, with one eigenvalue of A of each conjugate pair.

    Reference
    ---------
    Hairer, Wanner, Solving Ordinary Differential Equations II, section IV.5.
    """
    ends = np.r_[np.zeros(stages - 1), 1.0, -1.0]
    x = np.sort(legendre.legroots(ends).real)
    for _ in range(3):
        x -= legendre.legval(x, ends) / legendre.legval(x, legendre.legder(ends))
    x[-1] = 1.0
    series = np.linalg.inv(legendre.legvander(x, stages - 1))
    A = integrals(x, stages) @ series / 2
    shifts, vectors = np.linalg.eig(A)
    inverse, kept = np.linalg.inv(vectors), shifts.imag >= 0
    twice = np.where(shifts[kept].imag > 0, 2.0, 1.0)
    return Radau((x + 1) / 2, A, shifts[kept], inverse[kept], vectors[:, kept] * twice, series @ np.linalg.inv(A))


class Options(TypedDict):
    """The keywords of `Collocation`."""

    rtol: float
    atol: float
    jac: Field
    velocities: Field
    max_step: float
    vectorized: bool


class Collocation(OdeSolver):
    """y' = f(y) by Radau IIA of nine stages, a method of `solve_ivp`: fewer, longer steps than those of LSODA.

    `velocities` is (t, states of shape=[m, k]) to f of each, where t is the start of the step that they belong to, and
    `jac` is (t, y) to the derivative of f, which is asked for once a step. Steps are of order 17 at their ends; the
    error that tolerances bound is that of the polynomial in between, of order 9.

    Reference
    ---------
    Hairer, Wanner, Stiff differential equations solved by Radau methods, J. Comput. Appl. Math. 111 (1999).
    """

    t: float
    y: Array

    def __init__(self, fun: Field, t0: float, y0: Array, t_bound: float, **options: Unpack[Options]):
        super().__init__(fun, t0, y0, t_bound, options["vectorized"])
        self._rtol, self._atol, self._longest = options["rtol"], options["atol"], options["max_step"]
        self._velocities, self._jac = options["velocities"], options["jac"]
        self._h, self._error = 0.0, 0.0
        self._last: _Polynomial | None = None
        self._velocity = np.zeros_like(self.y)

    def _step_impl(self) -> tuple[bool, str | None]:
        jacobian, left = np.asarray(self._jac(self.t, self.y), dtype=float), self.t_bound - self.t
        if not np.isfinite(jacobian).all():
            return False, "the jacobian is not finite"
        h = self._h if self._last else self._first(jacobian)
        while True:
            h = min(h, self._longest, left)
            if h <= 10 * np.spacing(self.t):
                return False, self.TOO_SMALL_STEP
            way, error, count = self._solved(jacobian, h)
            if error <= 1:
                break
            h *= max(SHORTER, SAFE * error ** (-1 / STAGES)) if np.isfinite(error) else UNSOLVED
        factor = SAFE * max(error, 1e-300) ** (-1 / STAGES)
        if self._last:  # what made the last step shorter than the one before goes on
            factor *= min(1.0, h / self._last.h * (max(self._error, SMALL) / max(error, SMALL)) ** (1 / STAGES))
        self._h, self._error = h * min(max(factor, SHORTER), LONGER if count < MANY else 1.0), error
        end = self.t_bound if h == left else self.t + h
        series = radau().series @ way
        self._last, self._velocity = _Polynomial(self.t, end, self.y, series), series.sum(axis=0) / h
        self.t, self.y = end, self.y + way[-1]
        return True, None

    def _dense_output_impl(self) -> DenseOutput:
        return self._last

    def _first(self, jacobian: Array) -> float:
        """A small part of the time, and of that in which the velocity changes as it does at the start."""
        self._velocity = self._velocities(self.t, self.y[None])[0]
        change = np.linalg.norm(jacobian @ self._velocity)
        short = AT_FIRST * (self.t_bound - self.t)
        return min(short, float(FIRST * np.linalg.norm(self._velocity) / change)) if change > 0 else short

    def _solved(self, jacobian: Array, h: float) -> tuple[Array, float, int]:
        """The ways to the stages of a step, its error beside the tolerance, NaN where there is no solution, and the
        Newton steps it took.
        """
        method, y, way, eye = radau(), self.y, self._guess(h), np.eye(len(self.y))
        factors = [lu_factor(eye - h * shift * jacobian, check_finite=False) for shift in method.shifts]
        self.nlu += len(factors)
        before = np.inf
        for k in range(1, NEWTON + 1):
            missing = h * (method.A @ self._velocities(self.t, y + way)) - way
            if not np.isfinite(missing).all():
                break
            parts = [lu_solve(f, r, check_finite=False) for f, r in zip(factors, method.into @ missing, strict=True)]
            step = (method.back @ np.stack(parts)).real
            way = way + step
            scale = np.maximum(self._atol + self._rtol * np.maximum(np.abs(y), np.abs(y + way).max(axis=0)), LEAST)
            size, error = _rms(step / scale), self._error_of(way, h, scale)
            rate, stalled = size / before, k > SOME and size > STALLED * before
            converged = size <= SOLVED**2 or (k > 1 and size * rate <= SOLVED * (1 - rate))
            if converged or (k > 1 and error > HOPELESS) or (stalled and size <= ROUNDED):
                return way, error, k
            if stalled:
                break
            before = size
        return way, np.nan, NEWTON

    def _guess(self, h: float) -> Array:
        """The ways to the stages as the polynomial of the last step goes on, by as many terms as get smaller there."""
        last = self._last
        if last is None:
            return np.zeros((STAGES, len(self.y)))
        x = 1 + 2 * h / last.h * radau().nodes
        terms = np.abs(last.series / (self._atol + self._rtol * np.abs(self.y) + LEAST)).max(axis=1)
        kept = dwindling(terms, float(x[-1]))
        return legendre.legval(x, last.series[:kept]).T - last.series[:kept].sum(axis=0)

    def _error_of(self, way: Array, h: float, scale: Array) -> float:
        """The error beside what is allowed, of the worst unknown: a kink is in one of them.

        The last term of the polynomial, and what the velocity at the start, where no stage is, moves before the first.
        """
        series = radau().series @ way
        before, last = np.abs(series[-2:])
        unseen = radau().nodes[0] / 2 * np.abs(ALTERNATING @ series - h * self._velocity)
        return float((((last + BEFORE * before) / (2 * STAGES) + unseen) / scale).max())


def _rms(parts: Array) -> float:
    """The largest root mean square of rows."""
    return float(np.sqrt(np.square(parts).mean(axis=-1)).max())


class _Polynomial(DenseOutput):
    """A step's states, less that at its start, by Legendre polynomials: their coefficients, shape=[STAGES + 1, k]."""

    def __init__(self, t_old: float, t: float, y_old: Array, velocity: Array):
        super().__init__(t_old, t)
        self.h, self.series, self._y = t - t_old, legendre.legint(velocity, lbnd=-1) / 2, y_old

    def _call_impl(self, t: Array) -> Array:
        x = 2 * (t - self.t_old) / self.h - 1
        y = self._y if t.ndim == 0 else self._y[:, None]
        return y + legendre.legval(x, self.series)
