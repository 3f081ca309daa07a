"""Zeros of decreasing functions of one variable, one for every entry of a batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, Index

#: steps in all, how far from 0 a zero is looked for, and a value that is none any more
STEPS, FARTHEST, ZERO = 200, 1500.0, 1e-13


def decreasing_zeros(g: Callable[[Index, Array], Array], count: int) -> Array:
    """The s with g_k(s) = 0, shape=[count], for decreasing functions of slope about -2; NaN where there is none.

    g takes indices and arguments, shape=[m] each, to values, which may be infinite. From 0 in steps that double until
    there is a bracket, then by the Illinois rule, or by halves where a value is infinite.

    Reference
    ---------
    Dowell, Jarratt, A modified regula falsi method, BIT 1971.
    """
    s, found, side = np.zeros(count), np.full(count, np.nan), np.zeros(count)
    ends, values = np.tile([[-np.inf], [np.inf]], count), np.zeros((2, count))
    longest, todo = np.ones(count), np.arange(count)
    for _ in range(STEPS):
        at = s[todo]
        value = g(todo, at)
        place = (value <= 0).astype(int)  # which end of the bracket moves
        ends[place, todo], values[place, todo] = at, value
        again = np.where(place == side[todo], 0.5, 1.0)  # the end that stays behind twice counts half
        values[1 - place, todo] *= np.where(np.isfinite(ends[1 - place, todo]), again, 1.0)
        side[todo] = place
        done = (np.abs(value) <= ZERO) | (ends[1, todo] - ends[0, todo] <= 4e-16 * np.maximum(np.abs(at), 1.0))
        found[todo[done]] = at[done]
        go = ~done & ~np.isnan(value) & (np.abs(at) < FARTHEST)
        todo, at, value = todo[go], at[go], value[go]
        if not len(todo):
            break
        (low, high), (g_low, g_high) = ends[:, todo], values[:, todo]
        with np.errstate(all="ignore"):
            inner = low + (high - low) * (g_low / (g_low - g_high))
            inner = np.where((inner > low) & (inner < high), inner, (low + high) / 2)
            outer = at + np.sign(value) * np.clip(np.abs(value) / 2, longest[todo] / 64, longest[todo])
        bracketed = np.isfinite(low) & np.isfinite(high)
        s[todo] = np.where(bracketed, inner, outer)
        longest[todo] *= 2
    return found
