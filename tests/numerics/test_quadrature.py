"""Integrals of positive functions to a relative accuracy, and what is in doubt of them."""

import numpy as np

from geoflow.numerics.quadrature import PANELS, integrals


def test_smooth_and_graded_integrands_are_resolved_to_their_own_size():
    c = np.array([1.0, 1e-3, 1e-12, 1e6])
    found, doubt = integrals(lambda k, t: 1 / (c[k, None] + t), 4)
    assert np.allclose(found, np.log1p(1 / c), rtol=1e-12)
    assert (doubt <= 1e-11 * found).all()
    small, _ = integrals(lambda k, t: 1e-200 * t**2, 2)
    assert np.allclose(small, 1e-200 / 3, rtol=1e-14)


def test_components_are_refined_until_their_sum_is():
    found, _ = integrals(lambda k, t: np.stack([t, np.sqrt(t)], axis=-1), 3)
    assert found.shape == (3, 2) and np.allclose(found, [1 / 2, 2 / 3], rtol=1e-10)


def test_what_does_not_converge_is_in_doubt_and_bounded():
    calls = []

    def rough(k, t):
        calls.append(t.size)
        return np.random.default_rng(len(calls)).uniform(0, 1, t.shape)

    found, doubt = integrals(rough, 2)
    assert (doubt > 1e-3 * found).all() and sum(calls) < 17 * 4 * (2 * PANELS + 256)
    assert np.isnan(integrals(lambda k, t: np.nan * t, 1)[0]).all()
