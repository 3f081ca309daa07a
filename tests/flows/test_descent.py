"""Discretizations of the flows, and their orders in the step."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0, R = CASE.parametrization, CASE.x0, CASE.legendre
W0 = G(X0)
LOSS = gf.LeastSquares([[1.0, 0.5]], [0.4])
TIME = 1.0
STEPS = (0.02, 0.01, 0.005, 0.0025)
END = gf.gradient_flow(LOSS, G, X0, TIME, rtol=1e-12, atol=1e-14).w[-1]
METHODS = {
    "gradient": lambda h, n, noise=None: gf.gradient_descent(LOSS, G, X0, h, n, noise),
    "mirror": lambda h, n, noise=None: gf.mirror_descent(LOSS, R, W0, h, n, noise),
    "natural": lambda h, n, noise=None: gf.natural_gradient_descent(LOSS, R, W0, h, n, noise),
}


@pytest.mark.parametrize("name", list(METHODS))
def test_each_is_of_first_order(name):
    def error(h):
        run = METHODS[name](h, round(TIME / h)).unwrap()
        assert abs(run.t[-1] - TIME) < 1e-9
        return np.abs(run.w[-1] - END).max()

    assert abs(gf.fitted_order(error, STEPS) - 1) < 0.1


@pytest.mark.parametrize("name", ["mirror", "natural"])
def test_each_is_within_first_order_of_gradient_descent(name):
    """Gunasekar, Woodworth, Srebro 2021: they agree in the limit of small steps, and differ by O(step)."""

    def gap(h):
        n = round(TIME / h)
        return np.abs(METHODS[name](h, n).w - METHODS["gradient"](h, n).w).max()

    assert abs(gf.fitted_order(gap, STEPS) - 1) < 0.1


def noise_of(h, seed):
    """Gradient noise of standard deviation a half a step, the same for the same seed."""
    draws = 0.5 * np.random.default_rng(seed).standard_normal((round(TIME / h), 2))
    return lambda k: draws[k]


def test_stochastic_descent_is_half_an_order_from_the_flow_and_one_from_its_mirror():
    """Noise of variance O(1) a step adds up to O(sqrt(step)); the same noise on x and on mu differs by O(step)."""
    seeds = range(24)

    def rms(h):
        ends = [METHODS["gradient"](h, round(TIME / h), noise_of(h, s)).w[-1] - END for s in seeds]
        return np.sqrt(np.mean(np.square(ends)))

    def paired(h):
        runs = [[METHODS[m](h, round(TIME / h), noise_of(h, s)).w[-1] for m in ("gradient", "mirror")] for s in seeds]
        return np.sqrt(np.mean([np.square(a - b) for a, b in runs]))

    assert abs(gf.fitted_order(rms, STEPS) - 0.5) < 0.15
    assert abs(gf.fitted_order(paired, STEPS) - 1) < 0.2


def test_descent_on_a_curved_manifold_stays_and_is_of_first_order():
    case = gf.catalog.parametrizations["sphere_squares"](2)
    loss = gf.LeastSquares([[1.0, 0.5]], [0.6])
    end = gf.gradient_flow(loss, case.parametrization, case.x0, TIME).w[-1]

    def error(h):
        run = gf.gradient_descent(loss, case.parametrization, case.x0, h, round(TIME / h))
        assert np.abs(np.linalg.norm(run.x, axis=-1) - 1).max() < 1e-12
        return np.abs(run.w[-1] - end).max()

    assert abs(gf.fitted_order(error, STEPS) - 1) < 0.1


def test_a_step_out_of_the_domain_stops_with_a_status():
    entropy = gf.catalog.potentials["negative_entropy"](1)
    run = gf.natural_gradient_descent(lambda w: 5 * w[0], entropy, [0.5], 1.0, 5)
    assert run.status is gf.Status.LEFT_DOMAIN and len(run.t) == 1
    with pytest.raises(gf.ConvergenceError):
        run.unwrap()


def test_a_descent_that_diverges_overflows_in_silence():
    cubes = gf.Parametrization(lambda x: x**3, 2, 2)
    run = gf.gradient_descent(gf.LeastSquares(np.eye(2), [1.0, 2.0]), cubes, [1.0, 1.0], 100.0, 50)
    assert run.status is gf.Status.OVERFLOW and "shorter steps" in run.message and len(run.t) < 8


def test_an_option_that_no_descent_has_is_named_with_the_function():
    for call in (gf.mirror_descent, gf.natural_gradient_descent):
        with pytest.raises(TypeError, match=rf"^{call.__name__}\(\) .*'batches'"):
            call(LOSS, gf.catalog.potentials["negative_entropy"](2), [1.0, 2.0], 0.1, 5, batches=3)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: gf.gradient_descent(LOSS, G, X0, -0.1, 5), "step"),
        (lambda: gf.gradient_descent(LOSS, G, X0, 0.1, 0), "n_steps"),
        (lambda: gf.gradient_descent(LOSS, G, [X0, X0], 0.1, 5), "one point"),
        (lambda: gf.mirror_descent(LOSS, 3, W0, 0.1, 5), "LegendreFunction"),
        (lambda: gf.fitted_order(lambda h: h, [0.1]), "at least two"),
        (lambda: gf.fitted_order(lambda h: 0.0, [0.1, 0.2]), "larger steps"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(gf.ArgumentError, match=words):
        make()


def test_a_loss_that_is_nan_ends_a_descent_before_it():
    R, loss = gf.catalog.potentials["negative_entropy"](2), lambda w: anp.sum(anp.log(w - 0.1), axis=-1)
    squares = gf.Parametrization(lambda x: x**2, 2, 2)
    for run in (
        gf.mirror_descent(loss, R, [0.5, 0.2], 0.01, 200),
        gf.mirror_descent(loss, R, [0.5, 0.2], 0.01, 200, until={"change": 1e-9}),
        gf.gradient_descent(loss, squares, [0.7, 0.5], 0.01, 200),
    ):
        assert run.status is gf.Status.LEFT_DOMAIN and "domain of the loss" in run.message
        assert len(run.t) == len(run.w) == len(run.mu) == len(run.loss) > 1 and np.isfinite(run.loss).all()


def test_changes_are_measured_at_any_size_and_said_not_to_be():
    R, size = gf.catalog.potentials["negative_entropy"](2), 1e-160
    run = gf.mirror_descent(lambda w: anp.sum((w - 1) ** 2), R, [size, size], 1.0, 40, until={"change": 1e-3})
    assert run.status is gf.Status.UNTIL_NOT_MET and len(run.t) == 41
    Z = np.random.default_rng(0).standard_normal((7, 2))
    rows = gf.gradient_descent(
        gf.LeastSquares(Z, np.ones(7)), gf.Parametrization(lambda x: x**2, 2, 2), [1.0, 1.0], 1e-3, 50,
        batch=3, until={"change": 1e-9},
    )  # fmt: skip
    assert "not measured" in rows.message  # a pass of three steps does not end at the last
