"""Explicit regularization: the time-dependent Legendre function of a commuting pair (G, h)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import numpy as onp

from geoflow._validate import as_finite
from geoflow.errors import ArgumentError, NotCommutingError, ShapeError
from geoflow.fields import FLOW_ATOL, FLOW_RTOL, integrate_batch, joint_flow
from geoflow.induced import InducedLegendreFunction, points_of_leaf
from geoflow.parametrization import Parametrization


def with_regularizer(G: Parametrization, h: Callable[[Any], Any], x0: onp.ndarray) -> Parametrization:
    """The map (G, h) to R^{d+1}, after a look at the values of h.

    Raises
    ------
    ArgumentError, ShapeError
        When h is not callable, or not scalar.
    """
    if not callable(h):
        raise ArgumentError("regularizer", got=type(h).__name__, wanted="a callable x -> h(x), scalar")
    batch = onp.stack([x0, x0])
    value = onp.shape(h(batch))
    if value != (2,):
        raise ShapeError(
            "value of the regularizer",
            got=f"shape {value} at points of shape {batch.shape}",
            wanted="shape (2,), one number a point",
            remedy="sum over the axes of a point, for example np.sum(x**2, axis=-1) / 2",
        )
    return Parametrization(
        lambda x: np.concatenate([G._function(G._flat(x)), h(x)[..., None]], axis=-1),
        G.space,
        G.codomain_dim + 1,
        name=f"({G.name}, h)",
    )


class RegularizedLegendreFunction:
    """The Legendre functions R_a that a commuting pair (G, h) induces from x0.

    Gradient flow of L_t(G(x)) + alpha(t) h(x) is mirror flow of R_a, a = int alpha: d/dt grad R_a(w) = -grad L_t(w).
    R_a = (Q(., -a))* is the function that G induces from phi_h^{-a}(x0), phi_h the flow of grad h.

    Parameters
    ----------
    parametrization : Parametrization
    regularizer : callable
        x of shape=[..., D] to h(x) of shape=[...], in autograd.numpy.
    x0 : array, shape=[D]

    Raises
    ------
    NotCommutingError
        When grad h does not commute with the fields of G; carries `pair`, `defect` and `point`.

    Reference
    ---------
    Jacobs, Zhou, Burkholz, arXiv:2504.12883, 2025.
    """

    def __init__(self, parametrization: Parametrization, regularizer: Callable[[Any], Any], x0: onp.ndarray):
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
        """R_a, an ordinary Legendre function.

        Parameters
        ----------
        a : float
            Integral of the regularization strength so far.

        Raises
        ------
        DomainError
            When the flow of grad h does not reach -a.
        """
        a = float(as_finite(a, "a"))
        return InducedLegendreFunction(self.parametrization, self._flow(onp.zeros(self.dim), onp.array(a)))

    def inverse_gradient(self, mu: Any, a: Any) -> onp.ndarray:
        """grad Q_a(mu) = G(psi(x0; mu, -a)); mu of shape=[..., d] and a of shape=[...] to shape=[..., d]."""
        return self.parametrization(self._flow(onp.asarray(mu, dtype=float), onp.asarray(a, dtype=float)))

    def local_inverse(self) -> Callable[[onp.ndarray, float], onp.ndarray]:
        """A function (mu, a) -> grad Q_a(mu) for an integrator: each flow continues from one not far away."""
        anchor: tuple[onp.ndarray, onp.ndarray] | None = None

        def inverse(mu: onp.ndarray, a: float) -> onp.ndarray:
            nonlocal anchor
            goal = onp.concatenate([mu, onp.full((len(mu), 1), -a)], axis=1)
            if anchor is None:
                anchor = onp.zeros_like(goal), onp.tile(self.parametrization._flat(self.x0), (len(mu), 1))
            way, start = goal - anchor[0], anchor[1]

            def rate(s: float, x: onp.ndarray) -> onp.ndarray:
                return onp.einsum("niD,ni->nD", self.joint.differential(x), way)

            x, stop = integrate_batch(rate, start, FLOW_RTOL, FLOW_ATOL, first_step=1.0)
            if stop is not None:
                return onp.full_like(mu, onp.nan)
            if onp.abs(way).max() > 0.02 * (1 + onp.abs(goal).max()):
                anchor = goal, x
            return onp.asarray(self.parametrization._function(x), dtype=float)

        return inverse

    def _flow(self, mu: onp.ndarray, a: onp.ndarray) -> onp.ndarray:
        batch = onp.broadcast_shapes(mu.shape[:-1], a.shape)
        times = onp.concatenate(
            [onp.broadcast_to(mu, (*batch, self.dim)), onp.broadcast_to(-a, batch)[..., None]], axis=-1
        )
        return joint_flow(self.joint, self.x0, times)

    def __repr__(self) -> str:
        return f"RegularizedLegendreFunction({self.parametrization.name}, h)"
