"""How a descent goes on: its steps, its noise, its minibatches, and where it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from geoflow._typing import Array, ArrayLike, Index
from geoflow._usercode import guarded, takes_second
from geoflow._validate import LARGEST, as_count, as_finite, as_options, describe
from geoflow.errors import ArgumentError, ShapeError
from geoflow.flows.links import LinkLoss
from geoflow.flows.losses import LeastSquares, LinearModelLoss, LogisticLoss, Loss, PointwiseLoss
from geoflow.flows.until import Until, as_until

Step = float | ArrayLike | Callable[[int], float]
Noise = Callable[[int], ArrayLike] | Callable[[int, Array], ArrayLike]


class DescentOptions(TypedDict, total=False):
    """The keywords of descents, beside those they name."""

    batch: int | None
    rng: int | np.random.Generator
    until: Until | None


@dataclass(frozen=True)
class _Options:
    batch: int | None = None
    rng: int | np.random.Generator | None = None
    until: Until | None = None


@dataclass(frozen=True)
class Plan:
    """A loss, what is added to its gradient at (k, w), the rows of every step, and what it stops at.

    A change of w is that of so many steps: a pass over all rows, where there are batches.
    """

    loss: PointwiseLoss
    noise: Callable[[int, Array], ArrayLike] | None
    rows: Iterator[Index] | None
    until: dict[str, float]
    words: str
    pass_steps: int = 1

    @classmethod
    def of(cls, name: str, loss: Loss, dim: int, noise: Noise | None, check: bool, given: DescentOptions) -> Plan:
        """The plan of the function `name`, a descent in R^dim, from what a user gives."""
        options = as_options(_Options, given, name)
        pointwise, words = PointwiseLoss(loss, dim, check), ""
        rows = _batches(loss, options.batch, options.rng)
        steps = 1
        if options.batch is not None and isinstance(loss, LinearModelLoss):
            words, steps = f", batches of {options.batch}", -(-len(loss.y) // options.batch)
        return cls(pointwise, _noise(noise), rows, as_until(options.until), words, steps)

    def force(self, k: int, w: Array, t: float) -> Array:
        """-(grad L(w) + xi), shape=[d], with the gradient of the rows of the step where it has some."""
        if self.rows is None:
            gradient = self.loss.gradient(w[None], t)[0]
        else:
            gradient = _gradient_on(self.loss.loss, next(self.rows), w)
        if self.noise is None:
            return -gradient
        xi = as_finite(self.noise(k, w.copy()), "value of the noise")
        if xi.shape not in {(), w.shape}:
            raise ShapeError("value of the noise", f"shape {xi.shape}", f"shape {w.shape}, a number a coordinate of w")
        return -gradient - xi


def as_steps(step: Step, n_steps: int, size: int = 1) -> tuple[Array, Array]:
    """The steps, shape=[n_steps], and the times between them, shape=[n_steps + 1]; states have so many entries."""
    n = as_count(n_steps, "n_steps", most=LARGEST // max(1, size))
    wanted = f"a positive number, {n} of them, or a callable k -> step"
    if isinstance(step, (bool, str, bytes)) or step is None:
        raise ArgumentError("step", got=repr(step), wanted=wanted)
    at = guarded(step, "the step", "k") if callable(step) else None
    steps = as_finite(step if at is None else [at(k) for k in range(n)], "step")
    if constant := not steps.ndim:
        steps = np.full(n, steps)
    if steps.shape != (n,):
        remedy = "one step more or less than n_steps is easily made" if steps.shape in {(n - 1,), (n + 1,)} else ""
        raise ShapeError("step", f"shape {steps.shape} for {n} steps", wanted, remedy)
    if not (steps > 0).all():
        k = int(np.argmin(steps > 0))
        raise ArgumentError(f"step {k}" if n > 1 else "step", got=f"{steps[k]:g} of {describe(steps)}", wanted=wanted)
    times = steps[0] * np.arange(n + 1) if constant else np.r_[0.0, np.cumsum(steps)]
    return steps, times


def _noise(noise: Any) -> Callable[[int, Array], ArrayLike] | None:
    """Noise of k, or of k and w, as one of both."""
    if noise is None:
        return None
    both = callable(noise) and takes_second(noise, "w")
    draw = guarded(noise, "the noise", "k, w" if both else "k")
    return draw if both else lambda k, w: draw(k)


def _batches(loss: Any, size: int | None, rng: int | np.random.Generator | None) -> Iterator[Index] | None:
    """Indices of rows, pass after pass over all of them, each in an order of its own."""
    if size is None:
        if rng is not None:
            raise ArgumentError("rng", got=f"{rng!r} without batch", wanted="batch beside it, the rows of a step")
        return None
    kind = type(loss)
    # a subclass may have terms that are no sum over rows, unless it says itself what it is on some of them
    if kind not in (LeastSquares, LogisticLoss, LinkLoss) and not (
        isinstance(loss, LinearModelLoss) and "on_rows" in vars(kind)
    ):
        raise ArgumentError(
            "batch", f"a loss without rows, {kind.__name__}", "a LeastSquares, a LogisticLoss or a LinkLoss, or a"
            " subclass with on_rows of its own",
            "or noise=lambda k, w: the gradient of a batch of yours minus that of the loss",
        )  # fmt: skip
    n = len(loss.y)
    size = as_count(size, "batch", most=n)
    seed = isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0
    if not (rng is None or seed or isinstance(rng, np.random.Generator)):
        raise ArgumentError("rng", got=repr(rng), wanted="a seed, or a numpy Generator")
    return _passes(n, size, np.random.default_rng(0 if rng is None else rng))


def _passes(n: int, size: int, rng: np.random.Generator) -> Iterator[Index]:
    while True:
        order = rng.permutation(n)
        for k in range(0, n, size):
            yield np.sort(order[k : k + size])


def _gradient_on(loss: Any, rows: Index, w: Array) -> Array:
    """The gradient of the loss of some rows, in the size of the whole, shape=[d]."""
    gradient = loss.on_rows(rows).gradient(w)
    return np.asarray(gradient if loss.averages else len(loss.y) / len(rows) * gradient, dtype=float)
