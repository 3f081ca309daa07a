"""Profiles of ridge sums: closed forms against autodiff, quadrature and 40 digits."""

import autograd.numpy as anp
import numpy as np
import pytest
from scipy.integrate import quad

import geoflow as gf
from geoflow.numerics import autodiff
from geoflow.numerics.chebyshev import Antiderivative
from geoflow.potentials.profiles import PROFILES

INSIDE = {"entropy": (0.05, 4.0), "log_barrier": (0.05, 4.0), "fermi_dirac": (0.05, 0.95)}


@pytest.mark.parametrize("name", PROFILES)
def test_closed_derivatives_are_derivatives(name):
    low, high = INSIDE.get(name, (-3.0, 3.0))
    s = np.linspace(low, high, 9)
    for order in range(3):
        f = autodiff.jacobian(lambda t, k=order: PROFILES[name].derivative(k, t[..., 0]))
        expected = f(s[:, None])[:, 0]
        assert np.allclose(PROFILES[name].derivative(order + 1, s), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", PROFILES)
def test_root_integral_is_the_integral_of_the_root(name):
    p = PROFILES[name]
    low, high = INSIDE.get(name, (-3.0, 3.0))
    expected = quad(lambda s: float(p.root_curvature(s)), low, high, epsabs=1e-13, epsrel=1e-12)[0]
    closed = p.root_integral(np.array([low, high]))
    assert abs(closed[1] - closed[0] - expected) <= 1e-12 * abs(expected)
    panels = Antiderivative(p.root_curvature, (low + high) / 2)(np.array([low, high]))
    assert abs(panels[1] - panels[0] - expected) <= 1e-13 * max(1.0, abs(expected)) * 10


def test_interval_of_a_profile_is_found():
    assert gf.Profile(lambda s: -anp.log(s)).domain == (0.0, np.inf)
    assert gf.Profile(lambda s: s * anp.log(s) + (1 - s) * anp.log(1 - s)).domain == (0.0, 1.0)
    assert gf.Profile(lambda s: -anp.log(2 - s)).domain == (-np.inf, 2.0)
    assert gf.Profile(anp.cosh).domain == (-np.inf, np.inf)


def test_bad_profiles_are_refused():
    with pytest.raises(gf.NotLegendreError) as caught:
        gf.Profile(anp.sin).root_integral(np.array([1.0]))
    assert caught.value.point is not None
    with pytest.raises(gf.ArgumentError):
        gf.Profile(3.0)
    with pytest.raises(gf.ArgumentError):
        gf.Profile(lambda s: anp.nan * s)
    with pytest.raises(gf.ArgumentError):
        gf.Profile(anp.cosh, domain=(1.0, 0.0))
    with pytest.raises(gf.ConvergenceError):
        Antiderivative(lambda s: np.where(s > 0.3, 1.0, np.sin(1 / (s - 0.3 - 1e-9))), 0.0)(np.array([1.0]))
