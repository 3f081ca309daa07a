"""Balls with their gradients, as numbers of a `Jet`: third derivatives on a cell, and values by the mean-value form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from geoflow.numerics.balls import Jet, Scalar, hessian_of
from geoflow.numerics.enclosures import Evaluation
from geoflow.numerics.records import Record


class Dual:
    """A real ball u, and balls of d_i u on the same cell; `first` is empty of a constant."""

    __slots__ = ("first", "value")

    def __init__(self, value: Any, first: Sequence[Any] = ()):
        self.value, self.first = value, first

    def _with(self, value: Any, slope: Any) -> Dual:
        """f(u), from f and f' on the ball."""
        return Dual(value, [slope * a for a in self.first])

    def __add__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return Dual(self.value + other, self.first)
        if not (self.first and other.first):
            return Dual(self.value + other.value, self.first or other.first)
        return Dual(self.value + other.value, [a + b for a, b in zip(self.first, other.first, strict=True)])

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return Dual(-self.value, [-a for a in self.first])

    def __sub__(self, other: Any) -> Dual:
        return self + (-other)

    def __rsub__(self, other: Any) -> Dual:
        return -self + other

    def __mul__(self, other: Any) -> Dual:
        if not isinstance(other, Dual):
            return self._with(self.value * other, other)
        u, v = self.value, other.value
        if not (self.first and other.first):
            return self._with(u * v, v) if self.first else other._with(u * v, u)
        return Dual(u * v, [u * b + v * a for a, b in zip(self.first, other.first, strict=True)])

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        return self * (1 / other)

    def __rtruediv__(self, other: Any) -> Dual:
        r = 1 / self.value
        return other * self._with(r, -r * r)

    def __pow__(self, n: int) -> Dual:
        if n == 0:
            return Dual(self.value**0)
        return self._with(self.value**n, n * self.value ** (n - 1))

    def __gt__(self, other: int) -> bool:
        """Whether all numbers are larger."""
        return bool(self.value > other)

    def __lt__(self, other: int) -> bool:
        return bool(self.value < other)

    def mid(self) -> Any:
        return self.value.mid()

    def exp(self) -> Dual:
        e = self.value.exp()
        return self._with(e, e)

    def log(self) -> Dual:
        return self._with(self.value.log(), 1 / self.value)

    def sqrt(self) -> Dual:
        root = self.value.sqrt()
        return self._with(root, 1 / (2 * root))

    def sin(self) -> Dual:
        return self._with(self.value.sin(), self.value.cos())

    def cos(self) -> Dual:
        return self._with(self.value.cos(), -self.value.sin())

    def tan(self) -> Dual:
        t = self.value.tan()
        return self._with(t, 1 + t * t)

    def sinh(self) -> Dual:
        return self._with(self.value.sinh(), self.value.cosh())

    def cosh(self) -> Dual:
        return self._with(self.value.cosh(), self.value.sinh())

    def tanh(self) -> Dual:
        t = self.value.tanh()
        return self._with(t, 1 - t * t)

    def asin(self) -> Dual:
        return self._with(self.value.asin(), 1 / (1 - self.value**2).sqrt())

    def atan(self) -> Dual:
        return self._with(self.value.atan(), 1 / (1 + self.value**2))

    def asinh(self) -> Dual:
        return self._with(self.value.asinh(), 1 / (1 + self.value**2).sqrt())

    def acosh(self) -> Dual:
        u = self.value
        return self._with(u.acosh(), 1 / ((u - 1).sqrt() * (u + 1).sqrt()))

    def atanh(self) -> Dual:
        return self._with(self.value.atanh(), 1 / (1 - self.value**2))


class Duals(Scalar):
    """Duals in the place of balls, for `Jet`."""

    def __init__(self, flint: Any):
        super().__init__(flint, False)
        arb = self.kind
        self.kind: Callable[[Any], Dual] = lambda x: x if isinstance(x, Dual) else Dual(arb(x))
        self.half_pi = Dual(flint.arb.pi() / 2)


class Centred:
    """The Hessian of a recorded function on cells, by H(m) + (w - m) . dH: rows of balls, or `UndecidedError`.

    Its balls are wide by the square of the cell's width where derivatives of H are known to some digits, and by the
    width itself where H is evaluated on the cell.
    """

    def __init__(self, recorded: Record, flint: Any):
        self.scalar = Duals(flint)
        self.arb, self.function = flint.arb, Evaluation(recorded, self.scalar.constant)

    def __call__(self, cell: Sequence[Any], middle: Sequence[float], H: list[list[Any]]) -> list[list[Any]]:
        """On a cell, of balls, from H at a point of it."""
        d, zero, one = len(cell), self.arb(0), self.arb(1)
        units = [[one if i == k else zero for k in range(d)] for i in range(d)]
        jet: Any = self.function(
            Jet.variables(self.scalar, [Dual(ball, unit) for ball, unit in zip(cell, units, strict=True)])
        ).item()
        if jet.first is None:
            return H
        way = [ball - self.arb(float(m)) for ball, m in zip(cell, middle, strict=True)]
        found = []
        for own, row in zip(H, hessian_of(jet, d), strict=True):
            steps = [sum((a * h for a, h in zip(entry.first, way, strict=False)), zero) for entry in row]
            found.append([h + step for h, step in zip(own, steps, strict=True)])
        return found
