"""The sizes that coordinates have where a flow sets out: what an absolute tolerance is measured in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geoflow._typing import Array, Map
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.integrate import Solver

#: a start below so much of the way that a flow would go is rounding, and the way its size; the least tolerance
ROUNDING, LEAST = 1e-14, 1e-290
#: part of itself by which w is moved to see what mu it takes
ASIDE = 1e-3


def sized(solver: Solver, *sizes: Array) -> Solver:
    """The solver with its absolute tolerance in the smallest of some sizes, at most 1: what grows from it keeps digits.

    Sizes that are 0, or no number, are not known.
    """
    every = np.concatenate([np.ravel(size) for size in sizes])
    known = every[np.isfinite(every) & (every > 0)]
    unit = min(1.0, float(known.min(initial=1.0)))
    return replace(solver, atol=max(solver.atol * unit, min(solver.atol, LEAST)))


def sizes_of(start: Array, way: Array) -> Array:
    """The sizes of coordinates that start so and would go such a way at their first speed."""
    start, way = np.abs(start), np.abs(way)
    return np.where(start > ROUNDING * way, start, way)


def sizes_on_leaf(kernel: MapKernel, x: Array, way: Array) -> tuple[Array, Array, Array]:
    """The sizes of x, of w = G(x), and of what mu moves x by its own size, in every block; shape=[N, count] each.

    `way` is what x would go at its first speed, for a block that starts at 0.
    """
    blocks = kernel.blocks
    signs = np.random.default_rng(9).choice([-1.0, 1.0], (len(x), kernel.codomain_dim))
    with np.errstate(all="ignore"):
        size, slope = sizes_of(blocks.largest(x), blocks.largest(way)), blocks.largest(kernel.pullback(x, signs))
        return size, size * slope, size / slope


def sizes_of_mu(gradient: Map, w: Array, mu: Array, way: Array) -> Array:
    """The sizes of dual coordinates: what moves w by its own size, or the way of mu; shape=[N, d]."""
    with np.errstate(all="ignore"):
        aside = np.where(w != 0, w, np.abs(w).max(axis=-1, keepdims=True)) * (1 - ASIDE)
        moved = np.asarray(gradient(aside)) - mu
        return sizes_of(np.where(np.isfinite(moved), moved, 0.0) / ASIDE, way)
