"""Discretizations of the flows: descent in x, in the mirror, by natural gradient, with noise; their fitted orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_finite, as_points, describe, require_type
from geoflow.errors import ArgumentError, GeoflowError, UserCodeError
from geoflow.flows.losses import Loss
from geoflow.flows.mirror import convex_to_the_end, require_convex, with_checked_end
from geoflow.flows.plans import DescentOptions, Noise, Plan, Step, as_steps
from geoflow.flows.titles import titled
from geoflow.flows.until import figures, first_met, reached
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.potentials.legendre import LegendreFunction
from geoflow.results import Status, Trajectory, require_within

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: a descent whose points are larger diverges
LARGE = 1e100


@titled("gradient descent", "map")
def gradient_descent(
    loss: Loss,
    G: Parametrization,
    x0: ArrayLike,
    step: Step,
    n_steps: int,
    noise: Noise | None = None,
    check: bool = True,
    **options: Unpack[DescentOptions],
) -> Trajectory:
    """x_{k+1} = x_k - h_k dG^T (grad L(G(x_k)) + xi_k), in the ambient coordinates, projected back to a curved M.

    First order in the step: its w is within O(h) of gradient flow at the time t_k = h_0 + ... + h_{k-1}. Leaving the
    domain does not raise: it stops with a status.

    Parameters
    ----------
    loss : callable
        As for `gradient_flow`.
    G : Parametrization
    x0 : array-like, shape=[D]
    step : float, array-like of shape=[n_steps], or callable
        h_k, positive: one number, one for every step, or k to h_k.
    n_steps : int
    noise : callable, optional
        (k, w_k), or k alone, to xi_k, shape=[d] or a number for every coordinate: stochastic gradient descent.
    check : bool
        The gradient of the loss is compared with differences of its values; False believes it.
    batch : int, optional
        Rows of Z a step, of a loss that has rows: `LeastSquares`, `LogisticLoss` and `LinkLoss`. The gradient is that
        of the rows, in the size of the loss: on average over orders, grad L. All rows are passed, in a new order, and
        again; the last batch of a pass has what is left.
    rng : int or numpy Generator, optional
        What orders the rows; 0 by default, so that the same call gives the same descent.
    until : dict, optional
        Bounds on "loss", "gradient" and "change", as {"loss": 1e-8}: of L(w_k), |grad L(w_k)|, all rows of it, and
        |w_k - w_{k-1}| / |w_k|; with batches, from the end of one pass to that of the next. The descent stops where the
        first is met, with its status; where none is after n_steps, the status is "until_not_met".

    Raises
    ------
    ArgumentError, ShapeError, NotFiniteError
        For steps that are not positive or not n_steps, a batch larger than the loss or of a loss without rows, noise
        of another shape, and other bad input.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x = G.flatten(G.require_points(x0, "x0"))

    def advance(x: Array, force: Array, step: float) -> Array:
        y = x + step * G.kernel.pullback(x, force)
        if not G.is_euclidean:
            y = G.flatten(np.asarray(G.space.projection(G.unflatten(y)), dtype=float))
        return y

    scheme = _Scheme("gradient descent", G.kernel.value, advance, G.unflatten)
    return _iterate(scheme, Plan.of("gradient_descent", loss, G.codomain_dim, noise, check, options), x, step, n_steps)


@titled("mirror descent", "potential")
def mirror_descent(
    loss: Loss,
    R: LegendreFunction,
    w0: ArrayLike,
    step: Step,
    n_steps: int,
    noise: Noise | None = None,
    check: bool = True,
    **options: Unpack[DescentOptions],
) -> Trajectory:
    """grad R(w_{k+1}) = grad R(w_k) - h_k (grad L(w_k) + xi_k); parameters as for `gradient_descent`."""
    require_type(R, LegendreFunction, "R")
    w, plan = as_points(w0, R.dim, "w0"), Plan.of("mirror_descent", loss, R.dim, noise, check, options)
    mu = R.gradient(w)
    if isinstance(R, InducedLegendreFunction) and w.ndim == 1:
        points = R.flowing_points(mu[None], w[None])
        scheme = _Scheme("mirror descent", lambda m: points.move(m[None])[0], _straight, mu0=mu)
        return with_checked_end(R, _iterate(scheme, plan, mu, step, n_steps))
    return _iterate(_Scheme("mirror descent", R.inverse_gradient, _straight, mu0=mu), plan, mu, step, n_steps)


@titled("natural gradient descent", "potential")
def natural_gradient_descent(
    loss: Loss,
    R: LegendreFunction,
    w0: ArrayLike,
    step: Step,
    n_steps: int,
    noise: Noise | None = None,
    check: bool = True,
    **options: Unpack[DescentOptions],
) -> Trajectory:
    """w_{k+1} = w_k - h_k H(w_k)^{-1} (grad L(w_k) + xi_k); parameters as for `gradient_descent`.

    `NotLegendreError` where H is not positive definite at w0; on the way that is a status.
    """
    require_type(R, LegendreFunction, "R")
    w, plan = R.domain.require(w0, "w0"), Plan.of("natural_gradient_descent", loss, R.dim, noise, check, options)
    require_convex(R, w)
    velocity = R.kernel.velocity_along()
    # a lift that does not arrive is the test of membership
    require: Map = np.asarray if isinstance(R, InducedLegendreFunction) else R.domain.require

    def advance(w: Array, force: Array, step: float) -> Array:
        return w + step * velocity(w[None], force[None])[0]

    scheme = _Scheme("natural gradient descent", require, advance)
    return convex_to_the_end(R, _iterate(scheme, plan, w, step, n_steps))


def _straight(mu: Array, force: Array, step: float) -> Array:
    return mu + step * force


@dataclass(frozen=True)
class _Scheme:
    """A descent in some state: the state's w, one step from a state by a force, the state as a point x, and where the
    dual coordinates start."""

    name: str
    w_of: Map
    advance: Callable[[Array, Array, float], Array]
    point_of: Map | None = None
    mu0: Array | float = 0.0


def _iterate(scheme: _Scheme, plan: Plan, state: Array, step: Step, n_steps: int) -> Trajectory:
    steps, t = as_steps(step, n_steps, state.size)
    if state.ndim != 1:
        raise ArgumentError("starting point", got=f"shape {state.shape}", wanted="one point")
    states, forces = [state], [np.zeros(plan.loss.dim)]
    w = [np.asarray(scheme.w_of(state), dtype=float)]
    plan.loss.require_scalar(w[0], 0.0)
    status, message, values = Status.SUCCESS, f"{len(steps)} steps", list[float]()
    for k in range(len(t)):
        with np.errstate(all="ignore"):  # of a descent that diverges the last losses are infinite
            values.append(float(plan.loss.value(w[k][None], float(t[k]))[0]))
        if np.isnan(values[k]):
            status, message = Status.LEFT_DOMAIN, f"step {k} leaves the domain of the loss, which is NaN there"
            for kept in (w, states, forces, values) if k else ():
                kept.pop()
            break
        if plan.until:
            before = w[k - plan.pass_steps][None] if k and k % plan.pass_steps == 0 else None
            found = figures(plan.until, plan.loss, w[k][None], before, t[k])
            which = int(first_met(plan.until, found)[0])
            if which < len(plan.until) or k == len(steps):
                status, message = reached(plan.until, which, found)
                message = f"{k} steps: {message}"
                break
        if k == len(steps):
            break
        force = plan.force(k, w[k], t[k])
        try:
            with np.errstate(all="ignore"):
                state = np.asarray(scheme.advance(states[-1], force, steps[k]), dtype=float)
                point = np.asarray(scheme.w_of(state), dtype=float)
        except UserCodeError:
            raise
        except GeoflowError as error:
            status, message = Status.LEFT_DOMAIN, f"step {k + 1} leaves the domain: {error.what}, got {error.got}"
            break
        if not (np.isfinite(state).all() and np.isfinite(point).all()):
            status, message = _not_finite(k + 1, states[-1], state, point)
            break
        states.append(state)
        forces.append(steps[k] * force)
        w.append(point)
    t, path = t[: len(w)], np.stack(w)

    def sol(s: ArrayLike) -> Array:
        s = require_within(s, t[-1])
        return np.stack([np.interp(s, t, path[:, i]) for i in range(path.shape[1])], axis=-1)

    x = None if scheme.point_of is None else scheme.point_of(np.stack(states))
    mu = scheme.mu0 + np.cumsum(forces, axis=0)
    name, ended = scheme.name + plan.words, np.array(status.value)
    return Trajectory(t, path, x, mu, np.array(values), status, message, sol, len(w) - 1, name, ended)


def _not_finite(k: int, before: Array, state: Array, point: Array) -> tuple[Status, str]:
    """The status and the words of a step that is no point: the numbers ran out, or the domain of the map."""
    if np.isinf(state).any() or np.isinf(point).any() or np.abs(before).max() > LARGE:
        return Status.OVERFLOW, f"step {k} is beyond the largest numbers: the descent diverges, take shorter steps"
    return Status.LEFT_DOMAIN, f"step {k} leaves the domain: w is NaN there, take shorter steps"


def fitted_order(error: Callable[[float], float], steps: Sequence[float]) -> float:
    """Least-squares slope of log error(step), positive, against log step, over at least two steps."""
    h = as_finite(steps, "steps")
    if h.ndim != 1 or len(h) < 2 or not (h > 0).all():
        raise ArgumentError("steps", got=describe(h), wanted="at least two positive numbers")
    errors = np.array([float(error(float(s))) for s in h])
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise ArgumentError("errors", got=describe(errors), wanted="positive numbers", remedy="use larger steps")
    return float(np.polyfit(np.log(h), np.log(errors), 1)[0])
