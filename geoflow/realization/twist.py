"""Nash twist with Kallen's correction: an isometric embedding of any smooth metric on a box."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import ConvergenceError
from geoflow.numerics.chebyshev import TensorGrid, TensorSeries
from geoflow.realization.embedding import Embedding, Jet
from geoflow.realization.methods import NumericalMethod, Solved, Stage, Task, register

GRIDS = {1: (32, 64, 128), 2: (24, 32, 40, 48, 56, 64, 80), 3: (10, 13, 16, 20, 24), 4: (6, 8, 10, 12)}
FREQUENCIES = tuple(20.0 * 1.6**k for k in range(11))
KALLEN_STEPS = 25
FRONT = 0.2  # share of the smallest eigenvalue that goes into the linear front part
CENTRE_STEPS = 80
LINES = {1: (1,), 2: (5, 8, 12, 18, 27), 3: (9, 12, 15, 20, 30), 4: (20, 28, 36, 60)}
LARGEST_GRID = 1000  # points an axis up to which a saved map is loaded
MARGIN = 0.06  # smallest c_k over their mean: below, a metric is so near the edge of the cone that c varies fast


class TwistMap(Embedding):
    """F(w) = (B w, (a_k(w) / lam) cos(lam <l_k, w>), (a_k(w) / lam) sin(lam <l_k, w>))_k.

    dF^T dF = B^T B + sum_k a_k^2 l_k l_k^T + lam^-2 sum_k grad a_k grad a_k^T; |F(w) - F(v)| >= |B (w - v)|. B is the
    front part, shape=[d, d], and the amplitudes a_k are a series of N functions.
    """

    def __init__(self, front: Array, directions: Array, frequency: float, amplitudes: TensorSeries):
        self.front, self.directions, self.frequency, self.amplitudes = front, directions, frequency, amplitudes
        self.dim = front.shape[1]
        self.ambient_dim = len(front) + 2 * len(directions)

    def jet(self, w: Array) -> Jet:
        lam, lines = self.frequency, self.directions
        a, da, dda = self.amplitudes.jet(w)
        phase = self._phase(w)
        outer = lines[:, :, None] * lines[:, None, :]
        mixed = da[..., :, None] * lines[:, None, :]
        mixed = mixed + np.swapaxes(mixed, -1, -2)
        values, firsts = [w @ self.front.T], [np.broadcast_to(self.front, (len(w), *self.front.shape))]
        seconds = [np.zeros((len(w), len(self.front), self.dim, self.dim))]
        for wave, other in ((np.cos(phase), -np.sin(phase)), (np.sin(phase), np.cos(phase))):
            values.append(a * wave / lam)
            firsts.append(da * wave[..., None] / lam + (a * other)[..., None] * lines)
            seconds.append(
                (dda / lam - lam * a[..., None, None] * outer) * wave[..., None, None] + mixed * other[..., None, None]
            )
        return np.concatenate(values, 1), np.concatenate(firsts, 1), np.concatenate(seconds, 1)

    def value(self, w: Array) -> Array:
        a, phase = self.amplitudes.derivatives(w, 0)[0] / self.frequency, self._phase(w)
        return np.concatenate([w @ self.front.T, a * np.cos(phase), a * np.sin(phase)], axis=1)

    def jacobian(self, w: Array) -> Array:
        a, da = self.amplitudes.derivatives(w, 1)
        c, s = np.cos(self._phase(w))[..., None], np.sin(self._phase(w))[..., None]
        slope, turn = da / self.frequency, a[..., None] * self.directions
        front = np.broadcast_to(self.front, (len(w), *self.front.shape))
        return np.concatenate([front, slope * c - turn * s, slope * s + turn * c], axis=1)

    def _phase(self, w: Array) -> Array:
        phase: Array = self.frequency * ((w - self.amplitudes.lower) @ self.directions.T)
        return phase

    def guess(self, x: Array) -> Array | None:
        return np.linalg.solve(self.front, x[:, : len(self.front)].T).T


@dataclass(frozen=True)
class _Cone:
    """Directions l_k whose squares l_k l_k^T span a cone that holds the whitened metric minus its front part."""

    whitening: Array  # W: metric W H W^T has mean I
    lines: Array  # [N, d], in whitened coordinates
    front: float  # multiple of I that goes in front


def solve(task: Task) -> Solved:
    """Twist and correct: the frequency is raised where steps do not shrink the error on the grid, the grid is refined
    where the error at fresh points is not that of the grid; the best map found, and every stage."""
    d, start, fixed = task.dim, time.perf_counter(), task.budget.frequency
    frequencies = FREQUENCIES if fixed is None else (float(fixed),)
    grids = GRIDS[d]
    cone = _choose_cone(task.metric, task.lower, task.upper)
    stages: list[Stage] = []
    best: tuple[float, TwistMap | None] = (np.inf, None)
    level, k = 0, 0
    while True:
        grid = TensorGrid(task.lower, task.upper, grids[level])
        H = task.metric(grid.points)
        amplitudes, fitted = _kallen(H, grid, cone, frequencies[k], task.tol)
        candidate = _twist(grid, amplitudes, cone, frequencies[k])
        error = task.fresh_error(candidate)
        stages.append(Stage(frequencies[k], grids[level], fitted, error, time.perf_counter() - start))
        task.advance(stages[-1])
        if error < best[0]:
            best = error, candidate
        if error <= task.tol:
            break
        if fitted > max(0.3 * task.tol, 0.3 * error) and k + 1 < len(frequencies):
            k += 1  # the correction itself falls short
        elif error > 3 * fitted and level + 1 < len(grids):
            level += 1  # the interpolation falls short
        else:
            break
    F = best[1]
    assert F is not None
    reason = f"{len(F.directions)} directions, frequency {F.frequency:.4g}, {F.amplitudes.degree + 1} points an axis"
    return Solved(F, stages, reason)


def _twist(grid: TensorGrid, amplitudes: Array, cone: _Cone, frequency: float) -> TwistMap:
    """The map of amplitudes at the grid points, in the coordinates of the box."""
    W, series = cone.whitening, TensorSeries(grid.lower, grid.upper, grid.coefficients(amplitudes))
    front, lines = np.sqrt(cone.front) * np.linalg.inv(W).T, np.linalg.solve(W, cone.lines.T).T
    return TwistMap(front, lines, frequency, series)


def _kallen(H: Array, grid: TensorGrid, cone: _Cone, lam: float, tol: float) -> tuple[Array, float]:
    """Kallen's iteration c <- c(H - lam^-2 sum grad a grad a^T): the best amplitudes a_k, and their error."""
    W, lines = cone.whitening, cone.lines
    d = H.shape[-1]
    target0 = W @ H @ W.T
    rest = target0 - cone.front * np.eye(d)
    white = np.linalg.inv(np.linalg.cholesky(target0))
    excess = np.zeros_like(rest)
    best_a, best = np.zeros((len(H), len(lines))), np.inf
    dual: Array | None = None
    for _ in range(KALLEN_STEPS):
        try:
            c, dual = analytic_centre(rest - excess, lines, dual)
        except ConvergenceError:
            break  # the correction left the cone: the frequency is too low
        a = np.sqrt(c)
        gradient = grid.gradient(a) @ W.T
        new = np.einsum("pki,pkj->pij", gradient, gradient) / lam**2
        error = float(np.linalg.norm(white @ (new - excess) @ np.swapaxes(white, 1, 2), ord=2, axis=(1, 2)).max())
        if error >= 0.7 * best:
            if error < best:
                best_a, best = a, error
            break
        best_a, best, excess = a, error, new
        if best < 1e-3 * tol or best < 1e-14:
            break
    return best_a, best


def analytic_centre(H: Array, lines: Array, start: Array | None = None) -> tuple[Array, Array]:
    """c maximising sum log c_k subject to sum_k c_k l_k l_k^T = H, for all matrices at once.

    The dual, minimise <Y, H> - sum log <l_k, Y l_k>, by damped Newton, with c_k = 1 / <l_k, Y l_k>.

    H of shape=[P, d, d], lines of shape=[N, d] and a dual solution to start from, shape=[P, d(d+1)/2], to c of
    shape=[P, N] and the dual solution. `ConvergenceError` where a matrix is no positive combination of the l_k l_k^T.
    """
    d, N = H.shape[-1], len(lines)
    i, j = np.triu_indices(d)
    norm = np.where(i == j, 1.0, np.sqrt(2))
    V = lines[:, i] * lines[:, j] * norm
    h = H[:, i, j] * norm
    trace = np.trace(H, axis1=1, axis2=2)
    if not (trace > 0).all():
        raise ConvergenceError("analytic centre", got="a matrix with trace <= 0", wanted="positive definite matrices")
    y = np.eye(d)[i, j] * norm * (N / trace)[:, None] if start is None else start.copy()
    scale = np.abs(h).max(axis=1)
    active = np.arange(len(h))
    for _ in range(CENTRE_STEPS):
        s = y[active] @ V.T
        if not (s > 0).all():
            break  # overflow on the way to infinity: a matrix outside the cone
        c = 1 / s
        g = h[active] - c @ V
        M = np.einsum("pk,ka,kb->pab", c**2, V, V, optimize=True)
        try:
            dy = np.linalg.solve(M, -g[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break  # the dual runs off to infinity: a matrix outside the cone
        decrement = np.sqrt(np.maximum(-(g * dy).sum(1), 0.0))
        y[active] += dy / (1 + np.where(decrement > 0.25, decrement, 0.0))[:, None]
        # a last full step from a decrement of 1e-9 leaves an error below rounding
        active = active[(decrement > 1e-9) | (np.abs(g).max(1) > 1e-13 * scale[active])]
        active = active[np.isfinite(y[active]).all(1)]
        if len(active) == 0:
            break
    with np.errstate(all="ignore"):
        c = 1 / (y @ V.T)
    defect = np.abs(c @ V - h).max(1) / scale
    if not (np.isfinite(defect).all() and defect.max() < 1e-11 and (c > 0).all()):
        size = float(np.nanmax(defect))
        got = f"a matrix that is not a positive combination of {N} squares (defect {size:.1e})"
        wanted, remedy = "a metric inside the cone of the directions", "shrink the box, so that the metric varies less"
        raise ConvergenceError("decomposition of the metric", got, wanted, remedy, defect=size)
    return c, y


def _choose_cone(metric: Map, lower: Array, upper: Array) -> _Cone:
    """The fewest directions, and the largest front part, for which every matrix is well inside their cone."""
    d = len(lower)
    grid = TensorGrid(lower, upper, GRIDS[d][0]).points
    corners = np.array(list(itertools.product(*np.stack([lower, upper], axis=1))))
    H = metric(np.concatenate([grid[:: len(grid) // 3000 + 1], corners]))
    W = np.linalg.inv(np.linalg.cholesky(H.mean(0)))
    whitened = W @ H @ W.T
    smallest = float(np.linalg.eigvalsh(whitened)[:, 0].min())
    best: tuple[float, _Cone | None] = (0.0, None)
    for n in LINES[d]:
        lines = spread_lines(n, d)
        for front in (FRONT, FRONT / 4):
            shifted = whitened - front * smallest * np.eye(d)
            try:
                c, _ = analytic_centre(shifted, lines)
            except ConvergenceError:
                continue
            margin = float((c.min(axis=1) * n / np.trace(shifted, axis1=1, axis2=2)).min())
            cone = _Cone(W, lines, front * smallest)
            if margin > MARGIN:
                return cone
            if margin > best[0]:
                best = margin, cone
    if best[1] is None:
        ends = f"from {smallest:.1e} to {np.linalg.eigvalsh(whitened).max():.1e}"
        got = f"a metric that varies too much: whitened by its mean, it has eigenvalues {ends}"
        wanted = f"a metric inside the cone of {LINES[d][-1]} evenly spread directions"
        raise ConvergenceError("directions for the twist", got, wanted, "shrink the box, or use method='spectral'")
    return best[1]


def spread_lines(n: int, d: int) -> Array:
    """n unit vectors whose lines are evenly spread; equal angles for d = 2, else by repulsion; shape=[n, d]."""
    if d == 1:
        return np.ones((1, 1))
    if d == 2:
        angle = np.pi * np.arange(n) / n
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    x = np.random.default_rng(0).standard_normal((n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for _ in range(800):  # descent of sum <x_i, x_j>^6, which is blind to signs
        x = x - 0.1 * (x @ x.T) ** 5 @ x
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def _arrays_of(embedding: Embedding) -> dict[str, Array]:
    assert isinstance(embedding, TwistMap)
    return {
        **{name: np.asarray(getattr(embedding, name)) for name in ("front", "directions", "frequency")},
        "coefficients": embedding.amplitudes.coefficients,
    }


def _from_arrays(lower: Array, upper: Array, arrays: Mapping[str, Array]) -> TwistMap:
    """`ValueError` for arrays whose shapes do not belong together, or a degree larger than any grid has."""
    front, lines, c = (arrays[name] for name in ("front", "directions", "coefficients"))
    d, frequency, n = len(lower), float(arrays["frequency"]), c.shape[0] if c.ndim else 0
    if not 1 <= n <= LARGEST_GRID or c.shape != (*(n,) * d, len(lines)):
        raise ValueError(f"amplitudes of shape {c.shape} for directions of shape {lines.shape} in dimension {d}")
    if front.shape != (d, d) or lines.shape != (len(lines), d) or not 0 < frequency < np.inf:
        raise ValueError(f"front of shape {front.shape}, directions of shape {lines.shape}, frequency {frequency}")
    if not all(a.dtype.kind == "f" and np.isfinite(a).all() for a in (front, lines, c)):
        raise ValueError("an array with a NaN, an infinity, or no real numbers")
    return TwistMap(front, lines, frequency, TensorSeries(lower, upper, c))


TWIST = register(NumericalMethod("twist", solve, _arrays_of, _from_arrays, "leave the frequency free"))
