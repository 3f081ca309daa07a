"""What is known of a realization, measured at points no solver saw."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from geoflow._typing import Array, Index
from geoflow._validate import describe
from geoflow.errors import in_a_line
from geoflow.realization.embedding import Embedding
from geoflow.realization.injectivity import injectivity_margin
from geoflow.realization.search import FINEST, LARGEST_DIM, covering_radius, descend
from geoflow.realization.target import Target, affordable
from geoflow.results import Claim, Verdict, at_most

DERIVATIVE_TOL = 1e-5
INJECTIVITY_TOL = 1e-3
FRESH_POINTS = 2500
WORST = 6
SECOND_ENTRIES = 2**24  # of second derivatives of F; where they are more, the reach is of some of the points


@dataclass(frozen=True, eq=False, repr=False)
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
    smallest_feature : float
        Radius of the largest ball in the box without a point that was looked at, as a share of its sides: a feature of
        the metric that is smaller may have been missed. NaN where the region is no bounded box.
    smallest_at_extremes : float
        The same at extremes and zeros of the quantities that the metric is computed from; NaN where none were recorded.
    searched : str
        In words, where was looked beside the fresh points, and what could not be.
    """

    metric_error: float
    n_points: int
    tol: float
    witness: Array = field(repr=False)
    derivative_error: float
    injectivity_margin: float
    condition: float
    reach: float
    smallest_feature: float = np.nan
    smallest_at_extremes: float = np.nan
    searched: str = ""

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

    @property
    def claims(self) -> list[Claim]:
        """The three claims that decide, and what else was measured."""
        margin = self.injectivity_margin
        bends = "no bend was seen" if self.reach > 1e290 else f"{self.reach:.3g}"
        where = f"at {self.n_points} fresh points"
        return [
            at_most(f"F is an isometry: dF^T dF is the metric, relative error {where}", self.metric_error, self.tol),
            at_most("dF is the derivative of F, relative to differences of F", self.derivative_error, DERIVATIVE_TOL),
            Claim("far points of M do not meet: smallest |F(w) - F(v)| / |w - v|, relative to the smallest stretch",
                  f"{margin:.2g}", f"at least {INJECTIVITY_TOL:.0e}", bool(margin >= INJECTIVITY_TOL)),
            Claim("the metric error is largest at", describe(self.witness)),
            Claim("largest condition number of dF", self.condition),
            Claim("reach: the nearest point of M is locally unique up to this far off it", bends),
            *([Claim("looked at", self.searched)] if self.searched else []),
        ]  # fmt: skip

    @property
    def _verdict(self) -> str:
        verdict = "certified" if self.passed else "NOT certified"
        error = f"relative metric error {self.metric_error:.1e} (tol {self.tol:.0e})"
        return f"{verdict}: {error} on {self.n_points} fresh points"

    def __repr__(self) -> str:
        return in_a_line(f"Certificate({self._verdict})")

    def __str__(self) -> str:
        return (
            f"{self._verdict}, injectivity margin {self.injectivity_margin:.2g}, condition of dF {self.condition:.3g}, "
            f"reach {self.reach:.2g}" + (f"; {self.searched}" if self.searched else "")
        )


def relative_metric_error(J: Array, H: Array) -> Array:
    """|| L^{-1} J^T J L^{-T} - I ||_2 with H = L L^T; shape=[N, D, d] and [N, d, d] to [N]. NaN where J has one."""
    try:
        L = np.linalg.cholesky(H)
    except np.linalg.LinAlgError:  # no metric at some of the points: these have no error
        finite = np.flatnonzero(np.isfinite(H).all(axis=(1, 2)))
        fine = finite[np.linalg.eigvalsh(H[finite])[:, 0] > 0]
        some = np.full(len(J), np.nan)
        if len(fine) < len(J):
            some[fine] = relative_metric_error(J[fine], H[fine])
        return some
    K = np.swapaxes(np.linalg.solve(L, np.swapaxes(J, 1, 2)), 1, 2)  # J L^{-T}
    gram = np.swapaxes(K, 1, 2) @ K - np.eye(H.shape[-1])
    out = np.full(len(J), np.nan)
    fine = np.isfinite(gram).all(axis=(1, 2))
    out[fine] = np.linalg.norm(gram[fine], ord=2, axis=(1, 2))
    return out


def certify(
    F: Embedding, target: Target, tol: float, n_points: int = FRESH_POINTS, seed: int = 0, exact: bool = False
) -> Certificate:
    """Measure F at random points of the region, at corners, edges, faces and extremes, and from the worst of them on.

    An exact F bends at the scale of the distance to the boundary.
    """
    n_points = affordable(n_points, target.region.dim)
    fresh = target.sample(n_points, np.random.default_rng([seed, 20_221]))  # not a stream any solver draws from
    found = target.found
    points = np.concatenate([fresh, target.corners, target.edges, found.points])
    value, J, S, bent = _jets(F, points)
    errors = np.concatenate([relative_metric_error(J, target.metric(points)), metric_error_at(F, target, found.around)])
    witness, worst = _worst(F, target, np.concatenate([points, found.around]), errors)
    margin, condition, reach = np.nan, np.nan, np.nan
    if np.isfinite(J).all():
        with np.errstate(all="ignore"):
            singular = np.linalg.svd(J, compute_uv=False)
            condition = float((singular[:, 0] / singular[:, -1]).max())
            reach = 1 / float(_second_fundamental_form(J[bent], S).max())
            margin = injectivity_margin(F, target, points, value, singular[:, -1])
    some = np.r_[:300, n_points + len(target.corners) + len(target.edges) : len(points)]
    some = np.isin(bent, some)
    w = points[bent][some]
    widths = np.maximum(np.ptp(fresh, axis=0), 1e-300) * np.ones_like(w)
    if exact:
        # a point of a face has no room, and its stencil is left out
        room = 10 * target.room(w)[:, None]
        widths = np.where(room > 1e-6 * widths, np.minimum(widths, room), widths)
    slope = _derivative_error(F, w, J[bent][some], S[some], widths, target)
    seen, at_extremes, words = _what_was_searched(target, np.concatenate([points, found.around]))
    return Certificate(
        worst, len(fresh), float(tol), witness, slope, margin, condition, reach, seen, at_extremes, words
    )


def _slices(points: Array) -> list[Array]:
    return [points[k : k + 1000] for k in range(0, len(points), 1000)]


def _jets(F: Embedding, points: Array) -> tuple[Array, Array, Array, Index]:
    """F and dF at points, hess F at as many of them as there is room for, and which those are."""
    n, most = len(points), max(4, SECOND_ENTRIES // (F.ambient_dim * F.dim**2))
    if n <= most:
        jets = [F.jet(w) for w in _slices(points)]
        value, J, S = (np.concatenate([jet[k] for jet in jets]) for k in range(3))
        return value, J, S, np.arange(n)
    value, J = (np.concatenate(parts) for parts in zip(*map(F.first_order, _slices(points)), strict=True))
    bent = np.unique(np.linspace(0, n - 1, most).astype(int))
    return value, J, np.concatenate([F.jet(points[k : k + 1])[2] for k in bent]), bent


def metric_error_at(F: Embedding, target: Target, w: Array) -> Array:
    """The relative metric error of F at points, shape=[N, d] to [N]."""
    J = [F.jacobian(part) for part in _slices(w)]
    return relative_metric_error(np.concatenate(J), target.metric(w)) if len(w) else np.zeros(0)


def _worst(F: Embedding, target: Target, w: Array, errors: Array) -> tuple[Array, float]:
    """Where the metric error is largest, and that: in a closed box it is maximised from the worst points."""
    order = np.argsort(np.where(np.isnan(errors), -np.inf, -errors), kind="stable")
    worst, box = int(order[0]), target.box
    if np.isnan(errors[worst]) or box is None or not target.compact or box.dim > LARGEST_DIM:
        return w[worst], float(errors[worst])
    width = box.upper - box.lower

    def gain(unit: Array, index: Index) -> Array:
        found = metric_error_at(F, target, box.lower + width * unit)
        return np.where(np.isnan(found), -np.inf, -found)

    top = box.lower + width * descend(gain, (w[order[:WORST]] - box.lower) / width, first=0.01, rounds=3)
    higher = metric_error_at(F, target, top)
    best = int(np.argmax(np.where(np.isnan(higher), np.inf, higher)))
    if higher[best] <= (1 + 1e-9) * errors[worst]:  # a constant error stays where it was seen first
        return w[worst], float(errors[worst])
    return top[best], float(higher[best])


def _what_was_searched(target: Target, points: Array) -> tuple[float, float, str]:
    """The smallest features seen, anywhere and at extremes, as shares of the sides of the box; and in words."""
    found, box = target.found, target.box
    if box is None:
        return np.nan, np.nan, "random points only: the region is no bounded box"
    if len(found.sample):
        points = np.concatenate([points, found.sample])
    seen = covering_radius(points, box.lower, box.upper)
    at_extremes = FINEST if found.n_quantities else np.nan
    parts = [f"{len(target.corners)} corners", f"{len(target.edges)} points of edges and faces"]
    if found.n_quantities:
        parts.append(f"{len(found.points)} extremes of {found.n_quantities} quantities it is computed from")
    if len(found.sample):
        parts.append(f"the metric alone at {len(found.sample)} points")
    words = f"searched {', '.join(parts)}; features of the metric are seen from {seen:.2g} of the sides of the box on"
    words += f", at the extremes from {at_extremes:.0e}" if found.n_quantities else ", narrower ones may be missed"
    return seen, at_extremes, words + (f" ({found.note})" if found.note else "")


def _second_fundamental_form(J: Array, S: Array) -> Array:
    """Norms of II as a map of Sym^2 T_M, orthonormal coordinates, to the normal space: at least every curvature."""
    Q, T = np.linalg.qr(J)
    inverse = np.linalg.inv(T)
    bend = np.swapaxes(inverse, 1, 2)[:, None] @ S @ inverse[:, None]
    flat = bend.reshape(*bend.shape[:2], -1)
    flat = flat - Q @ (np.swapaxes(Q, 1, 2) @ flat)
    turned = np.swapaxes(flat, 1, 2)
    gram, norms = flat @ turned if flat.shape[1] < flat.shape[2] else turned @ flat, np.full(len(flat), np.nan)
    fine = np.isfinite(gram).all(axis=(1, 2))
    norms[fine] = np.linalg.norm(gram[fine], ord=2, axis=(1, 2)) ** 0.5
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
