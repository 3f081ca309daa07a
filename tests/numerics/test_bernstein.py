"""Tails, interpolants and values between nodes, against functions whose coefficients and sizes are known."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from geoflow.numerics import bernstein
from geoflow.numerics.balls import precision, upper


def pole(module, at, d):
    """1 / prod (at - u_i), whose Chebyshev coefficients are 2^(k > 0) s^k / sqrt(at^2 - 1), s = 1 / radius."""

    def bound(u):
        value = module.acb(1)
        for t in u:
            value = value / (at - t)
        return upper(value)

    return bound


@pytest.mark.parametrize("d", [1, 2])
def test_the_tail_is_above_the_coefficients_that_are_known(d):
    pytest.importorskip("flint")
    at = 1.5
    radius, first = at + (at**2 - 1) ** 0.5, 1 / (at**2 - 1) ** 0.5
    with precision() as module:
        found = bernstein.analytic(pole(module, at, d), module, d, 1e-10)
    assert found is not None and 1.4 < found.rho < radius
    for n in (5, 20, 60):
        k = np.arange(400)
        c = first * np.where(k > 0, 2.0, 1.0) * radius**-k
        true = c.sum() ** d - c[: n + 1].sum() ** d
        assert true <= found.tail(n) * (1 + 1e-6) + 1e-15
    assert found.tail(found.degree(1e-10)) <= 1e-10 < found.tail(found.degree(1e-10) - 1)


def test_a_pole_inside_an_ellipse_is_found_though_its_edge_is_free_of_it():
    pytest.importorskip("flint")
    with precision() as module:
        # on the edge of the ellipse of radius 4 the function is bounded by 2, and its pole is at 1.5
        assert bernstein.sup_on_polyellipse(pole(module, 1.5, 1), module, 1, 4.0) == np.inf
        assert bernstein.sup_on_polyellipse(pole(module, 1.5, 1), module, 1, 2.0) < 30


def test_polynomials_between_nodes():
    rng, grid = np.random.default_rng(0), np.linspace(-1, 1, 4001)
    for N, m in ((6, 7), (6, 9), (6, 12), (20, 31)):
        nodes = np.cos(np.pi * (np.arange(m) + 0.5) / m)
        factor, worst = bernstein.between_nodes(N, m, 1), 0.0
        for _ in range(300):
            c = rng.standard_normal(N + 1)
            at = np.abs(chebyshev.chebval(nodes, c)).max()
            worst = max(worst, np.abs(chebyshev.chebval(grid, c)).max() / at)
        # T_N itself, turned so that it is largest between two nodes, is nearly the worst there is
        assert 1 < worst <= factor
    assert bernstein.between_nodes(8, 8, 1) == np.inf and bernstein.between_nodes(4, 8, 2) == pytest.approx(2.0)


def test_the_interpolant_of_a_polynomial_is_the_polynomial():
    pytest.importorskip("flint")
    c = np.random.default_rng(1).standard_normal((4, 4, 2))
    with precision() as module:
        u = bernstein.nodes(module, 4)
        tensor = np.empty(c.shape, dtype=object)
        tensor.flat[:] = [module.arb(float(x)) for x in c.ravel()]
        values = bernstein.along_axes(module, tensor, [bernstein.values_matrix(module, u, 3)] * 2)
        back = bernstein.along_axes(module, values, [bernstein.transform(module, 3)] * 2)
        assert max(upper(a - b) for a, b in zip(back.ravel(), tensor.ravel(), strict=True)) < 1e-25
        slopes = bernstein.along_axes(
            module, tensor, [bernstein.slopes_matrix(module, u, 3), bernstein.values_matrix(module, u, 3)]
        )
        x = np.array([float(t.mid()) for t in u])
        true = np.stack([
            chebyshev.chebgrid2d(x, x, chebyshev.chebder(c[..., k], axis=0)) for k in range(2)
        ], axis=-1)  # fmt: skip
        assert np.abs(np.vectorize(lambda b: float(b.mid()))(slopes) - true).max() < 1e-13


def test_spectral_norms_are_bounded_from_above_and_nearly():
    pytest.importorskip("flint")
    rng = np.random.default_rng(2)
    with precision() as module:
        for d in (1, 2, 3):
            A = rng.standard_normal((50, d, d))
            A = A + np.swapaxes(A, 1, 2)
            balls = [[np.array([module.arb(float(x)) for x in A[:, i, j]]) for j in range(d)] for i in range(d)]
            true = np.abs(np.linalg.eigvalsh(A)).max()
            assert true <= bernstein.largest_norm(balls, d) <= d**0.25 * true * (1 + 1e-9)
