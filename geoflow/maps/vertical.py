"""Whether brackets of the gradient fields are vertical, dG.B = 0: then w does not see them."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow.errors import NotCommutingError
from geoflow.maps.kernel import MapKernel
from geoflow.maps.scales import sizes_by_products
from geoflow.results import Check

#: brackets pushed to w, beside the terms that they are the difference of
VERTICAL_TOL = 1e-9
#: random combinations of fields whose brackets stand for those of all pairs
DRAWS = 4


def vertical_check(
    kernel: MapKernel, x: Array, name: str, point_shape: tuple[int, ...], tol: float = VERTICAL_TOL
) -> Check:
    """dG [X_u, X_v] = 0 at flat points, shape=[N, D], for random combinations X_u = sum_i u_i grad G_i of the fields.

    Relative, output by output, to |grad G_k| and the two terms of the bracket. Two rounds of products with dG for each
    combination, whatever d is.
    """
    rng = np.random.default_rng(0)
    size = sizes_by_products(kernel, x, rng)
    size = np.where(size > 0, size, 1.0)
    defects = []
    for _ in range(DRAWS):
        u, v = (rng.standard_normal(size.shape) / size for _ in range(2))
        along, back = kernel.bracket_terms(x, u, v)
        terms = np.linalg.norm(along, axis=-1) + np.linalg.norm(back, axis=-1)
        pushed = np.abs(kernel.pushforward(x, along - back))
        defects.append((pushed / size).max(axis=-1) / np.where(terms > 0, terms, 1.0))
    worst = np.max(defects, axis=0)
    n = int(np.argmax(worst))
    return Check(
        name=f"brackets in ker dG of {name}",
        defect=float(worst[n]),
        scale=1.0,
        tol=tol,
        witness=x[n].reshape(point_shape),
        n_points=len(x),
        error=NotCommutingError,
        evidence={"remedy": "w does not follow a mirror flow", "pair": None},
    )
