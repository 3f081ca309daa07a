"""What is known of a realization, measured at points no solver saw."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.distance import pdist

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.realization.embedding import Embedding
from geoflow.realization.target import Target
from geoflow.results import Verdict

DERIVATIVE_TOL = 1e-5
INJECTIVITY_TOL = 1e-3
PAIR_POINTS = 1500
FRESH_POINTS = 2500


@dataclass(frozen=True)
class Certificate(Verdict):
    """Figures of an embedding F of a metric H at `n_points` fresh points.

    Attributes
    ----------
    metric_error, tol : float
        Largest || L^{-1} dF^T dF L^{-T} - I ||_2, H = L L^T, and what it has to meet.
    n_points : int
    witness : array, shape=[d]
        Where the metric error is largest.
    derivative_error : float
        Largest relative difference between dF and a difference quotient of F, fourth order: that dF is F's derivative.
    injectivity_margin : float
        Smallest |F(w) - F(v)| / |w - v| over all pairs of the points, near and far, relative to the smallest local
        stretch sqrt(min eigenvalue of dF^T dF): 1 for a flat map, near 0 for a map that meets itself.
    condition : float
        Largest condition number of dF.
    reach : float
        1 / (largest norm of the second fundamental form): how far off M the nearest point is locally unique.
    """

    metric_error: float
    n_points: int
    tol: float
    witness: Array = field(repr=False)
    derivative_error: float
    injectivity_margin: float
    condition: float
    reach: float

    @property
    def failures(self) -> list[str]:
        """What fails, in words; a NaN fails."""
        out = []
        if not self.metric_error <= self.tol:
            out.append(
                f"relative metric error {self.metric_error:.1e} on {self.n_points} fresh points exceeds tol "
                f"{self.tol:.0e}, at w = {describe(self.witness)}"
            )
        if not self.derivative_error <= DERIVATIVE_TOL:
            out.append(f"dF differs from the derivative of F by {self.derivative_error:.1e}")
        if not self.injectivity_margin >= INJECTIVITY_TOL:
            out.append(f"F is an immersion only: far points meet (injectivity margin {self.injectivity_margin:.1e})")
        return out

    def __str__(self) -> str:
        verdict = "certified" if self.passed else "NOT certified"
        return (
            f"{verdict}: relative metric error {self.metric_error:.1e} (tol {self.tol:.0e}) on {self.n_points} fresh "
            f"points, injectivity margin {self.injectivity_margin:.2g}, condition of dF {self.condition:.3g}, "
            f"reach {self.reach:.2g}"
        )


def relative_metric_error(J: Array, H: Array) -> Array:
    """|| L^{-1} J^T J L^{-T} - I ||_2 with H = L L^T; shape=[N, D, d] and [N, d, d] to [N]. NaN where J has one."""
    L = np.linalg.cholesky(H)
    K = np.swapaxes(np.linalg.solve(L, np.swapaxes(J, 1, 2)), 1, 2)  # J L^{-T}
    gram = np.swapaxes(K, 1, 2) @ K - np.eye(H.shape[-1])
    out = np.full(len(J), np.nan)
    fine = np.isfinite(gram).all(axis=(1, 2))
    out[fine] = np.linalg.norm(gram[fine], ord=2, axis=(1, 2))
    return out


def certify(
    F: Embedding, target: Target, tol: float, n_points: int = FRESH_POINTS, seed: int = 0, exact: bool = False
) -> Certificate:
    """Measure F at random points of the region; an exact F bends at the scale of the distance to the boundary."""
    points = target.sample(n_points, np.random.default_rng([seed, 20_221]))  # not a stream any solver draws from
    widths = np.maximum(np.ptp(points, axis=0), 1e-300) * np.ones_like(points)
    if exact:
        widths = np.minimum(widths, 10 * target.room(points)[:, None])
    jets = [F.jet(points[k : k + 1000]) for k in range(0, len(points), 1000)]
    value, J, S = (np.concatenate([jet[k] for jet in jets]) for k in range(3))
    errors = relative_metric_error(J, target.metric(points))
    worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
    margin, condition, reach = np.nan, np.nan, np.nan
    if np.isfinite(J).all():
        with np.errstate(all="ignore"):
            singular = np.linalg.svd(J, compute_uv=False)
            condition = float((singular[:, 0] / singular[:, -1]).max())
            reach = 1 / float(_second_fundamental_form(J, S).max())
            margin = _injectivity_margin(points, value, singular[:, -1])
    slope = _derivative_error(F, points[:300], J[:300], S[:300], widths[:300], target)
    return Certificate(float(errors[worst]), len(points), float(tol), points[worst], slope, margin, condition, reach)


def _second_fundamental_form(J: Array, S: Array) -> Array:
    """Norms of II as a map of Sym^2 T_M, orthonormal coordinates, to the normal space: at least every curvature."""
    Q, T = np.linalg.qr(J)
    inverse = np.linalg.inv(T)
    bend = np.einsum("nDij,nia,njb->nDab", S, inverse, inverse, optimize=True)
    bend = bend - np.einsum("nDk,nEk,nEab->nDab", Q, Q, bend, optimize=True)
    flat = bend.reshape(*bend.shape[:2], -1)
    norms: Array = np.linalg.norm(np.swapaxes(flat, 1, 2) @ flat, ord=2, axis=(1, 2)) ** 0.5
    return np.maximum(norms, 1e-300)


def _derivative_error(F: Embedding, w: Array, J: Array, S: Array, widths: Array, target: Target) -> float:
    """Fourth-order differences of F against J, relative to |J|, along every axis at points whose stencil is inside."""
    d, worst = w.shape[1], 0.0
    for i in range(d):
        # a small part of the box, and of the length at which dF turns
        turn = np.linalg.norm(J, axis=(1, 2)) / (1e-300 + np.linalg.norm(S[:, :, i, :], axis=(1, 2)))
        h = np.minimum(2e-4 * widths[:, i], 0.02 * turn)
        e = h[:, None] * np.eye(d)[i]
        fine = np.logical_and(target.inside(w + 2 * e), target.inside(w - 2 * e))
        if not fine.any():
            continue
        f = {k: F.value((w + k * e)[fine]) for k in (-2, -1, 1, 2)}
        quotient = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h[fine, None])
        size = np.linalg.norm(J[fine], axis=(1, 2))
        error = np.linalg.norm(quotient - J[fine, :, i], axis=1) / size
        worst = max(worst, float(error.max())) if np.isfinite(error).all() else np.nan
    return worst


def _injectivity_margin(w: Array, x: Array, stretch: Array) -> float:
    w, x = w[:PAIR_POINTS], x[:PAIR_POINTS]
    distance = pdist(w)
    with np.errstate(all="ignore"):
        ratio = np.where(distance > 0, pdist(x) / distance, np.inf)
    # a pair is compared with the weaker stretch of its two ends: a metric may vary by orders of magnitude
    s = stretch[:PAIR_POINTS]
    i, j = np.triu_indices(len(s), 1)
    return float(min((ratio / np.minimum(s[i], s[j])).min(), 1.0)) if len(s) > 1 else 1.0
