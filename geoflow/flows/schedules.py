"""Schedules of a regularizer's strength, and of losses that change with time."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp

from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_finite
from geoflow.errors import ArgumentError, ShapeError

Schedule = Callable[[float], float] | float


def as_schedule(schedule: Schedule | None, regularized: bool) -> Callable[[float], float]:
    """alpha(t) as a function; a number is constant, and None is 1."""
    if schedule is not None and not regularized:
        raise ArgumentError(
            "schedule", got="a schedule without a regularizer", wanted="regularizer=h beside it",
            remedy="pass gradient_flow a regularizer, or mirror_flow the family of gf.regularized_mirror_map(G, x0, h)",
        )  # fmt: skip
    if schedule is None:
        return lambda t: 1.0
    if callable(schedule):
        return lambda t: float(schedule(t))
    value = as_finite(schedule, "schedule")
    if value.ndim:
        raise ArgumentError("schedule", got=f"shape {value.shape}", wanted="a number, or a callable t -> alpha(t)")
    return lambda t: float(value)


class LinearSchedule:
    """Losses L_t(w) = -<u_k, w> p(t - k) for k <= t < k + 1, with the pulse p(s) = 30 s^2 (1 - s)^2 of integral 1.

    Parameters
    ----------
    forces : array-like, shape=[K, d]
        u_0, ..., u_{K-1}: minus the gradients, so that the integral of the gradient is minus their sum.
    """

    def __init__(self, forces: ArrayLike):
        self.forces = as_finite(forces, "forces")
        if self.forces.ndim != 2:
            raise ShapeError("forces", got=f"shape {self.forces.shape}", wanted="shape [K, d]")

    def force(self, t: float) -> Array:
        k = min(max(int(t), 0), len(self.forces) - 1)
        s = min(max(t - k, 0.0), 1.0)
        return self.forces[k] * 30 * s**2 * (1 - s) ** 2

    def __call__(self, w: Array, t: float) -> Array:
        return -anp.sum(w * self.force(t), axis=-1)

    def gradient(self, w: Array, t: float) -> Array:
        return -self.force(t)
