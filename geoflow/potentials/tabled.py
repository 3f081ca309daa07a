"""Points of an induced R that move thousands of times: off a table of the curves of the blocks, where there is one."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from geoflow._typing import Array
from geoflow.maps.blocks import weighted_gram
from geoflow.maps.leaf import Leaf
from geoflow.maps.tables import DualTable
from geoflow.potentials.moving import MovingLeafPoints

#: outputs up to which each has a table of its own
EACH = 1000
#: pieces of a table that points of one step may add: a step that is tried may go far beyond the flow
A_STEP = 4


class TabledLeafPoints:
    """As `MovingLeafPoints`, of a leaf whose blocks have one output each; what the table does not reach is moved."""

    patience = MovingLeafPoints.patience

    def __init__(self, leaf: Leaf, w: Array):
        self._leaf, self._w, self._mu = leaf, w, np.full(w.shape, np.nan)
        of = leaf if leaf.alike is None else leaf.alike
        self._table = DualTable(of.kernel, of.start, None if leaf.alike is None else leaf.alike.kinds)

    @staticmethod
    def fit(leaf: Leaf) -> bool:
        """Whether a table is small beside what a flow asks of it."""
        return leaf.kernel.grows_alone and (leaf.alike is not None or leaf.kernel.codomain_dim <= EACH)

    def move(self, mu: Array) -> Array:
        w = self._table.value(mu)
        self._mu = mu
        return w if np.isfinite(w).all() else self._mover.move(mu)

    def along(self, mu: Array) -> Array:
        return np.stack([self.move(one) for one in mu])

    def images(self, Z: Array, mu0: Array, nu: Array) -> Array:
        total, mu_of = np.zeros((len(nu), len(Z))), lambda part: mu0[part] - nu @ Z[:, part]
        for part, w in self._table.parts(mu_of, len(nu), most=A_STEP):
            total += w @ Z[:, part].T
        return total

    def reach(self, way: Array) -> float:
        self._mover.move(self._mu)
        return self._mover.reach(way)

    def gram(self, A: Array) -> Array:
        C = self._table.slope(self._mu)[0]
        if np.isfinite(C).all():
            return weighted_gram(A, np.maximum(C, 0.0))  # where w saturates, a slope is rounding of either sign
        self._mover.move(self._mu)
        return self._mover.gram(A)

    def nudged(self, way: Array) -> Array:
        self._mover.move(self._mu)
        return self._mover.nudged(way)

    @cached_property
    def _mover(self) -> MovingLeafPoints:
        return MovingLeafPoints(self._leaf, self._w)
