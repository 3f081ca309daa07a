"""Leaves of commuting maps: restriction to them, lifts of batches, and lifts from small starts."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.leaf import LeafKernel
from geoflow.theorems import laws

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0 = CASE.parametrization, CASE.x0
W = CASE.reach(3, np.random.default_rng(0))
SQUARE = gf.Parametrization(lambda x: x**2, 2, 2)


def test_q_is_integrated_where_it_is_asked_for(monkeypatch):
    """Q = sum 2 a^2 (cosh 4 mu - 1) / 4 for u^2 - v^2 from a; without it a lift takes fewer evaluations."""
    G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2)
    calls, kernel = [], G.kernel
    lift = kernel.horizontal_lift
    monkeypatch.setattr(kernel, "horizontal_lift", lambda x, dw: calls.append(1) or lift(x, dw))
    leaf, w = G.leaf(np.full(4, 1e-3)), np.array([[0.7, 0.2], [-1.3, 2.0]])
    plain = leaf.lift(w)
    few = len(calls)
    asked = leaf.lift(w, with_Q=True)
    Q = (1e-6 * (np.cosh(4 * asked.mu) - 1) / 2).sum(-1)
    assert np.isnan(plain.Q).all() and np.allclose(asked.Q, Q, rtol=1e-9)
    assert np.allclose(plain.mu, asked.mu, rtol=1e-12) and few < len(calls) - few < 100
    both = len(calls)
    assert np.array_equal(leaf.lift(w).Q, asked.Q) and len(calls) == both


def test_leaves_keep_the_function():
    case = gf.catalog.parametrizations["hyperbolic"](1)
    one, x0 = case.parametrization, case.x0
    w = one(x0) + np.array([0.2])
    defect, scale = laws.leaf_keeps_legendre(one, x0, w)
    assert defect <= 1e-9 * scale
    leaf = G.on_leaf(X0)
    assert leaf.dim == 2 and leaf.check_commuting(W).defect < 1e-8
    assert np.allclose(leaf.cometric(W), G.cometric(gf.mirror_map(G, X0).lift(W)), rtol=1e-9)
    other = X0 * np.array([1.0, 1.0, 0.5, 1.0])  # on another leaf, another function at the same w
    assert np.abs(G.on_leaf(other).cometric(W) - leaf.cometric(W)).max() > 1e-3


def test_a_leaf_of_another_start_fails_the_law(monkeypatch):
    case = gf.catalog.parametrizations["hyperbolic"](1)
    moved = case.x0 * np.array([1.0, 0.5])
    on_leaf = gf.Parametrization.on_leaf
    monkeypatch.setattr(gf.Parametrization, "on_leaf", lambda G, x0: on_leaf(G, moved))
    defect, scale = laws.leaf_keeps_legendre(case.parametrization, case.x0, case.parametrization(case.x0) + 0.1)
    assert defect > 1e-2 * scale


def test_lift_or_nan_is_nan_only_at_the_entries_out_of_reach():
    leaf = SQUARE.leaf([1.0, 1.0])
    w = np.array([[0.5, 2.0], [-1.0, 1.0], [2.0, 0.3], [1.0, -3.0]])
    with pytest.raises(gf.DomainError):
        leaf.lift(w)
    for batch in (w, w.reshape(2, 2, 2)):
        found = leaf.lift_or_nan(batch, with_Q=True)
        assert found.x.shape == batch.shape and found.Q.shape == batch.shape[:-1]
        fine = (batch > 0).all(axis=-1)
        for part in (found.x, found.mu, found.Q[..., None]):
            assert np.array_equal(np.isfinite(part).all(axis=-1), fine) and np.array_equal(
                np.isnan(part).any(-1), ~fine
            )
        assert np.allclose(found.x[fine], np.sqrt(batch[fine]), rtol=1e-10)
        assert np.allclose(found.mu[fine], np.log(batch[fine]) / 4, rtol=1e-10)
    assert np.isnan(leaf.lift_or_nan(w[1]).x).all() and leaf.lift_or_nan(w[1]).Q.shape == ()
    assert np.allclose(leaf.lift_or_nan(w[0]).mu, np.log(w[0]) / 4, rtol=1e-10)


def test_a_lift_is_remembered_and_what_is_given_out_can_be_changed(rng):
    leaf, w = SQUARE.leaf([1.0, 1.0]), rng.uniform(0.5, 2, (3, 2))
    first = leaf.lift(w)
    first.x[:] = 0.0
    assert np.allclose(leaf.lift(w).x, np.sqrt(w), rtol=1e-10)


def test_a_follower_continues_from_its_last_point(rng):
    follow = SQUARE.leaf([1.0, 1.0]).follower()
    for w in np.linspace([[1.0, 1.0]], [[3.0, 0.2]], 8):
        assert np.allclose(follow(w), np.sqrt(w), rtol=1e-9)
    assert np.isnan(follow(np.array([[-1.0, 1.0]]))).all()
    assert np.allclose(follow(np.array([[2.9, 0.3]])), np.sqrt([[2.9, 0.3]]), rtol=1e-9)


def test_the_kernel_of_a_leaf_has_the_cometric_of_the_map(rng):
    leaf = SQUARE.leaf([1.0, 1.0])
    kernel, w, v = LeafKernel(leaf), rng.uniform(0.5, 2, (4, 2)), rng.standard_normal((4, 3, 2))
    assert np.array_equal(kernel.value(w), w)
    assert np.allclose(kernel.gradients(w), 4 * w[..., None] * np.eye(2), rtol=1e-9, atol=1e-12)
    assert np.allclose(kernel.derivative_of_gradients(w, v), 4 * v[..., None] * np.eye(2), rtol=1e-8, atol=1e-9)
    assert np.isnan(kernel.gradients(np.array([[-1.0, 1.0]]))).all()


def test_a_leaf_in_its_coordinates_is_the_identity_and_nan_outside():
    leaf = gf.Parametrization(lambda x: x**2, 2, 2).on_leaf([1.0, 1.0])
    w = np.array([[1.0, 2.0], [0.5, 1.5]])
    assert np.array_equal(leaf.jacobian(w), np.tile(np.eye(2), (2, 1, 1)))
    assert np.array_equal(leaf.affine([[1.0, 1.0]]).jacobian(w[0]), [[1.0, 1.0]])
    assert np.allclose(leaf.kernel.pushforward(w, leaf.gradients(w)[:, 0]), leaf.cometric(w)[:, 0], rtol=1e-14)
    assert np.isnan(leaf.kernel.value(np.array([[-1.0, 2.0]]))).all()
    with pytest.raises(gf.NotOnManifoldError, match="range of"):
        leaf([-1.0, 2.0])


def test_one_point_out_of_reach_leaves_its_neighbours_alone():
    leaf = gf.Parametrization(lambda x: x**2, 2, 2).on_leaf([1.0, 1.0])
    batch = np.array([[[1.0, 2.0], [-1.0, 2.0], [np.inf, 1.0], [np.nan, 1.0]]])
    assert np.array_equal(leaf.space.belongs(batch), [[True, False, False, False]])
    assert np.allclose(leaf.kernel.cometric(batch)[0, 0], np.diag([4.0, 8.0]), rtol=1e-10)
    assert np.isnan(leaf.kernel.cometric(batch)[0, 1:]).all()


def test_a_bracket_that_vanishes_at_x0_alone_is_seen_along_the_lift():
    lucky = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 1] * (1 + x[..., 0] ** 2)], axis=-1), 2, 2)
    leaf = lucky.on_leaf([0.0, 0.0])
    with pytest.raises(gf.NotCommutingError):
        leaf.cometric([0.5, 0.7])


def powers(d, degree):
    return gf.Parametrization(lambda x: x[..., :d] ** degree - x[..., d:] ** degree, 2 * d, d)


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 0.3])
def test_lifts_from_small_starts_are_exact_and_cost_what_others_do(degree, alpha, monkeypatch):
    """mu = (alpha^{2-L} - u^{2-L}) / (L (L - 2)), and log(u / alpha) / 2 for L = 2, at the lifted u."""
    map_ = powers(3, degree)
    leaf, calls = map_.leaf(np.full(6, alpha)), []
    rows = map_.kernel.block_rows
    monkeypatch.setattr(map_.kernel, "block_rows", lambda x: calls.append(1) or rows(x))
    w = np.array([[1.0, -0.5, 1e-3], [2.0, 0.0, -1e-9]])
    found = leaf.lift(w)
    assert len(calls) < 1000
    u, v = found.x[:, :3], found.x[:, 3:]
    assert np.allclose(u**degree - v**degree, w, rtol=1e-12, atol=1e-15)
    if degree == 2:
        wanted = np.arcsinh(w / (2 * alpha**2)) / 4
    else:
        wanted = (alpha ** (2.0 - degree) - np.maximum(u, v) ** (2.0 - degree)) / (degree * (degree - 2)) * np.sign(w)
    assert np.allclose(found.mu, wanted, rtol=1e-10, atol=1e-13 * np.abs(wanted).max())


def test_a_start_of_another_size_gives_the_same_lift_in_its_units():
    """x -> 1000 x, w -> 10^6 w: mu stays, and Q is in units of w."""
    small, large = (powers(2, 2).leaf(size * np.array([1e-3, 0.2, 2e-3, 0.1])) for size in (1.0, 1e3))
    w = np.array([[0.3, -0.7]])
    one, other = small.lift(w, True), large.lift(1e6 * w, True)
    assert np.allclose(other.x, 1e3 * one.x, rtol=1e-11) and np.allclose(other.mu, one.mu, rtol=1e-11)
    assert np.allclose(other.Q, 1e6 * one.Q, rtol=1e-10)


def test_the_bracketing_of_a_batch_out_of_reach_is_by_halves(rng):
    leaf = SQUARE.leaf(np.ones(2))
    w = rng.uniform(0.5, 1.5, (40, 2))
    w[[3, 17]] *= -1
    assert leaf.reaches(w).tolist() == [k not in {3, 17} for k in range(40)]
    assert leaf.reaches(np.full((2, 2), np.nan)).tolist() == [False, False]
    with pytest.raises(gf.DomainError) as caught:
        leaf.lift(w)
    assert caught.value.index == (3,) or caught.value.index == (17,)
    assert 0 < caught.value.s < 1


def test_a_start_at_zero_is_lifted_with_and_without_growing_neighbours():
    plain = gf.Parametrization(lambda x: 1.0 * x, 2, 2)
    w = np.array([0.5, 0.7])
    for x0 in ([0.0, 0.0], [0.0, 1e-4], [0.0, 3.0]):
        assert np.allclose(plain.leaf(np.array(x0)).lift(w).mu, w - x0, rtol=1e-11)
    mixed = gf.Parametrization(lambda x: anp.sinh(x) + 0.1 * x**2, 2, 2)
    found = mixed.leaf(np.array([0.0, 1.0])).lift(np.array([[0.5, 0.7], [0, 0.7], [1e-9, 2], [1e3, 2]]))
    assert np.allclose(anp.sinh(found.x) + 0.1 * found.x**2, [[0.5, 0.7], [0, 0.7], [1e-9, 2], [1e3, 2]], rtol=1e-11)


@pytest.mark.parametrize("s", [1e-12, 1e-9, 1e-6, 1e-3])
def test_mu_near_the_start_keeps_its_digits(s):
    leaf = powers(2, 2).leaf(np.ones(4))
    w = np.array([s, 2 * s])
    assert np.allclose(leaf.lift(w).mu, np.arcsinh(w / 2) / 4, rtol=1e-11, atol=0)


def test_an_end_that_one_point_met_is_met_by_no_other(monkeypatch):
    leaf, calls = SQUARE.leaf(np.array([1.0, 0.5])), []
    assert np.isnan(leaf.lift_or_nan(np.array([0.5, -1.0])).x).all()
    lift = leaf.kernel.horizontal_lift
    monkeypatch.setattr(leaf.kernel, "horizontal_lift", lambda x, dw: calls.append(len(x)) or lift(x, dw))
    assert leaf.reaches(np.array([[2.0, -0.1], [-1e3, -3.0]])).tolist() == [False, False] and not calls
    assert leaf.reaches(np.array([-1.0, 2.0])) == np.False_ and calls  # the end of another output is looked for


@pytest.mark.parametrize("step", [1e-9, 1e-6, 1e-3, 0.1])
def test_a_short_way_takes_fewer_evaluations_and_no_digit(step, monkeypatch):
    G = gf.Parametrization(lambda x: anp.stack([x[..., 0] * x[..., 1], x[..., 0] ** 2 + x[..., 1] ** 2], -1), 2, 2)
    leaf = gf.mirror_map(G, [1.0, 0.4]).leaf
    follow, w = leaf.follower(), leaf.w0[None]
    follow(w)
    calls, lift = [], type(leaf.kernel).horizontal_lift
    monkeypatch.setattr(type(leaf.kernel), "horizontal_lift", lambda *a: calls.append(1) or lift(*a))
    x = follow(w + step)
    assert len(calls) <= {1e-9: 4, 1e-6: 6, 1e-3: 10}.get(step, 100)
    assert np.allclose(x, leaf.lift(w + step).x, rtol=1e-11) and np.allclose(G(x), w + step, rtol=1e-13)


@pytest.mark.parametrize("w", [1e-9, 1e-13, 1e-16, 1e-30])
def test_points_next_to_the_boundary_are_in_the_range_and_those_beyond_are_not(w):
    """Of x^2 from 1, mu = log(w) / 4: the way from 1 to 1e-13 resolves no more than its rounding, 1e-16."""
    R = gf.mirror_map(gf.Parametrization(lambda x: x**2, 2, 2), [1.0, 1e-3])
    point = np.array([w, w])
    assert np.allclose(R.gradient(point), np.log(point / [1.0, 1e-6]) / 4, rtol=1e-8)
    assert np.isclose(R(point), np.sum(point * np.log(point / [1, 1e-6]) - point + [1, 1e-6]) / 4, rtol=1e-10)
    mu = np.array([-15.0, -8.0])
    assert np.allclose(R.gradient(R.inverse_gradient(mu)), mu, rtol=1e-8)
    with pytest.raises(gf.DomainError) as caught:
        R.gradient([-w, w])
    assert 0 < caught.value.s <= 1 and not R.domain.belongs([w, -w])


@pytest.mark.parametrize("size", [1e-17, 1e-200, 1e-12, 0.0])
def test_a_start_that_is_0_but_for_rounding(size):
    """The first step of an integrator from there is short, and not the end of a flow."""
    A = np.array([[1.0, 1.0], [1.0, -1.0]])
    G = gf.Parametrization(lambda x: anp.sinh(anp.matmul(x, A)), 2, 2)  # mu = arctan(sinh) of w, over 2
    w = np.array([[0.1, 0.2], [0.3, 0.4], [-2.0, 5.0]])
    assert np.allclose(gf.mirror_map(G, [size, size / 2]).gradient(w), np.arctan(w) / 2, rtol=1e-10, atol=1e-11)


def test_a_boundary_that_w_is_to_rounding_has_no_mirror_coordinate():
    """tanh x is 1 in doubles from x = 19 on: which x, and so mu, the number 1 does not tell."""
    R = gf.mirror_map(gf.Parametrization(anp.tanh, 2, 2), [0.0, 0.5])
    for ask, w in ((R.gradient, [1.0, 0.5]), (R, [0.3, -1.0]), (R.hessian, [np.nextafter(1, 0), 0.5])):
        with pytest.raises(gf.DomainError) as caught:
            ask(np.array([[0.3, 0.5], w]))
        assert caught.value.index == (1,) and "the range of G from x0" in str(caught.value)
    last = 1 - 3e-15  # half an ulp is a thirtieth of mu there, and one digit is told
    assert R.gradient([last, 0.5])[0] == pytest.approx(1 / (4 * (1 - last)), rel=0.1)
    for c, s in ((0.1, 1e-10), (1.0, 1e-4), (0.1, 1e-8)):  # mu = log((w - c) / s) / (4 s)
        flat = gf.mirror_map(gf.Parametrization(lambda x, c=c, s=s: c + s * x**2, 1, 1), [1.0])
        for w in (c, np.nextafter(c, 0)):
            with pytest.raises(gf.DomainError):
                flat.gradient([w])
    assert R.domain.belongs([[1.0, 0.5], [0.3, 0.5]]).tolist() == [False, True]
    near = 1 - 1e-10  # mu = int dw / (1 - w^2)^2
    assert R.gradient([near, 0.5])[0] == pytest.approx(near / (2 * (1 - near**2)) + np.arctanh(near) / 2, rel=1e-5)


def test_a_point_of_rounding_size_on_a_manifold_with_an_extent_is_the_start(rng):
    """F of order 1 is rounded by 1e-16 also where it is 0: so are x, w, and what their difference says of mu."""
    F = gf.realize(gf.LegendreFunction(lambda w: anp.sum(anp.exp(w) + w**2, axis=-1), 2))
    x0 = F.embedding([0.0, 0.0])
    leaf = F.parametrization.leaf(x0)
    assert 1e-3 < F.parametrization.kernel.extent < 1e3 and np.abs(x0).max() < 1e-14
    tiny = leaf.w0 + 1e-16 * rng.standard_normal((20, 2))
    w = np.concatenate([tiny, rng.uniform(-0.2, 0.2, (5, 2))])
    points = leaf.lift(w)
    assert np.abs(points.mu[:20]).max() < 1e-14
    assert np.allclose(points.mu[20:], np.exp(w[20:]) + 2 * w[20:] - 1, rtol=1e-8, atol=1e-12)
