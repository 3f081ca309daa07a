"""Newton's method for grad R(w) = mu, every entry of a batch by itself, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geoflow._typing import Array, ArrayLike, Index, Mask
from geoflow.potentials.convexity import not_convex, unit_diagonal

EPS = float(np.finfo(float).eps)
#: steps in all; steps after which an entry that comes no nearer is left; lengths tried for one step
STEPS, PATIENCE, TRIES = 1000, 12, 100
#: the error of a solution up to which it is one, relative to the solution
ACCURACY = 1e-8
#: how far aside a solution grad R is asked for its rounding, beside w, and what H may change by up to there
ASIDE, CHANGE = (1e-6, 1e-8, 1e-10, 1e-12, 1e-14), 1e-2


class Centred(Protocol):
    """What Newton's method asks of a domain."""

    def interior_point(self) -> Array: ...
    def random_point(self, n_samples: int = 1, bound: float = 1.0, rng: int | None = None) -> Array: ...


class Convex(Protocol):
    """A convex function by its derivatives at points of shape=[N, d], NaN where it has none."""

    @property
    def domain(self) -> Centred: ...
    def derivative(self, order: int, w: Array) -> Array: ...
    def inside(self, w: Array) -> Mask: ...


class Named(Protocol):
    """What Newton's method asks of R."""

    @property
    def kernel(self) -> Convex: ...

    name: str


@dataclass(frozen=True)
class Solution:
    """The w of shape=[..., d] to mu of the same shape, and what is known of every entry.

    `converged`, shape=[...]: grad R(w) is mu to the rounding of both. `error`, shape=[..., d]: what that rounding may
    move w by. `residual`, shape=[...]: |grad R(w) - mu| relative to |mu|. `exact`, shape=[...]: w is the centre of the
    domain, and mu the gradient there to the last digit.
    """

    w: Array
    converged: Mask
    error: Array
    residual: Array
    exact: Mask

    @property
    def relative_error(self) -> Array:
        """The error of each entry beside its w, coordinates in units of their own, shape=[...]; 0 where it is exact."""
        with np.errstate(all="ignore"):
            own = self.error / np.abs(self.w)
            joint = self.error / np.abs(self.w).max(axis=-1, keepdims=True)
            least = np.where(self.error == 0, 0.0, np.minimum(own, joint)).max(axis=-1)
        return np.where(self.exact, 0.0, np.nan_to_num(least, nan=np.inf))

    @property
    def accurate(self) -> Mask:
        """Where w is a solution to ACCURACY, shape=[...]."""
        return self.converged & (self.relative_error <= ACCURACY)


class Newton:
    """Minimise R(w) - <mu, w> for all mu at once, by Newton steps inside the domain, damped by the slope along them.

    Where R is known to be convex, `convex`, a Hessian that rounding makes singular is no reason to stop.
    """

    def __init__(self, R: Named, convex: bool = False):
        self._R, self._kernel, self._least = R, R.kernel, -1e-10 if convex else 0.0
        #: the multiples of steps, shape=[N, d] to [N], beyond which they are not taken, of a kernel that has such
        self._reach = getattr(R.kernel, "reach", None)

    def solve(self, mu: Array, start: ArrayLike | None = None, sure: bool = True) -> Solution:
        """w with grad R(w) = mu, and whether that is so; `error` is measured around w where `sure`, else a model's.

        Raises `NotLegendreError` where the Hessian is not positive definite on the way.
        """
        with np.errstate(all="ignore"):  # an iterate may run away where there is no solution
            return self._solved(mu, start, sure)

    def _solved(self, mu: Array, start: ArrayLike | None, sure: bool) -> Solution:
        shape, d = mu.shape, mu.shape[-1]
        begin = self._start() if start is None else np.asarray(start, dtype=float)
        w, mu = np.array(np.broadcast_to(begin, shape)).reshape(-1, d), mu.reshape(-1, d)
        exact = np.zeros(len(mu), dtype=bool)
        if start is None:
            centre = self._kernel.domain.interior_point()
            exact = _agree(self._kernel.derivative(1, centre), mu)
            w[exact] = centre
        self._descend(w, mu, np.flatnonzero(~exact))
        converged, error, residual = self._judged(w, mu, sure)
        lost = np.flatnonzero(~(converged | exact))
        if len(lost):
            w[lost] = self._without_small(w[lost])
            converged[lost], error[lost], residual[lost] = self._judged(w[lost], mu[lost], sure)
        return Solution(
            w.reshape(shape), (converged | exact).reshape(shape[:-1]), error.reshape(shape),
            residual.reshape(shape[:-1]), exact.reshape(shape[:-1]),
        )  # fmt: skip

    def _start(self) -> Array:
        """The interior point, or a generic point beside it where the Hessian degenerates there, as that of w^4 at 0."""
        centre = self._kernel.domain.interior_point()
        H = self._kernel.derivative(2, centre)
        if not np.isfinite(H).all() or abs(np.linalg.eigvalsh(H)[0]) <= 1e-12 * np.abs(H).max():
            return self._kernel.domain.random_point(rng=0)
        return centre

    def _without_small(self, w: Array) -> Array:
        """Coordinates that only shrink, those of w^4 towards 0, set to their limit."""
        centre = np.asarray(self._kernel.domain.interior_point())
        small = np.abs(w) < 1e-20 * (np.abs(w).max(axis=-1, keepdims=True) + 1e-20)
        return np.where(small & (centre == 0), 0.0, w)

    # the iteration --------------------------------------------------------------------------------------------------

    def _descend(self, w: Array, mu: Array, active: Index) -> None:
        """Move the active entries of w to where they solve, or where they come no nearer."""
        n = len(w)
        least, first = np.full((n, w.shape[1] + 1), np.inf), True
        idle, floors = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
        for _ in range(STEPS):
            if len(active) == 0:
                return
            x, m = w[active], mu[active]
            g, H = _missed(self._kernel.derivative(1, x), m), self._kernel.derivative(2, x)
            step, slope, usable = self._direction(x, g, H)
            if first and not usable.all():
                again = active[~usable]
                if (w[again] == self._start()).all():
                    raise not_convex(self._R.name, w[again[0]])
                w[again], first = self._start(), False  # a start where the Hessian degenerates
                self._descend(w, mu, again)
                active = np.setdiff1d(active, again)
                continue
            size = (np.abs(step) / (np.abs(x) + 1e-3 * np.abs(step) + 1e-300)).max(axis=-1)
            now = np.c_[-slope * np.abs(step).max(axis=-1), np.abs(g)]
            terms = 2 * np.abs(m) + np.nan_to_num(_absolute(H, x), posinf=0.0)
            floor: Mask = np.asarray((np.abs(g) <= 2 * EPS * terms).all(axis=-1))
            better = (now < 0.99 * least[active]).any(axis=-1)
            least[active] = np.minimum(now, least[active])
            idle[active] = np.where(better, 0, idle[active] + 1)
            floors[active] = np.where(floor, floors[active] + 1, 0)
            go, first = usable & (size > 0.5 * EPS) & (floors[active] < 3) & (idle[active] < PATIENCE), False
            active = active[go]
            moved, accepted = self._moved(w[active], step[go], slope[go], mu[active], floor[go])
            w[active] = moved
            active = active[accepted]

    def _direction(self, w: Array, g: Array, H: Array) -> tuple[Array, Array, Mask]:
        """Newton direction, the slope along it for a unit of length, and where it is usable, at points inside.

        An iterate that runs away until its Hessian over- or underflows is not usable; a Hessian that is not positive
        definite anywhere else is the potential's fault.
        """
        unit, eigenvalues, vectors, finite = _factored(H)
        finite &= np.isfinite(g).all(axis=1) & ((unit > 0) | (g == 0)).all(axis=1)
        usable = finite & (eigenvalues[:, 0] > self._least)
        indefinite = finite & (eigenvalues[:, 0] < -1e-10)
        if indefinite.any():
            # on the way to infinity, for a mu outside the range, the Hessian is rounding and its sign means nothing
            usual = np.abs(self._kernel.derivative(2, self._start())).max()
            noise = 1e-12 * usual * (1 + np.abs(w).max(axis=1))
            indefinite &= np.linalg.eigvalsh(np.where(finite[:, None, None], H, 0.0))[:, 0] < -noise
        if indefinite.any():
            raise not_convex(self._R.name, w[int(np.argmax(indefinite))])
        step = -_applied(unit, eigenvalues, vectors, g)
        slope = np.einsum("ni,ni->n", g, step / np.abs(step).max(axis=1, keepdims=True))
        return step, slope, usable & np.isfinite(step).all(axis=1)

    def _moved(self, w: Array, step: Array, slope: Array, mu: Array, near: Mask) -> tuple[Array, Mask]:
        """The points after a step of the length at which the slope along it is at most 0.9 of what it was, of any sign.

        Near a solution, where slopes are rounding, the whole step. Towards a wall that the slope does not feel, nine
        tenths of the way. Lengths change by factors that grow, until one is too long and one too short.
        """
        n, length = len(w), np.abs(step).max(axis=1, initial=0.0)
        way = step / length[:, None]
        most = np.full(n, np.inf) if self._reach is None else self._reach(step)
        t, low, high = np.minimum(most, 1.0), np.zeros(n), np.full(n, np.inf)
        factor, result, accepted, todo = np.full(n, 6.0), w.copy(), np.zeros(n, dtype=bool), np.arange(n)
        for _ in range(TRIES):
            if len(todo) == 0:
                break
            trial = w[todo] + t[todo, None] * step[todo]
            inside = self._kernel.inside(trial)
            g = _missed(self._kernel.derivative(1, np.where(inside[:, None], trial, w[todo])), mu[todo])
            rise = np.where(inside, np.einsum("ni,ni->n", g, way[todo]) / np.abs(slope[todo]), np.inf)
            whole = near[todo] & inside & np.isfinite(rise)
            over, under = ~(rise <= 0.9) & ~whole, (rise < -0.9) & ~whole
            high[todo[over]], low[todo[under]] = t[todo[over]], t[todo[under]]
            wall = under & (np.minimum(high, most)[todo] < 1.2 * t[todo])
            done = ~(over | under) | wall
            result[todo[done]], accepted[todo[done]] = trial[done], True
            todo = todo[~done]
            t[todo], factor[todo] = _next(t[todo], low[todo], high[todo], factor[todo])
            t[todo] = np.minimum(t[todo], most[todo])
            todo = todo[t[todo] < 1e300 / length[todo]]
        rest = ~accepted & (low > 0)
        result[rest] = w[rest] + low[rest, None] * step[rest]
        accepted |= rest & (np.abs(result).max(axis=1, initial=0.0) < 1e100)
        return result, accepted & (result != w).any(axis=1)

    # what is known of a solution ------------------------------------------------------------------------------------

    def _judged(self, w: Array, mu: Array, sure: bool) -> tuple[Mask, Array, Array]:
        """Whether each entry solves to rounding, its error, and its residual."""
        g, H = self._kernel.derivative(1, w), self._kernel.derivative(2, w)
        unit, eigenvalues, vectors, finite = _factored(H)
        H = np.where(unit[:, :, None] * unit[:, None, :] > 0, H, 0.0)
        inverse = np.einsum("ni,nik,nk,njk,nj->nij", unit, vectors, 1 / np.maximum(eigenvalues, 1e-16), vectors,
                            unit, optimize=True)  # fmt: skip
        r, rounding = g - mu, EPS * (np.abs(g) + np.abs(mu))
        error = np.abs(np.einsum("nij,nj->ni", inverse, r)) + _absolute(inverse, rounding)
        error[eigenvalues[:, 0] < 8 * EPS] = np.inf  # the Hessian is singular to rounding
        noise = 2 * rounding + 2 * EPS * _absolute(H, w)
        scatter = np.zeros(w.shape)
        if sure or not (np.abs(r) <= noise).all():
            for seed in (0, 1):
                change = self._around(w, g, H, seed)
                scatter = np.maximum(scatter, np.abs(change))
                error = np.maximum(error, np.abs(np.einsum("nij,nj->ni", inverse, change)))
        for row in np.flatnonzero((unit == 0).any(axis=1) & np.isfinite(g).all(axis=1)):
            error[row] = np.where(unit[row] == 0, self._apart(w[row], mu[row], unit[row] == 0), error[row])
        small = (error <= 0.1 * ACCURACY * np.abs(w)).all(axis=-1)
        finite &= np.isfinite(error).all(axis=-1)
        converged = finite & ((np.abs(r) <= noise + 4 * scatter).all(axis=-1) | small)
        residual = np.abs(r).max(axis=-1) / (np.abs(mu).max(axis=-1) + 1e-300)
        return converged, np.where(np.isfinite(error), error, np.inf), np.where(np.isfinite(residual), residual, np.inf)

    def _apart(self, w: Array, mu: Array, still: Mask) -> float:
        """How far apart are points on both sides of w, shape=[d], in a coordinate where its Hessian is no number.

        Their gradients have to be on both sides of mu; infinity where they are not.
        """
        width = 1e-9 * np.abs(w).max()
        sides = w + width * np.stack([np.eye(len(w))[still], -np.eye(len(w))[still]])
        if not (width > 0 and self._kernel.inside(sides.reshape(-1, len(w))).all()):
            return np.inf
        above, below = (self._kernel.derivative(1, side)[:, still].diagonal() - mu[still] for side in sides)
        return float(width) if (above > 0).all() and (below < 0).all() else np.inf

    def _around(self, w: Array, g: Array, H: Array, seed: int) -> Array:
        """What grad R changes by on a short way from w, and not by its Hessian, shape=[N, d]: its rounding.

        The way is as long as the Hessian lets it be: where w is far below the resolution of grad R, that stands still.
        """
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], w.shape[-1])
        change, todo = np.zeros(w.shape), np.arange(len(w))
        scale = np.sqrt(np.abs(np.einsum("nii->ni", H)))
        for aside in ASIDE:
            way = aside * np.abs(w[todo]) * signs
            at = w[todo] + way
            way = at - w[todo]
            inside = self._kernel.inside(at)
            at = np.where(inside[:, None], at, w[todo])
            there = np.where(H[todo] == 0, 0.0, self._kernel.derivative(2, at))
            bend = np.abs(there - H[todo]) / scale[todo][:, :, None] / scale[todo][:, None, :]
            fine = inside & (np.where(H[todo] == 0, 0.0, bend).max(axis=(1, 2)) <= CHANGE)
            along = np.einsum("nij,nj->ni", (H[todo] + there) / 2, way)
            found = self._kernel.derivative(1, at) - g[todo] - along
            change[todo] = np.where(inside[:, None], found, change[todo])
            todo = todo[~fine]
            if len(todo) == 0:
                break
        return change


def _next(t: Array, low: Array, high: Array, factor: Array) -> tuple[Array, Array]:
    """The next lengths between one too short and one too long, or beyond the only one there is."""
    between = np.where(high > 4 * low, np.sqrt(low) * np.sqrt(high), (low + high) / 2)
    beyond = np.where(np.isfinite(high), np.where(low > 0, between, high / np.sqrt(factor)), low * factor)
    alone = ~np.isfinite(high) | (low == 0)
    return beyond, np.where(alone, np.minimum(factor**2, 1e40), factor)


def _missed(g: Array, mu: Array) -> Array:
    """g - mu, 0 where that is rounding of mu: the rounding of a large entry would hide a small one."""
    missed = g - mu
    return np.where(np.abs(missed) <= 4 * EPS * np.abs(mu), 0.0, missed)


def _agree(g: Array, mu: Array) -> Mask:
    """Where mu is the gradient to the last digits, shape=[..., d] to shape=[...]."""
    return np.asarray((np.abs(g - mu) <= 2 * EPS * np.abs(mu)).all(axis=-1))


def _absolute(A: Array, x: Array) -> Array:
    """|A| |x|, the size of the terms of A x."""
    return np.einsum("nij,nj->ni", np.abs(A), np.abs(x))


def _factored(H: Array) -> tuple[Array, Array, Array, Mask]:
    """Units of the coordinates, eigenvalues and vectors of the Hessians in them, and where they are finite.

    A coordinate in which H is infinite or 0, as that of |w|^1.5 and of w^4 is at 0, has the unit 0 and does not move.
    """
    scaled, unit = unit_diagonal(H)
    still, eye = np.isnan(np.einsum("nii->ni", scaled)), np.eye(H.shape[-1])
    unit, scaled = np.where(still, 0.0, unit), np.where(still[:, :, None] | still[:, None, :], eye, scaled)
    finite = np.isfinite(scaled).all(axis=(1, 2)) & ~still.all(axis=1)
    eigenvalues, vectors = np.linalg.eigh(np.where(finite[:, None, None], scaled, eye))
    return unit, eigenvalues, vectors, finite


def _applied(unit: Array, eigenvalues: Array, vectors: Array, g: Array) -> Array:
    """H^{-1} g."""
    along = np.einsum("nik,ni->nk", vectors, unit * g) / np.maximum(eigenvalues, 1e-16)
    return unit * np.einsum("nik,nk->ni", vectors, along)
