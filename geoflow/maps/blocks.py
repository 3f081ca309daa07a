"""Blocks of a map that share no input: every block's products at once, in one pass over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from geoflow._typing import Array, Index, Mask
from geoflow.numerics.batches import inverse_or_nan


class Blocks:
    """A partition of outputs and inputs such that the outputs of a block depend on its inputs only.

    Since no two blocks share an input, one covector that is 1 at the k-th output of every block pulls back to the k-th
    gradients of all of them, side by side: `width` pullbacks give every row, whatever d is.

    Parameters
    ----------
    outputs, inputs : array of int, shape=[d], shape=[D]
        A label of the block of each output and input; inputs of no output have labels of their own.

    Attributes
    ----------
    count, width : int
        The number of blocks, and of outputs of the largest.
    of_output, of_input : array of int, shape=[d], shape=[D]
        The number of the block, from 0; -1 for an input that no output depends on.
    """

    def __init__(self, outputs: Index, inputs: Index):
        kinds, self.of_output = np.unique(outputs, return_inverse=True)
        self.count, self.dim, self.codomain_dim = len(kinds), len(inputs), len(outputs)
        place = np.searchsorted(kinds, inputs)
        known = kinds[np.minimum(place, self.count - 1)] == inputs
        self.of_input = np.where(known, place, -1)
        order = np.argsort(self.of_output, kind="stable")
        starts = np.searchsorted(self.of_output[order], np.arange(self.count))
        #: the place of each output in its block, shape=[d]
        self.rank = np.empty(len(outputs), dtype=int)
        self.rank[order] = np.arange(len(outputs)) - starts[self.of_output[order]]
        self.width = int(self.rank.max()) + 1

    @classmethod
    def one(cls, dim: int, codomain_dim: int) -> Blocks:
        """All outputs and inputs in one block, which says nothing."""
        return cls(np.zeros(codomain_dim, dtype=int), np.zeros(dim, dtype=int))

    @property
    def single(self) -> bool:
        """Whether there is nothing to gain."""
        return self.count == 1

    def units(self) -> Array:
        """The covectors that are 1 at the k-th output of every block, shape=[width, d]."""
        return (self.rank == np.arange(self.width)[:, None]).astype(float)

    def input_units(self) -> Array:
        """The directions that are 1 at the m-th input of every block, shape=[size, D]."""
        places = np.arange(int(self.sizes.max(initial=1)))[:, None]
        return ((self.place_in_block == places) & (self.of_input >= 0)).astype(float)

    def split(self, w: Array) -> Array:
        """Vectors of outputs block by block: shape=[..., d] to shape=[..., count, width], 0 beyond a block's own."""
        out = np.zeros((*np.shape(w)[:-1], self.count, self.width))
        out[..., self.of_output, self.rank] = w
        return out

    def join(self, parts: Array) -> Array:
        """The inverse: shape=[..., count, width] to shape=[..., d]."""
        return parts[..., self.of_output, self.rank]

    def at_inputs(self, per_block: Array) -> Array:
        """A number of every block at each of its inputs, 0 at inputs of none: shape=[..., count] to shape=[..., D]."""
        spread = per_block[..., self.of_input]
        return spread if self._all_used else np.where(self.of_input >= 0, spread, 0.0)

    def sums(self, x: Array) -> Array:
        """Sums over the inputs of every block: shape=[..., D] to shape=[..., count]."""
        order = self._sorted_inputs
        if order.ndim == 2:
            total = x[..., order[0]]
            for places in order[1:]:
                total += x[..., places]
            return total
        return self._reduced(np.add, x[..., order])

    def largest(self, x: Array) -> Array:
        """The largest |x| over the inputs of every block: shape=[..., D] to shape=[..., count]."""
        order = self._sorted_inputs
        if order.ndim == 2:
            return np.abs(x[..., order]).max(axis=-2)
        return self._reduced(np.maximum, np.abs(x[..., order]))

    def without_one(self, x: Array) -> Iterator[tuple[Mask, Array]]:
        """x with the k-th input of every block 0, and which inputs those are, shape=[D]; for every k."""
        for k in range(int(self.sizes.max(initial=0))):
            mask = (self.place_in_block == k) & (self.of_input >= 0)
            yield mask, np.where(mask, 0.0, x)

    @cached_property
    def padding(self) -> Mask:
        """Which places of `split` belong to no output, shape=[count, width]."""
        empty = np.ones((self.count, self.width), dtype=bool)
        empty[self.of_output, self.rank] = False
        return empty

    def products(self, left: Array, right: Array) -> Array:
        """Inner products of rows within every block: shape=[..., m, D] twice to shape=[..., count, m, m]."""
        m = left.shape[-2]
        out = np.empty((*left.shape[:-2], self.count, m, m))
        for k in range(m):
            for j in range(k, m):
                out[..., k, j] = self.sums(left[..., k, :] * right[..., j, :])
                out[..., j, k] = out[..., k, j]
        return out

    def matrices(self, rows: Array) -> Array:
        """The rows of every block on its own inputs, zeros beside: shape=[..., m, D] to [..., count, m, size]."""
        out = np.zeros((*rows.shape[:-1], self.count, int(self.sizes.max(initial=1))))
        used = self.of_input >= 0
        out[..., self.of_input[used], self.place_in_block[used]] = rows[..., used]
        return np.moveaxis(out, -2, -3)

    def coarser(self, pattern: Mask) -> Blocks:
        """The blocks of A G(x) for a matrix with these entries that are not zero, shape=[e, d]."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        rows, columns = np.nonzero(pattern)
        n = len(pattern) + self.count
        ends = rows, len(pattern) + self.of_output[columns]
        label = connected_components(coo_matrix((np.ones(len(rows)), ends), shape=(n, n)), directed=False)[1]
        merged = np.where(self.of_input >= 0, label[len(pattern) + self.of_input], n + np.arange(self.dim))
        return Blocks(label[: len(pattern)], merged)

    @staticmethod
    def beside(parts: list[Blocks]) -> Blocks:
        """The blocks of a product of maps."""
        outputs, inputs, base = [], [], 0
        for part in parts:
            outputs.append(base + part.of_output)
            unused = base + part.count + np.arange(part.dim)
            inputs.append(np.where(part.of_input >= 0, base + part.of_input, unused))
            base += part.count + part.dim
        return Blocks(np.concatenate(outputs), np.concatenate(inputs))

    @cached_property
    def _all_used(self) -> bool:
        return bool((self.of_input >= 0).all())

    @cached_property
    def _sorted_inputs(self) -> Index:
        """The inputs block by block; as shape=[size, count] where all blocks have as many."""
        used = np.flatnonzero(self.of_input >= 0)
        order = used[np.argsort(self.of_input[used], kind="stable")]
        sizes = self.sizes
        return np.ascontiguousarray(order.reshape(self.count, -1).T) if sizes.min() == sizes.max() > 0 else order

    @cached_property
    def place_in_block(self) -> Index:
        """The place of every input among those of its block, shape=[D]."""
        order = np.argsort(self.of_input, kind="stable")
        place = np.empty(self.dim, dtype=int)
        place[order] = np.arange(self.dim) - np.searchsorted(self.of_input[order], self.of_input[order])
        return place

    @cached_property
    def sizes(self) -> Index:
        """The number of inputs of every block, shape=[count]; 0 where its outputs are constant."""
        return np.bincount(self.of_input[self.of_input >= 0], minlength=self.count)

    def _reduced(self, operation: np.ufunc, sorted_by_block: Array) -> Array:
        out = np.zeros((*sorted_by_block.shape[:-1], self.count))
        some = self.sizes > 0
        if some.any():
            starts = (np.cumsum(self.sizes) - self.sizes)[some]
            out[..., some] = operation.reduceat(sorted_by_block, starts, axis=-1)
        return out


def solved_blocks(gram: Array, right: Array) -> Array:
    """Solutions of positive semidefinite systems, shape=[..., m, m] and shape=[..., m]; NaN where singular."""
    m = gram.shape[-1]
    if m == 1:
        size = gram[..., 0]
        with np.errstate(all="ignore"):
            return np.where(np.isfinite(size) & (size > 0), right / size, np.nan)
    gram = np.array(gram, dtype=float)
    size = np.einsum("...ii->...", gram)
    singular = ~(np.isfinite(size) & (size > 0))
    gram[singular] = np.eye(m)
    try:
        found = np.linalg.solve(gram, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        found = np.einsum("...ij,...j->...i", inverse_or_nan(gram), right)
    found[singular] = np.nan
    return found


def weighted_gram(A: Array, weights: Array) -> Array:
    """A diag(weights) A^T for weights >= 0, shape=[n, d] and shape=[d], in parts of 2 MB."""
    root, step = np.sqrt(weights), max(1, 2**18 // max(len(A), 1))
    total = np.zeros((len(A), len(A)))
    for k in range(0, len(root), step):
        part = A[:, k : k + step] * root[k : k + step]
        total += part @ part.T
    return total
