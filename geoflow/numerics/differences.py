"""Directional derivatives by differences, with an error that tells smooth functions from rough ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Map, Mask
from geoflow.errors import DomainError, NotFiniteError

#: steps of the differences, in lengths of the direction: WIDEST, and LEVELS - 1 of them RATIO times shorter each
LEVELS, RATIO, WIDEST = 6, 4.0, 2.0**-5
#: entries of all points of a difference up to which the function is called once
AT_ONCE = 2**18
#: the same again from these widths on, before a difference is held against a derivative: features may be narrower
FINER = (0.7 * 2.0**-5, 2.0**-13, 2.0**-20, 2.0**-26)
#: entries of all the states beside one, of a field that is asked about them at once
MOVED = 2**21
#: a derivative is wrong where it is off by TOL relative, and by so many times the error of the differences
TOL, CLEAR = 1e-6, 100.0


class Slopes(NamedTuple):
    """Derivatives along a direction by differences, their error as seen from step to step, infinite where there are
    none, and the plain central difference of every step, shape=[LEVELS, ...]."""

    value: Array
    error: Array
    raw: Array

    def first(self) -> Slopes:
        """Those at the first point."""
        return Slopes(self.value[:1], self.error[:1], self.raw[:, :1])

    def summed(self, weights: Array) -> Slopes:
        """Those of the sum with these weights over the last axis."""
        error = np.sum(np.abs(weights) * self.error, axis=-1)
        return Slopes(np.sum(weights * self.value, axis=-1), error, np.sum(weights * self.raw, axis=-1))


def slopes(f: Map, x: Array, v: Array, widest: float = WIDEST) -> Slopes:
    """d/ds f(x + s v) at s = 0, for f of shape=[M, D] to shape=[M, ...] and x and v of shape=[N, D].

    Central differences at six steps, extrapolated; of all extrapolations each entry takes the one that changes least
    from step to step. Where f is not defined at the wide steps, by the narrow ones.

    Reference
    ---------
    Ridders, Advances in Engineering Software 4, 1982.
    """
    steps = widest * RATIO ** -np.arange(LEVELS)
    with np.errstate(all="ignore"):
        up, down = _both_sides(f, x, v, steps)
        width = np.reshape(steps, (-1, *[1] * (up.ndim - 1)))
        first = (up - down) / (2 * width)
        # a difference that vanishes where wider ones do not is lost in the rounding of larger terms
        moved = np.logical_or.accumulate(np.nan_to_num(first) != 0, axis=0)
        first = np.where((first == 0) & moved, np.nan, first)
        rounding = 4 * np.finfo(float).eps * np.maximum(np.abs(up), np.abs(down)) / width
        # values that carry more noise than their last digit show it at the narrowest steps
        sharper = first[1:] + (first[1:] - first[:-1]) / (RATIO**2 - 1)
        noise = np.fmax(np.abs(sharper[-1] - sharper[-2]) * steps[-1], np.abs(sharper[-2] - sharper[-3]) * steps[-2])
        rounding = np.fmax(rounding, noise / width)
        value, error = np.full(first.shape[1:], np.nan), np.full(first.shape[1:], np.inf)
        above: list[Array] = []
        for k in range(LEVELS):
            row = [first[k]]
            for j in range(1, min(k, 4) + 1):
                row.append(row[-1] + (row[-1] - above[j - 1]) / (RATIO ** (2 * j) - 1))
                change = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - above[j - 1])) + rounding[k]
                better = change < error
                value, error = np.where(better, row[j], value), np.where(better, change, error)
            above = row
    return Slopes(value, error, first)


def _both_sides(f: Map, x: Array, v: Array, steps: Array) -> tuple[Array, Array]:
    """f(x + s v) and f(x - s v) at all steps, shape=[LEVELS, N, ...]; in one call where the arrays are small."""
    signed = np.concatenate([steps, -steps])
    if signed.size * x.size <= AT_ONCE:
        try:
            points = x + signed[:, None, None] * v
            values = np.asarray(f(points.reshape(-1, x.shape[-1])), dtype=float)
            values = values.reshape(len(signed), len(x), *values.shape[1:])
            return values[:LEVELS], values[LEVELS:]
        except Exception:  # not defined at the widest steps
            pass
    found = [_or_none(f, x + s * v) for s in signed]
    defined = next((value for value in found if value is not None), np.full(len(x), np.nan))
    values = np.stack([np.full(defined.shape, np.nan) if value is None else value for value in found])
    return values[:LEVELS], values[LEVELS:]


def _or_none(f: Map, x: Array) -> Array | None:
    try:
        return np.asarray(f(x), dtype=float)
    except Exception:
        return None


def clearly_off(a: Array, found: Slopes, scale: Array | float = 0.0) -> Mask:
    """Where a derivative is not the one of the differences, beyond their error and 1e-13 of the scale.

    A derivative that is not finite is off where the differences converge.
    """
    with np.errstate(all="ignore"):
        off = np.abs(a - found.value)
        size = np.abs(found.value)
        far = (off > TOL * (np.abs(a) + size)) & (off > CLEAR * found.error) & (off > 1e-13 * scale)
        return np.where(np.isfinite(a), far, np.isfinite(found.value) & (found.error <= 1e-3 * size + 1e-12 * scale))


def stays_off(a: Array, again: Callable[[float], Slopes], off: Mask, scale: Array | float = 0.0) -> Mask:
    """Where a derivative that is off stays off: `again`, a width to the differences of that width, has no other scale
    on which they agree with it. What is rough agrees on the finest."""
    wide = again(FINER[0])
    off = off & clearly_off(a, wide, scale)
    for width in FINER[1:]:
        if not off.any():
            break
        fine = again(width)
        with np.errstate(all="ignore"):
            off = off & ~(np.abs(a - fine.raw) <= 0.1 * np.abs(a - wide.value)).any(axis=0)
    return off


def directions(x: Array, rng: np.random.Generator, centre: Array | float = 0.0) -> Array:
    """Random directions at points of shape=[N, D], each coordinate in its own size from the centre."""
    away = np.abs(x - centre)
    typical = np.sqrt((away**2).mean(axis=-1, keepdims=True))
    others = float(np.min(typical, initial=np.inf, where=typical > 0))
    least = np.where(typical > 0, 0.1 * typical, others if np.isfinite(others) else 1.0)
    return rng.standard_normal(x.shape) * np.maximum(away, least)


def entrywise_jacobian(field: Map, y: Array, active: int) -> Array:
    """The derivative of a field on states of shape=[n, k] whose entries do not depend on each other; shape=[n k, n k].

    For an implicit integrator, which asks for no more than that it converges: by differences on one side, in one batch
    of the field. Only the first `active` columns are moved; where the field has no value, its derivative is 0.
    """
    n, k = y.shape
    head, jacobian, entry = y[:, :active], np.zeros((n, k, n, k)), np.arange(n)
    size = np.abs(head).max(axis=1, keepdims=True)
    step = 1.5e-8 * np.maximum(np.abs(head), np.where(size > 0, 1e-3 * size, 1e-6))
    for columns in np.array_split(np.arange(active), max(1, active * y.size // MOVED)):
        moved, place = np.repeat(y[None], 1 + len(columns), axis=0), np.arange(len(columns))
        moved[1 + place, :, columns] += step.T[columns]
        width = moved[1 + place, :, columns] - y.T[columns]
        try:
            with np.errstate(all="ignore"):
                values = np.asarray(field(moved.reshape(-1, k)), dtype=float).reshape(moved.shape)
                slopes = (values[1:] - values[0]) / width[:, :, None]
        except (DomainError, NotFiniteError, FloatingPointError, np.linalg.LinAlgError):
            continue
        slopes = np.moveaxis(np.where(np.isfinite(slopes), slopes, 0.0), 0, 2)
        jacobian[entry[:, None], :, entry[:, None], columns[None, :]] = np.swapaxes(slopes, 1, 2)
    return jacobian.reshape(n * k, n * k)
