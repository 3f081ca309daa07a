"""Laws of what gradient flow conserves, of how many such functions there are, and of what momentum leaves of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.integrate import cumulative_simpson, solve_ivp

from geoflow._typing import Array, ArrayLike
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.losses import LinearSchedule
from geoflow.maps.conserved import ConservationLaw
from geoflow.maps.lie_algebra import LieAlgebra
from geoflow.maps.momentum import MomentumLaw
from geoflow.maps.parametrization import Parametrization
from geoflow.theorems.laws import flow_cases as cases
from geoflow.theorems.laws.register import Defect, law, scale_of, size_of

#: output times of a flow under momentum
TIMES = np.linspace(0.0, 3.0, 1201)


def _forces(G: Parametrization, x0: ArrayLike) -> LinearSchedule:
    """Three random forces, one after the other, that move x by a fifth of its size."""
    forces = np.random.default_rng(3).standard_normal((3, G.codomain_dim))
    x = np.tile(np.asarray(x0, dtype=float), (3, 1))
    return LinearSchedule(0.2 * forces * scale_of(x) / scale_of(G.kernel.pullback(x, forces)))


def _heavy_ball(G: Parametrization, x0: ArrayLike, velocity: ArrayLike, friction: float) -> tuple[Array, Array]:
    """x and x' at TIMES along x'' + g x' = dG^T u(t), u three random pulses."""
    schedule, D = _forces(G, x0), G.dim

    def motion(t: float, y: Array) -> Array:
        push = G.kernel.pullback(y[None, :D], schedule.force(t)[None])[0]
        return np.concatenate([y[D:], push - friction * y[D:]])

    start = np.concatenate([np.asarray(x0, dtype=float), np.asarray(velocity, dtype=float)])
    found = solve_ivp(motion, (0, TIMES[-1]), start, "DOP853", TIMES, rtol=1e-12, atol=1e-13, max_step=0.1)
    return found.y[:D].T, found.y[D:].T


@law("conserved", 1e-9, lambda: cases.conserved(False), lambda: cases.conserved(True))
def is_conserved(h: ConservationLaw, G: Parametrization, x0: ArrayLike) -> Defect:
    """h(x(t)) = h(x0) along gradient flow of a loss that changes with time, beside the terms of h."""
    flow = gradient_flow(_forces(G, x0), G, x0, np.linspace(0, 3, 31), rtol=1e-12, atol=1e-14).unwrap()
    assert flow.x is not None
    return size_of(h(flow.x) - h(x0)), scale_of(h.size(flow.x))


@law("conserved", 0.0, lambda: cases.all_conserved(False), lambda: cases.all_conserved(True))
def conserved_are_complete(laws: Sequence[ConservationLaw], G: Parametrization, x: ArrayLike) -> Defect:
    """Gradients of the laws are independent at x, and dim M - dim Lie(x) of them: the defect counts what is amiss."""
    unit = np.stack([h.gradient(x) / scale_of(h.gradient(x)) for h in laws])
    rank = int((np.linalg.svd(unit, compute_uv=False) > 1e-9).sum())
    return float(len(laws) - rank + abs(LieAlgebra(G.gradient_fields).conservation_law_count(x) - rank)), 1.0


@law("momentum", 1e-8, lambda: cases.pushed("rotated"), lambda: cases.pushed("conserved"))
def momentum_bends_laws(
    h: ConservationLaw, G: Parametrization, x0: ArrayLike, velocity: ArrayLike, friction: float
) -> Defect:
    """Under x'' + g x' = dG^T u a law has e^{gt} h' = h'(0) + int e^{gs} x'^T hess h x' ds: by Simpson's rule."""
    x, v = _heavy_ball(G, x0, velocity, friction)
    growth = np.exp(friction * TIMES)
    slope = growth * np.einsum("tD,tD->t", h.gradient(x), v)
    bent = growth * np.einsum("tD,tDE,tE->t", v, h.hessian(x), v)
    return size_of(slope - slope[0] - cumulative_simpson(bent, x=TIMES, initial=0)), scale_of(slope, bent)


@law("momentum", 1e-9, lambda: cases.from_rest(False), lambda: cases.from_rest(True))
def survives_momentum(h: ConservationLaw, G: Parametrization, x0: ArrayLike, friction: float) -> Defect:
    """h(x(t)) = h(x0) from rest, where <grad h, Y> = 0 for all symmetric products Y of the grad G_i: not u v."""
    x, _ = _heavy_ball(G, x0, np.zeros(G.dim), friction)
    return size_of(h(x) - h(x0)), scale_of(h.size(x))


@law("momentum", 1e-9, lambda: cases.turning(False), lambda: cases.turning(True))
def momentum_is_conserved(
    J: MomentumLaw, G: Parametrization, x0: ArrayLike, velocity: ArrayLike, friction: float
) -> Defect:
    """e^{gt} <A x + b, x'> is constant under x'' + g x' = dG^T u, where A x + b is an isometry that keeps G."""
    x, v = _heavy_ball(G, x0, velocity, friction)
    value = np.exp(friction * TIMES) * J(x, v)
    return size_of(value - value[0]), scale_of(np.exp(friction * TIMES)[:, None] * J.isometry(x) * v)
