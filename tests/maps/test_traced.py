"""The kernel of a function: read once, and anew where the function has changed."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.traced import OFTEN
from geoflow.numerics import autodiff
from geoflow.numerics.autodiff import is_traced


def test_a_function_that_has_changed_is_read_anew():
    """Blocks are read off a map once: an array that it closes over may be written to."""
    A, B, x0 = np.eye(3), np.zeros((3, 3)), np.array([1.0, 0.8, 0.6])
    mixed = gf.Parametrization(lambda x: anp.matmul(x**2, A), 3, 3)
    bent = gf.Parametrization(lambda x: x**2 + anp.matmul(x, B) ** 3, 3, 3)
    assert mixed.check_commuting(x0) and bent.check_commuting(x0) and mixed.kernel.blocks.count == 3
    A[:], B[0, 1] = [[1, 0.5, 0.1], [0.2, 1, 0.3], [0.1, 0.4, 1]], 1.0
    assert not bent.check_commuting(x0)
    again, w = gf.Parametrization(lambda x: anp.matmul(x**2, A), 3, 3), 1.1 * mixed(x0)
    assert np.allclose(gf.mirror_map(mixed, x0).gradient(w), gf.mirror_map(again, x0).gradient(w), rtol=1e-12)


def test_rows_of_a_map_that_is_asked_often_come_from_its_record(rng):
    A = rng.standard_normal((3, 4))
    traced, scale = [], [1.0]

    def f(x):
        traced.append(is_traced(x))
        return scale[0] * anp.stack([x[..., 0] * x[..., 1], anp.sin(x[..., 2]), anp.sum(x**2, axis=-1)], axis=-1) @ A

    G = gf.Parametrization(f, 3, 4)
    for shape in ((1, 3), (2, 5, 3), (0, 3), (3000, 3), (3,)):
        x = rng.standard_normal(shape)
        wanted = autodiff.jacobian(f)(x)
        for _ in range(OFTEN + 1):
            G.kernel.jacobian(x[:3])
        traced.clear()
        found = G.kernel.jacobian(x)
        assert found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-14, atol=1e-14)
        assert any(traced) == (len(shape) == 1 or len(x) > 1000)  # a point alone is traced, and so are many
    scale[0] = 2.0
    assert np.allclose(G.kernel.jacobian(x[None]), 2 * wanted, rtol=1e-14)
    assert np.allclose(G.kernel.jacobian(np.ones((2, 3), dtype=int)), autodiff.jacobian(f)(np.ones((2, 3))))


def test_a_function_that_has_changed_at_the_points_asked_alone_is_traced_anew():
    bound = [5.0]
    G = gf.Parametrization(lambda x: anp.minimum(x, bound[0]) ** 2 + 0.01 * x, 2, 2)
    x, mu = np.array([[3.0, 4.0]]), np.ones((1, 2))
    for _ in range(OFTEN + 5):
        G.jacobian(x), G.kernel.pullback(x, mu)
    bound[0] = 2.0
    assert np.allclose(G.jacobian(x), 0.01 * np.eye(2), rtol=1e-15)
    G(x)  # a flow sets out with a value
    assert np.allclose(G.kernel.pullback(x, mu), 0.01, rtol=1e-15)


def test_a_flow_of_a_map_that_has_changed_is_of_the_new_map():
    A, x, mu = np.eye(2), np.array([[1.0, 2.0]]), np.ones((1, 2))
    G = gf.Parametrization(lambda x: anp.matmul(x**2, A), 2, 2)
    for _ in range(OFTEN + 5):
        G.kernel.pullback(x, mu)
    A *= 3
    G(x)
    for _ in range(4):
        assert np.allclose(G.kernel.pullback(x, mu), [[6.0, 12.0]], rtol=1e-15)


@pytest.mark.parametrize("shape", [(1, 6), (4, 6), (4, 1, 6), (50, 6)])
def test_products_in_another_order_are_no_change(shape, rng):
    """A matrix that is transposed, and a batch of another shape, are multiplied in another order."""
    Q, traced = np.linalg.qr(rng.standard_normal((6, 6)))[0], []

    def f(x):
        traced.append(is_traced(x))
        return anp.matmul(anp.matmul(x, Q) + 0.1 * anp.sin(anp.matmul(x, Q)), Q.T)

    G = gf.Parametrization(f, 6, 6)
    for _ in range(OFTEN + 5):
        G.kernel.jacobian(rng.standard_normal(shape))
    traced.clear()
    G.kernel.jacobian(rng.standard_normal(shape)), G.kernel.pullback(np.ones((2, 6)), np.ones((2, 6)))
    assert not any(traced)


def test_powers_that_a_record_takes_by_products_are_no_change():
    traced = []
    G = gf.Parametrization(lambda x: traced.append(is_traced(x)) or x[..., :2] ** 7 - x[..., 2:] ** 7, 4, 2)
    x = np.array([[0.3, 0.7, 0.3, 0.7 + 1e-15], [1.1, 1e5, 1.3, 1e-7]])
    for _ in range(OFTEN + 1):
        G.kernel.jacobian(x)
    traced.clear()
    assert np.allclose(G.kernel.jacobian(x)[:, 0, 0], 7 * x[:, 0] ** 6, rtol=1e-14) and not any(traced)


def test_what_overflows_where_a_map_is_read_is_no_error():
    """It is read at points of its own, where a user's warnings may be errors."""
    steep = gf.Parametrization(lambda x: anp.exp(800 * x) / 1e300, 2, 2)
    with np.errstate(all="raise"):
        assert steep.check_commuting([0.1, 0.2])
