"""The two motions of a point of M: pushed by a covector, and lifted along a curve in w."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geoflow._typing import Array, Map
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, Field, Stop, integrate_batch


def pushed(kernel: MapKernel, mu: Array) -> Map:
    """The velocity x' = sum_i mu_i grad G_i(x) of flat points, for covectors of shape=[N, d]."""
    return lambda x: kernel.pullback(x, mu)


@dataclass(frozen=True)
class Lifted:
    """State of a horizontal lift: flat points, the dual coordinates gained, and the logarithm of a weight.

    Attributes
    ----------
    x : array, shape=[N, D]
    mu : array, shape=[N, d], or None
        None where they are not asked for.
    log_weight : array, shape=[N], or None
    """

    x: Array
    mu: Array | None = None
    log_weight: Array | None = None


def lift_along(
    kernel: MapKernel,
    state: Lifted,
    velocity: Array | Callable[[float], Array],
    one_form: Map | None = None,
    rtol: float = FLOW_RTOL,
    atol: float = FLOW_ATOL,
    first_step: float | None = None,
) -> tuple[Lifted, Stop | None]:
    """Lift a curve w(s), s in [0, 1], horizontally: x' = sum_i mu_i' grad G_i and mu' = e^l C^{-1} w', l' = a(x).w'.

    Parameters
    ----------
    kernel : MapKernel
    state : Lifted
        Where the lift starts; what is None there is not integrated.
    velocity : array, shape=[N, d], or callable
        w', constant or a function of s.
    one_form : callable, optional
        a: flat points to shape=[N, d]; needed with a weight, l = log_weight.
    rtol, atol, first_step
        As for `integrate_batch`.

    Returns
    -------
    state : Lifted
        At s = 1, or where the lift ends.
    stop : Stop, or None
        Why it ends early.
    """
    D, d = kernel.dim, kernel.codomain_dim
    speed = velocity if callable(velocity) else lambda s: velocity

    def rate(s: float, y: Array) -> Array:
        x, way = y[:, :D], speed(s)
        dx, dmu = kernel.horizontal_lift(x, way)
        if state.mu is None:
            return dx
        if state.log_weight is None or one_form is None:
            return np.concatenate([dx, dmu], axis=1)
        slope = np.sum(one_form(x) * way, axis=-1)
        return np.concatenate([dx, np.exp(y[:, D + d :]) * dmu, slope[:, None]], axis=1)

    end, stop = integrate_batch(rate, _joined(state), rtol, atol, first_step)
    return _split(state, end, D, d), stop


def _joined(state: Lifted) -> Array:
    columns = [state.x]
    if state.mu is not None:
        columns.append(state.mu)
        if state.log_weight is not None:
            columns.append(state.log_weight[:, None])
    return np.concatenate(columns, axis=1)


def _split(like: Lifted, y: Array, D: int, d: int) -> Lifted:
    mu = None if like.mu is None else y[:, D : D + d]
    return Lifted(y[:, :D], mu, None if like.log_weight is None else y[:, D + d])


def joint_rate(kernel: MapKernel, mu: Array) -> Field:
    """The joint flow with Q along it: x' = sum_i mu_i grad G_i and Q' = <G(x), mu>, states of shape=[N, D + 1]."""

    def rate(s: float, y: Array) -> Array:
        x = y[:, : kernel.dim]
        dQ = np.einsum("ni,ni->n", kernel.value(x), mu)
        return np.concatenate([kernel.pullback(x, mu), dQ[:, None]], axis=1)

    return rate
