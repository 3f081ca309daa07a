"""Where flows of the gradient fields from a point get: joint flows, chains of them, and random points they reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_points
from geoflow.errors import ConvergenceError, DomainError
from geoflow.maps.lifts import joint_motion
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics.batches import in_slices
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, require_arrival
from geoflow.spaces.probes import DRIFT, require_near

T = TypeVar("T")
#: how much longer, or shorter, a gradient is at most at points that are looked at in place of x0
ALIKE = 1e6
#: part of a field below which a component of it is what rounding left
ROUNDED = 1e-13


def joint_flow(
    G: Parametrization, x0: ArrayLike, mu: ArrayLike, rtol: float = FLOW_RTOL, atol: float = FLOW_ATOL
) -> Array:
    """Joint flow psi(x0; mu), shape=[..., D]: x(1) of dx/ds = dG(x)^T mu, x(0) = x0, for mu of shape=[..., d].

    Raises
    ------
    DomainError
        When a flow ends before s = 1: carries `index` (the batch entry), `s` and `point`.

    Reference
    ---------
    LWLA22, section 4.
    """
    x0, mu = G.flatten(G.require_points(x0, "x0")), as_points(mu, G.codomain_dim, "mu")
    batch = np.broadcast_shapes(x0.shape[:-1], mu.shape[:-1])
    start = np.broadcast_to(x0, (*batch, G.dim))
    covectors = np.broadcast_to(mu, (*batch, G.codomain_dim)).reshape(-1, G.codomain_dim)

    def moved(x: Array, mu: Array, n: Index) -> tuple[Array, ...]:
        end, stop = joint_motion(G.kernel, x, mu, rtol, atol)
        require_arrival(stop, batch, "joint flow", n)
        require_near(G.space, end, "joint flow", max(DRIFT, 100 * rtol))
        return (end,)

    flat = start.reshape(-1, G.dim)
    (end,) = in_slices(moved, 16 * G.dim, flat, covectors, np.arange(len(flat)))
    return G.unflatten(end.reshape(start.shape))


def push_by(G: Parametrization, x0: Array, forces: Array, rtol: float = 1e-10, atol: float = 1e-12) -> Array:
    """x where n flows with piecewise constant forces, shape=[K, n, d], end; shape=[n, D]."""
    x = np.broadcast_to(x0, (forces.shape[1], *x0.shape))
    for force in forces:
        x = joint_flow(G, x, force, rtol=rtol, atol=atol)
    return x


def shrunk_until(attempt: Callable[[float], T], size: float, factor: float = 0.5, tries: int = 20) -> tuple[T, float]:
    """attempt(size), the size multiplied by the factor until no flow of it ends early (or `DomainError`); that size."""
    for _ in range(tries):
        try:
            return attempt(size), size
        except (DomainError, ConvergenceError):
            size *= factor
    raise DomainError(
        "x0", got=f"flows that end at once, at size {size:.1e}", wanted="a point where fields are defined"
    )


def unit_forces(G: Parametrization, x0: Array, forces: Array) -> Array:
    """Covectors of shape=[..., d] scaled so that each moves x0 at unit speed."""
    flat = forces.reshape(-1, forces.shape[-1])
    x = np.broadcast_to(G.flatten(x0), (len(flat), G.dim))
    speeds = np.linalg.norm(G.kernel.pullback(x, flat), axis=-1).reshape(*forces.shape[:-1], 1)
    return forces / speeds


def of_like_fields(G: Parametrization, x0: Array, x: Array, forces: Array) -> Array:
    """The points x, shape=[n, D], where fields <force, grad G>, forces of shape=[n, d], are as they are in x0.

    `DomainError` where a component is larger or smaller by more than `ALIKE`: brackets there have no digits, or are
    beyond the largest numbers.
    """
    at, start = G.flatten(x), np.broadcast_to(G.flatten(x0), (len(x), G.dim))
    with np.errstate(all="ignore"):
        speed, own = (np.abs(G.kernel.pullback(y, forces)) for y in (at, start))
        rounded = own <= ROUNDED * own.max(axis=-1, keepdims=True)
        ratio = np.where(rounded & np.isfinite(speed), 1.0, speed / np.where(rounded, 1.0, own))
    if not ((ratio >= 1 / ALIKE) & (ratio <= ALIKE)).all():
        raise DomainError("fields at points of the leaf", "other sizes than at x0", f"a factor of at most {ALIKE:.0e}")
    return x


def points_of_leaf(G: Parametrization, x0: Array, n: int = 8) -> Array:
    """x0 and n points near it that flows of the gradient fields reach: a bracket may vanish by chance at x0 alone."""
    directions = unit_forces(G, x0, np.random.default_rng(0).standard_normal((n, G.codomain_dim)))
    # a point a little off a curved M has a bracket as large as its distance
    rtol = 1e-6 if G.is_euclidean else min(1e-6, G.commuting_tol)

    def reached(size: float) -> Array:
        return of_like_fields(G, x0, joint_flow(G, x0, size * directions, rtol, 1e-3 * rtol), directions)

    try:
        return np.concatenate([x0[None], shrunk_until(reached, 0.3 * length_of(x0), factor=0.25)[0]])
    except DomainError:
        return x0[None]


def orbit_sample(G: Parametrization, x0: Array, size: float, n: int, rng: np.random.Generator) -> Array:
    """n points that three random flows in a row reach from x0, each moving x by at most size |x0|; shape=[n, D]."""
    forces = rng.standard_normal((3, n, G.codomain_dim))
    forces = rng.uniform(0, 1, (3, n, 1)) * unit_forces(G, x0, forces)

    def reached(length: float) -> Array:
        return of_like_fields(G, x0, push_by(G, x0, length * forces), forces[-1])

    return shrunk_until(reached, size * length_of(x0))[0]


def length_of(x: Array) -> float:
    """|x|, or 1 at the origin."""
    return float(np.linalg.norm(x)) or 1.0
