"""Margins against closed forms, their certificates, and what has none."""

import numpy as np
import pytest

import geoflow as gf

POTENTIALS = gf.catalog.potentials
NORMS = (1, 2, np.inf)


def separable(rng, n, d):
    Z = rng.standard_normal((n, d))
    return Z, np.sign(Z @ rng.standard_normal(d))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "norm, axes, one, along",
    [
        (1, [0.5, 0.5], 4.0, [0.0, -1.0]),
        (2, [0.5**0.5] * 2, 5.0, [-0.6, -0.8]),
        (np.inf, [1.0, 1.0], 7.0, [-1.0, -1.0]),
    ],
)
def test_closed_forms_at_every_scale(norm, axes, one, along, scale):
    both = gf.max_margin(scale * np.eye(2), [1, 1], norm)
    assert np.allclose(both.direction, axes, rtol=1e-12) and abs(both.weights.sum() - 1) < 1e-12
    assert norm == np.inf or np.allclose(both.weights, 0.5, rtol=1e-12)  # of norm 1 all weights have the same bound
    assert abs(both.margin / (scale * axes[0]) - 1) < 1e-12 and abs(both.bound / both.margin - 1) < 1e-12
    single = gf.max_margin([[3 * scale, 4 * scale]], [-1], norm)
    assert np.allclose(single.direction, along, atol=1e-12) and abs(single.margin / (one * scale) - 1) < 1e-12
    assert np.allclose(single.w, single.direction / single.margin, rtol=1e-12) and single.support.tolist() == [0]


@pytest.mark.parametrize("n, d", [(1, 1), (60, 3), (40, 300)])
@pytest.mark.parametrize("norm", NORMS)
def test_both_sides_of_the_duality_meet(norm, n, d, rng):
    Z, y = separable(rng, n, d)
    found = gf.max_margin(Z, y, norm)
    A, dual = y[:, None] * Z, {1: np.inf, 2: 2, np.inf: 1}[norm]
    assert abs(np.linalg.norm(found.direction, norm) - 1) < 1e-12
    assert abs((A @ found.direction).min() / found.margin - 1) < 1e-12
    assert found.weights.min() >= 0 and abs(found.weights.sum() - 1) < 1e-12
    assert abs(np.linalg.norm(found.weights @ A, dual) / found.bound - 1) < 1e-12 and found.gap < 1e-10
    others = rng.standard_normal((200, d)) + found.direction  # none is wider, and no other weights give a lower bound
    others /= np.linalg.norm(others, norm, axis=1, keepdims=True)
    assert (A @ others.T).min(axis=0).max() <= found.bound * (1 + 1e-12)
    bounds = np.linalg.norm(rng.dirichlet(np.ones(n), 200) @ A, dual, axis=1)
    assert bounds.min() >= found.margin * (1 - 1e-12)


def test_rows_and_columns_of_very_different_sizes(rng):
    Z, y = separable(rng, 20, 6)
    Z = np.logspace(-3, 3, 20)[:, None] * Z * np.logspace(-1, 1, 6)
    for norm in NORMS:
        assert gf.max_margin(Z, y, norm).gap < 1e-8


def test_what_the_programs_cannot_resolve_is_refused(rng):
    """Rows whose differences are 1e-8 of them: nonnegative least squares forms squares of that."""
    Z, y = separable(rng, 20, 6)
    for scales in (np.logspace(0, -8, 6), np.logspace(0, -12, 6)):
        try:
            assert gf.max_margin(Z * scales, y, 2).gap <= 1e-8
        except (gf.ConvergenceError, gf.InfeasibleError) as error:
            assert "scale the columns" in str(error) or "rounding" in str(error)


def test_a_potential_gives_the_norm_that_it_is_a_power_of(rng):
    Z, y = separable(rng, 30, 4)
    square = gf.LegendreFunction(lambda w: (w**2).sum(-1) / 2, 4, name="square")
    found, norm = gf.max_margin(Z, y, square), gf.max_margin(Z, y, 2)
    assert np.allclose(found.direction, norm.direction, rtol=1e-9) and np.allclose(found.w, norm.w, rtol=1e-9)
    assert np.allclose(found.weights, norm.weights / norm.bound**2, atol=1e-9) and found.gap < 1e-12
    power = gf.LegendreFunction(lambda w: (w**4).sum(-1) / 4, 3)  # of one row z the minimiser is along z^(1/3)
    z = np.array([8.0, -27.0, 1.0])
    one = gf.max_margin([z], [1], power, level=2.0)
    assert np.allclose(one.w, 2 * np.cbrt(z) / (z @ np.cbrt(z)), rtol=1e-9) and one.gap < 1e-12


def test_a_potential_of_another_map_tends_to_norm_1_as_the_level_grows(rng):
    Z, y = separable(rng, 3, 6)
    best = gf.max_margin(Z, y, 1)
    R = POTENTIALS["hyperbolic_entropy"](6)
    missed = []
    for level in (1e-3, 1.0, 1e6, 1e30):
        found = gf.max_margin(Z, y, R, level=level)
        A = y[:, None] * Z
        assert found.gap < 1e-10 and (A @ found.w).min() >= level * (1 - 1e-10)
        if level <= 1:  # beyond, R hardly depends on the small coordinates of w
            assert np.allclose(R.gradient(found.w), found.weights @ A, rtol=1e-7, atol=1e-9)
        missed.append(1 - (A @ found.w).min() / np.abs(found.w).sum() / best.margin)
    assert np.all(np.diff(missed) < 0) and missed[-1] < 0.02 < missed[0]


def test_the_flow_of_a_logistic_loss_tends_to_it(rng):
    Z, y = separable(rng, 12, 3)
    square = gf.LegendreFunction(lambda w: (w**2).sum(-1) / 2, 3, name="square")
    flow = gf.mirror_flow(gf.LogisticLoss(Z, y), square, np.zeros(3), np.geomspace(1.0, 1e8, 9)).unwrap()
    best = gf.max_margin(Z, y)
    margins = (y[:, None] * Z @ flow.w.T).min(axis=0) / np.linalg.norm(flow.w, axis=1)
    assert np.all(margins <= best.margin) and 0.9 * best.margin < margins[-1]
    assert margins[-1] > margins[0]


@pytest.mark.parametrize(
    "Z, y, weights",
    [
        ([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], [1, 1, 1], [1 / 3] * 3),
        ([[2.0], [1.0]], [1, -1], [1 / 3, 2 / 3]),
        ([[1.0, 0.0], [0.0, 0.0]], [1, 1], [0.0, 1.0]),
        ([[1e-6, 0.0], [1e6, 0.0]], [1, -1], [1 / (1 + 1e-12), 1e-12]),
    ],
)
def test_data_that_nothing_separates_are_refused_with_a_witness(Z, y, weights):
    for norm in (*NORMS, POTENTIALS["quartic"](len(Z[0]))):
        with pytest.raises(gf.InfeasibleError, match="no w separates") as caught:
            gf.max_margin(Z, y, norm)
        error = caught.value
        assert np.allclose(error.weights, weights, rtol=1e-6, atol=1e-15) and error.defect <= 1e-7
        A = np.array(y)[:, None] * np.array(Z)
        assert np.abs(error.weights @ A).max() <= 1e-7 * (error.weights @ np.abs(A)).max()


def test_parity_is_not_separable_without_its_product():
    Z = np.array([[1.0, a, b] for a in (0, 1) for b in (0, 1)])
    with pytest.raises(gf.InfeasibleError):
        gf.max_margin(Z, [-1, 1, 1, -1])
    assert gf.max_margin(np.c_[Z, Z[:, 1] * Z[:, 2]], [-1, 1, 1, -1]).margin > 0.1


def test_constraints_that_miss_the_domain_of_the_potential_are_refused():
    with pytest.raises(gf.InfeasibleError, match="miss the domain"):
        gf.max_margin([[-1.0, -1.0]], [1], POTENTIALS["negative_entropy"](2))
    inside = gf.max_margin([[1.0, 1.0]], [1], POTENTIALS["negative_entropy"](2))
    assert np.allclose(inside.w, 1.0, rtol=1e-9) and not len(inside.support)  # where w log w - w is least of all
    further = gf.max_margin([[1.0, 1.0]], [1], POTENTIALS["negative_entropy"](2), level=6.0)
    assert np.allclose(further.w, 3.0, rtol=1e-9) and np.allclose(further.weights, np.log(3.0), rtol=1e-9)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: gf.max_margin([[1.0]], [1], 3), "numpy.inf"),
        (lambda: gf.max_margin([[1.0]], [1], "l1"), "LegendreFunction"),
        (lambda: gf.max_margin([[1.0]], [1], True), "LegendreFunction"),
        (lambda: gf.max_margin([[1.0]], [2]), "-1 and"),
        (lambda: gf.max_margin([[1.0]], [1, 1]), "shape"),
        (lambda: gf.max_margin([[np.nan]], [1]), "finite"),
        (lambda: gf.max_margin(np.zeros((0, 2)), []), "at least one row"),
        (lambda: gf.max_margin([[1.0]], [1], 2, level=3.0), "level"),
        (lambda: gf.max_margin([[1.0]], [1], POTENTIALS["quartic"](1), level=-1.0), "positive"),
        (lambda: gf.max_margin([[1.0]], [1], POTENTIALS["quartic"](2)), "columns"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises((gf.ArgumentError, gf.ShapeError, gf.NotFiniteError), match=words):
        make()


def test_a_margin_shows_itself_in_a_line_and_is_pickled(rng):
    import pickle

    found = gf.max_margin(*separable(rng, 500, 100))
    assert len(repr(found)) < 100 and "\n" not in repr(found) and "margin" in repr(found)
    assert np.array_equal(pickle.loads(pickle.dumps(found)).direction, found.direction)


@pytest.mark.parametrize("units", [[1e-6, 1.0, 1e6], [1e-200, 1e-200, 1e-200]])
def test_units_of_columns_do_not_make_data_inseparable(units, rng):
    Z = rng.standard_normal((20, 3))
    y = np.sign(Z @ [1.0, 2.0, -1.0])
    try:
        found = gf.max_margin(Z * np.array(units), y)
    except gf.ConvergenceError:  # too wide for the bound, and said to be that
        return
    assert np.all(y * (Z * np.array(units) @ found.direction) > 0)


def test_one_w_outside_a_domain_is_not_said_to_be_all():
    R = gf.catalog.potentials["log_det_spd"](3)
    with pytest.raises(gf.ConvergenceError, match="one try"):
        gf.max_margin([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [1.0, 1.0], R)
