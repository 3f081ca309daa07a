"""Hessian metrics that are isometric to products of spheres, Euclidean and hyperbolic spaces: closed-form geodesics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow import autodiff, composition
from geoflow._validate import describe
from geoflow.errors import DomainError
from geoflow.legendre import LegendreFunction
from geoflow.profiles import Profile, profiles

INVERSION_STEPS = 200


@dataclass(frozen=True)
class SpaceForm:
    """A complete space of constant curvature in R^m: {<x, x> = 1 / curvature}, or R^m itself where it is 0.

    For negative curvature the first coordinate is timelike, <x, y> = -x_1 y_1 + x_2 y_2 + ...

    Parameters
    ----------
    curvature : float
    ambient_dim : int
    """

    curvature: float
    ambient_dim: int

    @property
    def signature(self) -> np.ndarray:
        """Signs of the ambient inner product, shape=[m]."""
        signs = np.ones(self.ambient_dim)
        if self.curvature < 0:
            signs[0] = -1.0
        return signs

    def inner(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """<u, v>, shape=[...]."""
        return np.einsum("...i,...i,i->...", u, v, self.signature)

    def norm(self, u: np.ndarray) -> np.ndarray:
        """Length of tangent vectors, shape=[...]."""
        return np.sqrt(np.maximum(self.inner(u, u), 0.0))

    def exp(self, u: np.ndarray, x: np.ndarray) -> np.ndarray:
        """End at time 1 of the geodesic from x with velocity u, shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return x + u
        angle = np.sqrt(abs(k)) * self.norm(u)[..., None]
        if k > 0:
            return np.cos(angle) * x + np.sinc(angle / np.pi) * u
        ratio = np.where(angle < 1e-4, 1 + angle**2 / 6, np.sinh(angle) / np.where(angle < 1e-4, 1.0, angle))
        return np.cosh(angle) * x + ratio * u

    def log(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The shortest u with exp(u, x) = y, shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return y - x
        across = y - k * self.inner(x, y)[..., None] * x
        # the angle from the chord: arccos would lose half the digits of close points
        half = np.sqrt(abs(k)) * self.norm(y - x) / 2
        angle = 2 * (np.arcsin(np.minimum(half, 1.0)) if k > 0 else np.arcsinh(half))
        length = np.sqrt(abs(k)) * self.norm(across)
        ratio = np.where(length > 1e-12, angle / np.where(length > 1e-12, length, 1.0), 1.0)
        return ratio[..., None] * across

    def transport(self, t: np.ndarray, u: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Parallel transport of t along the geodesic from x with velocity u, to its end; shape=[..., m]."""
        k = self.curvature
        if k == 0:
            return t
        y, square = self.exp(u, x), self.inner(u, u)
        angle = np.sqrt(abs(k) * np.maximum(square, 0.0))[..., None]
        along = self.inner(t, u) / np.where(square > 0, square, 1.0)
        arrival = np.cos(angle) * u - k * square[..., None] * np.sinc(angle / np.pi) * x
        if k < 0:
            ratio = np.where(angle < 1e-4, 1 + angle**2 / 6, np.sinh(angle) / np.where(angle < 1e-4, 1.0, angle))
            arrival = np.cosh(angle) * u - k * square[..., None] * ratio * x
        moved = t + along[..., None] * (arrival - u)
        # tangent at y to rounding
        return moved - k * self.inner(moved, y)[..., None] * y


@dataclass(frozen=True)
class Isometry:
    """An isometry Phi of a Hessian manifold onto an open, geodesically convex part of a product of space forms.

    Attributes
    ----------
    forms : tuple of SpaceForm
    forward : callable
        w to Phi(w), shape=[..., d] to [..., m], m the sum of the ambient dimensions; in autograd.numpy.
    inverse : callable
        Phi(w) to w; outside the image, anything or NaN.
    jacobian : callable
        dPhi, shape=[..., m, d].
    """

    forms: tuple[SpaceForm, ...]
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    jacobian: Callable[[Any], Any]

    def each(self, what: str, *arrays: np.ndarray) -> np.ndarray:
        """A map of the space forms, block by block."""
        ends = np.cumsum([f.ambient_dim for f in self.forms])
        parts = [
            getattr(f, what)(*(a[..., end - f.ambient_dim : end] for a in arrays))
            for f, end in zip(self.forms, ends, strict=True)
        ]
        return np.concatenate(parts, axis=-1)

    @property
    def signature(self) -> np.ndarray:
        return np.concatenate([f.signature for f in self.forms])

    def push(self, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        """dPhi(w).v, shape=[..., m]."""
        return np.einsum("...Di,...i->...D", self.jacobian(w), v)

    def pull(self, u: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The v with dPhi(w).v = u, shape=[..., d]."""
        J = self.jacobian(w)
        dual = np.einsum("...Di,D->...iD", J, self.signature)
        return np.linalg.solve(dual @ J, np.einsum("...iD,...D->...i", dual, u)[..., None])[..., 0]

    def exp(self, v: np.ndarray, w: np.ndarray, domain: Any) -> np.ndarray:
        """End of the geodesic from w with velocity v, or `DomainError` where it leaves the domain."""
        x, u = np.asarray(self.forward(w)), self.push(v, w)
        y = self.each("exp", u, x)
        with np.errstate(all="ignore"):
            end = np.asarray(self.inverse(y), dtype=float)
            inside = np.asarray(domain.belongs(end))
            back = np.asarray(self.forward(np.where(inside[..., None], end, w)))
        ok = inside & (np.abs(back - y).max(-1) <= 1e-7 * (1 + np.abs(y).max(-1)))
        # the image is convex, but a great circle that leaves it comes back after half a turn
        start = 0
        for f in self.forms:
            if f.curvature > 0:
                ok &= np.sqrt(f.curvature) * f.norm(u[..., start : start + f.ambient_dim]) < np.pi
            start += f.ambient_dim
        if not ok.all():
            index = tuple(int(i) for i in np.argwhere(~ok)[0])
            raise DomainError(
                "geodesic leaves the domain",
                got=f"tangent vector {describe(v[index])} at {describe(w[index])}"
                + (f", batch entry {index}" if index else ""),
                wanted=f"a geodesic that stays in {domain} to t = 1",
                remedy="scale the tangent vector down",
                index=index,
                point=w[index],
            )
        return end

    def log(self, y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The v with exp(v, w) = y, shape=[..., d]."""
        return self.pull(self.each("log", np.asarray(self.forward(y)), np.asarray(self.forward(w))), w)

    def transport(self, t: np.ndarray, v: np.ndarray, w: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Parallel transport of t from w along the geodesic with velocity v to its end; shape=[..., d]."""
        moved = self.each("transport", self.push(t, w), self.push(v, w), np.asarray(self.forward(w)))
        return self.pull(moved, end)


def isometry(R: LegendreFunction) -> Isometry | None:
    """An isometry of (int dom R, hess R) to a product of space forms, read off the structure of R; None if unknown."""
    direct = _by_structure(R)
    if direct is not None:
        return direct
    if R._conjugate is not None:  # the same manifold in its other chart
        other, Q = _by_structure(R._conjugate), R._conjugate
        if other is not None:
            forward, inverse, jacobian = other.forward, other.inverse, other.jacobian
            return Isometry(
                other.forms,
                lambda w: forward(R.gradient(w)),
                lambda y: _where_inside(Q, inverse(y)),
                lambda w: jacobian(R.gradient(w)) @ R.hessian(w),
            )
    return None


def _where_inside(Q: LegendreFunction, mu: np.ndarray) -> np.ndarray:
    """grad Q(mu), NaN outside the domain of Q."""
    inside = np.asarray(Q.domain.belongs(mu))
    safe = np.where(inside[..., None], mu, Q.domain.interior_point())
    return np.where(inside[..., None], Q.gradient(safe), np.nan)


def _by_structure(R: LegendreFunction) -> Isometry | None:
    s: Any = R.structure
    if isinstance(s, composition.Ridges):
        return _of_ridges(s)
    if isinstance(s, composition.Pullback):
        return _of_pullback(s, R)
    if isinstance(s, composition.Scaled):
        return _scaled(isometry(s.part), float(np.sqrt(s.factor)))
    if isinstance(s, composition.Affine) and s.A.shape[0] == s.A.shape[1]:
        inner = isometry(s.part)
        if inner is None:
            return None
        A, b, inverse_A = s.A, s.b, np.linalg.inv(s.A)
        return Isometry(
            inner.forms,
            lambda w: inner.forward(w @ A.T + b),
            lambda y: (inner.inverse(y) - b) @ inverse_A.T,
            lambda w: inner.jacobian(w @ A.T + b) @ A,
        )
    if isinstance(s, composition.Product):
        return _of_product(s)
    return None


def _scaled(part: Isometry | None, root: float) -> Isometry | None:
    """Lengths multiplied by `root`, curvatures divided by its square."""
    if part is None:
        return None
    forward, inverse, jacobian = part.forward, part.inverse, part.jacobian
    return Isometry(
        tuple(SpaceForm(f.curvature / root**2, f.ambient_dim) for f in part.forms),
        lambda w: root * forward(w),
        lambda y: inverse(y / root),
        lambda w: root * jacobian(w),
    )


def _of_product(s: composition.Product) -> Isometry | None:
    found = [isometry(p) for p in s.parts]
    parts = [p for p in found if p is not None]
    if len(parts) < len(found):
        return None
    ends = np.cumsum([p.dim for p in s.parts])
    blocks = [slice(end - p.dim, end) for p, end in zip(s.parts, ends, strict=True)]
    sizes = [sum(f.ambient_dim for f in p.forms) for p in parts]
    images = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes), strict=True)]

    def jacobian(w: Any) -> np.ndarray:
        J = np.zeros((*np.shape(w)[:-1], sum(sizes), int(ends[-1])))
        for p, block, image in zip(parts, blocks, images, strict=True):
            J[..., image, block] = p.jacobian(w[..., block])
        return J

    return Isometry(
        tuple(f for p in parts for f in p.forms),
        lambda w: np.concatenate([p.forward(w[..., b]) for p, b in zip(parts, blocks, strict=True)], axis=-1),
        lambda y: np.concatenate([p.inverse(y[..., i]) for p, i in zip(parts, images, strict=True)], axis=-1),
        jacobian,
    )


def _of_ridges(s: composition.Ridges) -> Isometry | None:
    """D = d ridges are flat; d + 1 entropies whose arguments add up to c are the sphere of radius 2 sqrt(c)."""
    a, b = s.directions, s.offsets
    m, d = a.shape
    sphere = m == d + 1 and all(p is profiles["entropy"] for p in s.profiles) and np.abs(a.sum(0)).max() < 1e-14
    if not (sphere or m == d):
        return None
    form = SpaceForm(1 / (4 * b.sum()), m) if sphere else SpaceForm(0.0, m)
    back = np.linalg.pinv(a)

    def columns(which: str, w: Any) -> np.ndarray:
        args = w @ a.T + b
        return np.stack([getattr(p, which)(args[..., k]) for k, p in enumerate(s.profiles)], axis=-1)

    def inverse(y: Any) -> np.ndarray:
        y = np.asarray(y, dtype=float)
        args = np.stack([_invert(p, y[..., k]) for k, p in enumerate(s.profiles)], axis=-1)
        return (args - b) @ back.T

    return Isometry(
        (form,),
        lambda w: columns("root_integral", w),
        inverse,
        lambda w: columns("root_curvature", w)[..., None] * a,
    )


def _invert(profile: Profile, y: np.ndarray) -> np.ndarray:
    """The s with phi(s) = y, phi = int sqrt(r'') increasing, by Newton with bisection; NaN where there is none."""
    lower, upper = profile.domain
    s = np.full(y.shape, 0.5 * (lower + upper) if np.isfinite(lower + upper) else _inside(lower, upper))
    if profile is profiles["entropy"]:
        return np.where(y > 0, y**2 / 4, np.nan)
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


def _inside(lower: float, upper: float) -> float:
    if np.isfinite(lower):
        return lower + 1.0
    return upper - 1.0 if np.isfinite(upper) else 0.0


def _of_pullback(s: composition.Pullback, R: LegendreFunction) -> Isometry | None:
    """The hyperbolic plane du^2 + cosh(u)^2 dv^2 is (cosh u cosh v, cosh u sinh v, sinh u), here of curvature -1/2."""
    from_charts = s.inverse
    if from_charts is None:
        return None
    root = np.sqrt(2.0)
    forms, maps, inverses, start = [], [], [], 0
    for model, chart in s.pieces:
        size = int(np.shape(chart(R.domain.interior_point()))[-1])
        if model == "euclidean":
            forms.append(SpaceForm(0.0, size))
            maps.append(chart)
            inverses.append((slice(start, start + size), None))
            start += size
        else:
            forms.append(SpaceForm(-0.5, 3))
            maps.append(partial(_scaled_hyperboloid, chart))
            inverses.append((slice(start, start + 3), root))
            start += 3

    def forward(w: Any) -> Any:
        return anp.concatenate([f(w) for f in maps], axis=-1)

    def inverse(y: Any) -> np.ndarray:
        charts = []
        for block, radius in inverses:
            part = y[..., block]
            if radius is not None:
                u = np.arcsinh(part[..., 2] / radius)
                part = np.stack([u, np.arcsinh(part[..., 1] / (radius * np.cosh(u)))], axis=-1)
            charts.append(part)
        return from_charts(*charts)

    return Isometry(tuple(forms), forward, inverse, autodiff.jacobian(forward))


def _scaled_hyperboloid(chart: Callable[[Any], Any], w: Any) -> Any:
    return np.sqrt(2.0) * _hyperboloid(chart(w))


def _hyperboloid(c: Any) -> Any:
    u, v = c[..., 0], c[..., 1]
    return anp.stack([anp.cosh(u) * anp.cosh(v), anp.cosh(u) * anp.sinh(v), anp.sinh(u)], axis=-1)
