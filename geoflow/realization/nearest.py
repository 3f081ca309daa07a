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
ROUNDING = 1e-6  # a relative step below this that no longer shrinks is rounding


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

    def take_nearer(self, index: Index, other: Foot) -> None:
        """The points of an index go to those of another Foot where these are nearer."""
        nearer = np.nan_to_num(other.distance, nan=np.inf) < np.nan_to_num(self.distance[index], nan=np.inf)
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine[index[nearer]] = theirs[nearer]


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
    def extent(self) -> float:
        """The largest |F| at a few points of K."""
        return float(np.linalg.norm(self._F.value(self._sample(32)), axis=-1).max())

    @cached_property
    def _width(self) -> float:
        """The size of K."""
        return float(np.ptp(self._sample(200), axis=0).max())

    def _from_samples(self, x: Array) -> Foot:
        if not np.isfinite(x).all():
            return self._newton(x, np.broadcast_to(self._sample(1), (len(x), self._F.dim)))
        starts, guess = self._nearest_samples(x), self._F.guess(x)
        if guess is not None:
            starts[0] = np.where(self._inside(guess)[:, None], guess, starts[0])
        foot, size = self._newton(x, starts[0]), 1 + np.linalg.norm(x, axis=1)
        for start in starts[1:]:
            todo = np.flatnonzero(~(foot.distance <= 1e-9 * size))
            if len(todo) == 0:
                break
            foot.take_nearer(todo, self._newton(x[todo], start[todo]))
        return foot

    def _nearest_samples(self, x: Array) -> Array:
        """Coordinates of the samples nearest to each x, shape=[CANDIDATES, N, d]."""
        if self._tree is None:
            w = self._sample(SAMPLES)
            values = np.concatenate([self._F.value(w[i : i + 1000]) for i in range(0, len(w), 1000)])
            fine = np.isfinite(values).all(axis=1)
            self._tree = cKDTree(values[fine]), w[fine]
        tree, w = self._tree
        index = tree.query(x, k=CANDIDATES)[1].reshape(len(x), CANDIDATES)
        return np.moveaxis(w[index], 1, 0)

    def _newton(self, x: Array, w: Array) -> Foot:
        w = np.array(w, dtype=float)
        value, J, S = (np.array(part) for part in self._F.jet(w))
        moving, before = np.ones(len(w), dtype=bool), np.full(len(w), np.inf)
        for _ in range(NEWTON_STEPS):
            step, A = _newton_step(J, S, x - value)
            size = _relative(step, w)
            moving &= (size > 1e-13) & ~((size < ROUNDING) & (size > 0.9 * before))
            if not moving.any():
                break
            before = size
            moving[self._advance(x, w, step, np.flatnonzero(moving), (value, J, S))] = False
        else:
            step, A = _newton_step(J, S, x - value)
        r = x - value
        # a point held back by the edge of K still wants to leave, by more than rounding: what is nearest is not in F(K)
        with np.errstate(all="ignore"):
            leaving = ~self._inside(w + step) & ~(_relative(step, w) <= 1e-12)
        outside = ~self._inside(w) | ~np.isfinite(r).all(axis=1) | leaving
        w[outside] = np.nan
        return Foot(x.copy(), w, r, J, S, A)

    def _advance(self, x: Array, w: Array, step: Array, moving: Index, jet: Jet) -> Index:
        """Move w and its jet, in place, by steps halved until they stay inside and take x no further away.

        Returns those of `moving` that no step is left for.
        """
        base, start = ((x - jet[0]) ** 2).sum(axis=1), w.copy()

        def accept(todo: Index, t: float) -> Mask:
            trial = start[todo] + t * step[todo]
            taken: Mask = np.asarray(self._inside(trial)).copy()
            index = todo[taken]
            if len(index):
                new = self._F.jet(trial[taken])
                distance = ((x[index] - new[0]) ** 2).sum(axis=1)
                better = distance <= base[index] * (1 + 1e-12) + 1e-30 * (1 + (x[index] ** 2).sum(axis=1))
                for old, part in zip((w, *jet), (trial[taken], *new), strict=True):
                    old[index[better]] = part[better]
                taken[taken] = better
            return taken

        finite = np.isfinite(step[moving]).all(axis=1)
        stuck = halve(accept, moving[finite], tries=HALVINGS)
        return np.concatenate([stuck, moving[~finite]])


def _relative(step: Array, w: Array) -> Array:
    """The size of steps for that of w, shape=[N]."""
    return np.asarray(np.abs(step).max(axis=1) / (np.abs(w).max(axis=1) + 1e-3))


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
