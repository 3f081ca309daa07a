"""The algebra of convex domains: half-spaces, intersections, preimages under affine maps, products."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from geoflow._typing import Array, ArrayLike, Mask
from geoflow.errors import DomainError
from geoflow.spaces.domains import Box, ConvexDomain, ImplicitDomain, Polytope, WholeSpace


def polytope(A: Array, b: Array) -> ConvexDomain:
    """{A w < b}: as a box where every row has one entry, which has a better centre."""
    if not len(b):
        return WholeSpace(A.shape[1])
    one = (A != 0).sum(1) == 1
    if not one.all():
        return Polytope(A, b)
    lower, upper = np.full(A.shape[1], -np.inf), np.full(A.shape[1], np.inf)
    for row, bound in zip(A, b, strict=True):
        k = int(np.flatnonzero(row)[0])
        if row[k] > 0:
            upper[k] = min(upper[k], bound / row[k])
        else:
            lower[k] = max(lower[k], bound / row[k])
    return _between(lower, upper)


def half_spaces(domain: ConvexDomain) -> tuple[Array, Array] | None:
    """A and b with domain = {A w < b}, where it is a polytope."""
    if isinstance(domain, WholeSpace):
        return np.zeros((0, domain.dim)), np.zeros(0)
    if isinstance(domain, (Polytope, Box)):
        return domain.A, domain.b
    return None


def _bounds(domain: ConvexDomain) -> tuple[Array, Array] | None:
    """The bounds of every coordinate, where there are no others."""
    if isinstance(domain, Box):
        return domain.lower, domain.upper
    if isinstance(domain, WholeSpace):
        return np.full(domain.dim, -np.inf), np.full(domain.dim, np.inf)
    return None


def _between(lower: Array, upper: Array) -> ConvexDomain:
    if not (lower < upper).all():
        raise DomainError("domain", got="an empty interior", wanted="half-spaces that meet", remedy="relax the bounds")
    return Box(lower, upper) if np.isfinite(lower).any() or np.isfinite(upper).any() else WholeSpace(len(lower))


def intersection(domains: Sequence[ConvexDomain]) -> ConvexDomain:
    """The points of all the domains."""
    distinct = list(dict.fromkeys(domains))
    if len(distinct) == 1:
        return distinct[0]
    boxes = [bounds for d in distinct if (bounds := _bounds(d)) is not None]
    if len(boxes) == len(distinct):
        return _between(np.maximum.reduce([low for low, _ in boxes]), np.minimum.reduce([high for _, high in boxes]))
    flat = [half_spaces(d) for d in distinct]
    if all(f is not None for f in flat):
        return polytope(*(np.concatenate([f[k] for f in flat if f is not None]) for k in (0, 1)))
    proper = [d for d in distinct if not isinstance(d, WholeSpace)]
    if len(proper) == 1:
        return proper[0]

    def inside(w: ArrayLike) -> Mask:
        return np.logical_and.reduce([np.asarray(d.belongs(w)) for d in proper])

    interior = _common_point(np.stack([d.interior_point() for d in proper]), inside)
    return ImplicitDomain(proper[0].dim, inside, interior, " and ".join(map(str, proper)))


def _common_point(centres: Array, inside: Callable[[ArrayLike], Mask]) -> Array:
    """A point inside: among the centres, shape=[n, d], their mean, and random points about them."""
    rng, d = np.random.default_rng(0), centres.shape[1]
    trials = [centres.mean(0)[None], centres]
    for size in (0.1, 1.0, 10.0):
        trials.append((centres[:, None] + size * rng.standard_normal((len(centres), 2000, d))).reshape(-1, d))
    points = np.concatenate(trials)
    fine = inside(points)
    if not fine.any():
        raise DomainError(
            "domain of a sum",
            got="domains with no common point near their centres",
            wanted="Legendre functions whose domains meet",
            remedy="shift one of them with compose_affine, or give the sum as a LegendreFunction with its own domain",
        )
    return points[int(np.argmax(fine))]


def preimage(domain: ConvexDomain, A: Array | float, b: Array) -> ConvexDomain:
    """{w : A w + b in domain}, A of shape=[d, n] or a number."""
    if np.ndim(A) == 0 and (box := _bounds(domain)) is not None:  # no matrix is formed
        ends = [(bound - b) / A for bound in box]
        return _between(np.minimum(*ends), np.maximum(*ends))
    A = A * np.eye(domain.dim) if np.ndim(A) == 0 else np.asarray(A)
    flat = half_spaces(domain)
    if flat is not None:
        P, q = flat
        rows = P @ A
        keep = np.abs(rows).max(axis=1, initial=0.0) > 0
        if (q - P @ b <= 0)[~keep].any():
            raise DomainError("domain of R(A w + b)", got="no w with A w + b inside", wanted="a b that has such a w")
        return polytope(rows[keep], (q - P @ b)[keep])
    centre = np.linalg.lstsq(A, domain.interior_point() - b, rcond=None)[0]
    if not domain.belongs(A @ centre + b):
        spread = centre + np.random.default_rng(0).standard_normal((20_000, A.shape[1]))
        fine = np.asarray(domain.belongs(spread @ A.T + b))
        if not fine.any():
            raise DomainError("domain of R(A w + b)", got="no w found with A w + b inside", wanted="a b that has one")
        centre = spread[int(np.argmax(fine))]
    return ImplicitDomain(
        A.shape[1], lambda w: domain.belongs(np.asarray(w) @ A.T + b), centre, f"preimage of {domain}"
    )


def product_of_domains(domains: Sequence[ConvexDomain], blocks: Sequence[slice], d: int) -> ConvexDomain:
    """The points of R^d each block of which is in its domain."""
    boxes = [bounds for domain in domains if (bounds := _bounds(domain)) is not None]
    if len(boxes) == len(domains):
        return _between(np.concatenate([low for low, _ in boxes]), np.concatenate([high for _, high in boxes]))
    flat = [half_spaces(domain) for domain in domains]
    if all(f is not None for f in flat):
        rows = [f[0] @ np.eye(d)[block] for f, block in zip(flat, blocks, strict=True) if f is not None]
        return polytope(np.concatenate(rows), np.concatenate([f[1] for f in flat if f is not None]))

    def inside(w: ArrayLike) -> Mask:
        w = np.asarray(w)
        return np.logical_and.reduce([np.asarray(D.belongs(w[..., k])) for D, k in zip(domains, blocks, strict=True)])

    centre = np.concatenate([domain.interior_point() for domain in domains])
    return ImplicitDomain(d, inside, centre, " x ".join(map(str, domains)))
