"""Explicit regularization: the time-dependent Legendre function of a commuting pair (G, h)."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Map
from geoflow._usercode import guarded
from geoflow._validate import as_finite
from geoflow.errors import ArgumentError, NotCommutingError, ShapeError, in_a_line
from geoflow.maps.lifts import joint_motion
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow, points_of_leaf
from geoflow.maps.traced import FunctionKernel
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL
from geoflow.potentials.induced import InducedLegendreFunction, mirror_map


def with_regularizer(G: Parametrization, h: Map, x0: Array) -> Parametrization:
    """The map (G, h) to R^{d+1}, after a look at the values of h: `ArgumentError` or `ShapeError` where not scalar."""
    if not callable(h):
        raise ArgumentError("regularizer", got=type(h).__name__, wanted="a callable x -> h(x), scalar")
    h, batch = guarded(h, "the regularizer"), np.stack([x0, x0])
    if np.shape(h(batch)) != (2,):
        raise ShapeError(
            "value of the regularizer",
            got=f"shape {np.shape(h(batch))} at points of shape {batch.shape}",
            wanted="shape (2,), one number a point",
            remedy="sum over the axes of a point, for example np.sum(x**2, axis=-1) / 2",
        )

    # the map itself, where there is one: a kernel has no value off M, where a record is compared with it
    value = G.kernel.function if isinstance(G.kernel, FunctionKernel) else G.kernel.value

    def both(x: Array) -> Array:
        return anp.concatenate([value(G.flatten(x)), h(x)[..., None]], axis=-1)

    joint = Parametrization(both, G.space, G.codomain_dim + 1, name=f"({G.name}, h)", engine=G.engine)
    joint.commuting_tol = G.commuting_tol
    return joint


def regularized_mirror_map(G: Parametrization, x0: ArrayLike, regularizer: Map) -> RegularizedLegendreFunction:
    """Return the family R_a of gradient flow of L_t(G(x)) + alpha(t) h(x) from x0, a the integral of alpha.

    G and x0 are as for `mirror_map`; the regularizer takes x of shape=[..., D] to h(x) of shape=[...], in
    autograd.numpy, and its gradient commutes with the fields of G.

    Raises
    ------
    NotRegularError, NotCommutingError
        As `mirror_map`; the latter also when grad h does not commute with the fields of G.
    """
    return RegularizedLegendreFunction(G, regularizer, mirror_map(G, x0).x0)


class RegularizedLegendreFunction(Portable):
    """The Legendre functions R_a that a commuting pair (G, h) induces from x0.

    Gradient flow of L_t(G(x)) + alpha(t) h(x) is mirror flow of R_a, a = int alpha: d/dt grad R_a(w) = -grad L_t(w).
    R_a = (Q(., -a))* is the function that G induces from phi_h^{-a}(x0), phi_h the flow of grad h.
    Raises as `regularized_mirror_map`, with `pair`, `defect` and `point`.

    Reference
    ---------
    Jacobs, Zhou, Burkholz, arXiv:2504.12883, 2025.
    """

    def __init__(self, parametrization: Parametrization, regularizer: Map, x0: Array):
        self.parametrization, self.regularizer, self.x0 = parametrization, regularizer, x0
        self.dim = parametrization.codomain_dim
        self.joint = with_regularizer(parametrization, regularizer, x0)
        check = self.joint.check_commuting(points_of_leaf(self.joint, x0))
        if not check:
            i, j = check.evidence["pair"]
            other = "h" if j == self.dim else f"{parametrization.name}_{j + 1}"
            raise NotCommutingError(
                f"regularizer does not commute with {parametrization.name}",
                got=f"[grad {parametrization.name}_{i + 1}, grad {other}] of relative size {check.defect:.1e}",
                wanted=f"at most {check.tol:.0e}",
                remedy="choose h whose gradient flow permutes with those of G, or use gradient_flow alone",
                defect=check.defect,
                point=check.witness,
                pair=(i, j),
            )

    def __call__(self, a: float) -> InducedLegendreFunction:
        """R_a, an ordinary Legendre function, a the integral of the regularization strength so far.

        Raises `DomainError` when the flow of grad h does not reach -a.
        """
        x = self._flow(np.zeros(self.dim), np.array(float(as_finite(a, "a"))))
        return InducedLegendreFunction(self.parametrization, x)

    def inverse_gradient(self, mu: ArrayLike, a: ArrayLike) -> Array:
        """grad Q_a(mu) = G(psi(x0; mu, -a)); mu of shape=[..., d] and a of shape=[...] to shape=[..., d]."""
        return self.parametrization(self._flow(np.asarray(mu, dtype=float), np.asarray(a, dtype=float)))

    def local_inverse(self) -> Callable[[Array, float], Array]:
        """A function (mu, a) -> grad Q_a(mu) for an integrator: each flow continues from one not far away."""
        anchor: tuple[Array, Array] | None = None

        def inverse(mu: Array, a: float) -> Array:
            nonlocal anchor
            goal = np.concatenate([mu, np.full((len(mu), 1), -a)], axis=1)
            if anchor is None:
                anchor = np.zeros_like(goal), np.tile(self.parametrization.flatten(self.x0), (len(mu), 1))
            way = goal - anchor[0]
            x, stop = joint_motion(self.joint.kernel, anchor[1], way, FLOW_RTOL, FLOW_ATOL)
            if stop is not None:
                return np.full_like(mu, np.nan)
            if np.abs(way).max() > 0.02 * (1 + np.abs(goal).max()):
                anchor = goal, x
            return self.parametrization.kernel.value(x)

        return inverse

    def _flow(self, mu: Array, a: Array) -> Array:
        batch = np.broadcast_shapes(mu.shape[:-1], a.shape)
        parts = [np.broadcast_to(mu, (*batch, self.dim)), np.broadcast_to(-a, batch)[..., None]]
        return joint_flow(self.joint, self.x0, np.concatenate(parts, axis=-1))

    def __repr__(self) -> str:
        return in_a_line(f"RegularizedLegendreFunction({self.parametrization.name}, h)")
