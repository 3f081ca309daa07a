"""What a user's map is asked when it is built: a few evaluations that show the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import Array
from geoflow.errors import ArgumentError, ShapeError
from geoflow.maps.kernel import MapKernel


def probe_values(evaluate: Callable[[Array], Array], points: Array, name: str, point_shape: tuple[int, ...]) -> bool:
    """Shape of the values, and each point treated on its own; whether all values are finite.

    Parameters
    ----------
    evaluate : callable
        Flat points of shape=[..., D] to checked values.
    points : array, shape=[n, D]
    name : str
    point_shape : tuple of int
        Shape of one point as the user's function sees it.

    Raises
    ------
    ShapeError, ArgumentError
    """
    try:
        batch = evaluate(points)
        single = np.stack([evaluate(p) for p in points])
    except ShapeError:
        raise
    except Exception as error:
        raise ShapeError(
            f"{name} cannot be evaluated at points of shape {(len(points), *point_shape)}",
            got=f"{type(error).__name__}: {error}",
            wanted=f"a map of [..., {', '.join(map(str, point_shape))}] to [..., d], in autograd.numpy",
            remedy="act on the last axis only (x[..., i]), and check space and codomain_dim",
        ) from error
    both = np.isfinite(batch) & np.isfinite(single)
    gap = np.abs(np.where(both, batch - single, 0.0))
    size = np.abs(np.where(both, single, 0.0)).max() + 1e-300
    if gap.max() > 1e-9 * size:
        raise ArgumentError(
            f"{name} mixes batch entries",
            got=f"values that change by {gap.max() / size:.1e} relative when other points join the batch",
            wanted="a map that treats every point on its own",
            remedy="reduce over axis=-1 only, and index with x[..., i]",
            defect=float(gap.max() / size),
        )
    return bool(both.all())


def probe_metric(kernel: MapKernel, space: Manifold, x: Array, h: float = 1e-5) -> None:
    """Brackets differentiate the metric: compare with central differences along M, which tell a wrong rule.

    Raises
    ------
    ArgumentError
        When the gradients cannot be differentiated, or their derivative by autograd is wrong.
    """
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
