"""Points of a Legendre function that move with their dual coordinates, w = grad Q(mu), for solvers in mu or nu."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from geoflow._typing import Array, Index, Mask
from geoflow.errors import GeoflowError, UserCodeError
from geoflow.maps.leaf import Leaf
from geoflow.numerics import autodiff
from geoflow.numerics.runs import LARGEST_IMPLICIT
from geoflow.potentials.kernel import LegendreKernel
from geoflow.potentials.newton import Newton

#: growth of the velocity, to first order, by which points of a leaf move at once where nothing else limits a step
FAR = 0.8
#: what rounding may move points on a path by, beside the largest of them so far
PATH = 1e-6

#: Z, mu0 and nu to Z grad Q(mu0 - Z^T nu)
Images = Callable[[Array, Array, Array], Array]


class MovingPoints(Protocol):
    """Points w of shape=[N, d], moved to where grad R(w) = mu; each move may start from the last.

    `patience`: the steps that a solver may take without getting nearer, many where `reach` keeps them small.
    `images` is Z grad Q(mu0 - Z^T nu) of Z, one mu0, shape=[d], and many nu, shape=[T, n], without solving for any: NaN
    where that takes it, None if all do.
    """

    patience: int

    @property
    def images(self) -> Images | None: ...

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

    def nudged(self, way: Array) -> Array:
        """grad Q(mu + way) there, shape=[d], to first order, for a way, shape=[d], that mu itself may not resolve."""
        ...


class Solvable(Protocol):
    """What solving grad R(w) = mu from a start asks of R."""

    kernel: LegendreKernel
    newton: Newton


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

    def images(self, Z: Array, mu0: Array, nu: Array) -> Array:
        return self._conjugate.gradient(mu0 - nu @ Z) @ Z.T

    def reach(self, way: Array) -> float:
        return _beyond(self._mu, way)

    def gram(self, A: Array) -> Array:
        if A.shape[1] > LARGEST_IMPLICIT:
            product = self._products(A)
            if product is not None:
                return product
        return A @ self._conjugate.hessian(self._mu)[0] @ A.T

    def nudged(self, way: Array) -> Array:
        w = self._conjugate.gradient(self._mu)[0]
        if len(way) > LARGEST_IMPLICIT:
            moved = self._moved(way[None])
            return w if moved is None else np.asarray(w + moved[0])
        return np.asarray(w + self._conjugate.hessian(self._mu)[0] @ way)

    def _products(self, A: Array) -> Array | None:
        """The same by one derivative of grad Q a row, without the matrix; None where grad Q is not differentiated."""
        moved = self._moved(A)
        if moved is None:
            return None
        found = moved @ A.T
        symmetric = np.allclose(found, found.T, rtol=1e-8, atol=1e-10 * np.abs(found).max(initial=0.0))
        return found if np.isfinite(found).all() and symmetric and found.any() else None

    def _moved(self, ways: Array) -> Array | None:
        """hess Q times each way, shape=[n, d]; None where grad Q is not differentiated."""
        try:
            with np.errstate(all="ignore"):
                at = np.repeat(self._mu, len(ways), axis=0)
                return autodiff.jvp(partial(self._conjugate.formula.derivative, 1), at, ways)[1]
        except Exception:  # whatever a closed form does that is given for numbers
            return None


class SolvedPoints:
    """Those of R without: Newton's method from the last point, every entry by itself.

    An entry is where grad R(w) = mu to rounding, if that tells w to PATH digits of the largest w so far.
    """

    patience = 12
    images = None

    def __init__(self, R: Solvable, mu: Array, w: Array):
        self._R, self._mu, self._w, self._size = R, mu, w, np.abs(w).max(axis=-1)

    def move(self, mu: Array) -> Array:
        moved = np.isfinite(mu).all(axis=-1) & (mu != self._mu).any(axis=-1)
        w = np.where((mu == self._mu).all(axis=-1)[:, None], self._w, self._solved(mu, np.flatnonzero(moved)))
        good: Mask = np.asarray(np.isfinite(w).all(axis=-1))
        self._mu, self._w = np.where(good[:, None], mu, self._mu), np.where(good[:, None], w, self._w)
        self._size = np.fmax(self._size, np.abs(w).max(axis=-1))
        return w

    def _solved(self, mu: Array, index: Index) -> Array:
        """The solutions of these entries, shape=[N, d], NaN of the others and where there is none."""
        w: Array = np.full(mu.shape, np.nan)
        try:
            with np.errstate(all="ignore"):
                found = self._R.newton.solve(mu[index], self._w[index], sure=False)
        except UserCodeError:
            raise
        except GeoflowError:  # about one of the entries
            parts = np.array_split(index, 2) if len(index) > 1 else []
            return np.fmax.reduce([w, *(self._solved(mu, part) for part in parts)])
        size = np.maximum(self._size[index], np.abs(found.w).max(axis=-1, initial=0.0))
        good: Mask = np.asarray(found.converged & (found.error.max(axis=-1, initial=0.0) <= PATH * size))
        w[index[good]] = found.w[good]
        return w

    def along(self, mu: Array) -> Array:
        return np.stack([self.move(one) for one in mu])

    def reach(self, way: Array) -> float:
        return _beyond(self._mu, way)

    def gram(self, A: Array) -> Array:
        return A @ self._R.kernel.cometric(self._w)[0] @ A.T

    def nudged(self, way: Array) -> Array:
        return np.asarray(self._w[0] + self._R.kernel.cometric(self._w)[0] @ way)


class MovingLeafPoints:
    """Those of an R that a map induces: joint flows on the leaf, and products with the cometric of the map."""

    patience = 100
    images = None

    def __init__(self, leaf: Leaf, w: Array):
        self._kernel, self._mover = leaf.kernel, leaf.mover(w)

    def move(self, mu: Array) -> Array:
        return self._mover.move(mu)

    def along(self, mu: Array) -> Array:
        return np.stack([self.move(one) for one in mu])

    def reach(self, way: Array) -> float:
        """Up to a growth of the velocity by a part: that of x^L is infinite at (L - 1) / (L - 2), to first order."""
        growth = self._mover.growth(way)
        return FAR / growth if growth > 0 else np.inf

    def gram(self, A: Array) -> Array:
        return self._kernel.gram(self._mover.x, A)

    def nudged(self, way: Array) -> Array:
        x = self._mover.x[:1]
        return np.asarray(self._kernel.value(x + self._kernel.pullback(x, way[None]))[0])
