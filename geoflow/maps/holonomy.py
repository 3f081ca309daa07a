"""Horizontal lifts of curves in w through G, the displacement a closed loop leaves, and its small-loop limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Map
from geoflow._validate import as_finite, require_type
from geoflow.errors import ArgumentError, DomainError, ShapeError
from geoflow.maps.lifts import Lifted, lift_along
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import length_of
from geoflow.numerics import autodiff


@dataclass(frozen=True, repr=False)
class Lift(Portable):
    """The horizontal lift of a curve: x' = sum_i mu_i' grad G_i and mu' = C^{-1} w', C the cometric.

    (x, mu) of every closed loop closes exactly when G commutes; x alone also closes where a metric that is not Hessian
    is induced by coordinates, as by any diffeomorphism, and mu alone where the brackets are vertical.

    `w`, shape=[n, d], are the vertices of the curve, or samples of it; `x`, shape=[n, D], and `mu`, shape=[n, d], the
    dual coordinates gained since the start; `closed` is whether the curve itself is.
    """

    w: Array
    x: Array
    mu: Array
    closed: bool

    def __str__(self) -> str:
        return f"{'a closed loop' if self.closed else 'a curve'} in R^{self.w.shape[1]}, {len(self.w)} points"

    @property
    def displacement(self) -> tuple[Array, Array]:
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


def lift_curve(G: Parametrization, x0: ArrayLike, curve: ArrayLike | Map, n: int = 65) -> Lift:
    """Lift a curve in R^d that starts at G(x0), x0 of shape=[D], horizontally to M.

    The curve is the vertices of a polygon, shape=[k, d], or a callable, s in [0, 1] to w of shape=[d], in
    autograd.numpy, of which n samples are returned.

    Raises
    ------
    DomainError
        When the curve does not start at G(x0), or leaves what can be reached from x0.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0 = G.require_point(x0, "x0")
    w = as_finite([curve(t) for t in np.linspace(0, 1, n)] if callable(curve) else curve, "curve")
    if w.ndim != 2 or w.shape[1] != G.codomain_dim or len(w) < 2:
        raise ShapeError("curve", got=f"points of shape {w.shape}", wanted=f"shape [k, {G.codomain_dim}], k >= 2")
    size = np.abs(w).max() + np.ptp(w, axis=0).max() + 1e-300
    gap = float(np.abs(w[0] - G(x0)).max() / size)
    if gap > 1e-9:
        got, remedy = f"a start {w[0]}, {gap:.1e} relative from G(x0) = {G(x0)}", "shift the curve by G(x0) - curve[0]"
        raise DomainError("curve", got=got, wanted="a curve that starts at G(x0)", remedy=remedy)
    states = [Lifted(G.flatten(x0)[None], np.zeros((1, G.codomain_dim)))]
    for k in range(len(w) - 1):
        velocity = _velocity(curve, k, len(w) - 1) if callable(curve) else (w[k + 1] - w[k])[None]
        after, stop = lift_along(G.kernel, states[-1], velocity)
        if stop is not None:
            near = w[k] + stop.s * (w[k + 1] - w[k])
            raise DomainError(
                "lift of the curve",
                got=f"a lift that ends {stop.s:.3g} along leg {k + 1} of {len(w) - 1}, near w = {near}",
                wanted="a curve that flows from x0 can follow",
                remedy="make the curve smaller",
                s=stop.s,
                leg=k,
            )
        states.append(after)
    closed = bool(np.abs(w[-1] - w[0]).max() <= 1e-12 * size)
    x, mu = (np.concatenate([getattr(s, name) for s in states]) for name in ("x", "mu"))
    return Lift(w, G.unflatten(x), mu, closed)


def _velocity(curve: Map, k: int, n: int) -> Callable[[float], Array]:
    """w' on the part k of n of a curve, which takes unit time."""

    def velocity(s: float) -> Array:
        along = autodiff.jvp(lambda t: curve(t[0]), np.array([(k + s) / n]), np.ones(1))[1]
        return np.asarray(along, dtype=float)[None] / n

    return velocity


def parallelogram(w0: ArrayLike, a: ArrayLike, b: ArrayLike) -> Array:
    """Vertices of the loop w0, w0 + a, w0 + a + b, w0 + b, w0; shape=[5, d]."""
    w0, a, b = (np.asarray(v, dtype=float) for v in (w0, a, b))
    return np.stack([w0, w0 + a, w0 + a + b, w0 + b, w0])


def curvature_of_lift(G: Parametrization, x: ArrayLike) -> tuple[Array, Array]:
    """Brackets [E_i, E_j] of the horizontal lifts of d/dw_i to (x, mu): what a loop of unit area leaves, in the limit.

    E_i = (sum_k C^{ik} grad G_k, C^{-1} e_i); the parts, shape=[..., d, d, D] and shape=[..., d, d, d], both vanish at
    every x exactly when G commutes.
    """
    flat, kernel = G.flatten(G.require_points(x, "point")), G.kernel
    rows, C = kernel.gradients_and_cometric(flat)
    H = np.linalg.inv(C)
    E = np.einsum("...ik,...kD->...iD", H, rows)
    d_rows = kernel.derivative_of_gradients(flat, E)  # derivative along E_i of the k-th gradient
    dH = -np.einsum("...ab,...ibc,...cd->...iad", H, kernel.derivative_of_cometric(flat, E), H)
    along = np.einsum("...ijk,...kD->...ijD", dH, rows) + np.einsum("...jk,...ikD->...ijD", H, d_rows)
    return G.unflatten(along - np.swapaxes(along, -3, -2)), dH - np.swapaxes(dH, -3, -2)


@dataclass(frozen=True)
class AreaLaw:
    """Displacements of shrinking parallelogram loops against the bracket.

    `displacements`, shape=[n], are the sizes of (dx, dmu) that loops of these sides leave; `slope` is that of log
    displacement against log side, 2 where it is proportional to the area, and `remainder_slope` that of what is left
    when area times bracket is taken off, at least 3, infinite where nothing is left; `limit_defect` is the relative
    difference of displacement / area from the bracket at the smallest side.
    """

    sides: Array
    displacements: Array
    slope: float
    remainder_slope: float
    limit_defect: float


def area_law(
    G: Parametrization, x0: ArrayLike, pair: tuple[int, int] = (0, 1), sides: Sequence[float] | None = None
) -> AreaLaw:
    """Lift parallelograms of shrinking sides along e_i and e_j, and compare what they leave with the bracket.

    By default there are four sides, halved each time, short in the units of the cometric at x0, shape=[D]. Raises
    `ArgumentError` when the bracket vanishes: the loops close, and there is no law to fit.
    """
    x0 = G.require_points(x0, "x0")
    i, j = pair
    bracket_x, bracket_mu = curvature_of_lift(G, x0)
    bracket = np.concatenate([G.flatten(bracket_x)[i, j], bracket_mu[i, j]])
    # a side moves x0 by at most a hundredth of its length
    unit = np.linalg.eigvalsh(G.cometric(x0))[0] ** 0.5 * length_of(x0)
    steps = unit / 100 * 0.5 ** np.arange(4) if sides is None else np.asarray(sides, dtype=float)
    left, e = [], np.eye(G.codomain_dim)
    for h in steps:
        dx, dmu = lift_curve(G, x0, parallelogram(G(x0), h * e[i], h * e[j])).displacement
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

    def slope(y: Array) -> float:
        return float(np.polyfit(np.log(steps), np.log(y), 1)[0])

    remainder_slope = np.inf if remainder.max() <= 1e-9 * size.max() else slope(remainder)
    return AreaLaw(steps, size, slope(size), remainder_slope, float(remainder[-1] / size[-1]))
