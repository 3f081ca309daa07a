"""What the steps of an integration went over: its dense output held against the field, where it goes far at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Index
from geoflow.numerics.runs import COLLOCATION, UNDEFINED, Problem, Solution

#: evaluations beside those of the integration, as a part of them, and at least
SPENT, AT_LEAST = 0.1, 4
#: how far a velocity may be off that of the dense output, in the tolerance of a step, and beside itself
EXPLAINED, PART = 1e4, 0.02
#: parts of the gap around what was overlooked, none of which a step is longer than
FINER = 8
#: states whose velocities are asked for at once, where that is cheaper
TOGETHER = 9
#: unknowns by which the way of a state is measured
MEASURED = 256


class Overlooked(NamedTuple):
    """Times between which a field is not what the dense output is the solution of, and the longest step to take."""

    begin: float
    end: float
    max_step: float


def overlooked(problem: Problem, solution: Solution, rtol: float, atol: float) -> tuple[Overlooked | None, int]:
    """The first feature of a field that the steps of a solution went over, and how many evaluations that took.

    The field is asked inside those steps along which a state goes farthest, as evenly as a tenth of the evaluations of
    the integration allows. A feature is seen where a point lies in it: one along the way that is wider than
    `gap(solution)` parts of the way.
    """
    times, ends = _places(solution)
    if not len(times):
        return None, 0
    a, b = ends.T
    together = TOGETHER if problem.velocities and solution.method == COLLOCATION else 1
    h = b - a
    delta = 1e-3 * h
    before, at, after = (solution.dense(s) for s in (times - delta, times, times + delta))
    allowed = atol + rtol * np.abs(at).reshape(len(times), problem.entries, -1).max(axis=2)
    with np.errstate(all="ignore"):
        for k, s in enumerate(times):
            slope = (after[k] - before[k]) / (2 * delta[k])
            if k % together == 0:
                some = _velocities(problem, times[k : k + together], at[k : k + together])
            velocity = some[k % together]
            off, size = (np.abs(v).reshape(problem.entries, -1).max(axis=1) for v in (velocity - slope, slope))
            reach = np.maximum(size, np.abs(velocity).reshape(problem.entries, -1).max(axis=1))
            if not (h[k] * off <= EXPLAINED * allowed[k] + PART * h[k] * reach).all():
                mine = (times >= a[k]) & (times <= b[k])
                nodes = np.unique(np.r_[a[k], times[mine], b[k]])
                place = int(np.searchsorted(nodes, s))
                gap = float(nodes[place + 1] - nodes[place - 1])
                asked = min(k - k % together + together, len(times))
                return Overlooked(float(nodes[place - 1]), float(b[k]), gap / 2 / FINER), asked
    return None, len(times)


def gap(solution: Solution) -> float:
    """The longest part of the way of an unknown between two times at which the field was seen, of that way."""
    return _counts(solution)[1]


def _velocities(problem: Problem, times: Array, states: Array) -> Array:
    """Those of one state, or of some at once of a field that does not depend on time, shape=[m, k]."""
    many = problem.velocities
    try:
        return many(states) if many and len(times) > 1 else np.asarray(problem.rhs(float(times[0]), states[0]))[None]
    except UNDEFINED:
        return np.full(states.shape, np.nan)


def _counts(solution: Solution) -> tuple[Index, float]:
    """In how many points every step is looked at, and how far apart they are at most, beside the whole way."""
    steps = solution.steps
    if len(steps) < 2:
        return np.zeros(0, dtype=int), 0.0
    k = solution.y.shape[1]
    some = np.unique(np.linspace(0, k - 1, min(k, MEASURED)).astype(int))
    moved = np.abs(np.diff(np.stack([solution.dense(s)[some] for s in steps]), axis=0))
    whole = moved.sum(axis=0)
    way = (moved[:, whole > 1e-9 * whole.max()] / whole[whole > 1e-9 * whole.max()]).max(axis=1, initial=0.0)
    most = max(AT_LEAST, int(SPENT * solution.n_evaluations))
    low, high = 0.0, float(way.max())
    for _ in range(40):
        middle = (low + high) / 2
        if middle > 0 and np.ceil(way / middle).sum() - np.count_nonzero(way) <= most:
            high = middle
        else:
            low = middle
    return (np.maximum(np.ceil(way / high), 1) - 1).astype(int) if high > 0 else np.zeros(len(way), dtype=int), high


def _places(solution: Solution) -> tuple[Array, Array]:
    """Times inside steps, shape=[m], and the ends of those steps, shape=[m, 2]."""
    counts, _ = _counts(solution)
    chosen = np.flatnonzero(counts)
    if not len(chosen):
        return np.zeros(0), np.zeros((0, 2))
    a, b = solution.steps[chosen], solution.steps[chosen + 1]
    times = [p + (q - p) * np.arange(1, n + 1) / (n + 1) for p, q, n in zip(a, b, counts[chosen], strict=True)]
    return np.concatenate(times), np.stack([np.repeat(end, counts[chosen]) for end in (a, b)], axis=1)
