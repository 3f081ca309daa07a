"""A few steps over [0, 1] of embedded Runge-Kutta pairs, for motions so short that few of low order will do."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Field, Map

#: relative change of a state from which its steps are left to an integrator that adapts them
LARGEST_CHANGE = 0.4


class Pair(NamedTuple):
    """An embedded pair: the stages A, shape=[s, s], the weights b, and those of the error, shape=[s] or [s + 1].

    `reach` is the relative change of the state up to which the pair is tried; a weight beyond the stages is that of the
    velocity at the end.
    """

    reach: float
    A: Array
    b: Array
    error: tuple[Array, ...]


@cache
def pairs() -> tuple[Pair, ...]:
    """Heun's of orders two and one, and scipy's of orders three, five and eight, by the change that they resolve.

    An error of order p + 1 in the change is below 1e-12 where the change is: 1e-6, 1e-4, 5e-3, and 0.05.
    """
    from scipy.integrate import DOP853, RK23, RK45

    heun = Pair(1e-6, np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0.5, 0.5]), (np.array([-0.5, 0.5]),))
    low, middle = (Pair(reach, m.A, m.B, (m.E,)) for reach, m in ((1e-4, RK23), (5e-3, RK45)))
    high = Pair(0.05, DOP853.A[: DOP853.n_stages, : DOP853.n_stages], DOP853.B, (DOP853.E5[:-1], DOP853.E3[:-1]))
    return heun, low, middle, high


def few_steps(
    field: Map, y: Array, velocity: Array, change: float, accept: Callable[[tuple[Array, ...], Array], bool]
) -> Array | None:
    """Where y' = field(y) leads in unit time, by equal steps of the cheapest pair for a change; None if errors are not
    accepted, or the change is too large for few steps.

    `velocity` is field(y), `change` is its size beside y, and `accept` is asked of the estimates of the error, two for
    the pair of order eight, and the end of a step. A step of a pair that fails is tried again by the next one.
    """
    count = max(1, int(np.ceil(change / pairs()[-1].reach))) if change < LARGEST_CHANGE else 0
    h, chosen = 1 / max(count, 1), 0
    for k in range(count):
        velocity = h * (field(y) if k else velocity)
        while chosen < len(pairs()):
            pair = pairs()[chosen]
            end = _step(lambda s, y: field(y), y, velocity, h, pair, accept) if change * h <= pair.reach else None
            if end is not None:
                break
            chosen += 1
        else:
            return None
        y = end
    return y if count else None


def step_of_order_eight(field: Field, y: Array) -> tuple[Array, Array]:
    """The end of one step of DOP853 for y' = field(s, y) from s = 0 to 1, and the error of each component."""
    found: list[Array] = []

    def keep(errors: tuple[Array, ...], end: Array) -> bool:
        fifth, third = errors
        with np.errstate(all="ignore"):
            size = np.hypot(fifth, 0.1 * third)
            found.append(np.where(size > 0, fifth * (fifth / size), 0.0))
        return True

    end = _step(field, y, field(0.0, y), 1.0, pairs()[-1], keep)
    assert end is not None
    return end, np.abs(found[0])


def _step(
    field: Field, y: Array, first: Array, h: float, pair: Pair, accept: Callable[[tuple[Array, ...], Array], bool]
) -> Array | None:
    """The end of one step of a pair, of length h from s = 0, by its first stage; None where its error is not accepted.

    The time of a stage is the sum of its weights.
    """
    stages = [first]
    for row in pair.A[1:]:
        stages.append(h * field(h * float(row.sum()), y + _combined(row, stages)))
    end = y + _combined(pair.b, stages)
    if len(pair.error[0]) > len(stages):
        stages.append(h * field(h, end))
    return end if accept(tuple(_combined(weights, stages) for weights in pair.error), end) else None


def _combined(weights: Array, stages: list[Array]) -> Array:
    """The sum of stages by their weights."""
    found = weights[0] * stages[0]
    for weight, stage in zip(weights[1:], stages[1:], strict=False):
        if weight:
            found += weight * stage
    return found
