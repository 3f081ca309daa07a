"""Maps whose gradient fields do not commute; gradient flow through them is not a mirror flow in general."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Map
from geoflow.catalog.registry import Case, Entry, around, noncommuting
from geoflow.maps.parametrization import Parametrization


def _blocks(x: Array, *shapes: tuple[int, int]) -> list[Array]:
    """Matrices of the given shapes, cut from the last axis."""
    sizes = np.cumsum([0] + [n * m for n, m in shapes])
    batch = anp.shape(x)[:-1]
    return [anp.reshape(x[..., i:j], (*batch, *s)) for i, j, s in zip(sizes[:-1], sizes[1:], shapes, strict=True)]


def _flat(matrix: Array) -> Array:
    return anp.reshape(matrix, (*anp.shape(matrix)[:-2], -1))


def _case(name: str, function: Map, D: int, d: int) -> Case:
    x0 = np.random.default_rng(0).uniform(-1, 1, size=D)
    return Case(Parametrization(function, D, d, name=name), x0, None, around(x0, 0.5))


def _matrix_square(d: int) -> Case:
    """Upper triangle of U U^T, U of shape [2, 2]."""
    upper = np.array([0, 1, 3])

    def square(x: Array) -> Array:
        (U,) = _blocks(x, (2, 2))
        return _flat(anp.einsum("...ia,...ja->...ij", U, U))[..., upper]

    return _case("matrix_square", square, 4, 3)


def _matrix_product(d: int) -> Case:
    def product(x: Array) -> Array:
        U, V = _blocks(x, (2, 2), (2, 2))
        return _flat(anp.einsum("...ia,...ja->...ij", U, V))

    return _case("matrix_product", product, 8, 4)


def _deep_linear(d: int) -> Case:
    def network(x: Array) -> Array:
        W1, W2, W3 = _blocks(x, (2, 2), (2, 2), (2, 2))
        return _flat(anp.einsum("...ia,...ab,...bj->...ij", W3, W2, W1))

    return _case("deep_linear", network, 12, 4)


def _parabola(d: int) -> Case:
    return _case("parabola", lambda x: anp.stack([x[..., 0], x[..., 0] ** 2 + x[..., 1]], axis=-1), 2, 2)


for _name, _formula, _build, _d, _reason in [
    ("matrix_square", "U U^T", _matrix_square, 3, "brackets are U -> K U, K skew: the A_i do not commute"),
    ("matrix_product", "U V^T", _matrix_product, 4, "more than one row or column: the measurements do not commute"),
    ("deep_linear", "W3 W2 W1", _deep_linear, 4, "contains U V^T"),
    ("parabola", "(x, x^2 + y)", _parabola, 2, "[grad G_1, grad G_2] = 2 d/dx"),
]:
    noncommuting.add(Entry(_name, "noncommuting", _formula, "-", "refused", _build, dims=(_d,), reason=_reason))
