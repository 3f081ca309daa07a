"""Q = R* as a formula that solves grad R(w) = mu, and the range of a gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, ArrayLike, Map, Mask
from geoflow.numerics import autodiff
from geoflow.numerics.batches import pulled_back, solved_or_nan
from geoflow.potentials.kernel import LegendreKernel


class ConjugateFormula:
    """Q(mu) = <w, mu> - R(w) at the w with grad R(w) = mu, and its derivatives; NaN where there is no such w."""

    def __init__(self, kernel: LegendreKernel, solve: Map):
        self._kernel, self._solve = kernel, solve

    def derivative(self, order: int, mu: Array) -> Array:
        mu = np.asarray(mu, dtype=float)
        return self.at(order, mu, solved_or_nan(self._solve, mu))

    def at(self, order: int, mu: Array, w: Array) -> Array:
        """The derivative of Q at mu = grad R(w)."""
        if order == 1:
            return w
        if order == 0:
            return np.einsum("...i,...i->...", w, mu) - self._kernel.value(w)
        C = self._kernel.cometric(w)
        if order == 2:
            return C
        return -pulled_back(self._kernel.third_derivative(w), np.swapaxes(C, -1, -2), 3)


def range_test(kernel: LegendreKernel, function: Map) -> Callable[[ArrayLike], Mask]:
    """Whether mu is in the range of grad R: where grad R gives back the mu that its closed conjugate came from."""
    gradient = autodiff.jacobian(function)

    def inside(mu: ArrayLike) -> Mask:
        mu = np.asarray(mu, dtype=float)
        with np.errstate(all="ignore"):
            w = np.asarray(gradient(mu), dtype=float)
        ok = kernel.inside(w)
        back = kernel.derivative(1, np.where(ok[..., None], w, kernel.domain.interior_point()))
        return ok & (np.abs(back - mu).max(-1) <= 1e-6 * (1 + np.abs(mu).max(-1)))

    return inside
