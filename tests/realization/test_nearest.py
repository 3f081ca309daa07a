"""Nearest points of M."""

import numpy as np


def test_a_batch_with_a_point_over_the_edge_keeps_the_others(realized):
    F = realized("spectral, log-sum-exp")
    w = np.array([[0.1, 0.2], [0.99, 0.0]])
    G, J = F.parametrization, F.jacobian(w)
    G(F.embedding(w))
    moved = F.embedding(w) + np.einsum("nDi,i->nD", J, [0.05, 0.0])
    value = np.asarray(G.kernel.value(moved))
    assert np.isnan(value[1]).all() and np.allclose(value[0], [0.15, 0.2], atol=2e-3)
