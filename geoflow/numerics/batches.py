"""Batches: blocks of an axis, solves that give NaN at the entries that fail, steps shortened entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Index, Map, Mask
from geoflow.errors import GeoflowError, UserCodeError


def consecutive(sizes: Sequence[int]) -> list[slice]:
    """Slices of the given lengths, one after the other."""
    ends = np.cumsum(sizes)
    return [slice(int(end) - int(size), int(end)) for end, size in zip(ends, sizes, strict=True)]


def solved_or_nan(solve: Map, batch: Array, axes: int = 1) -> Array:
    """solve(batch), of the shape of the batch; where that raises, entry by entry, NaN at those that raise.

    An entry is an array of so many `axes`.
    """
    try:
        return np.asarray(solve(batch))
    except UserCodeError:
        raise
    except (GeoflowError, np.linalg.LinAlgError):
        if batch.ndim == axes:
            return np.full(batch.shape, np.nan)
        return np.stack([solved_or_nan(solve, entry, axes) for entry in batch])


def same_batch(a: Any, b: Any) -> tuple[Any, Any]:
    """Two arrays with one batch shape, by operations that can be differentiated."""
    shape = np.broadcast_shapes(anp.shape(a), anp.shape(b))
    return a + anp.zeros(shape), b + anp.zeros(shape)


def inverse_or_nan(A: Array) -> Array:
    """Inverses of matrices, shape=[..., d, d]; NaN where singular."""
    return solved_or_nan(np.linalg.inv, A, axes=2)


#: entries of an array that work over a batch forms at once
SLICE = 2**22


def in_slices(
    f: Callable[..., tuple[Array, ...]], entries: int, *arrays: Array | Index, at_once: int | None = None
) -> tuple[Array, ...]:
    """f of arrays with one leading axis, shape=[n, ...], in slices so that n times `entries` is at most `at_once`.

    By default that is SLICE.
    """
    n = len(arrays[0])
    step = max(1, (at_once or SLICE) // max(entries, 1))
    parts = [f(*(a[k : k + step] for a in arrays)) for k in range(0, n, step)]
    return parts[0] if len(parts) == 1 else tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def halve(accept: Callable[[Index, float], Mask], todo: Index, tries: int, factor: float = 0.5) -> Index:
    """Offer the entries `todo` of a batch the fractions 1, factor, factor^2, ... of their steps until each accepts one.

    `accept`, (indices, fraction) to which of these entries take it, keeps what it accepts. Returns the entries that
    accepted nothing.
    """
    fraction = 1.0
    for _ in range(tries):
        if len(todo) == 0:
            break
        todo = todo[~np.asarray(accept(todo, fraction), dtype=bool)]
        fraction *= factor
    return todo
