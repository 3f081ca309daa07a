"""The direct theorem: a commuting parametrization G induces a Legendre function R, computed from G alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from geoflow._validate import as_points, describe, require_type
from geoflow.domains import Region
from geoflow.errors import DomainError, NotCommutingError, ShapeError
from geoflow.fields import FLOW_ATOL, FLOW_RTOL, integrate_batch, joint_flow
from geoflow.legendre import LegendreFunction, require_converged
from geoflow.parametrization import Parametrization

if TYPE_CHECKING:
    from geoflow.regularization import RegularizedLegendreFunction

LIFT_TOL = 1e-10
PATH_TOL = 1e-6
POLISH_STEPS = 4


@overload
def mirror_map(G: Parametrization, x0: Any) -> InducedLegendreFunction: ...


@overload
def mirror_map(G: Parametrization, x0: Any, regularizer: Callable[[Any], Any]) -> RegularizedLegendreFunction: ...


def mirror_map(
    G: Parametrization, x0: Any, regularizer: Callable[[Any], Any] | None = None
) -> InducedLegendreFunction | RegularizedLegendreFunction:
    """Return the Legendre function R whose mirror flow is the gradient flow of every loss through G from x0.

    R = Q* with grad Q(mu) = G(psi(x0; mu)); normalised by R(G(x0)) = 0 and grad R(G(x0)) = 0.

    Parameters
    ----------
    G : Parametrization
        Regular and commuting; both are checked at x0, around it on its leaf, and along every lift.
    x0 : array-like, shape=[D]
    regularizer : callable, optional
        x to h(x), scalar, whose gradient commutes with the fields of G: the result is then a family R_a, for gradient
        flow of L_t(G(x)) + alpha(t) h(x) with a the integral of alpha.

    Returns
    -------
    InducedLegendreFunction
        With a regularizer, a `RegularizedLegendreFunction`.

    Raises
    ------
    NotRegularError, NotCommutingError
        With `defect` and the witness `point`; the latter with the `pair` of fields.
    NotOnManifoldError
        When x0 is not on M.

    Reference
    ---------
    LWLA22, theorem 4.8.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0 = G.require_points(x0, "x0")
    if x0.shape != G.point_shape:
        raise ShapeError("x0", got=f"shape {x0.shape}", wanted=f"one point, shape {G.point_shape}")
    G(x0)  # a typed error where G itself is not defined
    G.check_regular(x0).unwrap()
    G.check_commuting(points_of_leaf(G, x0)).unwrap()
    if regularizer is None:
        return InducedLegendreFunction(G, x0)
    from geoflow.regularization import RegularizedLegendreFunction

    return RegularizedLegendreFunction(G, regularizer, x0)


def points_of_leaf(G: Parametrization, x0: np.ndarray, n: int = 8) -> np.ndarray:
    """x0 and n points near it that flows of the gradient fields reach: a bracket may vanish by chance at x0 alone."""
    rows = G._flat(G.jacobian(x0))
    directions = np.random.default_rng(0).standard_normal((n, G.codomain_dim))
    directions /= np.linalg.norm(directions @ rows, axis=-1, keepdims=True)
    size = 0.3 * (np.linalg.norm(x0) or 1.0)
    # a point a little off a curved M has a bracket as large as its distance
    rtol = 1e-6 if G.is_euclidean else min(1e-6, G.commuting_tol)
    for _ in range(20):
        try:
            return np.concatenate([x0[None], joint_flow(G, x0, size * directions, rtol, 1e-3 * rtol)])
        except DomainError:
            size /= 4
    return x0[None]


class InducedLegendreFunction(LegendreFunction):
    """The Legendre function that a commuting parametrization induces from a point, by lifting; see `mirror_map`.

    Values at w come from the lift x(w) = psi(x0; mu), G(x(w)) = w: grad R = mu, hess R = (dG dG^T)^{-1} at x(w).

    Attributes
    ----------
    parametrization : Parametrization
    x0 : array, shape=[D]
    w0 : array, shape=[d]
    """

    def __init__(self, parametrization: Parametrization, x0: np.ndarray):
        self.parametrization, self.x0, self.w0 = parametrization, x0, parametrization(x0)
        self._start = parametrization._flat(x0)
        self._last: tuple[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None
        d = parametrization.codomain_dim
        name = f"R induced by {parametrization.name}"
        super().__init__(
            lambda w: self._lifted(w)[2],
            Region(d, self._reachable, self.w0, f"range of {parametrization.name} from x0"),
            gradient=lambda w: self._lifted(w)[1],
            hessian=self._hessian_at,
            third_derivative=self._third_at,
            name=name,
        )

    def lift(self, w: Any) -> np.ndarray:
        """The point x(w) of the leaf through x0 with G(x(w)) = w; shape=[..., d] to shape=[..., D].

        Raises
        ------
        DomainError
            When w is out of reach from x0: carries `s`, how far along the segment from G(x0) the lift got, and `index`.
        NotCommutingError, NotRegularError
            When G fails to commute or to be regular along the lift.
        """
        return self.parametrization._shaped(self._lifted(w)[0])

    def inverse_gradient(self, mu: Any, start: Any = None) -> np.ndarray:
        """grad Q(mu) = G(psi(x0; mu)), by the joint flow; shape=[..., d]."""
        return self.parametrization(joint_flow(self.parametrization, self.x0, mu))

    def local_cometric(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function w -> dG dG^T at x(w) for an integrator: each lift continues from the last one."""
        G = self.parametrization
        anchor_w: np.ndarray | None = None
        anchor_x: np.ndarray = self._start

        def cometric(w: np.ndarray) -> np.ndarray:
            nonlocal anchor_w, anchor_x
            try:
                if anchor_w is None:
                    anchor_x, anchor_w = self._lifted(w)[0], w.copy()
                direction = w - anchor_w
                x, stop = integrate_batch(
                    lambda s, y: self.parametrization.horizontal_lift(y, direction)[0], anchor_x, 1e-11, 1e-13, 1.0
                )
            except DomainError:
                return np.full((*w.shape, self.dim), np.nan)
            if stop is not None or not np.isfinite(x).all():
                return np.full((*w.shape, self.dim), np.nan)
            x = x + self.parametrization.horizontal_lift(x, w - np.asarray(G._function(x), dtype=float))[0]
            anchor_w, anchor_x = w.copy(), x
            return np.asarray(G.frame(x)[1], dtype=float)

        return cometric

    def _evaluate(self, function: Callable[[Any], Any], w: Any, shape: tuple[int, ...]) -> np.ndarray:
        # a lift that does not arrive is the domain check, and says how far it got: no second lift to ask first
        return np.asarray(function(w), dtype=float)

    def _reachable(self, w: Any) -> np.ndarray:
        w = np.asarray(w, dtype=float)
        flat = w.reshape(-1, self.dim)
        inside = np.zeros(len(flat), dtype=bool)
        for k, point in enumerate(flat):
            try:
                self._lifted(point)
                inside[k] = True
            except DomainError:
                pass
        return inside.reshape(w.shape[:-1])

    def _lifted(self, w: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x(w), mu = grad R(w) and R(w), for a batch, in one solve; the last batch is remembered."""
        w = as_points(w, self.dim, f"point of {self.name}")
        key = w.tobytes() + str(w.shape).encode()
        if self._last is None or self._last[0] != key:
            x, mu, value = self._solve_lift(w.reshape(-1, self.dim), w.shape[:-1])
            shapes = (*w.shape[:-1], self.parametrization.dim), w.shape, w.shape[:-1]
            self._last = key, (x.reshape(shapes[0]), mu.reshape(shapes[1]), value.reshape(shapes[2]))
        x, mu, value = self._last[1]
        return x.copy(), mu.copy(), value.copy()

    def _solve_lift(self, w: np.ndarray, batch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        G, D, d = self.parametrization, self.parametrization.dim, self.dim
        direction = w - self.w0
        state = np.concatenate([np.broadcast_to(self._start, (len(w), D)), np.zeros((len(w), d))], axis=1)
        visited = [state[:, :D]]

        def field(s: float, y: np.ndarray) -> np.ndarray:
            dx, dmu = self.parametrization.horizontal_lift(y[:, :D], direction / 2)
            return np.concatenate([dx, dmu], axis=1)

        for half in range(2):
            state, stop = integrate_batch(field, state, FLOW_RTOL, FLOW_ATOL)
            if stop is not None:
                self._require_good_path(np.concatenate(visited))
                raise self._out_of_reach(w, batch, stop.entry, (half + stop.s) / 2)
            visited.append(state[:, :D])
        self._require_good_path(np.concatenate(visited))
        segment_x, mu = state[:, :D], state[:, D:]
        x, mu, Q = self._polish(w, mu, batch)
        size = np.abs(segment_x).max(-1) + np.abs(segment_x - self._start).max(-1) + 1e-300
        gap = np.abs(x - segment_x).max(-1) / size
        worst = int(np.argmax(gap))
        if not gap[worst] <= PATH_TOL:
            raise NotCommutingError(
                f"lift of {G.name} depends on the path",
                got=f"two lifts of w = {describe(w[worst])} that differ by {gap[worst]:.1e} relative",
                wanted=f"one lift, to {PATH_TOL:.0e}",
                remedy="G does not commute between x0 and there",
                defect=float(gap[worst]),
                point=G._shaped(segment_x[worst]),
                pair=None,
            )
        return x, mu, np.einsum("ni,ni->n", w, mu) - Q

    def _polish(
        self, w: np.ndarray, mu: np.ndarray, batch: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Newton on G(psi(x0; mu)) = w; also Q(mu) = int <G(psi(x0; s mu)), mu> ds."""
        G, D = self.parametrization, self.parametrization.dim
        start = np.concatenate([np.broadcast_to(self._start, (len(w), D)), np.zeros((len(w), 1))], axis=1)
        distance = np.abs(w - self.w0).max(-1)
        scale = np.abs(w).max(-1) + distance + 1e-300
        resolvable = distance > 1e-9 * scale  # at w0 itself mu is 0, and has no relative accuracy
        best: tuple[float, float, Any] = (np.inf, np.inf, None)
        for _ in range(POLISH_STEPS):
            end, stop = integrate_batch(partial(self._joint_rate, mu), start, FLOW_RTOL, FLOW_ATOL)
            if stop is not None:
                break
            x = end[:, :D]
            missing = w - np.asarray(G._function(x), dtype=float)
            # near the boundary a small error of w is a large one of mu: the Newton step tells
            step = self.parametrization.horizontal_lift(x, missing)[1]
            error = float(np.where(resolvable, np.abs(step).max(-1) / (np.abs(mu).max(-1) + 1e-300), 0.0).max())
            improves = error < 0.5 * best[0]
            if error < best[0]:
                best = error, float((np.abs(missing).max(-1) / scale).max()), (x, mu, end[:, D])
            if error <= 1e-14 or not improves:
                break
            mu = mu + step
        require_converged(
            max(best[0] / 100, best[1]),
            LIFT_TOL,
            f"lift of {G.name} to {describe(w[0]) if len(w) == 1 else f'{len(w)} points'}",
            "w is too close to the boundary of the range; move it inside",
        )
        return best[2]

    def _joint_rate(self, mu: np.ndarray, s: float, y: np.ndarray) -> np.ndarray:
        G, D = self.parametrization, self.parametrization.dim
        x = y[:, :D]
        dx = np.einsum("niD,ni->nD", np.asarray(G.differential(x), dtype=float), mu)
        dQ = np.einsum("ni,ni->n", np.asarray(G._function(x), dtype=float), mu)
        return np.concatenate([dx, dQ[:, None]], axis=1)

    def _require_good_path(self, points: np.ndarray) -> None:
        points = self.parametrization._shaped(points)
        self.parametrization.check_regular(points).unwrap()
        self.parametrization.check_commuting(points).unwrap()

    def _out_of_reach(self, w: np.ndarray, batch: tuple[int, ...], entry: int, s: float) -> DomainError:
        index = tuple(int(i) for i in np.unravel_index(entry, batch)) if batch else ()
        reached = self.w0 + s * (w[entry] - self.w0)
        return DomainError(
            f"w outside the range of {self.parametrization.name} from x0",
            got=f"w = {describe(w[entry])}"
            + (f" at batch entry {index}" if index else "")
            + f"; its lift ends at fraction s = {s:.6g} of the segment from G(x0), near w = {describe(reached)}",
            wanted="w that gradient flows from x0 can reach",
            remedy="choose w closer to G(x0), or another x0",
            s=s,
            index=index,
            point=w[entry],
            reached=reached,
        )

    def _hessian_at(self, w: Any) -> np.ndarray:
        return np.linalg.inv(self.parametrization.cometric(self.lift(w)))

    def _third_at(self, w: Any) -> np.ndarray:
        """T_ijk = -H_ia (d_k C_ab) H_bj with the cometric C differentiated along the lift dx/dw_k = grad G^T H e_k."""
        x = self._lifted(w)[0]
        rows, C = self.parametrization.frame(x)
        H = np.linalg.inv(C)
        dC = self.parametrization.derivative_of_cometric(x, np.einsum("...aD,...ak->...kD", rows, H))
        return -np.einsum("...ia,...kab,...bj->...ijk", H, dC, H)
