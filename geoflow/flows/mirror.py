"""Mirror flow of a Legendre function, in the coordinates w, mu or nu."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from geoflow._typing import Array, ArrayLike, Map, Mask
from geoflow._validate import as_options, as_times, require_type
from geoflow.errors import (
    ArgumentError,
    GeoflowError,
    NotCommutingError,
    NotRegularError,
    UserCodeError,
)
from geoflow.flows.losses import LinearModelLoss, Loss, PointwiseLoss, Schedule, as_schedule, trajectory_of
from geoflow.flows.titles import titled
from geoflow.flows.units import sized, sizes_of, sizes_of_mu, sizes_on_leaf
from geoflow.flows.until import Until, as_until, stopped
from geoflow.maps.leaf import PATH_TOL
from geoflow.numerics.differences import entrywise_jacobian
from geoflow.numerics.integrate import Solver, SolverOptions
from geoflow.numerics.runs import LARGEST_IMPLICIT, Problem
from geoflow.potentials.convexity import SINGULAR, pivots, require_definite
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.moving import ClosedPoints, MovingPoints
from geoflow.potentials.regularized import RegularizedLegendreFunction
from geoflow.results import Status, Trajectory
from geoflow.spaces.domains import WholeSpace

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: the error of w, beside itself, that the motion of a point along a leaf may have: mu is compared no finer
ROUNDED = 1e-12
Potential = LegendreFunction | RegularizedLegendreFunction
COORDINATES = ("auto", "w", "mu", "nu")
#: unknowns in mu up to which it is no better to have half as many in nu
FEW_UNKNOWNS = 100
#: how far beyond the end of a flow its Hessian is looked at, in lengths of the last way
AHEAD = np.logspace(-8, -3, 6)[:, None, None]


@titled("mirror flow", "potential")
def mirror_flow(
    loss: Loss,
    R: Potential,
    w0: ArrayLike,
    t: ArrayLike,
    *,
    coordinates: str = "auto",
    schedule: Schedule | None = None,
    until: Until | None = None,
    **solver: Unpack[SolverOptions],
) -> Trajectory:
    """Integrate mirror flow d/dt grad R(w) = -grad L_t(w) from w(0) = w0; the result's `mu` is grad R(w).

    For a family R_a, of `regularized_mirror_map`, d/dt grad R_{a(t)}(w) = -grad L_t(w) with a' = alpha(t).

    Parameters
    ----------
    loss : callable
        As for `gradient_flow`.
    R : LegendreFunction, or RegularizedLegendreFunction
    w0 : array-like, shape=[..., d]
    t : float or array-like, shape=[n_times]
        As for `gradient_flow`.
    coordinates : str
        "w": w' = -H(w)^{-1} grad L. "mu": mu' = -grad L(grad Q(mu)). "nu": for L(w) = l(Zw), mu = mu0 - Z^T nu with
        nu' = grad l(Z grad Q(mu)), n unknowns. "auto": "nu" where n < d and R is induced by a map, or d is large; "mu"
        where grad Q is known in closed form; else "w".
    schedule : callable or float, optional
        t to alpha(t) for a family R_a; 1 by default.
    until : dict, optional
        As for `gradient_flow`.
    rtol, atol, method : optional
        As for `geoflow.numerics.integrate.Solver`; tolerances are those of the integrated coordinates.

    Raises
    ------
    DomainError, ShapeError, ArgumentError, NotFiniteError
        For bad input. A flow that leaves the domain or blows up does not raise: it stops with a status.
    NotLegendreError
        Where the Hessian of R is not positive definite at the start; on the way that is a status.
    """
    times, integrator, bounds = as_times(t), as_options(Solver, solver, "mirror_flow"), as_until(until)
    regularized = isinstance(R, RegularizedLegendreFunction)
    if not regularized:
        require_type(R, LegendreFunction, "R")
    alpha = as_schedule(schedule, regularized)
    if coordinates not in COORDINATES:
        raise ArgumentError("coordinates", got=repr(coordinates), wanted=f"one of {COORDINATES}")
    mu0 = R(0.0).gradient(w0) if isinstance(R, RegularizedLegendreFunction) else R.gradient(w0)
    w0, pointwise = np.asarray(w0, dtype=float), PointwiseLoss(loss, R.dim, integrator.check)
    pointwise.require_scalar(w0.reshape(-1, R.dim)[0], 0.0)
    drive = pointwise.drive(w0.reshape(-1, R.dim)[0], alpha if callable(schedule) else None)
    run = _Run(pointwise, times, integrator, mu0, drive)
    return stopped(_integrated(R, run, w0, coordinates, alpha), pointwise, bounds)


def _integrated(R: Potential, run: _Run, w0: Array, coordinates: str, alpha: Callable[[float], float]) -> Trajectory:
    """The flow to its last time in the coordinates asked for, or the best ones."""
    if isinstance(R, RegularizedLegendreFunction):
        return run.regularized(R, alpha)
    chosen = _best_coordinates(R, run.loss, len(run.flat)) if coordinates == "auto" else coordinates
    require_convex(R, w0)
    if chosen == "w":
        found = _at_the_edge(R, convex_to_the_end(R, run.primal(R, w0)))
        return found if coordinates == "w" else _past_singular(R, run, w0, found)
    points = R.flowing_points(run.flat, w0.reshape(-1, R.dim))
    found = _with_values(R, run.linear(R, w0, points) if chosen == "nu" else run.dual(R, w0, points))
    return _at_the_edge(R, found if R.has_closed_conjugate else with_checked_end(R, found))


def _best_coordinates(R: LegendreFunction, loss: PointwiseLoss, n: int) -> str:
    """mu where grad Q is known, nu where that leaves fewer unknowns of an induced R or of many, else w."""
    induced = isinstance(R, InducedLegendreFunction)
    rows = len(loss.loss.Z) if isinstance(loss.loss, LinearModelLoss) else R.dim
    many = n * R.dim > (FEW_UNKNOWNS if 2 * rows <= R.dim else LARGEST_IMPLICIT)
    if rows < R.dim and (induced or (R.has_closed_conjugate and many)):
        return "nu"
    return "mu" if R.has_closed_conjugate else "w"


def _inverts(R: LegendreFunction) -> bool:
    """Whether Hessians of R are looked at: not where a theorem says what they are, or where they are too large."""
    return not isinstance(R, InducedLegendreFunction) and R.dim <= LARGEST_IMPLICIT


def require_convex(R: LegendreFunction, w: Array) -> None:
    """`NotLegendreError` where the Hessian at points w, shape=[..., d], is not positive definite."""
    if _inverts(R):
        require_definite(R.hessian(w), w, R.name)


def convex_to_the_end(R: LegendreFunction, found: Trajectory) -> Trajectory:
    """The trajectory, a failure from where the Hessian that it inverts is not positive definite."""
    if not _inverts(R) or found.status in (Status.BLOW_UP, Status.OVERFLOW):
        return found
    path, ends = found.w.reshape(len(found.t), -1, R.dim), False
    with np.errstate(all="ignore"):
        bad = _indefinite(R, path).any(axis=1)
        if not bad.any() and found.status.early and len(path) > 1:  # it may have ended where the Hessian is singular
            last = np.isfinite(path).all(axis=2).sum(axis=0) - 1
            end, before = (np.take_along_axis(path, k[None, :, None], 0) for k in (last, np.maximum(last - 1, 0)))
            ends = bool(_indefinite(R, end + AHEAD * (end - before)).any())
    if not bad.any() and not ends:
        return found
    what = f"the Hessian of {R.name} is not positive definite at t = {found.t[-1 if ends else int(np.argmax(bad))]:.6g}"
    return replace(found, status=Status.FAILURE, message=f"{what}: R is not a Legendre function there")


def _at_the_edge(R: LegendreFunction, found: Trajectory) -> Trajectory:
    """The trajectory, which says why where it ended at a boundary because grad R is bounded there."""
    if found.status is not Status.LEFT_DOMAIN or not R.edged:
        return found
    why = f"{R.name} is not essentially smooth: {R.essential_smoothness.detail}"
    return replace(found, message=f"{found.message}; {why}")


def _past_singular(R: LegendreFunction, run: _Run, w0: Array, found: Trajectory) -> Trajectory:
    """The flow in mu where that in w ended, and no boundary is: its Hessian has no inverse there, as that of |w|^3."""
    if found.status is not Status.LEFT_DOMAIN or not isinstance(R.domain, WholeSpace):
        return found
    ends = found.w[-1].reshape(-1, R.dim)
    size = 1e-3 * np.abs(ends).max(axis=-1, keepdims=True)
    around = size * np.random.default_rng(6).standard_normal((8, *ends.shape))
    with np.errstate(all="ignore"):
        if not np.isfinite(R.kernel.gradient((ends + around).reshape(-1, R.dim))).all():
            return found
    again = run.dual(R, w0, R.flowing_points(run.flat, w0.reshape(-1, R.dim)))
    again = with_checked_end(R, _with_values(R, again))
    why = f"the Hessian of {R.name} has no inverse that is a number near t = {found.t[-1]:.6g}"
    if again.success:
        return replace(again, message=f"{again.message}, in mu: {why}")
    return replace(found, status=Status.FAILURE, message=f"{why}, and {again.message} in mu")


def _indefinite(R: LegendreFunction, w: Array) -> Mask:
    """Where the Hessian is not positive definite; not outside the domain."""
    return np.reshape(pivots(R.kernel.hessian(w.reshape(-1, R.dim))) <= SINGULAR, w.shape[:-1])


def _with_values(R: LegendreFunction, found: Trajectory) -> Trajectory:
    """The trajectory, a failure where grad R(w) = mu was not solved for an entry on its way: its statuses say which."""
    statuses = np.reshape(found.statuses, found.w.shape[1:-1])
    lost = (statuses == Status.SUCCESS.value) & ~np.isfinite(found.w).all(axis=(0, -1))
    if not lost.any():
        return found
    index = tuple(int(i) for i in np.argwhere(lost)[0])
    first = int(np.argmin(np.isfinite(found.w).all(axis=-1).reshape(len(found.t), -1)[:, int(np.argmax(lost))]))
    place = f" of batch entry {index}" if index else ""
    message = f"grad {R.name} = mu was not solved at t = {found.t[first]:.6g}{place}"
    statuses = np.where(lost, Status.FAILURE.value, statuses)
    return replace(found, status=Status.FAILURE, message=message, statuses=statuses)


def with_checked_end(R: LegendreFunction, found: Trajectory) -> Trajectory:
    """The trajectory, its end compared with grad R at its w: where moves do not compose, mu does not give w."""
    if not found.status.early:
        try:
            mu = R.gradient(found.w[-1])
        except UserCodeError:
            raise
        except (NotCommutingError, NotRegularError) as error:  # where it went through, no R is what it is the flow of
            return replace(found, status=Status.FAILURE, message=f"{found.message}, but {error.what}; got {error.got}")
        except GeoflowError as error:  # the flow ends close to the boundary
            return replace(found, message=f"{found.message} ({error.what} at the last point)")
        missed = np.maximum(np.abs(mu - found.mu[-1]) - _resolved(R, found.w[-1]), 0.0)
        gap = missed.max() / (np.abs(found.mu[-1]).max() + 1e-300)
        if not gap <= PATH_TOL:
            message = f"grad R at the last w is {gap:.1e} from the last mu, relative, where {PATH_TOL:.0e} is asked"
            return replace(found, status=Status.FAILURE, message=message)
    return found


def _resolved(R: LegendreFunction, w: Array) -> Array:
    """What the rounding of w, and the error of a flow of w, is in mu; 0 where the Hessian is too large to ask."""
    flat = w.reshape(-1, R.dim)
    if isinstance(R, InducedLegendreFunction):
        x = R.leaf.lift_or_nan(w).x.reshape(len(flat), -1)
        size = np.abs(R.leaf.kernel.horizontal_lift(x, flat)[1])
    elif R.dim <= LARGEST_IMPLICIT:
        size = np.einsum("nij,nj->ni", np.abs(R.kernel.hessian(flat)), np.abs(flat))
    else:
        size = np.zeros(flat.shape)
    return np.nan_to_num(ROUNDED * size, posinf=0.0).reshape(w.shape)


@dataclass(frozen=True)
class _Run:
    """One mirror flow: loss, output times, integrator, where mu starts, shape=[..., d], and what depends on time."""

    loss: PointwiseLoss
    times: Array
    solver: Solver
    mu0: Array
    drive: Callable[[float], Array] | None

    @property
    def flat(self) -> Array:
        """mu0, shape=[N, d]."""
        return self.mu0.reshape(-1, self.loss.dim)

    @property
    def like_start(self) -> Map:
        """States of shape=[..., N d] with the batch of the start; as all that a trajectory keeps, without the loss."""
        shape = self.mu0.shape
        return lambda values: values.reshape(*values.shape[:-1], *shape)

    def primal(self, R: LegendreFunction, w0: Array) -> Trajectory:
        """w' = -H(w)^{-1} grad L."""
        velocity, flat = R.kernel.velocity_along(), w0.reshape(-1, R.dim)

        def along(s: float, w: Array) -> Array:  # NaN at a trial step outside the domain: the integrator shortens it
            return velocity(w, -self.loss.gradient(w, s))

        problem = self._problem(along, flat, isinstance(R, InducedLegendreFunction))
        with np.errstate(all="ignore"):
            way = along(0.0, flat) * self.times[-1]
        size = self._on_leaf(R, flat)[1] if isinstance(R, InducedLegendreFunction) else sizes_of(flat, way)
        solution = sized(self.solver, size).integrate(problem, self.times)
        w = self.like_start(solution.y)
        with np.errstate(all="ignore"):
            mu = np.asarray(R.kernel.gradient(w.reshape(-1, R.dim))).reshape(w.shape)
        if not np.isfinite(mu[-1]).all():  # the last point may lie on the boundary, where the flow ended
            solution.message += " (grad R has no value at the last point)"
        return trajectory_of(solution, self.loss, self.like_start, mu)

    def _on_leaf(self, R: InducedLegendreFunction, w: Array) -> tuple[Array, Array, Array]:
        x = R.leaf.lift(w.reshape(self.mu0.shape)).x.reshape(len(w), -1)  # as grad R has lifted it
        return sizes_on_leaf(R.leaf.kernel, x, 0.0 * x)

    def _sizes_of_mu(self, R: LegendreFunction, w0: Array) -> Array:
        """What of mu moves w by its size at the start."""
        flat = w0.reshape(-1, R.dim)
        if isinstance(R, InducedLegendreFunction):
            return self._on_leaf(R, flat)[2]
        return sizes_of_mu(R.kernel.gradient, flat, self.flat, self.loss.gradient(flat, 0.0) * self.times[-1])

    def _problem(self, along: Callable[[float, Array], Array], start: Array, remembers: bool) -> Problem:
        """The flow of states of shape=[N, d], whose derivative is taken at many states in one batch unless the field
        goes on from the last.
        """

        def rhs(s: float, y: Array) -> Array:
            return along(s, y.reshape(start.shape)).ravel()

        def jacobian(s: float, y: Array) -> Array:
            return entrywise_jacobian(partial(along, s), y.reshape(start.shape), start.shape[1])

        jac = None if remembers else jacobian
        return Problem(rhs, start.ravel(), len(start), jac, drive=self.drive, remembers=remembers)

    def dual(self, R: LegendreFunction, w0: Array, points: MovingPoints) -> Trajectory:
        """mu' = -grad L(grad Q(mu))."""

        def along(s: float, mu: Array) -> Array:
            return -self.loss.gradient(points.move(mu), s)

        problem = self._problem(along, self.flat, not isinstance(points, ClosedPoints))
        solution = sized(self.solver, self._sizes_of_mu(R, w0)).integrate(problem, self.times)
        return trajectory_of(solution, self.loss, self._w_of(points), self.like_start(solution.y))

    def linear(self, R: LegendreFunction, w0: Array, points: MovingPoints) -> Trajectory:
        """mu = mu0 - Z^T nu, nu' = grad l(Z grad Q(mu))."""
        linear = self.loss.loss
        if not isinstance(linear, LinearModelLoss):
            got, wanted = f"a loss of type {type(linear).__name__}", "one of the form l(Zw), such as LeastSquares"
            raise ArgumentError("coordinates 'nu'", got, wanted, remedy="use coordinates='mu'")
        Z, flat, shape, images = linear.Z, self.flat, self.mu0.shape, points.images

        def mu_of(y: Array) -> Array:  # one product for all states
            way = (y.reshape(-1, len(Z)) @ Z).reshape(*y.shape[:-1], *flat.shape)
            return (flat - way).reshape(*y.shape[:-1], *shape)

        def rhs(s: float, y: Array) -> Array:
            return linear.link_gradient(points.move(mu_of(y).reshape(flat.shape)) @ Z.T).ravel()

        def velocities(y: Array) -> Array:
            assert images is not None
            return linear.link_gradient(images(Z, flat[0], y))

        def jacobian(s: float, y: Array) -> Array:
            w = points.move(mu_of(y).reshape(1, -1))[0]
            return -linear.link_hessian(w @ Z.T)[:, None] * points.gram(Z)

        start, jac = np.zeros(len(flat) * len(Z)), jacobian if len(flat) == 1 else None
        remembers = not isinstance(points, ClosedPoints)
        solver = sized(self.solver, self._sizes_of_mu(R, w0) / np.maximum(np.abs(Z).max(initial=0.0), 1e-300))
        many = velocities if images and jac else None
        problem = Problem(rhs, start, len(flat), jac, remembers=remembers, velocities=many)
        solution = solver.integrate(problem, self.times)
        w_of = self._w_of(points)
        return trajectory_of(
            solution, self.loss, lambda y: w_of(mu_of(y).reshape(*y.shape[:-1], -1)), mu_of(solution.y)
        )

    def _w_of(self, points: MovingPoints) -> Map:
        """States mu, shape=[..., N d], to w, shape=[..., *batch, d], one time after the other."""
        flat, shape = self.flat.shape, self.mu0.shape

        def w_of(values: Array) -> Array:
            return points.along(values.reshape(-1, *flat)).reshape(*values.shape[:-1], *shape)

        return w_of

    def regularized(self, R: RegularizedLegendreFunction, alpha: Callable[[float], float]) -> Trajectory:
        """(mu, a) moves by (-grad L, alpha)."""
        primal, flat = R.local_inverse(), self.flat

        def rhs(s: float, y: Array) -> Array:
            w = primal(y[:-1].reshape(flat.shape), float(y[-1]))
            if not np.isfinite(w).all():
                return np.full(y.shape, np.nan)
            return np.r_[-self.loss.gradient(w, s).ravel(), alpha(s)]

        like_start, axes = self.like_start, (1,) * (self.mu0.ndim - 1)

        def w_of(values: Array) -> Array:
            a = np.reshape(values[..., -1], (*values.shape[:-1], *axes))
            return R.inverse_gradient(like_start(values[..., :-1]), a)

        problem = Problem(rhs, np.r_[flat.ravel(), 0.0], drive=self.drive, remembers=True)
        solution = self.solver.integrate(problem, self.times)
        return trajectory_of(solution, self.loss, w_of, like_start(solution.y[..., :-1]))
