"""The leaf of a commuting map through a point: points x(w) = psi(x0; mu) by lifting w, and by moving with mu."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index, Mask
from geoflow._validate import describe, require_converged
from geoflow.errors import DomainError, GeoflowError, NotCommutingError, UserCodeError
from geoflow.maps.alike import Alike
from geoflow.maps.kernel import MapKernel
from geoflow.maps.lifts import joint_rate, lift_nearby
from geoflow.maps.movers import LeafMover
from geoflow.maps.segments import SURE, Curves, LeafPoints, Segment
from geoflow.numerics.batches import in_slices, inverse_or_nan
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, integrate_batch

LIFT_TOL, PATH_TOL, POLISH_STEPS, REMEMBERED = 1e-10, 1e-6, 4, 2
#: part of a segment up to its end from which a lift goes on along a segment of its own, and how many times: one
#: resolves thirteen decades of the way to a boundary
RESOLVED, AGAIN = 1e-6, 3
#: error of mu beside mu, from the rounding of w, from which w is the boundary of the range
UNTOLD = 0.1
#: a way from w0, beside |w|, of which mu keeps digits that w itself does not have; the largest |log x|, about
NEAR_START, LOG_OF_X = 1e-3, 40
EPS = float(np.finfo(float).eps)
#: entries of x and mu that are lifted at once: arrays that stay in the cache
AT_ONCE = 2**13


class Leaf(Portable):
    """{psi(x0; mu)}: the points that joint flows reach from x0, lifted from w by x(w) = psi(x0; mu), G(x(w)) = w.

    Where it is `fibred`, lifts to w come to many points, and x(w) is one of them.

    `start` is x0, flat; `watch` raises where G is not regular or does not commute, at flat points that a lift has
    passed, shape=[N, D]; `point_shape` and `name` are for errors.
    """

    fibred = False

    def __init__(
        self, kernel: MapKernel, start: Array, watch: Callable[[Array], None], point_shape: tuple[int, ...], name: str
    ):
        self.kernel, self.start, self.watch, self.point_shape, self.name = kernel, start, watch, point_shape, name
        kernel.fresh()
        self.w0 = kernel.value(start)
        self._last: dict[bytes, LeafPoints] = {}
        #: how far from w0 the curve of each output goes, to larger and to smaller w, where ends of curves are known
        self._ends: Array | None = None

    def lift(self, w: Array, with_Q: bool = False) -> LeafPoints:
        """The points over w, shape=[..., d], in one solve a slice; the last two batches are remembered.

        Raises `DomainError` when w is out of reach from x0, with `s`, how far along the segment from G(x0) the lift
        got, and `index`, and when w is the boundary of the range to rounding, so that it does not tell mu; what `watch`
        raises along the lift; `ConvergenceError` too close to the boundary of the range.
        """
        found = self._lift_or_untold(w, with_Q)
        for entry in np.argwhere(np.isnan(found.mu).any(axis=-1))[:1]:
            raise self._untold(w, tuple(int(i) for i in entry))
        return found

    def _lift_or_untold(self, w: Array, with_Q: bool) -> LeafPoints:
        """The same, NaN where w is the boundary of the range to rounding."""
        key = w.tobytes() + str(w.shape).encode()
        if key not in self._last or (with_Q and np.isnan(self._last[key].Q).any()):
            batch, flat = w.shape[:-1], w.reshape(-1, w.shape[-1])
            size, found = self.kernel.dim + self.kernel.codomain_dim, self._missing(len(flat))
            curves, near = self._curves(flat, batch, with_Q)
            for index, shared in ((np.flatnonzero(~near), curves), (np.flatnonzero(near), None)):
                if len(index):
                    solve = partial(self._solve, with_Q, batch, shared)
                    found.put(index, in_slices(solve, size, flat[index], index, at_once=AT_ONCE))
            self._last[key] = found.reshape(batch)
            while len(self._last) > REMEMBERED:
                del self._last[next(iter(self._last))]
        return LeafPoints(*(part.copy() for part in self._last[key]))

    def lift_or_nan(self, w: Array, with_Q: bool = False) -> LeafPoints:
        """The same for a kernel: NaN at the entries that have no lift, and nothing raised."""
        return self._lift_each(w, with_Q, (GeoflowError, np.linalg.LinAlgError))

    def _lift_each(self, w: Array, with_Q: bool, caught: tuple[type[Exception], ...]) -> LeafPoints:
        """NaN at the entries whose lift raises what is `caught`: where not all can be lifted, halves of them are."""
        batch, flat = w.shape[:-1], w.reshape(-1, w.shape[-1])
        rest = np.flatnonzero(~self._beyond(flat))
        parts = [rest]
        if len(rest) == len(flat):
            try:
                with np.errstate(all="ignore"):
                    return self._lift_or_untold(w, with_Q)
            except UserCodeError:
                raise
            except caught:
                parts = [rest] if self._beyond(flat).any() else np.array_split(rest, 2) if len(flat) > 1 else []
        found = self._missing(len(flat))
        for part in parts:
            if len(part):
                found.put(part, self._lift_each(flat[part], with_Q, caught))
        return found.reshape(batch)

    def _missing(self, n: int) -> LeafPoints:
        """So many points, NaN yet."""
        return LeafPoints(*(np.full((n, *size), np.nan) for size in ((self.kernel.dim,), self.w0.shape, ())))

    def divergence(self, x: Array, w: Array, way: Array) -> Array:
        """D_R(w, v) to all digits of the way w - v, for the points of the leaf over v; shape=[N], NaN out of reach.

        It is the function induced from x itself, int <mu, way> by the lift of the segment, mu from 0.
        """
        end, visited, stop = Segment.along(self.kernel, x, way, with_work=True).end(from_nothing=True)
        self.watch(np.concatenate(visited))
        R = end[:, self.kernel.dim + self.kernel.codomain_dim :].sum(axis=1)
        return R if stop is None else np.full(len(w), np.nan)

    def reaches(self, w: ArrayLike) -> Mask:
        """Which w, shape=[..., d], have a point over them; raises what `watch` raises on the way."""
        w = np.asarray(w, dtype=float)
        inside = np.isfinite(w).all(axis=-1)
        if inside.all():
            return np.asarray(np.isfinite(self._lift_each(w, False, (DomainError,)).x).all(axis=-1))
        inside[inside] = self.reaches(w[inside])
        return inside

    def follower(self) -> Callable[[Array], Array]:
        """w -> x(w) for an integrator, shape=[N, d] to [N, D]: each lift continues from the last; NaN where it ends."""
        last: list[Array] = []

        def follow(w: Array) -> Array:
            x = lift_nearby(self.kernel, last[0], w, 1e-11, 1e-13) if last else self.lift_or_nan(w).x
            if not np.isfinite(x).all():
                return np.full(x.shape, np.nan)
            last[:] = [x]
            return x

        return follow

    def mover(self, w: Array) -> LeafMover:
        """The points over w, shape=[N, d], to be moved with their dual coordinates."""
        return LeafMover(self.kernel, self.start, self.lift(w))

    @cached_property
    def alike(self) -> Alike | None:
        """One block of each kind, where many blocks are one function from one start."""
        return Alike.of(self.kernel, self.start)

    # one solve ------------------------------------------------------------------------------------------------------

    def _curves(
        self, w: Array, batch: tuple[int, ...], with_Q: bool
    ) -> tuple[Callable[[Array], LeafPoints] | None, Mask]:
        """The points over any of w, shape=[N, d], on curves of the blocks, None where there are no such curves; and
        which w are too near the end of one for that.

        Where a curve ends is remembered; the first w that lies beyond an end is lifted by itself, and raises.
        """
        kernel, start = (self.kernel, self.start) if self.alike is None else (self.alike.kernel, self.alike.start)
        near = self._beyond(w, near=True)
        while not (beyond := self._beyond(w)).any():
            curves = Curves.over(kernel, start, self._alike(w[~near]), with_Q)
            if isinstance(curves, Curves):
                self.watch(curves.visited if self.alike is None else self.alike.points_of(curves.visited))
                return partial(self._on_curves, curves, with_Q), near
            if curves is None:
                return None, near
            self._ends_at(*curves)
            before, near = near, self._beyond(w, near=True)
            if np.array_equal(near, before):
                return None, near
        first = np.flatnonzero(beyond)[:1]
        self._solve(False, batch, None, w[first], first)
        self._ends = None  # no end, after all
        return None, np.zeros(len(w), dtype=bool)

    def _on_curves(self, curves: Curves, with_Q: bool, w: Array) -> LeafPoints:
        """The points over w, shape=[N, d], on curves of all blocks, or of one of each kind."""
        x, mu, R = curves.lift(self._alike(w))
        if self.alike is not None:
            x, mu, R = self.alike.scatter_points(x), self.alike.scatter(mu), self.alike.scatter(R) if with_Q else R
        return LeafPoints(x, mu, np.einsum("ni,ni->n", w, mu) - (R.sum(axis=1) if with_Q else np.nan))

    def _alike(self, w: Array) -> Array:
        """Numbers of all outputs, shape=[N, d], at those of one of each kind."""
        return w if self.alike is None else self.alike.gather(w)

    def _ends_at(self, side: int, column: int, way: float) -> None:
        """Remember that the curve of an output, or of one kind of them, ends that far from w0."""
        size = self.kernel.codomain_dim if self.alike is None else self.alike.kernel.codomain_dim
        self._ends = np.full((2, size), np.inf) if self._ends is None else self._ends.copy()
        self._ends[side, column] = way

    def _beyond(self, w: Array, near: bool = False) -> Mask:
        """Which w, shape=[N, d], lie beyond an end of a curve that is known, or near it or beyond."""
        if self._ends is None or not len(w):
            return np.zeros(len(w), dtype=bool)
        way, part = self._alike(w - self.w0), 1 + RESOLVED if near else 1 - RESOLVED
        beyond = part * np.abs(way) > np.where(way < 0, self._ends[1], self._ends[0])
        return np.asarray(beyond.reshape(len(w), -1).any(axis=1))

    def _solve(
        self, with_Q: bool, batch: tuple[int, ...], curves: Callable[[Array], LeafPoints] | None, w: Array, index: Index
    ) -> LeafPoints:
        """The points over w, shape=[N, d], which are these entries of a batch.

        Blocks of one output need no more than the lift: their leaves are curves.
        """
        if curves is not None:
            found = curves(w)
            self.watch(found.x)
            return self._corrected(w, found)
        start, alone = np.broadcast_to(self.start, (len(w), self.kernel.dim)), self.kernel.blocks.width == 1
        found = self._lifted(start, w, w - self.w0, with_Q and alone, (index, batch))
        return self._corrected(w, found) if alone else self._settled(w, found)

    def _settled(self, w: Array, found: LeafPoints) -> LeafPoints:
        """The points at polished mu, which are those that the lift came to."""
        polished = self._polish(w, found.mu)
        size = np.abs(found.x).max(-1) + np.abs(found.x - self.start).max(-1) + 1e-300
        gap = np.maximum(np.abs(polished.x - found.x).max(-1) - self._rounding, 0.0)
        self._require_path_independence(w, found.x, gap / size)
        return polished

    @property
    def _rounding(self) -> float:
        """Of x on an M that has an extent of its own, however close to 0."""
        return 16 * EPS * self.kernel.extent

    def _require_path_independence(self, w: Array, x: Array, gap: Array) -> None:
        """`NotCommutingError` where two lifts to w, shape=[N, d], differ, the gap of shape=[N] relative."""
        worst = int(np.argmax(gap))
        if not gap[worst] <= PATH_TOL:
            raise NotCommutingError(
                f"lift of {self.name} depends on the path",
                got=f"two lifts of w = {describe(w[worst])} that differ by {gap[worst]:.1e} relative",
                wanted=f"one lift, to {PATH_TOL:.0e}",
                remedy="G does not commute between x0 and there",
                defect=float(gap[worst]),
                point=x[worst].reshape(self.point_shape),
                pair=None,
            )

    def _lifted(
        self, x: Array, w: Array, way: Array, with_Q: bool, place: tuple[Index, tuple[int, ...]],
        done: float = 0.0, again: int = AGAIN,
    ) -> LeafPoints:  # fmt: skip
        """The ends of lifts along segments to w from flat points, with mu and Q from there on.

        Towards a boundary the length of a segment resolves no more than its rounding: what is left is a segment anew.
        """
        segment = Segment.along(self.kernel, x, way, with_Q)
        end, visited, stop = segment.end()
        self.watch(np.concatenate(visited))
        if stop is None:
            return segment.points(end, w)
        block, part = segment.culprit(stop)
        if part < 1 - RESOLVED or not again:
            s = done + (1 - done) * part
            if self.kernel.grows_alone and stop.s > SURE:
                output, way = int(np.argsort(self.kernel.blocks.of_output)[block]), s * (w[stop.entry] - self.w0)
                column = output if self.alike is None else self.alike.column(output)
                self._ends_at(int(way[output] < 0), column, abs(float(way[output])))
            raise self._out_of_reach(w[stop.entry], stop.index(place[1], place[0]), s)
        at = segment.point(stop.state)
        there = self.kernel.value(at)
        first = segment.points(stop.state, there)
        rest = self._lifted(at, w, w - there, with_Q, place, done + (1 - done) * part, again - 1)
        return LeafPoints(rest.x, first.mu + rest.mu, first.Q + rest.Q)

    def _corrected(self, w: Array, found: LeafPoints) -> LeafPoints:
        """One Newton step, along the leaf, for what G(x) misses of w; the error left is the square of its size.

        NaN at a w that is the boundary of the range to rounding: it tells not one digit of mu.
        """
        kernel, blocks = self.kernel, self.kernel.blocks
        # what x resolves of w is |grad G_i| |x| times rounding: less than that is not missed, and mends nothing
        squared = blocks.sums(kernel.block_rows(found.x)[0][:, 0] ** 2)[:, blocks.of_output]
        reach = np.sqrt(squared) * blocks.largest(found.x)[:, blocks.of_output]
        rounding = EPS * (np.abs(w) + reach)
        resolution, near = 8 * rounding, np.abs(w - self.w0) <= NEAR_START / EPS * rounding
        missing = w - kernel.value(found.x)
        missing = np.where(np.abs(missing) <= np.where(near, resolution, rounding), 0.0, missing)
        dx, dmu = kernel.horizontal_lift(found.x, missing)
        # rounding of log x, in which it was lifted, G(x) misses and mu does not; near w0, no rounding at all
        dmu = np.where(np.abs(missing) <= np.where(near, 16 * resolution, LOG_OF_X * EPS * reach), 0.0, dmu)
        x, mu = found.x + dx, found.mu + dmu
        untold = (rounding > UNTOLD * np.abs(mu) * squared) & (np.abs(w - self.w0) > 16 * resolution)
        told = ~untold.any(axis=-1)
        if not told.all():
            points, rest = self._missing(len(w)), np.flatnonzero(told)
            if len(rest):
                points.put(rest, self._corrected(w[rest], LeafPoints(*(part[rest] for part in found))))
            return points
        left = np.maximum(np.abs(w - kernel.value(x)) - resolution, 0.0)
        defect = (left / (np.abs(w) + np.abs(w - self.w0) + 1e-300)).max(initial=0.0)
        moved = (np.abs(dmu) / (np.abs(mu) + resolution / squared + 1e-300)).max(initial=0.0)
        if not max(defect, moved**2) <= LIFT_TOL:  # towards a boundary w resolves mu ill, and mu resolves w well
            return self._polish(w, mu)
        return LeafPoints(x, mu, found.Q + np.einsum("ni,ni->n", w, dmu))

    @np.errstate(all="ignore")  # what is not finite converges to nothing
    def _polish(self, w: Array, mu: Array) -> LeafPoints:
        """Newton on G(psi(x0; mu)) = w; also Q(mu) = int <G(psi(x0; s mu)), mu> ds."""
        kernel, D = self.kernel, self.kernel.dim
        start = np.tile(np.append(self.start, 0.0), (len(w), 1))
        # in units of the outputs, each of its own
        units = np.sqrt(np.einsum("...ii->...i", kernel.cometric(self.start[None])[0]))
        units = np.where(units > 0, units, 1.0)
        distance = (np.abs(w - self.w0) / units).max(-1)
        scale = (np.abs(w) / units).max(-1) + distance + 1e-300
        # at w0 itself mu is 0, and has no relative accuracy
        resolvable = distance > np.maximum(1e-9 * scale, self._rounding / (100 * LIFT_TOL))
        error, missed, best = np.inf, np.inf, None
        for _ in range(POLISH_STEPS):
            end, stop = integrate_batch(joint_rate(kernel, mu), start, FLOW_RTOL, FLOW_ATOL)
            if stop is not None:
                break
            x = end[:, :D]
            missing = w - kernel.value(x)
            # near the boundary a small error of w is a large one of mu: the Newton step tells
            step = kernel.horizontal_lift(x, missing)[1]
            size = (np.abs(mu) * units).max(-1) + 1e-300
            now = float(np.where(resolvable, (np.abs(step) * units).max(-1) / size, 0.0).max())
            improves = now < 0.5 * error
            if now < error:
                left = np.maximum((np.abs(missing) / units).max(-1) - self._rounding, 0.0)
                error, missed = now, float((left / scale).max())
                best = LeafPoints(x, mu, end[:, D])
            if now <= 1e-14 or not improves:
                break
            mu = mu + step
        remedy = "w is too close to the boundary of the range; move it inside"
        what = f"lift of {self.name} to {self._described(w)}"
        require_converged(max(error / 100, missed), LIFT_TOL, what, remedy)
        assert best is not None
        return best

    def _described(self, w: Array) -> str:
        return describe(w[0]) if len(w) == 1 else f"{len(w)} points"

    def _out_of_reach(self, w: Array, index: tuple[int, ...], s: float) -> DomainError:
        reached = self.w0 + s * (w - self.w0)
        return DomainError(
            f"w outside the range of {self.name} from x0",
            got=f"w = {describe(w)}{_place(index)}; its lift ends at fraction s = {s:.6g} of the segment from G(x0), "
            f"near w = {describe(reached)}",
            wanted="w that gradient flows from x0 can reach",
            remedy="choose w closer to G(x0), or another x0", s=s, index=index, point=w, reached=reached,
        )  # fmt: skip

    def _untold(self, w: Array, index: tuple[int, ...]) -> DomainError:
        digits = np.array2string(w[index], precision=17, threshold=8)
        return DomainError(
            f"w on the boundary of the range of {self.name} from x0, to rounding",
            got=f"w = {digits}{_place(index)}, whose last digit is worth more than {UNTOLD:g} of its dual coordinate",
            wanted="w whose digits tell mu",
            remedy="move w inside, or go on from mu itself, which a flow has beside w",
            s=1.0, index=index, point=w[index], reached=w[index],
        )  # fmt: skip


def _place(index: tuple[int, ...]) -> str:
    return f" at batch entry {index}" if index else ""


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
