"""Codazzi: which metrics are Hessian, and how far the fields of the others are from commuting."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_finite
from geoflow.errors import GeoflowError, ShapeError
from geoflow.numerics import autodiff
from geoflow.realization.target import checked_metric
from geoflow.results import Check


def is_hessian(metric_matrix: Map, points: ArrayLike, tol: float = 1e-8) -> Check:
    """Whether a metric is Hessian: Codazzi, d_k g_ij symmetric in all three indices; a truthy or falsy `Check`.

    The defect is the largest |d_k g_ij - d_j g_ik|, relative to the largest derivative. `evidence["bracket"]` is the
    largest |[grad G_i, grad G_j]| of a G realized from the metric, at these points.

    Parameters
    ----------
    metric_matrix : callable
        w of shape=[..., d] to g(w) of shape=[..., d, d]; in autograd.numpy, else differences are used.
    points : array-like, shape=[..., d]
    tol : float
        1e-6 is sharp enough where differences are used.
    """
    points = as_finite(points, "points")
    if points.ndim == 0 or points.size == 0:
        raise ShapeError("points", got=f"shape {points.shape}", wanted="shape [..., d], at least one point")
    points = points.reshape(-1, points.shape[-1])
    g, T = metric_jet(metric_matrix, points)
    gap = np.abs(T - np.swapaxes(T, -1, -2))
    scale = float(np.abs(T).max())
    n, i, j, k = (int(q) for q in np.unravel_index(int(np.argmax(gap)), gap.shape))
    bracket = codazzi_brackets(g, T)
    norms = np.sqrt(np.maximum(np.einsum("nabi,nij,nabj->nab", bracket, g, bracket), 0.0))
    # a metric that is constant to rounding is Hessian
    unit = float(np.abs(g).max() / max(np.ptp(points, axis=0).max(), 1e-3))
    remedy = "only a Hessian metric is realized by a commuting parametrization"
    return Check(
        name="Codazzi symmetry of the metric",
        defect=float(gap.max()) / max(scale, 1e-9 * unit),
        scale=scale,
        tol=tol,
        witness=points[n],
        detail=f"d_{k + 1} g_{i + 1}{j + 1} - d_{j + 1} g_{i + 1}{k + 1} = {T[n, i, j, k] - T[n, i, k, j]:.3g}",
        n_points=len(points),
        evidence={"bracket": float(norms.max()), "remedy": remedy},
    )


def metric_jet(metric_matrix: Map, points: Array) -> tuple[Array, Array]:
    """g_ij and d_k g_ij, the index of the derivation last: shape=[N, d, d] and [N, d, d, d]."""
    d = points.shape[-1]
    metric = checked_metric(metric_matrix, d)
    g = metric(points)

    def flat(w: Array) -> Array:
        return anp.reshape(metric_matrix(w), (*anp.shape(w)[:-1], d * d))

    try:
        T = np.asarray(autodiff.jacobian(flat)(points), dtype=float).reshape(-1, d, d, d)
    except (GeoflowError, TypeError, ValueError, NotImplementedError):
        h = 1e-3 * np.maximum(1e-2, np.abs(points).max(axis=0))
        # stacked with the axis of the step last
        far, near, back, behind = (
            np.stack([metric(points + k * h[i] * np.eye(d)[i]) for i in range(d)], axis=-1) for k in (2, 1, -1, -2)
        )
        T = (8 * (near - back) - (far - behind)) / (12 * h)
    return g, T


def codazzi_brackets(g: Array, T: Array) -> Array:
    """Brackets [C e_i, C e_j], C = g^{-1}, of the fields that an isometric embedding makes the gradients of G, in w.

    D(C e_j).(C e_i) = -C (d_k g) C e_j (C e_i)^k: the brackets are zero exactly where d_k g_ij is symmetric;
    shape=[N, d, d, d].
    """
    C = np.linalg.inv(g)
    along = -np.einsum("nal,nlbk,nbj,nki->nija", C, T, C, C, optimize=True)
    return along - np.swapaxes(along, 1, 2)
