"""Squares of the coordinates on the unit sphere: a parametrization of the simplex on a curved manifold."""

from __future__ import annotations

import numpy as np
from geomstats.geometry.hypersphere import Hypersphere

from geoflow._typing import Array
from geoflow.catalog import functions  # noqa: F401  registers the potentials
from geoflow.catalog.registry import Case, Entry, parametrizations, potentials
from geoflow.maps.parametrization import Parametrization


def _sphere(d: int) -> Case:
    x0 = np.sqrt(np.linspace(1.0, 2.0, d + 1) / np.linspace(1.0, 2.0, d + 1).sum())
    space = Hypersphere(d)
    G = Parametrization(lambda x: x[..., :d] ** 2, space, d, name="sphere_squares")

    def sample(n: int, rng: np.random.Generator) -> Array:
        points = np.abs(x0 + rng.uniform(-0.2, 0.2, size=(n, d + 1)))
        return points / np.linalg.norm(points, axis=-1, keepdims=True)

    return Case(G, x0, (0.25 * potentials["simplex_entropy"](d)).tilt(x0[:d] ** 2), sample, mu_bound=0.3)


parametrizations.add(
    Entry("sphere_squares", "sphere", "x_i^2, i <= d, on the unit sphere of R^{d+1}", "simplex", "R, grad R, hess R, Q",
          _sphere)
)  # fmt: skip
