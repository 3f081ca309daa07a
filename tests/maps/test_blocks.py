"""Blocks that share no input: products, lifts and cometrics block by block against those of the whole map."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.blocks import Blocks, weighted_gram
from geoflow.maps.products import product_of_maps


def mixed(x):
    """Blocks of two, two and one outputs; the input 7 is not used."""
    return anp.stack(
        [
            x[..., 0] * x[..., 1], x[..., 2] ** 2 + x[..., 1], x[..., 3] ** 2, x[..., 4] * x[..., 3] ** 2,
            x[..., 6] + x[..., 5] ** 2,
        ], -1,
    )  # fmt: skip


@pytest.fixture
def G():
    return gf.Parametrization(mixed, 8, 5)


def test_what_blocks_say(G):
    blocks = G.kernel.blocks
    assert (blocks.count, blocks.width, blocks.single) == (3, 2, False)
    assert blocks.of_output.tolist() == [0, 0, 1, 1, 2] and blocks.of_input.tolist() == [0, 0, 0, 1, 1, 2, 2, -1]
    assert blocks.units().tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    w, x = np.arange(1.0, 6), np.arange(1.0, 9)
    assert blocks.split(w).tolist() == [[1, 2], [3, 4], [5, 0]] and blocks.join(blocks.split(w)).tolist() == w.tolist()
    assert blocks.sums(x).tolist() == [6, 9, 13] and blocks.largest(-x).tolist() == [3, 5, 7]
    assert blocks.at_inputs(np.array([1.0, 2, 3])).tolist() == [1, 1, 1, 2, 2, 3, 3, 0]
    assert blocks.padding.tolist() == [[False, False], [False, False], [False, True]]
    constant = Blocks(np.array([0, 5]), np.array([5, 5]))  # no input at all in the first
    assert constant.sums(np.array([2.0, 3.0])).tolist() == [0, 5]


def test_lifts_and_cometrics_by_blocks_are_those_of_the_matrix(G, rng):
    x, dw = rng.uniform(0.5, 1.5, (4, 8)), rng.standard_normal((4, 5))
    dx, dmu = G.kernel.horizontal_lift(x, dw)
    C, J = G.cometric(x), G.jacobian(x)
    assert np.allclose(dmu, np.linalg.solve(C, dw[..., None])[..., 0], rtol=1e-10)
    assert np.allclose(dx, np.einsum("niD,ni->nD", J, dmu)) and np.allclose(np.einsum("niD,nD->ni", J, dx), dw)
    rows, gram = G.kernel.block_rows(x)
    assert rows.shape == (4, 2, 8) and np.allclose(gram[:, 1], C[:, 2:4, 2:4]) and (gram[:, 2, 1, 1] == 1).all()
    assert np.allclose(G.kernel.cometric_product(x, dw), np.einsum("nij,nj->ni", C, dw))


def test_affine_images_join_blocks_and_products_put_them_side_by_side(G, rng):
    A = np.zeros((3, 5))
    A[0, 0], A[1, 2], A[1, 4], A[2, 1] = 1.0, 2.0, 3.0, 1.0
    image = G.affine(A).kernel
    assert image.blocks.count == 2 and image.blocks.of_output.tolist() == [0, 1, 0]
    assert image.blocks.of_input.tolist() == [0, 0, 0, 1, 1, 1, 1, -1]
    both = product_of_maps(G, G.affine(A)).kernel
    assert both.blocks.count == 5 and both.blocks.of_input.tolist() == [
        0,
        0,
        0,
        1,
        1,
        2,
        2,
        -1,
        3,
        3,
        3,
        4,
        4,
        4,
        4,
        -1,
    ]
    for kernel in (image, both):
        x, dw = rng.uniform(0.5, 1.5, (2, kernel.dim)), rng.standard_normal((2, kernel.codomain_dim))
        _, dmu = kernel.horizontal_lift(x, dw)
        assert np.allclose(np.einsum("nij,nj->ni", kernel.cometric(x), dmu), dw)


def test_nothing_is_claimed_of_curved_spaces_nor_of_maps_that_cannot_be_recorded():
    from geomstats.geometry.hypersphere import Hypersphere

    assert gf.Parametrization(lambda x: x[..., :2] ** 2, Hypersphere(2), 2).kernel.blocks.single
    memory = []

    def forgetful(x):  # gives another value every time it is asked
        memory.append(1)
        return x**2 * (1 + 0 * len(memory)) if len(memory) < 5 else x**2 + 1e-3 * len(memory)

    assert gf.Parametrization(forgetful, 3, 3, check=False).kernel.blocks.single


def test_a_large_map_forms_no_matrix(rng):
    d, calls = 20_000, []

    def value(x):
        calls.append(x.shape)
        return x[..., :d] ** 2 - x[..., d:] ** 2

    G = gf.Parametrization(value, 2 * d, d)
    assert G.kernel.blocks.count == d
    calls.clear()
    x, dw = rng.uniform(0.5, 1.5, (3, 2 * d)), rng.standard_normal((3, d))
    dmu = G.kernel.horizontal_lift(x, dw)[1]
    assert calls == [(3, 2 * d)]
    assert np.allclose(dmu, dw / (4 * (x**2)[:, :d] + 4 * (x**2)[:, d:]))
    assert G.check_commuting(x).defect == 0 and G.check_regular(x)


def test_weighted_gram_is_the_product_in_parts(rng):
    A, weights = rng.standard_normal((3, 20_000)), rng.uniform(size=20_000)
    assert np.allclose(weighted_gram(A, weights), (A * weights) @ A.T, rtol=1e-12)
