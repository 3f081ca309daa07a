"""Iterated brackets at a point by Leibniz' rule."""

import autograd.numpy as anp
import numpy as np

import geoflow as gf
from geoflow.maps.words import bracket_at


def blocks(x, *shapes):
    ends = np.cumsum([0] + [n * m for n, m in shapes])
    batch = anp.shape(x)[:-1]
    return [anp.reshape(x[..., i:j], (*batch, *s)) for i, j, s in zip(ends[:-1], ends[1:], shapes, strict=True)]


def flat(M):
    return anp.reshape(M, (*anp.shape(M)[:-2], -1))


def three_layers(n, m, r):
    def product(x):
        A, B, C = blocks(x, (n, r), (r, r), (r, m))
        return flat(anp.einsum("...ia,...ab,...bj->...ij", A, B, C))

    return gf.Parametrization(product, (n + r + m) * r, n * m)


def test_brackets_by_tensors_are_brackets_by_differentiation(rng):
    G = three_layers(2, 2, 1)
    X, Y, Z = G.gradient_fields[:3]
    L, x = gf.LieAlgebra([X, Y, Z]), rng.standard_normal(G.dim)
    nested = gf.lie_bracket(X, gf.lie_bracket(Y, Z))
    assert np.allclose(bracket_at(L.generators_at(x), (0, 1, 2), x)[0], nested(x), atol=1e-12)
    curved = [gf.VectorField(lambda x, k=k: anp.sin(x + k) * anp.roll(x, k), f"s{k}") for k in range(3)]
    L = gf.LieAlgebra(curved)
    nested = gf.lie_bracket(curved[0], gf.lie_bracket(curved[1], curved[2]))
    assert np.allclose(bracket_at(L.generators_at(x), (0, 1, 2), x)[0], nested(x), atol=1e-12)
