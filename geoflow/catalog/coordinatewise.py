"""w_i = g(x_i): a scalar map on every coordinate; the Hessian metric is 1 / g'(x)^2.

Each scalar family gives E with E' = m, the mirror coordinate up to a constant; then mu = m(w) - m(w0) and
R(w) = E(w) - E(w0) - m(w0) (w - w0), summed over coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from geoflow.catalog.registry import Case, Entry, around, parametrizations
from geoflow.domains import Box, WholeSpace
from geoflow.legendre import LegendreFunction
from geoflow.parametrization import Parametrization

Scalar = Callable[[Any], Any]


def separable_legendre(
    w0: Any,
    domain: Any,
    *,
    antiderivative: Scalar,
    mirror: Scalar,
    second: Scalar,
    third: Scalar,
    conjugate: tuple[Scalar, Scalar, Scalar] | None = None,
    conjugate_domain: Any = None,
    name: str = "R",
) -> LegendreFunction:
    """R(w) = sum_i E(w_i) - E(w0_i) - m(w0_i) (w_i - w0_i), from E, m = E', m', m'' of one coordinate.

    Parameters
    ----------
    w0 : array-like, shape=[d]
    domain : ConvexDomain
    antiderivative, mirror, second, third : callable
        E, m, m', m'', each acting elementwise.
    conjugate : tuple of callable, optional
        E*, its derivative and its second derivative, elementwise; then Q(mu) = sum E*(mu + m0) - E*(m0).
    conjugate_domain : ConvexDomain, optional
        Where mu lives; needed with `conjugate`.
    """
    w0 = onp.asarray(w0, dtype=float)
    m0, eye = mirror(w0), onp.eye(len(w0))
    dual = None
    if conjugate is not None:
        value, derivative, curvature = conjugate
        dual = LegendreFunction(
            lambda mu: np.sum(value(mu + m0) - value(m0), axis=-1),
            conjugate_domain,
            gradient=lambda mu: derivative(mu + m0),
            hessian=lambda mu: curvature(mu + m0)[..., None] * eye,
            name=f"conjugate of {name}",
        )
    return LegendreFunction(
        lambda w: np.sum(antiderivative(w) - antiderivative(w0) - m0 * (w - w0), axis=-1),
        domain,
        gradient=lambda w: mirror(w) - m0,
        hessian=lambda w: second(w)[..., None] * eye,
        third_derivative=lambda w: third(w)[..., None, None] * eye[:, :, None] * eye[:, None, :],
        conjugate=dual,
        name=name,
    )


def _start(d: int, low: float, high: float) -> Any:
    return onp.linspace(low, high, d) if d > 1 else onp.array([(low + high) / 2])


def _add(
    name: str,
    formula: str,
    domain: str,
    g: Scalar,
    derivative: Scalar,
    legendre: Callable[[Any], LegendreFunction],
    start: tuple[float, float],
    known: str = "R, grad R, hess R, Q",
    radius: float = 0.3,
    mu_bound: float = 0.5,
) -> Entry:
    def build(d: int) -> Case:
        x0 = _start(d, *start)
        G = Parametrization(g, d, d, jacobian=lambda x: derivative(x)[..., None] * onp.eye(d), name=name)
        return Case(G, x0, legendre(g(x0)), around(x0, radius), mu_bound=mu_bound)

    return parametrizations.add(Entry(name, "coordinatewise", formula, domain, known, build))


def _identity(w0: Any) -> LegendreFunction:
    d = len(w0)
    return separable_legendre(
        w0,
        WholeSpace(d),
        antiderivative=lambda w: w**2 / 2,
        mirror=lambda w: w,
        second=lambda w: np.ones_like(w),
        third=lambda w: np.zeros_like(w),
        conjugate=(lambda m: m**2 / 2, lambda m: m, lambda m: np.ones_like(m)),
        conjugate_domain=WholeSpace(d),
    )


def _square(w0: Any) -> LegendreFunction:
    """Negative entropy over 4."""
    d = len(w0)
    return separable_legendre(
        w0,
        Box(onp.zeros(d), onp.inf),
        antiderivative=lambda w: (w * np.log(w) - w) / 4,
        mirror=lambda w: np.log(w) / 4,
        second=lambda w: 1 / (4 * w),
        third=lambda w: -1 / (4 * w**2),
        conjugate=(lambda m: np.exp(4 * m) / 4, lambda m: np.exp(4 * m), lambda m: 4 * np.exp(4 * m)),
        conjugate_domain=WholeSpace(d),
    )


def power_legendre(degree: int) -> Callable[[Any], LegendreFunction]:
    """R of x^L, L >= 3: m(w) = -w^{-a} / (L (L - 2)), a = (L - 2) / L; conjugate on m < 0."""
    a, c = (degree - 2) / degree, degree * (degree - 2)

    def legendre(w0: Any) -> LegendreFunction:
        w0 = onp.asarray(w0, dtype=float)
        return separable_legendre(
            w0,
            Box(onp.zeros(len(w0)), onp.inf),
            antiderivative=lambda w: -(w ** (1 - a)) / (c * (1 - a)),
            mirror=lambda w: -(w**-a) / c,
            second=lambda w: a / c * w ** (-a - 1),
            third=lambda w: -a * (a + 1) / c * w ** (-a - 2),
            conjugate=(
                lambda m: (-c * m) ** (-2 / (degree - 2)) / (2 * degree),
                lambda m: (-c * m) ** (-1 / a),
                lambda m: c / a * (-c * m) ** (-1 / a - 1),
            ),
            conjugate_domain=Box(-onp.inf, w0**-a / c),
        )

    return legendre


def _exponential(w0: Any) -> LegendreFunction:
    """Burg entropy."""
    return separable_legendre(
        w0,
        Box(onp.zeros(len(w0)), onp.inf),
        antiderivative=lambda w: -np.log(w),
        mirror=lambda w: -1 / w,
        second=lambda w: 1 / w**2,
        third=lambda w: -2 / w**3,
        conjugate=(lambda m: -np.log(-m), lambda m: -1 / m, lambda m: 1 / m**2),
        conjugate_domain=Box(-onp.inf, 1 / onp.asarray(w0)),
    )


def _sine(w0: Any) -> LegendreFunction:
    """Fermi-Dirac entropy of (1 + w) / 2."""
    d = len(w0)
    return separable_legendre(
        w0,
        Box(-onp.ones(d), onp.ones(d)),
        antiderivative=lambda w: ((1 + w) * np.log1p(w) + (1 - w) * np.log1p(-w)) / 2,
        mirror=np.arctanh,
        second=lambda w: 1 / (1 - w**2),
        third=lambda w: 2 * w / (1 - w**2) ** 2,
        conjugate=(
            lambda m: np.logaddexp(m, -m) - onp.log(2),
            np.tanh,
            lambda m: 1 / np.cosh(m) ** 2,
        ),
        conjugate_domain=WholeSpace(d),
    )


def _tanh(w0: Any) -> LegendreFunction:
    d = len(w0)
    return separable_legendre(
        w0,
        Box(-onp.ones(d), onp.ones(d)),
        antiderivative=lambda w: w * np.arctanh(w) / 2,
        mirror=lambda w: (w / (1 - w**2) + np.arctanh(w)) / 2,
        second=lambda w: 1 / (1 - w**2) ** 2,
        third=lambda w: 4 * w / (1 - w**2) ** 3,
    )


def _sinh(w0: Any) -> LegendreFunction:
    d, m0 = len(w0), onp.arctan(w0)
    return separable_legendre(
        w0,
        WholeSpace(d),
        antiderivative=lambda w: w * np.arctan(w) - np.log1p(w**2) / 2,
        mirror=np.arctan,
        second=lambda w: 1 / (1 + w**2),
        third=lambda w: -2 * w / (1 + w**2) ** 2,
        conjugate=(lambda m: -np.log(np.cos(m)), np.tan, lambda m: 1 / np.cos(m) ** 2),
        conjugate_domain=Box(-onp.pi / 2 - m0, onp.pi / 2 - m0),
    )


def _logarithm(w0: Any) -> LegendreFunction:
    return separable_legendre(
        w0,
        WholeSpace(len(w0)),
        antiderivative=lambda w: np.exp(2 * w) / 4,
        mirror=lambda w: np.exp(2 * w) / 2,
        second=lambda w: np.exp(2 * w),
        third=lambda w: 2 * np.exp(2 * w),
        conjugate=(lambda m: (m * np.log(2 * m) - m) / 2, lambda m: np.log(2 * m) / 2, lambda m: 1 / (2 * m)),
        conjugate_domain=Box(-onp.exp(2 * onp.asarray(w0)) / 2, onp.inf),
    )


_add("identity", "x", "R", lambda x: 1.0 * x, lambda x: np.ones_like(x), _identity, (-0.5, 1.0))
_add("square", "x^2", "w > 0", lambda x: x**2, lambda x: 2 * x, _square, (0.6, 1.2))
_add("cube", "x^3", "w > 0", lambda x: x**3, lambda x: 3 * x**2, power_legendre(3), (0.6, 1.0), mu_bound=0.2)
_add("fourth_power", "x^4", "w > 0", lambda x: x**4, lambda x: 4 * x**3, power_legendre(4), (0.6, 1.0), mu_bound=0.08)
_add("exponential", "e^x", "w > 0", np.exp, np.exp, _exponential, (-0.5, 0.3), mu_bound=0.4)
_add("sine", "sin x", "|w| < 1", np.sin, np.cos, _sine, (-0.4, 0.6))
_add("tanh", "tanh x", "|w| < 1", np.tanh, lambda x: 1 / np.cosh(x) ** 2, _tanh, (-0.4, 0.6), known="R, grad R, hess R")
_add("sinh", "sinh x", "R", np.sinh, np.cosh, _sinh, (-0.4, 0.6))
_add("logarithm", "log x", "R", np.log, lambda x: 1 / x, _logarithm, (0.9, 1.5), mu_bound=0.3)
