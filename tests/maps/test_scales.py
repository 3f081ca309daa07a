"""Brackets in the scale of their own pair: what units do not change, and what rounding alone leaves."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.scales import by_gradients, by_hessians, by_products


def quadratic(A):
    """x^T A_i x / 2."""
    return gf.Parametrization(lambda x: anp.einsum("...k,dkl,...l->...d", x, A, x) / 2, A.shape[-1], len(A))


def measured(A, x):
    """All pairs, by Hessians; rows A_i x at points of shape=[n, D]."""
    rows = np.einsum("ikl,nl->nik", A, x)
    return by_hessians(rows, np.broadcast_to(np.moveaxis(A, 0, 1), (len(x), *np.moveaxis(A, 0, 1).shape)), x)


def symmetric(rng, d, D):
    S = rng.standard_normal((d, D, D))
    return S + np.swapaxes(S, 1, 2)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_no_unit_changes_what_a_pair_is(scale, rng):
    A, x = symmetric(rng, 3, 4), rng.standard_normal((5, 4))
    sizes, relative = measured(A, x)
    assert (relative[:, 0, 1] > 1e-3).all()
    outputs = np.array([scale, 1.0, 1 / scale])
    wanted = sizes * outputs[:, None] * outputs
    found = measured(A * outputs[:, None, None], x)
    assert np.allclose(found[0], wanted, rtol=1e-12) and np.allclose(found[1], relative, rtol=1e-12)
    assert np.allclose(measured(A / scale**2, x * scale)[1], relative, rtol=1e-12)


def test_a_coordinate_is_compared_with_itself():
    """(y_0^2 / 2, y_1^2 / 2 + y_0 y_1) in y = x / (1e6, 1e-6): what does not commute is a millionth of a millionth."""
    s = np.array([1e6, 1e-6])
    A = np.array([[[1.0, 0], [0, 0]], [[0, 0.1], [0.1, 1.0]]]) / s[:, None] / s
    x = np.array([[1.0, 1.5]]) * s
    sizes, relative = measured(A, x)
    along = np.abs(A[1]).max() * np.linalg.norm(A[0] @ x[0])
    assert sizes[0, 0, 1] < 1e-12 * along and relative[0, 0, 1] > 1e-9


@pytest.mark.parametrize("seed", range(30))
def test_rounding_is_no_bracket(seed):
    """Eigenvalues from 1e-4 to 1e4 at an eigenvector of the least, where gradients themselves are rounding."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(np.eye(6) + 10.0 ** rng.uniform(-20, 0) * rng.standard_normal((6, 6)))[0]
    A = np.einsum("ki,di,li->dkl", Q, 10.0 ** rng.uniform(-4, 4, (4, 6)), Q)
    A = (A + np.swapaxes(A, 1, 2)) / 2
    x = np.stack([Q[:, 0], rng.standard_normal(6), Q[:, 1] + 1e-9 * rng.standard_normal(6)])
    assert measured(A, x)[1].max() < 1e-9


def test_products_measure_what_hessians_do(rng):
    A, x = symmetric(rng, 2, 5), rng.standard_normal((4, 5))
    G, (u, v) = quadratic(A), np.broadcast_to(np.eye(2)[:, None], (2, 4, 2))
    sizes, relative = (a[:, 0, 1] for a in measured(A, x))
    found = by_products(G.kernel, x, u, v)
    assert np.allclose(found[0][:, 0], sizes, rtol=1e-12)
    assert (np.abs(np.log(found[1][:, 0] / relative)) < np.log(5)).all()  # sums of sizes are estimated
    norms = by_products(G.kernel, x, u, v, coordinates=False)
    along = np.einsum("jkl,nil->nijk", A, np.einsum("ikl,nl->nik", A, x))
    wanted = by_gradients(np.einsum("ikl,nl->nik", A, x), along, x)
    assert np.allclose([a[:, 0] for a in norms], [a[:, 0, 1] for a in wanted], rtol=1e-12)


def test_blocks_are_measured_at_their_own_inputs(rng):
    """Two blocks in one product, the second of a million times larger units."""
    scale = np.r_[np.ones(2), np.full(2, 1e6)]

    def value(x):
        y = x / scale
        a, b, c, d = (y[..., k] for k in range(4))
        pair = [a**2, b**2 + a * b, c**2, d**2 + c * d]
        return anp.stack(pair, axis=-1)

    G, y = gf.Parametrization(value, 4, 4), rng.uniform(0.5, 1.5, (1, 2))
    assert G.kernel.blocks.count == 2
    u, v = (unit[None] for unit in G.kernel.blocks.units())
    sizes, relative = by_products(G.kernel, np.concatenate([y, y], axis=1) * scale, u, v)
    assert (relative[0] > 0.05).all() and sizes[0, 0] == sizes[0, 1] and np.isclose(sizes[0, 2], sizes[0, 3])
    assert sizes[0, 2] < 1e-12 * sizes[0, 0]
