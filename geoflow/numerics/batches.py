"""Batches and blocks: consecutive blocks of an axis, and steps that are shortened entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoflow._typing import Index, Mask


def consecutive(sizes: Sequence[int]) -> list[slice]:
    """Slices of the given lengths, one after the other."""
    ends = np.cumsum(sizes)
    return [slice(int(end) - int(size), int(end)) for end, size in zip(ends, sizes, strict=True)]


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
