"""What a realization has to realize: a metric on a region, points of it, and the checks that it is a metric there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geoflow._typing import Array, ArrayLike, Index, Map, Mask
from geoflow._validate import describe
from geoflow.errors import ArgumentError, DomainError, NotLegendreError, ShapeError
from geoflow.numerics.batches import halve
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import Box, ConvexDomain

DEGENERATE = 1e-10


@dataclass(frozen=True)
class Target:
    """A metric to be realized.

    Attributes
    ----------
    metric : callable
        w of shape=[N, d] to shape=[N, d, d], unchecked.
    region : ConvexDomain
        Where it is asked for.
    potential : LegendreFunction, or None
        R, where the metric is its Hessian.
    """

    metric: Map
    region: ConvexDomain
    potential: LegendreFunction | None = None

    @classmethod
    def hessian(cls, R: LegendreFunction, region: ConvexDomain | None = None) -> Target:
        """The metric hess R, on dom R by default; its formula is used up to the boundary of a box."""
        return cls(lambda w: R.kernel.derivative(2, w), R.domain if region is None else region, R)

    @property
    def name(self) -> str:
        return "metric" if self.potential is None else self.potential.name

    @property
    def box(self) -> Box | None:
        """The region where it is a bounded box."""
        return self.region if isinstance(self.region, Box) and self.region.bounded else None

    def inside(self, w: Array) -> Mask:
        """Whether points are in the region, and in dom R; shape=[..., d] to shape=[...]."""
        inside: Mask = np.asarray(self.region.belongs(w))
        return inside if self.potential is None else np.asarray(inside & self.potential.domain.belongs(w))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Random points of the region: uniform in a bounded box, else about the interior point at several sizes."""
        region, potential = self.region, self.potential
        if isinstance(region, Box) and region.bounded:
            return rng.uniform(region.lower, region.upper, size=(n, region.dim))
        sizes = (0.3, 1.0, 3.0)
        parts = [np.atleast_2d(region.random_point(-(-n // 3), bound=size, rng=rng)) for size in sizes]
        points = np.concatenate(parts)[rng.permutation(3 * len(parts[0]))[:n]]
        # random_point puts what falls outside next to the boundary, where hess R itself has no digits left
        points = region.interior_point() + 0.9 * (points - region.interior_point())
        if potential is not None and potential.domain is not region:
            fine = np.asarray(potential.domain.belongs(points))
            points = points[fine][rng.integers(fine.sum(), size=n)] if not fine.all() else points
        return points

    def room(self, w: Array) -> Array:
        """How far each point may move along the axes and stay inside, at most 1, to a factor of 2; shape=[N]."""
        axes = np.concatenate([np.eye(w.shape[1]), -np.eye(w.shape[1])])
        size = np.ones(len(w))

        def accept(index: Index, fraction: float) -> Mask:
            size[index] = fraction
            return np.asarray(np.stack([self.inside(w[index] + fraction * e) for e in axes]).all(axis=0))

        halve(accept, np.arange(len(w)), tries=60)
        return size

    def _probe_points(self) -> Array:
        """Corners, centre and a random sample; a bounded box also gets a regular grid."""
        rng, region = np.random.default_rng(11), self.region
        points = [self.sample(2000, rng)]
        if isinstance(region, Box) and region.bounded:
            d = region.dim
            n = {1: 201, 2: 41, 3: 13, 4: 7}.get(d, 1)
            if n > 1:
                axes = [np.linspace(low, high, n) for low, high in zip(region.lower, region.upper, strict=True)]
                points.append(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d))
            else:
                points.append(((region.lower + region.upper) / 2)[None])
        return np.concatenate(points)

    def require_in_domain(self) -> None:
        """The region inside dom R: corners of a box suffice, as dom R is convex; they may lie on its boundary."""
        region, R = self.region, self.potential
        if R is None or region is R.domain:
            return
        points = Target(self.metric, region).sample(2000, np.random.default_rng(12))
        if isinstance(region, Box):
            low = np.where(np.isfinite(region.lower), region.lower, region.interior_point() - 1)
            high = np.where(np.isfinite(region.upper), region.upper, region.interior_point() + 1)
            centre = (low + high) / 2
            pairs = list(zip(low, high, strict=True))
            if len(pairs) <= 12:
                corners = np.array(list(itertools.product(*pairs)))
            else:
                corners = np.where(np.random.default_rng(0).uniform(size=(4096, len(pairs))) < 0.5, low, high)
            points = np.concatenate([centre + (1 - 1e-9) * (corners - centre), points])
        inside = np.asarray(R.domain.belongs(points))
        if not inside.all():
            point = points[int(np.argmin(inside))]
            raise DomainError(
                f"box that crosses the boundary of the domain of {R.name}",
                got=f"{region}, whose point {describe(point)} is outside {R.domain}",
                wanted="a box inside int dom R",
                remedy="shrink the box",
                point=point,
            )

    def require_definite(self) -> None:
        """H finite and positive definite over the region; where it is smallest, it is minimised further."""
        metric, R = self.metric, self.potential
        what = f"Hessian of {R.name}" if R is not None else "metric"
        points = self._probe_points()
        if R is not None:
            points = points[np.asarray(R.domain.belongs(points))]
        H = metric(points)
        finite = np.isfinite(H).all(axis=(1, 2))
        if R is not None:
            # log w has a second derivative at w < 0 too
            finite &= np.isfinite(R.kernel.derivative(0, points))
        if not finite.all():
            point = points[int(np.argmin(finite))]
            raise DomainError(
                f"{what} is not finite in the box",
                got=f"NaN or infinity at w = {describe(point)}",
                wanted="a box inside the domain",
                remedy="shrink the box, or give the domain on which the potential is finite",
                point=point,
            )
        values = np.linalg.eigvalsh(H)
        worst = int(np.argmin(values[:, 0]))
        point, low = points[worst], float(values[worst, 0])
        around = self._neighbours(point)
        nearby = float(np.linalg.eigvalsh(metric(around))[:, 0].max(initial=-np.inf)) if len(around) else 0.0
        # where it falls steeply, does it reach 0 between the points?
        if 1e-14 * values[worst, -1] < low < 0.5 * nearby:
            point, low = self._least_eigenvalue(points[np.argsort(values[:, 0])[:3]])
        if low > 1e-14 * float(np.linalg.eigvalsh(metric(point[None]))[0, -1]) and low > DEGENERATE * nearby:
            return
        kind = "is not positive definite" if low < -1e-12 * np.abs(values).max() else "degenerates"
        raise NotLegendreError(
            f"{what} {kind}",
            got=f"smallest eigenvalue {low:.3g} at w = {describe(point)}",
            wanted="a positive definite Hessian all over the box" if R is not None else "a positive definite metric",
            remedy="choose a box without that point, or add a small strictly convex term such as |w|^2 / 20",
            point=point,
            eigenvalue=low,
        )

    def _least_eigenvalue(self, starts: Array) -> tuple[Array, float]:
        """The smallest eigenvalue near the starts, minimised inside a bounded box, and where it is."""
        from scipy.optimize import minimize

        metric, region = self.metric, self.region

        def smallest(w: Array) -> float:
            if not self.inside(w):
                return np.inf
            H = metric(w[None])[0]
            return float(np.linalg.eigvalsh(H)[0]) if np.isfinite(H).all() else np.inf

        best = starts[0], float(np.linalg.eigvalsh(metric(starts[:1]))[0, 0])
        bounded = isinstance(region, Box) and region.bounded
        if not bounded:
            return best
        assert isinstance(region, Box)
        for start in starts:
            start = region.lower + np.clip((start - region.lower) / (region.upper - region.lower), 1e-9, 1 - 1e-9) * (
                region.upper - region.lower
            )
            simplex = np.concatenate([start[None], start + 0.02 * np.diag((region.interior_point() - start) + 1e-3)])
            result = minimize(
                smallest,
                start,
                method="Nelder-Mead",
                options={"initial_simplex": simplex, "xatol": 1e-9, "fatol": 0.0, "maxfev": 400},
            )
            if result.fun < best[1]:
                best = np.asarray(result.x), float(result.fun)
        return best

    def _neighbours(self, point: Array) -> Array:
        """The points at a twentieth of the box along each axis that are inside."""
        region = self.region
        widths = region.upper - region.lower if isinstance(region, Box) else np.ones(region.dim)
        widths = np.where(np.isfinite(widths), widths, 1.0)
        steps = 0.05 * np.diag(widths)
        around = np.concatenate([point + steps, point - steps])
        return around[self.inside(around)]


def as_region(box: ConvexDomain | Sequence[ArrayLike] | None, dim: int | None) -> ConvexDomain | None:
    """A box, a pair (lower, upper), or a convex domain, as a domain of the right dimension."""
    if box is None:
        return None
    if isinstance(box, ConvexDomain):
        region = box
    else:
        try:
            lower, upper = box
        except (TypeError, ValueError):
            raise ArgumentError(
                "box", got=type(box).__name__, wanted="a gf.domains.Box, a pair (lower, upper), or a ConvexDomain"
            ) from None
        region = Box(lower, upper)
    if dim is not None and region.dim != dim:
        raise ShapeError("box", got=f"dimension {region.dim}", wanted=f"dimension {dim}, that of the potential")
    return region


def checked_metric(metric_matrix: Map, d: int) -> Map:
    """A user's metric matrix with its shape and its symmetry checked."""

    def metric(w: Array) -> Array:
        with np.errstate(all="ignore"):
            g = np.asarray(metric_matrix(w), dtype=float)
        if g.shape != (*w.shape, d):
            raise ShapeError(
                "metric_matrix",
                got=f"shape {g.shape} at points of shape {w.shape}",
                wanted=f"shape {(*w.shape, d)}",
                remedy="act on the last axis only, any batch before it",
            )
        skew = np.abs(g - np.swapaxes(g, -1, -2)).max(axis=(-1, -2))
        bad = skew > 1e-10 * np.abs(g).max(axis=(-1, -2))
        if bad.any():
            raise NotLegendreError(
                "metric that is not symmetric",
                got=f"|g - g^T| = {skew.max():.2g} at w = {describe(w[bad][0])}",
                wanted="symmetric matrices",
                point=w[bad][0],
            )
        return g

    return metric
