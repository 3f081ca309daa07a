"""The nearest point of M = F(K): argmin over w of |F(w) - x|, for a batch, by damped Newton."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from geoflow._typing import Array, Index, Mask
from geoflow.numerics.batches import halve
from geoflow.realization.embedding import Embedding, Jet

SAMPLES = 8000
NEWTON_STEPS = 60
HALVINGS = 20
CANDIDATES = 6


@dataclass(frozen=True)
class Foot:
    """Nearest points: w, x - F(w), dF, hess F, and A = dF^T dF - <x - F, hess F>, at each of N points."""

    x: Array
    w: Array
    offset: Array
    J: Array
    S: Array
    A: Array

    @property
    def distance(self) -> Array:
        return np.linalg.norm(self.offset, axis=1)

    def nearer(self, other: Foot) -> Foot:
        """The nearer of two at each point."""
        mine = np.nan_to_num(self.distance, nan=np.inf) < np.nan_to_num(other.distance, nan=np.inf)
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Foot(*(np.where(mine.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


class NearestPoint:
    """argmin_w |F(w) - x|^2 by damped Newton, started from the last answer or from samples; NaN where w leaves K.

    F may be evaluated where `inside` says, on the closure of K with a little room; `sample` gives n points of K.
    """

    def __init__(self, F: Embedding, inside: Callable[[Array], Mask], sample: Callable[[int], Array]):
        self._F, self._inside, self._sample = F, inside, sample
        self._last: Foot | None = None
        self._tree: tuple[cKDTree, Array] | None = None

    def __call__(self, x: Array) -> Foot:
        """The nearest points of x, shape=[N, D]."""
        last = self._last
        if last is not None and last.x.shape == x.shape:
            if np.array_equal(last.x, x):
                return last
            step = x - last.x
            with np.errstate(all="ignore"):
                dw = solve_or_nan(last.A, np.einsum("nDi,nD->ni", last.J, step))
            w, length = last.w + dw, np.linalg.norm(step, axis=1)
            inside = self._inside(w)
            if np.isfinite(w).all() and not inside.any() and np.abs(dw).max() <= 0.1 * self._width:
                # a short step over the edge of K
                return Foot(x.copy(), np.full_like(w, np.nan), np.full_like(x, np.nan), last.J, last.S, last.A)
            if np.isfinite(w).all() and inside.all():
                foot = self._newton(x, w)
                # a long jump may end at another sheet of M: the foot is then far from x, or from where it was expected
                near = foot.distance <= last.distance + 0.02 * length + 1e-12
                expected = np.abs(foot.w - w).max(1) <= 0.3 * np.abs(dw).max(1) + 1e-9
                if (near & expected).all():
                    self._last = foot
                    return foot
        foot = self._from_samples(x)
        if np.isfinite(foot.w).all():
            self._last = foot
        return foot

    @cached_property
    def _width(self) -> float:
        """The size of K."""
        return float(np.ptp(self._sample(200), axis=0).max())

    def _from_samples(self, x: Array) -> Foot:
        if not np.isfinite(x).all():
            return self._newton(x, np.broadcast_to(self._sample(1), (len(x), self._F.dim)))
        guess, best = self._F.guess(x), None
        for k in range(CANDIDATES):
            if k == 0 and guess is not None:
                start = np.where(self._inside(guess)[:, None], guess, self._nearest_samples(x, 1)[0])
            else:
                start = self._nearest_samples(x, CANDIDATES)[k]
            foot = self._newton(x, start)
            best = foot if best is None else foot.nearer(best)
            if (best.distance <= 1e-9 * (1 + np.linalg.norm(x, axis=1))).all():
                break
        assert best is not None
        return best

    def _nearest_samples(self, x: Array, k: int) -> Array:
        """Coordinates of the k samples nearest to each x, shape=[k, N, d]."""
        if self._tree is None:
            w = self._sample(SAMPLES)
            values = np.concatenate([self._F.value(w[i : i + 1000]) for i in range(0, len(w), 1000)])
            fine = np.isfinite(values).all(axis=1)
            self._tree = cKDTree(values[fine]), w[fine]
        tree, w = self._tree
        index = tree.query(x, k=k)[1].reshape(len(x), k)
        return np.moveaxis(w[index], 1, 0)

    def _newton(self, x: Array, w: Array) -> Foot:
        w = np.array(w, dtype=float)
        value, J, S = self._F.jet(w)
        for _ in range(NEWTON_STEPS):
            step = _newton_step(J, S, x - value)[0]
            size = np.abs(step).max(axis=1) / (1e-300 + np.abs(w).max(axis=1) + 1e-3)
            moving = size > 1e-13
            if not moving.any():
                break
            w, value, J, S, moved = self._advance(x, w, step, moving, (value, J, S))
            if not moved:
                break
        r = x - value
        # a point held back by the edge of K still wants to leave: what is nearest to x is not in F(K)
        with np.errstate(all="ignore"):
            step, A = _newton_step(J, S, r)
            wanted = w + step
        outside = ~self._inside(w) | ~np.isfinite(r).all(axis=1) | ~self._inside(wanted)
        w[outside] = np.nan
        return Foot(x.copy(), w, r, J, S, A)

    def _advance(
        self, x: Array, w: Array, step: Array, moving: Array, jet: Jet
    ) -> tuple[Array, Array, Array, Array, bool]:
        """Halve each step until it stays inside and does not take x further away; False where nothing moves."""
        value, J, S = (a.copy() for a in jet)
        base = ((x - value) ** 2).sum(axis=1)
        start, w = w, w.copy()

        def accept(todo: Index, t: float) -> Mask:
            trial = start[todo] + t * step[todo]
            taken: Mask = np.asarray(self._inside(trial)).copy()
            index = todo[taken]
            if len(index):
                new = self._F.jet(trial[taken])
                distance = ((x[index] - new[0]) ** 2).sum(axis=1)
                better = distance <= base[index] * (1 + 1e-12) + 1e-30 * (1 + (x[index] ** 2).sum(axis=1))
                w[index[better]] = trial[taken][better]
                value[index[better]], J[index[better]], S[index[better]] = (a[better] for a in new)
                taken[taken] = better
            return taken

        todo = np.flatnonzero(np.logical_and(moving, np.isfinite(step).all(axis=1)))
        stuck = halve(accept, todo, tries=HALVINGS)
        return w, value, J, S, len(stuck) < len(todo)


def _newton_step(J: Array, S: Array, r: Array) -> tuple[Array, Array]:
    """A^{-1} J^T r with A = J^T J - <r, S>, and A.

    Where A is not well positive definite, x is beyond the reach: Gauss-Newton, with J^T J, is safer.
    """
    gram = np.swapaxes(J, 1, 2) @ J
    A = gram - np.einsum("nD,nDij->nij", r, S)
    with np.errstate(all="ignore"):
        fine = np.isfinite(A).all(axis=(1, 2))
        low = np.linalg.eigvalsh(np.where(fine[:, None, None], A, 0.0))[:, 0]
        good = fine & (low > 1e-2 * np.linalg.eigvalsh(np.where(fine[:, None, None], gram, 1.0))[:, 0])
    return solve_or_nan(np.where(good[:, None, None], A, gram), np.einsum("nDi,nD->ni", J, r)), A


def solve_or_nan(A: Array, b: Array) -> Array:
    """A^{-1} b for vectors or matrices b, the pseudoinverse if one A is singular; NaN where A is not finite."""
    matrix = b if b.ndim == 3 else b[..., None]
    fine = np.asarray(np.isfinite(A).all(axis=(1, 2)))
    safe = np.where(fine[:, None, None], A, np.eye(A.shape[-1]))
    try:
        out = np.linalg.solve(safe, matrix)
    except np.linalg.LinAlgError:
        out = np.linalg.pinv(safe) @ matrix
    out[~fine] = np.nan
    return out if b.ndim == 3 else out[..., 0]
