"""Laws by least squares: the gap that decides, and what is refused."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf


def test_a_coefficient_that_is_no_fraction():
    """log u + pi log v: u^2 - v^2 / pi."""
    G = gf.Parametrization(lambda x: anp.log(x[..., :1]) + np.pi * anp.log(x[..., 1:]), 2, 1)
    (h,) = gf.LieAlgebra(G.gradient_fields).conservation_laws(2)
    assert not h.exact and h.survives_momentum is None
    assert h.terms[0, 0] / h.terms[1, 1] == pytest.approx(-np.pi, rel=1e-9)


def test_an_affine_law_is_known_to_survive():
    G = gf.Parametrization(lambda x: anp.sin(x[..., :1] + x[..., 1:]), 2, 1)
    (h,) = gf.LieAlgebra(G.gradient_fields).conservation_laws(2)
    assert str(h) == "x_1 - x_2" and h.survives_momentum


def test_no_gap_is_refused():
    """A field off the law x + y by 1e-11: neither rounding nor clear."""

    def field(x):
        return anp.exp(x[..., 1:]) * anp.stack([1 + 0 * x[..., 0], -1 - 1e-10 * anp.sin(3 * x[..., 0])], axis=-1)

    X = gf.VectorField(field)
    with pytest.raises(gf.ConvergenceError, match="gap") as caught:
        gf.LieAlgebra([X]).conservation_laws(1, [1.0, 1.0])
    assert len(caught.value.singular_values) == 2


def test_fields_that_are_not_defined_near_x():
    G = gf.Parametrization(lambda x: anp.log(x[..., :1]) + anp.log(x[..., 1:]), 2, 1)
    with pytest.raises(gf.GeoflowError, match=r"log|finite"):
        gf.LieAlgebra(G.gradient_fields).conservation_laws(2, [-1.0, 0.0])


def test_too_many_monomials():
    G = gf.Parametrization(lambda x: anp.log(x[..., :15]) + anp.log(x[..., 15:]), 30, 15)
    with pytest.raises(gf.ArgumentError, match="monomials"):
        gf.LieAlgebra(G.gradient_fields[:1]).conservation_laws(4)
