"""The identity of a Hessian manifold."""

import numpy as np

import geoflow as gf


def test_identity_of_a_hessian_manifold_commutes_for_every_potential(rng):
    for name, entry in gf.catalog.potentials.items():
        R = entry(entry.dims[0] if entry.dims else 2)
        G = gf.identity(R)
        w = R.domain.random_point(6, bound=0.5, rng=rng).reshape(-1, R.dim)
        assert G.check_commuting(w).defect < 1e-10, name
        assert np.allclose(G.cometric(w), R.metric.cometric_matrix(w), rtol=1e-9)
