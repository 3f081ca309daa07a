"""Pairs x = (u, v), one w_i for each pair (u_i, v_i): differences of powers, and products."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow.catalog.coordinatewise import power_legendre
from geoflow.catalog.registry import Case, Entry, around, parametrizations
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import KNOWN
from geoflow.potentials.structure import Separable
from geoflow.spaces.domains import Box


def hypentropy(
    w0: ArrayLike, width: ArrayLike, rate: float = 4.0, name: str = "hyperbolic entropy"
) -> LegendreFunction:
    """Hyperbolic entropy with mu(w) = (arsinh(w / b) - arsinh(w0 / b)) / rate, b = `width` > 0; shape=[d] each.

    For u^2 - v^2, b is 2 u0 v0 and the rate is 4.

    Reference
    ---------
    Ghai, Hazan, Singer, Exponentiated gradient meets gradient descent, 2020.
    """
    w0, b = np.asarray(w0, dtype=float), np.asarray(width, dtype=float)
    r = KNOWN(
        lambda w: w * anp.arcsinh(w / b) - anp.sqrt(w**2 + b**2), (-np.inf, np.inf),
        (lambda w: anp.arcsinh(w / b), lambda w: 1 / anp.sqrt(w**2 + b**2), lambda w: -w / (w**2 + b**2) ** 1.5),
    )  # fmt: skip
    dual = KNOWN(lambda m: b * anp.cosh(m), (-np.inf, np.inf), (lambda m: b * anp.sinh(m), lambda m: b * anp.cosh(m)))
    return (1 / rate * LegendreFunction.composed(Separable(r.dual_to(dual), len(w0), name, uniform=False))).tilt(w0)


Pairs = Callable[[Array, Array], Array]


def _of_pairs(name: str, d: int, value: Pairs, du: Pairs, dv: Pairs) -> Parametrization:
    """value(u, v) on every pair, with its partial derivatives."""

    def jacobian(x: Array) -> Array:
        u, v = x[..., :d], x[..., d:]
        return anp.concatenate([du(u, v)[..., None] * np.eye(d), dv(u, v)[..., None] * np.eye(d)], axis=-1)

    return Parametrization(lambda x: value(x[..., :d], x[..., d:]), 2 * d, d, jacobian, name)


def hyperbolic(d: int, u0: ArrayLike, v0: ArrayLike) -> Case:
    """u^2 - v^2 from u0, v0 > 0, shape=[d] each."""
    u0, v0 = np.broadcast_to(u0, d).astype(float), np.broadcast_to(v0, d).astype(float)
    G = _of_pairs("hyperbolic", d, lambda u, v: u**2 - v**2, lambda u, v: 2 * u, lambda u, v: -2 * v)
    x0 = np.concatenate([u0, v0])
    return Case(G, x0, hypentropy(u0**2 - v0**2, 2 * u0 * v0), around(x0, 0.3), mu_bound=0.4)


def _product(d: int) -> Case:
    """u v is (p^2 - q^2) / 2 in the rotated coordinates p, q = (u +- v) / sqrt 2."""
    u0, v0 = np.linspace(0.9, 1.2, d), np.linspace(0.3, 0.5, d)
    G = _of_pairs("product", d, lambda u, v: u * v, lambda u, v: v, lambda u, v: u)
    x0 = np.concatenate([u0, v0])
    return Case(G, x0, hypentropy(u0 * v0, np.abs(u0**2 - v0**2) / 2, rate=2.0), around(x0, 0.3))


def _power_difference(d: int, degree: int = 3) -> Case:
    """Q is the sum of those of u^L at mu and of v^L at -mu; R has no closed form."""
    u0, v0 = np.linspace(0.7, 0.9, d), np.linspace(0.6, 0.8, d)
    p, q = (power_legendre(degree)(start**degree).conjugate for start in (u0, v0))
    dual = LegendreFunction(
        lambda mu: p.potential(mu) + q.potential(-mu),
        Box(-q.domain.upper, p.domain.upper),
        gradient=lambda mu: p.kernel.derivative(1, mu) - q.kernel.derivative(1, -mu),
        hessian=lambda mu: p.kernel.derivative(2, mu) + q.kernel.derivative(2, -mu),
        name=f"Q of u^{degree} - v^{degree}",
    )
    du, dv = (lambda u, v: degree * u ** (degree - 1)), (lambda u, v: -degree * v ** (degree - 1))
    G = _of_pairs("power_difference", d, lambda u, v: u**degree - v**degree, du, dv)
    x0 = np.concatenate([u0, v0])
    return Case(G, x0, None, around(x0, 0.3), dual=dual, mu_bound=0.2)


def _hyperbolic(d: int) -> Case:
    return hyperbolic(d, np.linspace(1.0, 0.7, d), np.linspace(0.4, 0.8, d))


for _name, _formula, _domain, _known, _build in [
    ("hyperbolic", "u^2 - v^2", "R", "R, grad R, hess R, Q", _hyperbolic),
    ("product", "u v", "R (u0 != +-v0)", "R, grad R, hess R, Q", _product),
    ("power_difference", "u^3 - v^3", "R", "Q", _power_difference),
]:
    parametrizations.add(Entry(_name, "pairs", _formula, _domain, _known, _build))
