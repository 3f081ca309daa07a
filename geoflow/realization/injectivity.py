"""Whether far points of an embedding meet: near pairs in the image, drawn together."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from geoflow._typing import Array, Mask
from geoflow.realization.embedding import Embedding
from geoflow.realization.target import Target

ALL_PAIRS = 500  # points of which every pair is looked at
PAIRS, STEPS = 12, 10  # pairs that are drawn together, and how often
FAR = 0.2  # a pair this share of the widths apart is a far one: its sheets are not neighbours
CLOSEST = 1e-3  # and from here on the quotient is the local stretch


def injectivity_margin(F: Embedding, target: Target, w: Array, x: Array, stretch: Array) -> float:
    """Smallest |F(w) - F(v)| / |w - v| found, relative to the weaker stretch of the two ends; at most 1.

    Of the points w, their images x and the least stretch there, shape=[N, d], [N, D] and [N]: all pairs of some points,
    the nearest in the image of every point, and what Gauss-Newton makes of the worst. A metric may vary by orders of
    magnitude, hence the weaker end.
    """
    if len(w) < 2:
        return 1.0
    width = np.maximum(np.ptp(w, axis=0), 1e-300)
    some = np.random.default_rng(31).permutation(len(w))[:ALL_PAIRS]
    i, j = np.triu_indices(len(some), 1)
    i, j = some[i], some[j]
    distance = [pdist(w[some]), pdist(x[some]), pdist(w[some] / width)]
    near, index = cKDTree(x).query(x, k=min(len(x), 2 * w.shape[1] + 8))
    a, b = np.repeat(np.arange(len(x)), near.shape[1] - 1), index[:, 1:].ravel()
    apart = w[a] - w[b]
    close = [np.linalg.norm(apart, axis=1), np.linalg.norm(x[a] - x[b], axis=1), np.linalg.norm(apart / width, axis=1)]
    i, j = np.concatenate([i, a]), np.concatenate([j, b])
    in_w, in_x, share = (np.concatenate(parts) for parts in zip(distance, close, strict=True))
    with np.errstate(all="ignore"):
        ratio = np.where(in_w > 0, in_x / in_w, np.inf) / np.minimum(stretch[i], stretch[j])
    far = np.flatnonzero(share > FAR)
    order = np.concatenate([np.argsort(ratio)[: PAIRS // 3], far[np.argsort(ratio[far])[:PAIRS]]])
    return float(min(ratio.min(), _drawn_together(F, target, w[i[order]], w[j[order]], width), 1.0))


def _drawn_together(F: Embedding, target: Target, w: Array, v: Array, width: Array) -> float:
    """The smallest ratio on the way of pairs by Gauss-Newton on |F(w) - F(v)|^2, inside the region."""
    least, d = np.inf, w.shape[1]
    for _ in range(STEPS):
        J, K = F.jacobian(w), F.jacobian(v)
        gap = F.value(w) - F.value(v)
        apart = np.linalg.norm((w - v) / width, axis=1)
        fine = np.isfinite(J).all(axis=(1, 2)) & np.isfinite(K).all(axis=(1, 2)) & np.isfinite(gap).all(axis=1)
        w, v, J, K, gap = (part[fine & (apart > CLOSEST)] for part in (w, v, J, K, gap))
        if not len(w):
            break
        weak = np.minimum(*(np.linalg.svd(A, compute_uv=False)[:, -1] for A in (J, K)))
        ratio = np.linalg.norm(gap, axis=1) / np.linalg.norm(w - v, axis=1) / np.maximum(weak, 1e-300)
        least = min(least, float(ratio.min()))
        A = np.concatenate([J, -K], axis=2) * np.concatenate([width, width])
        step = -np.einsum("nij,nj->ni", np.linalg.pinv(A, rcond=1e-6), gap)
        step *= np.minimum(1, 0.1 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        w, v = _moved(target, w, width * step[:, :d]), _moved(target, v, width * step[:, d:])
    return least


def _moved(target: Target, w: Array, step: Array) -> Array:
    """Points moved, but not out of the region: to its edge in a closed box."""
    if target.compact and target.box is not None:
        return np.clip(w + step, target.box.lower, target.box.upper)
    inside: Mask = target.inside(w + step)
    return np.where(inside[:, None], w + step, w)
