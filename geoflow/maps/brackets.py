"""Brackets of all pairs of gradient fields."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow._validate import all_finite, describe
from geoflow.errors import NotFiniteError
from geoflow.maps.kernel import MapKernel


def gradient_brackets(kernel: MapKernel, x: Array) -> Array:
    """[grad G_i, grad G_j] = D(grad G_j).grad G_i - D(grad G_i).grad G_j; shape=[..., D] to shape=[..., d, d, D]."""
    along = kernel.derivative_of_gradients(x, np.asarray(kernel.gradients(x), dtype=float))
    return along - np.swapaxes(along, -3, -2)


def require_finite(value: Array, x: Array, axes: int, what: str) -> Array:
    """The values, or `NotFiniteError` with the first point, of that many axes, where one is not finite."""
    if all_finite(value):
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
