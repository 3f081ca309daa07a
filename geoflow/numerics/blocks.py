"""Consecutive blocks of the last axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def consecutive(sizes: Sequence[int]) -> list[slice]:
    """Slices of the given lengths, one after the other."""
    ends = np.cumsum(sizes)
    return [slice(int(end) - int(size), int(end)) for end, size in zip(ends, sizes, strict=True)]
