"""Tails, interpolants and values between nodes, against functions whose coefficients and sizes are known."""

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from geoflow.numerics import bernstein
from geoflow.numerics.balls import precision, upper
from geoflow.numerics.rounded import Rounded, tensor


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
        x = np.array([float(t) for t in u])
        values = tensor(Rounded(c), [bernstein.values_at(module, u, 3)] * 2)
        back, lost = bernstein.interpolant(module, values, 2)
        assert np.abs(back.value - c).max() <= 16 * lost < 1e-12 and lost >= values.error.max()
        slopes = bernstein.slopes_at(module, u, 3)
        bends = bernstein.bends_of(slopes, 3)
        for table, order in ((slopes, 1), (bends, 2)):
            found = tensor(Rounded(c), [table, bernstein.values_at(module, u, 3)])
            true = np.stack([chebyshev.chebgrid2d(x, x, chebyshev.chebder(c[..., k], order)) for k in range(2)], -1)
            assert np.abs(found.value - true).max() < 1e-13
        at_nodes = bernstein.values_at_nodes(module, 7, 12)
        wanted = bernstein.values_at(module, bernstein.nodes(module, 7), 12)
        assert np.abs(at_nodes.value - wanted.value).max() <= (at_nodes.error + wanted.error).max() < 1e-15


def test_what_values_that_are_off_change_between_nodes_is_below_lebesgues_constant():
    pytest.importorskip("flint")
    grid = np.linspace(-1, 1, 2001)
    with precision() as module:
        for n in (4, 20):
            nodes = np.array([float(t) for t in bernstein.nodes(module, n + 1)])
            signs = np.sign(chebyshev.chebval(0.0, np.zeros(1)) + np.cos(np.arange(n + 1) * np.pi))
            off = 1e-3 * signs[:, None]
            _, lost = bernstein.interpolant(module, Rounded(np.zeros((n + 1, 1)), np.abs(off)), 1)
            through = np.linalg.solve(chebyshev.chebvander(nodes, n), off[:, 0])
            assert np.abs(chebyshev.chebval(grid, through)).max() <= lost <= 1e-3 * (2 / np.pi * np.log(n + 1) + 1.01)


def test_a_function_that_is_large_on_wide_cells_is_bounded_on_finer_ones():
    pytest.importorskip("flint")
    with precision() as module:

        def steep(u):
            t = u[0]
            return upper(1 / (1.3 - t) ** 2 - (1.3 - t) / (1.3 - t) ** 3)  # zero, and far from it on a wide cell

        wide = bernstein.sup_on_polyellipse(steep, module, 1, 1.7)
        fine = bernstein.sup_on_polyellipse(steep, module, 1, 1.7, fine=True)
        assert fine <= wide < np.inf
