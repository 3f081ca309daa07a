"""Hessian metrics that are isometric to products of spheres, Euclidean and hyperbolic spaces: by structure."""

from __future__ import annotations

from functools import singledispatch

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Map
from geoflow.metrics.space_forms import Form, HalfPlane, Isometry, SpaceForm
from geoflow.numerics import autodiff, exact
from geoflow.numerics.batches import consecutive
from geoflow.potentials.categorical import LogSumExp, log_changes, probabilities, with_zero
from geoflow.potentials.divergence import Pairwise, gradient_change
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import PROFILES, Profile
from geoflow.potentials.structure import Affine, Product, Pullback, Ridges, Scaled, Separable, Tilted

INVERSION_STEPS = 200


def isometry(R: LegendreFunction) -> Isometry | None:
    """An isometry of (int dom R, hess R) to a product of space forms, read off the structure of R; None if unknown."""
    direct = isometry_of(R.structure, R)
    Q = R.known_conjugate
    if direct is not None or Q is None:
        return direct
    other = isometry_of(Q.structure, Q)  # the same manifold in its other chart
    return other and Isometry(
        other.forms,
        lambda w: other.forward(R.gradient(w)),
        lambda y: Q.kernel.gradient(other.inverse(y)),
        lambda w: other.jacobian(R.gradient(w)) @ R.hessian(w),
        lambda y, w, h: other.change(R.gradient(y), R.gradient(w), gradient_change(R.kernel, y, w, h)),
    )


@singledispatch
def isometry_of(structure: object, R: LegendreFunction) -> Isometry | None:
    """The isometry of a Legendre function R of this structure; register a new structure here."""
    return None


@isometry_of.register
def _(structure: Scaled, R: LegendreFunction) -> Isometry | None:
    """Lengths multiplied by the root of the factor, curvatures divided by the factor."""
    part, root = _part(structure.part), float(np.sqrt(structure.factor))
    if part is None:
        return None
    scale = np.concatenate([np.full(f.ambient_dim, 1.0 if isinstance(f, HalfPlane) else root) for f in part.forms])
    return Isometry(
        tuple(_scaled(f, structure.factor) for f in part.forms),
        lambda w: scale * part.forward(w),
        lambda y: part.inverse(y / scale),
        lambda w: scale[:, None] * part.jacobian(w),
        lambda y, w, h: scale * part.change(y, w, h),
    )


def _scaled(form: Form, factor: float) -> Form:
    curvature = form.curvature / factor
    return HalfPlane(curvature) if isinstance(form, HalfPlane) else SpaceForm(curvature, form.ambient_dim)


@isometry_of.register
def _(structure: Tilted, R: LegendreFunction) -> Isometry | None:
    return _part(structure.part)


@isometry_of.register
def _(structure: Affine, R: LegendreFunction) -> Isometry | None:
    A, b, inner = structure.matrix, structure.b, _part(structure.part)
    if inner is None or A.shape[0] != A.shape[1]:
        return None
    inverse_A = np.linalg.inv(A)
    return Isometry(
        inner.forms,
        lambda w: inner.forward(w @ A.T + b),
        lambda y: (inner.inverse(y) - b) @ inverse_A.T,
        lambda w: inner.jacobian(w @ A.T + b) @ A,
        lambda y, w, h: inner.change(y @ A.T + b, w @ A.T + b, h @ A.T),
    )


def _part(part: object) -> Isometry | None:
    return isometry(part) if isinstance(part, LegendreFunction) else None


@isometry_of.register
def _(structure: Product, R: LegendreFunction) -> Isometry | None:
    found = [_part(p) for p in structure.parts]
    parts = [p for p in found if p is not None]
    if len(parts) < len(found):
        return None
    blocks = structure.blocks
    images = consecutive([sum(f.ambient_dim for f in p.forms) for p in parts])

    def jacobian(w: Array) -> Array:
        J = np.zeros((*np.shape(w)[:-1], images[-1].stop, structure.dim))
        for p, block, image in zip(parts, blocks, images, strict=True):
            J[..., image, block] = p.jacobian(w[..., block])
        return J

    return Isometry(
        tuple(f for p in parts for f in p.forms),
        lambda w: np.concatenate([p.forward(w[..., b]) for p, b in zip(parts, blocks, strict=True)], axis=-1),
        lambda y: np.concatenate([p.inverse(y[..., i]) for p, i in zip(parts, images, strict=True)], axis=-1),
        jacobian,
        lambda y, w, h: np.concatenate(
            [p.change(y[..., b], w[..., b], h[..., b]) for p, b in zip(parts, blocks, strict=True)], axis=-1
        ),
    )


@isometry_of.register
def _(structure: Separable, R: LegendreFunction) -> Isometry | None:
    return isometry_of(structure.ridges, R) if structure.uniform else None


@isometry_of.register
def _(structure: Ridges, R: LegendreFunction) -> Isometry | None:
    """D = d ridges are flat; d + 1 entropies whose arguments add up to c are the sphere of radius 2 sqrt(c)."""
    s = structure
    a, b = s.directions, s.offsets
    m, d = a.shape
    sphere = m == d + 1 and all(p is PROFILES["entropy"] for p in s.profiles) and np.abs(a.sum(0)).max() < 1e-14
    if not (sphere or m == d):
        return None
    form = SpaceForm(1 / (4 * b.sum()), m) if sphere else SpaceForm(0.0, m)
    back = np.linalg.pinv(a)

    def columns(which: str, w: Array) -> Array:
        args = exact.affine(w, a, b)
        return np.stack([getattr(p, which)(args[..., k]) for k, p in enumerate(s.profiles)], axis=-1)

    def change(y: Array, w: Array, h: Array) -> Array:
        s, t, along = exact.affine(y, a, b), exact.affine(w, a, b), h @ a.T
        return np.stack(
            [p.root_difference(s[..., k], t[..., k], along[..., k]) for k, p in enumerate(structure.profiles)], axis=-1
        )

    def inverse(y: Array) -> Array:
        y = np.asarray(y, dtype=float)
        args = np.stack([_invert(p, y[..., k]) for k, p in enumerate(s.profiles)], axis=-1)
        return (args - b) @ back.T

    return Isometry(
        (form,),
        lambda w: columns("root_integral", w),
        inverse,
        lambda w: columns("root_curvature", w)[..., None] * a,
        change,
    )


def _invert(profile: Profile, y: Array) -> Array:
    """The s with phi(s) = y, phi = int sqrt(r'') increasing, by Newton with bisection; NaN where there is none."""
    if profile is PROFILES["entropy"]:
        return np.where(y > 0, y**2 / 4, np.nan)
    lower, upper = profile.domain
    s = np.full(y.shape, (lower + upper) / 2 if np.isfinite(lower + upper) else np.clip(0.0, lower + 1, upper - 1))
    low, high = np.full(y.shape, lower), np.full(y.shape, upper)
    with np.errstate(all="ignore"):
        for _ in range(INVERSION_STEPS):
            gap = profile.root_integral(s) - y
            low, high = np.where(gap < 0, s, low), np.where(gap > 0, s, high)
            step = s - gap / profile.root_curvature(s)
            fallback = np.where(
                np.isfinite(low) & np.isfinite(high),
                (low + high) / 2,
                np.where(np.isfinite(low), 2 * s - low + 1, np.where(np.isfinite(high), 2 * s - high - 1, step)),
            )
            moved = np.where((step > low) & (step < high), step, fallback)
            done = np.abs(moved - s) <= 4e-16 * np.abs(s) + 1e-300
            s = moved
            if done.all() or not (np.abs(s) < 1e150).all():
                break
        return np.where(np.abs(profile.root_integral(s) - y) <= 1e-10 * (1 + np.abs(y)), s, np.nan)


@isometry_of.register
def _(structure: LogSumExp, R: LegendreFunction) -> Isometry | None:
    """2 sqrt(p) of all d + 1 classes, on the sphere of radius 2; from log p, so that rare classes keep their digits."""

    def forward(w: Array) -> Array:
        z = with_zero(w)
        z = z - autodiff.largest(z)
        return 2 * anp.exp((z - anp.log(anp.sum(anp.exp(z), axis=-1, keepdims=True))) / 2)

    def inverse(y: Array) -> Array:
        return 2 * (np.log(y[..., 1:]) - np.log(y[..., :1]))

    def jacobian(w: Array) -> Array:
        p, n = probabilities(w), structure.dim + 1
        others = np.ones((n, n)) - np.eye(n)
        own = np.matmul(p, others)[..., None] * np.eye(n) - p[..., None, :] * others
        return (forward(w)[..., None] * own / 2)[..., 1:]

    def change(y: Array, w: Array, h: Array) -> Array:
        e, start = log_changes(y, w, h) / 2, forward(w)
        near = np.abs(h).max(axis=-1, keepdims=True) < 1
        return np.where(near, start * np.expm1(np.where(near, e, 0.0)), forward(y) - start)

    return Isometry((SpaceForm(0.25, structure.dim + 1),), forward, inverse, jacobian, change)


@isometry_of.register
def _(structure: Pullback, R: LegendreFunction) -> Isometry | None:
    """The hyperbolic plane du^2 + cosh(u)^2 dv^2 is the half plane e^v (tanh u, 1 / cosh u), here of curvature -1/2."""
    from_charts = structure.inverse
    if from_charts is None:
        return None
    flat = [model == "euclidean" for model, _ in structure.pieces]
    sizes = [int(np.shape(chart(R.domain.interior_point()))[-1]) for _, chart in structure.pieces]
    forms: tuple[Form, ...] = tuple(
        SpaceForm(0.0, m) if f else HalfPlane(-0.5) for f, m in zip(flat, sizes, strict=True)
    )
    charts = [chart if f else _half_plane(chart) for f, (_, chart) in zip(flat, structure.pieces, strict=True)]
    changes = [_difference_of(chart) for chart in charts]
    if structure.steps:
        charts, changes = [chart for chart, _ in structure.steps], [change for _, change in structure.steps]

    def chart_of(y: Array) -> Array:
        return np.stack([np.arcsinh(y[..., 0] / y[..., 1]), np.log(np.hypot(y[..., 0], y[..., 1]))], axis=-1)

    def forward(w: Array) -> Array:
        return anp.concatenate([chart(w) for chart in charts], axis=-1)

    def inverse(y: Array) -> Array:
        parts = [y[..., block] for block in consecutive([form.ambient_dim for form in forms])]
        return from_charts(*(p if f else chart_of(p) for f, p in zip(flat, parts, strict=True)))

    def change(y: Array, w: Array, h: Array) -> Array:
        return np.concatenate([step(y, w, h) for step in changes], axis=-1)

    return Isometry(forms, forward, inverse, autodiff.jacobian(forward), change)


def _half_plane(chart: Map) -> Map:
    """The half plane from (u, v)."""

    def coordinates(w: Array) -> Array:
        c = chart(w)
        return anp.exp(c[..., 1:]) * anp.stack([anp.tanh(c[..., 0]), 1 / anp.cosh(c[..., 0])], axis=-1)

    return coordinates


def _difference_of(chart: Map) -> Pairwise:
    return lambda y, w, h: np.asarray(chart(y)) - np.asarray(chart(w))
