"""Gradient flow through a parametrization, and mirror flow of a Legendre function, by scipy's integrators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoflow._validate import as_finite, as_times, require_type
from geoflow.errors import ArgumentError, DomainError, GeoflowError, NotFiniteError
from geoflow.legendre import LegendreFunction
from geoflow.losses import LinearModelLoss, PointwiseLoss
from geoflow.parametrization import Parametrization
from geoflow.regularization import RegularizedLegendreFunction, with_regularizer
from geoflow.results import Status, Trajectory

METHODS = ("auto", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
COORDINATES = ("auto", "w", "mu", "nu")
BLOW_UP = 1e14
MAX_EVALUATIONS = 500_000
Schedule = Callable[[float], float] | float


def gradient_flow(
    loss: Any,
    G: Parametrization,
    x0: Any,
    t: Any,
    rtol: float = 1e-9,
    atol: float = 1e-12,
    method: str = "auto",
    regularizer: Callable[[Any], Any] | None = None,
    schedule: Schedule | None = None,
) -> Trajectory:
    """Integrate gradient flow on M, x' = -dG(x)^T grad L_t(G(x)), from x(0) = x0.

    With a regularizer, x' = -dG(x)^T grad L_t(G(x)) - alpha(t) grad h(x).

    Parameters
    ----------
    loss : callable
        loss(w) or loss(w, t), scalar; its `gradient` is used where it has one.
    G : Parametrization
    x0 : array-like, shape=[..., D]
    t : float or array-like, shape=[n_times]
        Output times, increasing and nonnegative; a scalar T means 101 times from 0 to T. The flow starts at t = 0.
    rtol, atol : float
        Tolerances of the integrator, a step; on a curved M a hundredth of them is used.
    method : str
        A method of scipy's `solve_ivp`; "auto" is LSODA, which handles stiff flows, and DOP853 for the approach to a
        boundary or a blow-up where LSODA gives up.
    regularizer : callable, optional
        x to h(x), scalar; |x|^2 / 2 is weight decay.
    schedule : callable or float, optional
        t to alpha(t), the strength of the regularizer; 1 by default.

    Returns
    -------
    Trajectory
        `mu` is minus the integral of grad L along the flow.

    Raises
    ------
    NotOnManifoldError, ShapeError, ArgumentError, NotFiniteError
        For bad input. A flow that leaves the domain or blows up does not raise: it stops with a status.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0, times = G.require_points(x0, "x0"), as_times(t)
    D, d = G.dim, G.codomain_dim
    w0 = G(x0).reshape(-1, d)
    x0 = G._flat(x0)
    batch = x0.shape[:-1]
    pointwise = PointwiseLoss(loss, d)
    pointwise.require_scalar(w0[0], 0.0)
    n = len(w0)
    alpha = _as_schedule(schedule, regularizer is not None)
    fields = G if regularizer is None else with_regularizer(G, regularizer, G._shaped(x0.reshape(n, D)[0]))

    def rhs(s: float, y: np.ndarray) -> np.ndarray:
        x = y.reshape(n, D + d)[:, :D]
        force = -pointwise.gradient(np.asarray(G._function(x), dtype=float), s)
        pull = force if fields is G else np.concatenate([force, np.full((n, 1), -alpha(s))], axis=1)
        dx = np.einsum("niD,ni->nD", np.asarray(fields.differential(x), dtype=float), pull)
        return np.concatenate([dx, force], axis=1).ravel()

    y0 = np.concatenate([x0.reshape(n, D), np.zeros((n, d))], axis=1).ravel()
    # nothing but the integrator's own accuracy keeps a flow on a curved M: two more digits there
    sharper = 1.0 if G.is_euclidean else 1e-2
    raw = _integrate(rhs, y0, times, sharper * rtol, sharper * atol, method)

    def split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = values.reshape(*values.shape[:-1], n, D + d)
        shape = (*values.shape[:-1], *batch)
        return y[..., :D].reshape(*shape, D), y[..., D:].reshape(*shape, d)

    def w_of(values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(G._function(split(values)[0]), dtype=float)

    x, mu = split(raw.y)
    return _trajectory(raw, pointwise, w_of, x=G._shaped(x), mu=mu)


def mirror_flow(
    loss: Any,
    R: LegendreFunction | RegularizedLegendreFunction,
    w0: Any,
    t: Any,
    rtol: float = 1e-9,
    atol: float = 1e-12,
    coordinates: str = "auto",
    method: str = "auto",
    schedule: Schedule | None = None,
) -> Trajectory:
    """Integrate mirror flow d/dt grad R(w) = -grad L_t(w) from w(0) = w0.

    For a family R_a, of `mirror_map` with a regularizer, d/dt grad R_{a(t)}(w) = -grad L_t(w) with a' = alpha(t).

    Parameters
    ----------
    loss : callable
        As for `gradient_flow`.
    R : LegendreFunction, or RegularizedLegendreFunction
    w0 : array-like, shape=[..., d]
    t, rtol, atol, method
        As for `gradient_flow`; tolerances are those of the integrated coordinates.
    coordinates : str
        "w": w' = -H(w)^{-1} grad L. "mu": mu' = -grad L(grad Q(mu)). "nu": for L(w) = l(Zw), mu = mu0 - Z^T nu with
        nu' = grad l(Z grad Q(mu)), n unknowns. "auto": "mu" where grad Q is known in closed form, else "w".
    schedule : callable or float, optional
        t to alpha(t) for a family R_a; 1 by default.

    Returns
    -------
    Trajectory
        `mu` is grad R(w).
    """
    times = as_times(t)
    if isinstance(R, RegularizedLegendreFunction):
        alpha = _as_schedule(schedule, True)
        return _regularized_mirror_flow(loss, R, w0, times, rtol, atol, method, alpha)
    require_type(R, LegendreFunction, "R")
    _as_schedule(schedule, False)
    if coordinates not in COORDINATES:
        raise ArgumentError("coordinates", got=repr(coordinates), wanted=f"one of {COORDINATES}")
    mu0 = R.gradient(w0)
    w0 = np.asarray(w0, dtype=float)
    pointwise = PointwiseLoss(loss, R.dim)
    pointwise.require_scalar(w0.reshape(-1, R.dim)[0], 0.0)
    if coordinates == "auto":
        coordinates = "mu" if R.has_closed_conjugate else "w"
    if coordinates == "w":
        return _primal_mirror_flow(pointwise, R, w0, times, rtol, atol, method)
    return _dual_mirror_flow(pointwise, R, mu0, times, rtol, atol, method, coordinates)


def _as_schedule(schedule: Schedule | None, regularized: bool) -> Callable[[float], float]:
    """alpha(t) as a function; a number is constant."""
    if schedule is not None and not regularized:
        raise ArgumentError(
            "schedule", got="a schedule without a regularizer", wanted="regularizer=h beside it",
            remedy="pass gradient_flow a regularizer, or mirror_flow the R of mirror_map(G, x0, regularizer=h)",
        )  # fmt: skip
    if schedule is None:
        return lambda t: 1.0
    if callable(schedule):
        return lambda t: float(schedule(t))
    value = as_finite(schedule, "schedule")
    if value.ndim:
        raise ArgumentError("schedule", got=f"shape {value.shape}", wanted="a number, or a callable t -> alpha(t)")
    return lambda t: float(value)


def _regularized_mirror_flow(
    loss: Any,
    R: RegularizedLegendreFunction,
    w0: Any,
    times: np.ndarray,
    rtol: float,
    atol: float,
    method: str,
    alpha: Callable[[float], float],
) -> Trajectory:
    """In the dual coordinates (mu, a), which move by -grad L and alpha."""
    mu0 = R(0.0).gradient(w0)
    pointwise = PointwiseLoss(loss, R.dim)
    flat = mu0.reshape(-1, R.dim)
    pointwise.require_scalar(np.asarray(w0, dtype=float).reshape(-1, R.dim)[0], 0.0)
    primal = R.local_inverse()

    def rhs(s: float, y: np.ndarray) -> np.ndarray:
        w = primal(y[:-1].reshape(flat.shape), float(y[-1]))
        if not np.isfinite(w).all():
            return np.full(y.shape, np.nan)
        return np.r_[-pointwise.gradient(w, s).ravel(), alpha(s)]

    raw = _integrate(rhs, np.r_[flat.ravel(), 0.0], times, rtol, atol, method)

    def mu_of(values: np.ndarray) -> np.ndarray:
        return values[..., :-1].reshape(*values.shape[:-1], *mu0.shape)

    def w_of(values: np.ndarray) -> np.ndarray:
        a = values[..., -1].reshape(*values.shape[:-1], *(1,) * (mu0.ndim - 1))
        return R.inverse_gradient(mu_of(values), a)

    return _trajectory(raw, pointwise, w_of, x=None, mu=mu_of(raw.y))


def _primal_mirror_flow(
    loss: PointwiseLoss, R: LegendreFunction, w0: np.ndarray, times: np.ndarray, rtol: float, atol: float, method: str
) -> Trajectory:
    cometric = R.local_cometric()
    flat = w0.reshape(-1, R.dim)

    def rhs(s: float, y: np.ndarray) -> np.ndarray:
        w = y.reshape(flat.shape)
        C = cometric(w)
        if not np.isfinite(C).all():  # a trial step outside the domain: the integrator shortens it
            return np.full(y.shape, np.nan)
        return -np.einsum("nij,nj->ni", C, loss.gradient(w, s)).ravel()

    raw = _integrate(rhs, flat.ravel(), times, rtol, atol, method)

    def w_of(values: np.ndarray) -> np.ndarray:
        return values.reshape(*values.shape[:-1], *w0.shape)

    w = w_of(raw.y)
    try:
        mu = R.gradient(w)
    except GeoflowError as error:  # the last point may lie on the boundary, where the flow ended
        mu = np.full(w.shape, np.nan)
        mu[:-1] = R.gradient(w[:-1]) if len(w) > 1 else mu[:-1]
        raw.message += f" ({error.what} at the last point)"
    return _trajectory(raw, loss, w_of, x=None, mu=mu)


def _dual_mirror_flow(
    loss: PointwiseLoss,
    R: LegendreFunction,
    mu0: np.ndarray,
    times: np.ndarray,
    rtol: float,
    atol: float,
    method: str,
    coordinates: str,
) -> Trajectory:
    flat0 = mu0.reshape(-1, R.dim)
    primal = _unchecked_inverse_gradient(R)
    jac: Callable[..., np.ndarray] | None = None
    if coordinates == "nu":
        if not isinstance(loss.loss, LinearModelLoss):
            raise ArgumentError(
                "coordinates 'nu'",
                got=f"a loss of type {type(loss.loss).__name__}",
                wanted="a loss of the form l(Zw), such as LeastSquares or LogisticLoss",
                remedy="use coordinates='mu'",
            )
        linear, Z = loss.loss, loss.loss.Z
        start = np.zeros((len(flat0), len(Z)))

        def mu_of(values: np.ndarray) -> np.ndarray:
            return (flat0 - values.reshape(*values.shape[:-1], *start.shape) @ Z).reshape(
                *values.shape[:-1], *mu0.shape
            )

        def rhs(s: float, y: np.ndarray) -> np.ndarray:
            return linear.link_gradient(primal(mu_of(y).reshape(flat0.shape)) @ Z.T).ravel()

        if R.has_closed_conjugate and len(flat0) == 1:

            def jacobian(s: float, y: np.ndarray) -> np.ndarray:
                mu = mu_of(y).reshape(1, -1)
                C = np.asarray(R.conjugate._hessian(mu), dtype=float)[0]
                return -linear.link_hessian(primal(mu)[0] @ Z.T)[:, None] * (Z @ C @ Z.T)

            jac = jacobian
    else:
        start = flat0

        def mu_of(values: np.ndarray) -> np.ndarray:
            return values.reshape(*values.shape[:-1], *mu0.shape)

        def rhs(s: float, y: np.ndarray) -> np.ndarray:
            return -loss.gradient(primal(y.reshape(flat0.shape)), s).ravel()

    raw = _integrate(rhs, start.ravel(), times, rtol, atol, method, jac)

    def w_of(values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return primal(mu_of(values).reshape(-1, R.dim)).reshape(*values.shape[:-1], *mu0.shape)

    return _trajectory(raw, loss, w_of, x=None, mu=mu_of(raw.y))


def _unchecked_inverse_gradient(R: LegendreFunction) -> Callable[[np.ndarray], np.ndarray]:
    """grad Q for an integrator: NaN outside its domain."""

    def primal(mu: np.ndarray) -> np.ndarray:
        try:
            if not np.isfinite(mu).all():
                return np.full(mu.shape, np.nan)
            if R.has_closed_conjugate:
                inside = np.asarray(R.conjugate.domain.belongs(mu))
                value = np.asarray(R.conjugate._gradient(mu), dtype=float)
                return np.where(inside[..., None], value, np.nan)
            return R.inverse_gradient(mu)
        except DomainError:
            return np.full(mu.shape, np.nan)

    return primal


class _LsodaStuckError(Exception):
    """LSODA, unlike a Runge-Kutta method, neither recovers from a NaN nor gives up at a singularity."""


# the integrator -----------------------------------------------------------------------------------------------------


@dataclass
class _Raw:
    t: np.ndarray
    y: np.ndarray
    dense: Callable[[Any], np.ndarray]
    status: Status
    message: str
    n_evaluations: int
    method: str


def _integrate(
    rhs: Callable[[float, np.ndarray], np.ndarray],
    y0: np.ndarray,
    times: np.ndarray,
    rtol: float,
    atol: float,
    method: str,
    jac: Callable[..., np.ndarray] | None = None,
) -> _Raw:
    """Integrate from t = 0 with a status instead of an exception."""
    if method not in METHODS:
        raise ArgumentError("method", got=repr(method), wanted=f"one of {METHODS}")
    if not (rtol > 0 and atol >= 0):
        raise ArgumentError("tolerances", got=f"rtol {rtol}, atol {atol}", wanted="rtol > 0 and atol >= 0")
    if method not in ("auto", "LSODA"):
        return _solve(rhs, y0, times, rtol, atol, method, jac)
    # DOP853 alone would do at the ends of its steps, but its dense output loses digits on flows that are a little stiff
    try:
        raw = _solve(rhs, y0, times, rtol, atol, "LSODA", jac)
    except _LsodaStuckError:
        raw = None
    if raw is not None and (raw.status is Status.SUCCESS or method == "LSODA"):
        return raw
    return _solve(rhs, y0, times, rtol, atol, "DOP853", jac)


def _solve(
    rhs: Callable[[float, np.ndarray], np.ndarray],
    y0: np.ndarray,
    times: np.ndarray,
    rtol: float,
    atol: float,
    method: str,
    jac: Callable[..., np.ndarray] | None,
) -> _Raw:
    from scipy.integrate import solve_ivp

    count, last_seen = 0, 0.0
    bound = BLOW_UP * (1 + np.abs(y0).max())

    # a jacobian by differences takes an evaluation an unknown, and tells nothing about progress
    window = 1000 + 50 * len(y0)

    def counted(s: float, y: np.ndarray) -> np.ndarray:
        nonlocal count, last_seen
        count += 1
        if count > MAX_EVALUATIONS:  # a step that cannot succeed ends the integration, and keeps what there is
            return np.full(y.shape, np.nan)
        try:
            velocity = rhs(s, y)
        except (NotFiniteError, DomainError, FloatingPointError, np.linalg.LinAlgError):
            velocity = np.full(y.shape, np.nan)
        if method == "LSODA" and count > 1 and not np.isfinite(velocity).all():
            raise _LsodaStuckError
        if method == "LSODA" and count % window == 0:
            if s - last_seen <= 1e-9 * s:
                raise _LsodaStuckError
            last_seen = s
        return velocity

    def blow_up(s: float, y: np.ndarray) -> float:
        return bound - np.abs(y).max()

    blow_up.terminal = True  # type: ignore[attr-defined]
    end = float(times[-1])
    if end == 0.0:
        return _Raw(times, y0[None].copy(), lambda s: _constant(y0, s), Status.SUCCESS, "no time to flow", 0, method)
    options: dict[str, Any] = {"jac": jac} if jac is not None and method in ("Radau", "BDF", "LSODA") else {}
    with np.errstate(all="ignore"):
        if not np.isfinite(counted(0.0, y0)).all():
            raise NotFiniteError(
                "velocity of the flow",
                got="NaN or infinity at the starting point",
                wanted="a loss and a map that are differentiable there",
                remedy="start inside the domain",
            )
        solution = solve_ivp(
            counted, (0.0, end), y0, method=method, rtol=max(rtol, 3e-14), atol=atol, dense_output=True,
            events=blow_up, **options,
        )  # fmt: skip
    finite = np.isfinite(solution.y).all(axis=0)
    last = int(np.argmin(finite)) - 1 if not finite.all() else len(finite) - 1
    reached = float(solution.t[last])
    if count > MAX_EVALUATIONS:
        status, message = Status.FAILURE, f"gave up after {MAX_EVALUATIONS} evaluations at t = {reached:.6g}"
    else:
        start = 1 + np.abs(y0).max()
        status, message = _verdict(solution, counted, reached, solution.y[:, last], bool(finite.all()), start)
    out = times if status is Status.SUCCESS else np.append(times[times < reached], reached)

    def dense(s: Any) -> np.ndarray:
        return np.moveaxis(np.asarray(solution.sol(np.asarray(s, dtype=float))), 0, -1)

    y = dense(out)
    y[out == 0.0] = y0
    return _Raw(out, y, dense, status, message, count, method)


def _verdict(
    solution: Any,
    rhs: Callable[[float, np.ndarray], np.ndarray],
    reached: float,
    y: np.ndarray,
    finite: bool,
    start: float,
) -> tuple[Status, str]:
    if solution.status == 0 and finite:
        return Status.SUCCESS, "reached the last time asked for"
    if solution.status == 1:
        return Status.BLOW_UP, f"the state exceeds {BLOW_UP:.0e} times its start at t = {reached:.6g}"
    if np.abs(y).max() > 1e6 * start:
        return Status.BLOW_UP, f"the flow blows up at t = {reached:.6g}"
    # look just ahead: does the field still exist there?
    velocity = rhs(reached, y)
    with np.errstate(all="ignore"):
        ahead = rhs(reached, y + 1e-6 * velocity / (1e-300 + np.abs(velocity).max()) * (1 + np.abs(y).max()))
    if not (np.isfinite(velocity).all() and np.isfinite(ahead).all()) or np.abs(velocity).max() > 1e4 * start:
        return Status.LEFT_DOMAIN, f"the flow reaches the boundary of the domain at t = {reached:.6g}"
    return Status.FAILURE, f"{solution.message} (t = {reached:.6g})"


def _constant(y0: np.ndarray, s: Any) -> np.ndarray:
    return np.broadcast_to(y0, (*np.shape(s), len(y0))).copy()


def _trajectory(
    raw: _Raw, loss: PointwiseLoss, w_of: Callable[[np.ndarray], np.ndarray], x: np.ndarray | None, mu: np.ndarray
) -> Trajectory:
    w = w_of(raw.y)
    with np.errstate(all="ignore"):
        values = np.stack([loss.value(p.reshape(-1, loss.dim), float(s)) for p, s in zip(w, raw.t, strict=True)])
    return Trajectory(
        t=raw.t,
        w=w,
        x=x,
        mu=mu,
        loss=values.reshape(w.shape[:-1]),
        status=raw.status,
        message=raw.message,
        sol=lambda s: w_of(raw.dense(s)),
        n_evaluations=raw.n_evaluations,
        method=raw.method,
    )
