"""Losses on R^d, schedules in time, and a solution of an integrator as a trajectory under a loss."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any, Protocol

import autograd.numpy as anp
import numpy as np
from scipy.special import expit

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index, Map
from geoflow._usercode import guarded, takes_second
from geoflow._validate import as_finite, as_points, describe, require_flag
from geoflow.errors import ArgumentError, NotFiniteError, ShapeError
from geoflow.numerics import autodiff
from geoflow.numerics.culprits import blame, unfinished
from geoflow.numerics.differences import directions, slopes
from geoflow.numerics.engine import traceable, written_in_jax
from geoflow.numerics.probes import Points, probe_closed
from geoflow.numerics.records import quiet
from geoflow.numerics.runs import Solution
from geoflow.results import Trajectory, require_within


class Loss(Protocol):
    """A user's loss: loss(w) or loss(w, t), scalar at one point w of shape=[d]; it may have a `gradient` of its own."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any: ...


class LinearModelLoss(Portable):
    """L(w) = l(Zw): a loss that sees w through n linear measurements; Z of shape=[n, d], y of shape=[n].

    It is a sum over the rows of Z, or a mean over them where the class `averages`.
    """

    averages = False

    def __init__(self, Z: ArrayLike, y: ArrayLike):
        self.Z, self.y = as_finite(Z, "Z"), as_finite(y, "y").copy()
        if self.Z.ndim != 2 or self.y.shape != self.Z.shape[:1]:
            got = f"Z of shape {self.Z.shape}, y of shape {self.y.shape}"
            raise ShapeError("data of the loss", got, "Z of shape [n, d] and y of shape [n]")

    def __str__(self) -> str:
        return f"{len(self.Z)} equations in R^{self.dim}"

    @property
    def dim(self) -> int:
        return self.Z.shape[1]

    def link(self, z: Array) -> Array:
        """l(z): shape=[..., n] to shape=[...]."""
        raise NotImplementedError

    def link_gradient(self, z: Array) -> Array:
        """grad l(z), shape=[..., n]."""
        raise NotImplementedError

    def link_hessian(self, z: Array) -> Array:
        """Diagonal of hess l(z), shape=[..., n]."""
        raise NotImplementedError

    def __call__(self, w: ArrayLike) -> Array:
        """L(w): shape=[..., d] to shape=[...]."""
        return self.link(self._apply(w))

    def gradient(self, w: ArrayLike) -> Array:
        """grad L(w) = Z^T grad l(Zw), shape=[..., d]."""
        return self.link_gradient(self._apply(w)) @ self.Z

    def on_rows(self, rows: Index) -> LinearModelLoss:
        """The loss of some rows alone, by their indices, shape=[k]."""
        part = copy(self)
        part.Z, part.y = self.Z[rows], self.y[rows]
        return part

    def _apply(self, w: ArrayLike) -> Array:
        return (autodiff.as_float(w) if autodiff.is_traced(w) else as_points(w, self.dim, "w")) @ self.Z.T


class LeastSquares(LinearModelLoss):
    """L(w) = |Zw - y|^2 / 2."""

    def link(self, z: Array) -> Array:
        return 0.5 * ((z - self.y) ** 2).sum(-1)

    def link_gradient(self, z: Array) -> Array:
        return z - self.y

    def link_hessian(self, z: Array) -> Array:
        return np.ones(np.shape(z))


class LogisticLoss(LinearModelLoss):
    """L(w) = mean_k log(1 + exp(-y_k <z_k, w>)), labels y_k in {-1, +1}."""

    averages = True

    def __init__(self, Z: ArrayLike, y: ArrayLike):
        super().__init__(Z, y)
        if not np.isin(self.y, (-1.0, 1.0)).all():
            got = f"values {describe(np.unique(self.y))}"
            raise ArgumentError("labels y", got, wanted="-1 and +1", remedy="map {0, 1} by 2 y - 1")

    def link(self, z: Array) -> Array:
        return anp.mean(anp.logaddexp(0.0, -self.y * z), axis=-1)

    def link_gradient(self, z: Array) -> Array:
        return -self.y * expit(-self.y * z) / len(self.y)

    def link_hessian(self, z: Array) -> Array:
        return expit(z) * expit(-z) / len(self.y)


class PointwiseLoss(Portable):
    """A user's loss(w) or loss(w, t), at points of shape=[N, d]; its gradient is its own or automatic.

    Called with a batch where it is seen to treat every point on its own, else with one point at a time.
    """

    def __init__(self, loss: Loss, dim: int, check: bool = True):
        if not callable(loss):
            raise ArgumentError("loss", got=type(loss).__name__, wanted="a callable loss(w) or loss(w, t)")
        require_flag(check)
        self._ours = type(loss) in (LeastSquares, LogisticLoss)
        self._believed = not check or self._ours
        linear = isinstance(loss, LinearModelLoss) and type(loss).gradient is LinearModelLoss.gradient
        self.loss, self.dim, self.time_dependent = loss, dim, not linear and takes_second(loss, "t")
        own: Callable[..., ArrayLike] | None = getattr(loss, "gradient", None)
        self._value = _Batchwise(self.at)
        #: (w, t) to the gradient, where the loss has one of its own
        self.own_gradient = self._of_linear_model if linear else None if own is None else _at_time(own)
        self._gradient = _Batchwise(self.own_gradient or self._automatic, self.at)
        if isinstance(loss, LinearModelLoss) and loss.dim != dim:
            raise ShapeError("loss", got=f"Z with {loss.dim} columns", wanted=f"{dim}, the dimension of w")

    def require_scalar(self, w: Array, t: float) -> None:
        """Refuse a loss that is no finite scalar at the starting point w, shape=[d], or whose gradient is not that of
        its values near it; take one written in jax.numpy."""
        if not self._ours and written_in_jax(lambda point: self.at(point, t), w):
            self._believed = True
            self.loss = traceable(self.loss, 1, 0) if self.time_dependent else traceable(self.loss, 1)
        with np.errstate(all="ignore"):
            value = self.at(w, t)
        if np.shape(value) != ():
            got, remedy = f"shape {np.shape(value)} at one point w of shape {w.shape}", "sum over the last axis"
            raise ShapeError("value of the loss", got, "a scalar", f"{remedy}, for example np.sum(..., axis=-1)")
        if not np.isfinite(value):
            raise NotFiniteError("value of the loss", got=f"{value} at the starting point", wanted="a finite number")
        if not self._believed:
            for time in (t, t + 0.37, t + 1.3) if self.time_dependent else (t,):
                self._probe(w, time)

    def _probe(self, w: Array, t: float) -> None:
        """Compare the gradient at time t, its own or automatic, with differences of the values near w, shape=[d]."""
        rng, size = np.random.default_rng(0), np.abs(w).max() + 1e-3
        x = w + size * np.array([[0.0], [0.1], [0.3]]) * rng.standard_normal((3, len(w)))
        v = directions(x, rng)
        with quiet():
            try:
                values = self.value(x, t)
            except Exception:  # not defined at this time, or this far from the start
                return
            at = Points(x[np.isfinite(values)], 0.0, 1)
            if not len(at.x):
                return
            v, f = v[np.isfinite(values)], partial(self.at, t=t)
            own = self.own_gradient is not None
            what = "gradient of the loss: its gradient" if own else "gradient of the loss by autograd"
            try:
                g = np.asarray(self.gradient(at.x, t), dtype=float)
                if g.shape != at.x.shape:
                    raise ShapeError(what, got=f"shape {g.shape} at points of shape {at.x.shape}", wanted="their shape")
                probe_closed(
                    np.sum(g * v, axis=1), lambda width: slopes(lambda y: self.value(y, t), at.x, v, width),
                    what, "the loss", at, np.abs(g * v).sum(axis=1),
                )  # fmt: skip
            except ArgumentError as error:
                reason = "" if own else unfinished(f, w, 1) or blame(f, w, 1)
                if not reason:
                    raise
                raise ArgumentError(
                    f"the loss {reason}" if reason.startswith("uses") else f"{what} is wrong: {reason}", error.got,
                    "a loss in autograd.numpy", "or give it a `gradient` of its own; check=False believes it",
                ) from None  # fmt: skip

    def value(self, w: Array, t: float) -> Array:
        """L_t(w), shape=[N, d] to shape=[N]."""
        return self._value(w, t)

    def value_or_nan(self, w: Array, t: float) -> Array:
        """L_t(w), NaN at points that are not finite, where a flow has ended."""
        fine = np.isfinite(w).all(axis=-1)
        if fine.all():
            return self.value(w, t)
        values = np.full(len(w), np.nan)
        if fine.any():
            values[fine] = self.value(w[fine], t)
        return values

    def drive(self, w: Array, alpha: Callable[[float], float] | None = None) -> Callable[[float], Array] | None:
        """t to what depends on time, to be looked at for jumps: grad L_t at one point w, shape=[d], and a schedule."""
        if not self.time_dependent:
            return None if alpha is None else lambda t: np.array([alpha(t)])
        if alpha is None:
            return lambda t: self.gradient(w[None], t)[0]
        return lambda t: np.append(self.gradient(w[None], t)[0], alpha(t))

    def gradient(self, w: Array, t: float) -> Array:
        """grad L_t(w), shape=[N, d]."""
        return self._gradient(w, t)

    def at(self, w: Array, t: float) -> Array:
        """The loss as the user gave it, at one point."""
        loss = guarded(self.loss, "the loss")
        return loss(w, t) if self.time_dependent else loss(w)

    def _automatic(self, w: Array, t: float) -> Array:
        value, pull = autodiff.value_and_vjp(lambda p: self.at(p, t), w)
        return pull(np.ones(np.shape(value)))

    def _of_linear_model(self, w: Array, t: float) -> Array:
        """As the loss's own `gradient`, its argument not checked at every step of an integrator."""
        return self.loss.link_gradient(w @ self.loss.Z.T) @ self.loss.Z  # type: ignore[attr-defined]


class _Batchwise:
    """A function of (w, t) at points of shape=[N, d], in one call where batches are seen to give what points give.

    The `others` have to do so as well: a gradient that is constant near a point tells little, and the value much.
    """

    def __init__(self, function: Callable[[Array, float], Any], *others: Callable[[Array, float], Any]):
        self._function, self._tested = function, (function, *others)
        self._whole: bool | None = None

    def __call__(self, w: Array, t: float) -> Array:
        if len(w) > 1 and self._whole is None:
            self._whole = all(_treats_points_alone(function, w[0], t) for function in self._tested)
        if len(w) > 1 and self._whole:
            return np.asarray(self._function(w, t), dtype=float)
        return np.stack([np.asarray(self._function(point, t), dtype=float) for point in w])


def _treats_points_alone(function: Callable[[Array, float], Any], w: Array, t: float) -> bool:
    """Tried near w and far, as a flow's points may all be equal, in numbers of points that no other axis has."""
    n, rng, size = (len(w) + 2 if len(w) < 8 else 3), np.random.default_rng(0), np.abs(w).max() + 1e-3
    for centre, spread in ((w, 0.1 * size), (0 * w, size), (-w, 0.1 * size), (0 * w, 10 * size)):
        points = centre + spread * rng.standard_normal((n, len(w)))
        try:
            with np.errstate(all="ignore"):
                alone = np.stack([np.asarray(function(point, t), dtype=float) for point in points])
                together = np.asarray(function(points, t), dtype=float)
        except Exception:
            return False
        near = 1e-14 * np.nanmax(np.abs(alone), initial=0.0)
        if together.shape != alone.shape or not np.allclose(together, alone, 1e-12, near, equal_nan=True):
            return False
    return True


def _at_time(own: Callable[..., ArrayLike]) -> Callable[[Array, float], ArrayLike]:
    """A gradient of w, or of w and t, as one of both."""
    takes_time, own = takes_second(own, "t"), guarded(own, "gradient of the loss")
    return own if takes_time else lambda w, t: own(w)


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
        alpha = guarded(schedule, "the schedule", "t")
        if np.ndim(first := alpha(0.0)):
            raise ArgumentError("schedule", got=f"shape {np.shape(first)}", wanted="a number for every time t")
        return lambda t: float(alpha(t))
    value = as_finite(schedule, "schedule")
    if value.ndim:
        raise ArgumentError("schedule", got=f"shape {value.shape}", wanted="a number, or a callable t -> alpha(t)")
    return lambda t: float(value)


class LinearSchedule(Portable):
    """Losses L_t(w) = -<u_k, w> p(t - k) for k <= t < k + 1, with the pulse p(s) = 30 s^2 (1 - s)^2 of integral 1.

    The integral of the gradient is minus the sum of the forces u_0, ..., u_{K-1}, shape=[K, d].
    """

    def __init__(self, forces: ArrayLike):
        self.forces = as_finite(forces, "forces")
        if self.forces.ndim != 2:
            raise ShapeError("forces", got=f"shape {self.forces.shape}", wanted="shape [K, d]")

    def __str__(self) -> str:
        return f"{len(self.forces)} forces in R^{self.forces.shape[1]}"

    def force(self, t: float) -> Array:
        k = min(max(int(t), 0), len(self.forces) - 1)
        s = min(max(t - k, 0.0), 1.0)
        return self.forces[k] * 30 * s**2 * (1 - s) ** 2

    def __call__(self, w: Array, t: float) -> Array:
        return -anp.sum(w * self.force(t), axis=-1)

    def gradient(self, w: Array, t: float) -> Array:
        return -self.force(t)


def trajectory_of(solution: Solution, loss: PointwiseLoss, w_of: Map, mu: Array, x: Array | None = None) -> Trajectory:
    """The trajectory of a solution; `w_of` maps its states, shape=[..., k], to w, shape=[..., *batch, d].

    NaN at the times after an entry of the batch has ended, or where the last point lies on a boundary.
    """
    w, s = w_of(solution.y), solution
    with np.errstate(all="ignore"):
        points = [p.reshape(-1, loss.dim) for p in w]
        values = np.stack([loss.value_or_nan(p, float(t)) for p, t in zip(points, s.t, strict=True)])
    values, batch = values.reshape(w.shape[:-1]), w.shape[1:-1]
    # a family R_a is integrated as one entry, whatever its batch
    ends = np.broadcast_to(s.ends, int(np.prod(batch))).reshape(batch)

    def until(v: Array, t: Array) -> Array:
        over = np.expand_dims(t, tuple(range(-len(batch), 0))) > ends * (1 + 1e-12)
        return np.where(over if v.ndim == over.ndim else over[..., None], np.nan, v) if over.any() else v

    def sol(t: ArrayLike) -> Array:
        times = require_within(t, s.t[-1])
        return until(w_of(s.dense(times)), times)

    statuses = np.broadcast_to([status.value for status in s.statuses], ends.size).reshape(batch)
    w, mu, values = until(w, s.t), until(mu, s.t), until(values, s.t)
    x = None if x is None else until(x, s.t)
    return Trajectory(s.t, w, x, mu, values, s.status, s.message, sol, s.n_evaluations, s.method, statuses)
