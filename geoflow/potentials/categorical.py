"""The categorical family: log(1 + sum exp w_i), its probabilities and cumulants, to all digits also of rare classes."""

from __future__ import annotations

from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.numerics import autodiff
from geoflow.numerics.batches import moments
from geoflow.potentials import divergence
from geoflow.potentials.structure import Structure
from geoflow.spaces.domains import WholeSpace


@dataclass(frozen=True)
class LogSumExp:
    """The metric of log(1 + exp w_1 + ... + exp w_d), of the sphere by 2 sqrt(p): a structure of the metric alone."""

    dim: int


def with_zero(w: Array) -> Array:
    """The d + 1 exponents, that of the first class 0."""
    return anp.concatenate([anp.zeros((*anp.shape(w)[:-1], 1)), w], axis=-1)


def log_sum_exp_of(z: Array) -> Array:
    """log sum_k exp(z_k) over the last axis, without overflow."""
    top = autodiff.largest(z)
    grown = anp.exp(z - top)
    if autodiff.is_traced(z):
        return anp.log(anp.sum(grown, axis=-1)) + top[..., 0]
    np.put_along_axis(grown, np.argmax(z, axis=-1)[..., None], 0.0, axis=-1)
    return np.log1p(grown.sum(axis=-1)) + top[..., 0]


def probabilities(w: Array) -> Array:
    """Of all d + 1 classes."""
    return softmax_of(with_zero(w))


def softmax(w: Array) -> Array:
    """The gradient: the probabilities of all classes but the first."""
    return probabilities(w)[..., 1:]


def covariance(p: Array) -> Array:
    """Of the indicators of all classes but the first; p_i (1 - p_i) is a sum over the others."""
    rest, eye, q = _others(p), np.eye(anp.shape(p)[-1] - 1), p[..., 1:]
    return (q * rest)[..., None] * eye - q[..., :, None] * q[..., None, :] * (1 - eye)


def third_cumulant(p: Array) -> Array:
    """The derivative of the covariance: p_i (1 - p_i) (1 - 2 p_i), -p_i p_j (1 - 2 p_i), 2 p_i p_j p_k."""
    rest, E, q = _others(p), np.eye(anp.shape(p)[-1] - 1), p[..., 1:]
    tilt, off = rest - q, 1 - E
    alone = anp.einsum("...i,ij,ik->...ijk", q * rest * tilt, E, E)
    pair = -anp.einsum("...i,...k,ij,ik->...ijk", q * tilt, q, E, off)
    mixed = pair + anp.einsum("...ijk->...ikj", pair) + anp.einsum("...ijk->...kij", pair)
    return alone + mixed + 2 * anp.einsum("...i,...j,...k,ij,ik,jk->...ijk", q, q, q, off, off, off)


def _others(p: Array) -> Array:
    """1 - p_i for all classes but the first, summed over the others."""
    n = anp.shape(p)[-1]
    return anp.matmul(p, (np.ones((n, n)) - np.eye(n))[:, 1:])


def likeliest_first(w: Array) -> tuple[Array, Array]:
    """Which exchange of the first class and another puts the likeliest of points, shape=[N, n, d], first; it is its own
    inverse, shape=[N, d, d].
    """
    d = w.shape[-1]
    likeliest = np.argmax(probabilities(w).sum(axis=1), axis=-1)
    A, rows = np.tile(np.eye(d), (len(w), 1, 1)), np.flatnonzero(likeliest)
    A[rows, :, likeliest[rows] - 1] = -1.0
    return A, A


def divergence_of(w: Array, v: Array, h: Array) -> Array:
    """log sum p_k exp(c_k), c the centred steps: sum p_k c_k = 0, so that sum p_k (exp(c_k) - 1 - c_k) is all of it."""
    return _change(w, v, h)[0]


def log_changes(w: Array, v: Array, h: Array) -> Array:
    """log p_k(w) - log p_k(v) of all classes, h = w - v."""
    gained, centred = _change(w, v, h)
    return centred - gained[..., None]


def _change(w: Array, v: Array, h: Array) -> tuple[Array, Array]:
    """The divergence, and the centred steps of all classes, shape=[...] and [..., d + 1]."""
    p, W, V, steps = probabilities(v), with_zero(w), with_zero(v), with_zero(h)
    c = np.einsum("...j,...kj->...k", p, steps[..., :, None] - steps[..., None, :])
    inner = np.minimum(c, 30.0)
    close = p * divergence.exp(inner, np.zeros(c.shape), inner)
    # log p + c beside the class that is likeliest at v
    j = np.argmax(V, axis=-1)[..., None]
    W, V, beside = (z - np.take_along_axis(z, j, axis=-1) for z in (W, V, steps))
    lost = (log_sum_exp_of(V) + np.sum(p * beside, axis=-1))[..., None]
    exponent = W - lost
    gained = np.where(c > 30, np.exp(np.minimum(exponent, 600.0)) - p * (1 + c), close).sum(axis=-1)
    far = log_sum_exp_of(W) - lost[..., 0]
    return np.where(exponent.max(axis=-1) < 600, np.log1p(gained), far), c


class SoftMaximum(Structure):
    """log sum_k exp(<a_k, w> + b_k): directions of shape=[m, d], offsets of shape=[m].

    It is the conjugate of the entropy of the simplex at affine functions; 2 sqrt(p) takes its metric to the sphere's.
    """

    def __init__(self, directions: Array, offsets: Array, name: str = "soft maximum"):
        self.directions, self.offsets, self.name = directions, offsets, name
        self.domain = WholeSpace(directions.shape[1])

    def logits(self, w: Array) -> Array:
        """<a_k, w> + b_k, shape=[..., m]."""
        return anp.matmul(w, self.directions.T) + self.offsets

    def derivative(self, order: int, w: Array) -> Array:
        z, a = self.logits(w), self.directions
        if order == 0:
            return log_sum_exp_of(z)
        p = softmax_of(z)
        if order == 1:
            return anp.matmul(p, a)
        c = a - anp.matmul(p, a)[..., None, :]
        return moments(p, c, order)


def softmax_of(z: Array) -> Array:
    """exp(z_k) / sum_j exp(z_j) over the last axis."""
    grown = anp.exp(z - autodiff.largest(z))
    return grown / anp.sum(grown, axis=-1, keepdims=True)
