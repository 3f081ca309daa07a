"""Blocks with one output that are one function from one start: what is computed for one of them serves them all."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array, Index
from geoflow.maps.kernel import MapKernel

#: outputs of the map of one of each, beside all outputs, up to which it is worth its while
WORTH = 0.5


class Alike:
    """A map of one block of each kind and start, and what takes the outputs of all blocks there and back.

    Its outputs are a function at many points where the map has one: w of shape=[N, d] go to shape=[N m, r], for r kinds
    with at most m blocks each.

    Attributes
    ----------
    kernel : MapKernel
    start : array
        Its point, flat.
    kinds : array, shape=[d]
        Of which of its outputs every output of all blocks is.
    """

    def __init__(self, whole: MapKernel, whole_start: Array, kernel: MapKernel, inputs: Index, kind: Index):
        blocks, self.kernel, self._d = whole.blocks, kernel, whole.codomain_dim
        self.start, self._whole_start, r = whole_start[inputs], whole_start, int(kind.max()) + 1
        #: the place of every output among those of its kind
        self.kinds, self._slot = kind, np.empty(self._d, dtype=int)
        order = np.argsort(kind, kind="stable")
        sizes = np.bincount(kind, minlength=r)
        begins = np.cumsum(sizes) - sizes
        self._slot[order] = np.arange(self._d) - begins[kind[order]]
        self.slots = int(sizes.max())
        #: the output that fills each slot of each kind, the first of the kind where it has fewer
        self._fill = np.tile(order[begins], (self.slots, 1))
        self._fill[self._slot, kind] = np.arange(self._d)
        #: where the inputs of every output are among those of the map of one of each; unused ones nowhere
        used = np.flatnonzero(blocks.of_input >= 0)
        output = np.argsort(blocks.of_output)[blocks.of_input[used]]
        own = kernel.blocks
        table = np.zeros((r, int(blocks.sizes.max(initial=1))), dtype=int)
        mine = np.flatnonzero(own.of_input >= 0)
        table[np.argsort(own.of_output)[own.of_input[mine]], own.place_in_block[mine]] = mine
        self._used, self._slot_of_input = used, self._slot[output]
        self._place_of_input = table[kind[output], blocks.place_in_block[used]]

    @classmethod
    def of(cls, whole: MapKernel, start: Array) -> Alike | None:
        """Those of a map from a start, compared with it at points; None where few are alike, or that is not known."""
        if not whole.grows_alone or whole.codomain_dim < 2 or (kinds := whole.kinds) is None:
            return None
        blocks = whole.blocks
        output = np.argsort(blocks.of_output)
        values = np.zeros((whole.codomain_dim, int(blocks.sizes.max(initial=1))))
        used = np.flatnonzero(blocks.of_input >= 0)
        values[output[blocks.of_input[used]], blocks.place_in_block[used]] = start[used]
        _, first, kind = np.unique(np.c_[kinds, values], axis=0, return_index=True, return_inverse=True)
        ascending = np.argsort(first)
        kind = np.argsort(ascending)[kind.ravel()]
        slots = int(np.bincount(kind).max())
        if len(first) > WORTH * whole.codomain_dim or slots * len(first) > 2 * whole.codomain_dim:
            return None
        found = whole.some_outputs(first[ascending])
        if found is None or found[0].blocks.width > 1:
            return None
        alike = cls(whole, start, *found, kind)
        return alike if alike._agrees(whole) else None

    def column(self, output: int) -> int:
        """Which of the kinds an output is of."""
        return int(self.kinds[output])

    def gather(self, w: Array) -> Array:
        """Numbers of the outputs of all blocks, shape=[N, d], at those of one of each, shape=[N m, r]."""
        return w[:, self._fill].reshape(-1, self._fill.shape[1])

    def scatter(self, values: Array) -> Array:
        """The inverse, shape=[N m, r] to shape=[N, d]."""
        return values.reshape(-1, *self._fill.shape)[:, self._slot, self.kinds]

    def scatter_points(self, x: Array) -> Array:
        """The inputs of all blocks from those of one of each, shape=[N m, D'] to shape=[N, D]; unused ones stay."""
        parts = x.reshape(-1, self.slots, x.shape[-1])
        out = np.tile(self._whole_start, (len(parts), 1))
        out[:, self._used] = parts[:, self._slot_of_input, self._place_of_input]
        return out

    def points_of(self, x: Array) -> Array:
        """The points at which all blocks of a kind are as the one of it, shape=[N, D'] to shape=[N, D]."""
        return self.scatter_points(np.repeat(x, self.slots, axis=0))

    def _agrees(self, whole: MapKernel) -> bool:
        """Whether the outputs of all blocks are those of one of each, at points around the start and elsewhere."""
        rng = np.random.default_rng(3)
        shape = 2 * self.slots, self.kernel.dim
        x = np.concatenate([self.start * rng.uniform(0.5, 1.5, shape), rng.uniform(0.5, 1.5, shape)])
        mine, all_of_them = self.scatter(self.kernel.value(x)), whole.value(self.scatter_points(x))
        return np.array_equal(mine, all_of_them, equal_nan=True) or np.allclose(
            mine, all_of_them, rtol=1e-13, atol=0, equal_nan=True
        )
