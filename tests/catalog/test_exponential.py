"""A family of one's own, by its log-partition function and what it says of itself."""

import pickle

import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog.exponential import ExponentialFamily


class Exponential(ExponentialFamily):
    """theta e^(theta x) for x < 0: rates theta > 0, R = -log theta."""

    ordinary_set, expectation_set, support = "a positive rate", "a negative mean", "negative numbers"

    def __init__(self):
        super().__init__("exponential", gf.catalog.potentials["burg"](1), 1)

    def to_natural(self, ordinary):
        return ordinary

    def to_ordinary(self, theta):
        return theta

    def from_expectation(self, eta):
        return -1 / eta

    def supports(self, x):
        return x < 0

    def statistic_of(self, x):
        return x[..., None]

    def log_density_of(self, x, theta):
        return np.log(theta[..., 0]) + theta[..., 0] * x


def test_a_family_of_ones_own():
    family = Exponential()
    assert family.convert([[2.0], [4.0]], "ordinary", "expectation").tolist() == [[-0.5], [-0.25]]
    x = -np.array([0.1, 0.4, 1.0])
    assert np.allclose(family.maximum_likelihood(x), 2.0) and np.allclose(family.maximum_likelihood(x, [0, 1, 0]), 2.5)
    assert np.allclose(family.kl_divergence([2.0], [1.0]), np.log(2) + 0.5 - 1)
    assert np.allclose(family.jeffreys_divergence([2.0], [1.0]), 0.5)
    a = gf.chernoff_exponent(family.log_partition, [2.0], [1.0])
    assert np.allclose(family.chernoff_information([2.0], [1.0]), np.log(1 + a) - a * np.log(2))
    assert np.allclose(family.log_density(x[:, None], [[2.0], [3.0]]), np.log([2, 3]) + x[:, None] * [2, 3])
    assert np.array_equal(family.statistic(x), x[:, None])
    assert repr(pickle.loads(pickle.dumps(gf.families.gaussian(2)))) == repr(gf.families.gaussian(2))


def test_what_it_says_of_itself_is_in_the_errors():
    family = Exponential()
    with pytest.raises(gf.DomainError, match=r"ordinary coordinates of exponential.*wanted a positive rate"):
        family.convert([-1.0], "ordinary", "natural")
    with pytest.raises(gf.DomainError, match=r"expectation coordinates.*wanted a negative mean"):
        family.convert([0.5], "expectation", "ordinary")
    with pytest.raises(gf.DomainError, match="natural coordinates outside the domain"):
        family.convert([-1.0], "natural", "ordinary")
    with pytest.raises(
        gf.DomainError, match=r"outside its support; got 1\. at batch entry \(1,\); wanted negative numbers"
    ):
        family.log_density([-1.0, 1.0], [2.0])
