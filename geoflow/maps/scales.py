"""Brackets in their own scale: that of the two fields of the pair, which no other pair and no unit enters.

A bracket [X, Y] of X = grad G_i and Y = grad G_j is DY.X - DX.Y, and its relative size is the larger of two:

* |[X, Y]| over the larger of |DY| |X| and |DX| |Y|, where |DY| is the largest rate seen along X and along Y;
* on R^D, where each coordinate has a unit of its own, |[X, Y]_k| over |x_k| rho_X rho_Y, rho_X = max_l |X_l / x_l|:
  what two flows that each move x by its own size leave between them, whatever numbers coordinates are multiplied by.

Neither denominator is less than what rounding makes of the terms, 1e-5 of which is taken: with eps = 2e-16 an error of
40 eps is then a defect of 1e-9. The terms of a coordinate are sum_l |d_k d_l G_j| |X_l|, which cannot cancel; X_l
itself is off by eps sum_m |d_l d_m G_i| |x_m|; a rotation leaves eps |hess G_j| in place of zeros; where a map is
linear to rounding its Hessian is noise of the size eps |grad G_j| / |x|.
"""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow.maps.kernel import MapKernel

ROUNDING = 1e-5
LINEAR = 1e-6
#: Gaussian directions that stand for all of R^D where it is too large
DRAWS = 3
LEAST = 1e-300
#: lengths of brackets, and relative to their own scale
Measured = tuple[Array, Array]


def by_hessians(rows: Array, hessians: Array, x: Array) -> Measured:
    """All pairs on R^D, shape=[..., d, d] each.

    rows, shape=[..., d, D], are the gradients; hessians, shape=[..., D, d, D], have the direction first.
    """
    sizes, lengths = np.abs(hessians), np.linalg.norm(rows, axis=-1)
    along = np.einsum("...ljk,...il->...ijk", hessians, rows)
    noise = np.einsum("...ljk,...l->...jk", sizes, np.abs(x))
    terms = np.einsum("...ljk,...il->...ijk", sizes, np.abs(rows) + ROUNDING * noise)
    norms = np.sqrt((hessians**2).sum(axis=(-3, -1)))
    garbage = lengths[..., :, None] * norms[..., None, :]
    rounded = garbage + np.linalg.norm(noise, axis=-1)[..., :, None] * norms[..., None, :]
    scale = np.maximum(_own(along, lengths), ROUNDING * rounded)
    scale = _both(np.maximum(scale, _linear(lengths[..., :, None], lengths[..., None, :], x[..., None, None, :])))
    brackets = along - np.swapaxes(along, -3, -2)
    with np.errstate(all="ignore"):
        shares, at = rows / x[..., None, :], np.abs(x)[..., None, None, :]
        unitless = np.sqrt((hessians**2 * x[..., :, None, None] ** 2 * x[..., None, None, :] ** 2).sum(axis=(-3, -1)))
        floor = np.abs(shares).sum(axis=-1)[..., :, None, None] * unitless[..., None, :, None] / at
        moved = np.abs(shares).max(axis=-1)
        moved = at * (moved[..., :, None] * moved[..., None, :])[..., None]
    floor = ROUNDING * np.fmin(floor, garbage[..., None])
    coordinates = _both(np.maximum(np.maximum(terms, floor), _or_endless(moved)), axes=(-3, -2))
    return _larger(brackets, scale, coordinates)


def by_gradients(rows: Array, along: Array, x: Array) -> Measured:
    """All pairs on a manifold, whose ambient coordinates have no units, shape=[..., d, d] each.

    along, shape=[..., d, d, D], is D(grad G_j).grad G_i.
    """
    lengths = np.linalg.norm(rows, axis=-1)
    floor = _linear(lengths[..., :, None], lengths[..., None, :], x[..., None, None, :])
    sizes = np.linalg.norm(along - np.swapaxes(along, -3, -2), axis=-1)
    return sizes, sizes / _both(np.maximum(_own(along, lengths), floor))


def sizes_by_products(kernel: MapKernel, x: Array, rng: np.random.Generator) -> Array:
    """About |grad G_i|, by what dG makes of eight Gaussian directions: shape=[N, D] to shape=[N, d]."""
    return np.asarray(np.sqrt(sum(kernel.pushforward(x, rng.standard_normal(x.shape)) ** 2 for _ in range(8)) / 8))


def by_products(kernel: MapKernel, x: Array, u: Array, v: Array, coordinates: bool = True) -> Measured:
    """[X, Y] of X = sum_i u_i grad G_i and Y = sum_j v_j grad G_j, in two rounds of products with dG.

    Block by block where there are blocks, at each of their inputs: shape=[n, D] each; shape=[n, 1] elsewhere. On
    manifolds, and without `coordinates`, norms alone are compared, and not with what rounding leaves.
    """
    coordinates = coordinates and kernel.flat
    n = len(x)
    X, Y = np.split(kernel.pullback(np.concatenate([x, x]), np.concatenate([u, v])), 2)

    def derivatives(covectors: Array, directions: Array) -> Array:
        """D(sum_i u_i grad G_i) along several directions, shape=[m, n, D]."""
        m = len(directions)
        points, covectors = (np.broadcast_to(a, (m, *a.shape)).reshape(m * n, -1) for a in (x, covectors))
        return kernel.derivative_of_pullback(points, covectors, directions.reshape(m * n, -1)).reshape(m, n, -1)

    z = np.random.default_rng(0).standard_normal((DRAWS if coordinates else 0, 1, kernel.dim))
    probes = np.concatenate([z * x, np.broadcast_to(z, (len(z), *x.shape))])
    of_v = derivatives(v, np.concatenate([np.stack([X, Y]), probes]))
    of_u = derivatives(u, np.concatenate([np.stack([Y, X]), probes]))
    lengths = [_norm(kernel, field[None]) for field in (X, Y)]
    with np.errstate(all="ignore"):
        rates = [
            np.max([np.where(s > 0, _norm(kernel, D[None]) / s, 0.0) for s, D in zip(sides, two, strict=True)], axis=0)
            for sides, two in ((lengths, of_v[:2]), (lengths[::-1], of_u[:2]))
        ]
    scale = np.maximum(rates[0] * lengths[0], rates[1] * lengths[1])
    scale = np.maximum(scale, LINEAR * lengths[0] * lengths[1] / _or_endless(_norm(kernel, x[None])))
    brackets = of_v[0] - of_u[0]
    sizes = _norm(kernel, brackets[None])
    if not coordinates:
        return sizes, sizes / np.maximum(scale, LEAST)
    scales = []
    for c, found, field, other in ((v, of_v, X, of_u), (u, of_u, Y, of_v)):
        noise = np.abs(other[2 : 2 + DRAWS]).max(axis=0)
        terms = np.abs(np.concatenate([found[:1], derivatives(c, z * (np.abs(field) + ROUNDING * noise))])).max(axis=0)
        norms = _norm(kernel, found[2 + DRAWS :])
        garbage = norms * _norm(kernel, field[None])
        scale = np.maximum(scale, ROUNDING * (garbage + norms * _norm(kernel, noise[None])))
        with np.errstate(all="ignore"):
            shares = _norm(kernel, (field / x)[None], total=True)
            floor = np.fmin(_norm(kernel, found[2 : 2 + DRAWS] * x) * shares / np.abs(x), garbage)
        scales.append(np.maximum(terms, ROUNDING * floor))
    with np.errstate(all="ignore"):
        moved = np.abs(x) * _norm(kernel, (X / x)[None], largest=True) * _norm(kernel, (Y / x)[None], largest=True)
    relative = np.abs(brackets) / np.max([*scales, _or_endless(moved), np.full(x.shape, LEAST)], axis=0)
    return sizes, np.maximum(sizes / np.maximum(scale, LEAST), _norm(kernel, relative[None], largest=True))


def _own(along: Array, lengths: Array) -> Array:
    """|DY| |X| of all pairs, |DY| from D(grad G_j).grad G_i and D(grad G_j).grad G_j; shape=[..., d, d]."""
    with np.errstate(all="ignore"):
        rates = np.where(lengths[..., :, None] > 0, np.linalg.norm(along, axis=-1) / lengths[..., :, None], 0.0)
    alone = np.einsum("...jj->...j", rates)
    return np.maximum(rates, alone[..., None, :]) * lengths[..., :, None]


def _linear(one: Array, other: Array, x: Array) -> Array:
    """The scale below which the terms of a map that is linear to rounding are noise; none at the origin."""
    return LINEAR * one * other / _or_endless(np.linalg.norm(x, axis=-1))


def _or_endless(size: Array) -> Array:
    """Sizes, infinite where they are zero or undefined, and tell no unit."""
    return np.where(size > 0, size, np.inf)


def _both(scale: Array, axes: tuple[int, int] = (-2, -1)) -> Array:
    return np.maximum(np.maximum(scale, np.swapaxes(scale, *axes)), LEAST)


def _larger(brackets: Array, scale: Array, coordinates: Array) -> Measured:
    sizes = np.linalg.norm(brackets, axis=-1)
    return sizes, np.maximum(sizes / scale, (np.abs(brackets) / coordinates).max(axis=-1))


def _norm(kernel: MapKernel, fields: Array, largest: bool = False, total: bool = False) -> Array:
    """Norms block by block, shape=[m, n, D] to shape=[n, D] or [n, 1]: of the root mean square over m, or sup or l1."""
    blocks, m = kernel.blocks, len(fields)
    if blocks.single:
        sizes = np.abs(fields[0])
        if largest or total:
            return (sizes.max if largest else sizes.sum)(axis=-1, keepdims=True)
        return np.sqrt((fields**2).sum(axis=(0, 2)) / m)[:, None]
    if largest:
        return blocks.at_inputs(blocks.largest(fields[0]))
    if total:
        return blocks.at_inputs(blocks.sums(np.abs(fields[0])))
    return blocks.at_inputs(np.sqrt(blocks.sums((fields**2).sum(axis=0) / m)))
