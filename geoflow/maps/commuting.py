"""The checks of a map at points: commuting, by all pairs or by random combinations of them, and regular."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from geoflow._typing import Array, Index
from geoflow.errors import NotCommutingError, NotFiniteError, NotRegularError
from geoflow.maps.brackets import require_finite
from geoflow.maps.kernel import MapKernel
from geoflow.maps.scales import by_gradients, by_hessians, by_products, sizes_by_products
from geoflow.maps.vertical import vertical_check
from geoflow.numerics.batches import SLICE, in_slices
from geoflow.results import Check

#: outputs of one block up to which all pairs are formed, and random combinations of the pairs beyond
ALL_PAIRS = 32
#: inputs of a block for each of its outputs up to which Hessians are formed, which say every term of a bracket
HESSIANS = 8
COMBINATIONS = 3
#: pairs of a row that are measured coordinate by coordinate
CANDIDATES = 16
#: entries d D of the rows of a point up to which a pair is compared with all pairs of its row and column
ALL_ROWS = 2**23
#: relative brackets that are rounding
ROUNDED = 1e-12


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
    """[grad G_i, grad G_j] = 0 at flat points of shape=[N, D], each pair relative to its own terms: see `scales.py`.

    Pairs of outputs that share no input commute. Within blocks of up to 32 outputs all pairs are formed. Beyond, the
    worst pair is searched in O(log d) brackets: see `searched_pair`. `evidence["answer"]` is one of three: "commute",
    "commute modulo fibres", as far as brackets of two fields tell, the longer ones being for `classify`, or "do not
    commute".
    """
    kernel.fresh()
    step = max(1, SLICE // (4 * kernel.dim))
    with np.errstate(all="ignore"):  # what is not finite is an error of its own
        parts = [_worst_of(kernel)(kernel, x[k : k + step], name).moved(k) for k in range(0, len(x), step)]
    for part in parts:
        if np.isnan(part.defect):  # no size of a bracket is no verdict
            got, at = "brackets beyond the range of floating point", x[part.point].reshape(point_shape)
            remedy = "look at points nearer to x0, or measure x and w in other units"
            raise NotFiniteError(f"brackets of {name}", got=got, wanted="finite ones", remedy=remedy, point=at)
    worst = max(parts, key=lambda part: part.defect)
    i, j = worst.pair
    vertical = worst.defect > tol and bool(vertical_check(kernel, x[worst.point : worst.point + 1], name, point_shape))
    return Check(
        name=f"commuting of {name}",
        defect=worst.defect,
        scale=worst.scale,
        tol=tol,
        witness=x[worst.point].reshape(point_shape),
        detail=f"|[grad G_{i + 1}, grad G_{j + 1}]| = {worst.size:.3e}" + (", in ker dG" if vertical else ""),
        n_points=len(x),
        error=NotCommutingError,
        evidence={
            "answer": "commute" if worst.defect <= tol else "commute modulo fibres" if vertical else "do not commute",
            "pair": worst.pair,
            "vertical": vertical,
            "remedy": "gf.classify says whether the fields commute modulo fibres, which mirror flow needs no more than"
            if vertical
            else "gradient flow of a parametrization that does not commute is in general not a mirror flow; "
            "change G or M so that its gradient fields commute",
        },
    )


def _worst_of(kernel: MapKernel) -> Callable[[MapKernel, Array, str], Worst]:
    """How the worst pair is found: all pairs at once by Hessians of blocks, or one by one by products, or searched."""
    blocks = kernel.blocks
    if blocks.width > ALL_PAIRS:
        return searched_pair
    if blocks.width == 1 and kernel.codomain_dim > 1:
        return _no_pairs
    if not kernel.flat:
        return _pairs_on_manifold
    few = int(blocks.sizes.max(initial=1)) <= HESSIANS * blocks.width or blocks.width == 1
    return _pairs_by_hessians if few else _pairs_by_products


def _no_pairs(kernel: MapKernel, x: Array, name: str) -> Worst:
    """No two outputs share an input; derivatives are finite, or `NotFiniteError`."""
    units = np.ones((len(x), kernel.codomain_dim))
    rows = require_finite(kernel.pullback(x, units), x, 1, f"gradients of {name}")
    along = require_finite(kernel.derivative_of_pullback(x, units, rows), x, 1, f"brackets of {name}")
    return Worst(0.0, float(np.abs(along).max()) or 1.0, 0, (0, 1), 0.0)


def _largest(sizes: Array, relative: Array) -> tuple[Array, ...]:
    """Of shape=[n, ...], the largest relative bracket of every point, its length, and its place in the rest."""
    flat = relative.reshape(len(relative), -1)
    place, points = np.argmax(flat, axis=-1), np.arange(len(flat))
    return flat[points, place], sizes.reshape(flat.shape)[points, place], place


def _worst(defect: float, size: float, point: int, pair: tuple[int, int]) -> Worst:
    return Worst(float(defect), float(size / defect) if defect > 0 else 1.0, point, pair, float(size))


def _pairs_by_hessians(kernel: MapKernel, x: Array, name: str) -> Worst:
    """All pairs within every block, from the Hessians of its outputs on its own inputs."""
    blocks = kernel.blocks
    directions, width = blocks.input_units(), blocks.width
    m = len(directions)
    several = np.flatnonzero((~blocks.padding).sum(axis=1) > 1)  # a block of one output has no pair
    chosen = several if len(several) else np.arange(blocks.count)

    def of_slice(x: Array) -> tuple[Array, ...]:
        n = len(x)
        rows = kernel.gradients(x) if blocks.single else kernel.block_rows(x)[0]
        require_finite(rows, x, 1, f"gradients of {name}")
        if blocks.single:
            H = kernel.derivative_of_gradients(x, np.broadcast_to(directions, (n, *directions.shape)))
        else:
            points, along = np.repeat(x, m, axis=0), np.tile(directions, (n, 1))
            each = [kernel.derivative_of_pullback(points, np.tile(u, (len(points), 1)), along) for u in blocks.units()]
            H = np.stack(each, axis=1).reshape(n, m, width, kernel.dim)
        H = np.moveaxis(blocks.matrices(require_finite(H, x, 1, f"brackets of {name}"))[:, :, chosen], 2, 1)
        at = blocks.matrices(x[:, None])[:, chosen, 0]
        return _largest(*by_hessians(blocks.matrices(rows)[:, chosen], H, at))

    defect, size, place = in_slices(of_slice, 4 * width * kernel.dim * (m + width), x)
    n = int(np.argmax(defect))
    block, k, l = np.unravel_index(place[n], (len(chosen), width, width))  # noqa: E741
    return _worst(defect[n], size[n], n, _outputs(kernel, int(chosen[block]), int(k), int(l)))


def _pairs_by_products(kernel: MapKernel, x: Array, name: str) -> Worst:
    """All pairs within every block, from products alone: the k-th and the l-th fields of all blocks are one pair."""
    blocks = kernel.blocks
    units, pairs = blocks.units(), np.stack(np.triu_indices(blocks.width, 1), axis=-1)
    cases = np.stack(np.meshgrid(np.arange(len(x)), np.arange(len(pairs)), indexing="ij"), axis=-1).reshape(-1, 2)

    def of_slice(cases: Index) -> tuple[Array, ...]:
        at, (u, v) = x[cases[:, 0]], (units[pairs[cases[:, 1], side]] for side in (0, 1))
        sizes, relative = by_products(kernel, at, u, v)
        return _largest(require_finite(sizes, at, 1, f"brackets of {name}"), relative)

    defect, size, place = in_slices(of_slice, 16 * (kernel.dim + kernel.codomain_dim), cases)
    n = int(np.argmax(defect))
    block = 0 if blocks.single else max(int(blocks.of_input[place[n]]), 0)
    pair = _outputs(kernel, block, *(int(k) for k in pairs[cases[n, 1]]))
    return _worst(defect[n], size[n], int(cases[n, 0]), pair)


def _pairs_on_manifold(kernel: MapKernel, x: Array, name: str) -> Worst:
    """All pairs, from derivatives along the gradients, which are tangent."""

    def of_slice(x: Array) -> tuple[Array, ...]:
        rows = require_finite(kernel.gradients(x), x, 1, f"gradients of {name}")
        along = require_finite(kernel.derivative_of_gradients(x, rows), x, 1, f"brackets of {name}")
        return _largest(*by_gradients(rows, along, x))

    defect, size, place = in_slices(of_slice, 4 * kernel.codomain_dim**2 * kernel.dim, x)
    n = int(np.argmax(defect))
    k, l = divmod(int(place[n]), kernel.codomain_dim)  # noqa: E741
    return _worst(defect[n], size[n], n, (min(k, l), max(k, l)))


def _outputs(kernel: MapKernel, block: int, k: int, l: int) -> tuple[int, int]:  # noqa: E741
    """The k-th and the l-th output of a block, the smaller first; some other field where there are no two."""
    blocks = kernel.blocks
    members = np.flatnonzero(blocks.of_output == block)
    chosen = members[np.isin(blocks.rank[members], (k, l))]
    first, second = int(chosen[0]), int(chosen[-1])
    if first == second:
        second = (first + 1) % kernel.codomain_dim
    return min(first, second), max(first, second)


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
    size = sizes_by_products(kernel, x, rng)
    size = np.repeat(np.where(require_finite(size, x, 1, f"gradients of {name}") > 0, size, 1.0), COMBINATIONS, axis=0)
    u, v = (rng.standard_normal((N * COMBINATIONS, d)) / size for _ in range(2))

    along, back = in_slices(kernel.bracket_terms, 2 * kernel.dim, copies, u, v)
    require_finite(along - back, copies, 1, f"brackets of {name}")
    mass = np.abs(along) + np.abs(back)
    largest = np.maximum(mass.max(axis=-1, keepdims=True), 1e-300)
    # where the bracket is largest, and where it is largest beside its own terms, in coordinates of another size
    places = {int(np.argmax(np.abs(along - back) / unit)) for unit in (largest, mass + 1e-10 * largest)}
    named = set()
    for k, c in (np.unravel_index(place, along.shape) for place in sorted(places)):
        pair = sorted(_halved(kernel, copies[k : k + 1], u[k], v[k], int(c)))
        named.add((int(k) // COMBINATIONS, *pair))
    found = [_settled(kernel, x[n : n + 1], i, j, n) for n, i, j in sorted(named)]
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
    """The defect of a pair at the n-th point, shape=[1, D]; of the worst pair of its row, then of that one's column.

    A bracket that is rounding is no worse than the others of its row, and is not compared with them.
    """
    d = kernel.codomain_dim
    alone = _of_row(kernel, x, i, np.array([j]), n)
    if d * kernel.dim > ALL_ROWS or alone.defect < ROUNDED:
        return alone
    worst = _of_row(kernel, x, i, np.delete(np.arange(d), i), n)
    other = worst.pair[0] if worst.pair[1] == i else worst.pair[1]
    return max(worst, _of_row(kernel, x, other, np.delete(np.arange(d), other), n), key=lambda found: found.defect)


def _of_row(kernel: MapKernel, x: Array, i: int, others: Index, n: int) -> Worst:
    """The worst of the pairs (i, j) for several j, each in its own scale."""
    unit = np.zeros(kernel.codomain_dim)
    unit[i] = 1.0

    def measured(j: Array, coordinates: bool = True) -> tuple[Array, ...]:
        units = np.zeros((len(j), kernel.codomain_dim))
        units[np.arange(len(j)), j] = 1.0
        own = np.broadcast_to(unit, units.shape)
        return _largest(*by_products(kernel, np.repeat(x, len(j), axis=0), own, units, coordinates))[:2]

    if len(others) > CANDIDATES:  # by norms alone, and then the worst of them
        ranked = in_slices(lambda j: measured(j, False), 4 * (kernel.codomain_dim + kernel.dim), others)[0]
        others = others[np.argsort(ranked)[-CANDIDATES:]]
    defect, size = in_slices(measured, 16 * (kernel.codomain_dim + kernel.dim), others)
    k = int(np.argmax(defect))
    return _worst(defect[k], size[k], n, (min(i, int(others[k])), max(i, int(others[k]))))


def regular_check(
    kernel: MapKernel, x: Array, tol: float, name: str, point_shape: tuple[int, ...], space_dim: int
) -> Check:
    """rank dG = d at flat points of shape=[N, D]: the smallest singular value exceeds `tol` times the largest.

    Rows of different blocks are orthogonal, and a block is compared with itself, its rows at unit length, so that no
    output's unit counts; on R^D also with columns d_k G x_k, what changes of coordinates relative to themselves do,
    since one well-conditioned form of dG shows its rank.
    """
    kernel.fresh()
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
            return _ends(rows, x if kernel.flat else None)
        rows = require_finite(kernel.block_rows(x)[0], x, 1, f"gradients of {name}")
        if blocks.width == 1:
            sizes = blocks.largest(rows[:, 0])  # whose squares may be no numbers
            return sizes, sizes
        low, high = _ends(blocks.matrices(rows), blocks.matrices(x[:, None])[:, :, 0], (~blocks.padding).sum(axis=1))
        short = blocks.sizes < (~blocks.padding).sum(axis=1)  # more outputs than inputs
        return np.where(short, 0.0, low), high

    return in_slices(of_slice, max(blocks.width, 2) * kernel.dim, x)


def _ends(rows: Array, x: Array | None, counts: Index | None = None) -> tuple[Array, Array]:
    """The smallest and the largest singular value of rows of unit length, shape=[..., m, D] to shape=[...] twice.

    Also of rows with the columns in units of x, shape=[..., D], where these are less apart; of the first `counts`.
    """
    found = []
    with np.errstate(all="ignore"):
        for matrix in (rows,) if x is None else (rows, rows * x[..., None, :]):
            largest = np.abs(matrix).max(axis=-1, keepdims=True)
            unit = matrix / np.where(largest > 0, largest, 1.0)
            length = np.linalg.norm(unit, axis=-1, keepdims=True)
            values = np.linalg.svd(unit / np.where(length > 0, length, 1.0), compute_uv=False)
            last = np.minimum(rows.shape[-2] if counts is None else counts, values.shape[-1]) - 1
            index = np.broadcast_to(last, values.shape[:-1])[..., None]
            found.append((np.take_along_axis(values, index, axis=-1)[..., 0], values[..., 0]))
    (low, high), (other, top) = found[0], found[-1]
    better = other * high > low * top
    return np.where(better, other, low), np.where(better, top, high)
