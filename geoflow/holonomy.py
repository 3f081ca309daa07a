"""Horizontal lifts of curves in w through G, the displacement a closed loop leaves, and its small-loop limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geoflow import autodiff
from geoflow._validate import as_finite, require_type
from geoflow.errors import ArgumentError, DomainError, ShapeError
from geoflow.fields import FLOW_ATOL, FLOW_RTOL, integrate_batch
from geoflow.parametrization import Parametrization


@dataclass(frozen=True)
class Lift:
    """The horizontal lift of a curve: x' = sum_i mu_i' grad G_i and mu' = C^{-1} w', C the cometric.

    (x, mu) of every closed loop closes exactly when G commutes; x alone also closes where a metric that is not Hessian
    is induced by coordinates, as by any diffeomorphism, and mu alone where the brackets are vertical.

    Attributes
    ----------
    w : array, shape=[n, d]
        Points of the curve: its vertices, or samples of it.
    x : array, shape=[n, D]
    mu : array, shape=[n, d]
        Dual coordinates gained since the start.
    closed : bool
        Whether the curve itself is closed.
    """

    w: np.ndarray
    x: np.ndarray
    mu: np.ndarray
    closed: bool

    @property
    def displacement(self) -> tuple[np.ndarray, np.ndarray]:
        """What a loop leaves: (x_end - x_0, mu_end)."""
        if not self.closed:
            raise ArgumentError("displacement", got="a curve with two ends", wanted="a closed loop")
        return self.x[-1] - self.x[0], self.mu[-1]

    @property
    def defect(self) -> float:
        """Size of the displacement, x relative to how far x went and mu to how far mu did; 0 where the lift closes."""
        dx, dmu = self.displacement
        far = np.abs(self.x - self.x[0]).max(), np.abs(self.mu).max()
        return max(float(np.abs(dx).max() / (far[0] or 1.0)), float(np.abs(dmu).max() / (far[1] or 1.0)))


def lift_curve(G: Parametrization, x0: Any, curve: Any, n: int = 65) -> Lift:
    """Lift a curve in R^d that starts at G(x0) horizontally to M.

    Parameters
    ----------
    G : Parametrization
    x0 : array-like, shape=[D]
    curve : array-like, shape=[k, d], or callable
        Vertices of a polygon, or s in [0, 1] to w of shape=[d], in autograd.numpy.
    n : int
        Samples of a callable curve that are returned.

    Returns
    -------
    Lift

    Raises
    ------
    DomainError
        When the curve does not start at G(x0), or leaves what can be reached from x0.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0 = G.require_points(x0, "x0")
    if x0.shape != G.point_shape:
        raise ShapeError("x0", got=f"shape {x0.shape}", wanted=f"one point, shape {G.point_shape}")
    if callable(curve):
        s = np.linspace(0, 1, n)
        w = as_finite([np.asarray(curve(float(t)), dtype=float) for t in s], "curve")
    else:
        w = as_finite(curve, "curve")
    if w.ndim != 2 or w.shape[1] != G.codomain_dim or len(w) < 2:
        raise ShapeError("curve", got=f"points of shape {w.shape}", wanted=f"shape [k, {G.codomain_dim}], k >= 2")
    size = np.abs(w).max() + np.ptp(w, axis=0).max() + 1e-300
    gap = float(np.abs(w[0] - G(x0)).max() / size)
    if gap > 1e-9:
        raise DomainError(
            "curve",
            got=f"a start {w[0]}, relative distance {gap:.1e} from G(x0) = {G(x0)}",
            wanted="a curve that starts at G(x0)",
            remedy="shift the curve by G(x0) - curve[0]",
        )
    state = np.concatenate([G._flat(x0), np.zeros(G.codomain_dim)])[None]
    states = [state]
    for k in range(len(w) - 1):
        states.append(_leg(G, states[-1], curve if callable(curve) else None, w[k], w[k + 1], k, len(w) - 1))
    y = np.concatenate(states)
    closed = bool(np.abs(w[-1] - w[0]).max() <= 1e-12 * size)
    return Lift(w, G._shaped(y[:, : G.dim]), y[:, G.dim :], closed)


def _leg(
    G: Parametrization,
    state: np.ndarray,
    curve: Callable[[float], Any] | None,
    start: np.ndarray,
    end: np.ndarray,
    k: int,
    n: int,
) -> np.ndarray:
    """One straight leg, or the n-th part of a curve."""

    def rate(s: float, y: np.ndarray) -> np.ndarray:
        velocity = end - start
        if curve is not None:
            along = autodiff.jvp(lambda t: curve(t[0]), np.array([(k + s) / n]), np.ones(1))[1]
            velocity = np.asarray(along, dtype=float) / n
        dx, dmu = G.horizontal_lift(y[:, : G.dim], velocity[None])
        return np.concatenate([dx, dmu], axis=1)

    after, stop = integrate_batch(rate, state, FLOW_RTOL, FLOW_ATOL)
    if stop is not None:
        raise DomainError(
            "lift of the curve",
            got=f"a lift that ends {stop.s:.3g} along leg {k + 1} of {n}, near w = {start + stop.s * (end - start)}",
            wanted="a curve that flows from x0 can follow",
            remedy="make the curve smaller",
            s=stop.s,
            leg=k,
        )
    return after


def parallelogram(w0: Any, a: Any, b: Any) -> np.ndarray:
    """Vertices of the loop w0, w0 + a, w0 + a + b, w0 + b, w0; shape=[5, d]."""
    w0, a, b = (np.asarray(v, dtype=float) for v in (w0, a, b))
    return np.stack([w0, w0 + a, w0 + a + b, w0 + b, w0])


def curvature_of_lift(G: Parametrization, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Brackets [E_i, E_j] of the horizontal lifts of d/dw_i to (x, mu): what a loop of unit area leaves, in the limit.

    E_i = (sum_k C^{ik} grad G_k, C^{-1} e_i). Both parts vanish at every x exactly when G commutes.

    Parameters
    ----------
    G : Parametrization
    x : array-like, shape=[..., D]

    Returns
    -------
    in_x : array, shape=[..., d, d, D]
    in_mu : array, shape=[..., d, d, d]
    """
    flat = G._flat(G.require_points(x, "point"))
    rows, C = G.frame(flat)
    H = np.linalg.inv(C)
    E = np.einsum("...ik,...kD->...iD", H, rows)
    d_rows = G.derivative_of_differential(flat, E)  # derivative along E_i of the k-th gradient
    dH = -np.einsum("...ab,...ibc,...cd->...iad", H, G.derivative_of_cometric(flat, E), H)
    along = np.einsum("...ijk,...kD->...ijD", dH, rows) + np.einsum("...jk,...ikD->...ijD", H, d_rows)
    return G._shaped(along - np.swapaxes(along, -3, -2)), dH - np.swapaxes(dH, -3, -2)


@dataclass(frozen=True)
class AreaLaw:
    """Displacements of shrinking parallelogram loops against the bracket.

    Attributes
    ----------
    sides : array, shape=[n]
    displacements : array, shape=[n]
        Size of (dx, dmu) each loop leaves.
    slope : float
        Of log displacement against log side: 2, the displacement is proportional to the area.
    remainder_slope : float
        Of what is left when area times bracket is taken off: at least 3, infinite where nothing is left.
    limit_defect : float
        Relative difference of displacement / area from the bracket at the smallest side.
    """

    sides: np.ndarray
    displacements: np.ndarray
    slope: float
    remainder_slope: float
    limit_defect: float


def area_law(
    G: Parametrization, x0: Any, pair: tuple[int, int] = (0, 1), sides: Sequence[float] | None = None
) -> AreaLaw:
    """Lift parallelograms of shrinking sides along e_i and e_j, and compare what they leave with the bracket.

    Parameters
    ----------
    G : Parametrization
    x0 : array-like, shape=[D]
    pair : tuple of int
    sides : sequence of float, optional
        By default four sides, halved each time, short in the units of the cometric at x0.

    Raises
    ------
    ArgumentError
        When the bracket vanishes: the loops close, and there is no law to fit.
    """
    x0 = G.require_points(x0, "x0")
    i, j = pair
    bracket_x, bracket_mu = curvature_of_lift(G, x0)
    bracket = np.concatenate([G._flat(bracket_x)[i, j], bracket_mu[i, j]])
    C = G.cometric(x0)
    # a side moves x0 by at most a hundredth of its length
    unit = np.linalg.eigvalsh(C)[0] ** 0.5 * (np.linalg.norm(x0) or 1.0)
    steps = unit / 100 * 0.5 ** np.arange(4) if sides is None else np.asarray(sides, dtype=float)
    left = []
    e = np.eye(G.codomain_dim)
    for h in steps:
        lift = lift_curve(G, x0, parallelogram(G(x0), h * e[i], h * e[j]))
        dx, dmu = lift.displacement
        left.append(np.concatenate([np.ravel(dx), dmu]))
    size = np.linalg.norm(left, axis=-1)
    if not size.min() > 1e-11 * (1 + np.linalg.norm(x0)):
        raise ArgumentError(
            "area law",
            got=f"loops that close, displacement {size.max():.1e}",
            wanted="fields that do not commute",
            remedy="there is nothing to fit where lifts are path independent",
        )
    remainder = np.linalg.norm(np.stack(left) - steps[:, None] ** 2 * bracket, axis=-1)
    exact = remainder.max() <= 1e-9 * size.max()
    return AreaLaw(
        sides=steps,
        displacements=size,
        slope=float(np.polyfit(np.log(steps), np.log(size), 1)[0]),
        remainder_slope=np.inf if exact else float(np.polyfit(np.log(steps), np.log(remainder), 1)[0]),
        limit_defect=float(remainder[-1] / size[-1]),
    )
