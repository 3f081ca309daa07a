"""The identity of a Hessian manifold as a parametrization."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow._validate import require_type
from geoflow.maps.kernel import MapKernel
from geoflow.maps.parametrization import Parametrization
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.numerics import autodiff
from geoflow.numerics.batches import pulled_back
from geoflow.potentials.legendre import LegendreFunction


def identity(R: LegendreFunction, name: str = "identity") -> Parametrization:
    """The identity map of the Hessian manifold (dom R, hess R): it commutes for every R, and induces R."""
    require_type(R, LegendreFunction, "R")
    return Parametrization.from_kernel(IdentityKernel(R), DuallyFlatManifold(R).space, name)


class IdentityKernel(MapKernel):
    """w on (dom R, hess R), with gradients H^{-1} e_i and their derivatives -H^{-1} T H^{-1} in closed form."""

    def __init__(self, R: LegendreFunction):
        self.dim = self.codomain_dim = R.dim
        self._kernel = R.kernel

    def value(self, x: Array) -> Array:
        if autodiff.is_traced(x):
            return x
        return np.where(self._kernel.inside(x)[..., None], x, np.nan)

    def jacobian(self, x: Array) -> Array:
        return np.broadcast_to(np.eye(self.dim), (*np.shape(x), self.dim))

    def gradients(self, x: Array) -> Array:
        return self._kernel.cometric(x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        C = self.gradients(x)
        return C, C

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        C, T = self._kernel.cometric(x), self._kernel.third_derivative(x)
        along = np.einsum("...abk,...mk->...mab", T, directions)
        return -pulled_back(along, C[..., None, :, :], 2)  # C is symmetric

    derivative_of_cometric = derivative_of_gradients
