"""Saved realizations: one .npz file, written and read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol

import numpy as np

from geoflow._typing import Array
from geoflow.errors import ArgumentError
from geoflow.realization.certificate import Certificate
from geoflow.realization.embedding import Embedding
from geoflow.realization.methods import METHODS, Stage
from geoflow.realization.target import Target
from geoflow.spaces.domains import Box

PROBES = 200


class Writable(Protocol):
    """What of a realization is written."""

    map: Embedding
    target: Target
    method: str
    reason: str
    certificate: Certificate
    stages: list[Stage]


@dataclass(frozen=True)
class Saved:
    """What a file holds.

    Attributes
    ----------
    method, reason : str
    tol : float
    box : Box, or None
    embedding : Embedding, or None
        None for an exact realization, which is saved as the request it answers.
    stages : list of Stage
    probe, probe_metric : array, shape=[n, d] and [n, d, d]
        Points, and the metric that was asked for there.
    """

    method: str
    reason: str
    tol: float
    box: Box | None
    embedding: Embedding | None
    stages: list[Stage]
    probe: Array
    probe_metric: Array


def write(F: Writable, file: str | PathLike[str]) -> None:
    """Write a realization to an .npz file."""
    box, dim = F.target.region if isinstance(F.target.region, Box) else None, F.map.dim
    probe = F.target.sample(PROBES, np.random.default_rng(5))
    stages: Sequence[tuple[float, ...]] = [(s.parameter, s.grid, s.fitted, s.fresh, s.seconds) for s in F.stages]
    arrays = METHODS[F.method].arrays_of(F.map) if F.method in METHODS else {}
    data: dict[str, Any] = {
        "kind": F.method,
        "reason": F.reason,
        "tol": F.certificate.tol,
        "lower": np.full(dim, np.nan) if box is None else box.lower,
        "upper": np.full(dim, np.nan) if box is None else box.upper,
        "stages": np.array(stages).reshape(-1, 5),
        "probe": probe,
        "probe_metric": F.target.metric(probe),
        **arrays,
    }
    with open(file, "wb") as stream:
        np.savez_compressed(stream, **data)


def read(file: str | PathLike[str]) -> Saved:
    """Read what `write` wrote.

    Raises
    ------
    ArgumentError
        When the file is not a realization.
    """
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
        raise ArgumentError(
            f"file {file}", got=f"{type(error).__name__}: {error}", wanted="a saved realization"
        ) from None
