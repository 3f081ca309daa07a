"""Saved realizations."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import geoflow as gf
from geoflow.realization import archive, files, spectral

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


def rewritten(file, **changes):
    """The same file with other arrays, None to leave one out, and the checksum that belongs to them."""
    data = {k: v for k, v in {**archive.read_arrays(file), **changes}.items() if v is not None}
    return archive.write_arrays(file.with_name("changed.npz"), data, lambda path: None)


@pytest.fixture
def saved(tmp_path, realized):
    return realized("spectral, log-sum-exp").save(tmp_path / "F.npz")


def test_a_changed_file_is_refused(saved):
    with np.load(saved) as stored:
        data = dict(stored)
    bent = {"coefficients": 1.01 * data["coefficients"]}
    np.savez(saved.with_name("bent.npz"), **{**data, **bent})
    with pytest.raises(gf.FileError, match=r"checksum.*damaged"):
        gf.load_realization(saved.with_name("bent.npz"))
    with pytest.raises(gf.RealizationError, match="damaged"):  # a checksum is no proof
        gf.load_realization(rewritten(saved, **bent))


@pytest.mark.parametrize(
    "changes",
    [
        {"probe": None}, {"certificate_metric_error": None}, {"kind": "magic"}, {"kind": 3}, {"kind": ["exact"]},
        {"tol": 5.0}, {"tol": np.nan}, {"tol": "1e-8"}, {"tol": 0.5}, {"format": 1}, {"format": 4},
        {"lower": [1.0, 2.0]}, {"lower": [-1.0]}, {"lower": [np.nan, -1.0]}, {"upper": [np.inf, 1.0]}, {"stages": 1.0},
        {"probe": np.zeros((0, 2))},
        {"probe_metric": np.zeros((200, 2, 2))}, {"probe_metric": np.full((200, 2, 2), np.nan)}, {"coefficients": 1.0},
        {"coefficients": np.zeros((5, 7))}, {"degree": -1}, {"degree": 1000}, {"degree": [6, 6]},
        {"kind": "twist", "front": np.eye(2), "directions": np.ones((3, 2)), "frequency": 20.0},
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_belong_together_is_one_error(saved, changes):
    with pytest.raises(gf.FileError, match=r"got .*wanted a saved realization; .*save the realization again") as caught:
        gf.load_realization(rewritten(saved, **changes))
    assert isinstance(caught.value, gf.ArgumentError) and isinstance(caught.value, gf.RealizationError)


def test_a_file_is_whole_or_refused(saved, realized):
    """40 truncations and 200 flipped bits: the same realization, or the one error."""
    F, good, w = realized("spectral, log-sum-exp"), saved.read_bytes(), np.array([[0.1, -0.7]])
    rng, whole = np.random.default_rng(7), 0
    damaged = [good[:k] for k in np.linspace(0, len(good) - 1, 40).astype(int)]
    for bit in rng.integers(8 * len(good), size=200):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for k, content in enumerate(damaged):
        saved.write_bytes(content)
        try:
            read = files.read(saved)
        except gf.FileError as error:
            assert error.what and error.got and error.wanted and error.remedy
        else:
            whole += 1
            assert k >= 40 and repr(read.certificate) == repr(F.certificate) and read.stages == F.stages
            assert np.array_equal(read.embedding.value(w), F.embedding(w)) and read.reason == F.reason
    assert whole < 40  # time stamps and the like


def test_the_certificate_is_the_one_that_was_measured(saved, realized):
    F = realized("spectral, log-sum-exp")
    again = gf.load_realization(saved)
    assert repr(again.certificate) == repr(F.certificate) and again.certificate.metric_error > 1e-14
    assert np.array_equal(again.certificate.witness, F.certificate.witness)
    assert F.remeasured and not again.remeasured and "measured when it was saved" in str(again)
    for ask in (again.metric_error, again.metric_matrix, lambda w: again.certify(1e-8)):
        with pytest.raises(gf.ArgumentError, match="potential=R"):
            ask([0.1, 0.2])
    twice = gf.load_realization(again.save(saved.with_name("again.npz")), F.potential)
    assert twice.remeasured and twice.certificate.metric_error == F.certificate.metric_error


def test_tol_is_not_believed(saved, realized, black_box):
    F = realized("spectral, log-sum-exp")
    loose = rewritten(saved, tol=0.9, certificate_tol=0.9)
    for wrong in (black_box(1.001 * F.potential), black_box(1.1 * F.potential)):
        with pytest.raises(gf.RealizationError, match="when it was saved"):
            gf.load_realization(loose, wrong)
    with pytest.raises(gf.RealizationError, match="when it was saved"):
        gf.load_realization(rewritten(loose, coefficients=1.01 * F.map.coefficients))
    with pytest.raises(gf.RealizationError, match="exceeds tol"):
        gf.load_realization(saved, tol=F.certificate.metric_error / 2)
    with pytest.raises(gf.ArgumentError, match=r"of R\^3"):
        gf.load_realization(saved, P["log_sum_exp"](3))
    for tol in (0, 2, "small"):
        with pytest.raises(gf.ArgumentError, match="tol"):
            gf.load_realization(saved, tol=tol)


def test_the_hessian_of_a_potential_is_compared_with_it_when_a_file_is_read(saved, realized):
    R = realized("spectral, log-sum-exp").potential
    other = gf.LegendreFunction(lambda w: 2 * R.potential(w), R.domain, hessian=R.hessian, check=False)
    with pytest.raises(gf.ArgumentError, match="differ from those of autograd"):
        gf.load_realization(saved, other)


def test_a_degree_of_20000_is_refused_before_it_is_allocated(saved, monkeypatch):
    monkeypatch.setattr(spectral, "total_degree", lambda *arguments: pytest.fail("allocated"))
    line = {"lower": [-1.0], "upper": [1.0], "probe": np.zeros((1, 1)), "probe_metric": np.ones((1, 1, 1))}
    file = rewritten(saved, degree=20_000, coefficients=np.zeros((2, 20_001)), **line)
    assert file.stat().st_size < 20_000
    with pytest.raises(gf.FileError, match="degree 20000"):
        gf.load_realization(file)


def test_products_that_are_none_of_the_degree_are_refused(saved, realized):
    index = realized("spectral, log-sum-exp").map.basis.index
    twice, negative = index.copy(), index.copy()
    twice[1], negative[1, 0] = twice[0], -1
    for wrong in (index[:, :1], index[:-1], index[:0], index.astype(float), twice, negative, 2 * index):
        with pytest.raises(gf.FileError, match="a saved realization"):
            gf.load_realization(rewritten(saved, index=wrong))


def test_a_file_of_the_format_before_is_read_and_a_new_one_says_that_it_is_new(saved, realized):
    F, w = realized("spectral, log-sum-exp"), np.array([[0.1, -0.7]])
    assert archive.read_arrays(saved)["format"] == 3
    assert np.array_equal(gf.load_realization(rewritten(saved, format=2))(w), F(w))


def test_a_file_of_an_earlier_release_is_of_all_products_up_to_a_degree(realized, rng):
    """Those had no index: the products in the order of the first exponent, then of the second."""
    F = realized("spectral, log-sum-exp")
    basis, every = F.map.basis, [(i, j) for i in range(60) for j in range(60 - i)]
    p = int(basis.index.sum(axis=1).max())
    place = {k: m for m, k in enumerate(k for k in every if sum(k) <= p)}
    A = np.zeros((len(F.map.coefficients), len(place)))
    A[:, [place[tuple(k)] for k in basis.index]] = F.map.coefficients
    lower, upper = F.region.lower, F.region.upper
    old = spectral.SPECTRAL.from_arrays(lower, upper, {"degree": np.asarray(p), "coefficients": A})
    w = rng.uniform(lower, upper, (20, basis.dim))
    assert np.allclose(old.value(w), F.map.value(w), rtol=1e-13, atol=1e-13)


def test_saving_a_degree_that_cannot_be_loaded_leaves_what_was_there(saved, realized):
    good, F = saved.read_bytes(), realized("spectral, log-sum-exp")
    basis = SimpleNamespace(degree=1001, dim=2, index=np.array([[0, 0], [1, 0], [1001, 0]]))
    large = gf.Realization(spectral.SpectralMap(basis, np.zeros((5, 3))), F.target, "spectral", "", F.certificate)
    with pytest.raises(gf.FileError, match="degree 1001"):
        large.save(saved)
    assert saved.read_bytes() == good and [p.name for p in saved.parent.iterdir()] == ["F.npz"]


def test_files_read_alone(saved):
    """Another process that imports this module and no other."""
    code = f"from geoflow.realization import files; print(files.read({str(saved)!r}).method)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "spectral\n"
