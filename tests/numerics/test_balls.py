"""Balls with derivatives hold the true values: against mpmath, and autograd at points inside a cell."""

from fractions import Fraction

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest

from geoflow.numerics import autodiff
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, lower, precision, upper
from geoflow.numerics.enclosures import Evaluation, recorded_or_error

flint = pytest.importorskip("flint")

FUNCTIONS = {
    "exp": lambda w: anp.exp(w[..., 0] * w[..., 1]),
    "log": lambda w: anp.log(1 + w[..., 0] * w[..., 1] ** 2) + anp.log1p(w[..., 0]) + anp.expm1(w[..., 1]),
    "roots": lambda w: anp.sqrt(w[..., 0] + w[..., 1] ** 2) + w[..., 0] ** 1.5 + w[..., 1] ** -2 + 2.0 ** w[..., 0],
    "sines": lambda w: anp.sin(w[..., 0]) * anp.cos(w[..., 1]) + anp.tan(w[..., 0] * w[..., 1] / 2),
    "hyperbolic": lambda w: anp.sinh(w[..., 0]) * anp.cosh(w[..., 1]) + anp.tanh(w[..., 0] * w[..., 1]),
    "inverses": lambda w: anp.arcsin(w[..., 0] / 3) + anp.arccos(w[..., 1] / 3) + anp.arctan(w[..., 0] * w[..., 1]),
    "inverse hyperbolic": lambda w: (
        anp.arcsinh(w[..., 0] * w[..., 1]) + anp.arccosh(1 + w[..., 0]) + anp.arctanh(w[..., 1] / 3)
    ),
    "logaddexp": lambda w: anp.logaddexp(w[..., 0], w[..., 1] ** 2) / (1 + w[..., 0] ** 2),
    "power": lambda w: w[..., 0] ** w[..., 1],
    "where": lambda w: anp.where(w[..., 0] > 0.1, w[..., 0] ** 3 * w[..., 1], 0.0) + anp.abs(w[..., 1]),
}


def jet_of(name, complex_too=False):
    points = np.random.default_rng(0).uniform(0.6, 1.2, (10, 2))
    record = recorded_or_error(FUNCTIONS[name], points, name)
    return lambda scalar, balls: Evaluation(record, scalar.constant)(Jet.variables(scalar, balls)).item()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_at_a_point_are_autograds(name):
    at = [0.75, 1.125]
    with precision() as module:
        jet = jet_of(name)(Scalar(module, False), at)
        got = np.array([[float(h.mid()) for h in row] for row in hessian_of(jet, 2)])
        assert max(float(h.rad()) for row in hessian_of(jet, 2) for h in row) < 1e-24
    f = FUNCTIONS[name]
    assert np.abs(got - autodiff.hessian(f)(np.array(at))).max() < 1e-13
    assert abs(float(jet.value.mid()) - f(np.array(at))) < 1e-14
    gradient = autodiff.jacobian(f)(np.array(at))
    assert np.abs([float(c.mid()) for c in jet.first] - gradient).max() < 1e-13


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_cell_holds_what_its_points_have(name):
    rng = np.random.default_rng(1)
    f = FUNCTIONS[name]
    with precision() as module:
        for _ in range(5):
            low = rng.uniform(0.6, 1.1, 2)
            high = low + 10.0 ** rng.uniform(-4, -1)
            cell = [module.arb(a).union(module.arb(b)) for a, b in zip(low, high, strict=True)]
            H = hessian_of(jet_of(name)(Scalar(module, False), cell), 2)
            for w in rng.uniform(low, high, (20, 2)):
                true = autodiff.hessian(f)(w)
                for i in range(2):
                    for j in range(2):
                        assert lower(H[i][j]) - 1e-12 <= true[i, j] <= -lower(-H[i][j]) + 1e-12


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "where"])
def test_complex_balls_hold_the_function_and_are_not_finite_where_it_is_not_analytic(name):
    with precision() as module:
        jet = jet_of(name)(Scalar(module, True), [module.acb(0.75, 0.05), module.acb(1.125, -0.04)])
        real = jet_of(name)(Scalar(module, True), [0.75, 1.125])
        assert abs(complex(real.value) - float(FUNCTIONS[name](np.array([0.75, 1.125])))) < 1e-14
        assert upper(jet.value) < 10
        scalar = Scalar(module, True)
        z = module.acb(module.arb(0, 2), module.arb(0, 2))  # about 0, with every cut and pole
        for f in (
            scalar.log,
            scalar.sqrt,
            scalar.arctan,
            scalar.arctanh,
            scalar.arcsinh,
            scalar.arcsin,
            scalar.arccosh,
        ):
            assert not f(z).is_finite()


def test_values_against_a_hundred_digits():
    with precision() as module, mpmath.workdps(100):
        scalar, z = Scalar(module, True), module.acb(0.3, 0.4)
        for name, f in (("arcsin", "asin"), ("arcsinh", "asinh"), ("arctan", "atan"), ("arctanh", "atanh")):
            got, true = complex(getattr(scalar, name)(z)), complex(getattr(mpmath, f)(mpmath.mpc(0.3, 0.4)))
            assert abs(got - true) < 1e-15


def test_comparisons_are_decided_or_refused():
    with precision() as module:
        scalar = Scalar(module, False)
        for cell, sign in ((module.arb(2, 1), 1), (module.arb(-2, 1), -1)):
            assert (Jet.variables(scalar, [cell])[0] > 0) == (sign > 0)
        with pytest.raises(UndecidedError):
            abs(Jet.variables(scalar, [module.arb(0, 1)])[0])


def test_bounds_are_rounded_outwards_and_the_precision_is_given_back():
    before = flint.ctx.prec
    with precision() as module:
        third = module.arb(1) / 3
        assert Fraction(lower(third)) < Fraction(1, 3) < Fraction(upper(third)) < Fraction(1, 3) + Fraction(1, 2**52)
        assert upper(module.arb("nan")) == np.inf and lower(1 / module.arb(0, 1)) == -np.inf
    assert flint.ctx.prec == before
