"""The kernel of a map that the jax engine compiles, from its record or as it is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import Array, Map
from geoflow.maps.traced import FunctionKernel
from geoflow.numerics import autodiff, engine
from geoflow.numerics.engine import Compiled, Point
from geoflow.spaces.gradients import riemannian_gradient


class CompiledKernel(FunctionKernel):
    """A map given by a function of one flat point in jax, whose kernel is compiled, on a manifold with its own metric.

    `point` takes x of shape=[D] to G(x) of shape=[d]; `rise` takes a Euclidean derivative and x, shape=[D] each, to the
    Riemannian gradient. `function` is the map in autograd, for whoever differentiates through the kernel.
    """

    engine = "jax"

    def __init__(self, function: Map, space: Manifold, codomain_dim: int, point: Point, rise: Point):
        super().__init__(function, space, codomain_dim)
        self.point, self.rise = point, rise
        #: what was compiled with this kernel by whoever uses it
        self.remembered: dict[Any, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "remembered": {}}

    # at one point, in jax -------------------------------------------------------------------------------------------

    def pull_at(self, x: Any, mu: Any) -> Any:
        """sum_i mu_i grad G_i."""
        return self.rise(engine.pullback(self.point)(x, mu), x)

    def _rows_at(self, x: Any) -> Any:
        return engine.over(self.rise, 0, None)(engine.jacobian(self.point)(x), x)

    def _gram_at(self, x: Any) -> Any:
        e = engine.jacobian(self.point)(x)
        rows = engine.over(self.rise, 0, None)(e, x)
        C = engine.einsum("iD,jD->ij", e, rows)
        return rows, (C + C.T) / 2

    def _derivative_of_pull_at(self, x: Any, mu: Any, v: Any) -> Any:
        return engine.pushforward(lambda y: self.pull_at(y, mu))(x, v)

    def _bracket_terms_at(self, x: Any, u: Any, v: Any) -> Any:
        X, Y = self.pull_at(x, u), self.pull_at(x, v)
        return self._derivative_of_pull_at(x, v, X), self._derivative_of_pull_at(x, u, Y)

    # compiled for batches -------------------------------------------------------------------------------------------

    @cached_property
    def _value(self) -> Compiled:
        return Compiled(self.point, 1)

    @cached_property
    def _jacobian(self) -> Compiled:
        return Compiled(engine.jacobian(self.point), 1)

    @cached_property
    def _rows(self) -> Compiled:
        return Compiled(self._rows_at, 1)

    @cached_property
    def _gram(self) -> Compiled:
        return Compiled(self._gram_at, 1)

    @cached_property
    def _pull(self) -> Compiled:
        return Compiled(self.pull_at, 1, 1)

    @cached_property
    def _push(self) -> Compiled:
        return Compiled(engine.pushforward(self.point), 1, 1)

    @cached_property
    def _derivative_of_pull(self) -> Compiled:
        return Compiled(self._derivative_of_pull_at, 1, 1, 1)

    @cached_property
    def _bracket_terms(self) -> Compiled:
        return Compiled(self._bracket_terms_at, 1, 1, 1)

    @cached_property
    def _derivative_of_rows(self) -> Compiled:
        return Compiled(engine.over(engine.pushforward(self._rows_at), None, 0), 1, 2)

    @cached_property
    def _derivative_of_gram(self) -> Compiled:
        return Compiled(engine.over(engine.pushforward(lambda x: self._gram_at(x)[1]), None, 0), 1, 2)

    # the kernel -----------------------------------------------------------------------------------------------------

    def value(self, x: Array) -> Array:
        return super().value(x) if autodiff.is_traced(x) else self._inside(x, self._value(x), 1)

    def jacobian(self, x: Array) -> Array:
        return super().jacobian(x) if autodiff.is_traced(x) else self._inside(x, self._jacobian(x), 2)

    def gradients(self, x: Array) -> Array:
        return super().gradients(x) if autodiff.is_traced(x) else self._inside(x, self._rows(x), 2)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        if autodiff.is_traced(x):
            return super().gradients_and_cometric(x)
        rows, C = self._gram(x)
        return self._inside(x, rows, 2), self._inside(x, C, 2)

    def linearized(self, x: Array) -> tuple[Array, Map]:
        return super().linearized(x) if autodiff.is_traced(x) else (self.value(x), lambda mu: self.pullback(x, mu))

    def pullback(self, x: Array, mu: Array) -> Array:
        if autodiff.is_traced(x) or autodiff.is_traced(mu):
            return super().pullback(x, mu)
        return self._inside(x, self._pull(x, mu), 1)

    def pushforward(self, x: Array, v: Array) -> Array:
        if autodiff.is_traced(x) or autodiff.is_traced(v):
            return super().pushforward(x, v)
        return self._push(x, v)

    def derivative_of_pullback(self, x: Array, mu: Array, v: Array) -> Array:
        if any(autodiff.is_traced(a) for a in (x, mu, v)):
            return super().derivative_of_pullback(x, mu, v)
        return self._derivative_of_pull(x, mu, v)

    def bracket_terms(self, x: Array, u: Array, v: Array) -> tuple[Array, Array]:
        return self._bracket_terms(x, u, v)

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        if autodiff.is_traced(x) or autodiff.is_traced(directions):
            return super().derivative_of_gradients(x, directions)
        return self._derivative_of_rows(x, directions)

    def derivative_of_cometric(self, x: Array, directions: Array) -> Array:
        if autodiff.is_traced(x) or autodiff.is_traced(directions):
            return super().derivative_of_cometric(x, directions)
        return self._derivative_of_gram(x, directions)

    def _inside(self, x: Array, value: Array, axes: int) -> Array:
        outside = self._outside(x)
        return value if outside is None else np.where(outside[(..., *[None] * axes)], np.nan, value)


def compiled_kernel(function: Map, space: Manifold, d: int, points: Array | None) -> tuple[CompiledKernel | None, str]:
    """The compiled kernel of a function of flat points, or None and why there is none.

    The function is written in jax.numpy, or recorded and compared with itself at `points`, shape=[N, D].
    """
    if points is None:
        return None, "the manifold cannot draw the points at which a record is made and compared"
    rise, note = _recorded_gradient(space, points)
    if rise is None:
        return None, f"the gradients of {type(space).__name__} cannot be recorded: {note}"
    if engine.written_in_jax(function, points):
        return CompiledKernel(engine.traceable(function, 1), space, d, function, rise), ""
    point, note = engine.recorded_point(function, points)
    if point is None:
        return None, f"the map cannot be recorded: {note}"
    kernel = CompiledKernel(function, space, d, point, rise)
    note = _difference(kernel, FunctionKernel(function, space, d), points)
    return (None, note) if note else (kernel, "")


def _recorded_gradient(space: Manifold, points: Array) -> tuple[Point | None, str]:
    D, gradient = points.shape[1], riemannian_gradient(space)

    def risen(z: Array) -> Array:
        return gradient(z[..., None, :D], z[..., D:])[..., 0, :]

    e = np.random.default_rng(1).standard_normal(points.shape)
    point, note = engine.recorded_point(risen, np.concatenate([e, points], axis=1))
    if point is None:
        return None, note
    return (lambda e, x: point(engine.concatenate([e, x]))), ""


def _difference(kernel: CompiledKernel, plain: FunctionKernel, x: Array) -> str:
    """Where the compiled values and derivatives differ from autograd's, in words; empty where they do not."""
    mu = np.random.default_rng(2).standard_normal((len(x), kernel.codomain_dim))
    v = plain.pullback(x, mu)
    pairs: list[tuple[str, Callable[[FunctionKernel], Array]]] = [
        ("values", lambda k: k.value(x)),
        ("gradients", lambda k: k.pullback(x, mu)),
        ("derivatives of gradients", lambda k: k.derivative_of_pullback(x, mu, v)),
    ]
    for what, of in pairs:
        try:
            a, b = of(kernel), of(plain)
        except Exception as error:
            return f"the {what} of the map could not be compiled and compared: {type(error).__name__}: {error}"
        if gap := engine.disagreement(a, b):
            return f"the compiled {what} differ from autograd's by {gap:.1e} relative"
    return ""
