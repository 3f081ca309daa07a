"""Brackets of the gradient fields of a map, and the two checks of a map at points: commuting and regular."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.errors import NotCommutingError, NotFiniteError, NotRegularError
from geoflow.maps.kernel import MapKernel
from geoflow.results import Check


def gradient_brackets(kernel: MapKernel, x: Array) -> Array:
    """[grad G_i, grad G_j] = D(grad G_j).grad G_i - D(grad G_i).grad G_j; shape=[..., D] to shape=[..., d, d, D]."""
    along = kernel.derivative_of_gradients(x, np.asarray(kernel.gradients(x), dtype=float))
    return along - np.swapaxes(along, -3, -2)


def commuting_check(kernel: MapKernel, x: Array, tol: float, name: str, point_shape: tuple[int, ...]) -> Check:
    """[grad G_i, grad G_j] = 0 at flat points of shape=[N, D], relative to the largest D(grad G_j).grad G_i there.

    Parameters
    ----------
    kernel : MapKernel
    x : array, shape=[N, D]
    tol : float
    name : str
        Of the map.
    point_shape : tuple of int
        Shape of the witness.
    """
    rows = require_finite(kernel.gradients(x), x, 1, f"gradients of {name}")
    along = require_finite(kernel.derivative_of_gradients(x, rows), x, 1, f"brackets of {name}")
    norms = np.linalg.norm(along - np.swapaxes(along, 1, 2), axis=-1)
    # the terms whose difference is the bracket; the floor, in the same unit |dG|^2 / |x|, is for maps that are linear
    # to rounding, where the terms themselves are noise
    length = np.linalg.norm(x, axis=-1)
    floor = 1e-6 * (rows**2).sum(axis=-1).max(axis=-1) / np.where(length > 0, length, 1.0)
    scale = np.maximum(np.linalg.norm(along, axis=-1).max(axis=(1, 2)), np.maximum(floor, 1e-300))
    relative = norms / scale[:, None, None]
    n, i, j = (int(k) for k in np.unravel_index(int(np.argmax(relative)), relative.shape))
    first, second = sorted((i, j))
    return Check(
        name=f"commuting of {name}",
        defect=float(relative.max()),
        scale=float(scale[n]),
        tol=tol,
        witness=x[n].reshape(point_shape),
        detail=f"|[grad G_{first + 1}, grad G_{second + 1}]| = {norms[n, i, j]:.3e}",
        n_points=len(x),
        error=NotCommutingError,
        evidence={
            "pair": (first, second),
            "remedy": "gradient flow of a parametrization that does not commute is in general not a mirror flow; "
            "change G or M so that its gradient fields commute",
        },
    )


def regular_check(
    kernel: MapKernel, x: Array, tol: float, name: str, point_shape: tuple[int, ...], space_dim: int
) -> Check:
    """rank dG = d at flat points of shape=[N, D]: the smallest singular value exceeds `tol` times the largest."""
    d = kernel.codomain_dim
    if d > space_dim:
        detail, ratio, n = f"d = {d} > dim M = {space_dim}, so rank dG < d everywhere", 0.0, 0
    else:
        rows = require_finite(kernel.gradients(x), x, 1, f"gradients of {name}")
        values = np.linalg.svd(rows, compute_uv=False)
        ratios = np.where(values[:, 0] > 0, values[:, -1] / np.maximum(values[:, 0], 1e-300), 0.0)
        n = int(np.argmin(ratios))
        ratio = float(ratios[n])
        detail = f"singular values of dG from {values[n, -1]:.2e} to {values[n, 0]:.2e}"
    remedy = "start where dG has full rank, or drop dependent components of G"
    return Check(
        name=f"regularity of {name}",
        defect=max(0.0, 1.0 - ratio / tol),
        scale=1.0,
        tol=0.0,
        witness=x[n].reshape(point_shape),
        detail=detail,
        n_points=len(x),
        error=NotRegularError,
        evidence={"remedy": remedy, "singular_ratio": ratio},
    )


def require_finite(value: Array, x: Array, axes: int, what: str) -> Array:
    """The values, or `NotFiniteError` with the first point, of that many axes, where one is not finite."""
    if np.isfinite(value).all():
        return value
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0][: x.ndim - axes])
    raise NotFiniteError(
        what,
        got=f"NaN or infinity at x = {describe(x[index])}",
        wanted="a map that is smooth at the points it is used at",
        remedy="stay inside the domain of the map",
        point=x[index],
        index=index,
    )
