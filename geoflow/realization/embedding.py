"""Smooth maps F : R^d -> R^D with their first and second derivatives, and the ways to compose them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, Map
from geoflow.numerics import autodiff
from geoflow.potentials.categorical import SoftMaximum, softmax_of
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import Profile

Jet = tuple[Array, Array, Array]
#: a change of coordinates with its 2-jet
Chart = Callable[[Array], Jet]


class Embedding(Portable):
    """A map F : R^d -> R^D that knows its 2-jet; a subclass sets `dim`, `ambient_dim` and gives `jet`."""

    dim: int
    ambient_dim: int

    def jet(self, w: Array) -> Jet:
        """F, dF and hess F at w of shape=[N, d]: shape=[N, D], [N, D, d], [N, D, d, d]."""
        raise NotImplementedError

    def value(self, w: Array) -> Array:
        """F(w), shape=[N, D]."""
        return self.jet(w)[0]

    def jacobian(self, w: Array) -> Array:
        """dF(w), shape=[N, D, d]."""
        return self.jet(w)[1]

    def first_order(self, w: Array) -> tuple[Array, Array]:
        """F and dF: without second derivatives where a subclass has them apart."""
        if type(self).jacobian is Embedding.jacobian:
            return self.jet(w)[:2]
        return self.value(w), self.jacobian(w)

    def guess(self, x: Array) -> Array | None:
        """A w with F(w) near x where the map has one at hand, shape=[N, D] to [N, d]."""
        return None


class RidgeMap(Embedding):
    """F_k(w) = phi_k(<a_k, w> + b_k) with phi_k = int sqrt(r_k'')."""

    def __init__(self, directions: Array, offsets: Array, profiles: Sequence[Profile]):
        self.directions, self.offsets, self.profiles = directions, offsets, tuple(profiles)
        self.ambient_dim, self.dim = directions.shape
        self._groups = [(p, [q is p for q in self.profiles]) for p in dict.fromkeys(self.profiles)]

    def jet(self, w: Array) -> Jet:
        value, slope, bend = self._along(w, 3)
        a = self.directions
        return value, slope[:, :, None] * a, bend[:, :, None, None] * (a[:, :, None] * a[:, None, :])

    def value(self, w: Array) -> Array:
        return self._along(w, 1)[0]

    def jacobian(self, w: Array) -> Array:
        return self._along(w, 2)[1][:, :, None] * self.directions

    def _along(self, w: Array, orders: int) -> tuple[Array, Array, Array]:
        """phi, and for more orders phi' and phi'', of every ridge."""
        s = w @ self.directions.T + self.offsets
        value, slope, bend = np.empty_like(s), np.empty_like(s), np.empty_like(s)
        with np.errstate(all="ignore"):
            for profile, columns in self._groups:
                t = s[:, columns]
                low, high = profile.domain
                t = np.where((t > low) & (t < high), t, np.nan)
                fine = np.isfinite(t)
                root, integral, turn = np.full((3, *t.shape), np.nan)
                if orders != 2:
                    integral[fine] = profile.root_integral(t[fine])
                if orders == 3:
                    root[fine], turn[fine] = profile.root_slopes(t[fine])
                else:
                    root[fine] = profile.root_curvature(t[fine])
                value[:, columns], slope[:, columns], bend[:, columns] = integral, root, turn
        return value, slope, bend


class SphereMap(Embedding):
    """F_k(w) = 2 sqrt(p_k) for p_k proportional to exp(<a_k, w> + b_k): a part of the sphere of radius 2."""

    def __init__(self, structure: SoftMaximum):
        self.structure = structure
        self.ambient_dim, self.dim = structure.directions.shape

    def jet(self, w: Array) -> Jet:
        p, c = self._centred(w)
        root, covariance = np.sqrt(p)[:, :, None], self.structure.derivative(2, w)
        second = root[..., None] * (c[:, :, :, None] * c[:, :, None, :] / 2 - covariance[:, None])
        return 2 * root[:, :, 0], root * c, second

    def value(self, w: Array) -> Array:
        return 2 * np.sqrt(softmax_of(self.structure.logits(w)))

    def jacobian(self, w: Array) -> Array:
        p, c = self._centred(w)
        return np.sqrt(p)[:, :, None] * c

    def _centred(self, w: Array) -> tuple[Array, Array]:
        """p, and the a_k less their mean."""
        p, a = softmax_of(self.structure.logits(w)), self.structure.directions
        return p, a - (p @ a)[:, None, :]


class Stack(Embedding):
    """w to (F_1(w), F_2(w), ...)."""

    def __init__(self, parts: Sequence[Embedding]):
        self.parts, self.dim = tuple(parts), parts[0].dim
        self.ambient_dim = sum(p.ambient_dim for p in parts)

    def jet(self, w: Array) -> Jet:
        jets = [p.jet(w) for p in self.parts]
        value, first, second = (np.concatenate([jet[k] for jet in jets], axis=1) for k in range(3))
        return value, first, second

    def value(self, w: Array) -> Array:
        return np.concatenate([p.value(w) for p in self.parts], axis=1)

    def jacobian(self, w: Array) -> Array:
        return np.concatenate([p.jacobian(w) for p in self.parts], axis=1)


class Multiple(Embedding):
    """w to c F(w)."""

    def __init__(self, factor: float, part: Embedding):
        self.factor, self.part, self.dim, self.ambient_dim = factor, part, part.dim, part.ambient_dim

    def jet(self, w: Array) -> Jet:
        value, first, second = self.part.jet(w)
        return self.factor * value, self.factor * first, self.factor * second

    def value(self, w: Array) -> Array:
        return self.factor * self.part.value(w)

    def jacobian(self, w: Array) -> Array:
        return self.factor * self.part.jacobian(w)


class Composite(Embedding):
    """w to F(c(w)) for a change of coordinates c with a 2-jet of its own."""

    def __init__(self, outer: Embedding, chart: Chart, dim: int):
        self.outer, self.chart, self.dim, self.ambient_dim = outer, chart, dim, outer.ambient_dim

    def jet(self, w: Array) -> Jet:
        c, dc, ddc = self.chart(w)
        value, first, second = self.outer.jet(c)
        bend = np.einsum("nDab,nai,nbj->nDij", second, dc, dc, optimize=True)
        return value, first @ dc, bend + np.einsum("nDa,naij->nDij", first, ddc)


class AffineChart(Portable):
    """w to A w + b."""

    def __init__(self, A: Array, b: Array):
        self.A, self.b = A, b

    def __call__(self, w: Array) -> Jet:
        n, (m, d) = len(w), self.A.shape
        return w @ self.A.T + self.b, np.broadcast_to(self.A, (n, m, d)), np.zeros((n, m, d, d))


def block_chart(block: slice, d: int) -> AffineChart:
    """w to the coordinates of a block."""
    return AffineChart(np.eye(d)[block], np.zeros(block.stop - block.start))


class DualChart(Portable):
    """mu to w = grad Q(mu), Q the conjugate of R, with hess Q and its derivative; NaN off the range of grad R.

    Where Q has no closed form, Newton's method starts from the last answer, moved along its tangent.
    """

    def __init__(self, R: LegendreFunction):
        self.R = R
        self._last: list[Array] = []

    def __call__(self, mu: Array) -> Jet:
        R = self.R
        if R.has_closed_conjugate:
            Q = R.conjugate
            return Q.kernel.derivative(1, mu), Q.kernel.derivative(2, mu), Q.kernel.derivative(3, mu)
        w = self._solve(mu)
        fine = np.isfinite(w).all(axis=1)
        C, T = (np.full((len(mu), *(R.dim,) * k), np.nan) for k in (2, 3))
        if fine.any():
            C[fine] = np.linalg.inv(R.kernel.derivative(2, w[fine]))
            third = R.kernel.derivative(3, w[fine])
            T[fine] = -np.einsum("nai,nbj,nck,nijk->nabc", C[fine], C[fine], C[fine], third, optimize=True)
        if fine.all():
            self._last[:] = [mu.copy(), w, C]
        return w, C, T

    def _solve(self, mu: Array) -> Array:
        R, last, start = self.R, self._last, None
        if last and last[0].shape == mu.shape:
            trial = last[1] + np.einsum("nij,nj->ni", last[2], mu - last[0])
            start = trial if np.all(R.domain.belongs(trial)) else None
        found = R.newton.solve(mu, start, sure=False)
        if start is not None and not found.converged.all():
            found = R.newton.solve(mu, sure=False)
        return np.where(found.converged[:, None], found.w, np.nan)


class SmoothChart(Portable):
    """A change of coordinates in autograd.numpy; its two derivatives in closed form where they are given."""

    def __init__(self, function: Map, derivatives: Callable[[Array], tuple[Array, Array]] | None = None):
        self.function, self._derivatives = function, derivatives
        self._first, self._second = autodiff.jacobian(function), autodiff.hessian(function)

    def __call__(self, w: Array) -> Jet:
        with np.errstate(all="ignore"):
            slope, bend = (
                (self._first(w), self._second(w)) if self._derivatives is None else self._derivatives(w)
            )  # fmt: skip
            value, slope, bend = (np.asarray(part, dtype=float) for part in (self.function(w), slope, bend))
        return value, slope, bend
