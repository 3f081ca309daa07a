"""Which outputs depend on which inputs, read off the record."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics import autodiff
from geoflow.numerics.records import record
from geoflow.numerics.structure import components

A = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
MAPS = {
    "differences": (lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2),
    "coordinatewise": (lambda x: anp.where(x > 0, anp.sin(x), x), 3, 3),
    "matrix": (lambda x: anp.matmul(x**2, A.T), 3, 2),
    "matrix on the left": (lambda x: anp.dot(A, x) if x.ndim == 1 else anp.dot(x, A.T), 3, 2),
    "dense contraction": (lambda x: anp.einsum("ij,...j->...i", A, x), 3, 1),
    "stack": (lambda x: anp.stack([x[..., 0] * x[..., 1], x[..., 2], 1.0 + 0 * x[..., 3]], -1), 4, 3),
    "array of scalars": (lambda x: anp.array([x[0] * x[1], 2.0, x[2]]), 3, 3),
    "rows of a matrix": (lambda x: anp.sum(anp.reshape(x, (*x.shape[:-1], 3, 2)), axis=-1), 6, 3),
    "a part cumulates": (lambda x: anp.concatenate([x[..., :1], anp.cumsum(x[..., 1:], axis=-1)], -1), 5, 2),
    "constants beside": (lambda x: anp.concatenate([x, np.ones(2)], -1) ** 2, 2, 3),
    "one input in all": (lambda x: x[..., :1] * x[..., 1:], 4, 1),
    "norm": (lambda x: x / anp.sqrt(anp.sum(x**2, axis=-1, keepdims=True)), 3, 1),
    "split": (lambda x: anp.split(x, 2, axis=-1)[0] ** 2 - anp.split(x, 2, axis=-1)[1] ** 2, 4, 2),
    "split unequally": (lambda x: anp.split(x, [1], axis=-1)[0] * anp.split(x, [1], axis=-1)[1] ** 2, 4, 1),
    "permuted": (lambda x: x[..., np.array([2, 0, 1])] ** 2, 3, 3),
    "triangle": (lambda x: anp.sum(anp.tril(x[..., None] * np.eye(3)), axis=-1), 3, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_no_derivative_leaves_its_block_and_no_block_is_too_large(name):
    f, D, blocks = MAPS[name]
    recorded, note = record(f, np.linspace(0.5, 1.2, D))
    assert recorded is not None, note
    outputs, inputs = components(recorded)
    assert len(set(outputs)) == blocks
    x = np.linspace(0.3, 1.7, D)
    J = np.array([autodiff.value_and_vjp(f, x)[1](unit) for unit in np.eye(len(outputs))])
    assert not (J != 0)[outputs[:, None] != inputs].any()


def test_a_map_whose_input_is_split_has_its_potential():
    def squares(x):
        u, v = anp.split(x, 2, axis=-1)
        return u**2 - v**2

    G, x0 = gf.Parametrization(squares, 4, 2), [1.0, 0.7, 0.4, 0.8]
    w = np.array([[0.3, 0.2], [1.0, -0.5]])
    product = np.array(x0[:2]) * x0[2:]
    known = (np.arcsinh(w / (2 * product)) - np.arcsinh(G(x0) / (2 * product))) / 4
    assert np.allclose(gf.mirror_map(G, x0).gradient(w), known, atol=1e-9)


def test_an_index_that_depends_on_the_input_mixes():
    def sorted_squares(x):
        if x.ndim == 1:
            return x[anp.argsort(x)] ** 2
        return anp.stack([sorted_squares(p) for p in x.reshape(-1, x.shape[-1])]).reshape(x.shape)

    assert gf.Parametrization(sorted_squares, 3, 3).check_commuting([0.3, 0.7, 0.9])


def test_an_initial_value_is_an_input_too():
    def f(x):
        return anp.stack([anp.sum(x[:2] ** 2, None, None, None, False, x[2] ** 2), x[2] ** 3 * x[3]])

    G = gf.Parametrization(f, 4, 2, check=False)
    assert gf.prove_commuting(G).status == "refuted"
