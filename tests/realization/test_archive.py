"""Arrays in a file: whole or not at all."""

import io
import os
import zipfile

import numpy as np
import pytest

import geoflow as gf
from geoflow.realization import archive

DATA = {"a": np.arange(6.0).reshape(2, 3).T, "text": "words", "n": 3}


def write(file, data=DATA):
    return archive.write_arrays(file, data, archive.read_arrays)


def zipped(file, **entries):
    """An archive of raw bytes whose checksum is right, whatever they are."""
    entries["checksum"] = npy(np.asarray(archive._digest(entries)))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, raw in entries.items():
            stream.writestr(f"{name}.npy", raw)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def refused(file, reason):
    with pytest.raises(gf.FileError, match=reason) as caught:
        archive.read_arrays(file)
    return caught.value


def test_what_is_written_is_read_under_a_name_with_its_suffix(tmp_path):
    for given, name in (("q", "q.npz"), ("q.v1", "q.v1.npz"), ("p.npz", "p.npz")):
        path = write(str(tmp_path / given))
        assert path == tmp_path / name and path.is_file()
        for known in (path, tmp_path / given, os.fsencode(path)):
            found = archive.read_arrays(known)
            assert np.array_equal(found["a"], DATA["a"]) and str(found["text"]) == "words" and found["n"] == 3
    first = (tmp_path / "q.npz").read_bytes()
    assert write(tmp_path / "q.npz").read_bytes() == first  # no time stamps
    with np.load(tmp_path / "q.npz") as stored:
        assert np.array_equal(stored["a"], DATA["a"])


class FullDisk(io.FileIO):
    def write(self, content):
        super().write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["open", "fsync", "replace", "check"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, what):
    path = write(tmp_path / "F.npz")
    good = path.read_bytes()

    def fails(*arguments):
        raise OSError(28, "No space left on device")

    if what == "open":
        monkeypatch.setattr(archive, "open", FullDisk, raising=False)
    elif what != "check":
        monkeypatch.setattr(archive.os, what, fails)
    with pytest.raises(gf.FileError, match=r"writing .*No space left on device"):
        archive.write_arrays(path, {"b": np.zeros(100)}, fails if what == "check" else archive.read_arrays)
    assert path.read_bytes() == good and [p.name for p in tmp_path.iterdir()] == ["F.npz"]


def test_a_link_goes_on_pointing(tmp_path):
    write(tmp_path / "F.npz")
    (tmp_path / "link.npz").symlink_to(tmp_path / "F.npz")
    write(tmp_path / "link.npz", {"b": 1.0})
    assert (tmp_path / "link.npz").is_symlink() and list(archive.read_arrays(tmp_path / "F.npz")) == ["b"]


def test_what_is_no_file_of_this_kind(tmp_path, monkeypatch):
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("no realization")
    np.savez(tmp_path / "plain.npz", **DATA)
    os.mkfifo(tmp_path / "pipe.npz")
    assert "permissions" in refused(tmp_path / "nowhere", "FileNotFoundError").remedy
    for name, reason in (
        ("folder", "a folder"),
        ("empty", "empty"),
        ("text", "zip"),
        ("plain", "no checksum"),
        ("pipe", "regular"),
    ):
        assert "save the realization again" in refused(tmp_path / f"{name}.npz", reason).remedy
    with pytest.raises(gf.FileError, match=r"writing .*directory"):
        write(tmp_path / "nowhere" / "F")
    with pytest.raises(gf.FileError, match=r"writing .*[Oo]bject"):
        write(tmp_path / "F", {"a": np.array([None])})
    assert not (tmp_path / "F.npz").exists()
    for nonsense in (3, None, ["F.npz"]):
        for ask in (archive.read_arrays, write):
            with pytest.raises(gf.ArgumentError, match=r"a str or a pathlib.Path"):
                ask(nonsense)
    refused("F\0.npz", "null")

    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "F")
    monkeypatch.setattr(archive.Path, "read_bytes", forbidden)
    assert "permissions" in refused(path, "Permission denied").remedy


def test_sizes_are_known_before_they_are_allocated(tmp_path):
    file, one = tmp_path / "F.npz", npy(np.zeros(2))
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)
    zipped(file, a=stream.getvalue())
    refused(file, "0 bytes for an array of shape")
    zipped(file, a=bytes(archive.LARGEST + 1))  # 65 kB that unpack to 64 MB
    assert file.stat().st_size < 10**5
    refused(file, "more than")
    zipped(file, **{f"a{k}": one for k in range(archive.ENTRIES)})
    refused(file, "65 arrays")
    with open(file, "wb") as stream:
        stream.truncate(archive.LARGEST + 1)
    refused(file, "bytes, more than")


def test_no_object_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    zipped(tmp_path / "F.npz", a=npy(np.array([Trap()], dtype=object)))
    refused(tmp_path / "F.npz", "type object")
    zipped(tmp_path / "F.npz", a=npy(np.zeros(2, dtype=[("x", float)])))
    refused(tmp_path / "F.npz", "type")
    zipped(tmp_path / "F.npz", a=b"no array")
    refused(tmp_path / "F.npz", "array|magic")


def test_another_content_than_its_checksum(tmp_path):
    path = write(tmp_path / "F.npz")
    with np.load(path) as stored:
        data = dict(stored)
    np.savez(path, **{**data, "n": 4})
    refused(path, "checksum")
    np.savez(path, **{k: v for k, v in data.items() if k != "n"})
    refused(path, "checksum")
