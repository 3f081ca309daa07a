"""Sums and products that cancel, against rational numbers."""

from fractions import Fraction

import autograd.numpy as anp
import numpy as np

from geoflow.numerics import autodiff, exact


def test_a_difference_of_products_has_all_its_digits(rng):
    a, b, d = rng.uniform(1, 2, (3, 50))
    c = a * b / d * (1 + 1e-14)
    wanted = [
        float(Fraction(p) * Fraction(q) - Fraction(r) * Fraction(s)) for p, q, r, s in zip(a, b, c, d, strict=True)
    ]
    assert np.allclose(exact.difference_of_products(a, b, c, d), wanted, rtol=1e-15, atol=0)
    assert np.abs(a * b - c * d - wanted).max() > 1e-4 * np.abs(wanted).max()  # what rounding makes of them
    assert exact.difference_of_products(np.array(1e200), np.array(1e100), np.array(1.0), np.array(1.0)) == 1e300


def test_what_is_left_of_a_sum_and_distances_to_walls(rng):
    w = np.array([[0.3, 0.7 - 1e-13], [0.2, 0.3], [1 / 3, 1 / 3]])
    left = exact.complement(w)
    assert left.shape == (3, 1)
    for point, value in zip(w, left[:, 0], strict=True):
        assert value == float(1 - Fraction(point[0]) - Fraction(point[1]))
    A, b = rng.standard_normal((3, 2)), rng.standard_normal(3)
    point = np.linalg.solve(A[:2], -b[:2])
    s = exact.affine(point, A, b)
    for k in range(2):
        terms = sum(Fraction(float(x)) * Fraction(float(y)) for x, y in zip(A[k], point, strict=True))
        assert s[k] == float(terms + Fraction(float(b[k])))


def test_all_of_them_are_differentiated_as_plain_formulas(rng):
    w = rng.uniform(0.1, 0.3, (4, 3))
    assert np.allclose(autodiff.jacobian(lambda p: exact.complement(p)[..., 0])(w), -1)
    slope = autodiff.jacobian(lambda p: exact.difference_of_products(p[..., 0], p[..., 1], p[..., 2], p[..., 2]))(w)
    assert np.allclose(slope, np.stack([w[:, 1], w[:, 0], -2 * w[:, 2]], axis=-1))


def test_log_det_near_the_identity(rng):
    B = rng.standard_normal((5, 3, 3))
    assert np.allclose(exact.log_det_one_plus(0.1 * B), np.linalg.slogdet(np.eye(3) + 0.1 * B)[1], rtol=1e-12)
    trace = np.einsum("nii->n", B)
    assert np.allclose(exact.log_det_one_plus(1e-12 * B), 1e-12 * trace, rtol=1e-9)
    slope = autodiff.jacobian(lambda e: exact.log_det_one_plus(anp.reshape(e, (*anp.shape(e)[:-1], 3, 3))))(
        np.zeros((1, 9))
    )
    assert np.allclose(slope, np.eye(3).ravel())
