"""Mean-value forms of Hessians hold those at the points of a cell, and their width falls with its square."""

import autograd.numpy as anp
import numpy as np
import pytest

from geoflow.numerics import autodiff
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, lower, precision, upper
from geoflow.numerics.duals import Centred, Dual, Duals
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from tests.numerics.test_balls import FUNCTIONS

pytest.importorskip("flint")
MORE = {
    "soft maximum": lambda w: anp.log(anp.exp(w[..., 0]) + anp.exp(3 * w[..., 1]) + anp.exp(-2 * w[..., 0])),
    "constant": lambda w: 2.0 * w[..., 0] - w[..., 1],
    "quotient": lambda w: 1 / (1 + w[..., 0] / w[..., 1]) - w[..., 0] / 3.0,
}
EVERY = FUNCTIONS | MORE


def forms(name, module):
    """The Hessian at a point, on a cell, and by the mean-value form there."""
    points = np.random.default_rng(0).uniform(0.6, 1.2, (10, 2))
    record = recorded_or_error(EVERY[name], points, name)
    scalar = Scalar(module, False)
    plain, centred = Evaluation(record, scalar.constant), Centred(record, module)

    def at(balls):
        jet = plain(Jet.variables(scalar, balls)).item()
        zeros = [[module.arb(0)] * 2 for _ in range(2)]
        return zeros if jet.first is None else hessian_of(jet, 2)

    return at, lambda balls, middle: centred(balls, middle, at([module.arb(m) for m in middle]))


def radius(H):
    return max(float(h.rad()) for row in H for h in row)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("half", [2**-4, 2**-8])
def test_cells_hold_the_hessians_at_their_points(name, half, rng):
    middle = [0.75, 1.125]
    with precision() as module:
        cell = [module.arb(m - half).union(module.arb(m + half)) for m in middle]
        H = forms(name, module)[1](cell, middle)
        low, high = (np.array([[side(h) for h in row] for row in H]) for side in (lower, lambda h: -lower(-h)))
    w = np.array(middle) + rng.uniform(-half, half, (200, 2))
    w[:4] = np.array(middle) + half * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    true = autodiff.hessian(EVERY[name])(w)
    slack = 1e-12 * (1 + np.abs(true))
    assert (low - slack <= true).all() and (true <= high + slack).all()


@pytest.mark.parametrize("name", ["soft maximum", "log", "hyperbolic", "inverses"])
def test_its_width_falls_with_the_square_of_the_cells_where_derivatives_are_known(name):
    middle, excess = [0.75, 1.125], []
    with precision() as module:
        plain, centred = forms(name, module)
        for half in (2**-6, 2**-9):
            cell = [module.arb(m - half).union(module.arb(m + half)) for m in middle]
            T = autodiff.third_derivative(EVERY[name])(np.array(middle))
            least = half * np.abs(T).sum(axis=-1).max()  # what H itself varies by
            excess.append((radius(plain(cell)) - least, radius(centred(cell, middle)) - least))
    (_, _), (on_cell, by_mean) = excess
    assert by_mean < on_cell / 8 and excess[0][1] / by_mean > 30


def test_the_gradients_of_a_hessian_are_the_third_derivatives():
    at = np.array([0.75, 1.125])
    for name, f in EVERY.items():
        record = recorded_or_error(f, np.random.default_rng(0).uniform(0.6, 1.2, (10, 2)), name)
        with precision() as module:
            scalar = Duals(module)
            units = [[module.arb(1), module.arb(0)], [module.arb(0), module.arb(1)]]
            variables = [Dual(module.arb(float(m)), unit) for m, unit in zip(at, units, strict=True)]
            jet = Evaluation(record, scalar.constant)(Jet.variables(scalar, variables)).item()
            H = hessian_of(jet, 2)
            T = [[[float(c.mid()) for c in (h.first or [module.arb(0)] * 2)] for h in row] for row in H]
        assert np.allclose(T, autodiff.third_derivative(f)(at), rtol=1e-11, atol=1e-11), name


def test_a_case_that_the_cell_does_not_decide_is_none():
    with precision() as module:
        centred = forms("where", module)[1]
        cell = [module.arb(0.05).union(module.arb(0.15)), module.arb(1.0)]
        with pytest.raises(UndecidedError):
            centred(cell, [0.12, 1.0])
        assert upper(Dual(module.arb(2)).exp().value) > 7
