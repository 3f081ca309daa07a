"""Legendre functions built from scratch or from others: ridge sums and products.

Sums, multiples and affine changes are operators of `LegendreFunction`; how a function was built stays visible in its
`structure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import ArrayLike, Map
from geoflow._validate import as_finite, describe, require_type
from geoflow.errors import ArgumentError, NotLegendreError, ShapeError
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.products import product_of_maps
from geoflow.potentials.kernel import LegendreKernel
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import Profile, ProfileLike, as_profile
from geoflow.potentials.structure import Product, Ridges
from geoflow.spaces.domains import as_domain


class RidgeSum(LegendreFunction):
    """R(w) = sum_k r_k(<a_k, w> + b_k), with convex profiles r_k and directions a_k that span R^d.

    hess R = sum_k r_k'' a_k a_k^T, so F_k(w) = int sqrt(r_k'') at <a_k, w> + b_k embeds it exactly in R^m.

    Parameters
    ----------
    directions : array-like, shape=[m, d]
    offsets : array-like, shape=[m], or a scalar
    profiles : Profile, str or callable, or a sequence of m of them
        A name of `geoflow.potentials.profiles`, or any r(s) in autograd.numpy, acting entry by entry.
    domain : ConvexDomain, optional
        By default where every <a_k, w> + b_k is inside the domain of its profile.
    conjugate : LegendreFunction, optional
    name : str

    Raises
    ------
    ShapeError, ArgumentError, DomainError
        For arrays that do not match, and for half-spaces that do not meet.
    NotLegendreError
        When the directions do not span R^d: R is not strictly convex.
    """

    def __init__(
        self,
        directions: ArrayLike,
        offsets: ArrayLike = 0.0,
        profiles: ProfileLike | Sequence[ProfileLike] = "quadratic",
        domain: int | Manifold | None = None,
        conjugate: LegendreFunction | Map | None = None,
        name: str = "ridge sum",
    ):
        a = np.atleast_2d(as_finite(directions, "directions of a ridge sum"))
        b = as_finite(offsets, "offsets of a ridge sum")
        if a.ndim != 2 or b.shape not in {(), (len(a),)}:
            got = f"directions of shape {a.shape}, offsets of shape {b.shape}"
            raise ShapeError("ridge sum", got=got, wanted="directions of shape [m, d] and offsets of shape [m]")
        b = np.array(np.broadcast_to(b, len(a)))
        listed: list[Any] = list(profiles) if isinstance(profiles, (list, tuple)) else [profiles] * len(a)
        if len(listed) != len(a):
            raise ShapeError("profiles of a ridge sum", got=f"{len(listed)}", wanted=f"one, or one a ridge: {len(a)}")
        made: dict[int, Profile] = {}
        rs = tuple(made.setdefault(id(r), as_profile(r)) for r in listed)
        if np.linalg.matrix_rank(a) < a.shape[1]:
            null = np.linalg.svd(a)[2][-1]
            raise NotLegendreError(
                "ridge sum that is not strictly convex",
                got=f"{len(a)} directions of rank {np.linalg.matrix_rank(a)}; constant along {describe(null)}",
                wanted=f"directions that span R^{a.shape[1]}",
                remedy="add ridges, for example a quadratic one in every coordinate",
                direction=null,
            )
        structure = Ridges(a, b, rs, name)
        kernel = LegendreKernel(structure, structure.domain if domain is None else as_domain(domain))
        self._adopt(kernel, name, conjugate)
        self.set_structure(structure)


@overload
def product(*parts: LegendreFunction) -> LegendreFunction: ...


@overload
def product(*parts: Parametrization) -> Parametrization: ...


def product(*parts: LegendreFunction | Parametrization) -> LegendreFunction | Parametrization:
    """Product of Legendre functions, R(w_1, w_2, ...) = R_1(w_1) + R_2(w_2) + ..., or of parametrizations.

    Parametrizations give (G_1(x_1), G_2(x_2), ...) on the product of their spaces, which induces that of their R_i.

    Raises
    ------
    ArgumentError
        When a part is neither, or the first's kind is not that of another, or there is none.
    """
    if not parts:
        raise ArgumentError("product", got="none", wanted="at least one factor")
    kind = Parametrization if isinstance(parts[0], Parametrization) else LegendreFunction
    for part in parts:
        require_type(part, kind, "factor of a product")
    if maps := [p for p in parts if isinstance(p, Parametrization)]:
        return product_of_maps(*maps)
    return LegendreFunction.composed(Product(*(p for p in parts if isinstance(p, LegendreFunction))))
