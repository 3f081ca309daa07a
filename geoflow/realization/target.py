"""What a realization has to realize: a metric on a region, points of it, and the checks that it is a metric there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index, Map, Mask
from geoflow._validate import describe
from geoflow.errors import ArgumentError, DomainError, NotLegendreError, ShapeError
from geoflow.numerics import autodiff
from geoflow.numerics.batches import halve
from geoflow.potentials.kernel import SolvedKernel
from geoflow.potentials.legendre import LegendreFunction
from geoflow.realization.search import LARGEST_DIM, Found, extremes, surprises
from geoflow.spaces.domains import Box, ConvexDomain

DEGENERATE = 1e-10
CORNERS = 2**12  # of a box that are asked whether they are in dom R, and
SECOND_STEPS = (1e-2, 1e-3, 1e-4)  # of differences of a potential, shares of the sides of the box
METRIC_CORNERS = 2**10  # looked at for its metric: all up to dimension 12, and 10
EDGE_POINTS = 200
ENTRIES = 2**22  # of the metrics of all the points of one kind: fewer points from d = 41 on


def affordable(n: int, d: int) -> int:
    """At most n points, and fewer where their metrics, d by d each, would be large."""
    return min(n, max(20, ENTRIES // d**2))


@dataclass(frozen=True)
class Target(Portable):
    """A metric to be realized."""

    metric: Map  # w of shape=[N, d] to shape=[N, d, d], unchecked
    region: ConvexDomain  # where it is asked for
    potential: LegendreFunction | None = None  # R, where the metric is its Hessian
    sources: tuple[Map, ...] = ()  # functions in autograd.numpy that it is computed from, of w of shape=[N, d]

    @classmethod
    def hessian(cls, R: LegendreFunction, region: ConvexDomain | None = None) -> Target:
        """The metric hess R, on dom R by default; its formula is used up to the boundary of a box."""
        closed = getattr(R.formula, "closed", (None, None, None))[1]
        sources = (R.potential,) if closed is None else (R.potential, closed)
        return cls(lambda w: R.kernel.derivative(2, w), R.domain if region is None else region, R, sources)

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
        region, potential, box = self.region, self.potential, self.box
        if box is not None:
            return rng.uniform(box.lower, box.upper, size=(n, box.dim))
        sizes = (0.3, 1.0, 3.0)
        parts = [np.atleast_2d(region.random_point(-(-n // 3), bound=size, rng=rng)) for size in sizes]
        points = np.concatenate(parts)[rng.permutation(3 * len(parts[0]))[:n]]
        # random_point puts what falls outside next to the boundary, where hess R itself has no digits left
        points = region.interior_point() + 0.9 * (points - region.interior_point())
        if potential is not None and potential.domain is not region:
            fine = np.asarray(potential.domain.belongs(points))
            points = points[fine][rng.integers(fine.sum(), size=n)] if not fine.all() else points
        return points

    @cached_property
    def corners(self) -> Array:
        """Those corners of a bounded box where the metric is, shape=[n, d]; a random part of them in high dimension."""
        box = self.box
        if box is None:
            return np.zeros((0, self.region.dim))
        return self._within(corners_of(box.lower, box.upper, affordable(METRIC_CORNERS, box.dim)))

    @cached_property
    def edges(self) -> Array:
        """Random points of the edges and faces of a bounded box, where the metric is; shape=[n, d].

        Half of them are denser towards the ends of an edge, as errors of polynomials are largest and narrowest there.
        """
        box, d = self.box, self.region.dim
        if box is None or d == 1:
            return np.zeros((0, d))
        rng = np.random.default_rng(14)
        share = rng.uniform(size=(affordable(EDGE_POINTS, d), d))
        share[::2] = np.sin(0.5 * np.pi * share[::2]) ** 2
        free = box.lower + share * (box.upper - box.lower)
        # as many points on the faces of each dimension from 1 to d - 1
        pinned = np.argsort(np.argsort(rng.uniform(size=free.shape))) < rng.integers(1, d, size=(len(free), 1))
        ends = np.where(rng.uniform(size=free.shape) < 0.5, box.lower, box.upper)
        return self._within(np.where(pinned, ends, free))

    @cached_property
    def found(self) -> Found:
        """Where the quantities that the metric is computed from are extreme over a bounded box, and points about it."""
        box = self.box
        if box is None:
            none = np.zeros((0, self.region.dim))
            return Found(none, none, 0, "the region is no bounded box")
        found = extremes(self.sources, box.lower, box.upper, self.corners)
        if not found.n_quantities and self.sources and box.dim <= LARGEST_DIM and not self._solved:
            sample, points = surprises(self.metric, box.lower, box.upper)
            found = replace(found, points=points, sample=sample)
        # next to the boundary of dom R hess R itself has no digits left
        room = 0.0 if self.compact else 1e-3
        low, high = box.lower + room * (box.upper - box.lower), box.upper - room * (box.upper - box.lower)
        points, around = (w[np.all((w >= low) & (w <= high), axis=1)] for w in (found.points, found.around))
        return replace(found, points=self._within(points), around=self._within(around))

    @property
    def compact(self) -> bool:
        """Whether the region is a bounded box whose corners are inside dom R, so that all of the closed box is."""
        box = self.box
        return box is not None and len(self.corners) == min(2**box.dim, affordable(METRIC_CORNERS, box.dim))

    @property
    def _solved(self) -> bool:
        """Whether a value of the metric takes a solve, so that many are dear."""
        return self.potential is not None and isinstance(self.potential.kernel, SolvedKernel)

    def _within(self, w: Array) -> Array:
        """The points of the closed region that are in dom R."""
        return w if self.potential is None else w[np.asarray(self.potential.domain.belongs(w))]

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
        """A random sample; of a bounded box also its corners, edges, extremes, and centre or a regular grid."""
        points, box = self.sample(affordable(2000, self.region.dim), np.random.default_rng(11)), self.box
        if box is None:
            return points
        points = np.concatenate([points, self.corners, self.edges, self.found.points, self.found.around])
        n = {1: 201, 2: 41, 3: 13, 4: 7}.get(box.dim)
        if n is None:
            return np.concatenate([points, ((box.lower + box.upper) / 2)[None]])
        axes = [np.linspace(low, high, n) for low, high in zip(box.lower, box.upper, strict=True)]
        return np.concatenate([points, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, box.dim)])

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
            points = np.concatenate([centre + (1 - 1e-9) * (corners_of(low, high, CORNERS) - centre), points])
        inside = np.asarray(R.domain.belongs(points))
        if not inside.all():
            point = points[int(np.argmin(inside))]
            what = f"box that crosses the boundary of the domain of {R.name}"
            got = f"{region}, whose point {describe(point)} is outside {R.domain}"
            raise DomainError(what, got, "a box inside int dom R", "shrink the box", point=point)

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
            what, got = f"{what} is not finite in the box", f"NaN or infinity at w = {describe(point)}"
            remedy = "shrink the box, or give the domain on which the potential is finite"
            raise DomainError(what, got, "a box inside the domain", remedy, point=point)
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
        what += " is not positive definite" if low < -1e-12 * np.abs(values).max() else " degenerates"
        got = f"smallest eigenvalue {low:.3g} at w = {describe(point)}"
        remedy = "choose a box without that point, or add a small strictly convex term such as |w|^2 / 20"
        raise NotLegendreError(what, got, "positive definite all over the box", remedy, point=point, eigenvalue=low)

    def require_hessian(self, tol: float = 1e-8) -> None:
        """The metric is the second derivative of the potential: autograd's to tol, and that of differences at 1e-5.

        A difference is believed to within ten times its change with the step, and its rounding: a point is refused only
        where two steps, one after the other, say so.
        """
        R = self.potential
        if R is None:
            return
        rng, box, d = np.random.default_rng(41), self.box, self.region.dim
        some = self.sample(100, rng), self.found.points[:100]
        w = np.concatenate([*some, self.found.around[:400], self.corners[:100]])
        H = self.metric(w)
        gap = self._automatic_gap(w, H)
        if (gap > max(tol / 3, 1e-11)).any():
            self._refuse_hessian(w, gap, "those of autograd")
        w, H = np.concatenate(some), H[: sum(map(len, some))]
        v = rng.standard_normal(w.shape)
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        v *= np.minimum(1.0, self.room(w))[:, None] if box is None else (box.upper - box.lower) / np.sqrt(d)
        formula = np.einsum("ni,nij,nj->n", v, H, v)
        size = np.einsum("ni,nij,nj->n", np.abs(v), np.abs(H), np.abs(v))
        (wrong, before), defect = np.zeros((2, len(w)), dtype=bool), np.full(len(w), np.inf)
        for h in SECOND_STEPS:
            quotient, doubt = self._second_differences(w, h * v)
            gap = np.abs(formula - quotient / h**2)
            off = gap > 1e-5 * (size + np.abs(quotient) / h**2) + 10 * doubt / h**2  # a NaN is no evidence
            wrong, before = wrong | (off & before), off
            defect = np.where(off, np.fmin(defect, gap / (size + 1e-300)), defect)
        if wrong.any():
            self._refuse_hessian(w, np.where(wrong, defect, -1.0), "second differences of the potential")

    def _refuse_hessian(self, w: Array, defect: Array, others: str) -> None:
        worst = int(np.nanargmax(defect))
        got = f"values that differ from {others} by {defect[worst]:.1e} relative at w = {describe(w[worst])}"
        wanted = "the second derivative of the potential, shape=[..., d, d]"
        remedy = "correct hessian=, leave it out where autograd can differentiate the potential, or raise tol"
        evidence = {"defect": float(defect[worst]), "point": w[worst]}
        raise ArgumentError(f"Hessian of {self.name}", got, wanted, remedy, **evidence)

    def _automatic_gap(self, w: Array, H: Array) -> Array:
        """How far the metric is from autograd's Hessian of R, relative to its diagonal; NaN where there is none."""
        if self.potential is None or self._solved:
            return np.full(len(w), np.nan)
        with np.errstate(all="ignore"):
            try:
                A = np.asarray(autodiff.hessian(self.potential.potential)(w), dtype=float)
            except Exception:  # not written for autograd: differences have to do
                return np.full(len(w), np.nan)
            scale = np.sqrt(np.abs(np.einsum("nii->ni", H)))
            gap: Array = (np.abs(A - H) / (scale[:, :, None] * scale[:, None, :])).max(axis=(1, 2))
        return gap

    def _second_differences(self, w: Array, e: Array) -> tuple[Array, Array]:
        """R''(e, e) by fourth-order differences, and how far it may be off; NaN where the stencil leaves dom R."""
        assert self.potential is not None
        R, steps = self.potential.kernel, (-2, -1, -0.5, 0, 0.5, 1, 2)
        with np.errstate(all="ignore"):
            inside = np.asarray(np.stack([self.inside(w + k * e) for k in steps]).all(axis=0))
            f = {k: np.where(inside, R.derivative(0, np.where(inside[:, None], w + k * e, w)), np.nan) for k in steps}
            coarse = (16 * (f[1] + f[-1]) - (f[2] + f[-2]) - 30 * f[0]) / 12
            fine = (16 * (f[0.5] + f[-0.5]) - (f[1] + f[-1]) - 30 * f[0]) / 3
            rounding = 100 * np.finfo(float).eps * np.max([np.abs(f[k]) for k in steps], axis=0)
        return fine, np.abs(fine - coarse) + rounding

    def _least_eigenvalue(self, starts: Array) -> tuple[Array, float]:
        """The smallest eigenvalue near the starts, minimised inside a bounded box, and where it is."""
        from scipy.optimize import minimize

        metric, box = self.metric, self.box

        def smallest(w: Array) -> float:
            if not self.inside(w):
                return np.inf
            H = metric(w[None])[0]
            return float(np.linalg.eigvalsh(H)[0]) if np.isfinite(H).all() else np.inf

        best = starts[0], float(np.linalg.eigvalsh(metric(starts[:1]))[0, 0])
        if box is None:
            return best
        width = box.upper - box.lower
        for start in starts:
            start = box.lower + np.clip((start - box.lower) / width, 1e-9, 1 - 1e-9) * width
            simplex = np.concatenate([start[None], start + 0.02 * np.diag((box.interior_point() - start) + 1e-3)])
            options = {"initial_simplex": simplex, "xatol": 1e-9, "fatol": 0.0, "maxfev": 400}
            result = minimize(smallest, start, method="Nelder-Mead", options=options)
            if result.fun < best[1]:
                best = np.asarray(result.x), float(result.fun)
        return best

    def _neighbours(self, point: Array) -> Array:
        """The points at a twentieth of the box along each axis that are inside."""
        region = self.region
        widths = region.upper - region.lower if isinstance(region, Box) else np.ones(region.dim)
        steps = 0.05 * np.diag(np.where(np.isfinite(widths), widths, 1.0))
        around = np.concatenate([point + steps, point - steps])
        return around[self.inside(around)]


def corners_of(lower: Array, upper: Array, most: int) -> Array:
    """The corners of a box, shape=[2^d, d]; where they are more than `most`, so many of them at random."""
    d = len(lower)
    if 2**d <= most:
        return np.array(list(itertools.product(*zip(lower, upper, strict=True))))
    return np.where(np.random.default_rng(0).uniform(size=(most, d)) < 0.5, lower, upper)


def as_region(box: ConvexDomain | Sequence[ArrayLike] | None, dim: int | None) -> ConvexDomain | None:
    """A box, a pair (lower, upper), or a convex domain, as a domain of the right dimension."""
    if box is not None and not isinstance(box, ConvexDomain):
        try:
            lower, upper = box
        except (TypeError, ValueError):
            wanted = "a gf.domains.Box, a pair (lower, upper), or a ConvexDomain"
            raise ArgumentError("box", got=type(box).__name__, wanted=wanted) from None
        box = Box(lower, upper)
    if box is not None and dim is not None and box.dim != dim:
        raise ShapeError("box", got=f"dimension {box.dim}", wanted=f"dimension {dim}, that of the potential")
    return box


def checked_metric(metric_matrix: Map, d: int) -> Map:
    """A user's metric matrix with its shape and its symmetry checked."""

    def metric(w: Array) -> Array:
        with np.errstate(all="ignore"):
            g = np.asarray(metric_matrix(w), dtype=float)
        if g.shape != (*w.shape, d):
            got, remedy = f"shape {g.shape} at points of shape {w.shape}", "act on the last axis only"
            raise ShapeError("metric_matrix", got, f"shape {(*w.shape, d)}", remedy)
        skew = np.abs(g - np.swapaxes(g, -1, -2)).max(axis=(-1, -2))
        bad = skew > 1e-10 * np.abs(g).max(axis=(-1, -2))
        if bad.any():
            point = w[bad][0]
            got = f"|g - g^T| = {skew.max():.2g} at w = {describe(point)}"
            raise NotLegendreError("metric that is not symmetric", got, "symmetric matrices", point=point)
        return g

    return metric
