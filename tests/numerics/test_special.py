"""Special functions against mpmath, at all scales."""

import mpmath as mp
import numpy as np
import pytest

from geoflow.numerics import special

KAPPA = [1e-9, 1e-6, 1e-3, 0.3, 0.999999, 1.0, 1.5, 7.0, 25.0, 29.99, 30.0, 31.0, 50.0, 700.0, 1e4, 1e6, 1e9]


def off(found, exact):
    return max(float(abs(mp.mpf(x) / y - 1)) for x, y in zip(found, exact, strict=True))


def test_log_bessel_and_its_derivatives():
    with mp.workdps(60):
        values, ratios = [], []
        for kappa in map(mp.mpf, KAPPA):
            a = mp.besseli(1, kappa) / mp.besseli(0, kappa)
            slope = 1 - a / kappa - a * a
            bend = -slope / kappa + a / kappa**2 - 2 * a * slope
            c = (slope - a / kappa) / kappa**2
            ratios.append((a / kappa, slope, c, (bend - 3 * kappa * c) / kappa**3))
            values.append(mp.log(mp.besseli(0, kappa)))
        found = np.array(KAPPA)
        assert off(special.log_bessel(found), values) < 1e-14
        assert np.allclose(special.log_scaled_bessel(found), [float(v - k) for v, k in zip(values, KAPPA, strict=True)])
        for part, exact in zip(special.bessel_ratio(found), zip(*ratios, strict=True), strict=True):
            assert off(part, exact) < 1e-12  # below 30 the slope is 1 - a / kappa - a^2, of the size 1 / (2 kappa^2)
    assert [float(x) for x in special.bessel_ratio(np.zeros(()))] == [0.5, 0.5, -0.125, 1 / 12]


@pytest.mark.parametrize(
    "f, exact",
    [
        (special.stirling_rest, lambda a: mp.loggamma(a) - a * mp.log(a) + a),
        (special.stirling_slope, lambda a: mp.psi(0, a) - mp.log(a)),
        (special.stirling_curvature, lambda a: mp.psi(1, a) - 1 / a),
    ],
)
def test_log_gamma_beside_stirling(f, exact):
    a = np.array([1e-9, 1e-6, 1e-2, 0.5, 1.0, 3.0, 15.999, 16.0, 16.001, 100.0, 1e6, 1e12])
    with mp.workdps(60):
        assert off(f(a), [exact(mp.mpf(x)) for x in a]) < 1e-13
