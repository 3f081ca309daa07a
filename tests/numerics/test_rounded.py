"""Floats with proved errors, against exact fractions and 50 digits."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from geoflow.numerics import rounded
from geoflow.numerics.balls import Jet, hessian_of, precision
from geoflow.numerics.rounded import Floats, Rounded, largest_norm, tensor

pytest.importorskip("flint")


def exact(x):
    return np.vectorize(Fraction, otypes=[object])(x)


def is_within(found, true):
    """Whether exact numbers are within the errors, as fractions."""
    gaps = np.abs(exact(found.value) - true)
    return bool(np.all(gaps <= exact(np.broadcast_to(found.error, gaps.shape))))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6, 1e-160])
def test_operations_are_within_their_errors(scale):
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = scale * rng.standard_normal((2, 7)), scale * rng.standard_normal((2, 7))
        x, y, X, Y = Rounded(a), Rounded(b), exact(a), exact(b)
        for found, true in (
            (x + y, X + Y), (x - y, X - Y), (x * y, X * Y), (x / y, X / Y),
            (x * y - y * y + 3 * x, X * Y - Y * Y + 3 * X),
            (x**3, X**3), (x**-2 if scale > 1e-100 else x, X**-2 if scale > 1e-100 else X), (1 / x, 1 / X),
            ((x * y).total(), (X * Y).sum(axis=-1)), (2 - x, 2 - X),
        ):  # fmt: skip
            assert is_within(found, true)
            assert found.error.max() <= 1e-13 * np.abs(found.value).max() + 1e-280


def test_errors_of_errors_are_kept():
    rng = np.random.default_rng(1)
    a, off = rng.standard_normal((2, 50))
    for end in (-1, 1):  # whatever number there is within the error
        x, X = Rounded(a, np.abs(off) * 1e-3), exact(a) + end * exact(np.abs(off) * 1e-3)
        y = Rounded(np.ones(50) * 3.0, 1e-4)
        Y = np.full(50, Fraction(3) - end * Fraction(1e-4))
        assert is_within(x * y + x, X * Y + X) and is_within(y.reciprocal() * x, X / Y)


def test_products_with_matrices():
    rng = np.random.default_rng(2)
    M, c = rng.standard_normal((9, 6)) * 10.0 ** rng.integers(-6, 6, (9, 6)), rng.standard_normal((6, 6, 2))
    found = tensor(Rounded(c), [Rounded(M), Rounded(M)])
    one = np.einsum("ai,ijk->ajk", exact(M), exact(c))
    assert is_within(found, np.einsum("bj,ajk->abk", exact(M), one)) and found.shape == (9, 9, 2)
    off = tensor(Rounded(c[..., 0], 1e-3), [Rounded(M[:, :6][:6], 1e-4)])
    moved = (exact(M[:6]) - Fraction(1e-4)) @ (exact(c[..., 0]) + Fraction(1e-3))
    assert is_within(off, moved)


@pytest.mark.parametrize("name", sorted(rounded.FUNCTIONS))
def test_functions_against_fifty_digits(name):
    x = np.array([1.25, 1.75, 3.0]) if name == "acosh" else np.array([0.3, 0.5, 0.9])
    of = getattr(mpmath, {"log": "ln"}.get(name, name))
    found = getattr(Rounded(x, 1e-9), name)()
    with mpmath.workdps(50):
        for end in (-1, 0, 1):
            true = [of(mpmath.mpf(v) + end * mpmath.mpf(1e-9)) for v in x]
            assert all(
                abs(mpmath.mpf(f) - t) <= mpmath.mpf(e) for f, e, t in zip(found.value, found.error, true, strict=True)
            )
    assert found.error.max() < 1e-7
    with pytest.raises(AttributeError):
        _ = Rounded(x).gamma


def test_what_is_not_known_is_infinite_and_not_ordered():
    zero = Rounded([0.0, 1.0], 0.5)
    assert np.isinf(zero.reciprocal().error[0]) and np.isfinite(zero.reciprocal().error[1])
    assert not zero > 0 and not zero < 0 and zero > -0.6 and zero < 2
    assert np.isinf(Rounded([-1.0]).log().error[0])
    assert rounded.largest(Rounded([1.0], np.inf)) == np.inf == largest_norm([[Rounded([1.0], np.inf)]])
    assert rounded.largest(Rounded([np.nan])) == np.inf


def test_spectral_norms_are_bounded_from_above_and_nearly():
    rng = np.random.default_rng(2)
    for d in (1, 2, 3):
        for scale in (1e-12, 1.0, 1e9):
            A = rng.standard_normal((50, d, d)) * scale
            A = A + np.swapaxes(A, 1, 2)
            rows = [[Rounded(A[:, i, j]) for j in range(d)] for i in range(d)]
            true = np.abs(np.linalg.eigvalsh(A)).max()
            assert true * (1 - 1e-14) <= largest_norm(rows) <= d ** (1 / 16) * true * (1 + 1e-8)
    assert 0 <= largest_norm([[Rounded(np.zeros(3))]]) < 1e-280
    off = [[Rounded([1.0], 0.25), Rounded([0.0], 0.5)], [Rounded([0.0], 0.5), Rounded([1.0], 0.25)]]
    assert 1.75 <= largest_norm(off) < 1.9


def test_many_jets_at_once_are_those_at_each_point():
    rng = np.random.default_rng(3)
    w = rng.uniform(0.5, 1.5, (5, 2))
    with precision() as flint:
        scalar = Floats(flint)
        x, y = Jet.variables(scalar, [Rounded(w[:, 0]), Rounded(w[:, 1])])
        H = hessian_of(((x * y).exp() + (x / y).log() + y**2.5 + 0.1 * x), 2)
    for k, (a, b) in enumerate(w):
        e = np.exp(a * b)
        true = [[b * b * e - 1 / a**2, (1 + a * b) * e], [(1 + a * b) * e, a * a * e + 1 / b**2 + 3.75 * b**0.5]]
        for i in range(2):
            for j in range(2):
                assert abs(H[i][j].value[k] - true[i][j]) <= 1e-12 and H[i][j].error[k] < 1e-12
