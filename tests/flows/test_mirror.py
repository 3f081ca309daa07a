"""Mirror flow in each of its coordinates."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

square = gf.Parametrization(lambda x: x**2, 2, 2)
x0 = np.array([1.0, 0.5])
entropy = gf.LegendreFunction(
    lambda w: anp.sum(w * anp.log(w) - w, -1) / 4,
    gf.domains.Orthant(2),
    conjugate=lambda mu: anp.sum(anp.exp(4 * mu), -1) / 4,
)
a = np.array([0.5, 2.0])


def quadratic(w):
    return anp.sum((w - a) ** 2) / 2


def exact(t):
    """w' = -4 w (w - a): the logistic equation."""
    w0, t = x0**2, np.asarray(t)[..., None]
    return a / (1 + (a / w0 - 1) * np.exp(-4 * a * t))


@pytest.mark.parametrize("coordinates", ["auto", "w", "mu", "nu"])
def test_mirror_flow_in_every_coordinate(coordinates):
    loss = gf.LeastSquares(np.eye(2), a)
    t = np.linspace(0, 3, 13)
    flow = gf.mirror_flow(loss, entropy, x0**2, t, coordinates=coordinates)
    # multistep LSODA (coordinates nu) is a digit or two behind DOP853 at the same tolerance
    assert np.abs(flow.w - exact(t)).max() < 2e-7
    assert np.abs(flow.mu - entropy.gradient(flow.w)).max() < 1e-9
    assert np.allclose(flow.loss, loss(flow.w), rtol=1e-12, atol=1e-18)


def test_bad_coordinates_are_named():
    with pytest.raises(gf.ArgumentError, match="coordinates"):
        gf.mirror_flow(quadratic, entropy, x0, 1.0, coordinates="x")
    with pytest.raises(gf.ArgumentError, match="Zw"):
        gf.mirror_flow(quadratic, entropy, x0, 1.0, coordinates="nu")
    with pytest.raises(gf.DomainError):
        gf.mirror_flow(quadratic, entropy, [-1.0, 1.0], 1.0)
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        gf.mirror_flow(quadratic, square, x0, 1.0)
