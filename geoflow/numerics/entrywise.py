"""Derivatives of functions of one variable, entry by entry: (x, f(x)) to f'(x), f''(x), f'''(x), one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow.numerics.replay import power

#: (x, f(x)) to the derivatives; None where one is zero everywhere, and so are those that follow
Outer = Callable[[Any, Any], Iterator[Any]]


def powers(x: Any, p: Any) -> Iterator[Any]:
    """Of x^p: p x^(p-1), p (p-1) x^(p-2), ..., zero from where a coefficient is."""
    coefficient: Any = 1.0
    while True:
        coefficient, p = coefficient * p, p - 1
        if np.ndim(p) == 0:
            yield coefficient * power(x, p) if coefficient != 0 else None
        else:
            yield coefficient * x ** np.where(coefficient == 0, 1.0, p)


def exponential(rate: float, shift: float = 0.0) -> Outer:
    """Of e^(rate x) - shift."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        e = y + shift if shift else y
        while True:
            e = e * rate if rate != 1 else e
            yield e

    return outer


def logarithm(base: float, shift: float = 0.0) -> Outer:
    """Of log(x + shift) to a base e^base."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        r = 1.0 / (x + shift) if shift else 1.0 / x
        first = r / base if base != 1 else r
        yield first
        second = -first * r
        yield second
        yield -2.0 * second * r

    return outer


def reciprocal(x: Any, y: Any) -> Iterator[Any]:
    first = -y * y
    yield first
    second = -2.0 * first * y
    yield second
    yield -3.0 * second * y


def sine(first: Callable[[Any], Any], sign: float, turn: float) -> Outer:
    """Of a function with f' = sign first(x) and f'' = turn f."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        slope = sign * first(x)
        yield slope
        yield turn * y
        yield turn * slope

    return outer


def tangent(slope: Callable[[Any], Any], turn: float) -> Outer:
    """Of a function with f'' = turn f f'."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        first = slope(x)
        yield first
        second = turn * y * first
        yield second
        yield turn * (first * first + y * second)

    return outer


def inverse_root(factor: float, a: float, b: float) -> Outer:
    """Of a function with f' = factor (a + b x^2)^(-1/2)."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        r = 1.0 / (a + b * x * x)
        first = factor * np.sqrt(r)
        yield first
        yield -b * x * r * first
        yield b * first * r * (3.0 * b * x * x * r - 1.0)

    return outer


def inverse_square(b: float) -> Outer:
    """Of a function with f' = 1 / (1 + b x^2)."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        first = 1.0 / (1.0 + b * x * x)
        yield first
        second = -2.0 * b * x * first * first
        yield second
        yield -2.0 * b * first * first - 4.0 * b * x * first * second

    return outer


def square(x: Any, y: Any) -> Iterator[Any]:
    yield 2.0 * x
    yield np.full(np.shape(x), 2.0)
    yield None


def root(x: Any, y: Any) -> Iterator[Any]:
    first = 0.5 / y
    yield first
    second = -0.5 * first / x
    yield second
    yield -1.5 * second / x


def logistic(x: Any, y: Any) -> Iterator[Any]:
    first = y * (1.0 - y)
    yield first
    second = first * (1.0 - 2.0 * y)
    yield second
    yield second * (1.0 - 2.0 * y) - 2.0 * first * first


def gaussian(factor: float) -> Outer:
    """Of a function with f' = factor exp(-x^2)."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        first = factor * np.exp(-x * x)
        yield first
        yield -2.0 * x * first
        yield (4.0 * x * x - 2.0) * first

    return outer


def slope(first: Callable[[Any], Any]) -> Outer:
    """Of a function that is linear but for kinks."""

    def outer(x: Any, y: Any) -> Iterator[Any]:
        yield first(x)
        yield None

    return outer


def log_gamma(x: Any, y: Any) -> Iterator[Any]:
    from scipy.special import polygamma, psi

    yield psi(x)
    yield polygamma(1, x)
    yield polygamma(2, x)


OF_ONE_VARIABLE: dict[Any, Outer] = {
    anp.exp: exponential(1.0),
    anp.exp2: exponential(float(np.log(2))),
    anp.expm1: exponential(1.0, 1.0),
    anp.log: logarithm(1.0),
    anp.log2: logarithm(float(np.log(2))),
    anp.log10: logarithm(float(np.log(10))),
    anp.log1p: logarithm(1.0, 1.0),
    anp.reciprocal: reciprocal,
    anp.sqrt: root,
    anp.square: square,
    anp.abs: slope(np.sign),
    anp.fabs: slope(np.sign),
    anp.sin: sine(np.cos, 1.0, -1.0),
    anp.cos: sine(np.sin, -1.0, -1.0),
    anp.tan: tangent(lambda x: np.cos(x) ** -2.0, 2.0),
    anp.sinh: sine(np.cosh, 1.0, 1.0),
    anp.cosh: sine(np.sinh, 1.0, 1.0),
    anp.tanh: tangent(lambda x: np.cosh(x) ** -2.0, -2.0),
    anp.arcsin: inverse_root(1.0, 1.0, -1.0),
    anp.arccos: inverse_root(-1.0, 1.0, -1.0),
    anp.arctan: inverse_square(1.0),
    anp.arcsinh: inverse_root(1.0, 1.0, 1.0),
    anp.arccosh: inverse_root(1.0, -1.0, 1.0),
    anp.arctanh: inverse_square(-1.0),
}
