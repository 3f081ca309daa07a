"""The checks of a map at points: commuting, by all pairs or by random combinations of them, and regular."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Index
from geoflow.errors import NotCommutingError, NotRegularError
from geoflow.maps.brackets import require_finite
from geoflow.maps.kernel import MapKernel
from geoflow.numerics.batches import SLICE, in_slices
from geoflow.results import Check

#: outputs of one block up to which all pairs are formed, and random combinations of the pairs beyond
ALL_PAIRS = 32
COMBINATIONS = 3
#: entries d D of the rows of a point up to which a pair is compared with all pairs of its row and column
ALL_ROWS = 2**23


class Worst(NamedTuple):
    """The worst pair: its bracket relative to `scale`, where, which, and the size of the bracket."""

    defect: float
    scale: float
    point: int
    pair: tuple[int, int]
    size: float

    def moved(self, points: int) -> Worst:
        """The same of a batch with so many points before."""
        return Worst(self.defect, self.scale, self.point + points, self.pair, self.size)


def commuting_check(kernel: MapKernel, x: Array, tol: float, name: str, point_shape: tuple[int, ...]) -> Check:
    """[grad G_i, grad G_j] = 0 at flat points of shape=[N, D], relative to the largest D(grad G_j).grad G_i there.

    Pairs of outputs that share no input commute. Within blocks of up to 32 outputs all pairs are formed, and the scale
    is the block's. Beyond, the worst pair is searched in O(log d) brackets, and the scale is that of its two fields:
    see `searched_pair`.
    """
    if kernel.blocks.width > ALL_PAIRS:
        search = searched_pair
    else:
        search = _all_pairs if kernel.blocks.single else _pairs_of_blocks
    step = max(1, SLICE // (4 * kernel.dim))
    parts = [search(kernel, x[k : k + step], name).moved(k) for k in range(0, len(x), step)]
    worst = max(parts, key=lambda part: part.defect)
    i, j = worst.pair
    return Check(
        name=f"commuting of {name}",
        defect=worst.defect,
        scale=worst.scale,
        tol=tol,
        witness=x[worst.point].reshape(point_shape),
        detail=f"|[grad G_{i + 1}, grad G_{j + 1}]| = {worst.size:.3e}",
        n_points=len(x),
        error=NotCommutingError,
        evidence={
            "pair": worst.pair,
            "remedy": "gradient flow of a parametrization that does not commute is in general not a mirror flow; "
            "change G or M so that its gradient fields commute",
        },
    )


def _floor(row_squared: Array, length: Array) -> Array:
    """The least scale, |dG|^2 / |x| to six digits, of the unit of the terms of a bracket.

    The terms themselves are noise where a map is linear to rounding.
    """
    return np.maximum(1e-6 * row_squared / np.where(length > 0, length, 1.0), 1e-300)


def _all_pairs(kernel: MapKernel, x: Array, name: str) -> Worst:
    def of_slice(x: Array) -> tuple[Array, ...]:
        rows = require_finite(kernel.gradients(x), x, 1, f"gradients of {name}")
        along = require_finite(kernel.derivative_of_gradients(x, rows), x, 1, f"brackets of {name}")
        norms = np.linalg.norm(along - np.swapaxes(along, 1, 2), axis=-1)
        floor = _floor((rows**2).sum(axis=-1).max(axis=-1), np.linalg.norm(x, axis=-1))
        return norms, np.maximum(np.linalg.norm(along, axis=-1).max(axis=(1, 2)), floor)

    norms, scale = in_slices(of_slice, kernel.codomain_dim**2 * kernel.dim, x)
    relative = norms / scale[:, None, None]
    n, *pair = (int(k) for k in np.unravel_index(int(np.argmax(relative)), relative.shape))
    first, second = sorted(pair)
    return Worst(float(relative[n].max()), float(scale[n]), n, (first, second), float(norms[n, first, second]))


def _pairs_of_blocks(kernel: MapKernel, x: Array, name: str) -> Worst:
    """All pairs within every block: the k-th and the l-th fields of all blocks are one pair of fields."""
    blocks = kernel.blocks
    units, N = blocks.units(), len(x)

    def norm(field: Array) -> Array:
        return np.sqrt(blocks.sums(field**2))

    def terms(k: int, l: int) -> tuple[Array, Array]:  # noqa: E741
        u, v = (np.broadcast_to(unit, (N, kernel.codomain_dim)) for unit in (units[k], units[l]))
        along, back = kernel.bracket_terms(x, u, v)
        return require_finite(along, x, 1, f"brackets of {name}"), require_finite(back, x, 1, f"brackets of {name}")

    rows = require_finite(kernel.block_rows(x)[0], x, 1, f"gradients of {name}")
    scale = _floor(np.stack([blocks.sums(rows[:, k] ** 2) for k in range(blocks.width)]).max(axis=0), norm(x))
    size, pair = np.zeros((N, blocks.count)), np.zeros((N, blocks.count, 2), dtype=int)
    for k in range(blocks.width):
        for l in range(k, blocks.width):  # noqa: E741
            along, back = terms(k, l)
            scale = np.maximum(scale, np.maximum(norm(along), norm(back)))
            bracket = norm(along - back) if l > k else np.zeros_like(size)
            pair[bracket > size] = k, l
            size = np.maximum(size, bracket)
    relative = size / scale
    n, block = (int(k) for k in np.unravel_index(int(np.argmax(relative)), relative.shape))
    members = np.flatnonzero(blocks.of_output == block)
    first, second = (int(members[blocks.rank[members] == k][0]) for k in pair[n, block])
    if first == second:  # nothing to commute with in its block: some other field, of another
        second = (first + 1) % kernel.codomain_dim
    defect = float(relative[n, block])
    return Worst(defect, float(scale[n, block]), n, (min(first, second), max(first, second)), float(size[n, block]))


def searched_pair(kernel: MapKernel, x: Array, name: str) -> Worst:
    """A worst pair, by brackets [X_u, X_v] of random combinations X_u = sum_i u_i grad G_i, bilinear in u and v.

    u and v are Gaussian, in units of the rows of dG. One bad pair among d^2 enters with the factor u_i v_j - u_j v_i,
    which is below s with probability at most s: with three combinations a pair of relative defect e is lost among
    rounding r with probability (r/e)^3, whatever d is, since nothing is averaged. Halving u and v, the larger half of
    one component of the bracket each time, names a pair in 2 log2 d steps; its defect is then taken relative to the
    terms of its two fields, as for d = 2, and where d D is moderate it is moved to the worst of its row and column.
    """
    d, N = kernel.codomain_dim, len(x)
    rng = np.random.default_rng(0)
    copies = np.repeat(x, COMBINATIONS, axis=0)
    size = np.sqrt(sum(kernel.pushforward(x, rng.standard_normal(x.shape)) ** 2 for _ in range(8)) / 8)
    size = np.repeat(np.where(require_finite(size, x, 1, f"gradients of {name}") > 0, size, 1.0), COMBINATIONS, axis=0)
    u, v = (rng.standard_normal((N * COMBINATIONS, d)) / size for _ in range(2))

    along, back = in_slices(kernel.bracket_terms, 2 * kernel.dim, copies, u, v)
    require_finite(along - back, copies, 1, f"brackets of {name}")
    mass = np.abs(along) + np.abs(back)
    largest = np.maximum(mass.max(axis=-1, keepdims=True), 1e-300)
    # where the bracket is largest, and where it is largest beside its own terms, in coordinates of another size
    found = []
    for unit in (largest, mass + 1e-10 * largest):
        k, c = np.unravel_index(int(np.argmax(np.abs(along - back) / unit)), along.shape)
        i, j = _halved(kernel, copies[k : k + 1], u[k], v[k], int(c))
        found.append(_settled(kernel, copies[k : k + 1], i, j, int(k) // COMBINATIONS))
    return max(found, key=lambda worst: worst.defect)


def _halved(kernel: MapKernel, x: Array, u: Array, v: Array, component: int) -> tuple[int, int]:
    """The pair that dominates a component of [X_u, X_v] at one point, shape=[1, D]."""
    both = np.repeat(x, 2, axis=0)
    sets = [np.arange(len(u)), np.arange(len(v))]
    while max(map(len, sets)) > 1:
        side = int(len(sets[1]) > len(sets[0]))
        halves = np.array_split(sets[side], 2)
        trial = np.zeros((2, 2, len(u)))
        for k in range(2):
            for place, values in enumerate((u, v)):
                chosen = halves[k] if place == side else sets[place]
                trial[place, k, chosen] = values[chosen]
        sizes = np.abs(kernel.bracket(both, trial[0], trial[1])[:, component])
        sets[side] = halves[int(np.argmax(sizes))]
    i, j = int(sets[0][0]), int(sets[1][0])
    return (i, j) if i != j else (min(i, len(u) - 2), min(i, len(u) - 2) + 1)


def _settled(kernel: MapKernel, x: Array, i: int, j: int, n: int) -> Worst:
    """The defect of a pair at the n-th point, shape=[1, D]; of the worst pair of its row, then of that one's column."""
    d = kernel.codomain_dim
    if d * kernel.dim > ALL_ROWS:
        return _of_row(kernel, x, i, np.array([j]), n)
    worst = _of_row(kernel, x, i, np.delete(np.arange(d), i), n)
    other = worst.pair[0] if worst.pair[1] == i else worst.pair[1]
    return max(worst, _of_row(kernel, x, other, np.delete(np.arange(d), other), n), key=lambda found: found.defect)


def _of_row(kernel: MapKernel, x: Array, i: int, others: Index, n: int) -> Worst:
    """The worst of the pairs (i, j) for several j, relative to the terms of the two fields alone."""
    unit = np.zeros(kernel.codomain_dim)
    unit[i] = 1.0

    def norms(j: Array) -> tuple[Array, ...]:
        units, points = np.zeros((len(j), kernel.codomain_dim)), np.repeat(x, len(j), axis=0)
        units[np.arange(len(j)), j] = 1.0
        own = np.broadcast_to(unit, units.shape)
        rows, row = kernel.pullback(points, units), kernel.pullback(x, unit[None])
        along = kernel.derivative_of_pullback(points, units, np.broadcast_to(row, rows.shape))
        back = kernel.derivative_of_pullback(points, own, rows)
        alone = kernel.derivative_of_pullback(points, units, rows), kernel.derivative_of_pullback(x, unit[None], row)
        squared = np.maximum((rows**2).sum(axis=-1), (row**2).sum())
        terms = [np.linalg.norm(term, axis=-1) for term in (along, back, *alone)]
        floor = _floor(squared, np.linalg.norm(points, axis=-1))
        return np.linalg.norm(along - back, axis=-1), np.maximum(np.max(np.broadcast_arrays(*terms), axis=0), floor)

    size, scale = in_slices(norms, 4 * (kernel.codomain_dim + kernel.dim), others)
    k = int(np.argmax(size / scale))
    pair = (min(i, int(others[k])), max(i, int(others[k])))
    return Worst(float(size[k] / scale[k]), float(scale[k]), n, pair, float(size[k]))


def regular_check(
    kernel: MapKernel, x: Array, tol: float, name: str, point_shape: tuple[int, ...], space_dim: int
) -> Check:
    """rank dG = d at flat points of shape=[N, D]: the smallest singular value exceeds `tol` times the largest.

    Rows of different blocks are orthogonal, and a block is compared with itself.
    """
    d = kernel.codomain_dim
    if d > space_dim:
        detail, ratio, n = f"d = {d} > dim M = {space_dim}, so rank dG < d everywhere", 0.0, 0
    else:
        low, high = (ends.reshape(len(x), -1) for ends in _singular_ends(kernel, x, name))
        ratios = np.where(high > 0, low / np.maximum(high, 1e-300), 0.0)
        n, block = (int(k) for k in np.unravel_index(int(np.argmin(ratios)), ratios.shape))
        ratio = float(ratios[n, block])
        detail = f"singular values of dG from {low[n, block]:.2e} to {high[n, block]:.2e}"
    return Check(
        name=f"regularity of {name}",
        defect=max(0.0, 1.0 - ratio / tol),
        scale=1.0,
        tol=0.0,
        witness=x[n].reshape(point_shape),
        detail=detail,
        n_points=len(x),
        error=NotRegularError,
        evidence={"remedy": "start where dG has full rank, or drop dependent components of G", "singular_ratio": ratio},
    )


def _singular_ends(kernel: MapKernel, x: Array, name: str) -> tuple[Array, ...]:
    """The smallest and the largest singular value of the rows of every block, shape=[N, count] each."""
    blocks = kernel.blocks

    def of_slice(x: Array) -> tuple[Array, ...]:
        if blocks.single:
            rows = require_finite(kernel.gradients(x), x, 1, f"gradients of {name}")
            values = np.linalg.svd(rows, compute_uv=False)
            return values[:, -1], values[:, 0]
        rows = require_finite(kernel.block_rows(x)[0], x, 1, f"gradients of {name}")
        if blocks.width == 1:
            norms = np.sqrt(blocks.sums(rows[:, 0] ** 2))
            return norms, norms
        values = np.linalg.svd(blocks.matrices(rows), compute_uv=False)
        last = np.minimum((~blocks.padding).sum(axis=1), values.shape[-1]) - 1
        short = blocks.sizes < (~blocks.padding).sum(axis=1)  # more outputs than inputs
        return np.where(short, 0.0, np.take_along_axis(values, last[None, :, None], axis=-1)[..., 0]), values[..., 0]

    return in_slices(of_slice, max(blocks.width, 2) * kernel.dim, x)
