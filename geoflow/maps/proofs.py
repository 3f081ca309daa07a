"""Commuting decided: brackets of recorded maps as exact polynomials, or enclosed by balls that exclude zero."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow._validate import require_type
from geoflow.errors import NotCommutingError, OperationError
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, precision
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from geoflow.numerics.polynomials import Polynomial
from geoflow.numerics.records import Record
from geoflow.numerics.structure import components
from geoflow.results import Verdict

PROVED, REFUTED, UNDECIDED = "proved", "refuted", "undecided"
#: a bracket that is this small beside the two terms it is the difference of may come from rounded coefficients
ROUNDED = 1e-12
#: points at which brackets of maps that are not rational are enclosed, and tries to find a witness of a polynomial
POINTS, TRIES = 6, 200


@dataclass(frozen=True, eq=False, repr=False)
class CommutingProof(Verdict):
    """What is proved of the brackets [grad G_i, grad G_j] of a map on R^D; truthy where all are proved to vanish.

    Attributes
    ----------
    status : str
        "proved": all brackets vanish identically. "refuted": that of `pair` does not. "undecided": neither.
    argument : str
        By what, in words.
    pair : tuple of int, or None
        Two outputs whose bracket is not zero.
    bracket : tuple
        Its D components, polynomials or rational functions in x0, ..., x(D-1); empty for maps that are neither.
    witness, value : tuple of Fraction
        A point where the bracket is not zero, and what it is there; the value is empty for maps that are not rational.
    defect : float
        The bracket at the witness beside the larger of the terms it is the difference of, at most 2: about 1e-16 where
        only the rounding of the map's own coefficients keeps it from commuting. NaN where a term has a pole there.
    """

    status: str
    argument: str
    pair: tuple[int, int] | None = None
    bracket: tuple[Any, ...] = ()
    witness: tuple[Fraction, ...] = ()
    value: tuple[Fraction, ...] = ()
    defect: float = 0.0

    @property
    def failures(self) -> list[str]:
        return [] if self.status == PROVED else [f"commuting {self.status}"]

    def unwrap(self) -> CommutingProof:
        """Return the proof, or raise `NotCommutingError` with the pair and the witness."""
        if self.passed:
            return self
        point = np.array([float(c) for c in self.witness])
        wanted = "brackets that vanish identically"
        raise NotCommutingError("commuting", str(self), wanted, defect=self.defect, point=point, pair=self.pair)

    def __str__(self) -> str:
        if self.status != REFUTED:
            return f"commuting {self.status}: {self.argument}"
        i, j = self.pair or (0, 0)
        at = ", ".join(str(c) for c in self.witness)
        text = f"not commuting, proved: {self.argument}; [grad G_{i + 1}, grad G_{j + 1}] is not zero at x = ({at})"
        if self.bracket:
            text += (
                f", where it is ({', '.join(str(c) for c in self.value)}); it is ({', '.join(map(str, self.bracket))})"
            )
        if self.defect <= ROUNDED:
            text += f"; relative size {self.defect:.1e}, as rounded coefficients leave of a map that commutes"
        return text


def prove_commuting(G: Parametrization) -> CommutingProof:
    """Whether the gradient fields of G commute, decided without rounding; G on R^D with its Euclidean metric.

    Outputs that share no input commute, whatever functions they are. For polynomial and rational maps the brackets are
    computed over Q and are zero, a theorem, or not, with a rational witness. Floats are the binary numbers they are:
    0.1 is not 1/10. For other maps a bracket is enclosed by balls at a few points: a ball without 0 is a disproof, and
    there is no proof. All of it is about the recorded map, which was compared with G at points.

    Raises
    ------
    ProofError
        When G has no record, or is no rational map and python-flint is not installed: pip install geoflow[proof].
    """
    require_type(G, Parametrization, "map whose brackets are to be decided")
    kernel = G.kernel
    if G.codomain_dim == 1:
        return CommutingProof(PROVED, "one gradient field commutes with itself")
    if not kernel.flat:
        return CommutingProof(UNDECIDED, f"exact brackets are computed on R^D, and M is {type(G.space).__name__}")
    points = np.random.default_rng(1).uniform(0.5, 1.5, (20, kernel.dim))
    recorded = recorded_or_error(getattr(kernel, "function", kernel.value), points, G.name)
    labels = components(recorded)[0]
    pairs = [(i, j) for i, j in combinations(range(G.codomain_dim), 2) if labels[i] == labels[j]]
    if not pairs:
        return CommutingProof(PROVED, f"by structure: no two of the {G.codomain_dim} outputs share an input")
    try:
        outputs = _outputs(recorded)
    except OperationError as error:
        return _by_balls(recorded, pairs, points[:POINTS], str(error.evidence.get("operation", "an operation")))
    return _by_polynomials(outputs, pairs, kernel.dim)


# rational maps ------------------------------------------------------------------------------------------------------


def _outputs(recorded: Record) -> list[Any]:
    """The outputs as polynomials or rational functions."""
    D = int(np.size(recorded.steps[0].value))
    x = np.empty(D, dtype=object)
    x[:] = [Polynomial.variable(i) for i in range(D)]
    return list(Evaluation(recorded, Polynomial.constant)(x).ravel())


def _by_polynomials(outputs: list[Any], pairs: Sequence[tuple[int, int]], D: int) -> CommutingProof:
    """Multiples of the outputs have integers as coefficients, and the same vanishing brackets."""
    scales = [f.denominator() if isinstance(f, Polynomial) else 1 for f in outputs]
    whole = [_integral(f, scale) for f, scale in zip(outputs, scales, strict=True)]
    slopes = [[f.derivative(k) for k in range(D)] for f in whole]
    bends = [[[None if _zero(s) else s.derivative(k) for k in range(D)] for s in row] for row in slopes]
    kind = "polynomials" if all(isinstance(f, Polynomial) for f in outputs) else "rational functions"
    for i, j in pairs:
        if any(not _zero(c) for c in _bracket(slopes, bends, i, j)):
            scale = Fraction(1, scales[i] * scales[j])
            bracket = tuple(c * scale for c in _bracket(slopes, bends, i, j))
            return _refuted(bracket, (i, j), slopes, bends, scale, kind)
    return CommutingProof(PROVED, f"{len(pairs)} brackets are zero as {kind} over Q, {D} components each")


def _integral(f: Any, scale: int) -> Any:
    if not isinstance(f, Polynomial):
        return f
    return Polynomial({key: int(c * scale) for key, c in f.terms.items()}, f.bound)


def _zero(f: Any) -> bool:
    return bool(f.is_zero())


def _terms(slopes: Any, bends: Any, i: int, j: int, component: int) -> Iterator[Any]:
    """The sums that are DY.X in one component, X = grad G_i and Y = grad G_j."""
    for k, slope in enumerate(slopes[i]):
        bend = bends[j][component][k]
        if bend is not None and not _zero(bend) and not _zero(slope):
            yield bend * slope


def _bracket(slopes: Any, bends: Any, i: int, j: int) -> Iterator[Any]:
    """The components of DY.X - DX.Y."""
    for component in range(len(slopes[i])):
        along = sum(_terms(slopes, bends, i, j, component), Polynomial({}))
        yield along - sum(_terms(slopes, bends, j, i, component), Polynomial({}))


def _refuted(
    bracket: tuple[Any, ...], pair: tuple[int, int], slopes: Any, bends: Any, scale: Fraction, kind: str
) -> CommutingProof:
    i, j = pair
    witness = _witness(bracket)
    value = tuple(Fraction(c.at(witness)) for c in bracket)
    try:
        sides = [
            abs(scale * sum((Fraction(t.at(witness)) for t in _terms(slopes, bends, *order, component)), Fraction(0)))
            for order in ((i, j), (j, i))
            for component in range(len(bracket))
        ]
        defect = float(max(abs(c) for c in value) / max(sides))
    except ZeroDivisionError:  # poles of two terms that cancel
        defect = np.nan
    argument = f"its bracket is not zero as {kind} over Q"
    return CommutingProof(REFUTED, argument, pair, bracket, tuple(map(Fraction, witness)), value, defect)


def _witness(bracket: tuple[Any, ...]) -> tuple[int, ...]:
    """A point with small integers, and in the end larger ones, where a component that is not zero has a value not 0."""
    component = next(c for c in bracket if not _zero(c))
    rng, D = random.Random(0), len(bracket)
    trial = 0
    while True:  # most integer points of a growing cube are no zeros of a polynomial
        size = 2 + trial // TRIES * trial
        point = tuple(rng.randint(-size, size) for _ in range(D))
        trial += 1
        try:
            if component.at(point) != 0:
                for c in bracket:
                    c.at(point)
                return point
        except ZeroDivisionError:
            continue


# other maps ---------------------------------------------------------------------------------------------------------


def _by_balls(recorded: Record, pairs: Sequence[tuple[int, int]], points: Array, operation: str) -> CommutingProof:
    """A disproof at one of the points, or none."""
    with precision() as flint:
        scalar = Scalar(flint, False)
        function = Evaluation(recorded, scalar.constant)
        for point in points:
            found = _enclosed(function, scalar, point, pairs)
            if found is not None:
                pair, defect = found
                witness = tuple(Fraction(float(c)) for c in point)
                argument = f"a ball about its bracket excludes 0 ({operation} is no rational operation)"
                return CommutingProof(REFUTED, argument, pair, (), witness, (), defect)
    why = (
        f"not disproved at {len(points)} points; with {operation} it is no rational map, whose brackets could be proved"
    )
    return CommutingProof(UNDECIDED, f"{why} to vanish")


def _enclosed(
    function: Callable[[Any], Any], scalar: Scalar, point: Array, pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], float] | None:
    """A pair whose bracket at the point is shown not to be zero, and its relative size."""
    D = len(point)
    try:
        jets = function(Jet.variables(scalar, [float(c) for c in point])).ravel()
    except UndecidedError:
        return None
    moving = [(jet.first, hessian_of(jet, D)) if jet.first is not None else None for jet in jets]
    for i, j in pairs:
        one, two = moving[i], moving[j]
        if one is None or two is None:
            continue
        for component in range(D):
            along = sum((two[1][component][k] * one[0][k] for k in range(D)), scalar.kind(0))
            back = sum((one[1][component][k] * two[0][k] for k in range(D)), scalar.kind(0))
            gap = along - back
            if gap.is_finite() and (gap > 0 or gap < 0):
                size = max(abs(float(along.mid())), abs(float(back.mid())))
                return (i, j), abs(float(gap.mid())) / size if size else 1.0
    return None
