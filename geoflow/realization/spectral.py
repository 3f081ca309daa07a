"""Spectral Gauss-Newton: an isometric embedding in few ambient dimensions, by Chebyshev coefficients.

F = sum_k A_k T_k(w), total degree at most p. The whitened residual L^{-1} dF^T dF L^{-T} - I, H = L L^T, is driven to
zero at Chebyshev-distributed Sobol points by Levenberg-Marquardt, degree after degree.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import scipy.linalg
from scipy.stats import qmc

from geoflow._typing import Array, Map
from geoflow.numerics.chebyshev import BoxMap, TotalDegreeBasis, pairs
from geoflow.realization.embedding import Embedding, Jet
from geoflow.realization.methods import NumericalMethod, Solved, Stage, Task, register

OVERSAMPLING = {1: 2.0, 2: 2.0, 3: 1.7, 4: 1.6}
DEGREES = {
    1: tuple(range(6, 63, 8)), 2: (6, 10, 14, 18, 22, 26, 30, 32, 34), 3: (4, 6, 8, 10, 12, 13), 4: (3, 4, 5, 6, 7, 8),
}  # fmt: skip
DECAY = 0.15  # coefficient weights exp(-DECAY |k|): high degrees move last
STEPS = 40
FLOOR = 2e-15


class SpectralMap(Embedding):
    """F(w) = sum_k A_k T_k(w): coefficients A of shape=[D, m] in the basis of total degree p on a box."""

    def __init__(self, basis: TotalDegreeBasis, coefficients: Array):
        self.basis, self.coefficients = basis, coefficients
        self.dim, self.ambient_dim = basis.dim, len(coefficients)

    def jet(self, w: Array) -> Jet:
        return self.basis.jet(w, self.coefficients)


def solve(task: Task) -> Solved:
    """Continuation in degree until the error at fresh points meets tol; the best map found, and every stage."""
    d, start = task.dim, time.perf_counter()
    D = task.budget.ambient_dim or d * (d + 3) // 2
    stages: list[Stage] = []
    best: tuple[float, SpectralMap | None] = (np.inf, None)
    basis, A, misses = None, None, 0
    for p in degrees_up_to(d, task.budget.max_degree):
        new = TotalDegreeBasis(task.lower, task.upper, p)
        if basis is None or A is None:
            A = _start(task.metric, new, D)
        else:
            A, old = np.zeros((D, len(new))), A
            A[:, [new.place[tuple(k)] for k in basis.index]] = old
        w = _points(new, int(OVERSAMPLING[d] * len(new)) + 8, seed=p)
        A, fitted = _levenberg_marquardt(task.metric(w), new, w, A, 1e-3 if basis is None else 1e-9)
        basis = new
        candidate = SpectralMap(basis, A)
        error = task.fresh_error(candidate)
        stages.append(Stage(p, len(w), fitted, error, time.perf_counter() - start))
        task.advance(stages[-1])
        misses = 0 if error < 0.7 * best[0] else misses + 1
        if error < best[0]:
            best = error, candidate
        if error <= task.tol or misses >= 3:
            break
    assert best[1] is not None
    return Solved(best[1], stages, f"degree {best[1].basis.degree} in R^{D}")


def degrees_up_to(d: int, max_degree: int | None) -> tuple[int, ...]:
    """The degrees of the continuation; those of the default and, beyond it, steps of the same size up to max_degree."""
    if max_degree is None:
        return DEGREES[d]
    known, step = DEGREES[d], 4 if d <= 2 else 1
    degrees = [p for p in known if p < max_degree] + list(range(known[-1] + step, max_degree, step))
    return (*degrees, max_degree)


def _points(box: BoxMap, n: int, seed: int) -> Array:
    """n Sobol points with the Chebyshev density in every coordinate."""
    sobol = qmc.Sobol(box.dim, seed=seed).random_base2(int(np.ceil(np.log2(n))))[:n]
    return box.from_unit(np.cos(np.pi * sobol))


def _start(metric: Map, basis: TotalDegreeBasis, ambient_dim: int) -> Array:
    """A linear map whose metric is the mean of H, and quadratic terms in the other coordinates: for
    D >= d(d+3)/2 a free map, first and second derivatives independent."""
    d = basis.dim
    H = metric(_points(basis, 256, seed=0))
    unit, half_width = np.eye(d, dtype=int), 1 / basis.scale
    A = np.zeros((ambient_dim, len(basis)))
    root = np.linalg.cholesky(H.mean(0)).T * half_width
    for i in range(d):
        A[:d, basis.place[tuple(unit[i])]] = root[:, i]
    extra = ambient_dim - d
    if extra:
        small = 0.3 * np.sqrt(np.linalg.eigvalsh(H).min()) * half_width.min()
        squares_first = sorted(pairs(d), key=lambda ij: ij[0] != ij[1]) if extra < d * (d + 1) // 2 else pairs(d)
        for row in range(max(extra, len(squares_first))):
            i, j = squares_first[row % len(squares_first)]
            # rows beyond the number of products of two coordinates start smaller, not at zero, where they would stay
            A[d + row % extra, basis.place[tuple(unit[i] + unit[j])]] = small / (1 + row // len(squares_first))
    return A


def _levenberg_marquardt(H: Array, basis: TotalDegreeBasis, w: Array, A: Array, damping: float) -> tuple[Array, float]:
    """Better coefficients at one degree, and the largest whitened residual left at the points."""
    D, d, m = len(A), basis.dim, len(basis)
    white = np.linalg.inv(np.linalg.cholesky(H))
    E = white @ basis.derivatives(w, 1)[1]  # whitened gradients of the basis, [P, d, m]
    weight = np.exp(-DECAY * basis.index.sum(1))
    ij = pairs(d)
    i_, j_ = np.array(ij).T
    norm = np.where(i_ == j_, 1.0, np.sqrt(2))

    def residual(A: Array) -> tuple[Array, Array]:
        J = E @ A.T  # [P, d, D]
        return J, ((J @ np.swapaxes(J, 1, 2)) - np.eye(d))[:, i_, j_] * norm

    J, r = residual(A)
    cost, slow, growth = float((r**2).sum()), 0, 2.0
    for _ in range(STEPS):
        N, gradient = _normal_equations(E * weight, J, r, ij, norm)
        trace = np.trace(N) / len(N)
        improved = False
        for _ in range(12):
            step = _damped_solve(N, gradient, damping * trace)
            if step is not None:
                A2 = A - step.reshape(D, m) * weight
                J2, r2 = residual(A2)
                new_cost = float((r2**2).sum())
                if new_cost < cost:
                    improved = True
                    break
            damping, growth = max(damping * growth, 1e-17), min(2 * growth, 32.0)
        if not improved:
            break
        assert step is not None
        predicted = float(step @ gradient + damping * trace * (step @ step))
        gain, ratio = (cost - new_cost) / max(predicted, 1e-300), new_cost / cost
        A, J, r, cost = A2, J2, r2, new_cost
        damping, growth = max(damping * max(0.1, 1 - (2 * gain - 1) ** 3), 1e-18), 2.0
        slow = slow + 1 if ratio > 0.8 else 0
        if np.abs(r).max() < FLOOR or slow >= 4:
            break
    return A, float(np.abs(r).max())


def _normal_equations(E: Array, J: Array, r: Array, ij: list[tuple[int, int]], norm: Array) -> tuple[Array, Array]:
    """M^T M and M^T r of the linearised residual M; one index pair at a time, so that M never exists as a whole."""
    D, m = J.shape[2], E.shape[2]
    N, gradient = np.zeros((D * m, D * m), order="F"), np.zeros(D * m)
    for k, (i, j) in enumerate(ij):
        M = J[:, i, :, None] * E[:, None, j] + J[:, j, :, None] * E[:, None, i]
        M = (norm[k] * M).reshape(len(E), D * m)
        N = scipy.linalg.blas.dsyrk(1.0, M.T, beta=1.0, c=N, overwrite_c=1)
        gradient += M.T @ r[:, k]
    return N, gradient


def _damped_solve(N: Array, gradient: Array, damping: float) -> Array | None:
    """(N + damping I)^{-1} gradient from the upper triangle of N; None where rounding makes it indefinite."""
    K = N.copy(order="F")
    K[np.diag_indices_from(K)] += damping
    try:
        factor = scipy.linalg.cho_factor(K, lower=False, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    step: Array = scipy.linalg.cho_solve(factor, gradient, check_finite=False)
    return step if np.isfinite(step).all() else None


def _arrays_of(embedding: Embedding) -> dict[str, Array]:
    assert isinstance(embedding, SpectralMap)
    return {"degree": np.asarray(embedding.basis.degree), "coefficients": embedding.coefficients}


def _from_arrays(lower: Array, upper: Array, arrays: Mapping[str, Array]) -> SpectralMap:
    return SpectralMap(TotalDegreeBasis(lower, upper, int(arrays["degree"])), arrays["coefficients"])


SPECTRAL = register(NumericalMethod("spectral", solve, _arrays_of, _from_arrays, "raise max_degree or ambient_dim"))
