"""Affine images and products of kernels, and what they do to the dual of R."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0 = CASE.parametrization, CASE.x0


@pytest.mark.parametrize("A", [[[1.0, 0.5], [-0.3, 2.0]], [[1.0, -0.7]]], ids=["square", "projection"])
def test_affine_images(A, rng):
    b = rng.standard_normal(len(A))
    nu = 0.2 * rng.standard_normal((3, len(A)))
    defect, scale = laws.affine_image_transforms_dual(G, X0, A, b, nu)
    assert defect <= 1e-10 * scale
    image = G.affine(A, b)
    assert np.allclose(image(X0), np.array(A) @ G(X0) + b)
    assert laws.jacobian_is_derivative(image, X0)[0] < 1e-13
    parabola = gf.catalog.noncommuting["parabola"]()
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(parabola.parametrization.affine([[1.0, 0.5], [-0.3, 2.0]]), parabola.x0)


def test_a_wrong_transformation_of_the_dual_fails(monkeypatch):
    affine = gf.Parametrization.affine
    monkeypatch.setattr(gf.Parametrization, "affine", lambda G, A, b: affine(G, 1.1 * np.asarray(A), b))
    defect, scale = laws.affine_image_transforms_dual(G, X0, np.eye(2), 0.0, [[0.2, 0.1]])
    assert defect > 1e-2 * scale
