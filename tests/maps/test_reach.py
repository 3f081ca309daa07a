"""Joint flows: values, ends of maximal solutions, and the points they reach."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf


def test_joint_flow_is_the_exponential_of_the_sum(rng):
    G = gf.Parametrization(lambda x: x**2, space=3, codomain_dim=3)
    x0, mu = np.array([1.0, 2.0, 0.5]), rng.standard_normal((2, 4, 3))
    assert np.allclose(gf.joint_flow(G, x0, mu), x0 * np.exp(2 * mu), rtol=1e-11)


@pytest.mark.parametrize("entry", [0, 2])
def test_joint_flow_past_a_blow_up_names_entry_and_parameter(entry):
    G = gf.Parametrization(lambda x: x**3, space=2, codomain_dim=2)  # dx/ds = 3 mu x^2 ends at s = 1/(3 mu x0)
    mu = np.full((3, 2), 0.1)
    mu[entry, 1] = 1.0
    with pytest.raises(gf.DomainError) as caught:
        gf.joint_flow(G, np.ones(2), mu)
    assert caught.value.index == (entry,)
    assert abs(caught.value.s - 1 / 3) < 1e-6
    assert f"({entry},)" in str(caught.value)


def test_joint_flow_that_reaches_the_edge_of_the_map():
    G = gf.Parametrization(anp.log, space=1, codomain_dim=1)  # x^2 = x0^2 + 2 mu s
    with pytest.raises(gf.DomainError) as caught:
        gf.joint_flow(G, [1.0], [-1.0])
    assert abs(caught.value.s - 0.5) < 1e-6
