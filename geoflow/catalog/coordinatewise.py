"""w_i = g(x_i): a scalar map on every coordinate; the Hessian metric is 1 / g'(x)^2.

Each scalar family gives E with E' = m, the mirror coordinate up to a constant; then mu = m(w) - m(w0) and
R(w) = E(w) - E(w0) - m(w0) (w - w0), summed over coordinates.
"""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.catalog import functions  # noqa: F401  registers the potentials
from geoflow.catalog.registry import Case, Entry, around, parametrizations, potentials
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import Box, ConvexDomain, WholeSpace

Scalar = Callable[[Array], Array]


def separable_legendre(
    w0: ArrayLike,
    domain: ConvexDomain,
    *,
    antiderivative: Scalar,
    mirror: Scalar,
    second: Scalar,
    third: Scalar,
    conjugate: tuple[Scalar, Scalar, Scalar] | None = None,
    conjugate_domain: ConvexDomain | None = None,
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
    w0 = np.asarray(w0, dtype=float)
    m0, eye = mirror(w0), np.eye(len(w0))
    dual = None
    if conjugate is not None:
        value, derivative, curvature = conjugate
        dual = LegendreFunction(
            lambda mu: anp.sum(value(mu + m0) - value(m0), axis=-1),
            conjugate_domain,
            gradient=lambda mu: derivative(mu + m0),
            hessian=lambda mu: curvature(mu + m0)[..., None] * eye,
            name=f"conjugate of {name}",
        )
    return LegendreFunction(
        lambda w: anp.sum(antiderivative(w) - antiderivative(w0) - m0 * (w - w0), axis=-1),
        domain,
        gradient=lambda w: mirror(w) - m0,
        hessian=lambda w: second(w)[..., None] * eye,
        third_derivative=lambda w: third(w)[..., None, None] * eye[:, :, None] * eye[:, None, :],
        conjugate=dual,
        name=name,
    )


def _start(d: int, low: float, high: float) -> Array:
    return np.linspace(low, high, d) if d > 1 else np.array([(low + high) / 2])


def _add(
    name: str,
    formula: str,
    domain: str,
    g: Scalar,
    derivative: Scalar,
    legendre: Callable[[Array], LegendreFunction],
    start: tuple[float, float],
    known: str = "R, grad R, hess R, Q",
    radius: float = 0.3,
    mu_bound: float = 0.5,
) -> Entry:
    def build(d: int) -> Case:
        x0 = _start(d, *start)
        G = Parametrization(g, d, d, jacobian=lambda x: derivative(x)[..., None] * np.eye(d), name=name)
        return Case(G, x0, legendre(g(x0)), around(x0, radius), mu_bound=mu_bound)

    return parametrizations.add(Entry(name, "coordinatewise", formula, domain, known, build))


def _identity(w0: ArrayLike) -> LegendreFunction:
    d = len(w0)
    return separable_legendre(
        w0,
        WholeSpace(d),
        antiderivative=lambda w: w**2 / 2,
        mirror=lambda w: w,
        second=lambda w: anp.ones_like(w),
        third=lambda w: anp.zeros_like(w),
        conjugate=(lambda m: m**2 / 2, lambda m: m, lambda m: anp.ones_like(m)),
        conjugate_domain=WholeSpace(d),
    )


def _square(w0: Array) -> LegendreFunction:
    return (0.25 * potentials["negative_entropy"](len(w0))).tilt(w0)


def power_legendre(degree: int) -> Callable[[Array], LegendreFunction]:
    """R of x^L, L >= 3: m(w) = -w^{-a} / (L (L - 2)), a = (L - 2) / L; conjugate on m < 0."""
    a, c = (degree - 2) / degree, degree * (degree - 2)

    def legendre(w0: ArrayLike) -> LegendreFunction:
        w0 = np.asarray(w0, dtype=float)
        return separable_legendre(
            w0,
            Box(np.zeros(len(w0)), np.inf),
            antiderivative=lambda w: -(w ** (1 - a)) / (c * (1 - a)),
            mirror=lambda w: -(w**-a) / c,
            second=lambda w: a / c * w ** (-a - 1),
            third=lambda w: -a * (a + 1) / c * w ** (-a - 2),
            conjugate=(
                lambda m: (-c * m) ** (-2 / (degree - 2)) / (2 * degree),
                lambda m: (-c * m) ** (-1 / a),
                lambda m: c / a * (-c * m) ** (-1 / a - 1),
            ),
            conjugate_domain=Box(-np.inf, w0**-a / c),
        )

    return legendre


def _exponential(w0: Array) -> LegendreFunction:
    return potentials["burg"](len(w0)).tilt(w0)


def _sine(w0: Array) -> LegendreFunction:
    return potentials["fermi_dirac"](len(w0)).compose_affine(0.5, 0.5).tilt(w0)


def _tanh(w0: ArrayLike) -> LegendreFunction:
    d = len(w0)
    return separable_legendre(
        w0,
        Box(-np.ones(d), np.ones(d)),
        antiderivative=lambda w: w * anp.arctanh(w) / 2,
        mirror=lambda w: (w / (1 - w**2) + anp.arctanh(w)) / 2,
        second=lambda w: 1 / (1 - w**2) ** 2,
        third=lambda w: 4 * w / (1 - w**2) ** 3,
    )


def _sinh(w0: ArrayLike) -> LegendreFunction:
    d, m0 = len(w0), np.arctan(w0)
    return separable_legendre(
        w0,
        WholeSpace(d),
        antiderivative=lambda w: w * anp.arctan(w) - anp.log1p(w**2) / 2,
        mirror=anp.arctan,
        second=lambda w: 1 / (1 + w**2),
        third=lambda w: -2 * w / (1 + w**2) ** 2,
        conjugate=(lambda m: -anp.log(anp.cos(m)), anp.tan, lambda m: 1 / anp.cos(m) ** 2),
        conjugate_domain=Box(-np.pi / 2 - m0, np.pi / 2 - m0),
    )


def _logarithm(w0: ArrayLike) -> LegendreFunction:
    return separable_legendre(
        w0,
        WholeSpace(len(w0)),
        antiderivative=lambda w: anp.exp(2 * w) / 4,
        mirror=lambda w: anp.exp(2 * w) / 2,
        second=lambda w: anp.exp(2 * w),
        third=lambda w: 2 * anp.exp(2 * w),
        conjugate=(lambda m: (m * anp.log(2 * m) - m) / 2, lambda m: anp.log(2 * m) / 2, lambda m: 1 / (2 * m)),
        conjugate_domain=Box(-np.exp(2 * np.asarray(w0)) / 2, np.inf),
    )


_add("identity", "x", "R", lambda x: 1.0 * x, lambda x: anp.ones_like(x), _identity, (-0.5, 1.0))
_add("square", "x^2", "w > 0", lambda x: x**2, lambda x: 2 * x, _square, (0.6, 1.2))
_add("cube", "x^3", "w > 0", lambda x: x**3, lambda x: 3 * x**2, power_legendre(3), (0.6, 1.0), mu_bound=0.2)
_add("fourth_power", "x^4", "w > 0", lambda x: x**4, lambda x: 4 * x**3, power_legendre(4), (0.6, 1.0), mu_bound=0.08)
_add("exponential", "e^x", "w > 0", anp.exp, anp.exp, _exponential, (-0.5, 0.3), mu_bound=0.4)
_add("sine", "sin x", "|w| < 1", anp.sin, anp.cos, _sine, (-0.4, 0.6))
_add(
    "tanh", "tanh x", "|w| < 1", anp.tanh, lambda x: 1 / anp.cosh(x) ** 2, _tanh, (-0.4, 0.6), known="R, grad R, hess R"
)
_add("sinh", "sinh x", "R", anp.sinh, anp.cosh, _sinh, (-0.4, 0.6))
_add("logarithm", "log x", "R", anp.log, lambda x: 1 / x, _logarithm, (0.9, 1.5), mu_bound=0.3)
