"""The two motions of a point of M: pushed by a covector, and lifted along a curve in w."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Map, Mask
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.batches import inverse_or_nan
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, STEPS, Steps, Stop, integrate_batch
from geoflow.numerics.picard import Rowwise
from geoflow.numerics.runs import Tolerances
from geoflow.numerics.steps import few_steps

#: growth by e^GROWS from which coordinates are logarithmic; linear so far below what decays as much as others grow
GROWS, LINEAR_BELOW = 0.5, 1e-3
#: inputs of a block beyond which they are not looked at one by one
MANY = 8


class LogLike(NamedTuple):
    """Coordinates y of points of R^D with x = width sinh(y): logarithmic beyond `width`, shape=[N, D], linear below.

    A coordinate that grows from 1e-4 to 1 is then all but linear in a parameter in which it grows exponentially.
    """

    width: Array

    def of(self, x: Array) -> Array:
        return np.arcsinh(x / self.width)

    def point(self, y: Array) -> Array:
        return self.width * np.sinh(y)

    def rate(self, x: Array, dx: Array) -> Array:
        """y' from x'."""
        return dx / np.sqrt(x * x + self.width * self.width)


def log_like(kernel: MapKernel, x: Array, growth: Array) -> LogLike | None:
    """Coordinates in which the inputs of blocks that grow by e^growth, shape=[N, count], are logarithmic.

    None where none grows much, or where M is curved. An input that may cross 0 stays linear: there its logarithm is not
    smooth.
    """
    blocks = kernel.blocks
    large = growth > GROWS
    if not (kernel.grows_alone and large.any() and blocks.sizes.max() <= MANY):
        return None
    keeps = _keeps_sign(kernel, x[:1])
    if not keeps.any():
        return None
    size = np.abs(x)
    others = blocks.at_inputs(blocks.largest(x))
    decay = blocks.at_inputs(np.exp(-np.clip(growth, 0.0, 300.0)))
    size = np.where(size > 0, np.maximum(LINEAR_BELOW * decay * size, 1e-290), np.where(others > 0, others, 1.0))
    grows = (blocks.at_inputs(large.astype(float)) > 0) & keeps
    return LogLike(np.where(grows, size, 100 * np.where(others > 0, others, 1.0)))


def _keeps_sign(kernel: MapKernel, x: Array) -> Mask:
    """Which inputs stay on their side of 0, shape=[D]: their component of the gradient is 0 where they are, at x."""
    keeps, ones = np.zeros(kernel.dim, dtype=bool), np.ones((1, kernel.codomain_dim))
    with np.errstate(all="ignore"):
        size = np.abs(kernel.pullback(x, ones))
        for mask, at in kernel.blocks.without_one(x):
            keeps |= mask & (np.abs(kernel.pullback(at, ones)) <= 1e-14 * size)[0]
    return keeps


def growth_of(kernel: MapKernel, x: Array, velocity: Array) -> Array:
    """|x'| / |x| of the largest coordinates of every block, shape=[N, count]."""
    blocks = kernel.blocks
    with np.errstate(all="ignore"):
        return blocks.largest(velocity) / np.maximum(blocks.largest(x), 1e-300)


def joint_motion(
    kernel: MapKernel, x: Array, mu: Array, rtol: float, atol: float, pulled: Array | None = None
) -> tuple[Array, Stop | None]:
    """psi(x; mu) for flat points and covectors, shape=[N, D] and [N, d], or the last points and where a flow ends.

    The accuracy is that of every coordinate where there are blocks, and of every point where there is one. `pulled` is
    the pullback of mu at x, where that is known.
    """
    pulled = kernel.pullback(x, mu) if pulled is None else pulled
    growth, blocks = growth_of(kernel, x, pulled), kernel.blocks
    chart = log_like(kernel, x, growth)
    entries = len(x) if blocks.single else x.size
    size, way = blocks.largest(x), blocks.largest(pulled)  # that of a start at 0 is the way it goes
    least = np.maximum(atol * np.minimum(blocks.at_inputs(np.where(size > 0, size, way)), 1.0), 1e-300)
    if chart is None:
        change = float(np.max(growth, initial=0.0))
        short = _short(lambda y: kernel.pullback(y, mu), x, pulled, Tolerances(rtol, least, entries), change)
        if short is not None:
            return short, None
        return integrate_batch(Rowwise(lambda s, y, mu: kernel.pullback(y, mu), mu), x, rtol, least, STEPS, entries)

    def rate(s: float, y: Array, mu: Array, width: Array) -> Array:
        chart = LogLike(width)
        at = chart.point(y)
        return chart.rate(at, kernel.pullback(at, mu))

    end, stop = integrate_batch(Rowwise(rate, mu, chart.width), chart.of(x), rtol, atol, STEPS, entries)
    if stop is not None:
        stop = Stop(stop.s, stop.entry, chart.point(stop.state))
    return chart.point(end), stop


def _short(field: Map, x: Array, velocity: Array, tolerances: Tolerances, change: float) -> Array | None:
    """Where x' = field(x) leads in unit time if few steps are enough for the tolerances; else None."""

    def accept(errors: tuple[Array, ...], end: Array) -> bool:
        return tolerances.measured(errors, x, end) < 1

    with np.errstate(all="ignore"):
        return few_steps(field, x, velocity, change, accept)


class Lifted(NamedTuple):
    """State of a horizontal lift: flat points, shape=[N, D], and where they are asked for the dual coordinates gained,
    shape=[N, d], and the logarithm of a weight, shape=[N]."""

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
    steps: Steps = STEPS,
) -> tuple[Lifted, Stop | None]:
    """Lift a curve w(s), s in [0, 1], horizontally: x' = sum_i mu_i' grad G_i and mu' = e^l C^{-1} w', l' = a(x).w'.

    What is None in the state is not integrated. `velocity` is w', constant or a function of s, and `one_form` is a,
    flat points to shape=[N, d], needed with l = log_weight. Returns the state at s = 1, or where and why the lift ends.
    """
    D, d = kernel.dim, kernel.codomain_dim

    def rate(s: float, y: Array, way: Array) -> Array:
        x = y[:, :D]
        dx, dmu = kernel.horizontal_lift(x, way)
        if state.mu is None:
            return dx
        if state.log_weight is None or one_form is None:
            return np.concatenate([dx, dmu], axis=1)
        slope = np.sum(one_form(x) * way, axis=-1)
        return np.concatenate([dx, np.exp(y[:, D + d :]) * dmu, slope[:, None]], axis=1)

    columns = [state.x, state.mu, None if state.log_weight is None else state.log_weight[:, None]]
    start = np.concatenate([column for column in columns if column is not None], axis=1)
    if callable(velocity):
        speed = velocity  # its times are numbers
        end, stop = integrate_batch(lambda s, y: rate(s, y, speed(s)), start, rtol, atol, steps)
    else:
        way = np.broadcast_to(velocity, (len(start), d))
        end, stop = integrate_batch(Rowwise(rate, way), start, rtol, atol, steps)
    mu, log_weight = None if state.mu is None else end[:, D : D + d], None if state.log_weight is None else end[:, -1]
    return Lifted(end[:, :D], mu, log_weight), stop


def lift_nearby(kernel: MapKernel, x: Array, w: Array, rtol: float, atol: float) -> Array:
    """The points over w that horizontal lifts from flat points x come to, shape=[N, d] to [N, D]; NaN where one ends.

    A short way takes a step of low order, and Newton's for what the end misses.
    """
    way = w - kernel.value(x)
    velocity = kernel.horizontal_lift(x, way)[0]
    change = float((np.abs(velocity).max(axis=1) / (np.abs(x).max(axis=1) + 1e-300)).max(initial=0.0))
    end = _short(lambda y: kernel.horizontal_lift(y, way)[0], x, velocity, Tolerances(rtol, atol, len(x)), change)
    if end is None:
        state, stop = lift_along(kernel, Lifted(x), way, None, rtol, atol, Steps(first=1.0))
        end = state.x if stop is None else np.full(x.shape, np.nan)
    return end + kernel.horizontal_lift(end, w - kernel.value(end))[0]


def metric_jet(kernel: MapKernel, x: Array) -> tuple[Array, Array, Array]:
    """C, g = C^{-1}, and d_k g_ij = -g (d_k C) g along horizontal lifts of d/dw_k, the derivation last; NaN where
    singular. Points of shape=[..., D]."""
    rows, C = kernel.gradients_and_cometric(x)
    g = inverse_or_nan(C)
    dC = kernel.derivative_of_cometric(x, np.einsum("...aD,...ak->...kD", rows, g))
    return C, g, -np.einsum("...ia,...kab,...bj->...ijk", g, dC, g)


def joint_rate(kernel: MapKernel, mu: Array) -> Rowwise:
    """The joint flow with Q along it: x' = sum_i mu_i grad G_i and Q' = <G(x), mu>, states of shape=[N, D + 1]."""

    def rate(s: float, y: Array, mu: Array) -> Array:
        x = y[:, : kernel.dim]
        dQ = np.einsum("ni,ni->n", kernel.value(x), mu)
        return np.concatenate([kernel.pullback(x, mu), dQ[:, None]], axis=1)

    return Rowwise(rate, mu)
