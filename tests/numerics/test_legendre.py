"""Integrals of Legendre series are those of their polynomials; terms that get smaller continue them."""

import numpy as np
import pytest
from numpy.polynomial import Legendre

from geoflow.numerics.legendre import dwindling, integrals


def test_integrals_are_those_of_the_polynomial(rng):
    coefficients, x = rng.standard_normal((6, 3)), np.array([-1.0, -0.3, 0.7, 1.0, 2.5])
    found = integrals(x, 6) @ coefficients
    assert found.shape == (5, 3) and np.abs(found[0]).max() < 1e-15
    for column, values in zip(coefficients.T, found.T, strict=True):
        assert np.allclose(values, Legendre(column).integ(lbnd=-1)(x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("rate", "x", "count"), [(0.01, 1.5, 8), (0.9, 3.0, 2)])
def test_terms_are_kept_while_they_get_smaller(rate, x, count):
    """Coefficients r^k, and P_k(x), which grows by x + sqrt(x^2 - 1) at most."""
    assert dwindling(rate ** np.arange(8.0), x) == count


def test_terms_of_rounding_size_are_left_out():
    sizes = np.maximum(1e-3 ** np.arange(10.0), 1e-16)
    assert dwindling(sizes, 3.0) == 7
