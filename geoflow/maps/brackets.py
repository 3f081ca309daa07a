"""Brackets of all pairs of gradient fields, and the probes of a map when it is built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.errors import ArgumentError, NotFiniteError, ShapeError
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.engine import not_installed


def gradient_brackets(kernel: MapKernel, x: Array) -> Array:
    """[grad G_i, grad G_j] = D(grad G_j).grad G_i - D(grad G_i).grad G_j; shape=[..., D] to shape=[..., d, d, D]."""
    along = kernel.derivative_of_gradients(x, np.asarray(kernel.gradients(x), dtype=float))
    return along - np.swapaxes(along, -3, -2)


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


def probe_values(evaluate: Callable[[Array], Array], points: Array, name: str, point_shape: tuple[int, ...]) -> bool:
    """Shape of the values at flat points, shape=[n, D], and each point treated on its own; whether all are finite."""
    try:
        batch, single = evaluate(points), np.stack([evaluate(p) for p in points])
    except ShapeError:
        raise
    except Exception as error:
        if isinstance(error, ImportError) and (error.name or "").startswith("jax"):
            raise not_installed(error) from error
        raise ShapeError(
            f"{name} cannot be evaluated at points of shape {(len(points), *point_shape)}",
            got=f"{type(error).__name__}: {error}",
            wanted=f"a map of [..., {', '.join(map(str, point_shape))}] to [..., d], in autograd.numpy",
            remedy="act on the last axis only (x[..., i]), and check space and codomain_dim",
        ) from error
    both = np.isfinite(batch) & np.isfinite(single)
    size = np.abs(np.where(both, single, 0.0)).max() + 1e-300
    gap = float(np.abs(np.where(both, batch, 0.0) - np.where(both, single, 0.0)).max() / size)
    if gap > 1e-9:
        raise ArgumentError(
            f"{name} mixes batch entries",
            got=f"values that change by {gap:.1e} relative when other points join the batch",
            wanted="a map that treats every point on its own",
            remedy="reduce over axis=-1 only, and index with x[..., i]",
            defect=gap,
        )
    return bool(both.all())


def probe_metric(kernel: MapKernel, space: Manifold, x: Array, h: float = 1e-5) -> None:
    """Brackets differentiate the metric: compare with central differences along M, which tell a wrong rule."""
    try:
        rows = kernel.gradients(x)
        v = rows[:, 0] / (1e-300 + np.linalg.norm(rows[:, 0], axis=-1, keepdims=True))
        traced = kernel.derivative_of_gradients(x, v[:, None])[:, 0]
        differences = (kernel.gradients(x + h * v) - kernel.gradients(x - h * v)) / (2 * h)
        size = np.abs(traced).max(axis=(1, 2)) + np.abs(rows).max(axis=(1, 2)) + 1e-300
        # a wrong rule is wrong everywhere, differences are coarse only where the metric varies fast
        gap = float((np.abs(traced - differences).max(axis=(1, 2)) / size).min())
        got = f"gradients whose derivative by autograd is off by {gap:.1e} from finite differences"
    except Exception as error:
        gap, got = np.inf, f"{type(error).__name__} where gradients are differentiated: {error}"
    if not gap <= 1e-4:
        metric = type(getattr(space, "metric", None)).__name__.replace("NoneType", "inherited metric")
        raise ArgumentError(
            f"{metric} of {type(space).__name__}",
            got=got,
            wanted="`to_tangent` and `inner_product` of batches of points, with correct derivatives in autograd",
            remedy="check the derivative rules of the operations they use (eigenvalues, square roots of matrices)",
            defect=float(gap),
        )
