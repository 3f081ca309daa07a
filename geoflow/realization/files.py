"""Saved realizations: what is written of one, what a file is asked before it is believed, and what it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, astuple, dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import geoflow.realization.spectral
import geoflow.realization.twist  # noqa: F401  (imported, they register the methods that a file may name)
from geoflow._pickling import Portable
from geoflow._typing import Array
from geoflow.errors import ArgumentError, FileError, ProofError
from geoflow.realization.archive import REMEDY, read_arrays, write_arrays
from geoflow.realization.argument import Plan
from geoflow.realization.certificate import Certificate
from geoflow.realization.embedding import Embedding
from geoflow.realization.methods import METHODS, Stage
from geoflow.realization.proof import Proof, check, metric_gap
from geoflow.spaces.domains import Box

PROBES, PROBE_NUMBERS = 200, 2**20
LARGEST_DIM = 4096
#: relative difference of the metric in a file from the Hessian of the record in it, by rounding
SAME_METRIC = 1e-7
#: what is written; and what is read: those of format 2 name no products of a spectral map
FORMAT, READ = 3, (2, 3)
MEASURED, STATED = "certificate_", "proof_"
#: what a file keeps of a proof: numbers that it states, and its plan
STATES = ("eps", "least_eigenvalue", "largest_eigenvalue", "injectivity")


class StoredMetric(Portable):
    """The metric that was asked for, where a file has only its values at some points."""

    def __init__(self, points: Array, values: Array):
        self.points, self.values = points, values

    def __call__(self, w: Array) -> Array:
        raise ArgumentError(
            "the metric that was asked for",
            got="a realization loaded without its potential, which is not in the file",
            wanted="the Legendre function, to measure F against it",
            remedy="gf.load_realization(file, potential=R); `certificate` has what was measured when F was saved",
        )


@dataclass(frozen=True)
class Saved:
    """What a file holds; an exact realization is saved as the request it answers, without its embedding."""

    method: str
    reason: str
    tol: float
    box: Box | None
    embedding: Embedding | None
    stages: list[Stage]
    certificate: Certificate  # as it was measured when F was saved
    probe: Array  # points, shape=[n, d]
    probe_metric: Array  # the metric that was asked for there, shape=[n, d, d]
    proof: Proof | None = None  # as the file states it, not checked


def write(F: Any, file: str | PathLike[str]) -> Path:
    """Write a `Realization`, whose module imports this one, to an .npz file, and return its path."""
    box, certificate, metric = F.region if isinstance(F.region, Box) else None, F.certificate, F.target.metric
    if isinstance(metric, StoredMetric):
        probe, values = metric.points, metric.values
    else:
        n = int(np.clip(PROBE_NUMBERS // F.dim**2, 1, PROBES))
        probe = F.target.sample(n, np.random.default_rng(5))
        values = metric(probe)
    data: dict[str, Any] = {
        "format": FORMAT,
        "kind": F.method,
        "reason": F.reason,
        "tol": float(certificate.tol),
        "lower": np.full(F.dim, np.nan) if box is None else box.lower,
        "upper": np.full(F.dim, np.nan) if box is None else box.upper,
        "stages": np.array([astuple(stage) for stage in F.stages], dtype=float).reshape(-1, 5),
        "probe": probe,
        "probe_metric": values,
        **{MEASURED + k: v for k, v in vars(certificate).items() if np.asarray(v).dtype.kind in "fiubU"},
        **_proof_arrays(F.proof),
        **(METHODS[F.method].arrays_of(F.map) if F.method in METHODS else {}),
    }
    return write_arrays(file, data, read)


def read(file: str | PathLike[str]) -> Saved:
    """Read what `write` wrote; `FileError` for anything else, before anything is built whose size was not checked."""
    data = read_arrays(file)
    try:
        return _saved(data)
    except Exception as error:  # of a method that someone else registered, too
        got = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise FileError(f"file {file}", got, "a saved realization", REMEDY) from error


def check_proof(file: str | PathLike[str]) -> Proof:
    """Compute again what a saved realization states that is proved of it, without its solver and its potential.

    The proof comes back as it was stated; one of nothing, with the reason, where that is not what is proved. It is of
    the function whose record is in the file, and its Hessian is compared with the stored metric too.

    Raises
    ------
    FileError
        When the file is not a whole saved realization, or has no proof.
    ProofError
        Without python-flint: pip install geoflow[proof].
    """
    saved = read(file)
    if saved.proof is None or saved.proof.plan is None:
        remedy = "prove it, F.prove(), before F.save(file)"
        raise FileError(f"file {file}", "a realization without a proof", "one that was proved and then saved", remedy)
    try:
        found = check(saved.proof, saved.embedding)
        gap = metric_gap(saved.proof.plan.record, saved.probe, saved.probe_metric) if found else 0.0
    except ProofError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise FileError(f"file {file}", got, "a proof that can be checked", REMEDY) from error
    if not gap <= SAME_METRIC:
        got = f"its record has another Hessian than the metric in the file, by {gap:.1e} of it"
        return replace(found, eps=np.inf, argument=got)
    return found


# inside -------------------------------------------------------------------------------------------------------------


def _saved(data: Mapping[str, Array]) -> Saved:
    if (version := _scalar(data, "format", "iu")) not in READ:
        raise ValueError(f"format {version}, where this release reads {' and '.join(map(str, READ))}")
    method, reason, tol = (_scalar(data, key, kind) for key, kind in (("kind", "U"), ("reason", "U"), ("tol", "f")))
    if method != "exact" and method not in METHODS:
        raise ValueError(f"method {method!r}, none of exact, {', '.join(METHODS)}")
    if not 0 < tol < 1:
        raise ValueError(f"tol = {tol}, no relative metric error between 0 and 1")
    lower, upper = data["lower"], data["upper"]
    d = len(lower) if lower.ndim == 1 else 0
    if not 1 <= d <= LARGEST_DIM:
        raise ValueError(f"a box of shape {lower.shape}")
    upper = _numbers(data, "upper", (d,), finite=False)
    lower = _numbers(data, "lower", (d,), finite=False)
    box = None if np.isnan(lower).all() and np.isnan(upper).all() else Box(lower, upper)
    if method != "exact" and (box is None or not box.bounded):
        raise ValueError("a solver's realization without a bounded box")
    n = min(len(data["probe"]), PROBES) if data["probe"].ndim else 0
    if n == 0:
        raise ValueError("no points at which to compare the metric")
    probe, values = _numbers(data, "probe", (n, d)), _numbers(data, "probe_metric", (n, d, d))
    np.linalg.cholesky(values)  # an error of its own where one is not positive definite
    stages = _numbers(data, "stages", (len(data["stages"]), 5), finite=False)
    embedding = None if method == "exact" else METHODS[method].from_arrays(lower, upper, data)
    if embedding is not None and embedding.dim != d:
        raise ValueError(f"an embedding of R^{embedding.dim} on a box of R^{d}")
    certificate = _certificate(data, tol)
    return Saved(
        method=method,
        reason=reason,
        tol=tol,
        box=box,
        embedding=embedding,
        stages=[Stage(float(row[0]), int(row[1]), *map(float, row[2:])) for row in stages],
        certificate=certificate,
        probe=probe,
        probe_metric=values,
        proof=_proof(data, box, float(certificate.metric_error)),
    )


def _proof_arrays(proof: Proof | None) -> dict[str, Any]:
    """A proof of something, with its plan."""
    if proof is None or proof.plan is None or not proof.passed:
        return {}
    kept = {STATED + name: getattr(proof, name) for name in (*STATES, "argument")}
    return {**kept, **{STATED + field.name: getattr(proof.plan, field.name) for field in fields(Plan)}}


def _proof(data: Mapping[str, Array], box: Box | None, measured: float) -> Proof | None:
    """What a file states that is proved; it is checked by `proof.check`, not here."""
    if STATED + "record" not in data:
        return None
    if box is None or not box.bounded:
        raise ValueError("a proof without a bounded box")
    stated = {name: _scalar(data, STATED + name, "f") for name in STATES}
    record, rule, argument = (_scalar(data, STATED + name, "U") for name in ("record", "rule", "argument"))
    degree, nodes = (_scalar(data, STATED + name, "iu") for name in ("degree", "nodes"))
    white, rho = data[STATED + "white"], _scalar(data, STATED + "rho", "f")
    if white.dtype.kind != "f" or white.ndim != box.dim + 1:
        raise ValueError(f"a matrix polynomial of type {white.dtype} and shape {white.shape}")
    plan = Plan(record, rule, rho, _scalar(data, STATED + "fine", "b"), degree, nodes, white)
    return Proof(**stated, measured=measured, box=box, argument=argument, plan=plan, checked=False)


def _certificate(data: Mapping[str, Array], tol: float) -> Certificate:
    """The certificate field by field; those that a later release added have their defaults."""
    found: dict[str, Any] = {}
    for field in fields(Certificate):
        value = data.get(MEASURED + field.name)
        if value is not None:
            found[field.name] = value if value.ndim else value.item()
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"no {field.name} of the certificate")
    certificate = Certificate(**found)
    if certificate.tol != tol or not certificate.metric_error >= 0:
        raise ValueError(f"a metric error of {certificate.metric_error} for tol = {certificate.tol}")
    return certificate


def _scalar(data: Mapping[str, Array], key: str, kinds: str) -> Any:
    value = data[key]
    if value.ndim or value.dtype.kind not in kinds:
        raise ValueError(f"{key} of type {value.dtype} and shape {value.shape}")
    return value.item()


def _numbers(data: Mapping[str, Array], key: str, shape: tuple[int, ...], finite: bool = True) -> Array:
    value = data[key]
    if value.dtype.kind not in "fiu" or value.shape != shape:
        raise ValueError(f"{key} of type {value.dtype} and shape {value.shape}, where {shape} belongs")
    value = value.astype(float)
    if finite and not np.isfinite(value).all():
        raise ValueError(f"{key} with a NaN or an infinity")
    return value
