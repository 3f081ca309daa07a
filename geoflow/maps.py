"""Parametrizations built from others, and what each operation does to the Legendre function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.product_manifold import ProductManifold

from geoflow._validate import as_finite, require_type
from geoflow.dual import DuallyFlatManifold
from geoflow.errors import ArgumentError, NotRegularError, ShapeError
from geoflow.induced import mirror_map
from geoflow.legendre import LegendreFunction
from geoflow.parametrization import Parametrization


def affine_image(G: Parametrization, A: Any, b: Any = 0.0) -> Parametrization:
    """A G(x) + b: commuting with G, and its Q is Q(A^T nu) + <b, nu>.

    Parameters
    ----------
    G : Parametrization
    A : array-like, shape=[e, d]
        Of full row rank.
    b : array-like, shape=[e]

    Raises
    ------
    ShapeError, NotRegularError
        When shapes do not fit, or A has dependent rows.
    """
    require_type(G, Parametrization, "G")
    A, b = as_finite(A, "matrix A"), as_finite(b, "vector b")
    if A.ndim != 2 or A.shape[1] != G.codomain_dim or b.shape not in {(), A.shape[:1]}:
        raise ShapeError(
            f"affine image of {G.name}",
            got=f"A of shape {A.shape}, b of shape {b.shape}",
            wanted=f"A of shape [e, {G.codomain_dim}] and b of shape [e]",
        )
    if onp.linalg.matrix_rank(A) < len(A):
        raise NotRegularError(
            f"affine image of {G.name}",
            got=f"a matrix of {len(A)} rows and rank {onp.linalg.matrix_rank(A)}",
            wanted="full row rank",
            remedy="drop the dependent rows",
        )
    closed = G._closed_jacobian
    jacobian = None if closed is None else lambda x: G._shaped(onp.einsum("ed,...dD->...eD", A, closed(G._flat(x))))
    return Parametrization(
        lambda x: np.matmul(G._function(G._flat(x)), A.T) + b, G.space, len(A), jacobian, f"A {G.name} + b"
    )


def precompose(
    G: Parametrization, isometry: Callable[[Any], Any], space: int | Manifold | None = None
) -> Parametrization:
    """G(phi(y)) for an isometry phi of `space` to M: the same R from y0 as from phi(y0).

    Whether phi is an isometry is not assumed: gradients are computed on `space`, and another map changes R.

    Parameters
    ----------
    G : Parametrization
    isometry : callable
        y of shape=[..., E] to points of M, in autograd.numpy.
    space : int or geomstats manifold, optional
        By default M itself.
    """
    require_type(G, Parametrization, "G")
    if not callable(isometry):
        raise ArgumentError("isometry", got=type(isometry).__name__, wanted="a callable y -> phi(y)")
    domain = G.space if space is None else space
    return Parametrization(
        lambda y: G._function(G._flat(isometry(y))), domain, G.codomain_dim, name=f"{G.name} of an isometry"
    )


def product_of_maps(*parts: Parametrization) -> Parametrization:
    """(G_1(x_1), G_2(x_2), ...) on the product of the spaces: R is R_1(w_1) + R_2(w_2) + ...

    Points are the parts' points, flattened one after the other, or stacked where geomstats stacks equal spaces.

    Parameters
    ----------
    *parts : Parametrization
    """
    for part in parts:
        require_type(part, Parametrization, "factor of a product")
    ends = onp.cumsum([G.dim for G in parts])
    blocks = [slice(end - G.dim, end) for end, G in zip(ends, parts, strict=True)]
    space: Any = int(ends[-1])
    if not all(isinstance(G.space, Euclidean) and not hasattr(G.space, "metric") for G in parts):
        factors = [G.space for G in parts]
        space = ProductManifold(factors, equip=all(hasattr(M, "metric") for M in factors))
    d = sum(G.codomain_dim for G in parts)
    axes = 1 if isinstance(space, int) else len(space.shape)

    def joined(x: Any) -> Any:
        flat = np.reshape(x, (*np.shape(x)[: np.ndim(x) - axes], int(ends[-1])))
        return np.concatenate([G._function(flat[..., k]) for G, k in zip(parts, blocks, strict=True)], axis=-1)

    return Parametrization(joined, space, d, name=" x ".join(G.name for G in parts))


def identity(R: LegendreFunction, name: str = "identity") -> Parametrization:
    """The identity map of the Hessian manifold (dom R, hess R): it commutes for every R, and induces R.

    Parameters
    ----------
    R : LegendreFunction
    name : str
    """
    require_type(R, LegendreFunction, "R")
    return _Identity(R, name)


class _Identity(Parametrization):
    """w on (dom R, hess R), with gradients H^{-1} e_i and their derivatives -H^{-1} T H^{-1} in closed form."""

    def __init__(self, R: LegendreFunction, name: str):
        self.potential = R
        super().__init__(lambda w: w, DuallyFlatManifold(R).space, R.dim, name=name)

    def differential(self, x: Any) -> Any:
        inside = onp.asarray(self.potential.domain.belongs(x))
        rows = onp.full((*onp.shape(x), self.dim), onp.nan)
        if inside.any():
            rows[inside] = self.potential.cometric(onp.asarray(x)[inside])
        return rows

    def frame(self, x: Any) -> tuple[Any, Any]:
        C = self.differential(x)
        return C, C

    def derivative_of_differential(self, x: Any, directions: Any) -> onp.ndarray:
        C, T = self.potential.cometric(x), self.potential.third_derivative(x)
        return -onp.einsum("...ia,...abk,...mk,...bj->...mij", C, T, directions, C)

    derivative_of_cometric = derivative_of_differential

    def _probe_metric(self, x: onp.ndarray, h: float = 1e-5) -> None:
        """Nothing to probe: the derivatives are closed forms."""


def restrict_to_leaf(G: Parametrization, x0: Any) -> Parametrization:
    """G on the leaf through x0, in the coordinates w = G(x) of the leaf: the identity of (range of G, hess R).

    Parameters
    ----------
    G : Parametrization
        Commuting and regular at x0.
    x0 : array-like, shape=[D]
    """
    return identity(mirror_map(G, x0), f"{G.name} on a leaf")
