"""Whether Hessians are positive definite, each coordinate in its own unit, before they are inverted."""

from __future__ import annotations

from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.errors import NotLegendreError

#: pivots of a Hessian with unit diagonal up to which it is singular
SINGULAR = 1e-13


def unit_diagonal(H: Array) -> tuple[Array, Array]:
    """Hessians, shape=[..., d, d], each coordinate in a unit of its own, and the units 1 / sqrt |H_ii|, shape=[..., d].

    Coordinates of a potential may differ by many orders of magnitude. NaN where a diagonal entry is 0 or not finite.
    """
    with np.errstate(all="ignore"):
        unit = 1 / np.sqrt(np.abs(np.einsum("...ii->...i", H)))
        return H * unit[..., :, None] * unit[..., None, :], unit


def pivots(H: Array) -> Array:
    """The least pivot of each Hessian, shape=[..., d, d], scaled to unit diagonal; at most 0 where it is indefinite.

    It is 1 for a diagonal matrix, whatever the units of its coordinates, and is not positive where a diagonal entry is
    not; NaN where H is.
    """
    scaled, _ = unit_diagonal(H)
    diagonal, finite = np.einsum("...ii->...i", H), np.isfinite(H).all(axis=(-2, -1))
    usable = finite & (diagonal > 0).all(axis=-1) & np.isfinite(scaled).all(axis=(-2, -1))
    least = _least(np.where(usable[..., None, None], scaled, np.eye(H.shape[-1])))
    return np.where(usable, least, np.where(finite, -1.0, np.nan))


def _least(scaled: Array) -> Array:
    """The least squared entry on the diagonals of the Cholesky factors, -1 where there are none."""
    try:
        return (np.einsum("...ii->...i", np.linalg.cholesky(scaled)) ** 2).min(axis=-1)
    except np.linalg.LinAlgError:
        if scaled.ndim == 2:
            return np.array(-1.0)
        return np.stack([_least(one) for one in scaled])


def require_definite(H: Array, w: Array, name: str) -> None:
    """Refuse Hessians, shape=[..., d, d], at points w, shape=[..., d], that are not positive definite.

    Raises
    ------
    NotLegendreError
        With the `point`, its `index` in the batch, and the least `pivot` there.
    """
    least = pivots(np.asarray(H, dtype=float))
    bad = least <= SINGULAR
    if not bad.any():
        return
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
    point, pivot = np.broadcast_to(w, (*bad.shape, H.shape[-1]))[index], float(least[index])
    kind = "is not positive definite" if pivot <= 0 else f"is singular to rounding (least pivot {pivot:.1e})"
    raise not_convex(name, point, kind, index=index, pivot=pivot)


def not_convex(name: str, point: Array, kind: str = "is not positive definite", **details: Any) -> NotLegendreError:
    """The error about a Hessian of that kind at a point, shape=[d]."""
    return NotLegendreError(
        f"{name} is not strictly convex",
        got=f"a Hessian that {kind} at w = {describe(point)}",
        wanted="a positive definite Hessian on the whole domain",
        remedy="check the potential, give the domain on which it is strictly convex, or drop what does not change it",
        point=point,
        **details,
    )
