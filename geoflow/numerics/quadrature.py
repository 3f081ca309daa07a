"""Integrals over [0, 1] of positive functions, for a batch: Gauss-Legendre on panels halved until two orders agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from geoflow._typing import Array, Index
from geoflow.numerics.batches import SLICE

#: the two orders that are compared, how far they agree relative to the integral, and how often a panel is halved
ORDERS, AGREE, HALVINGS = (7, 10), 1e-12, 60
#: panels a batch may have at once, so many an entry and so many in all
PANELS, LEAST_PANELS = 16, 256


@cache
def gauss(order: int) -> tuple[Array, Array]:
    """Nodes and weights on [0, 1]."""
    x, weights = np.polynomial.legendre.leggauss(order)
    return (1 + x) / 2, weights / 2


def integrals(f: Callable[[Index, Array], Array], count: int, entries: int = 1) -> tuple[Array, Array]:
    """The integrals over [0, 1] of `count` functions with nonnegative values, and what is in doubt of each.

    f takes indices of functions, shape=[m], and points, shape=[m, n], to values of shape=[m, n, ...]; a function of
    several components is refined until their sum is resolved. `entries` is what f forms at one point.
    """
    (low_nodes, low_weights), (high_nodes, high_weights) = map(gauss, ORDERS)
    nodes, split = np.concatenate([low_nodes, high_nodes]), len(low_nodes)
    index, start, size = np.arange(count), np.zeros(count), np.ones(count)
    total: Array | None = None
    doubt = np.zeros(count)
    for step in range(HALVINGS + 1):
        values = _in_parts(f, index, start[:, None] + size[:, None] * nodes, entries)
        width = size.reshape(-1, *[1] * (values.ndim - 2))
        low, high = (
            width * np.einsum("mn...,n->m...", values[:, part], weights)
            for part, weights in ((slice(split), low_weights), (slice(split, None), high_weights))
        )
        if total is None:
            total = np.zeros((count, *values.shape[2:]))
        gap, panel = (np.abs(part).reshape(len(index), -1).sum(axis=1) for part in (high - low, high))
        whole = np.bincount(index, panel, count) + np.abs(total).reshape(count, -1).sum(axis=1)
        last = step == HALVINGS or 2 * len(index) > PANELS * count + LEAST_PANELS
        with np.errstate(invalid="ignore"):
            open_ = ~(gap <= AGREE * np.maximum(panel, 1e-3 * whole[index]))
        done = ~open_ | last
        np.add.at(total, index[done], high[done])
        np.add.at(doubt, index[done], gap[done])
        if not (~done).any():
            break
        index, start, size = index[~done], start[~done], size[~done] / 2
        index, start, size = np.tile(index, 2), np.concatenate([start, start + size]), np.tile(size, 2)
    assert total is not None
    return total, doubt


def _in_parts(f: Callable[[Index, Array], Array], index: Index, t: Array, entries: int) -> Array:
    step = max(1, SLICE // max(entries * t.shape[1], 1))
    with np.errstate(all="ignore"):
        parts = [f(index[k : k + step], t[k : k + step]) for k in range(0, len(index), step)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
