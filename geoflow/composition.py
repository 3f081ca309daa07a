"""Legendre functions built from others: ridge sums, sums, scalings, affine changes of variable, products.

Each is an ordinary `LegendreFunction`; how it was built stays visible in its `structure`, which `realize` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import autograd.numpy as np
import numpy as onp

from geoflow._validate import as_finite, describe, require_type
from geoflow.domains import Box, ConvexDomain, Polytope, Region, WholeSpace
from geoflow.errors import ArgumentError, DomainError, NotLegendreError, ShapeError
from geoflow.legendre import LegendreFunction
from geoflow.parametrization import Parametrization
from geoflow.profiles import Profile, as_profile


@dataclass(frozen=True)
class Ridges:
    """sum_k r_k(<a_k, w> + b_k): directions a of shape=[m, d], offsets b of shape=[m]."""

    directions: onp.ndarray
    offsets: onp.ndarray
    profiles: tuple[Profile, ...]

    def derivative(self, order: int, w: Any) -> Any:
        """The derivative of order 0 to 3: shape=[...], [..., d], [..., d, d] or [..., d, d, d]."""
        a, s = self.directions, np.matmul(w, self.directions.T) + self.offsets
        groups = [(p, onp.flatnonzero([q is p for q in self.profiles])) for p in dict.fromkeys(self.profiles)]
        if len(groups) == 1:
            values = groups[0][0].derivative(order, s)
        else:
            values = np.concatenate([p.derivative(order, s[..., k]) for p, k in groups], axis=-1)
            values = values[..., onp.argsort(onp.concatenate([k for _, k in groups]))]
        return np.einsum(
            ("...k->...", "...k,ki->...i", "...k,ki,kj->...ij", "...k,ki,kj,kl->...ijl")[order], values, *[a] * order
        )


@dataclass(frozen=True)
class Sum:
    """R_1(w) + R_2(w) + ..."""

    parts: tuple[LegendreFunction, ...]


@dataclass(frozen=True)
class Scaled:
    """c R(w), c > 0."""

    factor: float
    part: LegendreFunction


@dataclass(frozen=True)
class Affine:
    """R(A w + b)."""

    part: LegendreFunction
    A: onp.ndarray
    b: onp.ndarray


@dataclass(frozen=True)
class Product:
    """R_1(w_1) + R_2(w_2) + ..., each on its own coordinates."""

    parts: tuple[LegendreFunction, ...]


@dataclass(frozen=True)
class Pullback:
    """A Hessian metric that is a sum of pullbacks of homogeneous metrics.

    Pieces are (model, chart): "euclidean", |dc|^2 for c = chart(w) of any length, or "hyperbolic plane",
    2 (du^2 + cosh(u)^2 dv^2) for (u, v) = chart(w), of curvature -1/2; charts in autograd.numpy. `inverse`, where it
    is given, takes the values of all the charts to w; with it geodesics have a closed form.
    """

    pieces: tuple[tuple[str, Callable[[Any], Any]], ...]
    inverse: Callable[..., Any] | None = None


class RidgeSum(LegendreFunction):
    """R(w) = sum_k r_k(<a_k, w> + b_k), with convex profiles r_k and directions a_k that span R^d.

    hess R = sum_k r_k'' a_k a_k^T, so F_k(w) = int sqrt(r_k'') at <a_k, w> + b_k embeds it exactly in R^m.

    Parameters
    ----------
    directions : array-like, shape=[m, d]
    offsets : array-like, shape=[m], or a scalar
    profiles : Profile, str or callable, or a sequence of m of them
        A name of `geoflow.profiles`, or any r(s) in autograd.numpy, acting entry by entry.
    domain : ConvexDomain, optional
        By default where every <a_k, w> + b_k is inside the domain of its profile.
    conjugate : LegendreFunction, optional
    name : str

    Raises
    ------
    ShapeError, ArgumentError, DomainError
        For arrays that do not match, and for half-spaces that do not meet.
    NotLegendreError
        When the directions do not span R^d: R is not strictly convex.
    """

    def __init__(
        self,
        directions: Any,
        offsets: Any = 0.0,
        profiles: Any = "quadratic",
        domain: Any = None,
        conjugate: Any = None,
        name: str = "ridge sum",
    ):
        a = onp.atleast_2d(as_finite(directions, "directions of a ridge sum"))
        b = as_finite(offsets, "offsets of a ridge sum")
        if a.ndim != 2 or b.shape not in {(), (len(a),)}:
            raise ShapeError(
                "ridge sum",
                got=f"directions of shape {a.shape}, offsets of shape {b.shape}",
                wanted="directions of shape [m, d] and offsets of shape [m]",
            )
        b = onp.array(onp.broadcast_to(b, len(a)))
        listed = list(profiles) if isinstance(profiles, (list, tuple)) else [profiles] * len(a)
        if len(listed) != len(a):
            raise ShapeError("profiles of a ridge sum", got=f"{len(listed)}", wanted=f"one, or one a ridge: {len(a)}")
        made: dict[int, Profile] = {}
        rs = tuple(made.setdefault(id(r), as_profile(r)) for r in listed)
        if onp.linalg.matrix_rank(a) < a.shape[1]:
            null = onp.linalg.svd(a)[2][-1]
            raise NotLegendreError(
                "ridge sum that is not strictly convex",
                got=f"{len(a)} directions of rank {onp.linalg.matrix_rank(a)}; constant along {describe(null)}",
                wanted=f"directions that span R^{a.shape[1]}",
                remedy="add ridges, for example a quadratic one in every coordinate",
                direction=null,
            )
        structure = Ridges(a, b, rs)
        domain = _ridge_domain(structure) if domain is None else domain
        super().__init__(
            partial(structure.derivative, 0),
            domain,
            gradient=partial(structure.derivative, 1),
            hessian=partial(structure.derivative, 2),
            third_derivative=partial(structure.derivative, 3),
            conjugate=conjugate,
            name=name,
            structure=structure,
        )


def _ridge_domain(ridges: Ridges) -> ConvexDomain:
    """Where lower_k < <a_k, w> + b_k < upper_k."""
    a, b = ridges.directions, ridges.offsets
    lower = onp.array([r.domain[0] for r in ridges.profiles])
    upper = onp.array([r.domain[1] for r in ridges.profiles])
    low, high = onp.isfinite(lower), onp.isfinite(upper)
    if not (low.any() or high.any()):
        return WholeSpace(a.shape[1])
    return _polytope(onp.concatenate([-a[low], a[high]]), onp.concatenate([(b - lower)[low], (upper - b)[high]]))


def _polytope(A: onp.ndarray, b: onp.ndarray) -> ConvexDomain:
    """{A w < b}: as a box where every row has one entry, which has a better centre."""
    if not len(b):
        return WholeSpace(A.shape[1])
    one = (A != 0).sum(1) == 1
    if not one.all():
        return Polytope(A, b)
    lower, upper = onp.full(A.shape[1], -onp.inf), onp.full(A.shape[1], onp.inf)
    for row, bound in zip(A, b, strict=True):
        k = int(onp.flatnonzero(row)[0])
        if row[k] > 0:
            upper[k] = min(upper[k], bound / row[k])
        else:
            lower[k] = max(lower[k], bound / row[k])
    if not (lower < upper).all():
        raise DomainError("domain", got="an empty interior", wanted="half-spaces that meet", remedy="relax the bounds")
    return Box(lower, upper)


def _half_spaces(domain: ConvexDomain) -> tuple[onp.ndarray, onp.ndarray] | None:
    """A and b with domain = {A w < b}, where it is a polytope."""
    if isinstance(domain, WholeSpace):
        return onp.zeros((0, domain.dim)), onp.zeros(0)
    if isinstance(domain, (Polytope, Box)):
        return domain.A, domain.b
    return None


def _intersection(domains: Sequence[ConvexDomain]) -> ConvexDomain:
    distinct = list(dict.fromkeys(domains))
    if len(distinct) == 1:
        return distinct[0]
    flat = [_half_spaces(d) for d in distinct]
    if all(f is not None for f in flat):
        return _polytope(*(onp.concatenate([f[k] for f in flat if f is not None]) for k in (0, 1)))
    proper = [d for d in distinct if not isinstance(d, WholeSpace)]
    if len(proper) == 1:
        return proper[0]
    interior = _common_point(proper)

    def inside(w: Any) -> onp.ndarray:
        return onp.logical_and.reduce([onp.asarray(d.belongs(w)) for d in proper])

    return Region(proper[0].dim, inside, interior, " and ".join(map(str, proper)))


def _common_point(domains: Sequence[ConvexDomain]) -> onp.ndarray:
    """A point of all the domains: among their interior points, means of them, and random points about them."""
    centres = onp.stack([d.interior_point() for d in domains])
    rng = onp.random.default_rng(0)
    trials = [centres.mean(0), *centres]
    for size in (0.1, 1.0, 10.0):
        trials.extend(
            (centres[:, None] + size * rng.standard_normal((len(centres), 2000, centres.shape[1]))).reshape(
                -1, centres.shape[1]
            )
        )
    points = onp.stack(trials)
    fine = onp.logical_and.reduce([onp.asarray(d.belongs(points)) for d in domains])
    if not fine.any():
        raise DomainError(
            "domain of a sum",
            got="domains with no common point near their centres",
            wanted="Legendre functions whose domains meet",
            remedy="shift one of them with compose_affine, or give the sum as a LegendreFunction with its own domain",
        )
    return points[int(onp.argmax(fine))]


def add(*parts: LegendreFunction) -> LegendreFunction:
    """R_1 + R_2 + ... on the intersection of the domains."""
    flat: list[LegendreFunction] = []
    for part in parts:
        require_type(part, LegendreFunction, "term of a sum")
        flat.extend(part.structure.parts if isinstance(part.structure, Sum) else [part])
    dims = sorted({p.dim for p in flat})
    if len(dims) > 1:
        raise ShapeError(
            "sum of Legendre functions",
            got=f"dimensions {dims}",
            wanted="one dimension",
            remedy="for R1(w1) + R2(w2) on separate coordinates use gf.product(R1, R2)",
        )

    def total(which: str) -> Callable[[Any], Any]:
        return lambda w: sum(getattr(p, which)(w) for p in flat)

    return LegendreFunction(
        total("potential"),
        _intersection([p.domain for p in flat]),
        gradient=total("_gradient"),
        hessian=total("_hessian"),
        third_derivative=total("_third"),
        name=" + ".join(p.name for p in flat),
        structure=Sum(tuple(flat)),
    )


def scale(R: LegendreFunction, factor: Any) -> LegendreFunction:
    """c R with c > 0."""
    if isinstance(factor, bool) or not isinstance(factor, (int, float, onp.floating, onp.integer)):
        raise ArgumentError("factor of a Legendre function", got=type(factor).__name__, wanted="a positive number")
    c = float(factor)
    if not 0 < c < onp.inf:
        raise NotLegendreError(
            f"{c:g} times {R.name}", got=f"factor {c:g}", wanted="a positive factor: the result has to be convex"
        )
    return LegendreFunction(
        lambda w: c * R.potential(w),
        R.domain,
        gradient=lambda w: c * R._gradient(w),
        hessian=lambda w: c * R._hessian(w),
        third_derivative=lambda w: c * R._third(w),
        name=f"{c:g} ({R.name})",
        structure=Scaled(c, R),
    )


def compose_affine(R: LegendreFunction, A: Any, b: Any = 0.0) -> LegendreFunction:
    """R(A w + b) with A of full column rank."""
    A = as_finite(A, "matrix A")
    b = as_finite(b, "vector b")
    if A.ndim != 2 or len(A) != R.dim or b.shape not in {(), (R.dim,)}:
        raise ShapeError(
            f"affine change of {R.name}",
            got=f"A of shape {A.shape}, b of shape {b.shape}",
            wanted=f"A of shape [{R.dim}, n] and b of shape [{R.dim}]",
        )
    b = onp.array(onp.broadcast_to(b, R.dim))
    if onp.linalg.matrix_rank(A) < A.shape[1]:
        raise NotLegendreError(
            f"affine change of {R.name}",
            got=f"a matrix of rank {onp.linalg.matrix_rank(A)} with {A.shape[1]} columns",
            wanted="full column rank: otherwise R(A w + b) is constant along the kernel of A",
            remedy="drop the dependent coordinates of w",
        )
    third = "...ijk,ia,jb,kc->...abc"
    return LegendreFunction(
        lambda w: R.potential(np.matmul(w, A.T) + b),
        _preimage(R.domain, A, b),
        gradient=lambda w: np.matmul(R._gradient(np.matmul(w, A.T) + b), A),
        hessian=lambda w: np.einsum("...ij,ia,jb->...ab", R._hessian(np.matmul(w, A.T) + b), A, A),
        third_derivative=lambda w: np.einsum(third, R._third(np.matmul(w, A.T) + b), A, A, A),
        name=f"{R.name} of A w + b",
        structure=Affine(R, A, b),
    )


def _preimage(domain: ConvexDomain, A: onp.ndarray, b: onp.ndarray) -> ConvexDomain:
    """{w : A w + b in domain}."""
    flat = _half_spaces(domain)
    if flat is not None:
        P, q = flat
        rows = P @ A
        keep = onp.abs(rows).max(axis=1, initial=0.0) > 0
        if (q - P @ b <= 0)[~keep].any():
            raise DomainError(
                "domain of R(A w + b)", got="no w with A w + b inside", wanted="a b for which there is one"
            )
        return _polytope(rows[keep], (q - P @ b)[keep])
    centre = onp.linalg.lstsq(A, domain.interior_point() - b, rcond=None)[0]
    if not domain.belongs(A @ centre + b):
        spread = centre + onp.random.default_rng(0).standard_normal((20_000, A.shape[1]))
        fine = onp.asarray(domain.belongs(spread @ A.T + b))
        if not fine.any():
            raise DomainError(
                "domain of R(A w + b)", got="no w found with A w + b inside", wanted="a b for which there is one"
            )
        centre = spread[int(onp.argmax(fine))]
    return Region(A.shape[1], lambda w: domain.belongs(onp.asarray(w) @ A.T + b), centre, f"preimage of {domain}")


def product(*parts: Any) -> Any:
    """Product of Legendre functions, R(w_1, w_2, ...) = R_1(w_1) + R_2(w_2) + ..., or of parametrizations.

    Parametrizations give (G_1(x_1), G_2(x_2), ...) on the product of their spaces, which induces the product of the
    Legendre functions.

    Parameters
    ----------
    *parts : LegendreFunction, or Parametrization
        All of one kind.

    Raises
    ------
    ArgumentError
        When a part is neither, or the first's kind is not that of another, or there is none.
    """
    if not parts:
        raise ArgumentError("product", got="none", wanted="at least one factor")
    if isinstance(parts[0], Parametrization):
        from geoflow.maps import product_of_maps

        return product_of_maps(*parts)
    return _product_of_functions(parts)


def _product_of_functions(parts: tuple[Any, ...]) -> LegendreFunction:
    for part in parts:
        require_type(part, LegendreFunction, "factor of a product")
    ends = onp.cumsum([p.dim for p in parts])
    blocks = [slice(end - p.dim, end) for p, end in zip(parts, ends, strict=True)]
    d = int(ends[-1])

    def tensor(which: str, order: int) -> Callable[[Any], Any]:
        def value(w: Any) -> Any:
            total = 0.0
            for p, block in zip(parts, blocks, strict=True):
                E = onp.eye(d)[block]
                letters = "ijk"[:order], "abc"[:order]
                spec = ",".join(["..." + letters[0], *(x + y for x, y in zip(*letters, strict=True))])
                total = total + np.einsum(f"{spec}->...{letters[1]}", getattr(p, which)(w[..., block]), *[E] * order)
            return total

        return value

    result = LegendreFunction(
        lambda w: sum(p.potential(w[..., block]) for p, block in zip(parts, blocks, strict=True)),
        _product_domain([p.domain for p in parts], blocks, d),
        gradient=tensor("_gradient", 1),
        hessian=tensor("_hessian", 2),
        third_derivative=tensor("_third", 3),
        name=" x ".join(p.name for p in parts),
        structure=Product(parts),
    )
    result.has_closed_conjugate = all(p.has_closed_conjugate for p in parts)
    return result


def _product_domain(domains: Sequence[ConvexDomain], blocks: Sequence[slice], d: int) -> ConvexDomain:
    flat = [_half_spaces(domain) for domain in domains]
    if all(f is not None for f in flat):
        rows = [f[0] @ onp.eye(d)[block] for f, block in zip(flat, blocks, strict=True) if f is not None]
        return _polytope(onp.concatenate(rows), onp.concatenate([f[1] for f in flat if f is not None]))

    def inside(w: Any) -> onp.ndarray:
        w = onp.asarray(w)
        return onp.logical_and.reduce([onp.asarray(D.belongs(w[..., k])) for D, k in zip(domains, blocks, strict=True)])

    centre = onp.concatenate([domain.interior_point() for domain in domains])
    return Region(d, inside, centre, " x ".join(map(str, domains)))
