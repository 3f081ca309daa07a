"""Affine images and products of kernels, and what they do to the dual of R."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.combined import AffineKernel, ProductKernel
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


A, B = np.array([[1.0, 0.5], [-0.3, 2.0]]), np.array([0.3, -0.2])
SINES = gf.Parametrization(
    lambda x: anp.stack([anp.sin(x[..., 0]) * x[..., 1], x[..., 1] ** 2 + x[..., 2]], axis=-1), 3, 2
)
CUBE = gf.Parametrization(lambda x: x**3, 1, 1)
ENTROPY = gf.catalog.potentials["negative_entropy"](2)
PAIRS = {
    "affine": (
        AffineKernel(SINES.kernel, A, B),
        gf.Parametrization(lambda x: anp.matmul(SINES.kernel.value(x), A.T) + B, 3, 2).kernel,
    ),
    "product": (
        ProductKernel([SINES.kernel, CUBE.kernel]),
        gf.Parametrization(
            lambda x: anp.concatenate([SINES.kernel.value(x[..., :3]), x[..., 3:] ** 3], axis=-1), 4, 3
        ).kernel,
    ),
    "affine of a product": (
        AffineKernel(ProductKernel([CUBE.kernel, CUBE.kernel]), A, B),
        gf.Parametrization(lambda x: anp.matmul(x**3, A.T) + B, 2, 2).kernel,
    ),
    "affine of a closed form": (
        AffineKernel(gf.identity(ENTROPY).kernel, A, B),
        gf.Parametrization(lambda w: anp.matmul(w, A.T) + B, gf.DuallyFlatManifold(ENTROPY).space, 2).kernel,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_combined_kernels_are_those_of_the_map_written_out(name, batch, rng):
    combined, direct = PAIRS[name]
    x = rng.uniform(0.5, 1.5, (*batch, direct.dim))
    v = rng.standard_normal((*batch, 5, direct.dim))
    assert (combined.dim, combined.codomain_dim) == (direct.dim, direct.codomain_dim)
    for method, arguments in [
        ("value", (x,)), ("jacobian", (x,)), ("gradients", (x,)), ("cometric", (x,)),
        ("derivative_of_gradients", (x, v)), ("derivative_of_cometric", (x, v)),
    ]:  # fmt: skip
        one, other = getattr(combined, method)(*arguments), getattr(direct, method)(*arguments)
        assert np.shape(one) == np.shape(other)
        assert np.allclose(one, other, rtol=1e-12, atol=1e-13), method
    for one, other in zip(combined.gradients_and_cometric(x), direct.gradients_and_cometric(x), strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", PAIRS)
def test_fields_of_combined_kernels_and_their_derivatives(name, rng):
    combined, direct = PAIRS[name]
    x, v = rng.uniform(0.5, 1.5, (4, direct.dim)), rng.standard_normal((4, direct.dim))
    for i in range(direct.codomain_dim):
        field, closed = combined.field(i)
        assert np.allclose(field(x), direct.gradients(x)[:, i], rtol=1e-12, atol=1e-13)
        along = direct.derivative_of_gradients(x, v[:, None])[:, 0, i]
        if closed is not None:
            assert np.allclose(closed(x, v), along, rtol=1e-12, atol=1e-13)
        else:
            assert np.allclose(gf.autodiff.jvp(field, x, v)[1], along, rtol=1e-12, atol=1e-13)
    assert (combined.field(0)[1] is not None) == (name == "affine of a closed form")


def test_a_product_with_a_closed_form_keeps_it(rng):
    closed_form = gf.identity(gf.catalog.potentials["burg"](1)).kernel
    both = ProductKernel([CUBE.kernel, closed_form])
    x, v = rng.uniform(0.5, 1.5, (4, 2)), rng.standard_normal((4, 2))
    assert both.field(0)[1] is None
    wanted = np.stack([0 * x[:, 1], 2 * x[:, 1] * v[:, 1]], axis=-1)  # grad G_2 = w^2
    assert np.allclose(both.field(1)[1](x, v), wanted, rtol=1e-13)


def test_another_matrix_is_another_kernel(rng):
    x = rng.uniform(0.5, 1.5, (4, 3))
    other = AffineKernel(SINES.kernel, 1.01 * A, B)
    assert np.abs(other.cometric(x) - PAIRS["affine"][1].cometric(x)).max() > 1e-2
