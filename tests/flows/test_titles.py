"""A trajectory says what flows."""

import inspect

import autograd.numpy as anp
import pytest

import geoflow as gf
from geoflow.flows.titles import name_of_loss

CASE = gf.catalog.parametrizations["square"](2)


def pull(w):
    return anp.sum((w - 1.0) ** 2)


def test_the_flow_the_loss_and_the_map_are_named():
    G, x0, R = CASE.parametrization, CASE.x0, CASE.legendre
    w0 = G(x0)
    assert gf.gradient_flow(pull, G, x0, 0.1).title == "gradient flow of pull, map square"
    assert gf.gradient_flow(loss=pull, G=G, x0=x0, t=0.1).title == "gradient flow of pull, map square"
    assert gf.mirror_flow(pull, t=0.1, w0=w0, R=R).title == "mirror flow of pull, potential R of square"
    assert gf.mirror_flow(gf.LeastSquares([[1.0, 1.0]], [1.0]), R, w0, 0.1).title.startswith("mirror flow of LeastSqu")
    assert (
        gf.gradient_descent(lambda w: anp.sum(w**2), G, x0, 0.01, 2).title == "gradient descent of a loss, map square"
    )
    assert gf.mirror_descent(pull, R, w0, 0.01, 2).title == "mirror descent of pull, potential R of square"
    assert gf.natural_gradient_descent(pull, R, w0, 0.01, 2).title.startswith("natural gradient descent of pull")


def test_the_signature_and_the_errors_are_those_of_the_flow():
    assert list(inspect.signature(gf.gradient_flow).parameters)[:4] == ["loss", "G", "x0", "t"]
    assert gf.gradient_flow.__doc__.startswith("Integrate gradient flow")
    with pytest.raises(TypeError, match="missing"):
        gf.gradient_flow(pull)
    with pytest.raises(gf.ArgumentError, match="G; got int"):
        gf.gradient_flow(pull, 3, [1.0], 1.0)


def test_a_loss_without_a_name():
    assert name_of_loss(lambda w: w) == "a loss" and name_of_loss(pull) == "pull"
    assert name_of_loss(gf.LogisticLoss([[1.0]], [1])) == "LogisticLoss"
