"""Profiles of ridge sums: closed forms against autodiff, quadrature and 40 digits."""

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

import geoflow as gf
from geoflow.numerics import autodiff
from geoflow.numerics.chebyshev import Antiderivative
from geoflow.potentials.profiles import PROFILES, Profile

INSIDE = {
    "entropy": (0.05, 4.0),
    "log_barrier": (0.05, 4.0),
    "fermi_dirac": (0.05, 0.95),
    "dual_log_barrier": (-4.0, -0.05),
}


@pytest.mark.parametrize("name", PROFILES)
def test_closed_derivatives_are_derivatives(name):
    low, high = INSIDE.get(name, (-3.0, 3.0))
    s = np.linspace(low, high, 9)
    for order in range(3):
        f = autodiff.jacobian(lambda t, k=order: PROFILES[name].derivative(k, t[..., 0]))
        expected = f(s[:, None])[:, 0]
        assert np.allclose(PROFILES[name].derivative(order + 1, s), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("given", [0, 1, 2])
def test_what_is_missing_of_the_derivatives_is_differentiated(given):
    """Asked once, by autograd, and asked often, by the steps of the profile."""
    closed = (lambda s: 4 * s**3 + anp.sinh(s), lambda s: 12 * s**2 + anp.cosh(s), lambda s: 24 * s + anp.sinh(s))
    p = gf.Profile(lambda s: s**4 + anp.cosh(s), derivatives=closed[:given])
    for s in (np.linspace(-2, 2, 7), np.array(0.3), np.ones((2, 3))):
        for order in (1, 2, 3):
            for _ in range(12):
                found = p.derivative(order, s)
            assert found.shape == s.shape and np.allclose(found, closed[order - 1](s), rtol=1e-14, atol=1e-14)


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


# against 40 digits ---------------------------------------------------------------------------------------------------

HALF, QUARTER = mpmath.mpf(1) / 2, mpmath.mpf(1) / 4


def sech2(s):
    return 1 / mpmath.cosh(s) ** 2


#: r, r', r'', r''' and phi = int sqrt(r''), in mpmath
EXACT = {
    "quadratic": (lambda s: s * s / 2, lambda s: s, lambda s: 1 + 0 * s, lambda s: 0 * s, lambda s: s),
    "entropy": (lambda s: s * mpmath.log(s) - s, mpmath.log, lambda s: 1 / s, lambda s: -1 / s**2,
                lambda s: 2 * mpmath.sqrt(s)),
    "log_barrier": (lambda s: -mpmath.log(s), lambda s: -1 / s, lambda s: 1 / s**2, lambda s: -2 / s**3, mpmath.log),
    "dual_log_barrier": (lambda s: -mpmath.log(-s) - 1, lambda s: -1 / s, lambda s: 1 / s**2, lambda s: -2 / s**3,
                         lambda s: -mpmath.log(-s)),
    "fermi_dirac": (lambda s: s * mpmath.log(s) + (1 - s) * mpmath.log(1 - s), lambda s: mpmath.log(s / (1 - s)),
                    lambda s: 1 / (s * (1 - s)), lambda s: (2 * s - 1) / (s * (1 - s)) ** 2,
                    lambda s: 2 * mpmath.asin(mpmath.sqrt(s))),
    "hyperbolic_entropy": (lambda s: s * mpmath.asinh(s) - mpmath.sqrt(1 + s**2), mpmath.asinh,
                           lambda s: 1 / mpmath.sqrt(1 + s**2), lambda s: -s / mpmath.sqrt(1 + s**2) ** 3,
                           lambda s: s * mpmath.hyp2f1(QUARTER, HALF, 3 * HALF, -s * s)),
    "softplus": (lambda s: mpmath.log1p(mpmath.exp(s)), lambda s: 1 / (1 + mpmath.exp(-s)), lambda s: sech2(s / 2) / 4,
                 lambda s: -sech2(s / 2) * mpmath.tanh(s / 2) / 4, lambda s: 2 * mpmath.atan(mpmath.tanh(s / 4))),
    "cosh": (mpmath.cosh, mpmath.sinh, mpmath.cosh, mpmath.sinh,
             lambda s: mpmath.quad(lambda t: mpmath.sqrt(mpmath.cosh(t)), [0, s / 2, s])),
    "exp": (mpmath.exp, mpmath.exp, mpmath.exp, mpmath.exp, lambda s: 2 * mpmath.exp(s / 2)),
    "quartic": (lambda s: s**4 / 4 + s**2 / 2, lambda s: s**3 + s, lambda s: 3 * s**2 + 1, lambda s: 6 * s,
                lambda s: s * mpmath.sqrt(1 + 3 * s**2) / 2 + mpmath.asinh(mpmath.sqrt(3) * s) / (2 * mpmath.sqrt(3))),
}  # fmt: skip
WHOLE = (-1e6, -1e3, -2.5, -0.3, -1e-6, 1e-6, 0.3, 2.5, 1e3, 1e6)
POSITIVE = (1e-6, 1e-3, 0.3, 2.5, 1e3, 1e6)
POINTS = {
    "entropy": POSITIVE,
    "log_barrier": POSITIVE,
    "dual_log_barrier": tuple(-s for s in POSITIVE),
    "fermi_dirac": (1e-6, 1e-3, 0.3, 0.7, 1 - 1e-3, 1 - 1e-6),
    "cosh": (-30.0, -2.5, -1e-6, 1e-6, 0.3, 2.5, 30.0),
    "exp": (-600.0, -30.0, -2.5, -1e-6, 1e-6, 0.3, 2.5, 30.0, 600.0),
    "softplus": (-600.0, -30.0, -2.5, -0.3, -1e-6, 1e-6, 0.3, 2.5, 30.0, 600.0, 1e6),
}
DIGITS = 2e-15  # relative


def relative(value, wanted):
    """|value - wanted| / |wanted|, in 40 digits; |value| where what is wanted is too small for a double."""
    if abs(wanted) < np.finfo(float).tiny:
        return abs(float(value))
    return float(abs(mpmath.mpf(float(value)) - wanted) / abs(wanted))


def test_every_profile_has_its_digits_written_out():
    assert set(EXACT) == set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("order", range(4))
def test_values_and_derivatives_have_all_their_digits(name, order):
    with mpmath.workdps(40):
        for s in POINTS.get(name, WHOLE):
            value, wanted = PROFILES[name].derivative(order, np.array(s)), EXACT[name][order](mpmath.mpf(s))
            assert relative(value, wanted) <= DIGITS, (s, relative(value, wanted))
            assert abs(mpmath.mpf(float(value)) - wanted) <= DIGITS * max(1, abs(wanted)), s


@pytest.mark.parametrize("name", PROFILES)
def test_integrals_of_the_root_have_all_their_digits(name):
    """phi is known up to a constant: differences, relative to the larger end."""
    profile, phi = PROFILES[name], EXACT[name][4]
    points = POINTS.get(name, WHOLE)
    with mpmath.workdps(40):
        found, exact = profile.root_integral(np.array(points)), [phi(mpmath.mpf(s)) for s in points]
        for i in range(len(points)):
            for j in range(i):
                wanted = exact[i] - exact[j]
                size = max(abs(exact[i]), abs(exact[j]), abs(wanted))
                if not profile.has_closed_integral:
                    size = max(size, 1)  # panels resolve phi to rounding of its size over a panel
                assert abs(mpmath.mpf(float(found[i])) - mpmath.mpf(float(found[j])) - wanted) <= 4e-15 * size


@pytest.mark.parametrize("name", [n for n, p in PROFILES.items() if p.conjugate is not None])
def test_conjugate_profiles_invert_each_other(name, rng):
    """r*'(r'(s)) = s, and r(s) + r*(m) = s m at m = r'(s)."""
    r, dual = PROFILES[name], PROFILES[name].conjugate
    assert dual.conjugate is r
    s = {"fermi_dirac": rng.uniform(0.05, 0.95, 9), "dual_log_barrier": -rng.uniform(0.1, 4, 9)}.get(
        name, rng.uniform(0.1, 4, 9)
    )
    m = r.derivative(1, s)
    assert np.allclose(dual.derivative(1, m), s, rtol=1e-13)
    assert np.allclose(r(s) + dual(m), s * m, rtol=1e-13, atol=1e-14)
    assert np.allclose(dual.derivative(2, m) * r.derivative(2, s), 1, rtol=1e-12)


def test_the_samples_that_lost_their_digits():
    """Slopes of softplus below 0, Fermi-Dirac near its ends and its middle, phi near 1."""
    r, dual = PROFILES["fermi_dirac"], PROFILES["softplus"]
    with mpmath.workdps(40):
        assert relative(dual.derivative(1, np.array(-50.0)), mpmath.exp(-50) / (1 + mpmath.exp(-50))) < DIGITS
        for s in (1e-12, 0.5 + 1e-12, 1 - 1e-12):
            for order in range(4):
                assert relative(r.derivative(order, np.array(s)), EXACT["fermi_dirac"][order](mpmath.mpf(s))) < DIGITS
            assert relative(r.root_integral(s), EXACT["fermi_dirac"][4](mpmath.mpf(s))) < DIGITS


@pytest.mark.parametrize("name", PROFILES)
def test_differences_of_integrals_have_the_digits_of_the_step(name):
    """phi(s) - phi(t) relative to itself, however near s is to t."""
    phi = EXACT[name][4]
    with mpmath.workdps(60):
        for t in POINTS.get(name, WHOLE)[::3]:
            for h in (1e-12, -1e-7, 1e-3, -0.3):
                s = t * (1 + h) if name != "fermi_dirac" or t < 0.5 else 1 - (1 - t) * (1 + h)
                found = PROFILES[name].root_difference(np.array(s), np.array(t), np.array(s - t))
                wanted = phi(mpmath.mpf(s)) - phi(mpmath.mpf(t))
                if abs(wanted) > 1e-290 and np.isfinite(found):
                    assert relative(found, wanted) < 1e-11, (t, h)


@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_the_root_of_the_curvature_and_its_slope_are_those_of_closed_forms(given):
    """By one pass where both are automatic; where one is given, or r is asked for the first time, each by its own."""
    closed = (lambda s: np.exp(s) + 2 * s, lambda s: np.exp(s) + 2, lambda s: np.exp(s))
    profile, s = Profile(lambda s: anp.exp(s) + s**2, derivatives=closed[:given]), np.linspace(-2, 2, 7)
    root = np.sqrt(np.exp(s) + 2)
    for _ in range(20):  # from the eleventh on by a record
        found = profile.root_slopes(s)
        assert np.allclose(found[0], root, rtol=1e-13) and np.allclose(found[1], np.exp(s) / (2 * root), rtol=1e-12)
    one_pass = given < 2 and profile._level(3).with_lower(s) is not None
    assert one_pass == (given < 2)
    concave = Profile(lambda s: -anp.exp(s) + s**2, derivatives=(), check=False)
    with pytest.raises(gf.NotLegendreError, match="not convex"):
        concave.root_slopes(np.array([0.0, 5.0]))
