"""Geodesics of a batch at once: scipy's integrator with one step size for all, and shooting for the boundary value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from geomstats.numerics.geodesic import ExpSolver, LogSolver
from geomstats.numerics.ivp import ODEIVPIntegrator, OdeResult

from geoflow._typing import Array, ArrayLike, Bilinear, Index, Mask
from geoflow._validate import describe
from geoflow.errors import ConvergenceError, DomainError, GeoflowError, UserCodeError
from geoflow.metrics.space_forms import Isometry
from geoflow.numerics.batches import halve
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, Stop, integrate_batch
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import ConvexDomain

SHOOTING_STEPS = 40
DIFFERENCE = 1e-6
LOG_TOL = 1e-9


class BatchedIVP(ODEIVPIntegrator):
    """geomstats integrator that solves the whole batch in one adaptive solve, by scipy's DOP853.

    A solution that ends early is a `DomainError` with its `index`, `s` and `point`.
    """

    def __init__(self, rtol: float = FLOW_RTOL, atol: float = FLOW_ATOL):
        super().__init__(save_result=False, tchosen=True)
        self.rtol, self.atol = rtol, atol

    def integrate(self, force: Callable[[Any, float], Any], initial_state: Any, end_time: float = 1.0) -> OdeResult:
        """State at `end_time`; states of shape=[..., n_vars, d]."""
        state = np.asarray(initial_state, dtype=float)
        return OdeResult(t=np.array([0.0, end_time]), y=np.stack([state, self._advance(force, state, 0.0, end_time)]))

    def integrate_t(self, force: Callable[[Any, float], Any], initial_state: Any, t_eval: Any) -> OdeResult:
        """States at the times, shape=[..., n_times, n_vars, d]; each time ends a step."""
        state = np.asarray(initial_state, dtype=float)
        times = np.asarray(t_eval, dtype=float)
        found = np.empty((len(times), *state.shape))
        for sign in (1.0, -1.0):
            now, current = 0.0, state
            side = np.flatnonzero(times * sign > 0)
            for k in side[np.argsort(times[side] * sign)]:
                current = self._advance(force, current, now, float(times[k]))
                now, found[k] = float(times[k]), current
        found[times == 0] = state
        return OdeResult(t=times, y=np.moveaxis(found, 0, -3))

    def _advance(self, force: Callable[[Any, float], Any], state: Array, start: float, end: float) -> Array:
        span = end - start
        if span == 0.0:
            return state
        flat = state.reshape(-1, state.shape[-2] * state.shape[-1])

        def field(s: float, y: Array) -> Array:
            return span * np.asarray(force(y.reshape(-1, *state.shape[-2:]), start + s * span)).reshape(y.shape)

        found, stop = integrate_batch(field, flat, self.rtol, self.atol)
        if stop is not None:
            raise geodesic_ends(stop, state.shape[:-2], state.shape[-1], start, span)
        return found.reshape(state.shape)


def geodesic_ends(stop: Stop, batch: tuple[int, ...], d: int, start: float = 0.0, span: float = 1.0) -> DomainError:
    """The error for a geodesic that reaches the boundary of the domain."""
    index, time, point = stop.index(batch), start + stop.s * span, stop.point[:d]
    entry = f", batch entry {index}" if index else ""
    got = f"a maximal geodesic that ends at t = {time:.6g}, near {describe(point)}{entry}"
    wanted = "a tangent vector for which the geodesic stays inside to t = 1"
    remedy = f"scale the tangent vector by less than {abs(time):.6g}"
    return DomainError("geodesic leaves the domain", got, wanted, remedy, index=index, s=time, point=point)


class ShootingMetric(Protocol):
    """What shooting asks of a metric: its matrix, its geodesic equation, and how far geodesics go, NaN outside."""

    def metric_matrix(self, base_point: Array) -> Array: ...

    def geodesic_equation(self, state: Array) -> Array: ...

    def shoot(self, v: Array, w: Array) -> Array: ...


def mean_of_flat_logs(R: LegendreFunction) -> Bilinear:
    """(w, y) to the mean of the logarithms of the two flat connections, that of Levi-Civita up to third order."""

    def guess(w: Array, y: Array) -> Array:
        dual = np.linalg.solve(R.hessian(w), (R.gradient(y) - R.gradient(w))[..., None])[..., 0]
        return (y - w + dual) / 2  # y - w is exact where they are near

    return guess


class ShootingLog(LogSolver):
    """Logarithms of a batch by Newton's method on exp_w(v) = y.

    `guess`, (w, y) of shape=[N, d] to v, is where it starts. Pairs where Newton stalls
    start again from scipy's `solve_bvp`. `tol` bounds the gap exp_w(v) - y, recomputed
    in the metric at y, relative to the length of v.
    """

    def __init__(self, metric: ShootingMetric, guess: Bilinear, tol: float = LOG_TOL):
        super().__init__(solves_bvp=False)
        self._metric, self._guess, self.tol = metric, guess, tol

    def log(self, point: ArrayLike, base_point: ArrayLike) -> Array:
        """Tangent vectors v with exp(v, base_point) = point, shape=[..., d].

        Where no geodesic was found, a `ConvergenceError` with its `index` and `defect`.
        """
        point, base = np.broadcast_arrays(np.asarray(point, dtype=float), np.asarray(base_point, dtype=float))
        shape, d = point.shape, point.shape[-1]
        y, w = point.reshape(-1, d), base.reshape(-1, d)
        v, defect = self._newton(w, y, self._guess(w, y))
        failed = np.flatnonzero(~(defect <= self.tol))
        if len(failed):
            v[failed], defect[failed] = self._newton(w[failed], y[failed], self._bvp(w[failed], y[failed]))
        if not (defect <= self.tol).all():
            worst = int(np.argmax(np.where(np.isfinite(defect), defect, np.inf)))
            index = tuple(int(i) for i in np.unravel_index(worst, shape[:-1])) if len(shape) > 1 else ()
            got = f"a gap of {defect[worst]:.1e} between {describe(w[worst])} and {describe(y[worst])}"
            wanted = f"at most {self.tol:.0e} of the length of the geodesic"
            remedy = "choose points that a geodesic inside the domain joins, or closer ones"
            raise ConvergenceError("logarithm", got, wanted, remedy, index=index, defect=float(defect[worst]))
        return v.reshape(shape)

    def _newton(self, w: Array, y: Array, v: Array) -> tuple[Array, Array]:
        """Damped Newton for all pairs at once; the jacobian by differences, d more geodesics in the same solve."""
        H = self._metric.metric_matrix(y)
        n, d = w.shape
        v = v.copy()
        way = y - w
        missing = way - self._metric.shoot(v, w)
        defect = self._size(missing, v, H)
        active = np.arange(n)
        for _ in range(SHOOTING_STEPS):
            active = active[(defect[active] > 3e-14) & np.isfinite(defect[active])]
            if len(active) == 0:
                break
            at, base = v[active], w[active]
            h = DIFFERENCE * (np.linalg.norm(at, axis=1) + 1e-300)
            trial = at[:, None, :] + h[:, None, None] * np.eye(d)
            ends = self._metric.shoot(trial.reshape(-1, d), np.repeat(base, d, axis=0)).reshape(-1, d, d)
            J = np.swapaxes(ends - (way - missing)[active][:, None, :], 1, 2) / h[:, None, None]
            good = np.isfinite(J).all((1, 2)) & (np.abs(np.linalg.det(np.nan_to_num(J))) > 0)
            active, at, base, J = active[good], at[good], base[good], J[good]
            if len(active) == 0:
                break
            step = np.linalg.solve(J, missing[active][..., None])[..., 0]

            def accept(todo: Index, fraction: float, at: Array = at, step: Array = step, of: Index = active) -> Mask:
                k = of[todo]
                tried = at[todo] + fraction * step[todo]
                gap = way[k] - self._metric.shoot(tried, w[k])
                size = self._size(gap, tried, H[k])
                fine = size < defect[k]
                v[k[fine]], missing[k[fine]], defect[k[fine]] = tried[fine], gap[fine], size[fine]
                return fine

            active = np.delete(active, halve(accept, np.arange(len(active)), tries=12, factor=0.25))
        return v, defect

    @staticmethod
    def _size(gap: Array, v: Array, H: Array) -> Array:
        length = np.sqrt(np.einsum("ni,nij,nj->n", v, H, v)) + 1e-300
        with np.errstate(invalid="ignore"):
            size = np.sqrt(np.einsum("ni,nij,nj->n", gap, H, gap)) / length
        return np.where(np.isfinite(size), size, np.inf)

    def _bvp(self, w: Array, y: Array) -> Array:
        """Initial velocities from scipy's collocation solver, pair by pair; the straight line where it fails."""
        from scipy.integrate import solve_bvp

        start, grid, d = y - w, np.linspace(0, 1, 30), w.shape[1]

        def rate(_: Any, state: Array) -> Array:
            pair = state.T.reshape(-1, 2, d)
            return np.nan_to_num(self._metric.geodesic_equation(pair)).reshape(-1, 2 * d).T

        for k, (a, b) in enumerate(zip(w, y, strict=True)):
            line = a[:, None] + (b - a)[:, None] * grid
            guess = np.concatenate([line, np.broadcast_to((b - a)[:, None], line.shape)])
            try:
                with np.errstate(all="ignore"):
                    found = solve_bvp(
                        rate,
                        lambda p, q, a=a, b=b: np.r_[p[:d] - a, q[:d] - b],
                        grid,
                        guess,
                        tol=1e-6,
                        max_nodes=20_000,
                    )
            except UserCodeError:
                raise
            except (GeoflowError, ValueError, np.linalg.LinAlgError):
                continue
            if found.success and np.isfinite(found.y).all():
                start[k] = found.y[d:, 0]
        return start


class ClosedExp(ExpSolver):
    """Exponentials by an isometry to space forms."""

    def __init__(self, form: Isometry, domain: ConvexDomain):
        super().__init__(solves_ivp=False)
        self._form, self._domain = form, domain

    def exp(self, tangent_vec: Array, base_point: Array) -> Array:
        return self._form.exp(tangent_vec, base_point, self._domain)


class ClosedLog(LogSolver):
    """Logarithms by one."""

    def __init__(self, form: Isometry):
        super().__init__(solves_bvp=False)
        self._form = form

    def log(self, point: Array, base_point: Array) -> Array:
        return self._form.log(point, base_point)
