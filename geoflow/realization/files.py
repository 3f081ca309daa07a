"""Saved realizations: one .npz file, written and read here."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from os import PathLike
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow.errors import ArgumentError
from geoflow.realization.embedding import Embedding
from geoflow.realization.methods import METHODS, Stage
from geoflow.spaces.domains import Box

PROBES = 200


@dataclass(frozen=True)
class Saved:
    """What a file holds; an exact realization is saved as the request it answers, without its embedding."""

    method: str
    reason: str
    tol: float
    box: Box | None
    embedding: Embedding | None
    stages: list[Stage]
    probe: Array  # points, shape=[n, d]
    probe_metric: Array  # the metric that was asked for there, shape=[n, d, d]


def write(F: Any, file: str | PathLike[str]) -> None:
    """Write a `Realization`, whose module imports this one, to an .npz file."""
    box, probe = F.region if isinstance(F.region, Box) else None, F.target.sample(PROBES, np.random.default_rng(5))
    data: dict[str, Any] = {
        "kind": F.method,
        "reason": F.reason,
        "tol": F.certificate.tol,
        "lower": np.full(F.dim, np.nan) if box is None else box.lower,
        "upper": np.full(F.dim, np.nan) if box is None else box.upper,
        "stages": np.array([astuple(stage) for stage in F.stages]).reshape(-1, 5),
        "probe": probe,
        "probe_metric": F.target.metric(probe),
        **(METHODS[F.method].arrays_of(F.map) if F.method in METHODS else {}),
    }
    with open(file, "wb") as stream:
        np.savez_compressed(stream, **data)


def read(file: str | PathLike[str]) -> Saved:
    """Read what `write` wrote, or raise an `ArgumentError`."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            data = dict(archive)
        method, lower, upper = str(data["kind"]), data["lower"], data["upper"]
        solved = METHODS[method] if method != "exact" else None
        return Saved(
            method=method,
            reason=str(data["reason"]),
            tol=float(data["tol"]),
            box=None if np.isnan(lower).any() else Box(lower, upper),
            embedding=None if solved is None else solved.from_arrays(lower, upper, data),
            stages=[Stage(float(row[0]), int(row[1]), *map(float, row[2:])) for row in data["stages"]],
            probe=data["probe"],
            probe_metric=data["probe_metric"],
        )
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ArgumentError(f"file {file}", f"{type(error).__name__}: {error}", "a saved realization") from None
