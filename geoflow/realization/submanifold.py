"""M = F(K) as a geomstats manifold, and G = F^{-1} on it, extended by the nearest point, with closed derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from geomstats.geometry.manifold import Manifold
from scipy.spatial import cKDTree

from geoflow.fields import VectorField
from geoflow.parametrization import Parametrization
from geoflow.realization.embedding import Embedding

SAMPLES = 8000
NEWTON_STEPS = 60
HALVINGS = 20
CANDIDATES = 6


@dataclass(frozen=True)
class _Foot:
    """Nearest points: w, x - F(w), dF, hess F, and A = dF^T dF - <x - F, hess F>, at each of N points."""

    x: np.ndarray
    w: np.ndarray
    offset: np.ndarray
    J: np.ndarray
    S: np.ndarray
    A: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        return np.linalg.norm(self.offset, axis=1)


class NearestPoint:
    """argmin_w |F(w) - x|^2 by damped Newton, started from the last answer or from samples; NaN where w leaves K.

    Parameters
    ----------
    F : Embedding
    inside : callable
        Where F may be evaluated, shape=[N, d] to truth values; the closure of K with a little room.
    sample : callable
        n to points of K, shape=[n, d].
    """

    def __init__(self, F: Embedding, inside: Callable[[np.ndarray], np.ndarray], sample: Callable[[int], np.ndarray]):
        self._F, self._inside, self._sample = F, inside, sample
        self._last: _Foot | None = None
        self._tree: Any = None

    def __call__(self, x: np.ndarray) -> _Foot:
        """The nearest points of x, shape=[N, D]."""
        last = self._last
        if last is not None and last.x.shape == x.shape:
            if np.array_equal(last.x, x):
                return last
            step = x - last.x
            with np.errstate(all="ignore"):
                dw = _solve(last.A, np.einsum("nDi,nD->ni", last.J, step))
            w, length = last.w + dw, np.linalg.norm(step, axis=1)
            inside = self._inside(w)
            if np.isfinite(w).all() and not inside.any() and np.abs(dw).max() <= 0.1 * self._width:
                # a short step over the edge of K
                return _Foot(x.copy(), np.full_like(w, np.nan), np.full_like(x, np.nan), last.J, last.S, last.A)
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

    def _from_samples(self, x: np.ndarray) -> _Foot:
        if not np.isfinite(x).all():
            return self._newton(x, np.broadcast_to(self._sample(1), (len(x), self._F.dim)))
        starts = []
        guess = self._F.guess(x)
        if guess is not None:
            starts.append(np.where(self._inside(guess)[:, None], guess, self._nearest_samples(x, 1)[0]))
        best: _Foot | None = None
        for k in range(CANDIDATES):
            start = starts[0] if k == 0 and starts else self._nearest_samples(x, CANDIDATES)[k]
            foot = self._newton(x, start)
            if best is not None:
                nearer = np.nan_to_num(foot.distance, nan=np.inf) < np.nan_to_num(best.distance, nan=np.inf)
                foot = _Foot(*(np.where(nearer.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in _fields(foot, best)))
            best = foot
            size = 1e-9 * (1 + np.linalg.norm(x, axis=1))
            if (best.distance <= size).all():
                break
        assert best is not None
        return best

    def _nearest_samples(self, x: np.ndarray, k: int) -> np.ndarray:
        """Coordinates of the k samples nearest to each x, shape=[k, N, d]."""
        if self._tree is None:
            w = self._sample(SAMPLES)
            values = np.concatenate([self._F.value(w[i : i + 1000]) for i in range(0, len(w), 1000)])
            fine = np.isfinite(values).all(axis=1)
            self._tree = cKDTree(values[fine]), w[fine]
        tree, w = self._tree
        index = tree.query(x, k=k)[1].reshape(len(x), k)
        return np.moveaxis(w[index], 1, 0)

    def _newton(self, x: np.ndarray, w: np.ndarray) -> _Foot:
        w = np.array(w, dtype=float)
        value, J, S = self._F.jet(w)
        for _ in range(NEWTON_STEPS):
            r = x - value
            gram, A = _normal_matrix(J, S, r)
            g = np.einsum("nDi,nD->ni", J, r)
            step = _solve(np.where(_positive(A, gram)[:, None, None], A, gram), g)
            size = np.abs(step).max(axis=1) / (1e-300 + np.abs(w).max(axis=1) + 1e-3)
            moving = size > 1e-13
            if not moving.any():
                break
            w, value, J, S, moved = self._advance(x, w, step, moving, (value, J, S))
            if not moved:
                break
        r = x - value
        gram, A = _normal_matrix(J, S, r)
        # a point held back by the edge of K still wants to leave: what is nearest to x is not in F(K)
        with np.errstate(all="ignore"):
            wanted = w + _solve(np.where(_positive(A, gram)[:, None, None], A, gram), np.einsum("nDi,nD->ni", J, r))
        outside = ~self._inside(w) | ~np.isfinite(r).all(axis=1) | ~self._inside(wanted)
        w[outside] = np.nan
        return _Foot(x.copy(), w, r, J, S, A)

    def _advance(
        self, x: np.ndarray, w: np.ndarray, step: np.ndarray, moving: np.ndarray, jet: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]:
        """Halve each step until it stays inside and does not take x further away; False where nothing moves."""
        value, J, S = (a.copy() for a in jet)
        base = ((x - value) ** 2).sum(axis=1)
        t, todo, moved = np.ones(len(w)), moving & np.isfinite(step).all(axis=1), False
        for _ in range(HALVINGS):
            if not todo.any():
                break
            trial = w[todo] + t[todo, None] * step[todo]
            inside = self._inside(trial)
            index = np.flatnonzero(todo)[inside]
            if len(index):
                new = self._F.jet(trial[inside])
                distance = ((x[index] - new[0]) ** 2).sum(axis=1)
                better = distance <= base[index] * (1 + 1e-12) + 1e-30 * (1 + (x[index] ** 2).sum(axis=1))
                done = index[better]
                w = w.copy()
                w[done] = trial[inside][better]
                value[done], J[done], S[done] = (a[better] for a in new)
                todo[done] = False
                moved = moved or len(done) > 0
            t = np.where(todo, t / 2, t)
        return w, value, J, S, moved


def _fields(one: _Foot, other: _Foot) -> list[tuple[np.ndarray, np.ndarray]]:
    names = ("x", "w", "offset", "J", "S", "A")
    return [(getattr(one, n), getattr(other, n)) for n in names]


def _normal_matrix(J: np.ndarray, S: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gram = np.swapaxes(J, 1, 2) @ J
    return gram, gram - np.einsum("nD,nDij->nij", r, S)


def _positive(A: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Whether A is well positive definite: else x is beyond the reach, and Gauss-Newton is safer."""
    with np.errstate(all="ignore"):
        fine = np.isfinite(A).all(axis=(1, 2))
        low = np.linalg.eigvalsh(np.where(fine[:, None, None], A, 0.0))[:, 0]
        return fine & (low > 1e-2 * np.linalg.eigvalsh(np.where(fine[:, None, None], gram, 1.0))[:, 0])


def _solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A^{-1} b for vectors or matrices b; NaN where A is singular or not finite."""
    matrix = b if b.ndim == 3 else b[..., None]
    fine = np.isfinite(A).all(axis=(1, 2))
    safe = np.where(fine[:, None, None], A, np.eye(A.shape[-1]))
    try:
        out = np.linalg.solve(safe, matrix)
    except np.linalg.LinAlgError:
        out = np.linalg.pinv(safe) @ matrix
    out[~fine] = np.nan
    return out if b.ndim == 3 else out[..., 0]


class Submanifold(Manifold):
    """M = F(K) in R^D.

    Parameters
    ----------
    F : Embedding
    nearest : NearestPoint
    sample : callable
        n and a generator to points of K, shape=[n, d].
    """

    def __init__(self, F: Embedding, nearest: NearestPoint, sample: Callable[..., np.ndarray]):
        super().__init__(dim=F.dim, shape=(F.ambient_dim,), equip=False)
        self._F, self._nearest, self._sample = F, nearest, sample

    def distance_to(self, point: Any) -> np.ndarray:
        """Distance in R^D to the nearest point of M, shape=[...]; NaN where there is none in K."""
        point = np.asarray(point, dtype=float)
        foot = self._nearest(point.reshape(-1, self.shape[0]))
        return np.where(np.isnan(foot.w[:, 0]), np.nan, foot.distance).reshape(point.shape[:-1])

    def belongs(self, point: Any, atol: float = 1e-8) -> Any:
        """Whether each point is within `atol` (1 + |x|) of M; shape=[..., D] to shape=[...]."""
        point = np.asarray(point, dtype=float)
        if point.shape[-1:] != self.shape:
            return np.zeros(point.shape[:-1], dtype=bool)
        with np.errstate(invalid="ignore"):
            return self.distance_to(point) <= atol * (1 + np.linalg.norm(point, axis=-1))

    def projection(self, point: Any) -> np.ndarray:
        """Nearest point of M, shape=[..., D]; NaN where it is outside F(K)."""
        point = np.asarray(point, dtype=float)
        foot = self._nearest(point.reshape(-1, self.shape[0]))
        return np.where(np.isnan(foot.w[:, :1]), np.nan, foot.x - foot.offset).reshape(point.shape)

    def to_tangent(self, vector: Any, base_point: Any) -> np.ndarray:
        """Orthogonal projection of vectors to the tangent space at the nearest point of M; shape=[..., D]."""
        vector, base_point = np.broadcast_arrays(np.asarray(vector, float), np.asarray(base_point, float))
        D = self.shape[0]
        J = self._nearest(base_point.reshape(-1, D)).J
        v = vector.reshape(-1, D)
        coordinates = _solve(np.swapaxes(J, 1, 2) @ J, np.einsum("nDi,nD->ni", J, v))
        return np.einsum("nDi,ni->nD", J, coordinates).reshape(vector.shape)

    def is_tangent(self, vector: Any, base_point: Any, atol: float = 1e-8) -> Any:
        """Whether each vector is tangent to M at its base point."""
        return np.linalg.norm(self.to_tangent(vector, base_point) - np.asarray(vector), axis=-1) <= atol

    def random_point(self, n_samples: int = 1, bound: float = 1.0) -> np.ndarray:
        """F at random points of K, shape=[n_samples, D] or [D]."""
        value = self._F.value(self._sample(n_samples, np.random.default_rng(np.random.randint(2**31))))
        return value[0] if n_samples == 1 else value


class SubmanifoldParametrization(Parametrization):
    """G = F^{-1} on M = F(K), and off M the nearest point: G(x) = argmin_w |F(w) - x|^2.

    dG(x) = A^{-1} dF^T with A = dF^T dF - <x - F, hess F>; on M, dG = H^{-1} dF^T, whose rows commute exactly when H is
    Hessian.

    Parameters
    ----------
    space : Submanifold
    nearest : NearestPoint
    name : str
    metric_error : float
        Of F; brackets are derivatives of the metric, and cannot be smaller than its error allows.
    """

    space: Submanifold

    def __init__(self, space: Submanifold, nearest: NearestPoint, name: str, metric_error: float):
        self._nearest = nearest
        self.commuting_tol = max(1e-6, 30 * metric_error)
        super().__init__(self._coordinates, space, space.dim, name=name)

    def _coordinates(self, x: Any) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        return self._nearest(x.reshape(-1, self.dim)).w.reshape(*x.shape[:-1], self.codomain_dim)

    def differential(self, x: Any) -> np.ndarray:
        x = np.asarray(x, dtype=float)
        foot = self._nearest(x.reshape(-1, self.dim))
        rows = _solve(foot.A, np.swapaxes(foot.J, 1, 2))
        rows[np.isnan(foot.w[:, 0])] = np.nan
        return rows.reshape(*x.shape[:-1], self.codomain_dim, self.dim)

    def frame(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        rows = self.differential(x)
        return rows, np.einsum("...iD,...jD->...ij", rows, rows)

    def derivative_of_cometric(self, x: Any, directions: Any) -> np.ndarray:
        half = np.einsum("...kaD,...bD->...kab", self.derivative_of_differential(x, directions), self.differential(x))
        return half + np.swapaxes(half, -1, -2)

    def derivative_of_differential(self, x: Any, directions: Any) -> np.ndarray:
        """D(dG)(x).v for directions v of shape=[..., m, D], to shape=[..., m, d, D].

        D(dG).v = A^{-1} (dJ^T - dA dG) with dw = dG v, dJ = hess F dw and dA = d(J^T J) - <v - J dw, hess F>; the term
        <x - F, d^3 F dw> of dA, which vanishes on M, is left out.
        """
        x, directions = np.asarray(x, dtype=float), np.asarray(directions, dtype=float)
        d, D = self.codomain_dim, self.dim
        foot = self._nearest(x.reshape(-1, D))
        v = directions.reshape(len(foot.x), -1, D)
        rows = _solve(foot.A, np.swapaxes(foot.J, 1, 2))
        dw = np.einsum("niD,nmD->nmi", rows, v)
        dJ = np.einsum("nDij,nmj->nmDi", foot.S, dw)
        half = np.einsum("nmDi,nDj->nmij", dJ, foot.J)
        normal = v - np.einsum("nDi,nmi->nmD", foot.J, dw)
        dA = half + np.swapaxes(half, -1, -2) - np.einsum("nmD,nDij->nmij", normal, foot.S)
        inner = np.swapaxes(dJ, -1, -2) - np.einsum("nmij,njD->nmiD", dA, rows)
        n, m = v.shape[:2]
        flat = np.moveaxis(inner, 1, 2).reshape(n, d, m * D)
        out = np.moveaxis(_solve(foot.A, flat).reshape(n, d, m, D), 2, 1)
        return out.reshape(*directions.shape[:-1], d, D)

    @property
    def gradient_fields(self) -> tuple[VectorField, ...]:
        """The fields grad G_1, ..., grad G_d, with closed derivatives."""

        def field(i: int) -> VectorField:
            def derivative(x: Any, v: Any) -> np.ndarray:
                x, v = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(v, dtype=float))
                return self.derivative_of_differential(x, v[..., None, :])[..., 0, i, :]

            name = f"grad {self.name}_{i + 1}"
            return VectorField(lambda x: self.differential(x)[..., i, :], name, derivative, self.space)

        return tuple(field(i) for i in range(self.codomain_dim))

    def _probe_metric(self, x: np.ndarray, h: float = 1e-5) -> None:
        """Nothing to probe: the derivatives are closed forms."""
