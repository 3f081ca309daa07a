"""Where flows and descents stop before their last time: at a small loss, a small gradient, or a small change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np

from geoflow._typing import Array, ArrayLike, Index, Mask
from geoflow._validate import as_finite
from geoflow.errors import ArgumentError
from geoflow.flows.losses import PointwiseLoss
from geoflow.results import Status, Trajectory, require_within


class Until(TypedDict, total=False):
    """Bounds on figures of the points w of a flow or a descent, which stops where one of them is met.

    `loss` bounds L(w), `gradient` bounds |grad L(w)|, and `change` bounds |w - v| / |w|, v the point of the step, or of
    the output time, before it. A flow is kept up to the first of its output times at which one is met; every point of a
    batch ends by itself. The status says which was met; where none ever is, it is `Status.UNTIL_NOT_MET`.
    """

    loss: float
    gradient: float
    change: float


#: the status of each, in the order in which they are asked
REACHED = {"loss": Status.SMALL_LOSS, "gradient": Status.SMALL_GRADIENT, "change": Status.SMALL_CHANGE}
WORDS = {"loss": "the loss", "gradient": "the norm of its gradient", "change": "the relative change of w"}


def as_until(until: Until | None) -> dict[str, float]:
    """The bounds by name; none of None."""
    if until is None:
        return {}
    example = "a dict of bounds on loss, gradient or change, such as {'loss': 1e-8}"
    if not isinstance(until, Mapping):
        raise ArgumentError("until", got=type(until).__name__, wanted=example)
    if not until or not set(until) <= set(REACHED):
        raise ArgumentError("until", got=f"the names {sorted(map(str, until))}", wanted=example)
    bounds = {}
    for name in (name for name in REACHED if name in until):
        value: Any = until[name]  # type: ignore[literal-required]
        bound = as_finite(value, f"until, {name}")
        if bound.ndim or isinstance(value, (bool, str)) or (name != "loss" and not bound > 0):
            raise ArgumentError(f"until, {name}", repr(value), "a number" if name == "loss" else "a positive number")
        bounds[name] = float(bound)
    return bounds


def figures(
    bounds: dict[str, float], loss: PointwiseLoss, w: Array, before: Array | None, t: float
) -> dict[str, Array]:
    """What is bounded, at points w, shape=[N, d], at time t, that came from `before`; NaN at points that are NaN."""
    found = {}
    if "loss" in bounds:
        found["loss"] = loss.value_or_nan(w, t)
    if "gradient" in bounds:
        fine, norm = np.isfinite(w).all(axis=-1), np.full(len(w), np.nan)
        if fine.any():
            norm[fine] = np.linalg.norm(loss.gradient(w[fine], t), axis=-1)
        found["gradient"] = norm
    if "change" in bounds:
        way = np.nan if before is None else _length(w - before)
        found["change"] = way / np.maximum(_length(w), 1e-300)
    return found


def _length(w: Array) -> Array:
    """|w|, also where squares underflow."""
    size = np.maximum(np.abs(w).max(axis=-1), 1e-300)
    return np.asarray(size * np.linalg.norm(w / size[..., None], axis=-1))


def first_met(bounds: dict[str, float], found: dict[str, Array]) -> Index:
    """Which bound each point meets, by its place among the `bounds`, and their number where it meets none."""
    met = [found[name] <= bound for name, bound in bounds.items()]
    return np.argmax([*met, np.ones_like(met[0])], axis=0)


def reached(bounds: dict[str, float], which: int, found: dict[str, Array], entry: int = 0) -> tuple[Status, str]:
    """The status and the words of a point that meets a bound, or, at the end, none."""
    names = list(bounds)
    if which < len(names):
        name = names[which]
        return REACHED[name], f"{WORDS[name]} is {found[name][entry]:.3g}, at most {bounds[name]:g}"
    told = []
    for name in names:
        value = found[name][entry]
        said = "not measured" if np.isnan(value) else f"{value:.3g}, not {bounds[name]:g}"
        told.append(f"{WORDS[name]} is {said}")
    return Status.UNTIL_NOT_MET, f"at the end {', '.join(told)}"


def stopped(flow: Trajectory, loss: PointwiseLoss, bounds: dict[str, float]) -> Trajectory:
    """A flow up to the first of its times at which a bound is met; every point of a batch by itself, NaN after it."""
    if not bounds:
        return flow
    batch, last = flow.w.shape[1:-1], len(flow.t) - 1
    w = flow.w.reshape(last + 1, -1, loss.dim)
    entries = w.shape[1]
    ends, why = np.full(entries, last), np.empty(entries, dtype=object)
    open_, none = np.ones(entries, dtype=bool), len(bounds)
    for k, t in enumerate(flow.t):
        found = figures(bounds, loss, w[k], w[k - 1] if k else None, float(t))
        which = first_met(bounds, found)
        for entry in np.flatnonzero(open_ & ((which < none) | (k == last))):
            ends[entry], why[entry], open_[entry] = (
                k,
                reached(bounds, int(which[entry]), found, entry),
                which[entry] == none,
            )
        if not open_.any():
            break
    return _cut(flow, ends.reshape(batch), why, open_)


def _cut(flow: Trajectory, ends: Index, why: Array, open_: Mask) -> Trajectory:
    """The flow with each entry up to the time of its index, with its status; those that are open met nothing."""
    keep, batch = int(ends.max()) + 1, ends.shape
    t = flow.t[:keep]
    before = np.broadcast_to(flow.statuses if flow.statuses.size else flow.status.value, batch).ravel()
    statuses = np.array(
        [
            old if o and old != Status.SUCCESS.value else new.value
            for old, (new, _), o in zip(before, why, open_, strict=True)
        ]
    )
    worst = _first_of(statuses, ends.ravel())
    status = Status(statuses[worst])
    message = flow.message if status.early else f"t = {t[ends.ravel()[worst]]:.6g}: {why[worst][1]}"
    if len(statuses) > 1:
        message += f"; {int((~open_).sum())} of {len(statuses)} points of the batch met a bound, see statuses"

    def until(values: Array | None, last: Array, at: Array) -> Array | None:
        if values is None or not batch:
            return values
        over = np.expand_dims(at, tuple(range(-len(batch), 0))) > last
        return np.where(over.reshape(*over.shape, *(1,) * (values.ndim - over.ndim)), np.nan, values)

    def sol(s: ArrayLike) -> Array:
        times = require_within(s, t[-1])
        found = until(flow.sol(times), t[ends] * (1 + 1e-12), times)
        assert found is not None
        return found

    parts: dict[str, Any] = {
        name: until(None if value is None else value[:keep], t[ends], t)
        for name, value in (("w", flow.w), ("x", flow.x), ("mu", flow.mu), ("loss", flow.loss))
    }
    return replace(flow, t=t, **parts, status=status, message=message, sol=sol, statuses=statuses.reshape(batch))


def _first_of(statuses: Array, ends: Index) -> int:
    """The entry whose status is that of the whole: one that ended early, else one that met nothing, else the first."""
    early = [Status(status).early for status in statuses]
    missed = statuses == Status.UNTIL_NOT_MET.value
    return int(np.argmax(early) if any(early) else np.argmax(missed) if missed.any() else np.argmin(ends))
