"""Diagonal networks of depth L: w = u^L - v^L, or x^L, from a start of any size; every product in O(D)."""

from __future__ import annotations

from functools import cached_property

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_count, as_finite
from geoflow.catalog.coordinatewise import power_legendre
from geoflow.catalog.pairs import hypentropy
from geoflow.catalog.registry import Case, Entry, around, parametrizations, potentials
from geoflow.errors import ArgumentError, ShapeError
from geoflow.maps.blocks import Blocks
from geoflow.maps.kernel import MapKernel
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics.replay import power
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import PROFILES
from geoflow.potentials.structure import Separable
from geoflow.spaces.domains import Box


class PowerKernel(MapKernel):
    """w_i = sum_k s_k x_{ik}^L: x^L for the signs (1), and u^L - v^L for (1, -1), x = (u, v) one after the other."""

    flat = True

    def __init__(self, d: int, depth: int, signs: tuple[float, ...]):
        self.dim, self.codomain_dim, self.depth = d * len(signs), d, depth
        self._signs, self._copies = np.repeat(np.array(signs), d), len(signs)

    def value(self, x: Array) -> Array:
        powers, d = self._signs * power(x, self.depth), self.codomain_dim
        return sum((powers[..., k * d : (k + 1) * d] for k in range(1, self._copies)), powers[..., :d])

    def slopes(self, x: Array) -> Array:
        """The one derivative of every input, shape=[N, D]."""
        return self._signs * (self.depth * power(x, self.depth - 1))

    def gradients(self, x: Array) -> Array:
        return self.slopes(x)[..., None, :] * self._pattern

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        return (self._curvatures(x)[..., None, :] * directions)[..., None, :] * self._pattern

    def pullback(self, x: Array, mu: Array) -> Array:
        return self.slopes(x) * self._spread(mu)

    def pushforward(self, x: Array, v: Array) -> Array:
        moved, d = self.slopes(x) * v, self.codomain_dim
        return sum((moved[..., k * d : (k + 1) * d] for k in range(1, self._copies)), moved[..., :d])

    def derivative_of_pullback(self, x: Array, mu: Array, v: Array) -> Array:
        return self._curvatures(x) * self._spread(mu) * v

    @cached_property
    def blocks(self) -> Blocks:
        outputs = np.arange(self.codomain_dim)
        return Blocks(outputs, np.tile(outputs, self._copies))

    @property
    def kinds(self) -> Index:
        return np.zeros(self.codomain_dim, dtype=int)

    def some_outputs(self, outputs: Index) -> tuple[MapKernel, Index]:
        inputs = np.concatenate([outputs + k * self.codomain_dim for k in range(self._copies)])
        return PowerKernel(len(outputs), self.depth, tuple(self._signs[:: self.codomain_dim])), inputs

    @cached_property
    def _pattern(self) -> Array:
        return np.tile(np.eye(self.codomain_dim), self._copies)

    def _curvatures(self, x: Array) -> Array:
        if self.depth == 1:
            return 0.0 * x
        return self._signs * (self.depth * (self.depth - 1) * power(x, self.depth - 2))

    def _spread(self, mu: Array) -> Array:
        return np.concatenate([mu] * self._copies, axis=-1) if self._copies > 1 else mu


def diagonal_network(d: int, depth: int = 3, alpha: ArrayLike = 1e-3, signed: bool = True) -> Case:
    """The diagonal network w = u^L - v^L from u = v = alpha, or w = x^L from x = alpha, of depth L.

    Its induced R costs O(D): `gf.mirror_map(case.parametrization, case.x0)`. Closed forms: R and Q for L = 1 and 2, and
    for x^L; Q alone for u^L - v^L with L >= 3, whose mu are bounded by alpha^{2-L} / (L (L - 2)).

    Parameters
    ----------
    d : int
    depth : int
        L, at least 1.
    alpha : float or array, shape=[d]
        The size of the start, positive.
    signed : bool
        u^L - v^L, on all of R^d; else x^L, on w > 0.

    Raises
    ------
    ArgumentError, ShapeError
        When d or depth is no integer of at least 1, or alpha is not positive, or of another shape.

    Reference
    ---------
    Woodworth et al., Kernel and rich regimes in overparametrized models, COLT 2020.
    """
    for name, value in (("dimension d", d), ("depth", depth)):
        as_count(value, f"{name} of a diagonal network")
    size = as_finite(alpha, "alpha")
    if size.shape not in {(), (d,)}:
        raise ShapeError("alpha", got=f"shape {size.shape}", wanted=f"a number, or shape ({d},)")
    if not (size > 0).all():
        raise ArgumentError("alpha", got=f"{size.min():g}", wanted="positive numbers", remedy="0 is a critical point")
    start, L = np.array(np.broadcast_to(size, d)), int(depth)
    kernel = PowerKernel(int(d), L, (1.0, -1.0) if signed else (1.0,))
    G = Parametrization.from_kernel(kernel, kernel.dim, f"u^{L} - v^{L}" if signed else f"x^{L}")
    x0 = np.tile(start, 2 if signed else 1)
    legendre, dual = (_signed_forms if signed else _unsigned_forms)(start, L)
    bound = 0.4 if L <= 2 else 0.5 * float(start.max() ** (2 - L)) / (L * (L - 2))
    return Case(G, x0, legendre, around(x0, 0.3 * float(start.min())), dual=dual, mu_bound=bound)


def _unsigned_forms(start: Array, L: int) -> tuple[LegendreFunction | None, LegendreFunction | None]:
    w0 = start**L
    if L == 1:
        return LegendreFunction.composed(Separable(PROFILES["quadratic"], len(w0), "R")).tilt(w0), None
    if L == 2:
        return (0.25 * potentials["negative_entropy"](len(w0))).tilt(w0), None
    return power_legendre(L)(w0), None


def _signed_forms(start: Array, L: int) -> tuple[LegendreFunction | None, LegendreFunction | None]:
    d = len(start)
    if L == 1:
        return 0.5 * LegendreFunction.composed(Separable(PROFILES["quadratic"], d, "R")), None
    if L == 2:
        return hypentropy(np.zeros(d), 2 * start**2), None
    q, bound = L / (L - 2), start ** (2.0 - L) / (L * (L - 2))

    def powers(mu: Array, s: float) -> tuple[Array, Array]:
        """log (1 - c^2)^{-s/2} and s artanh c: (1 -+ c)^{-s} = e^{a +- b} for c = mu / bound."""
        c = mu / bound
        return -s / 2 * anp.log1p(-c * c), s * anp.arctanh(c)

    def value(mu: Array) -> Array:
        a, b = powers(mu, q - 1)
        return anp.sum(start**2 / L * (anp.expm1(a) * anp.cosh(b) + 2 * anp.sinh(b / 2) ** 2), axis=-1)

    def gradient(mu: Array) -> Array:
        a, b = powers(mu, q)
        return 2 * start**L * anp.exp(a) * anp.sinh(b)

    def hessian(mu: Array) -> Array:
        a, b = powers(mu, q + 1)
        return (2 * L**2 * start ** (2 * L - 2) * anp.exp(a) * anp.cosh(b))[..., None] * np.eye(d)

    dual = LegendreFunction(value, Box(-bound, bound), gradient=gradient, hessian=hessian, name=f"Q of u^{L} - v^{L}")
    return None, dual


parametrizations.add(
    Entry("diagonal_network", "pairs", "u^3 - v^3 from 0.1", "R", "Q", lambda d: diagonal_network(d, alpha=0.1))
)
