"""Vector fields, their flows and Lie brackets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Bilinear, Map
from geoflow._validate import as_finite, require_flag
from geoflow.errors import ArgumentError, NotFiniteError, ShapeError
from geoflow.numerics import autodiff
from geoflow.numerics.culprits import blame
from geoflow.numerics.differences import directions, slopes
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, unit_time_flow
from geoflow.numerics.probes import probe_closed, usable_points
from geoflow.numerics.records import quiet

if TYPE_CHECKING:
    from geomstats.geometry.manifold import Manifold


class VectorField(Portable):
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
        """Compare the derivative with differences of X where it is first asked for, at points or in a batch, as there;
        an automatic one along a direction once more."""
        shape = x.shape[-1:] if self.space is None else tuple(self.space.shape)
        single, D = x.ndim == len(shape), int(np.prod(shape))
        points = x.reshape(-1, D)[:3]

        def evaluated(f: Map) -> Map:
            """f at flat points, one by one where the field is asked at one point."""
            if single:
                return lambda rows: np.stack([np.asarray(f(row.reshape(shape))).ravel() for row in rows])
            return lambda rows: np.reshape(f(np.reshape(rows, (-1, *shape))), rows.shape)

        with quiet():
            try:
                at = usable_points(evaluated(self.function), [points], self.name)
            except NotFiniteError:
                return  # said where its values are asked for
            v = directions(at.x, np.random.default_rng(5))

            def along(y: Array) -> Array:
                rows = np.reshape(v[0] if single else np.tile(v, (len(y) // len(v), 1)), np.shape(y))
                if self._closed_derivative is not None:
                    return self._closed_derivative(y, rows)
                return autodiff.jvp(self.function, y, rows)[1]

            closed = self._closed_derivative is not None
            what = f"derivative of {self.name}" + (": derivative=" if closed else " by autograd")
            for f, df in ((self.function, along), (along, lambda y: autodiff.jvp(along, y, v.reshape(np.shape(y)))[1])):
                given = np.asarray(evaluated(df)(at.x), dtype=float)
                scale = np.nan_to_num(np.abs(given), posinf=0.0).max(axis=1, keepdims=True)
                try:
                    again = partial(slopes, evaluated(f), at.x, v)
                    probe_closed(given, again, what, "the field", at, scale)
                except ArgumentError as error:
                    reason = "" if closed else blame(self.function, x if single else x.reshape(-1, *shape)[:3], 2)
                    if not reason:
                        raise
                    wanted, remedy = "a field in autograd.numpy", "or give derivative=; check=False believes it"
                    raise ArgumentError(f"{self.name} {reason}", error.got, wanted, remedy) from error
                if closed:
                    return

    def flow(self, x: ArrayLike, t: ArrayLike, rtol: float = FLOW_RTOL, atol: float = FLOW_ATOL) -> Array:
        """Time-t flow phi^t(x) of dx/dt = X(x), shape=[..., D]; t of shape=[...], of either sign, is each point's time.

        Raises `DomainError` when the flow ends before t, with the batch entry and the time.
        """
        x, t = as_finite(x, "point to flow from"), as_finite(t, "time t")
        cut = x.ndim - (1 if self.space is None else len(self.space.shape))
        shape, batch = x.shape[cut:], np.broadcast_shapes(x.shape[:cut], t.shape)
        start = np.broadcast_to(x, (*batch, *shape)).reshape(*batch, -1)
        times = np.broadcast_to(t, batch).reshape(-1, 1)

        def scaled(y: Array) -> Array:  # a user's function may count on the rows that it was given
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
