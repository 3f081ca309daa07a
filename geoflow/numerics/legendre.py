"""Series in Legendre polynomials on [-1, 1]: their integrals, and how far they may be continued."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from geoflow._typing import Array


def integrals(x: Array, count: int) -> Array:
    """What takes so many coefficients to the integrals from -1 to points, shape=[n] to shape=[n, count]."""
    return np.asarray(legendre.legvander(x, count) @ legendre.legint(np.eye(count), lbnd=-1))


def dwindling(sizes: Array, x: float) -> int:
    """How many of the first terms get smaller at a point beyond 1, by the sizes of their coefficients: at least two."""
    terms = sizes * legendre.legvander(np.array([x]), len(sizes) - 1)[0]
    return int(np.argmin(terms[1:])) + 2
