"""Spectral Gauss-Newton: an isometric embedding in few ambient dimensions, by Chebyshev coefficients.

F = sum_k A_k T_k(w), as many k as there are of total degree at most p. The whitened residual
L^{-1} dF^T dF L^{-T} - I, H = L L^T, is driven to zero at Chebyshev-distributed Sobol points by Levenberg-Marquardt,
degree after degree. A degree is left as soon as the error at fresh points stops falling: what is fitted after that is
the truncation.

Flops of a step at P points, m = C(d+p, d): (d D(D+1)/2 + D^2) P m^2 for the normal matrix, (D m)^3 / 3 for its Cholesky
factor.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn
from scipy.stats import qmc

from geoflow._typing import Array, Index, Map
from geoflow.errors import ArgumentError
from geoflow.numerics.chebyshev import BoxMap, ProductBasis, pairs, total_degree
from geoflow.potentials.convexity import pivots
from geoflow.realization.collocation import Collocation, DampedEquations, State
from geoflow.realization.embedding import Embedding, Jet
from geoflow.realization.methods import NumericalMethod, Solved, Stage, Task, register

#: points for a product; and beyond the start, for one inside, points of the faces, which a density hardly reaches and
#: where polynomials are worst. In fewer variables they are no gain for their cost
OVERSAMPLING, ON_FACES = {1: 2.0, 2: 2.0, 3: 1.7, 4: 1.6}, {1: 0.0, 2: 0.0, 3: 0.0, 4: 0.1}
DEGREES = {1: tuple(range(6, 63, 8)), 2: tuple(range(6, 49, 6)), 3: (4, 7, 10, 12, 14), 4: (3, 5, 7, 8, 9, 10)}
FIRST_DAMPING, DAMPING = 1e-3, {1: 1e-9, 2: 1e-9, 3: 1e-9, 4: 3e-8}  # at the first degree, and at the start of others
#: points an axis at which a metric in two variables is looked at for the products it is made of, and its rounding
GRID, HIDDEN = 64, 1e-15
STEPS, LEAST_DEGREE = 40, 2
TRIES = 12
FLOOR = 2e-15
FALL = 0.7  # a step that leaves more than this of the error at fresh points is a lost one
#: degree, and products of degrees before the total one is bounded, up to which a saved map is loaded
LARGEST_DEGREE, LARGEST_GRID = 1000, 2**20
#: sizes of the quadratic terms of a start, beside what the metric allows; and the part of the error that a degree more
#: leaves where another is tried
BENDS, STUCK = (0.3, 0.2, 0.45), 0.82
DEARER = 4.0  # a second lost step is waited for where one at the next degree costs more than this, or there is none


class SpectralMap(Embedding):
    """F(w) = sum_k A_k T_k(w): coefficients A of shape=[D, m] in a basis of m products on a box."""

    def __init__(self, basis: ProductBasis, coefficients: Array):
        self.basis, self.coefficients = basis, coefficients
        self.dim, self.ambient_dim = basis.dim, len(coefficients)

    def jet(self, w: Array) -> Jet:
        return self.basis.jet(w, self.coefficients)

    def value(self, w: Array) -> Array:
        return self.basis.value(w, self.coefficients)

    def jacobian(self, w: Array) -> Array:
        return self.basis.gradient(w, self.coefficients)


def solve(task: Task) -> Solved:
    """Continuation in degree until the error at fresh points meets tol; the best map found, and every stage.

    Degrees that hardly lower the error are where the map is bent wrongly: what gets there from another start, each of
    which costs less than the next degree, may take its place. Where D = d there is nothing to bend.
    """
    climb = _Climb(task)
    last: _Found | None = None
    others, least, misses = list(BENDS[1:]) if climb.ambient_dim > task.dim else [], np.inf, 0
    for k in range(len(climb.degrees)):
        found = climb.at(k, last, BENDS[0])
        while last and others and found.error > max(task.tol, STUCK ** (found.degree - last.degree) * last.error):
            found = min(found, climb.to(k, others.pop(0)), key=lambda one: one.error)
        last = found
        misses = 0 if found.error < 0.7 * least else misses + 1
        least = min(least, found.error)
        if found.error <= task.tol or misses >= 3:
            break
    best = min(climb.found, key=lambda one: one.error)
    return Solved(best.map, climb.stages, f"degree {best.degree} in R^{climb.ambient_dim}")


class _Found(NamedTuple):
    """A degree, its map, and the error of that at fresh points."""

    degree: int
    map: SpectralMap
    error: float


class _Climb:
    """The degrees of a solution and their bases; from the map of one to that of the next. All are kept."""

    def __init__(self, task: Task):
        self._task, self._began, d = task, time.perf_counter(), task.dim
        self.degrees = degrees_up_to(d, task.budget.max_degree)
        self.found, self.stages = list[_Found](), list[Stage]()
        if self.degrees[-1] < LEAST_DEGREE:
            wanted = f"at least {LEAST_DEGREE}, the degree of a start"
            raise ArgumentError("max_degree", f"{self.degrees[-1]}", wanted, "raise it, or leave it out")
        self.ambient_dim = task.budget.ambient_dim or d * (d + 3) // 2
        self._order = products(task.metric, BoxMap(task.lower, task.upper), self.degrees[-1], self.degrees[0])

    def at(self, k: int, last: _Found | None, bend: float) -> _Found:
        """The map of the k-th degree from that of the last, or from a start."""
        task, p, d = self._task, self.degrees[k], self._task.dim
        basis = ProductBasis(task.lower, task.upper, self._order[: comb(d + p, d)])
        n = int(OVERSAMPLING[d] * len(basis)) + 8
        w = _points(basis, n, seed=p)
        H = task.metric(w)
        if last is not None and ON_FACES[d]:
            faces = _on_faces(basis, int(ON_FACES[d] * n), seed=p)
            there = task.metric(faces)
            fine = pivots(there) > 0  # a face may lie on the boundary of the domain
            w, H = np.concatenate([w, faces[fine]]), np.concatenate([H, there[fine]])
        points = Collocation(H, basis, w)
        if last is None:
            A, damping = _start(task.metric, basis, self.ambient_dim, bend), FIRST_DAMPING
        else:
            old = last.map.coefficients
            A, damping = np.pad(old, ((0, 0), (0, len(basis) - old.shape[1]))), DAMPING[d]
        ratio = comb(d + self.degrees[min(k + 1, len(self.degrees) - 1)], d) / len(basis)
        patience = 1 if 1 < ratio**3 <= DEARER else 2
        candidate, fitted, error = _levenberg_marquardt(points, A, damping, task, patience)
        self.stages.append(Stage(p, len(w), fitted, error, time.perf_counter() - self._began))
        self.found.append(_Found(p, candidate, error))
        task.advance(self.stages[-1])
        return self.found[-1]

    def to(self, k: int, bend: float) -> _Found:
        """The map of the k-th degree from a start, or of the first degree that meets tol."""
        found = self.at(0, None, bend)
        for j in range(1, k + 1):
            if found.error <= self._task.tol:
                break
            found = self.at(j, found, bend)
        return found


def degrees_up_to(d: int, max_degree: int | None) -> tuple[int, ...]:
    """The degrees of the continuation; those of the default and, beyond it, steps of the last size up to max_degree."""
    if max_degree is None:
        return DEGREES[d]
    known = DEGREES[d]
    step = known[-1] - known[-2]
    degrees = [p for p in known if p < max_degree] + list(range(known[-1] + step, max_degree, step))
    return (*degrees, max_degree)


def products(metric: Map, box: BoxMap, degree: int, start: int) -> Index:
    """The products of Chebyshev polynomials, shape=[m, d], in the order in which they come to a basis: by total degree.

    In two variables only half by that, as F bends in ways of its own, and half by the largest coefficient of H at k or
    beyond, as H may be far steeper along one line than along others; those of total degree `start` come first, whatever
    H is, since a start is still to be bent in every way. Where rounding or the grid hides coefficients, k counts beside
    the largest that are seen.
    """
    d, n = box.dim, GRID
    if d != 2:
        k = total_degree(d, degree)
        return np.asarray(k[np.argsort(k.sum(axis=1), kind="stable")])
    k = total_degree(d, 2 * max(degree, DEGREES[d][-1]))  # ranks that are the same whatever degree is the last
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    H = metric(box.from_unit(np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, d)))
    H = H / (box.scale[:, None] * box.scale)  # in units of the box
    size = np.abs(dctn(H.reshape(n, n, -1), axes=(0, 1))).max(axis=-1)
    for axis in range(d):
        size = np.flip(np.maximum.accumulate(np.flip(size, axis), axis=axis), axis)
    hidden = max(HIDDEN * size[0, 0], size[-1, 0], size[0, -1])
    seen = np.array([np.count_nonzero(size[:, 0] > hidden), np.count_nonzero(size[0] > hidden)])
    within, matters = (k < n).all(axis=1), np.full(len(k), hidden)
    matters[within] = np.maximum(size[tuple(k[within].T)], hidden)
    by_size, by_degree = np.empty(len(k)), np.empty(len(k))
    by_size[np.lexsort([(k / np.maximum(seen, 1)).sum(axis=1), -matters])] = np.arange(len(k))
    by_degree[np.argsort(k.sum(axis=1), kind="stable")] = np.arange(len(k))
    # a rank as a degree is its root
    return np.asarray(k[np.lexsort([np.sqrt(by_size) + np.sqrt(by_degree), k.sum(axis=1) > start])])


def _points(box: BoxMap, n: int, seed: int) -> Array:
    """n Sobol points with the Chebyshev density in every coordinate."""
    sobol = qmc.Sobol(box.dim, seed=seed).random_base2(int(np.ceil(np.log2(n))))[:n]
    return box.from_unit(np.cos(np.pi * sobol))


def _on_faces(box: BoxMap, n: int, seed: int) -> Array:
    """All corners, and n points, as many on every edge as on every other face, with the Chebyshev density on each."""
    side = np.stack(np.meshgrid(*[[-1.0, 0.0, 1.0]] * box.dim, indexing="ij"), axis=-1).reshape(-1, box.dim)
    codimension = np.count_nonzero(side, axis=1)
    faces = side[(codimension > 0) & (codimension < box.dim)]
    at = faces[np.random.default_rng(seed).permutation(n) % len(faces)]
    inside = box.to_unit(_points(box, n, seed + 1))
    return np.concatenate([box.from_unit(side[codimension == box.dim]), box.from_unit(np.where(at, at, inside))])


def _start(metric: Map, basis: ProductBasis, ambient_dim: int, bend: float) -> Array:
    """A linear map whose metric is the mean of H, and quadratic terms in the other coordinates: for
    D >= d(d+3)/2 a free map, first and second derivatives independent."""
    d = basis.dim
    H = metric(_points(basis, 256, seed=0))
    unit, half_width = np.eye(d, dtype=int), 1 / basis.scale
    place = {tuple(k): m for m, k in enumerate(basis.index)}
    A = np.zeros((ambient_dim, len(basis)))
    root = np.linalg.cholesky(H.mean(0)).T * half_width
    for i in range(d):
        A[:d, place[tuple(unit[i])]] = root[:, i]
    extra = ambient_dim - d
    if extra:
        small = bend * np.sqrt(np.linalg.eigvalsh(H).min()) * half_width.min()
        squares_first = sorted(pairs(d), key=lambda ij: ij[0] != ij[1]) if extra < d * (d + 1) // 2 else pairs(d)
        for row in range(max(extra, len(squares_first))):
            i, j = squares_first[row % len(squares_first)]
            # rows beyond the number of products of two coordinates start smaller, not at zero, where they would stay
            A[d + row % extra, place[tuple(unit[i] + unit[j])]] = small / (1 + row // len(squares_first))
    return A


def _levenberg_marquardt(
    points: Collocation, A: Array, damping: float, task: Task, patience: int
) -> tuple[SpectralMap, float, float]:
    """The map with the least error at fresh points, its largest residual at `points`, and that error."""
    state = points.state(A / points.weight)
    best, fit, least, before, lost = SpectralMap(points.basis, A), float(np.abs(state.r).max()), np.inf, np.inf, 0
    for _ in range(STEPS):
        taken = _step(points, state, damping)
        if taken is None:
            break
        state, damping = taken
        candidate, fitted = SpectralMap(points.basis, state.x * points.weight), float(np.abs(state.r).max())
        error = task.fresh_error(candidate)
        if error < least:
            best, fit, least = candidate, fitted, error
        # points fitted worse than the fresh ones: still on the way
        lost = lost + 1 if error > FALL * before and fitted < error else 0
        before = error
        if error <= task.tol or fitted < FLOOR or lost >= patience:
            break
    return best, fit, task.fresh_error(best) if np.isinf(least) else least


def _step(points: Collocation, state: State, damping: float) -> tuple[State, float] | None:
    """The state after a damped step that lowers the cost, and the damping of the next; None where no step does."""
    equations, gradient = DampedEquations(points, state.K, damping), points.gradient(state).ravel()
    growth, cost = 2.0, state.cost
    for _ in range(TRIES):
        step = equations.solve(gradient, damping)
        if step is not None:
            new = points.state(state.x - step.reshape(state.x.shape))
            if new.cost < cost:
                predicted = float(step @ gradient + damping * equations.unit * (step @ step))
                gain = (cost - new.cost) / max(predicted, 1e-300)
                return new, max(damping * max(0.1, 1 - (2 * gain - 1) ** 3), 1e-18)
        damping, growth = max(damping * growth, 1e-17), min(2 * growth, 32.0)
    return None


def _arrays_of(embedding: Embedding) -> dict[str, Array]:
    assert isinstance(embedding, SpectralMap)
    basis = embedding.basis
    return {"degree": np.asarray(basis.degree), "index": basis.index, "coefficients": embedding.coefficients}


def _from_arrays(lower: Array, upper: Array, arrays: Mapping[str, Array]) -> SpectralMap:
    """`ValueError` for a degree that the coefficients do not have, or whose basis is larger than any solver makes.

    Files of earlier releases have no `index`: they are of all products up to a total degree.
    """
    A, p, d = arrays["coefficients"], int(arrays["degree"]), len(lower)
    if not 0 < p <= LARGEST_DEGREE or (p + 1) ** d > LARGEST_GRID:
        raise ValueError(f"degree {p} in dimension {d}, beyond what is loaded")
    given = arrays.get("index")
    if given is None:
        shape = (len(A), comb(d + p, d))
    elif given.dtype.kind not in "iu" or given.shape != (len(given), d) or not len(given):
        raise ValueError(f"products of type {given.dtype} and shape {given.shape} in dimension {d}")
    elif given.min() < 0 or given.max() != p or len(np.unique(given, axis=0)) < len(given):
        raise ValueError(f"products that are not different ones of degree {p}")
    else:
        shape = (len(A), len(given))
    if A.shape != shape or A.dtype.kind != "f" or not np.isfinite(A).all() or len(A) < d:
        raise ValueError(f"coefficients of type {A.dtype} and shape {A.shape} for degree {p} in dimension {d}")
    return SpectralMap(ProductBasis(lower, upper, total_degree(d, p) if given is None else given.astype(int)), A)


SPECTRAL = register(NumericalMethod("spectral", solve, _arrays_of, _from_arrays, "raise max_degree or ambient_dim"))
