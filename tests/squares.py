"""G(x) = x o x from a point x0: its map, the potential R that it induces, and the minimum of a loss."""

import autograd.numpy as anp
import numpy as np

import geoflow as gf

square = gf.Parametrization(lambda x: x**2, 2, 2)
x0 = np.array([1.0, 0.5])
entropy = gf.LegendreFunction(
    lambda w: anp.sum(w * anp.log(w) - w, -1) / 4,
    gf.domains.Orthant(2),
    conjugate=lambda mu: anp.sum(anp.exp(4 * mu), -1) / 4,
)
a = np.array([0.5, 2.0])
