"""Points of a leaf that are moved with mu."""

import numpy as np

import geoflow as gf


def test_a_point_whose_flow_ends_stays_and_its_neighbours_move():
    """x^3 by x' = 3 x^2 mu: w = (1 - 3 mu)^-3, which is infinite at mu = 1/3."""
    G = gf.Parametrization(lambda x: x**3, 2, 2)
    mover = gf.mirror_map(G, [1.0, 1.0]).leaf.mover(np.ones((3, 2)))
    mu = np.array([[0.1, 0.2], [0.5, 0.1], [0.2, 0.2]])
    w = mover.move(mu)
    assert np.isnan(w[1]).all() and np.allclose(w[[0, 2]], (1 - 3 * mu[[0, 2]]) ** -3, rtol=1e-11)
    mu[1] = [0.1, -0.1]  # the next move goes on from where each was left
    assert np.allclose(mover.move(mu), (1 - 3 * mu) ** -3, rtol=1e-11)
