"""One probe for all that is differentiated: in a batch, at a point, once and twice; no false alarm."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.probes import Points, generic_draws, more_draws, probe_automatic, usable_points


def at(D):
    return Points(np.concatenate(generic_draws(D)))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: x**3 - x, lambda x: anp.sin(300 * x), lambda x: anp.abs(x - 1), lambda x: anp.exp(5 * x),
        lambda x: (1e7 + x**2) - 1e7, lambda x: anp.where(x > 1, x**2, x), lambda x: x**2 * np.array([1e-6, 1.0, 1e6]),
        lambda x: anp.floor(x) + x, lambda x: anp.log(anp.abs(x)), lambda x: anp.sqrt(x - 0.6),
    ],
)  # fmt: skip
def test_right_derivatives_pass(f, scale):
    with np.errstate(all="ignore"):
        probe_automatic(lambda x: scale * f(x), usable_points(f, generic_draws(3) + more_draws(3), "f"), "f")


def test_a_probe_counts_few_evaluations_whatever_the_dimension():
    count = []

    def f(x):
        count.append(np.size(getattr(x, "_value", x)))
        return x**2

    for D in (3, 1000):
        count.clear()
        probe_automatic(f, at(D), "f")
        assert len(count) <= 20 and sum(count) <= 60 * 5 * D  # evaluations and entries, a few dozen points in all


def test_a_batch_of_two_axes_is_probed_too():
    def f(x):  # right for a batch of one axis
        return anp.hstack([x, x**2])

    with pytest.raises(gf.GeoflowError):
        gf.Parametrization(f, 3, 6)


def test_a_function_that_is_finite_nowhere_is_named():
    with pytest.raises(gf.NotFiniteError, match=r"at all of .* points"):
        gf.Parametrization(lambda x: anp.sqrt(-1 - x**2), 2, 2)
    G = gf.Parametrization(lambda x: anp.sqrt(x - 30), 2, 2)  # far out, and not on both sides
    assert np.allclose(G(np.full(2, 34.0)), 2.0)
    with pytest.raises(gf.ArgumentError, match="check"):
        gf.Parametrization(lambda x: x, 2, 2, check="no")


def test_what_a_function_raises_at_every_point_is_told_with_its_line():
    def broken(w):
        raise RuntimeError("first\nsecond")

    for given in (lambda: gf.LegendreFunction(broken, 2), lambda: gf.Parametrization(broken, 4, 2)):
        with pytest.raises(gf.UserCodeError, match=r"test_probes\.py, line \d+: `raise RuntimeError"):
            given()

    # one that is defined at small arguments only is probed there
    def narrow(w):
        value = w
        while hasattr(value, "_value"):
            value = value._value
        if np.abs(value).max() > 0.1:
            raise RuntimeError("too far")
        return anp.sum(w**2, axis=-1)

    assert gf.LegendreFunction(narrow, 2).dim == 2


def test_a_function_that_raises_everywhere_is_refused_with_its_line():
    def singular(w):
        return np.linalg.inv(np.zeros((2, 2)))

    with pytest.raises(gf.UserCodeError, match=r"LinAlgError: Singular matrix at .*test_probes.py, line \d+"):
        gf.LegendreFunction(singular, 2)
    with pytest.raises(gf.NotFiniteError, match=r"points that were tried; wanted"):
        gf.LegendreFunction(lambda w: anp.sum(anp.log(-1 - w**2), axis=-1), 2)
