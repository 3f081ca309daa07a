"""Conjugates: Newton's method on grad R(w) = mu for a batch, and Q = R* as a formula that solves for w."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from geoflow._typing import Array, ArrayLike, Index, Map, Mask
from geoflow.numerics import autodiff
from geoflow.numerics.batches import halve, solved_or_nan
from geoflow.potentials.convexity import not_convex
from geoflow.potentials.kernel import LegendreKernel

NEWTON_STEPS = 400
RESIDUAL_TOL = 1e-9


class Named(Protocol):
    """What Newton's method asks of R."""

    kernel: LegendreKernel
    name: str


class Newton:
    """Minimise R(w) - <mu, w> for all mu at once, by damped Newton steps inside the domain."""

    def __init__(self, R: Named):
        self._R, self._kernel, self._domain = R, R.kernel, R.kernel.domain

    def solve(self, mu: Array, start: ArrayLike | None = None) -> tuple[Array, Array]:
        """w with grad R(w) = mu, shape=[..., d], and the relative residual of that, shape=[...].

        Raises `NotLegendreError` where the Hessian is not positive definite on the way.
        """
        shape, d = mu.shape, mu.shape[-1]
        start = self._start() if start is None else start
        w = np.array(np.broadcast_to(np.asarray(start, dtype=float), shape)).reshape(-1, d)
        mu = mu.reshape(-1, d)
        active, previous = np.arange(len(mu)), np.full(len(mu), np.inf)
        for iteration in range(NEWTON_STEPS):
            step, slope, usable = self._step(w[active], mu[active], first=iteration == 0)
            active, step, slope = active[usable], step[usable], slope[usable]
            moved, accepted = self._line_search(w[active], step, slope, mu[active])
            with np.errstate(all="ignore"):  # an iterate may run away where there is no solution
                size = np.abs(step).max(-1) / (1e-300 + np.abs(w[active]).max(-1) + np.abs(step).max(-1) * 1e-3)
            w[active] = moved
            stalled = (size < 1e-8) & (size > 0.5 * previous[active])
            previous[active] = size
            active = active[accepted & ~stalled & (size > 4e-16) & (np.abs(moved).max(-1) < 1e300)]
            if len(active) == 0:
                break
        with np.errstate(all="ignore"):
            residual = np.abs(self._kernel.derivative(1, w) - mu).max(-1) / (1 + np.abs(mu).max(-1))
        return w.reshape(shape), np.where(np.isfinite(residual), residual, np.inf).reshape(shape[:-1])

    def _start(self) -> Array:
        """The interior point, or a generic point beside it where the Hessian degenerates there, as that of w^4 at 0."""
        centre = self._domain.interior_point()
        H = self._kernel.derivative(2, centre)
        if not np.isfinite(H).all() or abs(np.linalg.eigvalsh(H)[0]) <= 1e-12 * np.abs(H).max():
            return self._domain.random_point(rng=0)
        return centre

    def _step(self, w: Array, mu: Array, first: bool) -> tuple[Array, Array, Mask]:
        """Newton direction, its slope -decrement^2, and where it is usable, at points inside the domain.

        An iterate that runs away until its Hessian over- or underflows is not usable; a Hessian that is not positive
        definite anywhere else is the potential's fault.
        """
        with np.errstate(all="ignore"):
            g, H = self._kernel.derivative(1, w) - mu, self._kernel.derivative(2, w)
            # scale to unit diagonal: coordinates of a potential may differ by many orders of magnitude
            s = 1 / np.sqrt(np.abs(np.einsum("nii->ni", H)))
            scaled = H * s[:, :, None] * s[:, None, :]
            finite = np.isfinite(scaled).all((1, 2)) & np.isfinite(g).all(1)
            scaled = np.where(finite[:, None, None], scaled, np.eye(w.shape[1]))
            eigenvalues, vectors = np.linalg.eigh(scaled)
            usable = finite & (eigenvalues[:, 0] > 0)
            indefinite = finite & (eigenvalues[:, 0] < -1e-10)
            if indefinite.any():
                # on the way to infinity, for a mu outside the range, the Hessian is rounding and its sign means nothing
                usual = np.abs(self._kernel.derivative(2, self._start())).max()
                noise = 1e-12 * usual * (1 + np.abs(w).max(axis=1))
                indefinite &= np.linalg.eigvalsh(np.where(finite[:, None, None], H, 0.0))[:, 0] < -noise
            indefinite |= first & ~usable
        if indefinite.any():
            raise not_convex(self._R.name, w[int(np.argmax(indefinite))])
        with np.errstate(all="ignore"):
            along = np.einsum("nik,ni->nk", vectors, s * g) / np.maximum(eigenvalues, 1e-16)
            step = -s * np.einsum("nik,nk->ni", vectors, along)
            return step, np.einsum("ni,ni->n", g, step), usable

    def _line_search(self, w: Array, step: Array, slope: Array, mu: Array) -> tuple[Array, Mask]:
        """Halve until inside the domain and Armijo's condition holds; near the optimum rounding counts as equality."""

        def merit(v: Array, at: Array) -> Array:
            return self._kernel.derivative(0, v) - np.einsum("ni,ni->n", at, v)

        base = merit(w, mu)
        slack = 1e-14 * (1 + np.abs(base) + np.abs(np.einsum("ni,ni->n", mu, w)))
        result, accepted = w.copy(), np.ones(len(w), dtype=bool)

        def accept(index: Index, t: float) -> Mask:
            trial = w[index] + t * step[index]
            inside = self._kernel.inside(trial)
            value = merit(np.where(inside[:, None], trial, w[index]), mu[index])
            fine = inside & (value <= base[index] + 1e-4 * t * slope[index] + slack[index])
            result[index[fine]] = trial[fine]
            return fine

        accepted[halve(accept, np.arange(len(w)), tries=60)] = False
        return result, accepted


class ConjugateFormula:
    """Q(mu) = <w, mu> - R(w) at the w with grad R(w) = mu, and its derivatives; NaN where there is no such w."""

    def __init__(self, kernel: LegendreKernel, solve: Map):
        self._kernel, self._solve = kernel, solve

    def derivative(self, order: int, mu: Array) -> Array:
        mu = np.asarray(mu, dtype=float)
        w = solved_or_nan(self._solve, mu)
        if order == 1:
            return w
        if order == 0:
            return np.einsum("...i,...i->...", w, mu) - self._kernel.value(w)
        C = self._kernel.cometric(w)
        if order == 2:
            return C
        return -np.einsum("...ai,...bj,...ck,...ijk->...abc", C, C, C, self._kernel.third_derivative(w))


def range_test(kernel: LegendreKernel, function: Map) -> Callable[[ArrayLike], Mask]:
    """Whether mu is in the range of grad R: where grad R gives back the mu that its closed conjugate came from."""
    gradient = autodiff.jacobian(function)

    def inside(mu: ArrayLike) -> Mask:
        mu = np.asarray(mu, dtype=float)
        with np.errstate(all="ignore"):
            w = np.asarray(gradient(mu), dtype=float)
        ok = kernel.inside(w)
        back = kernel.derivative(1, np.where(ok[..., None], w, kernel.domain.interior_point()))
        return ok & (np.abs(back - mu).max(-1) <= 1e-6 * (1 + np.abs(mu).max(-1)))

    return inside
