"""Essential smoothness: whether the gradient of R blows up at the boundary of its domain, where it has one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.errors import DomainError, NotLegendreError
from geoflow.potentials.kernel import LegendreKernel, SolvedKernel
from geoflow.potentials.moving import MovingPoints
from geoflow.results import Check
from geoflow.spaces.domains import Box, ConvexDomain, ImplicitDomain, Polytope, WholeSpace

#: distances to the boundary beside that of the interior point, the nearest, and the nearest of a gradient solved for
LEVELS, NEAREST, NEAREST_SOLVED = 6, 1e-12, 1e-6
#: part of its last rise by which a gradient may rise less from one distance to the next, and still grows for ever
SLOWER = 0.2
#: part from which that may be a bounded gradient too, as that of w^1.01, and is said to be undecided
UNCLEAR = 1e-3
#: rays, those to the faces of a polytope, those of a domain whose test may be a solve, and entries of all gradients
RAYS, FACES, FEW_RAYS, MOST_ENTRIES = 64, 1024, 12, 2**24
#: part of a way in mu, at whose end there is no point, up to which w stands on the boundary; and to which it is walked
PINNED, NEAR = 2.0**-20, 1e-3


class Smoothness(Protocol):
    """A Legendre function, as far as its gradient near the boundary goes; `edged` is whether that is bounded there."""

    name: str
    domain: ConvexDomain
    kernel: LegendreKernel

    @property
    def edged(self) -> bool: ...
    @property
    def essential_smoothness(self) -> Check: ...


def essential_smoothness(kernel: LegendreKernel, name: str) -> Check:
    """Whether <grad R, outward> grows without bound along rays to the boundary: by as much a decade, as log does.

    The defect is by how much its last rise falls short of the one before, 1 of a gradient that is bounded there. The
    rays lead to every face that is seen from the interior point, and to generic points; `evidence["rays"]` is how many.

    Reference
    ---------
    Rockafellar, Convex Analysis, lemma 26.2.
    """
    domain = kernel.domain
    centre = np.asarray(domain.interior_point(), dtype=float)
    ways = _to_boundary(domain, centre)
    edges, found = centre + ways, []
    for way, edge in zip(ways, edges, strict=True):
        rises, last = _rises(kernel, centre, way, edge)
        if len(rises) >= 2:
            found.append((_shortfall(rises), edge, last))
    defect, worst, last = max(found, key=lambda one: one[0]) if found else (0.0, centre, 0.0)
    detail = f"<grad R, outward> stays near {last:.3g} towards the boundary at {describe(worst)}"
    missed = _faces_missed(domain, len(ways))
    what = f"essential smoothness of {name}" + (f" (at least {missed} faces not looked at)" if missed else "")
    if UNCLEAR < defect <= SLOWER:
        what += f" (undecided: <grad R, outward> rises less and less towards {describe(worst)})"
    return Check(
        name=what, defect=defect, scale=1.0, tol=SLOWER, witness=worst,
        detail=detail if found else "no boundary was met",
        n_points=len(found) * LEVELS, error=NotLegendreError,
        evidence={
            "rays": len(found),
            "remedy": "enlarge the domain to all points where R is finite, or add a barrier that blows up there",
        },
    )  # fmt: skip


def _faces_missed(domain: ConvexDomain, rays: int) -> int:
    """How many faces of an intersection of half-spaces no ray can have led to."""
    faces = np.size(domain.slack(domain.interior_point())) if isinstance(domain, (Polytope, Box)) else 0
    return max(0, faces - rays)


def _rises(kernel: LegendreKernel, centre: Array, way: Array, edge: Array) -> tuple[Array, float]:
    """By how much <grad R, way> rises from one distance to the edge to the next, and where it ends.

    Without what falls in proportion to the distance, as that of a smooth part of R does; 0 in place of rounding, and
    where the gradient has no value any more the rises end.
    """
    eps = float(np.finfo(float).eps)
    with np.errstate(all="ignore"):
        rounding = 1e3 * eps * (1 + (np.abs(edge).max() + np.abs(centre).max()) / np.abs(way).max())
        nearest = max(NEAREST_SOLVED if isinstance(kernel, SolvedKernel) else NEAREST, rounding)
        if nearest > 1e-4:  # the edge is not resolved
            return np.zeros(0), 0.0
        distances = np.geomspace(1e-2, nearest, LEVELS)
        terms = kernel.gradient(edge - distances[:, None] * way) * way
        slopes, noise = terms.sum(axis=1), 64 * eps * np.abs(terms).sum(axis=1)
        if np.isinf(slopes).any():
            return np.ones(2), np.inf
        fine = ~np.isnan(slopes)
        rises, q = np.diff(slopes[fine]), distances[0] / distances[1]
        found = rises[1:] - (rises[:-1] - rises[1:]) / (q - 1)
        return np.where(np.abs(found) > noise[fine][2:], found, 0.0), float(slopes[fine][-1]) if fine.any() else 0.0


def _shortfall(rises: Array) -> float:
    """1 minus the ratio of the last two rises, within [0, 1]."""
    before, last = rises[-2:]
    if last > 0 and last >= before:
        return 0.0
    return float(np.clip(1 - last / before, 0.0, 1.0)) if before > 0 else 1.0


def _to_boundary(domain: ConvexDomain, centre: Array) -> Array:
    """Ways from the interior point to points of the boundary, shape=[m, d], one for every face that is seen."""
    d, rng = domain.dim, np.random.default_rng(0)
    flat = isinstance(domain, (WholeSpace, Polytope, Box))
    rays = FEW_RAYS if isinstance(domain, ImplicitDomain) else FACES if flat else RAYS
    most = min(rays, max(4, MOST_ENTRIES // (d * LEVELS)))
    axes = np.zeros((min(d, most if flat else most // 2), d))
    axes[np.arange(len(axes)), rng.permutation(d)[: len(axes)]] = 1.0
    few = rng.standard_normal((max(4, min(most, RAYS) // 8), d))
    ways = np.concatenate([few, np.ones((1, d)), -np.ones((1, d)), axes, -axes])
    if flat and d <= RAYS:
        ways = np.concatenate([ways, rng.standard_normal((16 * RAYS, d)), getattr(domain, "A", np.zeros((0, d)))])
    far = _exits_of_half_spaces(domain, centre, ways) if flat else (_exits(domain, centre, ways), None)
    reached = np.isfinite(far[0]) & (far[0] > 0)
    if far[1] is not None:  # the first ways, and one more for every face that they miss
        _, first = np.unique(np.where(reached, far[1], -1), return_index=True)
        kept = np.union1d(np.arange(len(few) + 2), first)
        reached &= np.isin(np.arange(len(ways)), kept)
    chosen = np.flatnonzero(reached)[:most]
    return ways[chosen] * far[0][chosen, None]


def _exits_of_half_spaces(domain: ConvexDomain, centre: Array, ways: Array) -> tuple[Array, Array | None]:
    """The multiple of each way that ends on the boundary of {A w < b}, infinite where none does, and on which face."""
    here = np.asarray(domain.slack(centre))
    if not here.size:
        return np.full(len(ways), np.inf), None
    with np.errstate(all="ignore"):
        rate = here - np.asarray(domain.slack(centre + ways))
        far = np.where(rate > 0, here / rate, np.inf)
    face = far.argmin(axis=1)
    return far[np.arange(len(ways)), face], face


def _exits(domain: ConvexDomain, centre: Array, ways: Array) -> Array:
    """The same of any convex domain, by bisection."""
    low, high = np.zeros(len(ways)), np.ones(len(ways))
    for _ in range(40):
        inside = np.asarray(domain.belongs(centre + high[:, None] * ways))
        if not inside.any():
            break
        low, high = np.where(inside, high, low), np.where(inside, 8 * high, high)
    open_ended = inside
    for _ in range(56):
        middle = (low + high) / 2
        inside = np.asarray(domain.belongs(centre + middle[:, None] * ways))
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.where(open_ended, np.inf, low)


def explained(R: Smoothness, error: DomainError) -> DomainError:
    """The error about a mu without a w, which says so where R is not essentially smooth."""
    if not R.edged:
        return error
    seen, what = R.essential_smoothness, f"{error.what}: {R.name} is not essentially smooth, its gradient is bounded"
    return type(error)(
        f"{what} at the boundary of {R.domain}", f"{error.got}; {seen.detail}", error.wanted, seen.evidence["remedy"],
        **error.evidence,
    )  # fmt: skip


class EdgedPoints:
    """Points of an R whose gradient is bounded at the boundary: where its moves are stopped by that, it is said."""

    patience = 40
    images = None

    def __init__(self, R: Smoothness, points: MovingPoints, mu: Array, w: Array):
        self._R, self._points, self._mu, self._w = R, points, mu, w

    def move(self, mu: Array) -> Array:
        w = self._points.move(mu)
        if np.isfinite(w).all():
            self._mu, self._w = mu, w
        return w

    def along(self, mu: Array) -> Array:
        return self._points.along(mu)

    def reach(self, way: Array) -> float:
        """A multiple of the way up to which there are points; raises `NotLegendreError` where w is on the boundary."""
        t = min(1.0, self._points.reach(way))
        reached, h, w = 0.0, t, self._w
        while reached < t and h > PINNED * t and h > NEAR * reached:
            ahead = self._newton(w, self._mu + (reached + h) * way)
            if ahead is None:
                h /= 4
            else:
                w, reached = ahead, reached + h
                h = min(2 * h, t - reached)
        if reached == 0:
            self._R.essential_smoothness.unwrap()
        return reached

    def _newton(self, w: Array, mu: Array) -> Array | None:
        """A few whole steps to grad R(w) = mu; None where they leave the domain, or do not arrive."""
        kernel, size = self._R.kernel, 1 + np.abs(mu).max()
        for _ in range(12):
            missing = mu - kernel.gradient(w)
            if not np.isfinite(missing).all():
                return None
            if np.abs(missing).max() <= 1e-12 * size:
                return w
            w = w + np.einsum("nij,nj->ni", kernel.cometric(w), missing)
        return None

    def gram(self, A: Array) -> Array:
        return self._points.gram(A)

    def nudged(self, way: Array) -> Array:
        return self._points.nudged(way)
