"""The rules that autograd has wrong are right, forwards and backwards, once and twice, at points and in batches."""

import autograd.numpy as anp
import numpy as np
import pytest

from geoflow.numerics import autodiff
from geoflow.numerics.differences import slopes
from geoflow.numerics.rules import GAP


def matrices(x):
    return anp.reshape(x, (*anp.shape(x)[:-1], 2, 2))


def symmetric(x):
    A = matrices(x)
    return A + anp.swapaxes(A, -1, -2) + np.diag([3.0, 5.0])


def flat(A):
    return anp.reshape(A, (*anp.shape(A)[:-2], -1))


CASES = {
    "repeat, last axis": lambda x: anp.repeat(x**2, 2, axis=-1),
    "repeat, axis by number": lambda x: anp.repeat(x**2, 2, axis=anp.ndim(x) - 1),
    "repeat, counts": lambda x: anp.repeat(x**2, np.array([1, 0, 2, 3]), axis=-1),
    "repeat, no axis": lambda x: anp.reshape(anp.repeat(x**2, 3), (*anp.shape(x)[:-1], 12)),
    "tile": lambda x: anp.tile(x**2, 2),
    "tile, a pair": lambda x: flat(anp.tile(matrices(x) ** 2, (2, 3))),
    "norm, a pair": lambda x: anp.linalg.norm(matrices(x), axis=(-2, -1))[..., None],
    "norm, a pair backwards": lambda x: anp.linalg.norm(matrices(x), axis=(-1, -2))[..., None],
    "norm, keepdims": lambda x: anp.linalg.norm(x, axis=-1, keepdims=True),
    "norm, p": lambda x: anp.linalg.norm(x, 3, axis=-1)[..., None],
    "norm, nuclear": lambda x: anp.linalg.norm(symmetric(x), "nuc", axis=(-2, -1))[..., None],
    "eigh, values": lambda x: anp.linalg.eigh(symmetric(x))[0],
    "eigh, vectors": lambda x: flat(anp.linalg.eigh(symmetric(x))[1] ** 2),
    "eigvalsh": lambda x: anp.linalg.eigvalsh(symmetric(x)),
    "cbrt": anp.cbrt,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("N", [2, 3, 4])  # 2 and 4 are the sizes of other axes
def test_a_rule_is_right_in_a_batch_and_at_a_point(name, N, rng):
    f, x = CASES[name], rng.uniform(0.5, 1.5, (N, 4))
    v = rng.standard_normal((N, 4))
    wanted = slopes(f, x, v).value
    J = autodiff.jacobian(f)(x)
    assert np.allclose(np.einsum("niD,nD->ni", J, v), wanted, rtol=1e-8, atol=1e-10)
    assert np.allclose(autodiff.jvp(f, x, v)[1], wanted, rtol=1e-8, atol=1e-10)
    assert np.allclose(autodiff.jacobian(f)(x[0]), J[0], rtol=1e-12, atol=1e-14)
    twice = slopes(autodiff.jacobian(f), x, v).value
    assert np.allclose(np.einsum("niDE,nE->niD", autodiff.hessian(f)(x), v), twice, rtol=1e-7, atol=1e-8)


def test_eigenvectors_have_no_derivative_where_eigenvalues_repeat():
    # sum of the logarithms is log det: its gradient exists at the identity; the Hessian needs the eigenvectors
    def f(x):
        return anp.sum(anp.log(anp.linalg.eigvalsh(matrices(x))), axis=-1)

    same, apart = np.eye(2).ravel(), np.diag([1.0, 1.0 + 1e3 * GAP]).ravel()
    assert np.allclose(autodiff.jacobian(f)(same), same)
    assert np.isnan(autodiff.hessian(f)(same)).any()
    H = autodiff.hessian(f)(apart)
    assert np.isclose(H[2, 2], -2.0, rtol=1e-2) and np.isclose(H[0, 0], -1.0, rtol=1e-6)  # entry 2 is the one read


def test_forwards_by_reverse_twice_is_not_lost_at_a_zero_cotangent():
    # a rule that looks at its cotangent, as those of eigenvectors in autograd do, and no forward rule
    def f(x):
        return flat(anp.linalg.eigh(symmetric(x))[1] ** 2)

    x, v = np.array([0.3, 0.2, 0.5, 0.1]), np.array([1.0, -0.5, 0.25, 2.0])
    assert np.allclose(
        autodiff.jvp(f, x, v)[1], slopes(lambda y: np.stack([f(p) for p in y]), x[None], v[None]).value[0]
    )


def test_second_derivatives_of_quotients_neither_over_nor_underflow():
    def f(x):
        return anp.sum(anp.log(anp.cosh(x)), axis=-1) + anp.sum(1.0 / anp.exp(x), axis=-1)

    for x in (np.array([-300.0, 2.0]), np.array([500.0, -1.0])):  # cosh(x)^2 has no number at 500
        wanted = np.diag(1 / np.cosh(np.clip(x, -40, 40)) ** 2 + np.exp(-x))
        for derivative in (autodiff.hessian(f)(x), autodiff.hessian(f)(x[None])[0]):
            assert np.allclose(derivative, wanted, rtol=1e-12, atol=1e-15)


def test_the_second_derivative_of_logaddexp_has_all_its_digits():
    x = np.array([-30.0, -1e-3, 0.0, 25.0, 40.0])
    H = autodiff.hessian(lambda w: anp.sum(anp.logaddexp(0.0, w), axis=-1))(x[None])[0]
    e = np.exp(-np.abs(x))
    assert np.allclose(np.diag(H), e / (1 + e) ** 2, rtol=1e-13, atol=0.0)  # 1 - 1 / (1 + e) is 0 at 40
