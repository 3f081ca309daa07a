"""Zeros of decreasing functions."""

import numpy as np

from geoflow.numerics.roots import decreasing_zeros


def test_a_batch_of_zeros_near_and_far():
    wanted = np.array([0.0, 1e-3, -2.5, 30.0, -700.0, 1200.0])
    calls = []

    def g(k, s):
        calls.append(len(k))
        return -2 * (s - wanted[k]) - 0.5 * np.tanh(s - wanted[k])

    found = decreasing_zeros(g, len(wanted))
    assert np.allclose(found, wanted, rtol=1e-15, atol=1e-13)
    assert len(calls) < 40


def test_a_straight_line_takes_few_values():
    calls = []

    def g(k, s):
        calls.append(len(k))
        return 3.0 - 2 * s

    assert abs(decreasing_zeros(g, 1)[0] - 1.5) < 1e-14 and len(calls) <= 5


def test_infinite_values_and_jumps_and_none():
    assert abs(decreasing_zeros(lambda k, s: np.where(s < 2, np.inf, 5 - 2 * s), 1)[0] - 2.5) < 1e-12
    assert abs(decreasing_zeros(lambda k, s: np.where(s < 2, 1.0, -np.inf), 1)[0] - 2) < 1e-14  # where it jumps
    assert np.isnan(decreasing_zeros(lambda k, s: 1.0 + 0 * s, 1)[0])
    assert np.isnan(decreasing_zeros(lambda k, s: np.nan * s, 1)[0])
    assert decreasing_zeros(lambda k, s: s, 0).shape == (0,)
