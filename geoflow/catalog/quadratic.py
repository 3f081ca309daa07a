"""Quadratic measurements with commuting symmetric matrices A_i = V diag(a_i) V^T."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.catalog.registry import Case, Entry, around, parametrizations
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import WholeSpace


def commuting_matrices(d: int, n: int, seed: int = 0) -> tuple[Array, Array]:
    """Orthogonal V of shape=[n, n] and eigenvalues a of shape=[d, n], generic, of full rank d <= n."""
    rng = np.random.default_rng(seed)
    V, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return V, 0.4 * rng.standard_normal((d, n)) + np.eye(d, n)


def exponential_sum(eigenvalues: ArrayLike, weights: ArrayLike, rate: float) -> LegendreFunction:
    """Q(mu) = sum_k y_k (exp(rate <a_k, mu>) - 1) / 4, the dual of quadratic measurements.

    The a_k are the columns of the eigenvalues, shape=[d, n]; the weights y_k > 0 are the squared coordinates of the
    start in the eigenbasis, shape=[n].
    """
    a, y = np.asarray(eigenvalues, dtype=float), np.asarray(weights, dtype=float)

    def grown(mu: Array) -> Array:
        return y * anp.exp(rate * (mu @ a))

    return LegendreFunction(
        lambda mu: anp.sum(y * anp.expm1(rate * (mu @ a)), axis=-1) / 4,
        WholeSpace(len(a)),
        gradient=lambda mu: rate / 4 * (grown(mu) @ a.T),
        hessian=lambda mu: rate**2 / 4 * anp.einsum("...k,ik,jk->...ij", grown(mu), a, a),
        name="Q of commuting quadratics",
    )


def _quadratic(d: int) -> Case:
    """psi = expm(sum mu_i A_i) x0 and Q = (|psi|^2 - |x0|^2) / 4."""
    D = d + 1
    V, a = commuting_matrices(d, D)
    A = np.einsum("ki,di,li->dkl", V, a, V)
    x0 = V @ np.linspace(0.8, 1.2, D)

    def jacobian(x: Array) -> Array:
        return anp.einsum("dkl,...l->...dk", A, x)

    G = Parametrization(lambda x: anp.einsum("...k,dkl,...l->...d", x, A, x) / 2, D, d, jacobian, "quadratic")
    return Case(G, x0, None, around(x0, 0.3), dual=exponential_sum(a, (V.T @ x0) ** 2, 2.0), mu_bound=0.3)


def _matrix_sensing(d: int, rank: int = 2) -> Case:
    """tr(A_i U U^T) with U of shape [n, rank], x its rows one after the other: psi = expm(2 sum mu_i A_i) U0."""
    n = d + 1
    V, a = commuting_matrices(d, n, seed=1)
    A = np.einsum("ki,di,li->dkl", V, a, V)
    U0 = V @ np.stack([np.linspace(0.6, 1.0, n), np.linspace(0.9, 0.5, n)], axis=-1)

    def value(x: Array) -> Array:
        U = anp.reshape(x, (*anp.shape(x)[:-1], n, rank))
        return anp.einsum("dkl,...ka,...la->...d", A, U, U)

    def jacobian(x: Array) -> Array:
        U = anp.reshape(x, (*anp.shape(x)[:-1], n, rank))
        return 2 * anp.reshape(anp.einsum("dkl,...la->...dka", A, U), (*anp.shape(x)[:-1], d, n * rank))

    G = Parametrization(value, n * rank, d, jacobian, "matrix_sensing")
    weights = ((V.T @ U0) ** 2).sum(axis=1)
    return Case(G, U0.ravel(), None, around(U0.ravel(), 0.3), dual=exponential_sum(a, weights, 4.0), mu_bound=0.15)


for _name, _formula, _build in [
    ("quadratic", "x^T A_i x / 2, A_i commuting", _quadratic),
    ("matrix_sensing", "tr(A_i U U^T), A_i commuting", _matrix_sensing),
]:
    parametrizations.add(Entry(_name, "quadratic", _formula, "cone spanned by the spectra", "Q", _build))
