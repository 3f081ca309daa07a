"""The two motions of a point of M, pushed by a covector and lifted along a curve in w, and the leaf they sweep out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from geoflow._typing import Array, Map
from geoflow._validate import describe, require_converged
from geoflow.errors import DomainError, GeoflowError, NotCommutingError
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, Field, Stop, integrate_batch


def pushed(kernel: MapKernel, mu: Array) -> Map:
    """The velocity x' = sum_i mu_i grad G_i(x) of flat points, for covectors of shape=[N, d]."""
    return lambda x: kernel.pullback(x, mu)


@dataclass(frozen=True)
class Lifted:
    """State of a horizontal lift: flat points, the dual coordinates gained, and the logarithm of a weight.

    Attributes
    ----------
    x : array, shape=[N, D]
    mu : array, shape=[N, d], or None
        None where they are not asked for.
    log_weight : array, shape=[N], or None
    """

    x: Array
    mu: Array | None = None
    log_weight: Array | None = None


def lift_along(
    kernel: MapKernel,
    state: Lifted,
    velocity: Array | Callable[[float], Array],
    one_form: Map | None = None,
    rtol: float = FLOW_RTOL,
    atol: float = FLOW_ATOL,
    first_step: float | None = None,
) -> tuple[Lifted, Stop | None]:
    """Lift a curve w(s), s in [0, 1], horizontally: x' = sum_i mu_i' grad G_i and mu' = e^l C^{-1} w', l' = a(x).w'.

    Parameters
    ----------
    kernel : MapKernel
    state : Lifted
        Where the lift starts; what is None there is not integrated.
    velocity : array, shape=[N, d], or callable
        w', constant or a function of s.
    one_form : callable, optional
        a: flat points to shape=[N, d]; needed with a weight, l = log_weight.
    rtol, atol, first_step
        As for `integrate_batch`.

    Returns
    -------
    state : Lifted
        At s = 1, or where the lift ends.
    stop : Stop, or None
        Why it ends early.
    """
    D, d = kernel.dim, kernel.codomain_dim
    speed = velocity if callable(velocity) else lambda s: velocity

    def rate(s: float, y: Array) -> Array:
        x, way = y[:, :D], speed(s)
        dx, dmu = kernel.horizontal_lift(x, way)
        if state.mu is None:
            return dx
        if state.log_weight is None or one_form is None:
            return np.concatenate([dx, dmu], axis=1)
        slope = np.sum(one_form(x) * way, axis=-1)
        return np.concatenate([dx, np.exp(y[:, D + d :]) * dmu, slope[:, None]], axis=1)

    end, stop = integrate_batch(rate, _joined(state), rtol, atol, first_step)
    return _split(state, end, D, d), stop


def _joined(state: Lifted) -> Array:
    columns = [state.x]
    if state.mu is not None:
        columns.append(state.mu)
        if state.log_weight is not None:
            columns.append(state.log_weight[:, None])
    return np.concatenate(columns, axis=1)


def _split(like: Lifted, y: Array, D: int, d: int) -> Lifted:
    mu = None if like.mu is None else y[:, D : D + d]
    return Lifted(y[:, :D], mu, None if like.log_weight is None else y[:, D + d])


def joint_rate(kernel: MapKernel, mu: Array) -> Field:
    """The joint flow with Q along it: x' = sum_i mu_i grad G_i and Q' = <G(x), mu>, states of shape=[N, D + 1]."""

    def rate(s: float, y: Array) -> Array:
        x = y[:, : kernel.dim]
        dQ = np.einsum("ni,ni->n", kernel.value(x), mu)
        return np.concatenate([kernel.pullback(x, mu), dQ[:, None]], axis=1)

    return rate


LIFT_TOL = 1e-10
PATH_TOL = 1e-6
POLISH_STEPS = 4


@dataclass(frozen=True)
class LeafPoints:
    """Points of a leaf: flat x of shape=[..., D], mu of shape=[..., d], and Q(mu) of shape=[...]."""

    x: Array
    mu: Array
    Q: Array

    def copy(self) -> LeafPoints:
        return LeafPoints(self.x.copy(), self.mu.copy(), self.Q.copy())


class Leaf:
    """{psi(x0; mu)}: the points that joint flows reach from x0, lifted from w by x(w) = psi(x0; mu), G(x(w)) = w.

    Parameters
    ----------
    kernel : MapKernel
    start : array, shape=[D]
        x0, flat.
    watch : callable
        Flat points a lift has passed, shape=[N, D]; it raises where G is not regular or does not commute.
    point_shape : tuple of int
        Shape of a point in errors.
    name : str
        Of the map.
    """

    def __init__(
        self, kernel: MapKernel, start: Array, watch: Callable[[Array], None], point_shape: tuple[int, ...], name: str
    ):
        self.kernel, self.start, self.watch, self.name = kernel, start, watch, name
        self.point_shape = point_shape
        self.w0 = kernel.value(start)
        self._last: tuple[bytes, LeafPoints] | None = None

    def lift(self, w: Array) -> LeafPoints:
        """The points over w, shape=[..., d], in one solve; the last batch is remembered.

        Raises
        ------
        DomainError
            When w is out of reach from x0: carries `s`, how far along the segment from G(x0) the lift got, and `index`.
        NotCommutingError, NotRegularError
            When G fails to commute or to be regular along the lift.
        ConvergenceError
            When w is too close to the boundary of the range.
        """
        key = w.tobytes() + str(w.shape).encode()
        if self._last is None or self._last[0] != key:
            batch = w.shape[:-1]
            flat = self._solve(w.reshape(-1, w.shape[-1]), batch)
            found = LeafPoints(flat.x.reshape(*batch, -1), flat.mu.reshape(w.shape), flat.Q.reshape(batch))
            self._last = key, found
        return self._last[1].copy()

    def lift_or_nan(self, w: Array) -> LeafPoints:
        """The same for a kernel: NaN at the entries that have no lift, and nothing raised."""
        try:
            return self.lift(w)
        except GeoflowError:
            if w.ndim > 1 and len(w) > 1:
                parts = [self.lift_or_nan(p) for p in w]
                return LeafPoints(*(np.stack([getattr(p, name) for p in parts]) for name in ("x", "mu", "Q")))
        return LeafPoints(
            np.full((*w.shape[:-1], self.kernel.dim), np.nan), np.full(w.shape, np.nan), np.full(w.shape[:-1], np.nan)
        )

    def follower(self) -> Callable[[Array], Array]:
        """A function w -> x(w) for an integrator, shape=[N, d] to [N, D]: each lift continues from the last; NaN where
        it ends."""
        kernel = self.kernel
        anchor: tuple[Array, Array] | None = None

        def follow(w: Array) -> Array:
            nonlocal anchor
            if anchor is None:
                found = self.lift_or_nan(w).x
                if not np.isfinite(found).all():
                    return np.full((len(w), kernel.dim), np.nan)
                anchor = w.copy(), found
            state, stop = lift_along(kernel, Lifted(anchor[1]), w - anchor[0], rtol=1e-11, atol=1e-13, first_step=1.0)
            if stop is not None or not np.isfinite(state.x).all():
                return np.full((len(w), kernel.dim), np.nan)
            x = state.x + kernel.horizontal_lift(state.x, w - kernel.value(state.x))[0]
            anchor = w.copy(), x
            return x

        return follow

    def _solve(self, w: Array, batch: tuple[int, ...]) -> LeafPoints:
        D = self.kernel.dim
        direction = w - self.w0
        state = Lifted(np.broadcast_to(self.start, (len(w), D)), np.zeros(w.shape))
        visited = [state.x]
        for half in range(2):
            state, stop = lift_along(self.kernel, state, direction / 2)
            if stop is not None:
                self.watch(np.concatenate(visited))
                raise self._out_of_reach(w, stop.index(batch), stop.entry, (half + stop.s) / 2)
            visited.append(state.x)
        self.watch(np.concatenate(visited))
        assert state.mu is not None
        found = self._polish(w, state.mu)
        size = np.abs(state.x).max(-1) + np.abs(state.x - self.start).max(-1) + 1e-300
        gap = np.abs(found.x - state.x).max(-1) / size
        worst = int(np.argmax(gap))
        if not gap[worst] <= PATH_TOL:
            raise NotCommutingError(
                f"lift of {self.name} depends on the path",
                got=f"two lifts of w = {describe(w[worst])} that differ by {gap[worst]:.1e} relative",
                wanted=f"one lift, to {PATH_TOL:.0e}",
                remedy="G does not commute between x0 and there",
                defect=float(gap[worst]),
                point=state.x[worst].reshape(self.point_shape),
                pair=None,
            )
        return found

    def _polish(self, w: Array, mu: Array) -> LeafPoints:
        """Newton on G(psi(x0; mu)) = w; also Q(mu) = int <G(psi(x0; s mu)), mu> ds."""
        kernel, D = self.kernel, self.kernel.dim
        start = np.concatenate([np.broadcast_to(self.start, (len(w), D)), np.zeros((len(w), 1))], axis=1)
        distance = np.abs(w - self.w0).max(-1)
        scale = np.abs(w).max(-1) + distance + 1e-300
        resolvable = distance > 1e-9 * scale  # at w0 itself mu is 0, and has no relative accuracy
        error, missed, best = np.inf, np.inf, None
        for _ in range(POLISH_STEPS):
            end, stop = integrate_batch(joint_rate(kernel, mu), start, FLOW_RTOL, FLOW_ATOL)
            if stop is not None:
                break
            x = end[:, :D]
            missing = w - kernel.value(x)
            # near the boundary a small error of w is a large one of mu: the Newton step tells
            step = kernel.horizontal_lift(x, missing)[1]
            now = float(np.where(resolvable, np.abs(step).max(-1) / (np.abs(mu).max(-1) + 1e-300), 0.0).max())
            improves = now < 0.5 * error
            if now < error:
                error, missed = now, float((np.abs(missing).max(-1) / scale).max())
                best = LeafPoints(x, mu, end[:, D])
            if now <= 1e-14 or not improves:
                break
            mu = mu + step
        require_converged(
            max(error / 100, missed),
            LIFT_TOL,
            f"lift of {self.name} to {describe(w[0]) if len(w) == 1 else f'{len(w)} points'}",
            "w is too close to the boundary of the range; move it inside",
        )
        assert best is not None
        return best

    def _out_of_reach(self, w: Array, index: tuple[int, ...], entry: int, s: float) -> DomainError:
        reached = self.w0 + s * (w[entry] - self.w0)
        return DomainError(
            f"w outside the range of {self.name} from x0",
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


class LeafKernel(MapKernel):
    """The identity of the leaf's range, in the chart w: gradients are the rows of the cometric C(x(w))."""

    def __init__(self, leaf: Leaf):
        self.leaf, self.dim, self.codomain_dim = leaf, len(leaf.w0), len(leaf.w0)

    def value(self, x: Array) -> Array:
        return x

    def gradients(self, x: Array) -> Array:
        return self.leaf.kernel.cometric(self.leaf.lift_or_nan(np.asarray(x, dtype=float)).x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        C = self.gradients(x)
        return C, C

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        points = self.leaf.lift_or_nan(np.asarray(x, dtype=float)).x
        rows, C = self.leaf.kernel.gradients_and_cometric(points)
        lifts = np.einsum("...aD,...am->...mD", rows, np.linalg.solve(C, np.swapaxes(directions, -1, -2)))
        return self.leaf.kernel.derivative_of_cometric(points, lifts)

    derivative_of_cometric = derivative_of_gradients
