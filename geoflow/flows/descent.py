"""Discretizations of the flows: descent in x, in the mirror, by natural gradient, with noise; their fitted orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geoflow._typing import Array, ArrayLike, Bilinear, Map
from geoflow._usercode import guarded
from geoflow._validate import LARGEST, as_count, as_finite, as_points, describe, require_type
from geoflow.errors import ArgumentError, GeoflowError, ShapeError, UserCodeError
from geoflow.flows.losses import Loss, PointwiseLoss
from geoflow.flows.mirror import convex_to_the_end, require_convex, with_checked_end
from geoflow.flows.titles import titled
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.potentials.legendre import LegendreFunction
from geoflow.results import Status, Trajectory, require_within

Noise = Callable[[int], Array]


@titled("gradient descent", "map")
def gradient_descent(
    loss: Loss,
    G: Parametrization,
    x0: ArrayLike,
    step: float,
    n_steps: int,
    noise: Noise | None = None,
    check: bool = True,
) -> Trajectory:
    """x_{k+1} = x_k - step dG^T (grad L(G(x_k)) + xi_k), in the ambient coordinates, projected back to a curved M.

    First order in the step: its w is within O(step) of gradient flow at the time t = k step. Leaving the domain does
    not raise: it stops with a status.

    Parameters
    ----------
    loss : callable
        As for `gradient_flow`.
    G : Parametrization
    x0 : array-like, shape=[D]
    step : float
        Positive.
    n_steps : int
    noise : callable, optional
        k to xi_k, shape=[d]: stochastic gradient descent.
    check : bool
        The gradient of the loss is compared with differences of its values; False believes it.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x = G.flatten(G.require_points(x0, "x0"))

    def advance(x: Array, force: Array) -> Array:
        y = x + step * G.kernel.pullback(x, force)
        if not G.is_euclidean:
            y = G.flatten(np.asarray(G.space.projection(G.unflatten(y)), dtype=float))
        return y

    scheme = _Scheme("gradient descent", G.kernel.value, advance, G.unflatten)
    return _iterate(scheme, PointwiseLoss(loss, G.codomain_dim, check), x, step, n_steps, noise)


@titled("mirror descent", "potential")
def mirror_descent(
    loss: Loss,
    R: LegendreFunction,
    w0: ArrayLike,
    step: float,
    n_steps: int,
    noise: Noise | None = None,
    check: bool = True,
) -> Trajectory:
    """grad R(w_{k+1}) = grad R(w_k) - step (grad L(w_k) + xi_k); parameters as for `gradient_descent`."""
    require_type(R, LegendreFunction, "R")
    w = as_points(w0, R.dim, "w0")
    mu = R.gradient(w)
    if isinstance(R, InducedLegendreFunction) and w.ndim == 1:
        points = R.flowing_points(mu[None], w[None])
        scheme = _Scheme("mirror descent", lambda m: points.move(m[None])[0], lambda m, force: m + step * force, mu0=mu)
        return with_checked_end(R, _iterate(scheme, PointwiseLoss(loss, R.dim, check), mu, step, n_steps, noise))
    scheme = _Scheme("mirror descent", R.inverse_gradient, lambda m, force: m + step * force, mu0=mu)
    return _iterate(scheme, PointwiseLoss(loss, R.dim, check), mu, step, n_steps, noise)


@titled("natural gradient descent", "potential")
def natural_gradient_descent(
    loss: Loss,
    R: LegendreFunction,
    w0: ArrayLike,
    step: float,
    n_steps: int,
    noise: Noise | None = None,
    check: bool = True,
) -> Trajectory:
    """w_{k+1} = w_k - step H(w_k)^{-1} (grad L(w_k) + xi_k); parameters as for `gradient_descent`.

    `NotLegendreError` where H is not positive definite at w0; on the way that is a status.
    """
    require_type(R, LegendreFunction, "R")
    w = R.domain.require(w0, "w0")
    require_convex(R, w)
    velocity = R.kernel.velocity_along()
    # a lift that does not arrive is the test of membership
    require: Map = np.asarray if isinstance(R, InducedLegendreFunction) else R.domain.require

    def advance(w: Array, force: Array) -> Array:
        return w + step * velocity(w[None], force[None])[0]

    scheme = _Scheme("natural gradient descent", require, advance)
    return convex_to_the_end(R, _iterate(scheme, PointwiseLoss(loss, R.dim, check), w, step, n_steps, noise))


@dataclass(frozen=True)
class _Scheme:
    """A descent in some state: the state's w, one step from a state by a force, the state as a point x, and where the
    dual coordinates start."""

    name: str
    w_of: Map
    advance: Bilinear
    point_of: Map | None = None
    mu0: Array | float = 0.0


def _iterate(
    scheme: _Scheme, loss: PointwiseLoss, state: Array, step: float, n_steps: int, noise: Noise | None
) -> Trajectory:
    if isinstance(step, bool) or not isinstance(step, (int, float, np.floating)) or not 0 < step < np.inf:
        raise ArgumentError("step", got=repr(step), wanted="a positive number")
    as_count(n_steps, "n_steps", most=LARGEST // max(1, state.size))
    if state.ndim != 1:
        raise ArgumentError("starting point", got=f"shape {state.shape}", wanted="one point")
    draw = guarded(noise, "the noise", "k")
    states, forces = [state], [np.zeros(loss.dim)]
    w = [np.asarray(scheme.w_of(state), dtype=float)]
    loss.require_scalar(w[0], 0.0)
    status, message = Status.SUCCESS, f"{n_steps} steps"
    for k in range(n_steps):
        force = -loss.gradient(w[-1][None], k * step)[0]
        if draw is not None:
            force = force - _of_shape(draw(k), force.shape)
        try:
            with np.errstate(all="ignore"):
                state = np.asarray(scheme.advance(states[-1], force), dtype=float)
                point = np.asarray(scheme.w_of(state), dtype=float)
            if not (np.isfinite(state).all() and np.isfinite(point).all()):
                raise ArgumentError("step", got="NaN or infinity", wanted="a shorter step")
        except UserCodeError:
            raise
        except GeoflowError as error:
            status, message = Status.LEFT_DOMAIN, f"step {k + 1} leaves the domain: {error.what}, got {error.got}"
            break
        states.append(state)
        forces.append(step * force)
        w.append(point)
    t = step * np.arange(len(w))
    path = np.stack(w)

    def sol(s: ArrayLike) -> Array:
        s = require_within(s, t[-1])
        return np.stack([np.interp(s, t, path[:, i]) for i in range(path.shape[1])], axis=-1)

    values = np.array([loss.value(p[None], float(s))[0] for p, s in zip(path, t, strict=True)])
    x = None if scheme.point_of is None else scheme.point_of(np.stack(states))
    mu = scheme.mu0 + np.cumsum(forces, axis=0)
    return Trajectory(t, path, x, mu, values, status, message, sol, n_steps, scheme.name)


def _of_shape(xi: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The noise of a step: one number, or one for every coordinate of w."""
    value = as_finite(xi, "value of the noise")
    if value.shape not in {(), shape}:
        raise ShapeError("value of the noise", f"shape {value.shape}", f"shape {shape}, a number a coordinate of w")
    return value


def fitted_order(error: Callable[[float], float], steps: Sequence[float]) -> float:
    """Least-squares slope of log error(step), positive, against log step, over at least two steps."""
    h = as_finite(steps, "steps")
    if h.ndim != 1 or len(h) < 2 or not (h > 0).all():
        raise ArgumentError("steps", got=describe(h), wanted="at least two positive numbers")
    errors = np.array([float(error(float(s))) for s in h])
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise ArgumentError("errors", got=describe(errors), wanted="positive numbers", remedy="use larger steps")
    return float(np.polyfit(np.log(h), np.log(errors), 1)[0])
