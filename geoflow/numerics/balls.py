"""Balls with derivatives: truncated Taylor arithmetic of second order over real or complex balls, by python-flint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow.errors import ProofError
from geoflow.numerics.polynomials import Additive

#: bits of the midpoints of balls
BITS = 100


class UndecidedError(ProofError):
    """A ball does not decide a comparison: it holds points on both sides."""


@contextmanager
def precision(bits: int = BITS) -> Iterator[Any]:
    """The module flint, at this many bits; `ProofError` that names the extra where it is not installed."""
    flint = load()
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        yield flint
    finally:
        flint.ctx.prec = before


def load() -> Any:
    """The module flint, imported when it is asked for."""
    try:
        import flint
    except ImportError as error:
        what, remedy = "ball arithmetic", "install the extra: pip install geoflow[proof]"
        raise ProofError(what, str(error), "python-flint", remedy) from error
    return flint


def upper(ball: Any) -> float:
    """A float at least |ball|, rounded up; infinity where the ball is not finite."""
    if not ball.is_finite():
        return float("inf")
    bound = float(ball.abs_upper())
    return float(np.nextafter(bound, np.inf))


def lower(ball: Any) -> float:
    """A float at most every number of a real ball, rounded down; minus infinity where the ball is not finite."""
    if not ball.is_finite():
        return float("-inf")
    return float(np.nextafter(float(ball.lower()), -np.inf))


class Scalar:
    """Functions of one ball, real or complex, that are analytic on it, or else not finite."""

    def __init__(self, flint: Any, is_complex: bool):
        self.kind = flint.acb if is_complex else flint.arb
        self.is_complex = is_complex
        self.i = flint.acb(0, 1)
        self.half_pi = self.kind(flint.arb.pi()) / 2

    def number(self, other: Any) -> Any:
        """A ball about an exact number, alone for an integer or a float; None where it is no number."""
        if isinstance(other, (bool, np.bool_, int, np.integer)):
            return self.kind(int(other))
        if isinstance(other, (float, np.floating)):
            if float(other) != other and other == other:
                what, remedy = "a constant in ball arithmetic", "make it a float"
                raise ProofError(what, f"{other!r}, more digits than a float has", "a float", remedy)
            return self.kind(float(other))
        return None

    def constant(self, other: Any) -> Jet:
        """A number as a constant jet."""
        return Jet(self, self.number(other))

    def log(self, z: Any) -> Any:
        return z.log(analytic=True) if self.is_complex else z.log()

    def sqrt(self, z: Any) -> Any:
        return z.sqrt(analytic=True) if self.is_complex else z.sqrt()

    def arctan(self, z: Any) -> Any:
        return (self.log(1 + self.i * z) - self.log(1 - self.i * z)) / (2 * self.i) if self.is_complex else z.atan()

    def arctanh(self, z: Any) -> Any:
        return (self.log(1 + z) - self.log(1 - z)) / 2 if self.is_complex else z.atanh()

    def arcsinh(self, z: Any) -> Any:
        return self.log(z + self.sqrt(1 + z * z)) if self.is_complex else z.asinh()

    def arcsin(self, z: Any) -> Any:
        if self.is_complex:
            return -self.i * self.log(self.i * z + self.sqrt(1 - z * z))
        return z.asin()

    def arccosh(self, z: Any) -> Any:
        return self.log(z + self.sqrt(z - 1) * self.sqrt(z + 1)) if self.is_complex else z.acosh()


class Jet(Additive):
    """A ball, its gradient and its Hessian with respect to d variables: enclosures of u, d_i u and d_i d_j u, i <= j.

    An element for `enclosures.evaluate`; `first` is None of a constant.
    """

    __slots__ = ("first", "scalar", "second", "value")

    def __init__(self, scalar: Scalar, value: Any, first: list[Any] | None = None, second: list[Any] | None = None):
        self.scalar, self.value, self.first, self.second = scalar, value, first, second

    @classmethod
    def variables(cls, scalar: Scalar, balls: Sequence[Any]) -> Array:
        """The jets of the coordinates at a point, or on a cell, shape=[d]."""
        d, zero, one = len(balls), scalar.kind(0), scalar.kind(1)
        x = np.empty(d, dtype=object)
        for i, ball in enumerate(balls):
            first = [one if j == i else zero for j in range(d)]
            x[i] = cls(scalar, scalar.kind(ball), first, [zero] * (d * (d + 1) // 2))
        return x

    # arithmetic -----------------------------------------------------------------------------------------------------

    def _number(self, other: Any) -> Any:
        return self.scalar.number(other)

    def like(self, number: Any) -> Jet:
        """A number as a constant jet."""
        return self.scalar.constant(number)

    def middle(self) -> float:
        """A number in the ball, or its real part; not `__float__`, by which numpy would lose the derivatives."""
        middle = float((self.value.real if self.scalar.is_complex else self.value).mid())
        return middle if np.isfinite(middle) else 0.0

    def _linear(self, value: Any, factor: Any) -> Jet:
        """A jet of which the derivatives are those of this one times a number."""
        if self.first is None:
            return Jet(self.scalar, value)
        return Jet(self.scalar, value, [factor * f for f in self.first], [factor * s for s in self.second or ()])

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Jet):
            c = self._number(other)
            return NotImplemented if c is None else Jet(self.scalar, self.value + c, self.first, self.second)
        if self.first is None or other.first is None:
            one = other if self.first is None else self
            return Jet(self.scalar, self.value + other.value, one.first, one.second)
        assert self.second is not None and other.second is not None
        first = [a + b for a, b in zip(self.first, other.first, strict=True)]
        second = [a + b for a, b in zip(self.second, other.second, strict=True)]
        return Jet(self.scalar, self.value + other.value, first, second)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return self._linear(-self.value, self.scalar.kind(-1))

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Jet):
            c = self._number(other)
            return NotImplemented if c is None else self._linear(self.value * c, c)
        u, v = self.value, other.value
        if self.first is None:
            return other._linear(u * v, u)
        if other.first is None:
            return self._linear(u * v, v)
        assert self.second is not None and other.second is not None
        a, b, d = self.first, other.first, len(self.first)
        second, k = [], 0
        for i in range(d):
            for j in range(i, d):
                second.append(u * other.second[k] + v * self.second[k] + a[i] * b[j] + a[j] * b[i])
                k += 1
        return Jet(self.scalar, u * v, [u * b[i] + v * a[i] for i in range(d)], second)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Jet):
            return self * other.reciprocal()
        c = self._number(other)
        return NotImplemented if c is None else self._linear(self.value / c, 1 / c)

    def __rtruediv__(self, other: Any) -> Any:
        return self.reciprocal() * other

    def __pow__(self, power: Any) -> Any:
        if isinstance(power, Jet):
            return (power * self.log()).exp()
        if np.isfinite(power) and power == int(power) and abs(power) < 2**31:
            n, u = int(power), self.value
            if n == 0:
                return Jet(self.scalar, self.scalar.kind(1))
            second = n * (n - 1) * u ** (n - 2) if n != 1 else self.scalar.kind(0)
            return self._chain(u**n, n * u ** (n - 1), second)
        # x^p, p no integer, where x is positive or, of complex x, off the negative axis
        p = self._number(power)
        value = (p * self.scalar.log(self.value)).exp()
        r = 1 / self.value
        return self._chain(value, p * value * r, p * (p - 1) * value * r * r)

    def __rpow__(self, base: Any) -> Any:
        c = self._number(base)
        return NotImplemented if c is None else (self * Jet(self.scalar, self.scalar.log(c))).exp()

    # functions ------------------------------------------------------------------------------------------------------

    def _chain(self, value: Any, slope: Any, bend: Any) -> Jet:
        """f(u) from f, f' and f'' at u."""
        if self.first is None:
            return Jet(self.scalar, value)
        assert self.second is not None
        a, d, k, second = self.first, len(self.first), 0, []
        for i in range(d):
            steep = bend * a[i]
            for j in range(i, d):
                second.append(slope * self.second[k] + steep * a[j])
                k += 1
        return Jet(self.scalar, value, [slope * x for x in a], second)

    def reciprocal(self) -> Jet:
        r = 1 / self.value
        return self._chain(r, -r * r, 2 * r * r * r)

    def square(self) -> Jet:
        return self * self

    def exp(self) -> Jet:
        e = self.value.exp()
        return self._chain(e, e, e)

    def expm1(self) -> Jet:
        return self.exp() - 1

    def log(self) -> Jet:
        r = 1 / self.value
        return self._chain(self.scalar.log(self.value), r, -r * r)

    def log1p(self) -> Jet:
        return (self + 1).log()

    def sqrt(self) -> Jet:
        root = self.scalar.sqrt(self.value)
        slope = 1 / (2 * root)
        return self._chain(root, slope, -slope / (2 * self.value))

    def sin(self) -> Jet:
        s, c = self.value.sin(), self.value.cos()
        return self._chain(s, c, -s)

    def cos(self) -> Jet:
        s, c = self.value.sin(), self.value.cos()
        return self._chain(c, -s, -c)

    def tan(self) -> Jet:
        t = self.value.tan()
        slope = 1 + t * t
        return self._chain(t, slope, 2 * t * slope)

    def sinh(self) -> Jet:
        s, c = self.value.sinh(), self.value.cosh()
        return self._chain(s, c, s)

    def cosh(self) -> Jet:
        s, c = self.value.sinh(), self.value.cosh()
        return self._chain(c, s, c)

    def tanh(self) -> Jet:
        t = self.value.tanh()
        slope = 1 - t * t
        return self._chain(t, slope, -2 * t * slope)

    def arcsin(self) -> Jet:
        return self._of_inverse(self.scalar.arcsin(self.value), 1 - self.value * self.value, 1)

    def arccos(self) -> Jet:
        return -self.arcsin() + Jet(self.scalar, self.scalar.half_pi)

    def arcsinh(self) -> Jet:
        return self._of_inverse(self.scalar.arcsinh(self.value), 1 + self.value * self.value, -1)

    def arccosh(self) -> Jet:
        u = self.value
        r = 1 / (self.scalar.sqrt(u - 1) * self.scalar.sqrt(u + 1))
        return self._chain(self.scalar.arccosh(u), r, -u * r * r * r)

    def _of_inverse(self, value: Any, under: Any, sign: int) -> Jet:
        """A function with f' = under^(-1/2) and f'' = sign u under^(-3/2)."""
        r = 1 / self.scalar.sqrt(under)
        return self._chain(value, r, sign * self.value * r * r * r)

    def arctan(self) -> Jet:
        r = 1 / (1 + self.value * self.value)
        return self._chain(self.scalar.arctan(self.value), r, -2 * self.value * r * r)

    def arctanh(self) -> Jet:
        r = 1 / (1 - self.value * self.value)
        return self._chain(self.scalar.arctanh(self.value), r, 2 * self.value * r * r)

    # comparisons ----------------------------------------------------------------------------------------------------

    def __abs__(self) -> Jet:
        return self if self > 0 else -self

    def __gt__(self, other: Any) -> bool:
        return self._decided(self - other, True)

    def __lt__(self, other: Any) -> bool:
        return self._decided(self - other, False)

    __ge__, __le__ = __gt__, __lt__

    def _decided(self, gap: Any, above: bool) -> bool:
        if not self.scalar.is_complex:
            if gap.value > 0:
                return above
            if gap.value < 0:
                return not above
        raise UndecidedError("a comparison", f"a ball about {gap.value}", "one whose numbers have one sign")


def hessian_of(jet: Any, d: int) -> list[list[Any]]:
    """The Hessian of a jet as rows of balls."""
    H: list[list[Any]] = [[None] * d for _ in range(d)]
    k = 0
    for i in range(d):
        for j in range(i, d):
            H[i][j] = H[j][i] = jet.second[k]
            k += 1
    return H
