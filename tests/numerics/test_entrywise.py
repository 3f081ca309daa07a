"""Derivatives of functions of one variable, against autograd's own to order three."""

from itertools import islice

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad

from geoflow.numerics import entrywise
from geoflow.numerics.entrywise import OF_ONE_VARIABLE

INSIDE = {anp.arccosh: (1.5, 4.0), anp.arcsin: (-0.9, 0.9), anp.arccos: (-0.9, 0.9), anp.arctanh: (-0.9, 0.9)}
POSITIVE = {anp.log, anp.log2, anp.log10, anp.log1p, anp.sqrt}


@pytest.mark.parametrize("f", OF_ONE_VARIABLE, ids=lambda f: f.__name__)
def test_derivatives_are_those_of_autograd(f, rng):
    x = rng.uniform(*INSIDE.get(f, (0.2, 2.0)), 50)
    if f not in INSIDE and f not in POSITIVE:
        x[::2] *= -1
    found = [*islice(OF_ONE_VARIABLE[f](x, f(x)), 3)]
    g = f
    for derivative in found:
        if derivative is None:  # the one before is a constant
            assert np.array_equal(g(x), g(1.01 * x))
            break
        g = elementwise_grad(g)
        assert np.allclose(derivative, g(x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("p", [0, 1, 2, 3, 5, -1, -2, 0.5, 1.5, 2.5, np.array([0.0, 1.0, 2.0, 2.5])])
def test_powers(p, scale, rng):
    x = scale * rng.uniform(0.5, 1.5, (6, 4))
    coefficient, q = 1.0, np.asarray(p, dtype=float)
    for derivative in islice(entrywise.powers(x, p), 3):
        coefficient, q = coefficient * q, q - 1
        wanted = coefficient * x**q
        assert np.allclose(0.0 if derivative is None else derivative, wanted, rtol=1e-14, atol=0)


def test_powers_at_zero():
    zero = np.zeros(1)
    slopes = {p: [*islice(entrywise.powers(zero, p), 3)] for p in (0, 1, 2, 3)}
    assert slopes[0] == [None, None, None] and slopes[1][0] == 1.0 and slopes[1][1:] == [None, None]
    assert slopes[2][:2] == [0.0, 2.0] and slopes[2][2] is None and slopes[3] == [0.0, 0.0, 6.0]
    with np.errstate(divide="ignore"):
        first, second = islice(entrywise.powers(zero, 1.5), 2)
    assert first == 0.0 and np.isposinf(second)
