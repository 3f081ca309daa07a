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


def moments(weights: Array, rows: Array, order: int) -> Array:
    """sum_k p_k r_k, sum_k p_k r_k r_k^T or that of three, by matrix products, which can be differentiated.

    Weights of shape=[..., m] and rows of shape=[..., m, d] to shape=[..., d], [..., d, d] or [..., d, d, d].
    """
    if order == 1:
        return anp.matmul(weights[..., None, :], rows)[..., 0, :]
    weighted, d = weights[..., None] * rows, np.shape(rows)[-1]
    if order == 3:
        weighted = weighted[..., :, None] * rows[..., None, :]
        weighted = anp.reshape(weighted, (*np.shape(weighted)[:-2], d * d))
    found = anp.matmul(anp.swapaxes(weighted, -1, -2), rows)
    return found if order == 2 else anp.reshape(found, (*np.shape(found)[:-2], d, d, d))


def pulled_back(value: Array, A: Array, order: int) -> Array:
    """A form on its last axes, shape=[..., e, e, ...], at A v in each, A of shape=[..., e, d]; a product an axis."""
    wide = A.reshape(*A.shape[:-2], *[1] * (order - 2), *A.shape[-2:]) if order > 2 else A
    for _ in range(order):
        value = anp.matmul(value, A) if order == 1 else anp.moveaxis(anp.matmul(value, wide), -1, -order)
    return value


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
