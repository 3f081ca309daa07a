"""Losses and their gradients."""

import numpy as np
import pytest

import geoflow as gf


def test_losses_and_their_gradients(rng):
    Z, y = rng.standard_normal((5, 3)), np.array([1.0, -1, 1, 1, -1])
    w = rng.standard_normal((2, 4, 3))
    for loss in (gf.LeastSquares(Z, y), gf.LogisticLoss(Z, y)):
        assert loss(w).shape == (2, 4)
        assert np.allclose(loss.gradient(w), gf.autodiff.jacobian(loss)(w), atol=1e-13)
        z = w @ Z.T
        second = np.einsum("...ii->...i", gf.autodiff.hessian(loss.link)(z))
        assert np.allclose(loss.link_hessian(z), second, atol=1e-13)
    with pytest.raises(gf.ArgumentError, match="labels"):
        gf.LogisticLoss(Z, (y + 1) / 2)
    with pytest.raises(gf.ShapeError):
        gf.LeastSquares(Z, y[:3])
    with pytest.raises(gf.NotFiniteError):
        gf.LeastSquares(Z * np.nan, y)
