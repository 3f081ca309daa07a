"""w(mu) by tables: against closed forms, from small starts, and beyond what a table reaches."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.tables import AT_ONCE, PIECES, DualTable


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


@pytest.mark.parametrize("width", [0.3, 0.03, 0.02])
def test_features_that_leave_no_trace_in_w_are_seen(width):
    """G = x + a narrow wiggle: beyond it w = x again, and only mu = int dx / G' has moved."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    across = np.sum(weights / (1 + 0.4 * (1 - nodes**2) ** 4 * (1 - 11 * nodes**2))) * width  # of G' over the wiggle
    for centre in np.linspace(1.4, 6.5, 20):

        def G(x, c=centre):
            u = (x - c) / width
            return x + 0.4 * width * anp.maximum(1 - u**2, 0) ** 5 * u

        mu = 6.5 - 2 * width + across
        found = DualTable(gf.Parametrization(G, 1, 1).kernel, np.ones(1)).value(np.array([[mu]]))
        assert np.isclose(found, 7.5, rtol=1e-9, atol=0), centre


@pytest.mark.parametrize("K, v", [(10.0, 1e-6), (10.0, 1e-12), (30.0, 1e-9), (100.0, 1e-12)])
def test_a_small_input_that_grows_faster_has_its_own_digits(K, v):
    """w = u^2 + K v^2 with u = e^(2 mu), v = v0 e^(2 K mu)."""
    G = gf.Parametrization(lambda x: x[..., :1] ** 2 + K * x[..., 1:] ** 2, 2, 1)
    mu = np.log(1 / v) / (2 * K) * np.array([[0.5], [0.9], [1.0], [1.05]])
    table, large, small = DualTable(G.kernel, np.array([1.0, v])), np.exp(4 * mu), K * v**2 * np.exp(4 * K * mu)
    assert np.allclose(table.value(mu), large + small, rtol=1e-11, atol=0)
    assert np.allclose(table.slope(mu), 4 * large + 4 * K * small, rtol=1e-10, atol=0)


def test_what_cancels_to_rounding_is_refused_and_not_tabled():
    """(x + 1000)^2 near x = -999: x keeps its digits, and w does not have those that a table promises."""
    G = gf.Parametrization(lambda x: (x + 1000.0) ** 2, 1, 1)
    mu = np.array([[0.5], [1.5]])
    found = DualTable(G.kernel, np.array([-999.0])).value(mu)
    assert (np.isnan(found) | np.isclose(found, np.exp(4 * mu), rtol=1e-9, atol=0)).all()


def test_where_w_saturates_pieces_grow_no_faster_than_they_can():
    """sin x from 0.3: x' = mu cos x comes to rest at pi / 2, and the other output of the table goes on."""
    G = gf.Parametrization(lambda x: anp.sin(x) * np.array([1.0, 0.0]) + x * np.array([0.0, 1.0]), 2, 2)
    table, mu = DualTable(G.kernel, np.array([0.3, 0.3])), np.array([[100.0, 100.0], [-100.0, -100.0]])
    exact = np.sin(2 * np.arctan(np.tanh((mu[:, 0] + np.arctanh(np.sin(0.3))) / 2)))
    assert np.allclose(table.value(mu), np.c_[exact, mu[:, 1] + 0.3], rtol=1e-11) and table.pieces < 60


def test_numbers_of_several_kinds_in_several_parts(rng):
    """More numbers than are handled at once, of two kinds that take turns: each is that of its own output."""
    G = gf.Parametrization(lambda x: x ** np.array([2.0, 3.0]), 2, 2)
    kinds = rng.integers(0, 2, AT_ONCE + 100)
    table, mu = DualTable(G.kernel, np.ones(2), kinds), rng.uniform(-1, 0.3, (2, len(kinds)))
    exact = np.where(kinds == 0, np.exp(4 * mu), (1 - 3 * np.where(kinds == 0, 0, mu)) ** -3.0)
    assert np.allclose(table.value(mu), exact, rtol=1e-12)
    assert np.allclose(table.slope(mu), np.where(kinds == 0, 4 * exact, 9 * exact ** (4 / 3)), rtol=1e-10)


def in_parts(table, mu, **options):
    """w of states mu, shape=[S, N, d], asked for part by part."""
    flat = mu.reshape(len(mu), -1)
    found = [w for _, w in table.parts(lambda part: flat[:, part], len(mu), mu.shape[1], **options)]
    return np.concatenate(found, axis=1).reshape(mu.shape)


def test_a_call_adds_no_more_pieces_than_it_may():
    """u^3 - v^3 from 1 blows up at mu = 1/3: what lies beyond is no reason to make the table to its end."""
    G = gf.Parametrization(lambda x: x[..., :1] ** 3 - x[..., 1:] ** 3, 2, 1)
    table, mu = DualTable(G.kernel, np.ones(2)), np.array([[[0.3], [1.0]]])
    assert np.isnan(in_parts(table, mu, most=2)).all() and table.pieces == 2
    near = in_parts(table, mu[:, :1], most=20)
    assert np.allclose(near, power_of(3, 1.0, mu[:, :1]), rtol=1e-11) and 2 < table.pieces <= 22
    pieces = table.pieces
    again = in_parts(table, mu, most=1)
    assert np.isnan(again[0, 1]) and table.pieces == pieces + 1
    assert np.array_equal(again[0, 0], near[0, 0])


@pytest.mark.parametrize("change", [1e-3, 0.3, 3.0])
def test_states_of_a_step_share_their_pieces_or_have_their_own(change, rng):
    """A state beside eight others, in the same piece, in others and across the start, is what it is alone."""
    G = gf.Parametrization(lambda x: x[..., :40] ** 2 - x[..., 40:] ** 2, 80, 40)
    table, alone = (DualTable(G.kernel, np.full(80, 1e-3)) for _ in range(2))
    mu = rng.uniform(-3, 3, (2, 40)) + change * rng.uniform(-1, 1, (9, 2, 40)).cumsum(axis=0) / 3
    mu[3, 1, :20] = 0.0
    for _ in range(3):
        found, still = in_parts(table, mu), mu == 0
        for state, w in zip(mu, found, strict=True):
            assert np.array_equal(table.value(state), w)
            assert np.array_equal(alone.value(state), w)
            assert np.array_equal(alone.value(state[1:])[0], w[1])
        assert np.allclose(found, power_of(2, 1e-3, mu), rtol=1e-11, atol=1e-18)
        assert np.count_nonzero(still) == 20 and not found[still].any()
        assert np.array_equal(in_parts(table, mu, slope=True)[4], alone.slope(mu[4]))
        mu = mu[::-1]
        for n in (3, 5, 7, 11):
            table.value(mu[0, :1].repeat(n, axis=0))
            assert len(table._last) <= 2


def test_no_states_have_no_numbers():
    table = DualTable(gf.Parametrization(lambda x: x**3, 1, 1).kernel, np.ones(1))
    assert [found.shape for _, found in table.parts(lambda part: np.zeros((0, 1)), 0)] == [(0, 1)]
    assert table.value(np.zeros((0, 1))).shape == (0, 1)


def test_numbers_are_looked_for_where_they_were_the_last_time(monkeypatch):
    table = DualTable(gf.Parametrization(lambda x: x**2, 1, 1).kernel, np.ones(1))
    mu, searched = np.array([[1.5]]), []
    found = DualTable._found
    monkeypatch.setattr(DualTable, "_found", lambda *given: searched.append(1) or found(*given))
    w = table.value(mu)
    assert searched == [1] and np.array_equal(table.value(mu), w) and searched == [1]
    table.value(-mu)
    assert searched == [1, 1]


def test_a_map_may_ask_a_table_while_another_grows():
    """Of a map whose jacobian runs a flow with a table of its own; it is asked while the outer table is made longer."""
    inner = DualTable(gf.Parametrization(lambda x: x**2, 1, 1).kernel, np.ones(1))
    asked = []

    def jacobian(x):
        asked.append(inner.value(np.array([[0.1 * len(asked)]])))
        return 2 * x[..., None]

    G = gf.Parametrization(lambda x: x**2, 1, 1, jacobian=jacobian, check=False)
    table, mu = DualTable(G.kernel, np.ones(1)), np.array([[1.0]])
    found = []
    thread = Thread(target=lambda: found.append(table.value(mu)), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and asked and np.allclose(found[0], np.exp(4 * mu), rtol=1e-11)


def test_how_far_one_reader_may_go_is_not_how_far_another_may():
    table = DualTable(gf.Parametrization(lambda x: x**2, 1, 1).kernel, np.ones(1))
    far, near = np.array([[20.0]]), np.array([[0.1]])
    parts = table.parts(lambda part: (table.parts(lambda part: near, 1, most=1).__next__(), far)[1], 1)
    assert np.allclose(next(parts)[1], np.exp(80.0), rtol=1e-10)


def test_threads_read_a_table_that_grows(rng):
    """Every thread has the numbers that one alone has, while pieces are added and places are remembered."""
    G = gf.Parametrization(lambda x: x[..., :40] ** 2 - x[..., 40:] ** 2, 80, 40)
    mu = rng.uniform(-3, 3, (64, 1, 40)) * np.linspace(0.01, 1, 64)[:, None, None]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            table = DualTable(G.kernel, np.full(80, 1e-3))
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(table.value, mu))
            assert np.allclose(found, power_of(2, 1e-3, mu), rtol=1e-10, atol=1e-18)
    finally:
        sys.setswitchinterval(interval)


def test_states_are_asked_for_part_by_part(rng):
    """More outputs than one part has room for, and each part is that of its place."""
    kinds, states = rng.integers(0, 2, AT_ONCE // 4 + 7), 9
    G = gf.Parametrization(lambda x: x ** np.array([2.0, 3.0]), 2, 2)
    table, mu = DualTable(G.kernel, np.ones(2), kinds), rng.uniform(-1, 0.3, (states, 1, len(kinds)))
    parts = [part for part, _ in table.parts(lambda part: mu[:, 0, part], states)]
    assert parts[0].start == 0 and parts[-1].stop == len(kinds) and len(parts) > 2
    assert all(one.stop == other.start for one, other in itertools.pairwise(parts))
    assert all((part.stop - part.start) * states <= AT_ONCE for part in parts)
    exact = np.where(kinds == 0, np.exp(4 * mu), (1 - 3 * np.where(kinds == 0, 0, mu)) ** -3.0)
    assert np.allclose(in_parts(table, mu), exact, rtol=1e-12)


def test_coefficients_are_looked_up_once_for_all_states(monkeypatch, rng):
    """Nine states a little apart: as many numbers of them are looked up as of one state."""
    G = gf.Parametrization(lambda x: x[..., :50] ** 2 - x[..., 50:] ** 2, 100, 50)
    table = DualTable(G.kernel, np.full(100, 1e-3))
    mu = rng.uniform(0.05, 0.1, 50) + 1e-9 * rng.uniform(-1, 1, (9, 1, 50))
    in_parts(table, mu)
    asked = []
    polynomial = DualTable._polynomial
    monkeypatch.setattr(
        DualTable, "_polynomial", lambda self, place, *more: asked.append(len(place)) or polynomial(self, place, *more)
    )
    in_parts(table, mu)
    assert asked == [50]
