"""Check your manifold: every law of a geomstats manifold that maps, brackets and flows rely on, in one call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.product_manifold import ProductManifold

from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_count, as_points
from geoflow.numerics.batches import consecutive
from geoflow.results import Check, Verdict
from geoflow.spaces.demands import LAWS, described
from geoflow.spaces.gradients import as_space
from geoflow.spaces.probes import TOL


@dataclass(frozen=True, eq=False, repr=False)
class ManifoldReport(Verdict):
    """What `check_manifold` found: it is truthy where every law holds, and `print` says what is wrong and what to do.

    Attributes
    ----------
    name : str
    checks : tuple of Check
        One a law, with its defect, its witness and, in `evidence`, its remedy.
    skipped : tuple of str
        Laws that were not asked: the method is not there, or the manifold is too large for it.
    """

    name: str
    checks: tuple[Check, ...]
    skipped: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        return [check.name for check in self.checks if not check.passed]

    def unwrap(self) -> ManifoldReport:
        """Return the report, or raise `CheckError` for the first law that fails."""
        for check in self.checks:
            check.unwrap()
        return self

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} fail" if self.failures else ""
        return f"ManifoldReport({self.name}: {len(self.checks)} laws asked{failed})"

    def __str__(self) -> str:
        if self.passed:
            text = f"{self.name}: all of {len(self.checks)} laws hold"
        else:
            wrong = [c for c in self.checks if not c.passed]
            lines = [f"  {c.name}: {c.detail}, relative defect {c.defect:.1e}; {c.evidence['remedy']}" for c in wrong]
            text = "\n".join([f"{self.name}: {len(wrong)} of {len(self.checks)} laws fail", *lines])
        return text + (f"\n  not asked: {', '.join(self.skipped)}" if self.skipped else "")


def check_manifold(space: int | Manifold, points: ArrayLike | None = None, n_points: int = 5) -> ManifoldReport:
    """Ask a manifold the laws that geoflow relies on, at points of its own `random_point`, or at the points given.

    Membership, the projection to M, the tangent projection, the constraint and its derivative, the inner product, and
    Riemannian gradients: g(grad f, v) = df(v) for all tangent v, with a derivative that autograd gets right. Products
    are asked factor by factor. A law that fails, or a method that raises, is a line of the report, and no error.

    Parameters
    ----------
    space : geomstats manifold
    points : array, shape=[n, *space.shape], optional
        Points of M, where it cannot draw its own.
    n_points : int

    Raises
    ------
    ArgumentError, ShapeError, NotFiniteError
        When `space` is no manifold, or `points` are none of its shape.
    """
    space = as_space(space)
    n_points, name = as_count(n_points, "n_points", most=10_000), type(space).__name__
    if points is None:
        drawn, x = _drawn(space, n_points)
    else:
        drawn, x = [], np.reshape(as_points(points, tuple(space.shape), "points"), (-1, int(np.prod(space.shape))))
    checks, skipped = list(drawn), list[str]()
    if x is not None:
        for prefix, part, at in _factors(space, x):
            for law in LAWS:
                check = law.ask(part, at, prefix)
                if check is None:
                    skipped.append(prefix + law.name)
                else:
                    checks.append(check)
    return ManifoldReport(name, tuple(checks), tuple(skipped))


def _drawn(space: Any, n: int) -> tuple[list[Check], Array | None]:
    """The flat points that `random_point` draws, or a check that fails where it does not."""
    state = np.random.get_state()  # geomstats draws from numpy's global generator: leave it as it was
    try:
        np.random.seed(0)
        x = np.asarray(space.random_point(n), dtype=float).reshape(n, -1)
        detail = (
            "" if x.shape[1] == np.prod(space.shape) else f"{x.shape[1]} numbers a point, shape {space.shape} wanted"
        )
        detail = detail or ("" if np.isfinite(x).all() else "a NaN or an infinity")
    except Exception as error:
        detail = described(error)
    finally:
        np.random.set_state(state)
    if not detail:
        return [], x
    remedy = f"random_point(n) returns shape [n, {', '.join(map(str, space.shape))}]; or give `points`"
    return [
        Check("random_point draws points", np.inf, 1.0, TOL, np.zeros(0), detail, n, evidence={"remedy": remedy})
    ], None


def _factors(space: Any, x: Array) -> Iterator[tuple[str, Any, Array]]:
    """A manifold itself, or the factors of a product, each with its own part of the points."""
    if not isinstance(space, ProductManifold):
        yield "", space, x
        return
    places = consecutive([int(np.prod(factor.shape)) for factor in space.factors])
    for k, (factor, place) in enumerate(zip(space.factors, places, strict=True)):
        for prefix, part, at in _factors(factor, x[:, place]):
            yield f"factor {k + 1} ({type(factor).__name__}): {prefix}", part, at
