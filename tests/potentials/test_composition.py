"""Composition of Legendre functions: values, domains, and what is refused."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

P = gf.catalog.potentials


def compositions():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 3))
    return {
        "ridge sum": gf.RidgeSum(A, 0.5, "softplus") + gf.RidgeSum(np.eye(3)),
        "mixed profiles": gf.RidgeSum(np.eye(3), 0.0, ["entropy", "quadratic", "entropy"]),
        "user profile": gf.RidgeSum(np.eye(2), 0.0, lambda s: anp.cosh(s)),
        "sum": P["negative_entropy"](3) + P["quadratic_form"](3) + P["log_sum_exp"](3),
        "scaled": 3 * P["burg"](2),
        "affine": P["log_sum_exp"](4).compose_affine(A, 0.2),
        "product": gf.product(P["burg"](2), P["log_sum_exp"](3), P["gaussian_log_partition"](2)),
        "nested": 2 * gf.product(P["fermi_dirac"](1) + P["quadratic_form"](1), 0.5 * P["quartic"](2)),
    }


@pytest.mark.parametrize("name", compositions())
def test_derivatives_of_compositions(name):
    R = compositions()[name]
    w = R.domain.random_point(6, bound=0.5, rng=1)
    for law, tol in (
        (laws.gradient_is_derivative, 1e-12),
        (laws.hessian_is_derivative, 1e-11),
        (laws.third_derivative_is_derivative, 1e-10),
        (laws.gradient_inverts, 1e-8),
    ):
        defect, scale = law(R, w)
        assert defect <= tol * scale, f"{law.__name__}: {defect / scale:.1e}"


def test_values_are_those_of_the_formula():
    w = np.array([[0.2, 0.5], [1.0, 0.1]])
    one, two = P["negative_entropy"](2), P["quadratic_form"](2)
    assert np.allclose((one + 3 * two)(w), one(w) + 3 * two(w), rtol=1e-14)
    A, b = np.array([[1.0, 0.5], [0.0, 2.0]]), np.array([0.1, 0.2])
    assert np.allclose(one.compose_affine(A, b)(w), one(w @ A.T + b), rtol=1e-14)
    v = np.concatenate([w, w + 0.3], axis=-1)
    assert np.allclose(gf.product(one, two)(v), one(w) + two(w + 0.3), rtol=1e-14)
    assert np.allclose((two * 2)(w), 2 * two(w))


def test_domains_of_compositions():
    assert isinstance((P["quadratic_form"](2) + P["log_sum_exp"](2)).domain, gf.domains.WholeSpace)
    both = P["negative_entropy"](2) + P["fermi_dirac"](2)
    assert both.domain.belongs([0.5, 0.5]) and not both.domain.belongs([1.5, 0.5])
    cone = P["log_det_spd"](3) + P["negative_entropy"](3)
    assert cone.domain.belongs([1, 0.5, 1]) and not cone.domain.belongs([1, -0.5, 1])
    assert not cone.domain.belongs([1, 2.0, 1])
    shifted = P["burg"](2).compose_affine(-np.eye(2), [1.0, 1.0])
    assert shifted.domain.belongs([0.5, 0.5]) and not shifted.domain.belongs([1.5, 0.5])
    ridge = gf.RidgeSum([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], [0.0, 0.0, 1.0], "entropy")
    assert ridge.domain.belongs([0.3, 0.3]) and not ridge.domain.belongs([0.6, 0.6])
    assert gf.product(P["log_det_spd"](3), P["burg"](1)).domain.belongs([1, 0, 1, 2.0])


BAD = {
    "rank": (gf.NotLegendreError, lambda: gf.RidgeSum([[1.0, 1.0]], 0.0, "quadratic")),
    "offsets": (gf.ShapeError, lambda: gf.RidgeSum(np.eye(2), [1.0, 2.0, 3.0], "quadratic")),
    "profiles": (gf.ShapeError, lambda: gf.RidgeSum(np.eye(2), 0.0, ["quadratic"])),
    "name": (gf.ArgumentError, lambda: gf.RidgeSum(np.eye(2), 0.0, "quadratics")),
    "empty": (gf.DomainError, lambda: gf.RidgeSum([[1.0], [-1.0]], [0.0, -1.0], "entropy")),
    "factor": (gf.NotLegendreError, lambda: -1.0 * P["burg"](2)),
    "factor type": (gf.ArgumentError, lambda: "2" * P["burg"](2)),
    "dimensions": (gf.ShapeError, lambda: P["burg"](2) + P["burg"](3)),
    "affine rank": (gf.NotLegendreError, lambda: P["burg"](2).compose_affine(np.ones((2, 2)))),
    "affine shape": (gf.ShapeError, lambda: P["burg"](2).compose_affine(np.eye(3))),
    "affine empty": (gf.DomainError, lambda: P["burg"](2).compose_affine([[1.0], [-1.0]], [0.0, -1.0])),
    "product": (gf.ArgumentError, lambda: gf.product(P["burg"](2), np.sum)),
    "no factors": (gf.ArgumentError, lambda: gf.product()),
    "disjoint": (
        gf.DomainError,
        lambda: P["fermi_dirac"](2) + P["fermi_dirac"](2).compose_affine(np.eye(2), [-3.0, -3.0]),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_compositions_are_refused(name):
    error, call = BAD[name]
    with pytest.raises(error) as caught:
        call()
    assert caught.value.got and caught.value.wanted


def test_a_sum_with_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        P["burg"](2) + 1.0
