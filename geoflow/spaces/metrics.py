"""A geomstats metric that is known by its cometric."""

from __future__ import annotations

from typing import Any

import numpy as np
from geomstats.geometry.riemannian_metric import RiemannianMetric

from geoflow._typing import Array, ArrayLike, Map


class CometricMetric(RiemannianMetric):
    """The metric C(w)^{-1} on a space of vectors.

    Parameters
    ----------
    space : geomstats manifold
    cometric : callable
        w of shape=[..., d] to C(w) of shape=[..., d, d].
    """

    def __init__(self, space: Any, cometric: Map):
        super().__init__(space=space)
        self._cometric = cometric

    def cometric_matrix(self, base_point: ArrayLike) -> Array:
        """C(w), shape=[..., d, d]."""
        return self._cometric(np.asarray(base_point, dtype=float))

    def metric_matrix(self, base_point: ArrayLike) -> Array:
        """C(w)^{-1}, shape=[..., d, d]."""
        return np.linalg.inv(self.cometric_matrix(base_point))
