"""What the record of a map on R^D tells: its blocks, which of them are one function, and some outputs as a map."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from geoflow._typing import Array, Index, Map
from geoflow.maps.blocks import Blocks
from geoflow.numerics import autodiff
from geoflow.numerics.parts import kinds, part
from geoflow.numerics.records import Record, record
from geoflow.numerics.structure import components


class Reading:
    """A map of flat points, shape=[..., D] to shape=[..., d], recorded at one point and checked at others."""

    def __init__(self, function: Map, dim: int, codomain_dim: int):
        self._function, self._dim, self._codomain_dim = function, dim, codomain_dim

    @cached_property
    def blocks(self) -> Blocks:
        """Outputs that share no input, checked by derivatives; one block where there is no record."""
        one = Blocks.one(self._dim, self._codomain_dim)
        if self._codomain_dim == 1 or self._record is None:
            return one
        found = Blocks(*components(self._record))
        return one if found.single or self._meet(found) else found

    @cached_property
    def kinds(self) -> Index | None:
        """Labels of the outputs, shape=[d]: with one label they are one function of the inputs of their blocks."""
        return None if self._record is None else kinds(self._record, self.blocks.place_in_block)

    def some_outputs(self, outputs: Index) -> tuple[Map, Index] | None:
        """Some outputs as a function of the inputs that they depend on, and those inputs."""
        return None if self._record is None else part(self._record, outputs)

    @cached_property
    def _points(self) -> Array:
        return np.random.default_rng(1).uniform(0.5, 1.5, (3, self._dim))

    @cached_property
    def _record(self) -> Record | None:
        return record(self._function, self._points[0])[0]

    def _meet(self, blocks: Blocks) -> bool:
        """Whether some of the blocks, drawn at random, pull back to inputs of the others."""
        rng = np.random.default_rng(2)
        for x in self._points:
            chosen = rng.integers(0, 2, (8, blocks.count)).astype(float)
            mu = chosen[:, blocks.of_output] * rng.standard_normal((8, self._codomain_dim))
            with np.errstate(all="ignore"):
                pulled = autodiff.value_and_vjp(self._function, np.tile(x, (8, 1)))[1](mu)
            if np.any((pulled != 0) & (blocks.at_inputs(chosen) == 0)):
                return True
        return False
