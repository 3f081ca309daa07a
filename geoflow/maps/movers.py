"""Points of a leaf that move with their dual coordinates, from where they are or from where the leaf begins."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array, Index
from geoflow.maps.kernel import MapKernel
from geoflow.maps.lifts import growth_of, joint_motion
from geoflow.maps.segments import LeafPoints
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL


class LeafMover:
    """Points psi(x0; mu) of a leaf, moved by joint flows from where they are, or from x0 where that is nearer.

    `w` is G(x), shape=[N, d], and `pull` the pullback at x.
    """

    def __init__(self, kernel: MapKernel, start: Array, points: LeafPoints):
        self._kernel = kernel
        self._start: Array = np.broadcast_to(start, points.x.shape)
        self._settle(points.x, points.mu)

    def _settle(self, x: Array, mu: Array) -> None:
        self.x, self.mu = x, mu
        self.w, self.pull = self._kernel.linearized(x)

    def move(self, mu: Array) -> Array:
        """G(psi(x0; mu)), shape=[N, d] to [N, d]; NaN where a flow ends before, and what does not arrive stays."""
        if np.array_equal(mu, self.mu):
            return self.w
        end = self._ends(mu, np.arange(len(mu)))
        arrived = np.asarray(np.isfinite(end).all(axis=1, keepdims=True))
        if arrived.any():
            self._settle(np.where(arrived, end, self.x), np.where(arrived, mu, self.mu))
        return np.where(arrived, self.w, np.nan)

    def _ends(self, mu: Array, index: Index) -> Array:
        """psi(x0; mu) of some entries, NaN where a flow ends: halves of them go on where one does not arrive."""
        way = mu[index] - self.mu[index]
        if np.abs(mu[index]).max() < np.abs(way).max():
            end, stop = joint_motion(self._kernel, self._start[index], mu[index], FLOW_RTOL, FLOW_ATOL)
        else:
            pulled = self.pull(way) if len(index) == len(mu) else None
            end, stop = joint_motion(self._kernel, self.x[index], way, FLOW_RTOL, FLOW_ATOL, pulled)
        if stop is None and np.isfinite(end).all():
            return end
        if len(index) == 1:
            return np.full(end.shape, np.nan)
        return np.concatenate([self._ends(mu, half) for half in np.array_split(index, 2)])

    def growth(self, way: Array) -> float:
        """How fast the velocity of x changes, beside itself, as mu sets out on a way, shape=[N, d].

        It is that of x for x^2, L - 1 times that of x for x^L, and 0 for a linear map, wherever x is.
        """
        kernel, velocity = self._kernel, self.pull(way)
        bend = kernel.derivative_of_pullback(self.x, way, velocity)
        return float(growth_of(kernel, velocity, bend).max())
