"""Where in time a field needs care: jumps to stop at, and stretches with steps of their own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array

#: longest steps, as parts of the whole time, and gaps in each at whose ends a field that depends on time is looked at
PROBES, WITHIN = 64, 4
#: evaluations beside, and what part of its range is a feature
MOST_PROBES, FEATURE = 4000, 0.05
#: part of an interval below which a change is a jump, and of it that has to be left there
JUMP_WIDTH, JUMP_PART = 1e-12, 0.7
#: gaps of neighbouring times that differ by less than this factor are one stretch
ALIKE = 8.0


class Stretch(NamedTuple):
    """A part of the time over which an integrator runs without a stop, with its longest step, and if it is the last."""

    begin: float
    end: float
    max_step: float
    final: bool = False


class Features(NamedTuple):
    """Times at which a field jumps, and times so dense that it changes little between neighbours."""

    jumps: list[float]
    times: Array


NONE = Features([], np.zeros(0))


def features(field: Callable[[float], Array], times: Array) -> Features:
    """Jumps and fast changes of a function of time, seen at the times given and at 256 between them.

    Between those it is seen where it is not all but linear. What is shorter than the gaps, and 0 at their ends, is not
    seen; a function that changes everywhere is looked at 4,000 times more. Times are kept at most 1/64 of the whole
    apart, and closer where it changes fast.
    """
    last = float(times[-1])
    nodes = np.unique(np.append(0.0, times))
    nodes = _divided(nodes, last / PROBES)
    between = [_halved(a, b, last / (PROBES * WITHIN)) for a, b in pairwise(nodes.tolist())]
    seen = {s: np.asarray(field(s), dtype=float) for s in (*nodes.tolist(), *(s for part in between for s in part))}

    def at(s: float) -> Array:
        if s not in seen:
            seen[s] = np.asarray(field(s), dtype=float)
        return seen[s]

    with np.errstate(all="ignore"):
        values = np.stack([seen[s] for s in sorted(seen)])
        size = float(np.nanmax(np.abs(values - values[0]), initial=0.0)) or 1e-9 * float(np.nanmax(np.abs(values)))
        todo = [(a, b, part) for (a, b), part in zip(pairwise(nodes.tolist()), between, strict=True)]
        jumps, kept, most = [], set(nodes.tolist()), len(seen) + MOST_PROBES
        while todo and len(seen) < most:
            a, b, part = todo.pop()
            middle = (a + b) / 2
            line = [at(a) + (s - a) / (b - a) * (at(b) - at(a)) for s in (middle, *part)]
            bent = max(float(np.abs(at(s) - straight).max()) for s, straight in zip((middle, *part), line, strict=True))
            size = max(size, bent)
            if not bent > FEATURE * size or not a < middle < b:
                continue
            jump = _jump(at, a, b)
            if jump is None:
                kept.add(middle)
                ends = [(a, middle), (middle, b)]
            else:
                jumps.append(jump[1])
                ends = [(c, e) for c, e in ((a, jump[0]), (jump[1], b)) if e - c > JUMP_WIDTH * last]
            todo += [(c, e, [s for s in part if c < s < e]) for c, e in ends]
    return Features(sorted(jumps), np.array(sorted(kept)))


def _divided(nodes: Array, gap: float) -> Array:
    """Times with as many between them, evenly, that none are further apart than a gap."""
    parts = np.ceil(np.diff(nodes) / gap - 1e-9).astype(int)
    return np.unique(
        np.concatenate([np.linspace(a, b, n + 1) for (a, b), n in zip(pairwise(nodes), parts, strict=True)])
    )


def _halved(a: float, b: float, gap: float) -> list[float]:
    """Times between a and b, by halving, none further apart than a gap."""
    middle = (a + b) / 2
    return [] if b - a <= gap * (1 + 1e-9) else [*_halved(a, middle, gap), middle, *_halved(middle, b, gap)]


def _jump(at: Callable[[float], Array], a: float, b: float) -> tuple[float, float] | None:
    """The ends of a short interval in [a, b] over which a function changes about as much as over [a, b]; else None."""
    left, right, least = a, b, JUMP_WIDTH * max(abs(a), abs(b))
    whole = np.abs(at(b) - at(a)).max()
    middle = at((a + b) / 2)
    whole = max(whole, np.abs(middle - at(a)).max(), np.abs(at(b) - middle).max())
    while right - left > least:
        middle_time = (left + right) / 2
        first, second = np.abs(at(middle_time) - at(left)).max(), np.abs(at(right) - at(middle_time)).max()
        if not max(first, second) > JUMP_PART * whole:
            return None
        left, right = (left, middle_time) if first >= second else (middle_time, right)
    return left, right


def stretches(times: Array, breakpoints: Array, found: Features, max_step: float) -> list[Stretch]:
    """[0, times[-1]] cut at breakpoints and jumps, and where the gaps of the times of features change by much."""
    last = float(times[-1])
    inside = sorted({float(s) for s in (*breakpoints, *found.jumps) if 0 < s < last})
    cuts = [0.0, *inside, last]
    out: list[Stretch] = []
    for begin, end in pairwise(cuts):
        nodes = np.concatenate([[begin], found.times[(found.times > begin) & (found.times < end)], [end]])
        if len(found.times) == 0:
            out.append(Stretch(begin, end, max_step))
            continue
        gaps, first, least = np.diff(nodes), 0, np.inf
        least = most = gaps[0]
        for k, gap in enumerate(gaps):
            if max(most, gap) > ALIKE * min(least, gap):
                out.append(Stretch(float(nodes[first]), float(nodes[k]), min(max_step, least)))
                first, least, most = k, gap, gap
            least, most = min(least, gap), max(most, gap)
        out.append(Stretch(float(nodes[first]), end, min(max_step, least)))
    return [*out[:-1], Stretch(out[-1].begin, out[-1].end, out[-1].max_step, True)]
