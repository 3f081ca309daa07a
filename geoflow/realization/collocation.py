"""The normal equations of a spectral realization: a metric at points, linearised at a map, and damped steps.

(M^T M + damping I) x = M^T r, by a Cholesky factor. Where there are many unknowns, and the damping is not far below the
rounding of single precision, the factor is one of single precision, which takes half the time and half the memory, and
only preconditions conjugate gradients in double precision: some tens of products with M and M^T.

Reference
---------
Carson and Higham, SIAM J. Sci. Comput. 40, 2018, A817, of factors of lower precision as preconditioners.
"""

from __future__ import annotations

import copy
from math import comb
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import blas

from geoflow._typing import Array, Index
from geoflow.numerics.chebyshev import ProductBasis

DECAY = 0.15  # coefficient weights exp(-DECAY |k|): high degrees move last
#: unknowns n from which on the factor is one of single precision, if the damping in units of the mean eigenvalue is at
#: least WORTH / n^2: products grow as its root falls, each is of n^2 flops, and the factor of n^3
MANY, WORTH = 3000, 0.5
#: damping, in the same units, with which a matrix of single precision has a factor: first tried, and at most
DEFINITE, LARGEST = 2e-6, 1e-4
#: how far above that of the factor a damping may be
STALE = 4.0
#: conjugate gradients: residual to reach, in the norm of the preconditioner, and steps after which they are given up
REACHED, STEPS = 1e-5, 300


def degrees(basis: ProductBasis) -> Index:
    """The total degree at which there are as many products as each and those before it."""
    count = [comb(basis.dim + p, basis.dim) for p in range(len(basis))]
    return np.searchsorted(count, np.arange(len(basis)), side="right")


class Collocation:
    """The whitened residual K K^T - I of a metric at points, K = L^{-1} dF^T, H = L L^T, and its normal equations.

    The unknowns are the rows of A over the weights of the basis, D m of them.
    """

    def __init__(self, H: Array, basis: ProductBasis, w: Array):
        self.basis, self.weight = basis, np.exp(-DECAY * degrees(basis))
        self.E = np.linalg.inv(np.linalg.cholesky(H)) @ basis.derivatives(w, 1)[1]  # [P, d, m]
        self.E *= self.weight
        self._flat = self.E.reshape(-1, len(basis))

    def single(self) -> tuple[Collocation, float]:
        """The same in single precision, over the size of E, and that size."""
        other, size = copy.copy(self), float(np.abs(self.E).max())
        other.E = (self.E / size).astype(np.float32)
        other._flat = other.E.reshape(-1, len(self.basis))
        return other, size

    def state(self, x: Array) -> State:
        """K, shape=[P, d, D], and K K^T - I at unknowns x of shape=[D, m]."""
        K = (self._flat @ x.T).reshape(*self.E.shape[:2], len(x))
        return State(x, K, K @ np.swapaxes(K, 1, 2) - np.eye(K.shape[1]))

    def linearised(self, K: Array, x: Array) -> Array:
        """M x = K V^T + V K^T, V = E x, the derivative of the residual at K along x of shape=[D, m]."""
        V = (self._flat @ x.T).reshape(*self.E.shape[:2], len(x))
        half = K @ np.swapaxes(V, 1, 2)
        return half + np.swapaxes(half, 1, 2)

    def transposed(self, K: Array, r: Array) -> Array:
        """M^T r, shape=[D, m], for symmetric matrices r."""
        return (2 * (r @ K)).reshape(len(self._flat), -1).T @ self._flat

    def gradient(self, state: State) -> Array:
        """M^T r of the residual, shape=[D, m]."""
        return self.transposed(state.K, state.r)

    def normal_matrix(self, K: Array) -> Array:
        """The upper triangle of M^T M, shape=[D m, D m]: block (a, b) is 2 sum <K_a, K_b> E^T E + 2 (K_b E)^T (K_a E).

        M never exists. The first sum is symmetric: by polarisation a product X^T X, half of a full one.
        """
        (P, d, m), D, kind = self.E.shape, K.shape[2], self.E.dtype
        N, mixed = np.empty((D * m, D * m), kind), np.moveaxis(np.swapaxes(K, 1, 2) @ self.E, 1, 0).copy()
        own, both, scaled = np.empty((D, m, m), kind), np.empty((m, m), kind), np.empty((P, d, m), kind)

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


class State(NamedTuple):
    """Unknowns x, K = L^{-1} dF^T, and K K^T - I."""

    x: Array
    K: Array
    r: Array

    @property
    def cost(self) -> float:
        return float((self.r**2).sum())


class DampedEquations:
    """(M^T M + damping unit I) x = g at one state, for one damping after the other; `unit` is the mean eigenvalue."""

    def __init__(self, points: Collocation, K: Array, damping: float):
        self._points, self._K = points, K
        self._factor: Array | None = None
        self._added = 0.0  # the damping of the factor
        n = points.E.shape[2] * K.shape[2]
        self._single = n >= MANY and damping * n**2 >= WORTH
        self._form()

    def _form(self) -> None:
        """The matrix, in single precision in units of its own."""
        if self._single:
            points, size = self._points.single()
            self._N = points.normal_matrix(self._K.astype(np.float32))
        else:
            self._N, size = self._points.normal_matrix(self._K), 1.0
        self._own = float(np.trace(self._N, dtype=float)) / len(self._N)
        self.unit = size**2 * self._own

    def solve(self, gradient: Array, damping: float) -> Array | None:
        """x, shape=[D m], or None where rounding makes the matrix indefinite."""
        if self._single:
            found = self._by_gradients(gradient, damping * self.unit) if self._factored(damping) else None
            if found is not None:
                return found
            self._single, self._factor = False, None
            del self._N  # two of them are more than there may be room for
            self._form()
        return damped_solve(self._N, gradient, damping * self.unit)

    def _factored(self, damping: float) -> bool:
        """Whether there is a factor for this damping: the last one, or of the least damping with which it is one."""
        if self._factor is None or damping > STALE * self._added:
            self._factor, self._added = None, max(damping, DEFINITE)
            while self._added <= max(damping, LARGEST):
                self._factor = damped_factor(self._N, self._added * self._own)
                if self._factor is not None:
                    break
                self._added *= 2
        return self._factor is not None

    def _by_gradients(self, gradient: Array, damping: float) -> Array | None:
        """x by preconditioned conjugate gradients; None where they do not arrive."""
        x, r = np.zeros_like(gradient), gradient.copy()
        p = z = self._preconditioned(r)
        size = first = float(r @ z)
        for _ in range(STEPS):
            q = self._product(p) + damping * p
            curvature = float(p @ q)
            if not curvature > 0:  # underflow, or nothing to solve
                return None
            length = size / curvature
            x += length * p
            r -= length * q
            z = self._preconditioned(r)
            size, last = float(r @ z), size
            if not size > REACHED**2 * first:
                return x if np.isfinite(x).all() else None
            p = z + size / last * p
        return None

    def _product(self, x: Array) -> Array:
        D = self._K.shape[2]
        return self._points.transposed(self._K, self._points.linearised(self._K, x.reshape(D, -1))).ravel()

    def _preconditioned(self, r: Array) -> Array:
        """A multiple of the inverse of the factored matrix times r.

        By one triangle after the other: LAPACK's routine for many right-hand sides takes five times as long.
        """
        size = float(np.abs(r).max()) or 1.0
        half = blas.strsv(self._factor, (r / size).astype(np.float32), lower=1, overwrite_x=1)
        return size * np.asarray(blas.strsv(self._factor, half, lower=1, trans=1, overwrite_x=1), dtype=float)


def damped_factor(N: Array, damping: float) -> Array | None:
    """The lower Cholesky factor of N + damping I, N by its upper triangle; None where rounding makes it indefinite."""
    K = N.copy()
    K[np.diag_indices_from(K)] += damping
    try:
        factor, _ = scipy.linalg.cho_factor(K.T, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    return np.asarray(factor)


def damped_solve(N: Array, gradient: Array, damping: float) -> Array | None:
    """(N + damping I)^{-1} gradient from the upper triangle of N; None where rounding makes it indefinite."""
    factor = damped_factor(N, damping)
    if factor is None:
        return None
    step: Array = scipy.linalg.cho_solve((factor, True), gradient, check_finite=False)
    return step if np.isfinite(step).all() else None
