"""Losses that are constant in time but for jumps: minibatches, and gradients with noise that holds for a while."""

from __future__ import annotations

from collections.abc import Sequence

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_count, as_finite
from geoflow.errors import ArgumentError, ShapeError
from geoflow.flows.losses import LeastSquares, Loss


class TiltedLoss(Portable):
    """L(w) + <xi, w>: a loss whose gradient is off by the constant xi, shape=[d]."""

    def __init__(self, loss: Loss, xi: ArrayLike):
        self.loss, self.xi = loss, as_finite(xi, "xi")

    def __call__(self, w: Array) -> Array:
        return self.loss(w) + anp.sum(w * self.xi, axis=-1)


class PiecewiseLoss(Portable):
    """L_t = losses[k] for k duration <= t < (k + 1) duration, the last of them ever after: one loss after the other.

    The direct theorem holds for every L_t: gradient flow of minibatches, or with noise that is piecewise constant in
    time, is mirror flow of the same minibatches or noise.

    Parameters
    ----------
    losses : sequence of callables
        w of shape=[..., d] to shape=[...], in autograd.numpy.
    duration : float
        Positive: how long each holds.
    """

    def __init__(self, losses: Sequence[Loss], duration: float):
        self.losses, self.duration = tuple(losses), float(as_finite(duration, "duration"))
        if not self.losses or not all(callable(loss) for loss in self.losses):
            raise ArgumentError("losses", got=f"{len(self.losses)} objects", wanted="at least one callable w -> L(w)")
        if not self.duration > 0:
            raise ArgumentError("duration", got=f"{self.duration:g}", wanted="a positive number")

    def at(self, t: float) -> Loss:
        """The loss that holds at time t."""
        return self.losses[min(max(int(np.floor(t / self.duration)), 0), len(self.losses) - 1)]

    def __call__(self, w: Array, t: float) -> Array:
        return self.at(t)(w)

    @classmethod
    def noisy(cls, loss: Loss, noise: ArrayLike, duration: float) -> PiecewiseLoss:
        """L(w) + <xi_k, w>: the gradient of a loss with noise xi_k, shape=[K, d], each for a duration."""
        noise = as_finite(noise, "noise")
        if noise.ndim != 2 or not len(noise):
            raise ShapeError("noise", got=f"shape {noise.shape}", wanted="shape [K, d], K at least 1")
        return cls([TiltedLoss(loss, xi) for xi in noise], duration)

    @classmethod
    def minibatches(
        cls, loss: LeastSquares, size: int, n_batches: int, duration: float, seed: int = 0
    ) -> PiecewiseLoss:
        """Random batches of `size` rows of a `LeastSquares`, scaled so that their mean over all batches is the loss."""
        if not isinstance(loss, LeastSquares):
            raise ArgumentError("loss", got=type(loss).__name__, wanted="a gf.LeastSquares", remedy="pass the batches")
        n = len(loss.y)
        size, n_batches = as_count(size, "size", most=n), as_count(n_batches, "n_batches")
        rng, scale = np.random.default_rng(seed), np.sqrt(n / size)
        rows = [rng.choice(n, size, replace=False) for _ in range(n_batches)]
        return cls([LeastSquares(scale * loss.Z[k], scale * loss.y[k]) for k in rows], duration)
