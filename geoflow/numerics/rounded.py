"""Arrays of floats with proved bounds of their errors: polynomials at many points, as fast as matrix products.

Every number is value +- error. An operation is rounded once, to within 2^-53 of its result, and a sum of n products, in
any order, fused or not, is off by at most n 2^-52 times the sum of their sizes: that is IEEE arithmetic and what a
matrix product of floats does. Bounds are sums of positive floats, enlarged by more than their own rounding.

Reference
---------
Higham, Accuracy and Stability of Numerical Algorithms, chapter 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow.numerics.balls import Scalar, load

#: twice the unit roundoff, what bounds are enlarged by, and what underflow may lose
UNIT, GROWN, TINY = 2.0**-52, 1 + 1e-11, 1e-290
#: powers of a matrix by which its norm is bounded: |B|^8 is at most the Frobenius norm of B^8, beyond it by d^(1/2)
SQUARINGS = 3
#: functions of balls that are asked for by their names
FUNCTIONS = {
    "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "atan", "asinh", "acosh", "atanh",
}  # fmt: skip


class Rounded:
    """An array of numbers, each within `error` of its `value`; errors that are not finite bound nothing."""

    __slots__ = ("error", "value")
    __array_ufunc__ = None  # an array on the left leaves products to this class

    def __init__(self, value: Any, error: Any = 0.0):
        self.value = np.asarray(value, dtype=float)
        self.error = np.broadcast_to(np.asarray(error, dtype=float), self.value.shape)

    @classmethod
    def of_balls(cls, balls: Any) -> Rounded:
        """An array, or nested lists, of real balls."""
        balls = np.asarray(balls, dtype=object)
        value = np.array([float(b) for b in balls.ravel()])  # the midpoint, to within 2^-52 of itself
        radius = np.array([float(b.rad()) for b in balls.ravel()])
        fine = np.isfinite(value) & np.isfinite(radius)
        value = np.where(fine, value, 0.0)
        error = np.where(fine, np.nextafter(radius, np.inf) * GROWN + UNIT * np.abs(value), np.inf)
        return cls(value.reshape(balls.shape), error.reshape(balls.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> Array:
        """A bound of the absolute values, entry by entry."""
        return (np.abs(self.value) + self.error) * GROWN

    def __getitem__(self, index: Any) -> Rounded:
        return Rounded(self.value[index], self.error[index])

    def __add__(self, other: Any) -> Rounded:
        other = _rounded(other)
        value = self.value + other.value
        return Rounded(value, (self.error + other.error + UNIT * np.abs(value)) * GROWN + TINY)

    __radd__ = __add__

    def __neg__(self) -> Rounded:
        return Rounded(-self.value, self.error)

    def __sub__(self, other: Any) -> Rounded:
        return self + (-_rounded(other))

    def __mul__(self, other: Any) -> Rounded:
        other = _rounded(other)
        value = self.value * other.value
        spread = np.abs(self.value) * other.error + self.error * (np.abs(other.value) + other.error)
        return Rounded(value, (spread + UNIT * np.abs(value)) * GROWN + TINY)

    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Rounded:
        return -self + other

    def __truediv__(self, other: Any) -> Rounded:
        return self * _rounded(other).reciprocal()

    def __rtruediv__(self, other: Any) -> Rounded:
        return self.reciprocal() * other

    def reciprocal(self) -> Rounded:
        """1 / x; a bound of infinity where x may be 0."""
        with np.errstate(all="ignore"):
            value, nearest = 1 / self.value, (np.abs(self.value) - self.error) / GROWN
            error = (self.error / np.abs(self.value) / nearest + UNIT * np.abs(value)) * GROWN + TINY
            fine = nearest > 0
        return Rounded(np.where(fine, value, 0.0), np.where(fine, error, np.inf))

    def __pow__(self, n: int) -> Rounded:
        if n < 0:
            return (self**-n).reciprocal()
        found, base = Rounded(np.ones(self.shape)), self
        while n:
            found = found * base if n & 1 else found
            n >>= 1
            base = base * base if n else base
        return found

    def __gt__(self, other: float) -> bool:
        """Whether all numbers are larger; no order is known where this and `<` are both false."""
        gap = self - other
        return bool(np.all(gap.value > gap.error))

    def __lt__(self, other: float) -> bool:
        gap = self - other
        return bool(np.all(-gap.value > gap.error))

    def mid(self) -> float:
        """A number among them."""
        middle = float(np.mean(self.value))
        return middle if np.isfinite(middle) else 0.0

    def through(self, name: str) -> Rounded:
        """A function of balls, entry by entry."""
        arb = load().arb
        errors = np.nan_to_num(self.error, nan=np.inf, posinf=np.inf)
        flat = zip(self.value.ravel().tolist(), errors.ravel().tolist(), strict=True)
        found = [getattr(arb(v, e), name)() for v, e in flat]
        table = np.empty(len(found), dtype=object)
        table[:] = found
        return Rounded.of_balls(table.reshape(self.shape))

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(name)
        return partial(self.through, name)

    def reshaped(self, shape: tuple[int, ...]) -> Rounded:
        return Rounded(self.value.reshape(shape), self.error.reshape(shape))

    def total(self, axis: int = -1) -> Rounded:
        """The sum over an axis."""
        n = self.value.shape[axis]
        error = self.error.sum(axis=axis) + n * UNIT * np.abs(self.value).sum(axis=axis)
        return Rounded(self.value.sum(axis=axis), error * GROWN + TINY)

    def along(self, matrix: Rounded, axis: int) -> Rounded:
        """sum_k M_jk x_k along an axis."""
        n = self.value.shape[axis]
        M, size = np.abs(matrix.value), np.abs(self.value)

        def product(one: Array, other: Array) -> Array:
            return np.moveaxis(np.tensordot(one, other, axes=(1, axis)), 0, axis)

        error = product(M + matrix.error, self.error + n * UNIT * size) + product(matrix.error, size)
        return Rounded(product(matrix.value, self.value), error * GROWN + n * TINY)


def _rounded(other: Any) -> Rounded:
    if isinstance(other, Rounded):
        return other
    value = np.asarray(other, dtype=float)
    inexact = isinstance(other, int) and int(value) != other
    return Rounded(value, UNIT * np.abs(value) if inexact else 0.0)


class Floats(Scalar):
    """Many numbers at once in the place of a ball, for `Jet`."""

    def __init__(self, flint: Any):
        super().__init__(flint, False)
        self.kind = _rounded
        self.half_pi = Rounded.of_balls([flint.arb.pi() / 2])[0]


def stacked(parts: Sequence[Rounded], n: int) -> Rounded:
    """Numbers, or arrays of n of them, as columns, shape=[n, K]."""
    columns = [(np.broadcast_to(x.value, n), np.broadcast_to(x.error, n)) for x in parts]
    return Rounded(*(np.stack(side, axis=-1) for side in zip(*columns, strict=True)))


def tensor(coefficients: Rounded, matrices: Sequence[Rounded]) -> Rounded:
    """A tensor, shape=[n_1, ..., n_d, ...], multiplied along its first axes by matrices."""
    for axis, matrix in enumerate(matrices):
        coefficients = coefficients.along(matrix, axis)
    return coefficients


#: a matrix of arrays, by rows
Rows = list[list[Rounded]]


def difference(A: Rows, B: Rows) -> Rows:
    """A - B of matrices of arrays."""
    return [[a - b for a, b in zip(one, other, strict=True)] for one, other in zip(A, B, strict=True)]


def congruence(P: Rows, S: Rows) -> Rows:
    """P S P^T of matrices of arrays."""
    d = range(len(P))
    half = [[_sum([P[i][k] * S[k][j] for k in d]) for j in d] for i in d]
    return [[_sum([half[i][k] * P[j][k] for k in d]) for j in d] for i in d]


def identity(d: int) -> Rows:
    """I, of single numbers."""
    return [[Rounded(float(i == j)) for j in range(d)] for i in range(d)]


def _sum(terms: list[Rounded]) -> Rounded:
    return sum(terms[1:], terms[0])


def squares(A: Rows) -> Rounded:
    """The sum of the squares of the entries, in every place."""
    return _sum([a * a for row in A for a in row])


def largest(x: Rounded) -> float:
    """A bound of all absolute values; infinite where there is none."""
    found = float(x.size.max()) if x.value.size else 0.0
    return found if found == found else np.inf


def largest_norm(S: Rows) -> float:
    """A bound of the spectral norms of symmetric matrices of arrays: of the values by a power, and of the errors."""
    d = len(S)
    shape = np.broadcast_shapes(*(entry.shape for row in S for entry in row))
    B = np.stack([np.stack([np.broadcast_to(e.value, shape) for e in row], -1) for row in S], -2)
    off = np.stack([np.stack([np.broadcast_to(e.error, shape) for e in row], -1) for row in S], -2)
    B = (B + np.swapaxes(B, -1, -2)) / 2  # both values of an entry are within their errors, and so is the mean
    scale = np.abs(B).max()
    off = (off + np.swapaxes(off, -1, -2)) / 2
    rest = float(off.sum(axis=-1).max())  # the largest row sum bounds a norm
    if not np.isfinite(scale) or not np.isfinite(rest):
        return np.inf
    if scale == 0:
        return rest * GROWN + TINY
    power = B / scale
    # entries are at most 1 in size, so that a product is off by 2^SQUARINGS d^8 2^-50 at most, of a norm of 1 or more
    for _ in range(SQUARINGS):
        power = np.matmul(power, power)
    norm = float(np.sqrt(np.square(power).sum(axis=(-1, -2)).max())) ** (1 / 2**SQUARINGS)
    return (norm * scale * (1 + 1e-10 * d**2) + rest) * GROWN + TINY
