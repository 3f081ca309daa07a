"""Spectral Gauss-Newton: an isometric embedding in few ambient dimensions, by Chebyshev coefficients.

F = sum_k A_k T_k(w), as many k as there are of total degree at most p. The whitened residual
L^{-1} dF^T dF L^{-T} - I, H = L L^T, is driven to zero at Chebyshev-distributed Sobol points by Levenberg-Marquardt,
degree after degree. A degree is left as soon as the error at fresh points stops falling: what is fitted after that is
the truncation.

Flops of a step at P points, m = C(d+p, d): (d D(D+1)/2 + D^2) P m^2 for the normal matrix, (D m)^3 / 3 for its Cholesky
factor.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import comb
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.fft import dctn
from scipy.stats import qmc

from geoflow._typing import Array, Index, Map
from geoflow.errors import ArgumentError
from geoflow.numerics.chebyshev import BoxMap, ProductBasis, pairs, total_degree
from geoflow.realization.embedding import Embedding, Jet
from geoflow.realization.methods import NumericalMethod, Solved, Stage, Task, register

OVERSAMPLING = {1: 2.0, 2: 2.0, 3: 1.7, 4: 1.6}
DEGREES = {1: tuple(range(6, 63, 8)), 2: tuple(range(6, 49, 6)), 3: (4, 7, 10, 12, 14), 4: (3, 5, 7, 8, 9, 10)}
FIRST_DAMPING, DAMPING = 1e-3, {1: 1e-9, 2: 1e-9, 3: 1e-9, 4: 3e-8}  # at the first degree, and at the start of others
DECAY = 0.15  # coefficient weights exp(-DECAY |k|): high degrees move last
#: points an axis at which a metric in two variables is looked at for the products it is made of, and its rounding
GRID, HIDDEN = 64, 1e-15
STEPS, LEAST_DEGREE = 40, 2
TRIES = 12
FLOOR = 2e-15
FALL = 0.7  # a step that leaves more than this of the error at fresh points is a lost one
#: degree, and products of degrees before the total one is bounded, up to which a saved map is loaded
LARGEST_DEGREE, LARGEST_GRID = 1000, 2**20
#: sizes of the quadratic terms of a start, beside what the metric allows; and the part of the error that a degree more
#: leaves where another is tried
BENDS, STUCK = (0.3, 0.2, 0.45), 0.82
DEARER = 4.0  # a second lost step is waited for where one at the next degree costs more than this, or there is none


class SpectralMap(Embedding):
    """F(w) = sum_k A_k T_k(w): coefficients A of shape=[D, m] in a basis of m products on a box."""

    def __init__(self, basis: ProductBasis, coefficients: Array):
        self.basis, self.coefficients = basis, coefficients
        self.dim, self.ambient_dim = basis.dim, len(coefficients)

    def jet(self, w: Array) -> Jet:
        return self.basis.jet(w, self.coefficients)

    def value(self, w: Array) -> Array:
        return self.basis.value(w, self.coefficients)

    def jacobian(self, w: Array) -> Array:
        return self.basis.gradient(w, self.coefficients)


def solve(task: Task) -> Solved:
    """Continuation in degree until the error at fresh points meets tol; the best map found, and every stage.

    Degrees that hardly lower the error are where the map is bent wrongly: what gets there from another start, which
    costs less than the next degree, may take its place.
    """
    climb = _Climb(task)
    best: _Found | None = None
    last, others, misses = None, list(BENDS[1:]), 0
    for k in range(len(climb.degrees)):
        found = climb.at(k, last, BENDS[0])
        while last and others and found.error > max(task.tol, STUCK ** (found.degree - last.degree) * last.error):
            bend = others.pop(0)
            other = climb.at(0, None, bend)
            for j in range(1, k + 1):
                other = climb.at(j, other, bend)
            found = min(found, other, key=lambda one: one.error)
        last = found
        misses = 0 if best is None or found.error < 0.7 * best.error else misses + 1
        if best is None or found.error < best.error:
            best = found
        if found.error <= task.tol or misses >= 3:
            break
    assert best is not None
    return Solved(best.map, climb.stages, f"degree {best.degree} in R^{climb.D}")


class _Found(NamedTuple):
    """A degree, its map, and the error of that at fresh points."""

    degree: int
    map: SpectralMap
    error: float


class _Climb:
    """The degrees of a solution and their bases; from the map of one to that of the next. `stages` keeps all."""

    def __init__(self, task: Task):
        self._task, self._began, d = task, time.perf_counter(), task.dim
        self.degrees, self.stages = degrees_up_to(d, task.budget.max_degree), list[Stage]()
        if self.degrees[-1] < LEAST_DEGREE:
            wanted = f"at least {LEAST_DEGREE}, the degree of a start"
            raise ArgumentError("max_degree", f"{self.degrees[-1]}", wanted, "raise it, or leave it out")
        self.D = task.budget.ambient_dim or d * (d + 3) // 2
        self._order = products(task.metric, BoxMap(task.lower, task.upper), self.degrees[-1], self.degrees[0])

    def at(self, k: int, last: _Found | None, bend: float) -> _Found:
        """The map of the k-th degree from that of the last, or from a start."""
        task, p, d = self._task, self.degrees[k], self._task.dim
        basis = ProductBasis(task.lower, task.upper, self._order[: comb(d + p, d)])
        w = _points(basis, int(OVERSAMPLING[d] * len(basis)) + 8, seed=p)
        points = Collocation(task.metric(w), basis, w)
        if last is None:
            A, damping = _start(task.metric, basis, self.D, bend), FIRST_DAMPING
        else:
            old = last.map.coefficients
            A, damping = np.pad(old, ((0, 0), (0, len(basis) - old.shape[1]))), DAMPING[d]
        ratio = comb(d + self.degrees[min(k + 1, len(self.degrees) - 1)], d) / len(basis)
        patience = 1 if 1 < ratio**3 <= DEARER else 2
        candidate, fitted, error = _levenberg_marquardt(points, A, damping, task, patience)
        self.stages.append(Stage(p, len(w), fitted, error, time.perf_counter() - self._began))
        task.advance(self.stages[-1])
        return _Found(p, candidate, error)


def degrees_up_to(d: int, max_degree: int | None) -> tuple[int, ...]:
    """The degrees of the continuation; those of the default and, beyond it, steps of the last size up to max_degree."""
    if max_degree is None:
        return DEGREES[d]
    known = DEGREES[d]
    step = known[-1] - known[-2]
    degrees = [p for p in known if p < max_degree] + list(range(known[-1] + step, max_degree, step))
    return (*degrees, max_degree)


def products(metric: Map, box: BoxMap, degree: int, start: int) -> Index:
    """The products of Chebyshev polynomials, shape=[m, d], in the order in which they come to a basis: by total degree.

    In two variables only half by that, as F bends in ways of its own, and half by the largest coefficient of H at k or
    beyond, as H may be far steeper along one line than along others; those of total degree `start` come first, whatever
    H is, since a start is still to be bent in every way. Where rounding or the grid hides coefficients, k counts beside
    the largest that are seen.
    """
    d, n = box.dim, GRID
    if d != 2:
        k = total_degree(d, degree)
        return np.asarray(k[np.argsort(k.sum(axis=1), kind="stable")])
    k = total_degree(d, 2 * degree)
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    H = metric(box.from_unit(np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, d)))
    size = np.abs(dctn(H.reshape(n, n, -1), axes=(0, 1))).max(axis=-1)
    for axis in range(d):
        size = np.flip(np.maximum.accumulate(np.flip(size, axis), axis=axis), axis)
    hidden = max(HIDDEN * size[0, 0], size[-1, 0], size[0, -1])
    seen = np.array([np.count_nonzero(size[:, 0] > hidden), np.count_nonzero(size[0] > hidden)])
    within, matters = (k < n).all(axis=1), np.full(len(k), hidden)
    matters[within] = np.maximum(size[tuple(k[within].T)], hidden)
    by_size, by_degree = np.empty(len(k)), np.empty(len(k))
    by_size[np.lexsort([(k / np.maximum(seen, 1)).sum(axis=1), -matters])] = np.arange(len(k))
    by_degree[np.argsort(k.sum(axis=1), kind="stable")] = np.arange(len(k))
    # a rank as a degree is its root
    return np.asarray(k[np.lexsort([np.sqrt(by_size) + np.sqrt(by_degree), k.sum(axis=1) > start])])


def _points(box: BoxMap, n: int, seed: int) -> Array:
    """n Sobol points with the Chebyshev density in every coordinate."""
    sobol = qmc.Sobol(box.dim, seed=seed).random_base2(int(np.ceil(np.log2(n))))[:n]
    return box.from_unit(np.cos(np.pi * sobol))


def _degrees(basis: ProductBasis) -> Index:
    """The total degree at which there are as many products as each and those before it."""
    count = [comb(basis.dim + p, basis.dim) for p in range(len(basis))]
    return np.searchsorted(count, np.arange(len(basis)), side="right")


def _start(metric: Map, basis: ProductBasis, ambient_dim: int, bend: float) -> Array:
    """A linear map whose metric is the mean of H, and quadratic terms in the other coordinates: for
    D >= d(d+3)/2 a free map, first and second derivatives independent."""
    d = basis.dim
    H = metric(_points(basis, 256, seed=0))
    unit, half_width = np.eye(d, dtype=int), 1 / basis.scale
    place = {tuple(k): m for m, k in enumerate(basis.index)}
    A = np.zeros((ambient_dim, len(basis)))
    root = np.linalg.cholesky(H.mean(0)).T * half_width
    for i in range(d):
        A[:d, place[tuple(unit[i])]] = root[:, i]
    extra = ambient_dim - d
    if extra:
        small = bend * np.sqrt(np.linalg.eigvalsh(H).min()) * half_width.min()
        squares_first = sorted(pairs(d), key=lambda ij: ij[0] != ij[1]) if extra < d * (d + 1) // 2 else pairs(d)
        for row in range(max(extra, len(squares_first))):
            i, j = squares_first[row % len(squares_first)]
            # rows beyond the number of products of two coordinates start smaller, not at zero, where they would stay
            A[d + row % extra, place[tuple(unit[i] + unit[j])]] = small / (1 + row // len(squares_first))
    return A


class Collocation:
    """The whitened residual K K^T - I of a metric at points, K = L^{-1} dF^T, H = L L^T, and its normal equations.

    The unknowns are the rows of A over the weights of the basis, D m of them.
    """

    def __init__(self, H: Array, basis: ProductBasis, w: Array):
        self.basis, self.weight = basis, np.exp(-DECAY * _degrees(basis))
        self.E = np.linalg.inv(np.linalg.cholesky(H)) @ basis.derivatives(w, 1)[1]  # [P, d, m]
        self.E *= self.weight
        self._flat = self.E.reshape(-1, len(basis))

    def state(self, x: Array) -> _State:
        """K, shape=[P, d, D], and K K^T - I at unknowns x of shape=[D, m]."""
        K = (self._flat @ x.T).reshape(*self.E.shape[:2], len(x))
        return _State(x, K, K @ np.swapaxes(K, 1, 2) - np.eye(K.shape[1]))

    def gradient(self, state: _State) -> Array:
        """M^T r of the linearised residual M x = K V^T + V K^T, V = E x; shape=[D, m]."""
        return (2 * (state.r @ state.K)).reshape(len(self._flat), -1).T @ self._flat

    def normal_matrix(self, K: Array) -> Array:
        """The upper triangle of M^T M, shape=[D m, D m]: block (a, b) is 2 sum <K_a, K_b> E^T E + 2 (K_b E)^T (K_a E).

        M never exists. The first sum is symmetric: by polarisation a product X^T X, half of a full one.
        """
        (P, d, m), D = self.E.shape, K.shape[2]
        N, mixed = np.empty((D * m, D * m)), np.moveaxis(np.swapaxes(K, 1, 2) @ self.E, 1, 0).copy()
        own, both, scaled = np.empty((D, m, m)), np.empty((m, m)), np.empty((P, d, m))

        def gram(v: Array, out: Array) -> Array:
            np.multiply(np.linalg.norm(v, axis=1)[:, None, None], self.E, out=scaled)
            X = scaled.reshape(P * d, m)
            return np.matmul(X.T, X, out=out)

        for a in range(D):
            gram(K[:, :, a], own[a])
        for a in range(D):
            twice = 2 * mixed[a]
            for b in range(a, D):
                block = np.matmul(mixed[b].T, twice, out=N[a * m : (a + 1) * m, b * m : (b + 1) * m])
                if a == b:
                    block += own[a]
                    block += own[a]
                else:
                    block += gram(K[:, :, a] + K[:, :, b], both)
                    block -= own[a]
                    block -= own[b]
        return N


class _State(NamedTuple):
    """Unknowns x, K = L^{-1} dF^T, and K K^T - I."""

    x: Array
    K: Array
    r: Array

    @property
    def cost(self) -> float:
        return float((self.r**2).sum())


def _levenberg_marquardt(
    points: Collocation, A: Array, damping: float, task: Task, patience: int
) -> tuple[SpectralMap, float, float]:
    """The map with the least error at fresh points, its largest residual at `points`, and that error."""
    state = points.state(A / points.weight)
    best, fit, least, before, lost = SpectralMap(points.basis, A), float(np.abs(state.r).max()), np.inf, np.inf, 0
    for _ in range(STEPS):
        taken = _step(points, state, damping)
        if taken is None:
            break
        state, damping = taken
        candidate, fitted = SpectralMap(points.basis, state.x * points.weight), float(np.abs(state.r).max())
        error = task.fresh_error(candidate)
        if error < least:
            best, fit, least = candidate, fitted, error
        # points fitted worse than the fresh ones: still on the way
        lost = lost + 1 if error > FALL * before and fitted < error else 0
        before = error
        if error <= task.tol or fitted < FLOOR or lost >= patience:
            break
    return best, fit, task.fresh_error(best) if np.isinf(least) else least


def _step(points: Collocation, state: _State, damping: float) -> tuple[_State, float] | None:
    """The state after a damped step that lowers the cost, and the damping of the next; None where no step does."""
    N, gradient = points.normal_matrix(state.K), points.gradient(state)
    trace, growth, cost = np.trace(N) / len(N), 2.0, state.cost
    for _ in range(TRIES):
        step = damped_solve(N, gradient.ravel(), damping * trace)
        if step is not None:
            new = points.state(state.x - step.reshape(state.x.shape))
            if new.cost < cost:
                predicted = float(step @ gradient.ravel() + damping * trace * (step @ step))
                gain = (cost - new.cost) / max(predicted, 1e-300)
                return new, max(damping * max(0.1, 1 - (2 * gain - 1) ** 3), 1e-18)
        damping, growth = max(damping * growth, 1e-17), min(2 * growth, 32.0)
    return None


def damped_solve(N: Array, gradient: Array, damping: float) -> Array | None:
    """(N + damping I)^{-1} gradient from the upper triangle of N; None where rounding makes it indefinite."""
    K = N.copy()
    K[np.diag_indices_from(K)] += damping
    try:
        factor = scipy.linalg.cho_factor(K.T, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    step: Array = scipy.linalg.cho_solve(factor, gradient, check_finite=False)
    return step if np.isfinite(step).all() else None


def _arrays_of(embedding: Embedding) -> dict[str, Array]:
    assert isinstance(embedding, SpectralMap)
    basis = embedding.basis
    return {"degree": np.asarray(basis.degree), "index": basis.index, "coefficients": embedding.coefficients}


def _from_arrays(lower: Array, upper: Array, arrays: Mapping[str, Array]) -> SpectralMap:
    """`ValueError` for a degree that the coefficients do not have, or whose basis is larger than any solver makes.

    Files of earlier releases have no `index`: they are of all products up to a total degree.
    """
    A, p, d = arrays["coefficients"], int(arrays["degree"]), len(lower)
    if not 0 < p <= LARGEST_DEGREE or (p + 1) ** d > LARGEST_GRID:
        raise ValueError(f"degree {p} in dimension {d}, beyond what is loaded")
    given = arrays.get("index")
    if given is None:
        shape = (len(A), comb(d + p, d))
    elif given.dtype.kind not in "iu" or given.shape != (len(given), d) or not len(given):
        raise ValueError(f"products of type {given.dtype} and shape {given.shape} in dimension {d}")
    elif given.min() < 0 or given.max() != p or len(np.unique(given, axis=0)) < len(given):
        raise ValueError(f"products that are not different ones of degree {p}")
    else:
        shape = (len(A), len(given))
    if A.shape != shape or A.dtype.kind != "f" or not np.isfinite(A).all() or len(A) < d:
        raise ValueError(f"coefficients of type {A.dtype} and shape {A.shape} for degree {p} in dimension {d}")
    return SpectralMap(ProductBasis(lower, upper, total_degree(d, p) if given is None else given.astype(int)), A)


SPECTRAL = register(NumericalMethod("spectral", solve, _arrays_of, _from_arrays, "raise max_degree or ambient_dim"))
