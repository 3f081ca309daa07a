"""w(mu) by tables: against closed forms, from small starts, and beyond what a table reaches."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.tables import PIECES, DualTable


def power_of(degree, a, mu):
    """w(mu) of u^L - v^L from u = v = a."""
    if degree == 2:
        return 2 * a * a * np.sinh(4 * mu)
    k = 2 - degree
    return (a**k + k * degree * mu) ** (degree / k) - (a**k - k * degree * mu) ** (degree / k)


@pytest.mark.parametrize("degree, a", [(2, 1e-6), (2, 1.0), (3, 1e-3), (3, 1.0), (4, 1e-2)])
def test_values_and_slopes_are_those_of_closed_forms(degree, a, rng):
    G = gf.Parametrization(lambda x: x[..., :3] ** degree - x[..., 3:] ** degree, 6, 3)
    table = DualTable(G.kernel, np.full(6, a))
    top = np.arcsinh(1 / (2 * a * a)) / 4 if degree == 2 else 0.9 * a ** (2 - degree) / (degree * (degree - 2))
    mu = np.concatenate([rng.uniform(-top, top, (40, 3)), 1e-9 * rng.uniform(-top, top, (5, 3)), np.zeros((1, 3))])
    scale = a**degree
    w, exact = table.value(mu), power_of(degree, a, mu)
    assert (np.abs(w - exact) <= 1e-10 * np.abs(exact) + 1e-13 * scale).all()
    h = 1e-5 * top
    slope = (power_of(degree, a, mu + h) - power_of(degree, a, mu - h)) / (2 * h)
    assert np.allclose(table.slope(mu), slope, rtol=1e-6)
    assert np.array_equal(table.value(mu), w)  # from the pieces of the last time
    assert np.allclose(table.value(mu[::-1]), w[::-1], rtol=1e-12, atol=1e-14 * scale)


def test_a_start_at_zero_units_and_an_identity(rng):
    for unit in (1e-6, 1.0, 1e6):
        G = gf.Parametrization(lambda x, unit=unit: unit * x, 2, 2)
        mu = rng.uniform(-3, 3, (20, 2))
        assert np.allclose(DualTable(G.kernel, np.zeros(2)).value(mu), unit * unit * mu, rtol=1e-12, atol=0)


def test_beyond_a_blow_up_the_table_ends():
    G = gf.Parametrization(lambda x: x**3, 1, 1)  # x' = 3 x^2 mu: x = 1 / (1 - 3 mu)
    table = DualTable(G.kernel, np.ones(1))
    found = table.value(np.array([[0.3], [1 / 3 + 1e-3], [-5.0]]))
    assert np.allclose(found[[0, 2], 0], [1e3, 1 / 16**3], rtol=1e-10) and np.isnan(found[1, 0])
    assert table.pieces <= PIECES


def test_pieces_are_shorter_where_the_map_has_a_feature(rng):
    """Beside a smooth output stands one that turns by a width of 1e-3; both keep their digits."""
    G = gf.Parametrization(lambda x: x + 1e-4 * np.array([0.0, 1.0]) * anp.tanh((x - 1.5) / 1e-3), 2, 2)
    table, x0 = DualTable(G.kernel, np.ones(2)), np.ones(2)
    mu = rng.uniform(0, 0.8, (30, 2))
    leaf = G.leaf(x0)
    back = leaf.lift(table.value(mu)).mu
    assert np.allclose(back, mu, rtol=1e-8)


def test_pieces_grow_again_after_a_feature_and_rounding_does_not_hold_them_back():
    """w = x + a bend of width 1e-3 at 1.5, beyond which it is x again: pieces become as long as before."""
    G = gf.Parametrization(lambda x: x + 1e-4 * anp.tanh((x - 1.5) / 1e-3), 1, 1)
    table = DualTable(G.kernel, np.ones(1))
    assert np.isfinite(table.value(np.array([[2.0], [30.0]]))).all() and table.pieces < 60
    assert table.value(np.zeros((1, 1))) == G(np.ones(1))  # no rounding there
