"""Barycentres of weighted points for Bregman divergences and those made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from geoflow._typing import Array, ArrayLike, Index, Mask
from geoflow._validate import as_finite, describe
from geoflow.errors import ArgumentError, ConvergenceError, GeoflowError
from geoflow.metrics.gaps import as_side, as_weighted
from geoflow.numerics.batches import SLICE, in_slices
from geoflow.potentials.convexity import unit_diagonal
from geoflow.potentials.divergence import EPS, change_and_noise
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.structure import Scaled

#: steps in all, lengths tried for one, and steps without progress after which an entry near a solution, or far, is left
STEPS, TRIES, PATIENCE = 400, 50, (4, 200)
#: the relative error up to which a barycentre is one
ACCURACY = 1e-8
#: beside gradients, what their change is integrated below
CANCELS = 1e-6
#: least curvature, in units of the Hessian of R, that a step is taken by
FLATTEST = 1e-9
#: largest d of which third derivatives are formed, and part of a way over which Hessians are differenced beyond
LARGEST, ASIDE = 40, 1e-4


def barycentre(R: LegendreFunction, points: ArrayLike, weights: ArrayLike | None = None, side: str = "right") -> Array:
    """The c that minimises sum_i p_i D(w_i, c), or what `side` says; shape=[..., d].

    "right", D(w_i, c): c is the mean of w. "left", D(c, w_i): grad R(c) is the mean of grad R(w_i), whatever weights.
    "symmetrised", (D(w_i, c) + D(c, w_i)) / 2, the Jeffreys centroid, and "jensen", the Burbea-Rao centroid, are solved
    for by Newton's method from three starts; they need not be unique, and the best that is found is returned.

    Parameters
    ----------
    R : LegendreFunction
    points : array, shape=[..., n, d]
    weights : array, shape=[n] or [..., n], optional
        Not negative, of any sum; equal by default.
    side : str

    Raises
    ------
    DomainError, ArgumentError, ShapeError
        For points outside the domain, weights that are none, shapes that do not fit.
    ConvergenceError
        When the centre is not known to eight digits of itself.

    Reference
    ---------
    Banerjee, Merugu, Dhillon, Ghosh, Clustering with Bregman divergences, JMLR 2005; Nielsen, Nock, Sided and
    symmetrized Bregman centroids, IEEE Trans. Inf. Theory 2009. (The walk of the latter, to where D(w_right, c) =
    D(c, w_left) on a geodesic, ends beside the minimum: there H(c) (c - w_right) + grad R(c) = grad R(w_left).)
    """
    w, p = as_weighted(R, points, weights)
    side = as_side(side)
    if side == "right":
        return R.domain.require(_mean(w, p), "mean of the points")
    return _solved(R, w, p, side, 0.5)


def burbea_rao_centroid(
    R: LegendreFunction, points: ArrayLike, weights: ArrayLike | None = None, alpha: float = 0.5
) -> Array:
    """The c that minimises sum_i p_i J_alpha(w_i, c), J the skew `jensen_divergence`; shape=[..., d].

    grad R(c) = sum_i p_i grad R(alpha w_i + (1 - alpha) c), 0 < alpha < 1; arguments and errors are those of
    `barycentre`. As alpha tends to 0 it tends to the right centroid, as it tends to 1 to the left one.

    Reference
    ---------
    Nielsen, Boltz, The Burbea-Rao and Bhattacharyya centroids, IEEE Trans. Inf. Theory 2011.
    """
    w, p = as_weighted(R, points, weights)
    a = as_finite(alpha, "alpha")
    if a.ndim or not 0 < a < 1:
        remedy = "the limits are barycentre(side='right') for 0, and 'left' for 1"
        raise ArgumentError("alpha of a Burbea-Rao centroid", describe(a), "a number between 0 and 1", remedy)
    return _solved(R, w, p, "jensen", float(a))


#: gradient, its noise and Hessian of what is minimised, at centres of entries: (k, c) to shape=[m, d] twice, [m, d, d]
Slopes = Callable[[Index, Array], tuple[Array, Array, Array]]


@dataclass(frozen=True)
class _Problem:
    """Points of shape=[N, n, d] with weights of shape=[N, n], and the objectives of their centres."""

    R: LegendreFunction
    w: Array
    p: Array
    alpha: float

    def left(self, k: Index, c: Array) -> tuple[Array, Array, Array]:
        """Of sum p_i D(c, w_i)."""
        return *self._change(k, c, self.w[k], c[:, None] - self.w[k]), self._hessian(c)

    def symmetrised(self, k: Index, c: Array) -> tuple[Array, Array, Array]:
        """Of sum p_i (D(w_i, c) + D(c, w_i)): the gradient has H(c) (c - mean), whose derivative is H + T(c - mean)."""
        slope, noise, H = self.left(k, c)
        away = np.einsum("ki,kid->kd", self.p[k], c[:, None] - self.w[k])
        bend = self._bend(c, away, H)
        noise = noise + 4 * EPS * np.einsum("kij,kj->ki", np.abs(H), np.abs(away))
        return slope + np.einsum("kij,kj->ki", H, away), noise, 2 * H + bend

    def jensen(self, k: Index, c: Array) -> tuple[Array, Array, Array]:
        """Of sum p_i J_alpha(w_i, c) / (1 - alpha)."""
        h = c[:, None] - self.w[k]
        m = c[:, None] - self.alpha * h
        step, inner = max(1, SLICE // (len(c) * c.shape[-1] ** 2)), np.zeros((*c.shape, c.shape[-1]))
        for part in (slice(i, i + step) for i in range(0, m.shape[1], step)):
            inner += np.einsum("ki,kiab->kab", self.p[k, part], self._hessian(m[:, part]))
        return *self._change(k, c, m, self.alpha * h), self._hessian(c) - (1 - self.alpha) * inner

    def value(self, side: str, c: Array) -> Array:
        """What is minimised, up to a constant factor, at one centre an entry, shape=[N]; infinite where no number."""
        R, w, h = self.R, self.w, c[:, None] - self.w
        c = np.broadcast_to(c[:, None], w.shape)
        m = w
        if side == "jensen":
            m, h = c - self.alpha * h, np.stack([(self.alpha - 1) * h, self.alpha * h])
            parts = self.alpha * _flat(R, w, m, h[0]) + (1 - self.alpha) * _flat(R, c, m, h[1])
        else:
            parts = _flat(R, w, c, -h) + _flat(R, c, w, h)
        return np.nan_to_num(np.einsum("ki,ki->k", self.p, parts), nan=np.inf)

    def _change(self, k: Index, c: Array, w: Array, h: Array) -> tuple[Array, Array]:
        """sum p_i (grad R(c) - grad R(w_i)) and what is in doubt of it, shape=[m, d] each."""
        d = c.shape[-1]
        upper = np.broadcast_to(c[:, None], h.shape).reshape(-1, d)
        flat = upper, w.reshape(-1, d), h.reshape(-1, d)
        parts = in_slices(lambda u, v, h: change_and_noise(self.R.formula, u, v, h, CANCELS), d * d, *flat)
        change, noise = (np.einsum("ki,kid->kd", self.p[k], part.reshape(h.shape)) for part in parts)
        return change, noise

    def _bend(self, c: Array, way: Array, H: Array) -> Array:
        """T(c) way, by the third derivative where that is there and small, else by a difference of Hessians."""
        d = c.shape[-1]
        if d <= LARGEST:
            try:
                return np.einsum("kabc,kc->kab", self.R.kernel.derivative(3, c), way)
            except GeoflowError:
                pass
        return (H - self._hessian(c - ASIDE * way)) / ASIDE

    def _hessian(self, c: Array) -> Array:
        d = c.shape[-1]
        return np.asarray(self.R.kernel.derivative(2, c.reshape(-1, d))).reshape(*c.shape, d)


def _flat(R: LegendreFunction, w: Array, v: Array, h: Array) -> Array:
    d = w.shape[-1]
    return R.divergence_or_nan(w.reshape(-1, d), v.reshape(-1, d), h.reshape(-1, d)).reshape(w.shape[:-1])


def _solved(R: LegendreFunction, w: Array, p: Array, side: str, alpha: float) -> Array:
    """A barycentre, shape=[..., d], found in the frame of R where it has one."""
    while isinstance(R.structure, Scaled) and isinstance(R.structure.part, LegendreFunction):
        R = R.structure.part  # with the same barycentres
    flat, shape = w.reshape(-1, *w.shape[-2:]), (*w.shape[:-2], R.dim)
    back = None
    if R.frame is not None:
        A, back = R.frame(flat)
        flat = np.einsum("kab,kib->kia", A, flat)
    problem = _Problem(R, flat, p.reshape(-1, w.shape[-2]), alpha)
    left, error = _left(problem)
    if side == "left":
        found = _checked(problem, left, error, side)
    else:
        right = _mean(problem.w, problem.p)
        found = _least(problem, side, np.where((error <= ACCURACY)[:, None], left, right))
    return (found if back is None else np.einsum("kab,kb->ka", back, found)).reshape(shape)


def _mean(w: Array, p: Array) -> Array:
    return np.clip(np.einsum("...n,...nd->...d", p, w), w.min(axis=-2), w.max(axis=-2))


def _left(problem: _Problem) -> tuple[Array, Array]:
    """From grad Q of the mean of the gradients, whose digits may be gone, or from the mean of the points."""
    R, w, p = problem.R, problem.w, problem.p
    with np.errstate(all="ignore"):
        mu = np.einsum("ki,kid->kd", p, R.kernel.derivative(1, w.reshape(-1, R.dim)).reshape(w.shape))
        start = np.asarray(R.conjugate.kernel.gradient(mu), dtype=float)
        near = R.kernel.inside(start)
    start = np.where(near[:, None], start, _mean(w, p))
    c, error = _descended(problem, problem.left, start)
    again = np.flatnonzero(~(error <= ACCURACY) & near)
    if len(again):
        start[again] = _mean(w, p)[again]
        c, error = _descended(problem, problem.left, start)
    return c, error


def _least(problem: _Problem, side: str, left: Array) -> Array:
    """The best of what is found from the left centroid, from the right one and from between."""
    right, n = _mean(problem.w, problem.p), len(left)
    thrice = replace(problem, w=np.tile(problem.w, (3, 1, 1)), p=np.tile(problem.p, (3, 1)))
    objective: Slopes = getattr(thrice, side)
    c, error = _descended(thrice, objective, np.concatenate([left, right, (left + right) / 2]))
    values = np.where(error <= ACCURACY, thrice.value(side, c), np.inf).reshape(3, n)
    best = np.argmin(values, axis=0) * n + np.arange(n)
    return _checked(problem, c[best], error[best], side)


def _checked(problem: _Problem, c: Array, error: Array, what: str) -> Array:
    if not (error <= ACCURACY).all():
        k = int(np.argmax(~(error <= ACCURACY)))
        raise ConvergenceError(
            f"{what} centroid of {problem.R.name}",
            got=f"an error of {error[k]:.1e} of the centre, near {describe(c[k])}"
            + (f", batch entry {k}" if k else ""),
            wanted=f"at most {ACCURACY:.0e}",
            remedy="give the Hessian in closed form, choose nearer points, or the right centroid, which is the mean",
            defect=float(error[k]),
        )
    return c


# Newton's method ------------------------------------------------------------------------------------------------------


def _descended(problem: _Problem, objective: Slopes, start: Array) -> tuple[Array, Array]:
    """Centres at which the gradient vanishes, shape=[N, d], and their relative errors: a last step, and rounding."""
    c, best, idle = start.copy(), np.full(len(start), np.inf), np.zeros(len(start), dtype=int)
    kept, error, todo = start.copy(), best.copy(), np.arange(len(start))
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            if not len(todo):
                break
            at = c[todo]
            slope, noise, bend = objective(todo, at)
            step, doubt = _newton_step(problem.R, at, slope, noise, bend)
            size = _relative(step, at)
            better = size < best[todo]
            idle[todo] = np.where(size < 0.5 * best[todo], 0, idle[todo] + 1)
            kept[todo[better]], best[todo[better]] = at[better], size[better]
            error[todo[better]] = _relative(np.abs(step) + doubt, at)[better]
            go = np.isfinite(size) & (size > 1e-16) & (idle[todo] < np.where(size > 1e-6, PATIENCE[1], PATIENCE[0]))
            todo, step, slope, size = todo[go], step[go], slope[go], size[go]
            if len(todo):
                c[todo], moved = _moved(problem, objective, (todo, c[todo], slope, step), size < 1e-7)
                todo = todo[moved]
    return kept, error


def _newton_step(R: LegendreFunction, c: Array, slope: Array, noise: Array, bend: Array) -> tuple[Array, Array]:
    """-|bend|^-1 slope and what noise makes of it, shape=[m, d]; |bend| in units of H, a way down if indefinite."""
    H = np.asarray(R.kernel.derivative(2, c))
    unit = unit_diagonal(H)[1]
    scaled, bent = (unit[:, :, None] * part * unit[:, None, :] for part in (H, bend))
    fine: Mask = np.asarray(np.isfinite(scaled).all(axis=(1, 2)) & np.isfinite(bent).all(axis=(1, 2)))
    values, vectors = np.linalg.eigh(np.where(fine[:, None, None], scaled, np.eye(c.shape[-1])))
    root = unit[:, :, None] * vectors / np.sqrt(np.maximum(values, EPS))[:, None, :]
    inner = np.swapaxes(root, 1, 2) @ bend @ root
    curves, turns = np.linalg.eigh(np.where(fine[:, None, None], inner, np.eye(c.shape[-1])))
    root = np.where(fine[:, None, None], root @ turns, np.nan)
    inverse = (root / np.maximum(np.abs(curves), FLATTEST)[:, None, :]) @ np.swapaxes(root, 1, 2)
    doubt = np.einsum("kab,kb->ka", np.abs(inverse), noise)
    doubt[values[:, 0] < 64 * EPS] = np.inf  # singular to rounding
    noisy = np.asarray(noise.any(axis=1))[:, None]
    return -np.einsum("kab,kb->ka", inverse, slope), np.where(noisy, doubt, 0.0)


def _relative(step: Array, c: Array) -> Array:
    """The largest entry of a step in units of its own coordinate, or of the largest one where that is less."""
    own, joint = np.abs(step) / np.abs(c), np.abs(step) / np.abs(c).max(axis=-1, keepdims=True)
    return np.where(step == 0, 0.0, np.minimum(own, joint)).max(axis=-1)


def _moved(
    problem: _Problem, objective: Slopes, at: tuple[Index, Array, Array, Array], near: Mask
) -> tuple[Array, Mask]:
    """The centres after the first step of 1, 1/2, ... of the length whose end is not far up the other side."""
    k, c, slope, step = at
    result, accepted, todo, t = c.copy(), np.zeros(len(k), dtype=bool), np.arange(len(k)), 1.0
    falls = np.einsum("kd,kd->k", slope, step)
    for _ in range(TRIES):
        trial = c[todo] + t * step[todo]
        inside = problem.R.kernel.inside(trial)
        there = np.where(inside[:, None], trial, c[todo])
        along = np.einsum("kd,kd->k", objective(k[todo], there)[0], step[todo])
        fine = inside & np.isfinite(along) & (near[todo] | (along <= -0.5 * falls[todo]))
        result[todo[fine]], accepted[todo[fine]] = trial[fine], True
        todo, t = todo[~fine], t / 2
        if not len(todo):
            break
    return result, accepted & (result != c).any(axis=-1)
