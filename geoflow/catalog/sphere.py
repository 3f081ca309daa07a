"""Squares of the coordinates on the unit sphere: a parametrization of the simplex on a curved manifold."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
import numpy as onp
from geomstats.geometry.hypersphere import Hypersphere

from geoflow.catalog.registry import Case, Entry, parametrizations
from geoflow.domains import Simplex, WholeSpace
from geoflow.legendre import LegendreFunction
from geoflow.parametrization import Parametrization


def simplex_quarter_entropy(w0: Any) -> LegendreFunction:
    """A quarter of the relative entropy to w0 on the simplex, sum_k w_k log(w_k / w0_k) / 4 over all d + 1 entries."""
    w0 = onp.asarray(w0, dtype=float)
    d, rest0, eye = len(w0), 1 - w0.sum(), onp.eye(len(w0))

    def rest(w: Any) -> Any:
        return 1 - np.sum(w, axis=-1, keepdims=True)

    def softmax(mu: Any) -> Any:
        grown = w0 * np.exp(4 * mu)
        return grown / (rest0 + np.sum(grown, axis=-1, keepdims=True))

    def dual_hessian(mu: Any) -> Any:
        p = softmax(mu)
        return 4 * (p[..., None] * eye - p[..., :, None] * p[..., None, :])

    dual = LegendreFunction(
        lambda mu: np.log(rest0 + np.sum(w0 * np.exp(4 * mu), axis=-1)) / 4,
        WholeSpace(d),
        gradient=softmax,
        hessian=dual_hessian,
        name="conjugate of the simplex entropy",
    )
    return LegendreFunction(
        lambda w: (np.sum(w * np.log(w / w0), axis=-1) + np.sum(rest(w) * np.log(rest(w) / rest0), axis=-1)) / 4,
        Simplex(d),
        gradient=lambda w: (np.log(w / w0) - np.log(rest(w) / rest0)) / 4,
        hessian=lambda w: (eye / w[..., None] + 1 / rest(w)[..., None]) / 4,
        third_derivative=lambda w: (
            ((1 / rest(w) ** 2)[..., None, None] - (1 / w**2)[..., None, None] * eye[:, :, None] * eye[:, None, :]) / 4
        ),
        conjugate=dual,
        name="quarter simplex entropy",
    )


def _sphere(d: int) -> Case:
    x0 = onp.sqrt(onp.linspace(1.0, 2.0, d + 1) / onp.linspace(1.0, 2.0, d + 1).sum())
    space = Hypersphere(d)
    G = Parametrization(lambda x: x[..., :d] ** 2, space, d, name="sphere_squares")

    def sample(n: int, rng: onp.random.Generator) -> onp.ndarray:
        points = onp.abs(x0 + rng.uniform(-0.2, 0.2, size=(n, d + 1)))
        return points / onp.linalg.norm(points, axis=-1, keepdims=True)

    return Case(G, x0, simplex_quarter_entropy(x0[:d] ** 2), sample, mu_bound=0.3)


parametrizations.add(
    Entry("sphere_squares", "sphere", "x_i^2, i <= d, on the unit sphere of R^{d+1}", "simplex", "R, grad R, hess R, Q",
          _sphere)
)  # fmt: skip
