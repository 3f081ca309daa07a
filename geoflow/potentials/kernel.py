"""The unchecked layer of a Legendre function: R and its derivatives at points, for integrators and solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, Bilinear, Map, Mask
from geoflow.errors import GeoflowError, UserCodeError
from geoflow.numerics import autodiff, engine
from geoflow.numerics.batches import inverse_or_nan
from geoflow.numerics.engine import Point
from geoflow.numerics.jets import Remembered
from geoflow.spaces.domains import ConvexDomain


class Formula(Protocol):
    """R and its derivatives as formulas, good inside the domain of R, that can be differentiated further."""

    def derivative(self, order: int, w: Array) -> Array:
        """The derivative of order 0 to 3: shape=[...], [..., d], [..., d, d] or [..., d, d, d]."""
        ...


class ClosedFormula(Portable):
    """R by its value, and by closed forms of its three derivatives where they are given; the rest is automatic."""

    engine, engine_note = "autograd", ""

    def __init__(self, potential: Map, closed: Sequence[Map | None]):
        self.potential, self.closed = potential, tuple(closed)
        orders = zip((1, 2, 3), closed, strict=True)
        self._levels = (potential, *(f or autodiff.derivative(potential, k) for k, f in orders))

    def derivative(self, order: int, w: Array) -> Array:
        return self._levels[order](w)

    def several(self, orders: Sequence[int], w: Array) -> list[Array]:
        """The derivatives of these orders: the second and the third, both automatic, by one pass."""
        third = self._levels[3]
        if tuple(orders) == (2, 3) and isinstance(third, Remembered) and self.closed[1] is None:
            both = third.fast_with_lower(w) if self.engine == "autograd" else None
            if both is not None:
                return both
        return [self.derivative(order, w) for order in orders]

    def refuse_third(self, error: GeoflowError) -> None:
        """Raise this error where the third derivative is asked for, which is not given and cannot be had."""

        def refused(w: Array) -> Array:
            raise error

        self._levels = (*self._levels[:3], refused)


class CompiledFormula(ClosedFormula):
    """The same with what is automatic compiled, from R at one point in jax, unless it is being differentiated.

    `potential` is R in autograd.
    """

    engine = "jax"

    def __init__(self, point: Point, potential: Map, closed: Sequence[Map | None]):
        super().__init__(potential, closed)
        makers = (engine.jacobian, engine.hessian, engine.third_derivative)
        #: R and its derivatives at one point in jax; None where there is a closed form, in numpy
        self.points = (point, *(None if f else make(point) for f, make in zip(closed, makers, strict=True)))
        self._compiled = [None if f is None else engine.Compiled(f, 1) for f in self.points]
        #: what was compiled of R by whoever uses it
        self.remembered: dict[Any, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "remembered": {}}

    def derivative(self, order: int, w: Array) -> Array:
        fast = None if autodiff.is_traced(w) else self._compiled[order]
        return super().derivative(order, w) if fast is None else fast(w)


def with_engine(formula: ClosedFormula, domain: ConvexDomain, name: str) -> ClosedFormula:
    """The formula by the engine of that name, or as it is with a note where jax cannot have it."""
    potential = formula.potential
    if name != "jax" and not engine.loaded():
        return formula
    inside = domain.interior_point()
    if engine.written_in_jax(potential, inside):
        if name == "autograd":
            raise engine.refuse_jax("potential")
        return CompiledFormula(potential, engine.traceable(potential, 1), formula.closed)
    if name != "jax":
        return formula
    points = np.stack([inside, *np.reshape(domain.random_point(3, rng=0), (3, -1))])
    point, formula.engine_note = engine.recorded_point(potential, points)
    if point is None:
        return formula
    fast = CompiledFormula(point, potential, formula.closed)
    for order in range(3):
        if gap := engine.disagreement(fast.derivative(order, points), formula.derivative(order, points)):
            formula.engine_note = f"the compiled derivative of order {order} differs from autograd's by {gap:.1e}"
            return formula
    return fast


class LegendreKernel(Portable):
    """R on points of shape=[N, d]: nothing is checked and nothing is raised; NaN outside the domain."""

    def __init__(self, formula: Formula, domain: ConvexDomain):
        self.formula, self.domain = formula, domain

    def value(self, w: Array) -> Array:
        """R(w), shape=[N]."""
        return self.several((0,), w)[0]

    def gradient(self, w: Array) -> Array:
        """grad R(w), shape=[N, d]."""
        return self.several((1,), w)[0]

    def hessian(self, w: Array) -> Array:
        """hess R(w), shape=[N, d, d]."""
        return self.several((2,), w)[0]

    def third_derivative(self, w: Array) -> Array:
        """T_ijk, shape=[N, d, d, d]."""
        return self.several((3,), w)[0]

    def derivative(self, order: int, w: Array) -> Array:
        """The derivative of order 0 to 3 by its formula, at points that are known to be inside."""
        if autodiff.is_traced(w):
            return self.formula.derivative(order, w)
        with np.errstate(all="ignore"):
            return np.asarray(self.formula.derivative(order, w), dtype=float)

    def cometric(self, w: Array) -> Array:
        """H(w)^{-1}, shape=[N, d, d]; NaN also where H is singular."""
        H = self.hessian(w)
        if autodiff.is_traced(H):
            return autodiff.inv(H)
        return inverse_or_nan(H)

    def velocity_along(self) -> Bilinear:
        """(w, force) -> H(w)^{-1} force for an integrator, whose points are close: it may remember the last ones."""
        return lambda w, force: np.einsum("nij,nj->ni", self.cometric(w), force)

    def inside(self, w: Array) -> Mask:
        """Which points are in the domain, shape=[N]; not those where the domain's own test fails."""
        try:
            return np.asarray(self.domain.belongs(w))
        except UserCodeError:
            raise
        except GeoflowError:
            return np.array([self.inside(point) for point in w] if np.ndim(w) > 1 else False)

    def several(self, orders: Sequence[int], w: Array) -> list[Array]:
        """The derivatives of these orders, the domain asked once; NaN outside."""
        if autodiff.is_traced(w):
            return [self.formula.derivative(order, w) for order in orders]
        w = np.asarray(w, dtype=float)
        inside = self.inside(w)
        if inside.all():
            return self._derivatives(orders, w)
        safe = np.where(inside[..., None], w, self.domain.interior_point())
        masks = [np.reshape(inside, (*inside.shape, *[1] * order)) for order in orders]
        found = self._derivatives(orders, safe)
        return [np.where(mask, values, np.nan) for values, mask in zip(found, masks, strict=True)]

    def _derivatives(self, orders: Sequence[int], w: Array) -> list[Array]:
        """The derivatives of these orders at points inside, together where the formula has them together."""
        if not isinstance(self.formula, ClosedFormula):
            return [self.derivative(order, w) for order in orders]
        with np.errstate(all="ignore"):
            return [np.asarray(values, dtype=float) for values in self.formula.several(orders, w)]


class SolvedKernel(LegendreKernel):
    """A kernel whose formulas solve for what they need, and give NaN of themselves where there is no solution."""

    def several(self, orders: Sequence[int], w: Array) -> list[Array]:
        return [self.derivative(order, w) for order in orders]
