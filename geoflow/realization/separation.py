"""That a polynomial map of a box is injective, proved: near points by its second derivatives, far ones by cells.

|F(w) - F(v)| >= (s - S |w - v| / 4) |w - v| for dF^T dF >= s^2 and |D^2 F| <= S on the segment, by the mean value of dF
about its middle. Far points are in two cells, with centres a and b, half sides h and n the direction of F(a) - F(b):
<n, F(w) - F(v)> >= |F(a) - F(b)| - sum_i (|<n, d_i F(a)>| + |<n, d_i F(b)>|) h_i - S |h|^2.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from geoflow._typing import Array
from geoflow.numerics.rounded import GROWN, Rounded

#: part of s that near points give away, cells an axis at first, halvings, and pairs of cells at one size
GIVEN, FIRST, HALVINGS, MOST_PAIRS = 0.8, {1: 16, 2: 8, 3: 4}, 5, 1_000_000


class Map(Protocol):
    """What is asked of a map: see `argument.Polynomials`."""

    d: int

    def bend(self) -> float: ...
    def centres(self, count: int) -> tuple[Rounded, list[Rounded]]: ...
    def half_sides(self, count: int) -> Array: ...


def injective(F: Map, stretch: float) -> float:
    """c > 0 with |F(w) - F(v)| >= c |w - v| on the box, for |dF h| >= stretch |h| there; 0 where it is not shown."""
    bend = F.bend()
    if not (stretch > 0 and bend < np.inf):
        return 0.0
    reach = 4 * GIVEN * stretch / bend if bend else np.inf  # how near points are near
    margin = (1 - GIVEN) * stretch * (1 - 1e-12)
    count = FIRST[F.d]
    cells = np.stack(np.meshgrid(*[np.arange(count)] * F.d, indexing="ij"), -1).reshape(-1, F.d)
    one, two = np.triu_indices(len(cells))
    pairs = np.stack([cells[one], cells[two]], axis=1)  # [K, 2, d]
    for left in reversed(range(HALVINGS + 1)):
        half = F.half_sides(count)
        apart = np.abs(pairs[:, 0] - pairs[:, 1]) + 1.0  # in sides, between any two points of both
        farthest = np.sqrt(np.sum(np.square(apart * (2 * half)), axis=1)) * GROWN
        far = farthest > reach
        pairs, farthest = pairs[far], farthest[far]
        if len(pairs) == 0:
            return float(margin)
        gap = _gap(F, pairs, count, bend * float(np.sum(np.square(half))) * GROWN)
        # cells are halved where that may raise the margin, and is not too dear
        shown = gap > (1 - GIVEN) * stretch * farthest
        if left == 0 or np.count_nonzero(~shown) * 4**F.d > MOST_PAIRS:
            shown = gap > 0
        if shown.any():
            margin = min(margin, float((gap[shown] / farthest[shown]).min()) * (1 - 1e-12))
        pairs = pairs[~shown]
        if len(pairs) * 4**F.d > MOST_PAIRS:
            return 0.0
        pairs, count = _halved(pairs, F.d), 2 * count
        if len(pairs) == 0:
            return float(margin)
    return 0.0


def _gap(F: Map, pairs: Array, count: int, curved: float) -> Array:
    """Lower bounds of the distances between the images of two cells."""
    values, slopes = F.centres(count)
    half = F.half_sides(count)
    places = [tuple(pairs[:, side].T) for side in (0, 1)]
    between = values[places[0]] - values[places[1]]
    length = np.sqrt(np.square(between.value).sum(axis=-1))
    n = between.value / np.where(length > 0, length, 1.0)[:, None]  # any vector may be taken, of any length near 1
    size = np.sqrt(np.square(n).sum(axis=-1)) * GROWN
    direction = Rounded(n)
    along = (direction * between).total()
    lost = np.zeros(len(pairs))
    for place in places:
        for i, slope in enumerate(slopes):
            lost = lost + (direction * slope[place]).total().size * half[i]
    spent = along.error + lost + curved * size
    lower = along.value - spent - 1e-12 * (np.abs(along.value) + spent)
    return np.asarray(np.where(length > 0, lower, -1.0) / np.maximum(size, 1.0))


def _halved(pairs: Array, d: int) -> Array:
    """Each pair of cells as all pairs of their halves along every axis; of a cell with itself, too."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * (2 * d), indexing="ij"), -1).reshape(-1, 2, d)
    return np.asarray((2 * pairs[:, None] + corners[None]).reshape(-1, 2, d))
