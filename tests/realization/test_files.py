"""Saved realizations."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.realization import files

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


def test_what_is_written_is_read(tmp_path, realized):
    F = realized("spectral, log-sum-exp")
    files.write(F, tmp_path / "F.npz")
    saved = files.read(tmp_path / "F.npz")
    assert (saved.method, saved.reason, saved.tol) == (F.method, F.reason, F.certificate.tol)
    assert saved.box.lower.tolist() == [-1, -1] and saved.box.upper.tolist() == [1, 1]
    assert saved.stages == F.stages and saved.probe.shape == (files.PROBES, 2)
    assert np.array_equal(saved.probe_metric, F.metric_matrix(saved.probe))
    assert np.array_equal(saved.embedding.value(saved.probe), F.embedding(saved.probe))


def test_an_exact_realization_is_saved_as_its_request(tmp_path):
    F = gf.realize(P["burg"](2))
    F.save(tmp_path / "F.npz")
    saved = files.read(tmp_path / "F.npz")
    assert saved.embedding is None and saved.method == "exact" and saved.stages == []
    assert saved.box.lower.tolist() == [0, 0] and saved.box.upper.tolist() == [np.inf, np.inf]
    again = gf.load_realization(tmp_path / "F.npz", P["burg"](2))
    w = np.array([[0.5, 2.0]])
    assert np.array_equal(again.embedding(w), F.embedding(w))
    with pytest.raises(gf.RealizationError):
        gf.load_realization(tmp_path / "F.npz", 2 * P["burg"](2))


def test_a_damaged_file_is_refused(tmp_path, realized):
    F = realized("spectral, log-sum-exp")
    F.save(tmp_path / "F.npz")
    with np.load(tmp_path / "F.npz") as archive:
        data = dict(archive)
    common = {"kind", "reason", "tol", "lower", "upper", "stages", "probe", "probe_metric"}
    coefficients = {k: 1.01 * v for k, v in data.items() if k not in common and v.size > 10}
    assert coefficients
    np.savez(tmp_path / "bent.npz", **{**data, **coefficients})
    with pytest.raises(gf.RealizationError, match="damaged"):
        gf.load_realization(tmp_path / "bent.npz")
    np.savez(tmp_path / "short.npz", **{k: v for k, v in data.items() if k != "probe"})
    np.savez(tmp_path / "unknown.npz", **{**data, "kind": "magic"})
    for file in ("short.npz", "unknown.npz", "nowhere.npz"):
        with pytest.raises(gf.ArgumentError, match="saved realization"):
            files.read(tmp_path / file)
