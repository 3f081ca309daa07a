"""Saved realizations."""

import numpy as np
import pytest

import geoflow as gf

P, Box = gf.catalog.potentials, gf.domains.Box
SQUARE = Box([-1, -1], [1, 1])


def test_save_and_load(tmp_path, realized, black_box):
    for name in ("twist, Gaussian", "spectral, log-sum-exp"):
        F, file = realized(name), tmp_path / "F.npz"
        F.save(file)
        for potential in (None, F.potential):
            again = gf.load_realization(file, potential)
            w = np.random.default_rng(0).uniform(F.region.lower, F.region.upper, size=(5, 2))
            assert np.array_equal(again.embedding(w), F.embedding(w)) and again.method == F.method and again.certificate
        with pytest.raises(gf.RealizationError):
            gf.load_realization(file, black_box(2 * F.potential))
    R = P["log_sum_exp"](2)
    F = gf.realize(R, SQUARE)
    F.save(tmp_path / "exact.npz")
    assert gf.load_realization(tmp_path / "exact.npz", R).ambient_dim == 3
    with pytest.raises(gf.ArgumentError):
        gf.load_realization(tmp_path / "exact.npz")
    (tmp_path / "other.npz").write_text("no realization")
    with pytest.raises(gf.ArgumentError):
        gf.load_realization(tmp_path / "other.npz")
