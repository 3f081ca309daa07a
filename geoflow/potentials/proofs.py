"""Strict convexity on a box, proved: Hessians on cells in ball arithmetic, halved until each is positive definite.

Where that takes too many cells the interpolant of the Hessian decides, `interpolants.least_eigenvalue`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow._validate import as_count, describe, require_type
from geoflow.errors import ArgumentError, DomainError, NotLegendreError
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, lower, precision, upper
from geoflow.numerics.duals import Centred
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from geoflow.numerics.records import Record
from geoflow.potentials.interpolants import least_eigenvalue
from geoflow.results import Verdict, downward
from geoflow.spaces.domains import Box, ConvexDomain

#: cells at most, and before the interpolant is asked
MAX_CELLS, FEW_CELLS = 10_000, 1_000
#: dimension up to which a box is cut into cells
LARGEST_DIM = 8
#: dimension up to which a Hessian is interpolated where cells do not decide
LARGEST_GRID = 2
PROVED, REFUTED, UNDECIDED = "proved", "refuted", "undecided"


@dataclass(frozen=True, eq=False, repr=False)
class LegendreProof(Verdict):
    """What is proved of the convexity of R on a box; truthy where it is proved strictly convex there.

    Attributes
    ----------
    status : str
        "proved": hess R is positive definite at every point of the box. "refuted": <v, hess R v> < 0 at `point` for
        v = `direction`, so that R is not convex. "undecided": neither; the ball of the Hessian on the cell from
        `lower` to `upper` holds singular matrices.
    least_eigenvalue : float
        A proved lower bound of the eigenvalues of hess R on the box; NaN where there is none.
    cells : int
        Cells that were looked at; where they were too many, the interpolant of the Hessian proved it.
    box : Box
    point, direction, lower, upper : array, shape=[d], or None
    """

    status: str
    box: Box
    least_eigenvalue: float
    cells: int
    point: Array | None = field(default=None, repr=False)
    direction: Array | None = field(default=None, repr=False)
    lower: Array | None = field(default=None, repr=False)
    upper: Array | None = field(default=None, repr=False)

    @property
    def failures(self) -> list[str]:
        return [] if self.status == PROVED else [f"strict convexity {self.status}"]

    def unwrap(self) -> LegendreProof:
        """Return the proof, or raise `NotLegendreError` with the point or the cell."""
        if self.passed:
            return self
        wanted = "a positive definite Hessian on the whole box"
        raise NotLegendreError(f"strict convexity on {self.box}", str(self), wanted, point=self.point)

    def __str__(self) -> str:
        if self.status == PROVED:
            return (
                f"strictly convex on {self.box}, proved: eigenvalues of the Hessian at least "
                f"{downward(self.least_eigenvalue, 3)} ({self.cells} cells)"
            )
        if self.status == REFUTED:
            return f"not convex, proved: <v, H v> < 0 at {describe(self.point)} for v = {describe(self.direction)}"
        return f"undecided after {self.cells} cells: the cell from {describe(self.lower)} to {describe(self.upper)}"


def prove_legendre(potential: Any, domain: ConvexDomain, box: Box, max_cells: int, name: str) -> LegendreProof:
    """Whether a function is strictly convex on a bounded box, by halving cells; see `prove_legendre` of R."""
    box = _bounded(box, domain, name)
    max_cells = as_count(max_cells, "max_cells")
    recorded = recorded_or_error(potential, sample(box), name)
    with precision() as flint:
        hessians = _Hessians(recorded, flint)
        found = _by_cells(hessians, box, min(max_cells, FEW_CELLS))
        if found.status == UNDECIDED and box.dim <= LARGEST_GRID:
            least = least_eigenvalue(flint, box, recorded)
            if least > 0:
                return LegendreProof(PROVED, box, least, found.cells)
        if found.status == UNDECIDED and max_cells > FEW_CELLS:
            return _by_cells(hessians, box, max_cells)
        return found


def _bounded(box: Box, domain: ConvexDomain, name: str) -> Box:
    """The box, once it is bounded and its corners, and so all of it, are in the domain."""
    require_type(box, Box, f"box on which {name} is to be proved convex", "gf.domains.Box(lower, upper)")
    if not box.bounded or box.dim != domain.dim:
        raise ArgumentError("box of a proof", got=f"{box}", wanted=f"a bounded box of R^{domain.dim}")
    if box.dim > LARGEST_DIM:
        raise ArgumentError("box of a proof", got=f"dimension {box.dim}", wanted=f"dimension {LARGEST_DIM} at most")
    corners = np.array(list(itertools.product(*np.stack([box.lower, box.upper], axis=1))))
    inside = np.asarray(domain.belongs(corners))
    if not inside.all():
        corner = corners[int(np.argmin(inside))]
        raise DomainError(f"corner of the box for {name}", describe(corner), f"a point of {domain}", point=corner)
    return box


def sample(box: Box, n: int = 60) -> Array:
    """The middle of a bounded box, and random points of it, shape=[n, d]."""
    points = np.random.default_rng(11).uniform(box.lower, box.upper, (n, box.dim))
    points[0] = (box.lower + box.upper) / 2
    return points


class _Hessians:
    """The Hessian of a recorded function at points and on cells, as rows of balls."""

    def __init__(self, recorded: Record, flint: Any):
        self.arb, self.scalar = flint.arb, Scalar(flint, False)
        self.function, self.centred = Evaluation(recorded, self.scalar.constant), Centred(recorded, flint)

    def cell(self, low: Array, high: Array) -> list[Any]:
        """The balls of the coordinates on a cell."""
        return [self.arb(float(a)).union(self.arb(float(b))) for a, b in zip(low, high, strict=True)]

    def definite(self, low: Array, high: Array, middle: Array) -> tuple[float, list[list[Any]] | None]:
        """A bound of the eigenvalues on a cell, by its ball or else by the mean-value form, with H at its middle."""
        on_cell = self.at(low, high)
        bound = -np.inf if on_cell is None else definite(on_cell)
        if bound > 0:
            return bound, None
        at_middle = self.at(middle, middle)
        if on_cell is not None and at_middle is not None and definite(at_middle) > 0:
            bound = definite(self.centred(self.cell(low, high), middle.tolist(), at_middle))
        return bound, at_middle

    def at(self, low: Array, high: Array) -> list[list[Any]] | None:
        """On the cell from low to high; None where a comparison is not decided there."""
        balls = self.cell(low, high)
        try:
            jet: Any = self.function(Jet.variables(self.scalar, balls)).item()
        except UndecidedError:
            return None
        d = len(low)
        return hessian_of(jet, d) if jet.first is not None else [[self.arb(0)] * d for _ in range(d)]


def _by_cells(hessians: _Hessians, box: Box, max_cells: int) -> LegendreProof:
    sides, least, cells = box.upper - box.lower, np.inf, 0
    waiting = [(box.lower, box.upper)]
    while waiting:
        low, high = waiting.pop()
        cells += 1
        middle = np.clip((low + high) / 2, low, high)
        bound, at_middle = hessians.definite(low, high, middle)
        if bound > 0:
            least = min(least, bound)
            continue
        direction = _downward(at_middle)
        if direction is not None:
            return LegendreProof(REFUTED, box, np.nan, cells, middle, direction)
        axis = int(np.argmax((high - low) / sides))
        if cells + len(waiting) >= max_cells or not low[axis] < middle[axis] < high[axis]:
            return LegendreProof(UNDECIDED, box, np.nan, cells, lower=low, upper=high)
        one, two = high.copy(), low.copy()
        one[axis] = two[axis] = middle[axis]
        waiting += [(low, one), (two, high)]
    return LegendreProof(PROVED, box, least, cells)


def middles(H: list[list[Any]]) -> Array:
    """The midpoints of a matrix of real balls."""
    return np.array([[float(h.mid()) for h in row] for row in H])


def definite(H: list[list[Any]]) -> float:
    """A lower bound of the eigenvalues of all symmetric matrices in a ball, positive where they are shown definite.

    With W = L^{-1} for the midpoint L L^T: |W H W^T - I| <= r < 1 gives <v, H v> >= (1 - r) |v|^2 / |W|^2.
    """
    if not all(h.is_finite() for row in H for h in row):
        return -np.inf
    try:
        W = np.linalg.inv(np.linalg.cholesky(middles(H)))
    except np.linalg.LinAlgError:
        return -np.inf
    d, arb = len(H), type(H[0][0])
    if not np.isfinite(W).all():
        return -np.inf
    rows = [[arb(float(c)) for c in row] for row in W]
    half = [[sum((rows[i][k] * H[k][j] for k in range(d)), arb(0)) for j in range(d)] for i in range(d)]
    white = [[sum((half[i][k] * rows[j][k] for k in range(d)), arb(0)) for j in range(d)] for i in range(d)]
    # the largest row sum bounds the norm of a symmetric matrix
    gap = max(upper(sum((abs(white[i][j] - int(i == j)) for j in range(d)), arb(0))) for i in range(d))
    size = sum((c * c for row in rows for c in row), arb(0))
    return lower((1 - arb(gap)) / size) if gap < 1 else -np.inf


def _downward(H: list[list[Any]] | None) -> Array | None:
    """v with <v, H v> < 0 for all matrices in the ball; None where none is found."""
    if H is None or not all(h.is_finite() for row in H for h in row):
        return None
    values, vectors = np.linalg.eigh(middles(H))
    if not values[0] < 0:
        return None
    v, arb, d = vectors[:, 0], type(H[0][0]), len(H)
    exact = [arb(float(c)) for c in v]
    form = sum((exact[i] * H[i][j] * exact[j] for i in range(d) for j in range(d)), arb(0))
    return v if form < 0 else None
