"""Vector fields, their flows and Lie brackets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geoflow._typing import Array, ArrayLike, Bilinear, Map
from geoflow._validate import as_finite, require_flag
from geoflow.errors import ArgumentError, NotFiniteError, ShapeError
from geoflow.numerics import autodiff
from geoflow.numerics.differences import slopes
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, unit_time_flow
from geoflow.numerics.probes import probe_automatic, probe_closed, usable_points
from geoflow.numerics.records import quiet

if TYPE_CHECKING:
    from geomstats.geometry.manifold import Manifold


class VectorField:
    """A vector field X on (an open set or a submanifold of) R^D.

    `function` takes x of shape=[..., D] to X(x) of shape=[..., D], in autograd.numpy; `derivative`, (x, v) to DX(x).v,
    is by default automatic. Points of `space`, by default R^D, may be matrices, shape=[..., n, m] in place of [..., D].
    Either is compared with differences of X where it is first asked for; `check=False` believes it.
    """

    def __init__(
        self,
        function: Map,
        name: str = "X",
        derivative: Bilinear | None = None,
        space: Manifold | None = None,
        check: bool = True,
    ):
        if not callable(function):
            raise ArgumentError("vector field", got=type(function).__name__, wanted="a callable x -> X(x)")
        require_flag(check)
        self.function, self.name, self._closed_derivative, self.space = function, name, derivative, space
        self._believed = not check

    def __call__(self, x: ArrayLike) -> Array:
        """X(x), shape=[..., D]."""
        x = autodiff.as_float(x) if autodiff.is_traced(x) else as_finite(x, f"point of {self.name}")
        value = self.function(x)
        if np.shape(value) != np.shape(x):
            raise ShapeError(
                f"value of the vector field {self.name}",
                got=f"shape {np.shape(value)} at points of shape {np.shape(x)}",
                wanted="the shape of the points",
                remedy="return one tangent vector a point, coordinates on the last axis",
            )
        return value

    def derivative(self, x: Array, v: Array) -> Array:
        """DX(x).v, shape=[..., D]."""
        if not (self._believed or autodiff.is_traced(x) or autodiff.is_traced(v)):
            self._probe(np.asarray(x, dtype=float))
            self._believed = True
        if self._closed_derivative is not None:
            return self._closed_derivative(x, v)
        return autodiff.jvp(self.function, x, v)[1]

    def _probe(self, x: Array) -> None:
        """Compare the derivative with differences of X, at the first points it is asked for and beside them."""
        shape = x.shape[-1:] if self.space is None else tuple(self.space.shape)
        flat = x.reshape(-1, int(np.prod(shape)))[:2]
        size = np.abs(flat) + 0.1 * (np.abs(flat).max() or 1.0)
        beside = flat[:1] + 0.1 * size[:1] * np.random.default_rng(0).standard_normal((3, flat.shape[1]))

        def f(y: Array) -> Array:
            value = self.function(autodiff.reshaped(y, (*np.shape(y)[:-1], *shape)))
            return autodiff.reshaped(value, np.shape(y))

        try:
            at = usable_points(f, [flat, *beside[:, None]], self.name)
        except NotFiniteError:
            return  # said where its values are asked for
        if self._closed_derivative is None:
            probe_automatic(f, at, self.name, forms="derivative=")
            return
        v = at.directions()
        with quiet():
            points, vectors = (a.reshape(-1, *shape) for a in (at.x, v))
            given = np.asarray(self._closed_derivative(points, vectors), dtype=float).reshape(at.x.shape)
            scale = np.nan_to_num(np.abs(given), posinf=0.0).max(axis=1, keepdims=True)
            what = f"derivative of {self.name}: derivative="
            probe_closed(given, lambda width: slopes(f, at.x, v, width), what, "the field", at, scale)

    def flow(self, x: ArrayLike, t: ArrayLike, rtol: float = FLOW_RTOL, atol: float = FLOW_ATOL) -> Array:
        """Time-t flow phi^t(x) of dx/dt = X(x), shape=[..., D]; t of shape=[...], of either sign, is each point's time.

        Raises `DomainError` when the flow ends before t, with the batch entry and the time.
        """
        x, t = as_finite(x, "point to flow from"), as_finite(t, "time t")
        cut = x.ndim - (1 if self.space is None else len(self.space.shape))
        shape, batch = x.shape[cut:], np.broadcast_shapes(x.shape[:cut], t.shape)
        start = np.broadcast_to(x, (*batch, *shape)).reshape(*batch, -1)
        times = np.broadcast_to(t, batch).reshape(-1, 1)

        def scaled(y: Array) -> Array:
            return times * np.reshape(self.function(y.reshape(-1, *shape)), y.shape)

        return unit_time_flow(scaled, start, rtol, atol, "flow").reshape(*batch, *shape)

    def __add__(self, other: VectorField) -> VectorField:
        closed = self._closed_derivative is not None or other._closed_derivative is not None
        derivative = (lambda x, v: self.derivative(x, v) + other.derivative(x, v)) if closed else None
        name = f"({self.name} + {other.name})"
        return VectorField(
            lambda x: self.function(x) + other.function(x), name, derivative, self.space, not self._believed
        )

    def __mul__(self, scalar: float) -> VectorField:
        closed = self._closed_derivative
        derivative = None if closed is None else lambda x, v: scalar * closed(x, v)
        return VectorField(
            lambda x: scalar * self.function(x), f"{scalar:g} {self.name}", derivative, self.space, not self._believed
        )

    __rmul__ = __mul__

    def __neg__(self) -> VectorField:
        return -1.0 * self

    def __sub__(self, other: VectorField) -> VectorField:
        return self + (-1.0) * other

    def __repr__(self) -> str:
        return f"VectorField({self.name})"


def lie_bracket(X: VectorField | Map, Y: VectorField | Map) -> VectorField:
    """Lie bracket [X, Y] = DY.X - DX.Y of two vector fields, or callables of shape=[..., D], itself a vector field."""
    X = X if isinstance(X, VectorField) else VectorField(X, "X")
    Y = Y if isinstance(Y, VectorField) else VectorField(Y, "Y")
    return VectorField(
        lambda x: Y.derivative(x, X(x)) - X.derivative(x, Y(x)), f"[{X.name}, {Y.name}]", None, X.space, False
    )
