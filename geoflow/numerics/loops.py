"""Flows compiled by the jax engine: one loop of diffrax over output times, for a batch of starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow.numerics.engine import Point, double, load, over, padded, padded_size
from geoflow.numerics.runs import BLOW_UP

#: steps of one compiled loop, and numbers of the states of one, few enough for the stages of a step to stay in cache
MAX_STEPS, BLOCK = 16384, 4096


class CompiledFlow:
    """y' = rhs(t, y, data) from time 0, compiled: diffrax's Dopri8 over output times, for a batch of starts.

    At one point y has shape=[k], and `observe`, (t, y, data) to a tuple of arrays, is what is told of it at the output
    times. `data` is a tuple of arrays that may change from call to call. On a CPU the batch is integrated in blocks,
    each with one step size that meets the tolerances in every entry of the block: in the mean over its numbers or, with
    so many `first` ones, over those and over the others.
    """

    def __init__(self, rhs: Point, observe: Point, first: int | None = None):
        self._rhs, self._observe, self._first = rhs, observe, first
        self._solve = load().jit(self._solve_blocks)

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledFlow, (self._rhs, self._observe, self._first)

    def __call__(
        self, start: Array, times: Array, end: float, data: tuple[Array, ...], tolerances: tuple[float, float]
    ) -> tuple[tuple[Array, ...], int, bool]:
        """What is observed at increasing times and at `end`, shape=[n_times + 1, N, ...], evaluations, and success.

        At time 0 and at `end` a state is one of the integration's own, and between them it is interpolated.
        """
        jax, (N, k), inner = load(), start.shape, times[times > 0]
        largest = 1 << max((BLOCK // k).bit_length() - 1, 0) if jax.default_backend() == "cpu" else N
        size = padded_size(N) if largest >= N else largest
        blocks = padded_size(-(-N // size))
        at = padded(inner, padded_size(len(inner)), end) if len(inner) else inner
        rows = padded(np.asarray(start, dtype=float), blocks * size).reshape(blocks, size, k)
        with double():
            seen, steps, ended_well = self._solve(rows, at, float(end), tuple(data), tolerances)
            values, steps, ended_well = [np.asarray(v) for v in seen], np.asarray(steps), np.asarray(ended_well)
        told = tuple(_joined(v, len(times) - len(inner), len(inner), N) for v in values)
        return told, 13 * int(steps.sum()), bool(ended_well.all())

    def _solve_blocks(self, rows: Any, times: Any, end: Any, data: Any, tolerances: Any) -> Any:
        jax = load()
        if len(rows) == 1:
            return jax.tree.map(lambda v: v[None], self._solve_block(rows[0], times, end, data, tolerances))
        return jax.lax.map(lambda y: self._solve_block(y, times, end, data, tolerances), rows)

    def _solve_block(self, start: Any, times: Any, end: Any, data: Any, tolerances: Any) -> Any:
        jax, diffrax = load(), load("diffrax")
        jnp, (rtol, atol) = jax.numpy, tolerances

        def worst(error: Any) -> Any:
            split = [] if self._first is None else [self._first]
            parts = [part for part in jnp.split(error, split, axis=-1) if part.size]
            norm = jnp.sqrt(jnp.max(jnp.stack([jnp.max(jnp.mean(part**2, axis=-1)) for part in parts])))
            return jnp.where(jnp.isnan(norm), jnp.inf, norm)

        def velocity(t: Any, y: Any, data: Any) -> Any:
            return self._rhs(t, y[0], data)[None] if len(y) == 1 else over(self._rhs, None, 0, None)(t, y, data)

        # the start and the end of the last step are saved as they are, and cost nothing
        between = [diffrax.SubSaveAt(ts=times)] if len(times) else []
        save = [diffrax.SubSaveAt(t0=True), *between, diffrax.SubSaveAt(t1=True)]
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity), diffrax.Dopri8(), 0.0, end, None, start, data,
            saveat=diffrax.SaveAt(subs=save), max_steps=MAX_STEPS, throw=False,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, norm=worst, dtmin=1e-15 * end),
        )  # fmt: skip
        at, states = jnp.concatenate([jnp.zeros(1), times, jnp.full(1, end)]), jnp.concatenate(found.ys)
        seen = over(over(self._observe, None, 0, None), 0, 0, None)(at, states, data)
        bounded = jnp.all(jnp.abs(states) <= BLOW_UP * (1 + jnp.max(jnp.abs(start))))
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(v)) for v in jax.tree.leaves(seen)]))
        return seen, found.stats["num_steps"], (found.result == diffrax.RESULTS.successful) & bounded & finite


def _joined(blocks: Array, n_starts: int, n_inner: int, N: int) -> Array:
    """[block, time, entry, ...], padded in all three, to [time, point, ...]: the start so many times, the end last."""
    size = blocks.shape[2]
    joined = np.empty((n_starts + n_inner + 1, N, *blocks.shape[3:]))
    for b, first in enumerate(range(0, N, size)):
        many = min(size, N - first)
        block, into = blocks[b, :, :many], joined[:, first : first + many]
        into[:n_starts], into[n_starts:-1], into[-1] = block[0], block[1 : n_inner + 1], block[-1]
    return joined
