"""Convex functions of one variable, the profiles of ridge sums, with the integral of the root of their curvature.

A ridge r(<a, w> + b) contributes r'' a a^T to a Hessian metric, and phi(<a, w> + b) with phi = int sqrt(r'') to its
isometric embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.polynomial import chebyshev

from geoflow import autodiff
from geoflow._validate import describe
from geoflow.errors import ArgumentError, ConvergenceError, NotLegendreError

PANEL_DEGREE = 24
PANELS = 4000


class Profile:
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
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        domain: tuple[float, float] | None = None,
        derivatives: tuple[Callable[[Any], Any], ...] = (),
        root_integral: Callable[[Any], Any] | None = None,
        name: str = "r",
    ):
        if not callable(function):
            raise ArgumentError("profile", got=type(function).__name__, wanted="a name or a callable r(s)")
        self.name, self._levels = name, [function, *derivatives]
        self.domain = _finite_interval(function) if domain is None else (float(domain[0]), float(domain[1]))
        if not self.domain[0] < self.domain[1]:
            raise ArgumentError("domain of a profile", got=repr(self.domain), wanted="(lower, upper), lower < upper")
        self.has_closed_integral = root_integral is not None
        self._integral = root_integral

    def __call__(self, s: Any) -> Any:
        """r(s), entry by entry."""
        return self._levels[0](s)

    def derivative(self, order: int, s: Any) -> Any:
        """The derivative of r of an order up to 3, entry by entry."""
        while len(self._levels) <= order:
            self._levels.append(_derivative(self._levels[-1]))
        return self._levels[order](s)

    def root_integral(self, s: Any) -> onp.ndarray:
        """phi(s) = int sqrt(r''), up to a constant; entry by entry.

        Raises
        ------
        NotLegendreError
            Where r'' is not positive.
        """
        if self._integral is None:
            centre = _interior(self.domain)
            self._integral = Antiderivative(self.root_curvature, centre, self.name)
        return onp.asarray(self._integral(onp.asarray(s, dtype=float)))

    def root_curvature(self, s: Any) -> onp.ndarray:
        """sqrt(r''(s)), the derivative of `root_integral`."""
        with onp.errstate(all="ignore"):
            curvature = onp.asarray(self.derivative(2, onp.asarray(s, dtype=float)), dtype=float)
        bad = ~(curvature >= 0)
        if bad.any():
            where = onp.asarray(s, dtype=float)[bad].ravel()[0]
            raise NotLegendreError(
                f"profile {self.name} is not convex",
                got=f"r'' = {curvature[bad].ravel()[0]:.3g} at s = {where:.6g}",
                wanted="r'' > 0 on the domain of the profile",
                remedy="check the profile, or give its domain",
                point=where,
            )
        return onp.sqrt(curvature)

    def __repr__(self) -> str:
        return f"Profile({self.name} on ({self.domain[0]:g}, {self.domain[1]:g}))"


class Antiderivative:
    """int_c^s g, by Chebyshev panels that are halved until each is resolved to rounding, over what has been asked for.

    Parameters
    ----------
    function : callable
        g, smooth where it is asked for, entry by entry.
    centre : float
        c.
    name : str
    """

    def __init__(self, function: Callable[[onp.ndarray], onp.ndarray], centre: float, name: str = "g"):
        self._g, self._name = function, name
        k = onp.arange(PANEL_DEGREE + 1)
        self._nodes = onp.cos(onp.pi * (k + 0.5) / (PANEL_DEGREE + 1))
        self._transform = 2 / (PANEL_DEGREE + 1) * chebyshev.chebvander(self._nodes, PANEL_DEGREE).T
        self._transform[0] /= 2
        self._edges = onp.array([centre])  # increasing
        self._series = onp.zeros((0, PANEL_DEGREE + 2))  # antiderivative on each panel, with its constant

    def __call__(self, s: onp.ndarray) -> onp.ndarray:
        s = onp.asarray(s, dtype=float)
        if s.size == 0 or not onp.isfinite(s).all():
            return onp.full(s.shape, onp.nan)
        self._cover(float(s.min()), float(s.max()))
        if len(self._edges) == 1:
            return onp.zeros(s.shape)
        panel = onp.clip(onp.searchsorted(self._edges, s) - 1, 0, len(self._series) - 1)
        low, high = self._edges[panel], self._edges[panel + 1]
        t = (2 * s - low - high) / (high - low)
        return onp.einsum("...k,...k->...", chebyshev.chebvander(t, PANEL_DEGREE + 1), self._series[panel])

    def _cover(self, low: float, high: float) -> None:
        if high > self._edges[-1]:
            edges, series = self._panels(self._edges[-1], high)
            constant = self._series[-1].sum() if len(self._series) else 0.0
            series[:, 0] += constant
            self._edges = onp.concatenate([self._edges, edges[1:]])
            self._series = onp.concatenate([self._series, series])
        if low < self._edges[0]:
            edges, series = self._panels(low, self._edges[0])
            start = (self._series[0] * (-1.0) ** onp.arange(PANEL_DEGREE + 2)).sum() if len(self._series) else 0.0
            series[:, 0] += start - series[-1].sum()
            self._edges = onp.concatenate([edges[:-1], self._edges])
            self._series = onp.concatenate([series, self._series])

    def _panels(self, low: float, high: float) -> tuple[onp.ndarray, onp.ndarray]:
        """Edges of panels from low to high and the antiderivative on each, 0 at low, continuous."""
        todo, done = [(low, high)], []
        while todo:
            a, b = todo.pop()
            values = self._g((a + b) / 2 + (b - a) / 2 * self._nodes)
            c = self._transform @ values
            if onp.abs(c[-4:]).max() <= 2e-15 * onp.abs(c).max() + 1e-300 or b - a <= 1e-13 * max(abs(a), abs(b)):
                done.append((a, b, chebyshev.chebint(c, lbnd=-1) * (b - a) / 2))
                continue
            if len(done) + len(todo) > PANELS:
                raise ConvergenceError(
                    f"integral of {self._name} from {low:.6g} to {high:.6g}",
                    got=f"not resolved by {PANELS} Chebyshev panels near {a:.6g}",
                    wanted="a smooth function",
                    remedy="give the closed form: Profile(..., root_integral=...)",
                )
            todo.extend([((a + b) / 2, b), (a, (a + b) / 2)])
        series = onp.stack([c for _, _, c in done])
        series[1:, 0] += onp.cumsum(series.sum(axis=1))[:-1]
        return onp.array([low, *(b for _, b, _ in done)]), series


def as_profile(profile: Any) -> Profile:
    """A Profile as given, by name, or from a callable."""
    if isinstance(profile, Profile):
        return profile
    if isinstance(profile, str):
        if profile not in profiles:
            raise ArgumentError("profile", got=repr(profile), wanted=f"one of {', '.join(profiles)}, or a callable")
        return profiles[profile]
    return Profile(profile, name=getattr(profile, "__name__", "r").replace("<lambda>", "r"))


def _derivative(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    df = autodiff.jacobian(lambda s: f(s[..., 0]))
    return lambda s: df(s[..., None])[..., 0]


def _interior(domain: tuple[float, float]) -> float:
    low, high = domain
    if onp.isfinite(low) and onp.isfinite(high):
        return (low + high) / 2
    return low + 1 if onp.isfinite(low) else high - 1 if onp.isfinite(high) else 0.0


def _finite_interval(f: Callable[[Any], Any]) -> tuple[float, float]:
    """The largest interval about a probe point on which r is finite, its ends by bisection."""

    def finite(s: Any) -> onp.ndarray:
        with onp.errstate(all="ignore"):
            return onp.isfinite(onp.asarray(f(onp.asarray(s, dtype=float)), dtype=float))

    size = onp.geomspace(1e-3, 100.0, 41)
    probes = onp.concatenate([-size[::-1], [0.0], size])
    inside = finite(probes)
    if inside.shape != probes.shape or not inside.any():
        raise ArgumentError(
            "profile",
            got=f"no finite value at {describe(probes)}",
            wanted="a function r(s), entry by entry, finite somewhere in [-100, 100]",
            remedy="give its interval: gf.Profile(r, domain=(lower, upper))",
        )
    first = int(onp.argmax(inside))
    last = first + int(onp.argmin(inside[first:])) if not inside[first:].all() else len(probes)

    def end(good: float, bad: float) -> float:
        for _ in range(200):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if finite(middle) else (good, middle)
        nearest = float(onp.round(bad, 9))
        return nearest if abs(nearest - bad) < 1e-12 else bad

    low = end(probes[first], probes[first - 1]) if first > 0 else -onp.inf
    high = end(probes[last - 1], probes[last]) if last < len(probes) else onp.inf
    return low, high


def _hyperbolic_integral(s: Any) -> Any:
    from scipy.special import hyp2f1

    return s * hyp2f1(0.25, 0.5, 1.5, -onp.square(s))


def _sech(s: Any) -> Any:
    e = np.exp(-np.abs(s))
    return 2 * e / (1 + e * e)


_R = (-onp.inf, onp.inf)
profiles: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile(lambda s: s * s / 2, _R, (lambda s: s, lambda s: np.ones(np.shape(s)), lambda s: np.zeros(np.shape(s))),
                lambda s: s, "quadratic"),
        Profile(lambda s: s * np.log(s) - s, (0.0, onp.inf), (np.log, lambda s: 1 / s, lambda s: -1 / s**2),
                lambda s: 2 * onp.sqrt(s), "entropy"),
        Profile(lambda s: -np.log(s), (0.0, onp.inf), (lambda s: -1 / s, lambda s: 1 / s**2, lambda s: -2 / s**3),
                onp.log, "log_barrier"),
        Profile(lambda s: s * np.log(s) + (1 - s) * np.log(1 - s), (0.0, 1.0),
                (lambda s: np.log(s) - np.log1p(-s), lambda s: 1 / (s * (1 - s)),
                 lambda s: (2 * s - 1) / (s * (1 - s)) ** 2), lambda s: 2 * onp.arcsin(onp.sqrt(s)), "fermi_dirac"),
        Profile(lambda s: s * np.arcsinh(s) - np.sqrt(1 + s**2), _R,
                (np.arcsinh, lambda s: 1 / np.sqrt(1 + s**2), lambda s: -s / (1 + s**2) ** 1.5),
                _hyperbolic_integral, "hyperbolic_entropy"),
        Profile(lambda s: np.logaddexp(0.0, s), _R,
                (lambda s: (1 + np.tanh(s / 2)) / 2, lambda s: _sech(s / 2) ** 2 / 4,
                 lambda s: -_sech(s / 2) ** 2 * np.tanh(s / 2) / 4),
                lambda s: 2 * onp.arctan(onp.tanh(s / 4)), "softplus"),
        Profile(np.exp, _R, (np.exp, np.exp, np.exp), lambda s: 2 * onp.exp(s / 2), "exp"),
        Profile(lambda s: s**4 / 4 + s**2 / 2, _R, (lambda s: s**3 + s, lambda s: 3 * s**2 + 1, lambda s: 6 * s),
                lambda s: s * onp.sqrt(1 + 3 * s**2) / 2 + onp.arcsinh(onp.sqrt(3) * s) / (2 * onp.sqrt(3)), "quartic"),
    )
}  # fmt: skip
