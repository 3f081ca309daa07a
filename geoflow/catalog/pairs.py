"""Pairs x = (u, v), one w_i for each pair (u_i, v_i): differences of powers, and products."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.catalog.coordinatewise import power_legendre
from geoflow.catalog.registry import Case, Entry, around, parametrizations
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import Profile
from geoflow.potentials.structure import Separable
from geoflow.spaces.domains import Box


def hypentropy(
    w0: ArrayLike, width: ArrayLike, rate: float = 4.0, name: str = "hyperbolic entropy"
) -> LegendreFunction:
    """Hyperbolic entropy with mu(w) = (arsinh(w / b) - arsinh(w0 / b)) / rate, b = `width`.

    Parameters
    ----------
    w0 : array-like, shape=[d]
    width : array-like, shape=[d]
        b > 0; for u^2 - v^2 it is 2 u0 v0, with rate 4.
    rate : float

    Reference
    ---------
    Ghai, Hazan, Singer, Exponentiated gradient meets gradient descent, 2020.
    """
    w0, b = np.asarray(w0, dtype=float), np.asarray(width, dtype=float)
    r = Profile(
        lambda w: w * anp.arcsinh(w / b) - anp.sqrt(w**2 + b**2), (-np.inf, np.inf),
        (lambda w: anp.arcsinh(w / b), lambda w: 1 / anp.sqrt(w**2 + b**2), lambda w: -w / (w**2 + b**2) ** 1.5),
    )  # fmt: skip
    dual = Profile(lambda m: b * anp.cosh(m), (-np.inf, np.inf), (lambda m: b * anp.sinh(m), lambda m: b * anp.cosh(m)))
    return (1 / rate * LegendreFunction.composed(Separable(r.dual_to(dual), len(w0), name, uniform=False))).tilt(w0)


def _pair_jacobian(du: Array, dv: Array) -> Array:
    """Jacobian of a map of pairs from its two partial derivatives, each shape=[..., d]."""
    eye = np.eye(anp.shape(du)[-1])
    return anp.concatenate([du[..., None] * eye, dv[..., None] * eye], axis=-1)


def hyperbolic(d: int, u0: ArrayLike, v0: ArrayLike) -> Case:
    """u^2 - v^2 from u0, v0 > 0, shape=[d] each."""
    u0, v0 = np.broadcast_to(u0, d).astype(float), np.broadcast_to(v0, d).astype(float)
    G = Parametrization(
        lambda x: x[..., :d] ** 2 - x[..., d:] ** 2,
        2 * d,
        d,
        jacobian=lambda x: _pair_jacobian(2 * x[..., :d], -2 * x[..., d:]),
        name="hyperbolic",
    )
    x0 = np.concatenate([u0, v0])
    return Case(G, x0, hypentropy(u0**2 - v0**2, 2 * u0 * v0), around(x0, 0.3), mu_bound=0.4)


def _product(d: int) -> Case:
    """u v is (p^2 - q^2) / 2 in the rotated coordinates p, q = (u +- v) / sqrt 2."""
    u0, v0 = np.linspace(0.9, 1.2, d), np.linspace(0.3, 0.5, d)
    G = Parametrization(
        lambda x: x[..., :d] * x[..., d:],
        2 * d,
        d,
        jacobian=lambda x: _pair_jacobian(x[..., d:], x[..., :d]),
        name="product",
    )
    x0 = np.concatenate([u0, v0])
    return Case(G, x0, hypentropy(u0 * v0, np.abs(u0**2 - v0**2) / 2, rate=2.0), around(x0, 0.3))


def _power_difference(d: int, degree: int = 3) -> Case:
    """Q is the sum of those of u^L at mu and of v^L at -mu; R has no closed form."""
    u0, v0 = np.linspace(0.7, 0.9, d), np.linspace(0.6, 0.8, d)
    u, v = (power_legendre(degree)(start**degree).conjugate for start in (u0, v0))
    dual = LegendreFunction(
        lambda mu: u.potential(mu) + v.potential(-mu),
        Box(-v.domain.upper, u.domain.upper),
        gradient=lambda mu: u.kernel.derivative(1, mu) - v.kernel.derivative(1, -mu),
        hessian=lambda mu: u.kernel.derivative(2, mu) + v.kernel.derivative(2, -mu),
        name=f"Q of u^{degree} - v^{degree}",
    )
    G = Parametrization(
        lambda x: x[..., :d] ** degree - x[..., d:] ** degree,
        2 * d,
        d,
        jacobian=lambda x: _pair_jacobian(degree * x[..., :d] ** (degree - 1), -degree * x[..., d:] ** (degree - 1)),
        name="power_difference",
    )
    x0 = np.concatenate([u0, v0])
    return Case(G, x0, None, around(x0, 0.3), dual=dual, mu_bound=0.2)


parametrizations.add(
    Entry(
        "hyperbolic",
        "pairs",
        "u^2 - v^2",
        "R",
        "R, grad R, hess R, Q",
        lambda d: hyperbolic(d, np.linspace(1.0, 0.7, d), np.linspace(0.4, 0.8, d)),
    )
)
parametrizations.add(Entry("product", "pairs", "u v", "R (u0 != +-v0)", "R, grad R, hess R, Q", _product))
parametrizations.add(Entry("power_difference", "pairs", "u^3 - v^3", "R", "Q", _power_difference))
