"""Products of parametrizations."""

from __future__ import annotations

from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.product_manifold import ProductManifold

from geoflow._validate import require_type
from geoflow.maps.combined import ProductKernel
from geoflow.maps.parametrization import Parametrization


def product_of_maps(*parts: Parametrization) -> Parametrization:
    """(G_1(x_1), G_2(x_2), ...) on the product of the spaces: R is R_1(w_1) + R_2(w_2) + ...

    Points are the parts' points, flattened one after the other, or stacked where geomstats stacks equal spaces.
    """
    for part in parts:
        require_type(part, Parametrization, "factor of a product")
    space: int | Manifold = sum(G.dim for G in parts)
    if not all(isinstance(G.space, Euclidean) and not hasattr(G.space, "metric") for G in parts):
        factors = [G.space for G in parts]
        space = ProductManifold(factors, equip=all(hasattr(M, "metric") for M in factors))
    name, tol = " x ".join(G.name for G in parts), max(G.commuting_tol for G in parts)
    return Parametrization.from_kernel(ProductKernel([G.kernel for G in parts]), space, name, tol)
