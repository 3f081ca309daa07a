"""Convex functions of one variable, the profiles of ridge sums, with the integral of the root of their curvature.

A ridge r(<a, w> + b) contributes r'' a a^T to a Hessian metric, and phi(<a, w> + b) with phi = int sqrt(r'') to its
isometric embedding.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Map, Mask
from geoflow._validate import describe, require_flag
from geoflow.errors import ArgumentError, NotLegendreError, in_a_line
from geoflow.numerics import autodiff
from geoflow.numerics.chebyshev import Antiderivative
from geoflow.numerics.culprits import blame
from geoflow.numerics.differences import slopes
from geoflow.numerics.jets import Remembered
from geoflow.numerics.probes import Points, probe_closed, usable_points
from geoflow.numerics.quadrature import ORDERS, gauss
from geoflow.numerics.records import quiet
from geoflow.potentials import divergence
from geoflow.potentials.divergence import Pairwise
from geoflow.spaces.domains import Box


class Profile(Portable):
    """A convex function r on an open interval.

    Parameters
    ----------
    function : callable
        r(s), entry by entry, in autograd.numpy.
    domain : tuple of float, optional
        The interval; by default found by probing where r is finite.
    derivatives : sequence of callables, optional
        Closed forms of r', r'', r'''; what is missing is differentiated automatically.
    root_integral : callable, optional
        Closed form of phi(s) = int sqrt(r''); computed from Chebyshev panels to 1e-14 where it is missing.
    name : str
    check : bool
        Derivatives and the integral are compared with differences; False believes them.

    Raises
    ------
    ArgumentError
        When a derivative, closed or automatic, is not that of r, or the integral not that of sqrt(r'').
    """

    def __init__(
        self,
        function: Map,
        domain: tuple[float, float] | None = None,
        derivatives: tuple[Map, ...] = (),
        root_integral: Map | None = None,
        name: str = "r",
        check: bool = True,
    ):
        if not callable(function):
            raise ArgumentError("profile", got=type(function).__name__, wanted="a name or a callable r(s)")
        self.name, self._levels = name, [function, *derivatives]
        self.domain = _finite_interval(function) if domain is None else (float(domain[0]), float(domain[1]))
        if not self.domain[0] < self.domain[1]:
            raise ArgumentError("domain of a profile", got=repr(self.domain), wanted="(lower, upper), lower < upper")
        self.conjugate: Profile | None = None
        self.has_closed_integral = root_integral is not None
        self._integral = root_integral
        #: D_r(s, t) and phi(s) - phi(t) as closed forms of (s, t, s - t), where they are known
        self.divergence: Pairwise | None = None
        self.root_gap: Pairwise | None = None
        require_flag(check)
        self._given = len(derivatives)
        #: whether r'' and the integral come from closed forms, and whether those are the library's own
        self.curvature_is_given, self.integral_is_given = self._given > 0, self.has_closed_integral
        self.own_forms = False
        if check:
            self.probe()

    def probe(self) -> None:
        """Hold r, its three derivatives and the integral against each other, at points of the interval."""
        region = Box(*self.domain)
        points = np.concatenate([region.random_point(3, rng=0), region.random_point(3, bound=0.2, rng=1)])
        with quiet():
            at = usable_points(self._column(0), [points], self.name)
            v = at.x - region.interior_point() + 1e-3 * np.abs(at.x)
            for order in range(1, 4):
                what = f"derivative of order {order} of profile {self.name}" + (
                    ": derivatives=" if order <= self._given else " by autograd"
                )
                try:
                    self._compare(at, v, self._column(order), self._column(order - 1), what)
                except (ArgumentError, TypeError, ValueError) as error:
                    reason = "" if order <= self._given else blame(self._levels[self._given], at.x[:, 0], 2)
                    if not reason:
                        raise
                    raise ArgumentError(
                        f"profile {self.name} {reason}", str(error)[:200], "a profile r(s) in autograd.numpy",
                        "or give its derivatives; check=False believes it",
                    ) from error  # fmt: skip
            if self._integral is not None:
                what = f"root_integral of profile {self.name}: root_integral="
                self._compare(at, v, lambda x: np.sqrt(self.derivative(2, x)), self._integral, what)

    def _column(self, order: int) -> Map:
        return lambda x: self.derivative(order, x)

    def _compare(self, at: Points, v: Array, closed: Map, of: Map, what: str) -> None:
        given = np.asarray(closed(at.x), dtype=float) * v
        probe_closed(given, lambda width: slopes(of, at.x, v, width), what, "the profile", at, np.abs(given))

    def __call__(self, s: Array) -> Array:
        """r(s), entry by entry."""
        return self._levels[0](s)

    def derivative(self, order: int, s: Array) -> Array:
        """The derivative of r of an order up to 3, entry by entry."""
        return self._level(order)(s)

    def _level(self, order: int) -> Map:
        while len(self._levels) <= order:
            self._levels.append(_Automatic(self._levels[self._given], len(self._levels) - self._given))
        return self._levels[order]

    def root_integral(self, s: ArrayLike) -> Array:
        """phi(s) = int sqrt(r''), up to a constant, entry by entry; raises `NotLegendreError` where r'' < 0."""
        if self._integral is None:
            centre = float(Box(*self.domain).interior_point()[0])
            self._integral = Antiderivative(self.root_curvature, centre, self.name)
        return np.asarray(self._integral(np.asarray(s, dtype=float)))

    def root_difference(self, s: Array, t: Array, h: Array) -> Array:
        """phi(s) - phi(t) with h = s - t, entry by entry, to all digits of h."""
        if self.root_gap is not None:
            return self.root_gap(s, t, h)
        s, t, h = np.broadcast_arrays(s, t, h)
        upper, lower = (np.reshape(self.root_integral(end), s.shape) for end in (s, t))
        result = np.array(upper - lower)
        size, noise = np.abs(upper) + np.abs(lower), 0.0 if self.has_closed_integral else 1e-13
        close = (np.abs(result) < 1e-3 * size) | (noise > 0)
        if close.any():
            base, way = t[close], h[close]
            low, high = (
                sum((weight * self.root_curvature(base + x * way) for x, weight in zip(*gauss(n), strict=True)), 0.0)
                for n in ORDERS
            )
            agree = np.abs(low - high) <= 1e-12 * np.abs(high)
            agree &= np.abs(way * high - result[close]) <= 1e-9 * size[close] + noise  # what both orders miss
            result[close] = np.where(agree, way * high, result[close])
        return result

    def root_curvature(self, s: ArrayLike) -> Array:
        """sqrt(r''(s)), the derivative of `root_integral`."""
        s = np.asarray(s, dtype=float)
        with np.errstate(all="ignore"):
            return self._root(s, self.derivative(2, s))

    def root_slopes(self, s: Array) -> tuple[Array, Array]:
        """sqrt(r''(s)) and its derivative r'''(s) / (2 sqrt(r''(s))), by one pass where r'' and r''' are automatic."""
        with np.errstate(all="ignore"):
            third = self._level(3)
            both = third.with_lower(s) if isinstance(third, _Automatic) else None
            curvature, bend = both or (self.derivative(2, s), third(s))
            root = self._root(s, curvature)
            return root, np.asarray(bend, dtype=float) / (2 * root)

    def _root(self, s: Array, curvature: Array) -> Array:
        curvature = np.asarray(curvature, dtype=float)
        bad = ~(curvature >= 0)
        if bad.any():
            where = s[bad].ravel()[0]
            raise NotLegendreError(
                f"profile {self.name} is not convex",
                got=f"r'' = {curvature[bad].ravel()[0]:.3g} at s = {where:.6g}",
                wanted="r'' > 0 on the domain of the profile",
                remedy="check the profile, or give its domain",
                point=where,
            )
        return np.sqrt(curvature)

    def dual_to(self, other: Profile) -> Profile:
        """This profile, told that the other is its convex conjugate."""
        self.conjugate, other.conjugate = other, self
        return self

    def __repr__(self) -> str:
        return in_a_line(f"Profile({self.name} on ({self.domain[0]:g}, {self.domain[1]:g}))")


#: a profile, its name, or a function r(s)
ProfileLike: TypeAlias = Profile | str | Map


def as_profile(profile: ProfileLike) -> Profile:
    """A Profile as given, by name, or from a callable."""
    if isinstance(profile, Profile):
        return profile
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise ArgumentError("profile", got=repr(profile), wanted=f"one of {', '.join(PROFILES)}, or a callable")
        return PROFILES[profile]
    return Profile(profile, name=getattr(profile, "__name__", "r").replace("<lambda>", "r"))


class _Automatic(Portable):
    """The derivative of f of an order, entry by entry."""

    def __init__(self, f: Map, order: int):
        self._derivative, self._order = autodiff.derivative(lambda s: f(s[..., 0]), order), order

    def __call__(self, s: Array) -> Array:
        return self._entry(self._derivative(s[..., None]), self._order)

    def with_lower(self, s: Array) -> list[Array] | None:
        """The derivative of one order less, and this one; None where one pass does not have both."""
        if not isinstance(self._derivative, Remembered):
            return None
        both = self._derivative.fast_with_lower(s[..., None])
        return both and [self._entry(part, self._order + k - 1) for k, part in enumerate(both)]

    @staticmethod
    def _entry(derivative: Array, order: int) -> Array:
        at: Any = (..., *[0] * order)
        return derivative[at]


def _finite_interval(f: Map) -> tuple[float, float]:
    """The largest interval about a probe point on which r is finite, its ends by bisection."""

    def finite(s: ArrayLike) -> Mask:
        with np.errstate(all="ignore"):
            return np.isfinite(np.asarray(f(np.asarray(s, dtype=float)), dtype=float))

    size = np.geomspace(1e-3, 100.0, 41)
    probes = np.concatenate([-size[::-1], [0.0], size])
    inside = finite(probes)
    if inside.shape != probes.shape or not inside.any():
        raise ArgumentError(
            "profile",
            got=f"no finite value at {describe(probes)}",
            wanted="a function r(s), entry by entry, finite somewhere in [-100, 100]",
            remedy="give its interval: gf.Profile(r, domain=(lower, upper))",
        )
    first = int(np.argmax(inside))
    last = len(probes) if inside[first:].all() else first + int(np.argmin(inside[first:]))

    def end(good: float, bad: float) -> float:
        for _ in range(200):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if finite(middle) else (good, middle)
        nearest = float(np.round(bad, 9))
        return nearest if abs(nearest - bad) < 1e-12 else bad

    low = end(probes[first], probes[first - 1]) if first > 0 else -np.inf
    high = end(probes[last - 1], probes[last]) if last < len(probes) else np.inf
    return low, high


def _hyperbolic_integral(s: Array) -> Array:
    from scipy.special import hyp2f1

    return s * hyp2f1(0.25, 0.5, 1.5, -np.square(s))


def _expm1_of(h: Array) -> Array:
    """e^(|h| / 2) - 1 with the sign of h."""
    return np.sign(h) * np.expm1(np.abs(h) / 2)


def _logistic(s: Array) -> Array:
    """1 / (1 + e^-s), to all digits on both sides."""
    negative = s < 0
    e = anp.exp(anp.where(negative, s, 0.0))
    return anp.where(negative, e / (1 + e), 1 / (1 + anp.exp(-anp.where(negative, 0.0, s))))


def _logit(s: Array) -> Array:
    """log(s / (1 - s)), to all digits also at its zero."""
    middle = anp.abs(s - 0.5) < 0.25
    inner, outer = anp.where(middle, s, 0.5), anp.where(middle, 0.5, s)
    return anp.where(middle, 2 * anp.arctanh(2 * inner - 1), anp.log(outer) - anp.log1p(-outer))


def KNOWN(*arguments: Any, **named: Any) -> Profile:
    """A profile of the library's own closed forms, which the tests compare, and not every import."""
    profile = Profile(*arguments, **{**named, "check": False})
    profile.own_forms = True
    return profile


_R = (-np.inf, np.inf)
PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        KNOWN(lambda s: s * s / 2, _R,
                (lambda s: s, lambda s: anp.ones(anp.shape(s)), lambda s: anp.zeros(anp.shape(s))),
                lambda s: s, "quadratic"),
        KNOWN(lambda s: s * anp.log(s) - s, (0.0, np.inf), (anp.log, lambda s: 1 / s, lambda s: -1 / s**2),
                lambda s: 2 * np.sqrt(s), "entropy"),
        KNOWN(lambda s: -anp.log(s), (0.0, np.inf), (lambda s: -1 / s, lambda s: 1 / s**2, lambda s: -2 / s**3),
                np.log, "log_barrier"),
        KNOWN(lambda s: s * anp.log(s) + (1 - s) * anp.log1p(-s), (0.0, 1.0),
                (_logit, lambda s: 1 / (s * (1 - s)), lambda s: (2 * s - 1) / (s * (1 - s)) ** 2),
                lambda s: 2 * np.arctan2(np.sqrt(s), np.sqrt(1 - s)), "fermi_dirac"),
        KNOWN(lambda s: s * anp.arcsinh(s) - anp.sqrt(1 + s**2), _R,
                (anp.arcsinh, lambda s: 1 / anp.sqrt(1 + s**2), lambda s: -s / (1 + s**2) ** 1.5),
                _hyperbolic_integral, "hyperbolic_entropy"),
        KNOWN(lambda s: anp.logaddexp(0.0, s), _R,
                (_logistic, lambda s: _logistic(s) * _logistic(-s),
                 lambda s: -_logistic(s) * _logistic(-s) * anp.tanh(s / 2)),
                lambda s: 2 * np.arctan(np.tanh(s / 4)), "softplus"),
        KNOWN(lambda s: -1 - anp.log(-s), (-np.inf, 0.0),
                (lambda s: -1 / s, lambda s: 1 / s**2, lambda s: -2 / s**3), lambda s: -np.log(-s), "dual_log_barrier"),
        KNOWN(anp.cosh, _R, (anp.sinh, anp.cosh, anp.sinh), None, "cosh"),
        KNOWN(anp.exp, _R, (anp.exp, anp.exp, anp.exp), lambda s: 2 * np.exp(s / 2), "exp"),
        KNOWN(lambda s: s**4 / 4 + s**2 / 2, _R, (lambda s: s**3 + s, lambda s: 3 * s**2 + 1, lambda s: 6 * s),
                lambda s: s * np.sqrt(1 + 3 * s**2) / 2 + np.arcsinh(np.sqrt(3) * s) / (2 * np.sqrt(3)), "quartic"),
    )
}  # fmt: skip
for _name, _dual in [
    ("quadratic", "quadratic"), ("entropy", "exp"), ("log_barrier", "dual_log_barrier"), ("fermi_dirac", "softplus"),
    ("hyperbolic_entropy", "cosh"),
]:  # fmt: skip
    PROFILES[_name].dual_to(PROFILES[_dual])
for _name, _forms in {
    "quadratic": (divergence.quadratic, lambda s, t, h: h),
    "entropy": (divergence.entropy, lambda s, t, h: 2 * h / (np.sqrt(s) + np.sqrt(t))),
    "log_barrier": (divergence.log_barrier, lambda s, t, h: divergence.log_change(s, t, h)),
    "dual_log_barrier": (divergence.log_barrier, lambda s, t, h: -divergence.log_change(s, t, h)),
    "fermi_dirac": (divergence.fermi_dirac, divergence.arcsine_change),
    "softplus": (divergence.softplus, divergence.arctangent_change),
    "exp": (divergence.exp, lambda s, t, h: 2 * np.exp(np.minimum(s, t) / 2) * _expm1_of(h)),
    "hyperbolic_entropy": (divergence.hyperbolic_entropy, None),
    "cosh": (divergence.cosh, None),
    "quartic": (divergence.quartic, None),
}.items():
    PROFILES[_name].divergence, PROFILES[_name].root_gap = _forms
