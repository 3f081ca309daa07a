"""Named arrays in one .npz file: written whole or not at all, and read with every size known before it is allocated."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow.errors import ArgumentError, FileError

npy: Any = np.lib.format  # its functions have no types
SUFFIX = ".npz"
CHECKSUM = "checksum"
#: bytes of a file, and of what is unpacked from it; how many arrays, and axes of one
LARGEST, ENTRIES, AXES = 2**26, 64, 8
REMEDY = "the file is damaged or of another kind: save the realization again"


def path_of(file: str | PathLike[str]) -> Path:
    """The path, with the suffix .npz where it has another one or none."""
    try:
        path = Path(os.fsdecode(file))
    except TypeError:
        raise ArgumentError("file", got=type(file).__name__, wanted="a path: a str or a pathlib.Path") from None
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX) if path.name else path


def write_whole(path: Path, content: bytes, check: Callable[[Path], object] = lambda beside: None) -> None:
    """Write beside the file, `check` what was written, and give it the name, whole or not at all."""
    home = path.resolve()  # a link goes on pointing at it
    beside = home.with_name(f".{home.stem[:40]}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        check(beside)
        os.replace(beside, home)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(home.parent)


def write_arrays(file: str | PathLike[str], data: Mapping[str, Any], check: Callable[[Path], object]) -> Path:
    """Write the arrays, whole or not at all, and `check` what was written: a failure leaves what was there.

    Returns the path. `FileError` where it cannot be written, and whatever `check` raises.
    """
    path = path_of(file)
    try:
        write_whole(path, _packed({name: np.asarray(value) for name, value in data.items()}), check)
    except FileError as error:
        remedy = "what was there is as it was"
        raise FileError(f"writing {path}", error.got, "a realization that can be loaded", remedy) from error
    except (OSError, ValueError) as error:
        got, remedy = f"{type(error).__name__}: {error}", "free space there, or choose another folder"
        raise FileError(f"writing {path}", got, "a file that can be written", remedy) from error
    return path


def read_arrays(file: str | PathLike[str]) -> dict[str, Array]:
    """The arrays of a file that `write_arrays` wrote; `FileError` for any other file."""
    path = path_of(file)
    try:
        if not path.exists() and Path(os.fsdecode(file)).exists():
            path = Path(os.fsdecode(file))
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError("a folder, or no regular file")
        if size > LARGEST:
            raise ValueError(f"{size} bytes, more than {LARGEST}")
        entries = _unpacked(path.read_bytes())
        stored = entries.pop(CHECKSUM, None)
        if stored is None:
            raise ValueError("no checksum inside")
        if _array(stored).tolist() != _digest(entries):
            raise ValueError("another content than its checksum was taken of")
        return {name: _array(raw) for name, raw in entries.items()}
    except Exception as error:  # zipfile and zlib raise a dozen kinds for what is damaged
        got = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        remedy = "check the path and its permissions" if isinstance(error, OSError) else REMEDY
        raise FileError(f"file {path}", got, "a saved realization", remedy) from error


# inside -------------------------------------------------------------------------------------------------------------


def _packed(arrays: Mapping[str, Array]) -> bytes:
    entries = {name: _raw(array) for name, array in arrays.items()}
    entries[CHECKSUM] = _raw(np.asarray(_digest(entries)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in entries.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), raw, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _raw(array: Array) -> bytes:
    stream = io.BytesIO()
    npy.write_array(stream, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _digest(entries: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(entries):
        digest.update(f"{name}:{len(entries[name])}:".encode())
        digest.update(entries[name])
    return digest.hexdigest()


def _unpacked(content: bytes) -> dict[str, bytes]:
    """What is in an archive, by the sizes that it states, which bound what is read."""
    if not content:
        raise ValueError("an empty file")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if len(members) > ENTRIES or total > LARGEST:
            raise ValueError(f"{len(members)} arrays of {total} bytes, more than {ENTRIES} or {LARGEST}")
        entries = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    if len(entries) < len(members):
        raise ValueError("two arrays of one name")
    return entries


def _array(raw: bytes) -> Array:
    """An array whose bytes are all there: its shape is believed only where it has that many."""
    stream = io.BytesIO(raw)
    if npy.read_magic(stream) != (1, 0):
        raise ValueError("an array of another format")
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    if dtype.kind not in "fiubU" or dtype.itemsize == 0 or len(shape) > AXES or any(n < 0 for n in shape):
        raise ValueError(f"an array of type {dtype} and shape {shape}")
    count, rest = 1, len(raw) - stream.tell()
    for n in shape:
        count *= int(n)
    if count * dtype.itemsize != rest:
        raise ValueError(f"{rest} bytes for an array of shape {shape}")
    values = np.frombuffer(raw, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")
    return np.array(values)


def _sync_folder(folder: Path) -> None:
    """The new name on the disk too, where the system lets a folder be synchronized."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
