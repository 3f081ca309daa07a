"""The two motions of a point of M, pushed by a covector and lifted along a curve in w, and the leaf they sweep out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, ArrayLike, Map, Mask
from geoflow._validate import describe, require_converged
from geoflow.errors import DomainError, GeoflowError, NotCommutingError
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.batches import inverse_or_nan
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, Field, Stop, integrate_batch


def pushed(kernel: MapKernel, mu: Array) -> Map:
    """The velocity x' = sum_i mu_i grad G_i(x) of flat points, for covectors of shape=[N, d]."""
    return lambda x: kernel.pullback(x, mu)


class Lifted(NamedTuple):
    """State of a horizontal lift: flat points, shape=[N, D], and where they are asked for the dual coordinates gained,
    shape=[N, d], and the logarithm of a weight, shape=[N]."""

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

    What is None in the state is not integrated. `velocity` is w', constant or a function of s, and `one_form` is a,
    flat points to shape=[N, d], needed with l = log_weight. Returns the state at s = 1, or where and why the lift ends.
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

    columns = [state.x, state.mu, None if state.log_weight is None else state.log_weight[:, None]]
    start = np.concatenate([column for column in columns if column is not None], axis=1)
    end, stop = integrate_batch(rate, start, rtol, atol, first_step)
    mu, log_weight = None if state.mu is None else end[:, D : D + d], None if state.log_weight is None else end[:, -1]
    return Lifted(end[:, :D], mu, log_weight), stop


def joint_rate(kernel: MapKernel, mu: Array) -> Field:
    """The joint flow with Q along it: x' = sum_i mu_i grad G_i and Q' = <G(x), mu>, states of shape=[N, D + 1]."""

    def rate(s: float, y: Array) -> Array:
        x = y[:, : kernel.dim]
        dQ = np.einsum("ni,ni->n", kernel.value(x), mu)
        return np.concatenate([kernel.pullback(x, mu), dQ[:, None]], axis=1)

    return rate


LIFT_TOL, PATH_TOL, POLISH_STEPS = 1e-10, 1e-6, 4


class LeafPoints(NamedTuple):
    """Points of a leaf: flat x of shape=[..., D], mu of shape=[..., d], and Q(mu) of shape=[...]."""

    x: Array
    mu: Array
    Q: Array


class Leaf:
    """{psi(x0; mu)}: the points that joint flows reach from x0, lifted from w by x(w) = psi(x0; mu), G(x(w)) = w.

    `start` is x0, flat; `watch` raises where G is not regular or does not commute, at flat points that a lift has
    passed, shape=[N, D]; `point_shape` and `name` are for errors.
    """

    def __init__(
        self, kernel: MapKernel, start: Array, watch: Callable[[Array], None], point_shape: tuple[int, ...], name: str
    ):
        self.kernel, self.start, self.watch, self.point_shape, self.name = kernel, start, watch, point_shape, name
        self.w0 = kernel.value(start)
        self._last: tuple[bytes, LeafPoints] | None = None

    def lift(self, w: Array) -> LeafPoints:
        """The points over w, shape=[..., d], in one solve; the last batch is remembered.

        Raises `DomainError` when w is out of reach from x0, with `s`, how far along the segment from G(x0) the lift
        got, and `index`; what `watch` raises along the lift; `ConvergenceError` too close to the boundary of the range.
        """
        key = w.tobytes() + str(w.shape).encode()
        if self._last is None or self._last[0] != key:
            batch = w.shape[:-1]
            x, mu, Q = self._solve(w.reshape(-1, w.shape[-1]), batch)
            self._last = key, LeafPoints(x.reshape(*batch, -1), mu.reshape(w.shape), Q.reshape(batch))
        return LeafPoints(*(part.copy() for part in self._last[1]))

    def lift_or_nan(self, w: Array) -> LeafPoints:
        """The same for a kernel: NaN at the entries that have no lift, and nothing raised."""
        try:
            with np.errstate(all="ignore"):
                return self.lift(w)
        except (GeoflowError, np.linalg.LinAlgError):
            batch, flat = w.shape[:-1], w.reshape(-1, w.shape[-1])
        if len(flat) > 1:
            x, mu, Q = (np.stack(part) for part in zip(*map(self.lift_or_nan, flat), strict=True))
            return LeafPoints(x.reshape(*batch, -1), mu.reshape(w.shape), Q.reshape(batch))
        return LeafPoints(*(np.full(shape, np.nan) for shape in ((*batch, self.kernel.dim), w.shape, batch)))

    def reaches(self, w: ArrayLike) -> Mask:
        """Which w, shape=[..., d], have a point over them; raises what `watch` raises on the way."""
        w = np.asarray(w, dtype=float)
        inside = np.zeros(w.shape[:-1], dtype=bool)
        for index in np.ndindex(inside.shape):
            with suppress(DomainError):
                self.lift(w[index])
                inside[index] = np.isfinite(w[index]).all()
        return inside

    def follower(self) -> Callable[[Array], Array]:
        """w -> x(w) for an integrator, shape=[N, d] to [N, D]: each lift continues from the last; NaN where it ends."""
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
        start = np.tile(np.append(self.start, 0.0), (len(w), 1))
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
        what = f"lift of {self.name} to {describe(w[0]) if len(w) == 1 else f'{len(w)} points'}"
        remedy = "w is too close to the boundary of the range; move it inside"
        require_converged(max(error / 100, missed), LIFT_TOL, what, remedy)
        assert best is not None
        return best

    def _out_of_reach(self, w: Array, index: tuple[int, ...], entry: int, s: float) -> DomainError:
        reached, place = self.w0 + s * (w[entry] - self.w0), f" at batch entry {index}" if index else ""
        return DomainError(
            f"w outside the range of {self.name} from x0",
            got=f"w = {describe(w[entry])}{place}; its lift ends at fraction s = {s:.6g} of the segment from G(x0), "
            f"near w = {describe(reached)}",
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
        return np.where(np.isfinite(self._over(x)[..., :1]), x, np.nan)

    def jacobian(self, x: Array) -> Array:
        return np.where(np.isfinite(self._over(x)[..., None, :1]), np.eye(self.dim), np.nan)

    def gradients(self, x: Array) -> Array:
        return self.leaf.kernel.cometric(self._over(x))

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        C = self.gradients(x)
        return C, C

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        points = self._over(x)
        rows, C = self.leaf.kernel.gradients_and_cometric(points)
        lifts = np.einsum("...aD,...ab,...mb->...mD", rows, inverse_or_nan(C), directions)
        return self.leaf.kernel.derivative_of_cometric(points, lifts)

    def _over(self, w: Array) -> Array:
        """x(w), the point of the leaf over w, NaN where there is none; shape=[N, D]."""
        return self.leaf.lift_or_nan(np.asarray(w, dtype=float)).x

    derivative_of_cometric = derivative_of_gradients
