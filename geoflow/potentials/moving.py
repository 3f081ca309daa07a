"""Points of a Legendre function that move with their dual coordinates, w = grad Q(mu), for solvers in mu or nu."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.errors import GeoflowError, UserCodeError
from geoflow.maps.leaf import Leaf
from geoflow.potentials.kernel import LegendreKernel

#: growth of x, to first order, by which points of a leaf move at once where nothing else limits a step
FAR = 0.4


class MovingPoints(Protocol):
    """Points w of shape=[N, d], moved to where grad R(w) = mu; each move may start from the last.

    `patience`: the steps that a solver may take without getting nearer, many where `reach` keeps them small.
    """

    patience: int

    def move(self, mu: Array) -> Array:
        """grad Q(mu), shape=[N, d]; NaN where mu is not in the range of grad R."""
        ...

    def along(self, mu: Array) -> Array:
        """grad Q at one mu after the other, shape=[T, N, d]."""
        ...

    def reach(self, way: Array) -> float:
        """The multiple of a way in mu, shape=[N, d], up to which a move is not far, and has a value."""
        ...

    def gram(self, A: Array) -> Array:
        """A hess Q(mu) A^T at the one point where the last move ended, for A of shape=[n, d]."""
        ...


class Solvable(Protocol):
    """What solving grad R(w) = mu from a start asks of R."""

    kernel: LegendreKernel

    def inverse_gradient(self, mu: ArrayLike, start: ArrayLike | None = None) -> Array:
        """The w with grad R(w) = mu; raises where there is none."""
        ...


def _beyond(mu: Array, way: Array) -> float:
    """No way far beyond mu itself."""
    return float(10 * (1 + np.abs(mu).max()) / (np.abs(way).max() + 1e-300))


class ClosedPoints:
    """Those of R with grad Q in closed form; `conjugate` is the kernel of Q."""

    patience = 12

    def __init__(self, conjugate: LegendreKernel, mu: Array):
        self._conjugate, self._mu = conjugate, mu

    def move(self, mu: Array) -> Array:
        self._mu = mu
        return self._conjugate.gradient(mu)

    def along(self, mu: Array) -> Array:
        return self._conjugate.gradient(mu.reshape(-1, mu.shape[-1])).reshape(mu.shape)

    def reach(self, way: Array) -> float:
        return _beyond(self._mu, way)

    def gram(self, A: Array) -> Array:
        return A @ self._conjugate.hessian(self._mu)[0] @ A.T


class SolvedPoints:
    """Those of R without: Newton's method from the last point."""

    patience = 12

    def __init__(self, R: Solvable, mu: Array, w: Array):
        self._R, self._mu, self._w = R, mu, w

    def move(self, mu: Array) -> Array:
        try:
            with np.errstate(all="ignore"):
                w = self._R.inverse_gradient(mu, self._w)
        except UserCodeError:
            raise
        except GeoflowError:
            return np.full(mu.shape, np.nan)
        if np.isfinite(w).all():
            self._mu, self._w = mu, w
        return w

    def along(self, mu: Array) -> Array:
        return np.stack([self.move(one) for one in mu])

    def reach(self, way: Array) -> float:
        return _beyond(self._mu, way)

    def gram(self, A: Array) -> Array:
        return A @ self._R.kernel.cometric(self._w)[0] @ A.T


class MovingLeafPoints:
    """Those of an R that a map induces: joint flows on the leaf, and products with the cometric of the map."""

    patience = 100

    def __init__(self, leaf: Leaf, w: Array):
        self._kernel, self._mover = leaf.kernel, leaf.mover(w)

    def move(self, mu: Array) -> Array:
        return self._mover.move(mu)

    def along(self, mu: Array) -> Array:
        return np.stack([self.move(one) for one in mu])

    def reach(self, way: Array) -> float:
        """Up to a growth of x by a part: x^L blows up where the growth to first order is 1 / (L - 2)."""
        growth = self._mover.growth(way)
        return FAR / growth if growth > 0 else np.inf

    def gram(self, A: Array) -> Array:
        return self._kernel.gram(self._mover.x, A)
