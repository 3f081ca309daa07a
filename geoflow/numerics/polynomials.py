"""Polynomials and rational functions in several variables with rational coefficients, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from numbers import Rational
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow.errors import OperationError, ProofError

if TYPE_CHECKING:
    from typing_extensions import Self

Coefficient = int | Fraction
#: bits that hold the exponent of one variable, and the largest exponent
BITS = 16
LARGEST_EXPONENT = 2**BITS - 1
#: products of terms of one product of polynomials, and bits of a coefficient, beyond which nothing is proved
MOST_PRODUCTS, MOST_BITS = 4_000_000, 200_000


def exact(value: Any) -> Coefficient:
    """The rational number that a number is: a float is the binary number that it stands for."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, Rational):
        return Fraction(value)
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        ratio = Fraction(*value.as_integer_ratio())  # of any precision
        return int(ratio) if ratio.denominator == 1 else ratio
    raise ProofError("exact arithmetic", f"{type(value).__name__} {value!r}", "a finite real number")


def is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating, Rational))


class Additive:
    """What has a sum and a negative, and so a difference; and no truth, which numpy would take for a condition."""

    def __bool__(self) -> bool:
        raise TypeError("the truth of an element is no comparison")

    def __pos__(self) -> Self:
        return self

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other  # type: ignore[operator]


class Polynomial(Additive):
    """sum_k c_k x^k: a coefficient, an int or a Fraction, for every key, the exponents of x_i in BITS bits each.

    `bound` is at least the total degree.
    """

    __slots__ = ("bound", "terms")

    def __init__(self, terms: dict[int, Coefficient], bound: int = 0):
        if bound > LARGEST_EXPONENT:  # exponents side by side must not run into each other
            raise ProofError("exact polynomial", f"degree {bound}", f"at most {LARGEST_EXPONENT}")
        self.terms, self.bound = terms, bound

    @classmethod
    def constant(cls, value: Any) -> Polynomial:
        c = exact(value)
        return cls({0: c} if c else {})

    like = constant

    @classmethod
    def variable(cls, i: int) -> Polynomial:
        """x_i."""
        return cls({1 << BITS * i: 1}, 1)

    # arithmetic -----------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if is_number(other):
            other = Polynomial.constant(other)
        elif not isinstance(other, Polynomial):
            return NotImplemented
        found = dict(self.terms)
        for key, c in other.terms.items():
            total = found.get(key, 0) + c
            if total:
                found[key] = total
            else:
                found.pop(key, None)
        return Polynomial(found, max(self.bound, other.bound))

    __radd__ = __add__

    def __neg__(self) -> Polynomial:
        return Polynomial({key: -c for key, c in self.terms.items()}, self.bound)

    def __sub__(self, other: Any) -> Any:
        if is_number(other):
            other = Polynomial.constant(other)
        return self + (-other) if isinstance(other, Polynomial) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        if is_number(other):
            c = exact(other)
            return Polynomial({key: c * value for key, value in self.terms.items()} if c else {}, self.bound)
        if not isinstance(other, Polynomial):
            return NotImplemented
        if len(self.terms) * len(other.terms) > MOST_PRODUCTS:
            got = f"a product of {len(self.terms)} by {len(other.terms)} terms"
            raise ProofError("exact polynomial", got, f"at most {MOST_PRODUCTS} products", "ask for fewer outputs")
        found: dict[int, Coefficient] = {}
        bound = Polynomial({}, self.bound + other.bound).bound
        for one, a in self.terms.items():
            for two, b in other.terms.items():
                found[one + two] = found.get(one + two, 0) + a * b
        return Polynomial({key: c for key, c in found.items() if c}, bound)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if is_number(other):
            other = Polynomial.constant(other)
        return quotient(self, other) if isinstance(other, Polynomial) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return quotient(Polynomial.constant(other), self) if is_number(other) else NotImplemented

    def __pow__(self, power: Any) -> Any:
        n = integer_power(power)
        if n < 0:
            return 1 / (self**-n)
        if n * max(self.bound, 1) > LARGEST_EXPONENT or n * self.bits() > MOST_BITS:
            got = f"power {n} of a polynomial of degree {self.bound}"
            raise ProofError("exact polynomial", got, f"degrees up to {LARGEST_EXPONENT} and short coefficients")
        found, base = Polynomial.constant(1), self
        while n:
            found = found * base if n & 1 else found
            n >>= 1
            base = base * base if n else base
        return found

    def square(self) -> Polynomial:
        return self * self

    # what it is -----------------------------------------------------------------------------------------------------

    def is_zero(self) -> bool:
        return not self.terms

    def is_constant(self) -> bool:
        return not any(self.terms)

    def bits(self) -> int:
        """Bits of the largest coefficient."""
        parts = [n for c in self.terms.values() for n in (c.numerator, c.denominator)]
        return max((n.bit_length() for n in parts), default=0)

    def exponents(self, key: int) -> list[int]:
        found = []
        while key:
            found.append(key & LARGEST_EXPONENT)
            key >>= BITS
        return found

    def degree(self) -> int:
        """The total degree, 0 of the zero polynomial."""
        return max((sum(self.exponents(key)) for key in self.terms), default=0)

    def derivative(self, i: int) -> Polynomial:
        """d_i."""
        shift = BITS * i
        powers = ((key, c, key >> shift & LARGEST_EXPONENT) for key, c in self.terms.items())
        return Polynomial({key - (1 << shift): c * k for key, c, k in powers if k}, self.bound)

    def at(self, x: Sequence[Coefficient]) -> Coefficient:
        """The value at a rational point."""
        total: Coefficient = 0
        for key, c in self.terms.items():
            for value, k in zip(x, self.exponents(key), strict=False):
                c = c * value**k
            total = total + c
        return total

    def denominator(self) -> int:
        """The least common denominator of the coefficients."""
        return lcm(*(c.denominator for c in self.terms.values()))

    def __str__(self) -> str:
        return " ".join(self._written()) or "0"

    __repr__ = __str__

    def _written(self) -> list[str]:
        found: list[str] = []
        for key in sorted(self.terms, key=lambda k: (-sum(self.exponents(k)), self.exponents(k)[::-1])):
            c, names = self.terms[key], [
                f"x_{i + 1}" + (f"^{k}" if k > 1 else "") for i, k in enumerate(self.exponents(key)) if k
            ]  # fmt: skip
            size = [] if abs(c) == 1 and names else [str(abs(c))]
            sign = ("- " if c < 0 else "+ ") if found else "-" if c < 0 else ""
            found.append(sign + " ".join([*size, *names]))
        return found


class Quotient(Additive):
    """A rational function p / q, q not the zero polynomial."""

    __slots__ = ("above", "below")

    def __init__(self, above: Polynomial, below: Polynomial):
        self.above, self.below = above, below

    @staticmethod
    def like(value: Any) -> Polynomial:
        return Polynomial.constant(value)

    def _parts(self, other: Any) -> tuple[Polynomial, Polynomial] | None:
        if isinstance(other, Quotient):
            return other.above, other.below
        if isinstance(other, Polynomial):
            return other, Polynomial.constant(1)
        return (Polynomial.constant(other), Polynomial.constant(1)) if is_number(other) else None

    def __add__(self, other: Any) -> Any:
        parts = self._parts(other)
        if parts is None:
            return NotImplemented
        above, below = parts
        if below.terms == self.below.terms:
            return quotient(self.above + above, below)
        return quotient(self.above * below + above * self.below, self.below * below)

    __radd__ = __add__

    def __neg__(self) -> Quotient:
        return Quotient(-self.above, self.below)

    def __mul__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else quotient(self.above * parts[0], self.below * parts[1])

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else quotient(self.above * parts[1], self.below * parts[0])

    def __rtruediv__(self, other: Any) -> Any:
        parts = self._parts(other)
        return NotImplemented if parts is None else quotient(parts[0] * self.below, parts[1] * self.above)

    def __pow__(self, power: Any) -> Any:
        n = integer_power(power)
        return quotient(self.above**n, self.below**n) if n >= 0 else quotient(self.below**-n, self.above**-n)

    def square(self) -> Any:
        return self * self

    def derivative(self, i: int) -> Any:
        slope, bend = self.above.derivative(i), self.below.derivative(i)
        return quotient(slope * self.below - self.above * bend, self.below * self.below)

    def is_zero(self) -> bool:
        return self.above.is_zero()

    def at(self, x: Sequence[Coefficient]) -> Coefficient:
        """The value at a rational point; `ZeroDivisionError` where the denominator is zero."""
        return Fraction(self.above.at(x)) / Fraction(self.below.at(x))

    def __str__(self) -> str:
        return f"({self.above}) / ({self.below})"

    __repr__ = __str__


def quotient(above: Polynomial, below: Polynomial) -> Any:
    """p / q: a polynomial where q is a number."""
    if below.is_zero():
        raise ProofError("rational function", "a division by the zero polynomial", "a map that is defined somewhere")
    if below.is_constant():
        return above * (1 / Fraction(below.terms[0]))
    return above if above.is_zero() else Quotient(above, below)


def integer_power(power: Any) -> int:
    """The exponent as an integer; `OperationError` for any other, which leads out of the rational functions."""
    if is_number(power) and power == int(power):
        return int(power)
    raise OperationError("power in exact arithmetic", f"exponent {power}", "an integer exponent", operation="power")
