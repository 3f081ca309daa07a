"""Lifts of segments in w, by blocks each at a pace of its own; of many segments, along curves that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Index
from geoflow.errors import ConvergenceError
from geoflow.maps.kernel import MapKernel
from geoflow.maps.lifts import LogLike, log_like
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, Stop, integrate_batch
from geoflow.numerics.picard import Rowwise
from geoflow.numerics.steps import step_of_order_eight

#: of a lift of blocks of one output in logarithmic coordinates, whose errors of mu are a digit smaller
SEGMENT_RTOL = 1e-11
#: parameter of a stop up to which what starts at 0 grows beside itself about as fast as what ends there
SURE = 1e-3
#: points up to which every segment is lifted by itself
FEW = 4


class LeafPoints(NamedTuple):
    """Points of a leaf: flat x of shape=[..., D], mu of shape=[..., d], and Q(mu) of shape=[...] or NaN."""

    x: Array
    mu: Array
    Q: Array

    def reshape(self, batch: tuple[int, ...]) -> LeafPoints:
        """The same as a batch of that shape."""
        return LeafPoints(*(part.reshape((*batch, *part.shape[1:])) for part in self))

    def put(self, index: Index, points: tuple[Array, ...]) -> None:
        """Points in their places."""
        for part, new in zip(self, points, strict=True):
            part[index] = new


@dataclass(frozen=True)
class Segment:
    """The lift of the segments from G(x) along a way, by blocks each at a pace of its own.

    w(s) = w0 + tau(s) way, way and start of shape=[N, d] and [N, D], with
    tau(s) = sinh(r s) / sinh(r), where x0 changes by as much as itself over the part 1 / (2 sinh r) of the segment:
    coordinates that are small at x0 grow exponentially in s, whatever their size, and stay smooth. `pace` is r,
    shape=[N, count]. The state is x in its chart, mu and, `with_work`, int <mu, w'>: where blocks have one output, the
    part of every output.
    """

    kernel: MapKernel
    start: Array
    way: Array
    pace: Array
    chart: LogLike | None
    with_work: bool

    @classmethod
    def along(cls, kernel: MapKernel, start: Array, way: Array, with_work: bool) -> Segment:
        """The segments at their paces."""
        blocks = kernel.blocks
        with np.errstate(all="ignore"):
            dx = kernel.horizontal_lift(start, way)[0]
            size = blocks.at_inputs(blocks.largest(start))
            change = blocks.largest(dx / np.where(size > 0, np.maximum(np.abs(start), 1e-3 * size), 1.0))
        pace = np.arcsinh(np.clip(np.nan_to_num(2 * change, nan=0.0), 1e-3, 1e300))
        return cls(kernel, start, way, pace, log_like(kernel, start, pace / 2), with_work)

    def rate(self, s: float | Array, y: Array) -> Array:
        """The velocity of states, at s or at an s of every block, shape=[N, count]."""
        D, d = self.kernel.dim, self.kernel.codomain_dim
        speed = self.pace * np.cosh(self.pace * s) / np.sinh(self.pace)
        x, way = self.point(y), self.way * speed[..., self.kernel.blocks.of_output]
        dx, dmu = self.kernel.horizontal_lift(x, way)
        parts = [dx if self.chart is None else self.chart.rate(x, dx), dmu]
        if self.with_work:
            parts.append(self._work(y[:, D : D + d], way))
        return np.concatenate(parts, axis=1)

    def end(
        self, from_nothing: bool = False, passing: Callable[[float, Array], None] | None = None
    ) -> tuple[Array, list[Array], Stop | None]:
        """The states at the end, flat points passed on the way, and where a lift ends before; `passing` sees each step.

        `from_nothing`, mu and R are right to all their digits, however short the way. R grows faster than mu: without
        it the steps are longer.
        """
        kernel, x = self.kernel, self.start
        y = self.at_start
        simple = kernel.grows_alone or from_nothing
        rtol = FLOW_RTOL if self.chart is None else SEGMENT_RTOL
        atol = rtol * self._sizes(self.rate(0.0, y)) if simple else FLOW_ATOL
        visited = [x]

        def passed(s: float, y: Array) -> None:
            if len(visited) == 1 and s >= 0.5:
                visited.append(self.point(y))
            if passing is not None:
                passing(s, y)

        # whoever looks at every step goes on from there by steps as short
        rate = self.rate if passing is not None else self._rowwise
        end, stop = integrate_batch(rate, y, rtol, atol, entries=y.size if simple else None, passing=passed)
        if stop is None:
            visited.append(self.point(end))
        return end, visited, stop

    @property
    def _rowwise(self) -> Rowwise:
        """The velocity of states that are several to a segment."""

        def rate(s: float | Array, y: Array, way: Array, pace: Array, *width: Array) -> Array:
            return replace(self, way=way, pace=pace, chart=LogLike(*width) if width else None).rate(s, y)

        return Rowwise(rate, self.way, self.pace, *(() if self.chart is None else (self.chart.width,)))

    @property
    def at_start(self) -> Array:
        """The states at s = 0."""
        x, d = self.start, self.way.shape[1]
        more = d + (self._work(self.way, self.way).shape[1] if self.with_work else 0)
        return np.concatenate([x if self.chart is None else self.chart.of(x), np.zeros((len(x), more))], axis=1)

    def points(self, y: Array, w: Array) -> LeafPoints:
        """The points of states that lie over w, shape=[N, d]; Q = <w, mu> - R."""
        D, d = self.kernel.dim, self.kernel.codomain_dim
        mu = y[:, D : D + d]
        R = y[:, D + d :].sum(axis=1) if self.with_work else np.full(len(y), np.nan)
        return LeafPoints(self.point(y), mu, np.einsum("ni,ni->n", w, mu) - R)

    def point(self, y: Array) -> Array:
        """The flat points of states, shape=[..., D]."""
        x = y[..., : self.kernel.dim]
        return x if self.chart is None else self.chart.point(x)

    def culprit(self, stop: Stop) -> tuple[int, float]:
        """The block that ends a lift, and how far along its segment it has come."""
        y = stop.state
        with np.errstate(all="ignore"):
            x, dx = self.point(y), self.rate(stop.s, y)[:, : self.kernel.dim]
            speed = dx[stop.entry] / (1.0 if self.chart is not None else np.abs(x[stop.entry]) + 1e-300)
        block = int(np.argmax(np.nan_to_num(self.kernel.blocks.largest(speed), nan=np.inf)))
        pace = self.pace[stop.entry, block]
        return block, float(np.sinh(pace * stop.s) / np.sinh(pace))

    def _work(self, mu: Array, way: Array) -> Array:
        """<mu, way>, shape=[N, 1], or mu_i way_i where outputs share no input, shape=[N, d]."""
        return mu * way if self.kernel.grows_alone else np.einsum("ni,ni->n", mu, way)[:, None]

    def _sizes(self, rate: Array) -> Array:
        """What is small of every component of the state: beside x as it starts, and mu and R as they set out."""
        D, d = self.kernel.dim, self.kernel.codomain_dim
        blocks = self.kernel.blocks
        size = blocks.at_inputs(blocks.largest(self.start))
        if self.chart is not None:
            # an error of a logarithm is a relative one, and its zero is of no importance
            size = np.where(size > self.chart.width, 1e4, size / self.chart.width)
        size = np.where(size > 0, size, 1e2 * np.abs(rate[:, :D]))  # what starts at 0, and where it goes
        dmu = np.abs(rate[:, D : D + d])
        parts = [1e-4 * size, 1e-4 * dmu]
        if self.with_work:
            setting_out = (self.pace / np.sinh(self.pace))[..., blocks.of_output] * np.abs(self.way)
            parts.append(1e-4 * self._work(dmu, setting_out))
        return np.maximum(np.concatenate(parts, axis=1), 1e-290)


class CurveEnd(NamedTuple):
    """Where the curve of an output ends, on the side 0 of larger w or 1 of smaller: how far from w0."""

    side: int
    output: int
    way: float


class Curves:
    """The leaf of a map whose blocks have one output each: a curve for every block, from x0 to both sides.

    Two lifts, to the largest and to the least of the w asked for, pass states from which each w is one step away that
    is no longer than the one taken: so many points cost two lifts and one step of order eight.

    Attributes
    ----------
    visited : array, shape=[m, D]
        Flat points of the leaf: where the curves begin, pass, and end.
    """

    def __init__(self, segment: Segment, w0: Array, places: list[float], states: list[Array]):
        self._segment, self._w0 = segment, w0
        self._places, self._states = np.array(places), np.stack(states)
        some = self._states[[0, len(places) // 2, -1]]
        self.visited = segment.point(some).reshape(-1, segment.kernel.dim)

    @classmethod
    def over(cls, kernel: MapKernel, start: Array, w: Array, with_work: bool) -> Curves | CurveEnd | None:
        """Those over all w, shape=[N, d], from one x0, shape=[D], or where one ends before; None without curves."""
        if not kernel.grows_alone or len(w) <= FEW or not np.isfinite(w).all():
            return None
        w0 = kernel.value(start)
        way = np.stack([np.maximum(w.max(axis=0), w0) - w0, np.minimum(w.min(axis=0), w0) - w0])
        segment = Segment.along(kernel, np.broadcast_to(start, (2, kernel.dim)), way, with_work)
        places, states = [0.0], [segment.at_start]

        def passing(s: float, y: Array) -> None:
            places.append(s)
            states.append(y.copy())

        try:
            stop = segment.end(passing=passing)[2]
        except ConvergenceError:
            return None
        if stop is None:
            return cls(segment, w0, places, states)
        if stop.s <= SURE:
            return None
        block, part = segment.culprit(stop)
        output = int(np.argsort(kernel.blocks.of_output)[block])
        return CurveEnd(stop.entry, output, part * float(abs(way[stop.entry, output])))

    def lift(self, w: Array) -> tuple[Array, Array, Array]:
        """x, mu, and R of every output, at the points over w: shape=[N, D], [N, d] and [N, d], or [N, 0] without R."""
        blocks, way = self._segment.kernel.blocks, w - self._w0
        side = (way < 0).astype(int)
        here, output = self._on(side), np.argsort(blocks.of_output)  # the one output of every block
        with np.errstate(all="ignore"):
            tau = np.where(here.way != 0, way / here.way, 0.0)[:, output]
        s = np.minimum(np.arcsinh(tau * np.sinh(here.pace)) / here.pace, 1.0)
        node = np.searchsorted(self._places, s, side="right") - 1
        begin, columns = self._places[node], np.arange(self._states.shape[2])
        y = self._states[self._columns(node), self._columns(side[:, output]), columns]
        length = s - begin
        scale = self._columns(length)
        end, _ = step_of_order_eight(lambda part, y: scale * here.rate(begin + part * length, y), y)
        D = blocks.dim
        return here.point(end), end[:, D : D + blocks.codomain_dim], end[:, D + blocks.codomain_dim :]

    def _on(self, side: Index) -> Segment:
        """The segments of every point, on these sides of w0, shape=[N, d]."""
        segment, blocks = self._segment, self._segment.kernel.blocks
        at_blocks = side[:, np.argsort(blocks.of_output)]
        pace = segment.pace[at_blocks, np.arange(blocks.count)]
        chart = segment.chart
        if chart is not None:
            chart = LogLike(chart.width[self._columns(at_blocks)[:, : blocks.dim], np.arange(blocks.dim)])
        start = np.broadcast_to(segment.start[:1], (len(side), blocks.dim))
        return replace(segment, start=start, way=segment.way[side, np.arange(side.shape[1])], pace=pace, chart=chart)

    def _columns(self, per_block: Array | Index) -> Array:
        """A number of every block, shape=[N, count], at the components of the state that are its own."""
        blocks, output = self._segment.kernel.blocks, per_block[:, self._segment.kernel.blocks.of_output]
        inputs = per_block[:, np.maximum(blocks.of_input, 0)]
        return np.concatenate([inputs, output, output] if self._segment.with_work else [inputs, output], axis=1)
