"""Where a metric may vary in less than the distance of random points: extremes of the quantities it is computed from.

A bump exp(-|w - c|^2 / s^2) is 0 to rounding nearly everywhere, and no sample of it leads to c. Its exponent has a wide
basin. So the potential is recorded, and what its steps that are no polynomials are given (an exponent, a denominator,
the argument of a tanh) is minimised, maximised and brought to zero over the box: there the metric is looked at, at all
scales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from geoflow._typing import Array, Index, Map, Mask
from geoflow.numerics.records import Record, Step, record

LARGEST_DIM = 6  # a quadratic model in d variables takes (d+1)(d+2)/2 values
SAMPLE = 1031  # a prime, so that the axis of the points is known from its length
STARTS, MOST = 3, 300  # of one extreme, and of all
FEW = 8  # quantities that are brought to zero together
ROUNDS, FIRST, SHRINK = 7, 0.06, 0.3  # of a descent; its first step, in shares of the sides, and what a round leaves
SCALES = 0.05 * 0.4 ** np.arange(8)  # about an extreme, shares of the sides
FINEST = 1e-3  # a feature of this share of the sides is seen at an extreme: the descent and three scales are finer

METRIC_SAMPLE, SURPRISES = 2**14, 40  # where a metric that is not recorded is looked at, and what is kept

#: steps that add no feature to what they are given: polynomials, and those that move entries
PLAIN = {
    "add", "subtract", "negative", "multiply", "sum", "mean", "prod", "square", "matmul", "dot", "einsum", "tensordot",
    "inner", "outer", "cumsum", "trace", "reshape", "ravel", "transpose", "swapaxes", "moveaxis", "squeeze",
    "expand_dims", "broadcast_to", "concatenate", "concatenate_args", "stack", "array_from_args",
    "array_from_scalar_or_array", "_astype", "untake", "getitem", "__getitem__", "take", "roll", "diag", "diagonal",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """Extreme points in a box, what they are extremes of, and why there are none.

    Attributes
    ----------
    points : array, shape=[M, d]
    around : array, shape=[K, d]
        Points about each of them, at `SCALES`.
    n_quantities : int
    note : str
        Why the metric was not recorded, or what was left out; empty where nothing was.
    sample : array, shape=[n, d]
        Where the metric alone was looked at, to find points about which it varies; none where it was recorded.
    """

    points: Array
    around: Array
    n_quantities: int = 0
    note: str = ""
    sample: Array = field(default_factory=lambda: np.zeros((0, 1)))


def extremes(functions: Sequence[Map], lower: Array, upper: Array, fixed: Array) -> Found:
    """Where the recorded quantities of functions, each of w of shape=[N, d], are extreme over a box, or zero.

    `fixed`, shape=[n, d], are points that are looked at anyway; descents start from them too.
    """
    d = len(lower)
    none = np.zeros((0, d))
    if d > LARGEST_DIM:
        return Found(none, none, 0, f"its quantities are searched up to dimension {LARGEST_DIM}")
    rng, width = np.random.default_rng(17), upper - lower
    z = np.concatenate([(fixed - lower) / width, rng.uniform(size=(SAMPLE, d))])[:SAMPLE]
    records, notes = [], []
    for f in functions:
        recorded, note = record(f, lower + width * z[:3])
        notes += [note] if recorded is None else []
        records += [] if recorded is None else [recorded]
    if not records:
        return Found(none, none, 0, f"it cannot be recorded: {notes[0][:100]}" if notes else "its formula is not known")
    if notes:
        notes = [f"{len(notes)} of its {len(functions)} formulas cannot be recorded"]

    def values(unit: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.concatenate([quantities(r, lower + width * unit) for r in records], axis=1)

    q = values(z)
    columns = np.flatnonzero(np.isfinite(q).all(axis=0) & (np.ptp(q, axis=0) > 0))
    goals = [(k, sign) for k in columns for sign in (1, -1, 0) if sign or q[:, k].min() < 0 < q[:, k].max()]
    starts, owner, sign = _starts(z, q, goals)
    if len(starts) > MOST:
        notes.append(f"{MOST} of {len(starts)} descents to extremes were made")
        chosen = rng.permutation(len(starts))[:MOST]
        starts, owner, sign = starts[chosen], owner[chosen], sign[chosen]

    def goal(unit: Array, index: Index) -> Array:
        value = values(unit)[np.arange(len(unit)), owner[index]]
        return np.where(sign[index] == 0, np.abs(value), sign[index] * value)

    found = np.unique(np.round(descend(goal, starts), 6), axis=0) if len(starts) else none
    at_corner = ((found == 0) | (found == 1)).all(axis=1)
    found = found[~at_corner]
    turns = rng.standard_normal((len(found), len(SCALES), 2, d))
    turns *= SCALES[:, None, None] / np.linalg.norm(turns, axis=-1, keepdims=True)
    around = np.clip((found[:, None, None] + turns).reshape(-1, d), 0, 1)
    return Found(lower + width * found, lower + width * around, len(columns), "; ".join(notes))


def _starts(z: Array, q: Array, goals: list[tuple[int, int]]) -> tuple[Array, Index, Index]:
    """The lowest local minima of every goal among the sample: points, their quantities and signs."""
    near = cKDTree(z).query(z, k=min(len(z), 2 * z.shape[1] + 3))[1]
    rows: list[tuple[int, int, int]] = []
    for k, sign in goals:
        value = np.abs(q[:, k]) if sign == 0 else sign * q[:, k]
        minima = np.flatnonzero(value <= value[near].min(axis=1))
        rows += [(p, k, sign) for p in minima[np.argsort(value[minima])[:STARTS]]]
    table = np.array(rows, dtype=int).reshape(-1, 3)
    return z[table[:, 0]], table[:, 1], table[:, 2]


def quantities(recorded: Record, w: Array) -> Array:
    """What the steps that are no polynomials are given at points of shape=[N, d], a column each; shape=[N, J].

    Of products whose factors have an exponential or a quotient among them, the logarithm, which does not underflow. Of
    a few given together, entries of one array or in factors of one product, also their sum of squares: where all of
    them are zero.
    """
    values, N = recorded.values(w), len(w)
    logs: dict[int, Array] = {}
    given: dict[int, Array] = {}  # by the step whose result they are
    behind: list[frozenset[int]] = [frozenset()]  # which of these each step depends on
    together: dict[frozenset[int], None] = {}
    products: list[Array] = []
    for place, step in enumerate(recorded.steps[1:], start=1):
        behind.append(frozenset().union(*(behind[parent] for parent in step.parents)))
        log = _logarithm(step, values, logs)
        if log is not None:
            logs[place] = log
            products += _columns(log, N) if step.name in ("multiply", "prod") else []
        if step.name in PLAIN or _is_polynomial(step):
            if step.name == "multiply" and len(step.parents) == 2:
                together[behind[place]] = None
            continue
        for parent in step.parents:
            if columns := _columns(values[parent], N):
                given[parent] = columns[0]
                behind[place] |= {parent}
                together[frozenset({parent})] = None
    sums = []
    for group in together:
        some = np.concatenate([np.zeros((N, 0)), *(given[parent] for parent in sorted(group))], axis=1)
        sums += [(some**2).sum(axis=1, keepdims=True)] if 1 < some.shape[1] <= FEW else []
    return np.concatenate([np.zeros((N, 0)), *given.values(), *products, *sums], axis=1)


def _columns(value: Array, N: int) -> list[Array]:
    """A result at N points as one array of shape=[N, k], or none where it is not a float of each point."""
    value = np.asarray(value)
    if value.dtype.kind != "f" or N not in value.shape:
        return []
    return [np.moveaxis(value, value.shape.index(N), 0).reshape(N, -1)]


def _is_polynomial(step: Step) -> bool:
    """A quotient by a constant, or a power that is a small whole number."""
    other = step.args[1] if len(step.args) > 1 else None
    if step.argnums != (0,) or not isinstance(other, (int, float, np.ndarray)):
        return False
    if step.name in ("true_divide", "divide"):
        return True
    return step.name == "power" and bool(np.all(np.isin(other, np.arange(9))))


def _logarithm(step: Step, values: list[Array], logs: dict[int, Array]) -> Array | None:
    """log |value| of a step that is an exponential, a quotient, or a product of such; None for others."""
    given = dict(zip(step.argnums, step.parents, strict=True))

    def log(argument: int) -> Array:
        if argument in given and given[argument] in logs:
            return logs[given[argument]]
        return np.log(np.abs(values[given[argument]] if argument in given else step.args[argument]))

    known = any(parent in logs for parent in step.parents)
    if step.name == "exp":
        return np.asarray(values[step.parents[0]])
    if step.name in ("true_divide", "divide") and (known or 1 in given):
        return np.asarray(log(0) - log(1))
    if step.name == "multiply" and known:
        return np.asarray(log(0) + log(1))
    if step.name == "power" and 0 in given and 1 not in given and (known or np.any(np.asarray(step.args[1]) < 0)):
        return np.asarray(step.args[1] * log(0))
    if step.name == "negative" and known:
        return logs[step.parents[0]]
    if step.name == "prod" and known:
        return np.asarray(np.sum(log(0), *step.args[1:], **step.kwargs))
    return None


def descend(f: Callable[[Array, Index], Array], starts: Array, first: float = FIRST, rounds: int = ROUNDS) -> Array:
    """Points of the unit cube near minima of functions, edges included, never above their starts; shape=[n, d].

    f takes points and the index of the start each belongs to. A quadratic through (d+1)(d+2)/2 values is minimised in
    each round; it needs no derivatives, and a quadratic is done in one.
    """
    n, d = starts.shape
    i, j = np.triu_indices(d, 1)
    unit = np.eye(d)
    stencil = np.concatenate([np.zeros((1, d)), unit, -unit, unit[i] + unit[j]])
    best, h, rows = np.clip(starts, 0, 1), first, np.arange(n)
    least = f(best, rows)
    for _ in range(rounds):
        centre = np.clip(best, h, 1 - h)
        around = centre[:, None] + h * stencil
        values = f(around.reshape(-1, d), np.repeat(rows, len(stencil))).reshape(n, -1)
        middle, plus, minus = values[:, 0], values[:, 1 : d + 1], values[:, d + 1 : 2 * d + 1]
        B = np.zeros((n, d, d))
        with np.errstate(all="ignore"):  # a model that overflows has no step
            g = (plus - minus) / (2 * h)
            B[:, np.arange(d), np.arange(d)] = (plus + minus - 2 * middle[:, None]) / h**2
            B[:, i, j] = B[:, j, i] = (values[:, 2 * d + 1 :] - plus[:, i] - plus[:, j] + middle[:, None]) / h**2
            step = _newton(g, B)
        size = np.abs(step).max(axis=1, keepdims=True)
        short = step * np.minimum(1, 2 * h / np.maximum(size, 1e-300))
        # three steps to the minimum of a fourth power
        trials = np.stack([np.clip(centre + s, 0, 1) for s in (step, 3 * step, short)], axis=1)
        more = f(trials.reshape(-1, d), np.repeat(rows, 3)).reshape(n, 3)
        points = np.concatenate([best[:, None], around, trials], axis=1)
        values = np.concatenate([least[:, None], values, more], axis=1)
        lowest = np.argmin(np.where(np.isnan(values), np.inf, values), axis=1)
        best, least = points[rows, lowest], values[rows, lowest]
        h *= SHRINK
    return best


def _newton(g: Array, B: Array) -> Array:
    """-|B|^{-1} g, downhill whatever the signs of B; zero where it is not finite."""
    fine: Mask = np.asarray(np.isfinite(g).all(axis=1) & np.isfinite(B).all(axis=(1, 2)))
    values, vectors = np.linalg.eigh(np.where(fine[:, None, None], B, 0.0))
    size = np.abs(values)
    size = np.maximum(size, 1e-8 * size.max(axis=1, keepdims=True) + 1e-300)
    along = np.einsum("nji,nj->ni", vectors, np.where(fine[:, None], g, 0.0))
    step: Array = -np.einsum("nij,nj->ni", vectors, np.clip(along / size, -1, 1))
    return step


def surprises(metric: Map, lower: Array, upper: Array) -> tuple[Array, Array]:
    """A sample of a metric alone, and the points of it where it differs most from what it is at the nearest others."""
    width = upper - lower
    z = np.random.default_rng(29).uniform(size=(METRIC_SAMPLE, len(lower)))
    H = np.concatenate([metric(lower + width * part) for part in np.array_split(z, 8)])
    H = H * width[:, None] * width
    near = cKDTree(z).query(z, k=2 * z.shape[1] + 3)[1][:, 1:]
    size = np.abs(H).max(axis=(1, 2))
    with np.errstate(all="ignore"):
        off = np.abs(H - H[near].mean(axis=1)).max(axis=(1, 2)) / np.minimum(size, size[near].min(axis=1))
    order = np.argsort(-np.nan_to_num(off, nan=np.inf))
    return lower + width * z, lower + width * z[order[:SURPRISES]]


def covering_radius(points: Array, lower: Array, upper: Array) -> float:
    """The radius of the largest ball of the box without a point, as a share of its sides, from random centres."""
    unit = np.random.default_rng(23).uniform(size=(4000, len(lower)))
    return float(cKDTree((points - lower) / (upper - lower)).query(unit)[0].max())
