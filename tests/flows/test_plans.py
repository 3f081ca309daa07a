"""Steps, noise and minibatches of descents: what is taken, and what is refused."""

import itertools

import numpy as np
import pytest

import geoflow as gf
from geoflow.flows.plans import Plan, as_steps

CASE = gf.catalog.parametrizations["hyperbolic"](3)
G, X0, R = CASE.parametrization, CASE.x0, CASE.legendre
W0 = G(X0)
RNG = np.random.default_rng(5)
Z, Y = RNG.standard_normal((10, 3)), RNG.standard_normal(10)
LOSSES = {
    "squares": gf.LeastSquares(Z, Y),
    "logistic": gf.LogisticLoss(Z, np.sign(Y)),
    "link": gf.LinkLoss(Z, Y, lambda r: r**2 + r**4),
}
DESCENTS = {
    "gradient": lambda loss, *rest, **options: gf.gradient_descent(loss, G, X0, *rest, **options),
    "mirror": lambda loss, *rest, **options: gf.mirror_descent(loss, R, W0, *rest, **options),
    "natural": lambda loss, *rest, **options: gf.natural_gradient_descent(loss, R, W0, *rest, **options),
}


def test_a_number_an_array_and_a_callable_are_the_same_steps():
    for make in (0.1, np.full(4, 0.1), [0.1] * 4, lambda k: 0.1):
        steps, times = as_steps(make, 4)
        assert steps.tolist() == [0.1] * 4 and np.allclose(times, [0, 0.1, 0.2, 0.3, 0.4], rtol=1e-15)
    steps, times = as_steps(lambda k: 1 / (1 + k), 3)
    assert steps.tolist() == [1.0, 0.5, 1 / 3] and np.allclose(times, [0, 1, 1.5, 1.5 + 1 / 3])


@pytest.mark.parametrize("descent", DESCENTS.values(), ids=list(DESCENTS))
def test_a_schedule_is_followed_step_by_step(descent):
    loss, steps = LOSSES["squares"], 0.02 / np.sqrt(1.0 + np.arange(20))
    whole = descent(loss, steps, 20)
    assert np.allclose(whole.t, np.r_[0.0, np.cumsum(steps)], rtol=1e-14) and whole.success
    for k in (0, 7):  # every step as one of a descent of one step from there
        start = whole.x[k] if whole.x is not None else whole.w[k]
        make = {"gradient descent": gf.gradient_descent, "mirror descent": gf.mirror_descent}
        one = make.get(whole.method, gf.natural_gradient_descent)
        once = one(loss, G if whole.x is not None else R, start, float(steps[k]), 1)
        assert np.allclose(once.w[1], whole.w[k + 1], rtol=1e-10)
    assert np.array_equal(descent(loss, lambda k: 0.02 / np.sqrt(1.0 + k), 20).w, whole.w)


@pytest.mark.parametrize(
    "step, words",
    [
        ([0.1] * 4, r"shape \(4,\) for 5 steps"), ([0.1] * 6, "for 5 steps"), ([[0.1] * 5], "shape"), ([], "shape"),
        (-0.1, "positive"), (0.0, "positive"), (np.nan, "finite"), (np.inf, "finite"), ("0.1", "positive"),
        (True, "positive"), (None, "positive"), ([0.1, 0.1, -0.1, 0.1, 0.1], "step 2; got -0.1"),
        ([0.1, np.nan, 0.1, 0.1, 0.1], "index"), (lambda k: -1.0 if k == 3 else 0.1, "step 3; got -1"),
        (lambda k: np.nan, "finite"), (lambda k: [0.1, 0.2], "shape"), (lambda: 0.1, "called with"),
        (lambda k: 1 / (3 - k), "ZeroDivisionError"), (lambda k: "a", "step"), (lambda k: None, "step"), (1j, "real"),
    ],
)  # fmt: skip
def test_steps_that_are_none_are_named(step, words):
    with pytest.raises((gf.ArgumentError, gf.NotFiniteError, gf.ShapeError), match=words):
        gf.gradient_descent(LOSSES["squares"], G, X0, step, 5)


@pytest.mark.parametrize("descent", DESCENTS.values(), ids=list(DESCENTS))
def test_noise_of_the_step_and_of_the_point(descent):
    loss, seen = LOSSES["squares"], []

    def at_both(k, w):
        seen.append((k, w.copy()))
        w[:] = np.nan  # is a copy, and changes nothing
        return 0.01 * k

    run = descent(loss, 0.01, 5, at_both)
    assert [k for k, _ in seen] == [0, 1, 2, 3, 4] and np.array_equal([w for _, w in seen], run.w[:-1])
    assert np.array_equal(descent(loss, 0.01, 5, lambda k: 0.01 * k).w, run.w)
    assert np.array_equal(descent(loss, 0.01, 5, lambda k, scale=0.01: scale * k).w, run.w)
    away = descent(loss, 0.01, 5, lambda k, w: -loss.gradient(w))  # it cancels the gradient
    assert np.allclose(away.w, W0, rtol=1e-12)


@pytest.mark.parametrize(
    "noise, words",
    [
        (lambda k, w: [0.1, 0.2], "shape"), (lambda k, w: np.zeros((3, 3)), "shape"), (lambda k: np.nan, "finite"),
        (lambda k, w: None, "noise"), (lambda: 0.0, "called with"), (lambda k, w, z: 0.0, "called with"),
        (0.1, "callable"), (lambda k, w: w / w.sum() * "a", "noise raised"), (lambda k: [1e400] * 3, "finite"),
    ],
)  # fmt: skip
def test_noise_that_is_none_is_named(noise, words):
    with pytest.raises((gf.ArgumentError, gf.NotFiniteError, gf.ShapeError), match=words):
        gf.mirror_descent(LOSSES["squares"], R, W0, 0.1, 3, noise)


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("size", [1, 3, 5, 10])
def test_a_pass_takes_every_row_once_and_its_gradients_have_the_mean_of_the_loss(name, size, rng):
    loss, w = LOSSES[name], rng.standard_normal(3)
    plan = Plan.of("a_descent", loss, 3, None, True, {"batch": size, "rng": 7})
    passes = -(-10 // size)
    rows = list(itertools.islice(Plan.of("a_descent", loss, 3, None, True, {"batch": size, "rng": 7}).rows, 2 * passes))
    for one in (rows[:passes], rows[passes:]):
        assert sorted(np.concatenate(one)) == list(range(10))
    assert size == 10 or not all(np.array_equal(a, b) for a, b in zip(rows[:passes], rows[passes:], strict=True))
    forces = [plan.force(k, w, 0.0) for k in range(passes)]
    weights = [len(part) / 10 for part in rows[:passes]]
    assert np.allclose(np.average(forces, axis=0, weights=weights), -loss.gradient(w), rtol=1e-12)


def test_batches_are_those_of_their_seed_and_a_whole_batch_is_the_descent_itself():
    loss, run = LOSSES["squares"], lambda **options: gf.mirror_descent(LOSSES["squares"], R, W0, 0.01, 30, **options)
    assert np.array_equal(run(batch=4).w, run(batch=4, rng=0).w)
    assert np.array_equal(run(batch=4, rng=3).w, run(batch=4, rng=np.random.default_rng(3)).w)
    assert not np.array_equal(run(batch=4, rng=3).w, run(batch=4, rng=4).w)
    assert np.array_equal(run(batch=10).w, run().w) and "batches of 4" in run(batch=4).method
    assert run(batch=4).loss[-1] == pytest.approx(float(loss(run(batch=4).w[-1])))  # of all rows


def test_stochastic_descent_of_data_that_can_be_fitted_arrives():
    truth = np.array([0.5, -0.3, 0.2])
    loss = gf.LeastSquares(Z, Z @ truth)
    run = gf.gradient_descent(loss, G, X0, 0.01, 3000, batch=2, rng=1, until={"loss": 1e-12})
    assert run.status is gf.Status.SMALL_LOSS and np.allclose(run.w[-1], truth, atol=1e-5)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"batch": 11}, "at most 10"), ({"batch": 0}, "at least 1"), ({"batch": 2.5}, "integer"),
        ({"batch": True}, "integer"), ({"rng": 3}, "without batch"), ({"batch": 2, "rng": -1}, "seed"),
        ({"batch": 2, "rng": "a"}, "seed"), ({"batch": 2, "rng": 1.5}, "seed"),
    ],
)  # fmt: skip
def test_batches_that_are_none_are_named(options, words):
    with pytest.raises(gf.ArgumentError, match=words):
        gf.gradient_descent(LOSSES["squares"], G, X0, 0.1, 3, **options)


def test_a_loss_without_rows_has_no_batches_and_an_unknown_option_is_named():
    with pytest.raises(gf.ArgumentError, match="LeastSquares"):
        gf.gradient_descent(lambda w: (w**2).sum(-1), G, X0, 0.1, 3, batch=2)
    with pytest.raises(TypeError, match="batch_size"):
        gf.gradient_descent(LOSSES["squares"], G, X0, 0.1, 3, batch_size=2)


def test_a_change_is_that_of_a_whole_pass():
    """A row that is fitted changes nothing, and the others are not yet."""
    loss = gf.LeastSquares(np.eye(2), [1.0, 2.0])
    square = gf.LegendreFunction(lambda w: (w**2).sum(-1) / 2, 2)
    run = gf.mirror_descent(loss, square, [1.0, 1.0], 0.1, 2000, batch=1, rng=0, until={"change": 1e-9})
    assert run.status is gf.Status.SMALL_CHANGE and np.allclose(run.w[-1], [1.0, 2.0], atol=1e-7)
    assert len(run.t) > 100


def test_a_subclass_with_terms_that_are_no_sum_over_rows_is_refused():
    class Ridge(gf.LeastSquares):
        def gradient(self, w):
            return super().gradient(w) + 10 * w

    G = gf.Parametrization(lambda x: x**2, 2, 2)
    with pytest.raises(gf.ArgumentError, match="batch"):
        gf.gradient_descent(Ridge(np.eye(2), [1.0, 2.0]), G, [1.0, 1.0], 1e-3, 3, batch=1)
