"""The metric of an exact embedding by the identity of its rule, run on balls, and kept as text.

A ridge F_k = int sqrt(r_k'') adds r_k'' a_k a_k^T; 2 sqrt(p) on the sphere has the covariance of the a_k; the
hyperbolic plane has du^2 + cosh(u)^2 dv^2; changes of coordinates, multiples and stacks do what they do. That the maps
have these metrics is the identity; that the metrics are hess R is enclosed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial, singledispatch
from typing import Any

import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import OperationError, ProofError
from geoflow.numerics.balls import Jet, Scalar, hessian_of, lower
from geoflow.numerics.enclosures import COMPARED, Evaluation, recorded_or_error, require_elements
from geoflow.numerics.stored import record_of, text_of
from geoflow.potentials.profiles import Profile
from geoflow.potentials.proofs import definite
from geoflow.realization.embedding import (
    AffineChart,
    Chart,
    Composite,
    DualChart,
    Embedding,
    Multiple,
    RidgeMap,
    SmoothChart,
    SphereMap,
    Stack,
)
from geoflow.realization.hyperbolic import BlanusaPlane

#: parts of the range of a ridge on which its curvature is enclosed
PARTS = 64
#: a matrix of balls, by rows, and an interval
Matrix = list[list[Any]]
Interval = tuple[Any, Any]


def text_of_rule(embedding: Embedding, points: Array) -> str:
    """The rule of an exact embedding as text; its functions are recorded at points, shape=[N, d]."""
    return json.dumps(_data(embedding, points), separators=(",", ":"))


@singledispatch
def _data(embedding: Embedding, points: Array) -> dict[str, Any]:
    wanted, remedy = "ridges, softmax, hyperbolic plane, and what is made of them", "prove a solver's realization"
    raise ProofError("proof of an exact realization", f"the map {type(embedding).__name__}", wanted, remedy)


@_data.register
def _(embedding: RidgeMap, points: Array) -> dict[str, Any]:
    F = embedding
    s = points @ F.directions.T + F.offsets
    known: dict[Profile, list[Any]] = {}
    for k, profile in enumerate(F.profiles):
        if profile.integral_is_given and not profile.own_forms:
            got = f"root_integral= of profile {profile.name}, a closed form that only points have compared"
            raise ProofError("proof of an exact realization", got, "an integral computed from r''", "leave it out")
        if profile not in known:
            known[profile] = _curvature(profile, s[:, k, None])
    texts = list(known.values())
    which = [list(known).index(p) for p in F.profiles]
    return {"ridges": F.directions.tolist(), "offsets": F.offsets.tolist(), "profiles": texts, "which": which}


def _curvature(profile: Profile, s: Array) -> list[Any]:
    """r'' in closed form, or r; and which of them it is, by the derivatives that are left to take."""
    try:
        closed = recorded_or_error(partial(profile.derivative, 2), s, f"r'' of profile {profile.name}")
        require_elements(closed)
        text = text_of(closed)
    except (ProofError, OperationError):
        text = ""
    if text and not any(step.primitive in COMPARED for step in closed.steps):
        return [text, 0]
    if profile.curvature_is_given and not profile.own_forms:  # r may have another second derivative
        got = f"r'' of profile {profile.name} in a closed form that cannot be enclosed"
        remedy = "write it in autograd.numpy without comparisons, or leave it out"
        raise ProofError("proof of an exact realization", got, "an r'' that is recorded", remedy)
    return [_recorded(profile, s, f"profile {profile.name}"), 2]


@_data.register
def _(embedding: SphereMap, points: Array) -> dict[str, Any]:
    s = embedding.structure
    return {"sphere": s.directions.tolist(), "offsets": s.offsets.tolist()}


@_data.register
def _(embedding: Stack, points: Array) -> dict[str, Any]:
    return {"stack": [_data(part, points) for part in embedding.parts]}


@_data.register
def _(embedding: Multiple, points: Array) -> dict[str, Any]:
    return {"multiple": float(embedding.factor), "of": _data(embedding.part, points)}


@_data.register
def _(embedding: Composite, points: Array) -> dict[str, Any]:
    moved = embedding.chart(points)[0]
    return {"chart": _chart_data(embedding.chart, points), "of": _data(embedding.outer, moved)}


@_data.register
def _(embedding: BlanusaPlane, points: Array) -> dict[str, Any]:
    return {"hyperbolic": "plane"}


def _chart_data(chart: Chart, points: Array) -> dict[str, Any]:
    if isinstance(chart, AffineChart):
        return {"matrix": np.asarray(chart.A, float).tolist(), "offsets": np.asarray(chart.b, float).tolist()}
    if isinstance(chart, DualChart):
        return {"gradient": _recorded(chart.R.conjugate.potential, points, chart.R.conjugate.name)}
    if isinstance(chart, SmoothChart):
        return {"function": _recorded(chart.function, points, "a chart")}
    raise ProofError("proof of an exact realization", f"a chart {type(chart).__name__}", "a chart of its own")


def _recorded(f: Map, points: Array, what: str) -> str:
    return text_of(recorded_or_error(f, points, what))


# on balls -----------------------------------------------------------------------------------------------------------


class Rule:
    """The rule of an exact embedding, from its text."""

    name = ""

    @staticmethod
    def of_text(flint: Any, text: str) -> Rule:
        """`ValueError` for what is no rule."""
        return _rule(flint, json.loads(text))

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        """dF^T dF at a ball, real or complex."""
        raise NotImplementedError

    def spread(self, scalar: Scalar, box: Sequence[Interval]) -> Matrix:
        """S >= 0 with |F(w) - F(v)|^2 >= <w - v, S (w - v)> for points of a box; 0 where nothing is known."""
        return [[scalar.kind(0)] * len(box) for _ in box]

    def injectivity(self, scalar: Scalar, box: Sequence[Interval]) -> float:
        """c with |F(w) - F(v)| >= c |w - v|; 0 where it is not shown."""
        return float(np.sqrt(max(0.0, definite(self.spread(scalar, box)))) * (1 - 1e-12))

    def __str__(self) -> str:
        return self.name


def _rule(flint: Any, data: dict[str, Any]) -> Rule:
    if "ridges" in data:
        return Ridges(data)
    if "sphere" in data:
        return Sphere(data)
    if "stack" in data:
        return Stacked([_rule(flint, part) for part in data["stack"]])
    if "multiple" in data:
        return Multiplied(float(data["multiple"]), _rule(flint, data["of"]))
    if "hyperbolic" in data:
        return Hyperbolic()
    if "chart" in data:
        return Moved(data["chart"], _rule(flint, data["of"]))
    raise ValueError(f"a rule with {', '.join(data)}")


def _affine(scalar: Scalar, rows: Sequence[Sequence[float]], offsets: Sequence[float], w: Sequence[Any]) -> list[Any]:
    kind = scalar.kind
    pairs = zip(rows, offsets, strict=True)
    return [sum((kind(float(a)) * x for a, x in zip(row, w, strict=True)), kind(float(b))) for row, b in pairs]


def _outer(scalar: Scalar, weights: Sequence[Any], rows: Sequence[Sequence[float]]) -> Matrix:
    """sum_k c_k a_k a_k^T."""
    kind = scalar.kind
    a = [[kind(float(x)) for x in row] for row in rows]
    d = range(len(a[0]))
    return [[sum((c * x[i] * x[j] for c, x in zip(weights, a, strict=True)), kind(0)) for j in d] for i in d]


def _pulled(scalar: Scalar, A: Matrix, g: Matrix) -> Matrix:
    """A^T g A."""
    m, d, zero = range(len(A)), range(len(A[0])), scalar.kind(0)
    half = [[sum((g[a][b] * A[b][j] for b in m), zero) for j in d] for a in m]
    return [[sum((A[a][i] * half[a][j] for a in m), zero) for j in d] for i in d]


class Ridges(Rule):
    """sum_k r_k'' a_k a_k^T."""

    def __init__(self, data: dict[str, Any]):
        self.rows, self.offsets, self.which = data["ridges"], data["offsets"], data["which"]
        self.records = [record_of(text) for text, _ in data["profiles"]]
        self.orders = [order for _, order in data["profiles"]]
        self.name = f"ridge sum of {len(self.rows)}"
        self._functions: dict[Scalar, list[Evaluation]] = {}

    def _bend(self, scalar: Scalar, k: int, s: Any) -> Any:
        """r_k''(s)."""
        if scalar not in self._functions:
            self._functions[scalar] = [Evaluation(r, scalar.constant) for r in self.records]
        which = self.which[k]
        f = self._functions[scalar][which]
        if self.orders[which] == 0:
            x: Any = np.empty(1, dtype=object)
            x[0] = Jet(scalar, s)
            closed: Any = f(x).item()
            return closed.value
        jet: Any = f(Jet.variables(scalar, [s])).item()
        return scalar.kind(0) if jet.first is None else hessian_of(jet, 1)[0][0]

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        s = _affine(scalar, self.rows, self.offsets, w)
        return _outer(scalar, [self._bend(scalar, k, x) for k, x in enumerate(s)], self.rows)

    def spread(self, scalar: Scalar, box: Sequence[Interval]) -> Matrix:
        """By the least r_k'': F_k grows at least by its root times |<a_k, w - v>|."""
        least = []
        for k, row in enumerate(self.rows):
            ends = [[scalar.kind(float(a)) * x for x in side] for a, side in zip(row, box, strict=True)]
            low = sum((a.union(b) for a, b in ends), scalar.kind(float(self.offsets[k])))
            start, width = low.lower(), (low.upper() - low.lower()) / PARTS
            parts = [(start + width * j).union(start + width * (j + 1)) for j in range(PARTS)]
            least.append(scalar.kind(max(0.0, min(lower(self._bend(scalar, k, part)) for part in parts))))
        return _outer(scalar, least, self.rows)


class Sphere(Rule):
    """sum_k p_k a_k a_k^T - a a^T, a = sum_k p_k a_k, p_k proportional to exp(<a_k, w> + b_k)."""

    def __init__(self, data: dict[str, Any]):
        self.rows, self.offsets = data["sphere"], data["offsets"]
        self.name = f"sphere by the softmax of {len(self.rows)}"

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        grown = [s.exp() for s in _affine(scalar, self.rows, self.offsets, w)]
        total = sum(grown, scalar.kind(0))
        p, d = [e / total for e in grown], range(len(w))
        mean = [sum((c * scalar.kind(float(row[i])) for c, row in zip(p, self.rows, strict=True)), 0) for i in d]
        whole = _outer(scalar, p, self.rows)
        return [[whole[i][j] - mean[i] * mean[j] for j in d] for i in d]


class Hyperbolic(Rule):
    """du^2 + cosh(u)^2 dv^2."""

    name = "hyperbolic plane"

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        u, _ = w
        return [[scalar.kind(1), scalar.kind(0)], [scalar.kind(0), u.cosh() * u.cosh()]]


class Stacked(Rule):
    """The sum of the metrics of all parts."""

    def __init__(self, parts: list[Rule]):
        self.parts, self.name = parts, " + ".join(part.name for part in parts)

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        return _total([part.metric(scalar, w) for part in self.parts])

    def spread(self, scalar: Scalar, box: Sequence[Interval]) -> Matrix:
        return _total([part.spread(scalar, box) for part in self.parts])


def _total(matrices: list[Matrix]) -> Matrix:
    first, *rest = matrices
    d = range(len(first))
    return [[sum((g[i][j] for g in rest), first[i][j]) for j in d] for i in d]


class Multiplied(Rule):
    """c^2 times a metric."""

    def __init__(self, factor: float, part: Rule):
        self.factor, self.part, self.name = factor, part, f"{factor:.3g} times the {part.name}"

    def _times(self, scalar: Scalar, g: Matrix) -> Matrix:
        c = scalar.kind(self.factor)
        return [[c * c * entry for entry in row] for row in g]

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        return self._times(scalar, self.part.metric(scalar, w))

    def spread(self, scalar: Scalar, box: Sequence[Interval]) -> Matrix:
        return self._times(scalar, self.part.spread(scalar, box))


class Moved(Rule):
    """dc^T g(c) dc for a change of coordinates: affine, a gradient, or a function."""

    def __init__(self, chart: dict[str, Any], part: Rule):
        self.part, self.matrix, self.offsets = part, chart.get("matrix"), chart.get("offsets", [])
        self.gradient = "gradient" in chart
        self.record = None if self.matrix is not None else record_of(chart["gradient" if self.gradient else "function"])
        self.name = f"{part.name} in {'dual' if self.gradient else 'other'} coordinates"
        self._functions: dict[Scalar, Evaluation] = {}

    def _chart(self, scalar: Scalar, w: Sequence[Any]) -> tuple[list[Any], Matrix]:
        if self.matrix is not None:
            kind = scalar.kind
            return _affine(scalar, self.matrix, self.offsets, w), [[kind(float(a)) for a in row] for row in self.matrix]
        assert self.record is not None
        if scalar not in self._functions:
            self._functions[scalar] = Evaluation(self.record, scalar.constant)
        jets: list[Any] = list(self._functions[scalar](Jet.variables(scalar, list(w))).ravel())
        if self.gradient:
            return list(jets[0].first), hessian_of(jets[0], len(w))
        return [jet.value for jet in jets], [jet.first or [scalar.kind(0)] * len(w) for jet in jets]

    def metric(self, scalar: Scalar, w: Sequence[Any]) -> Matrix:
        value, slope = self._chart(scalar, w)
        return _pulled(scalar, slope, self.part.metric(scalar, value))

    def spread(self, scalar: Scalar, box: Sequence[Interval]) -> Matrix:
        if self.matrix is None:
            return super().spread(scalar, box)
        middle = [a.union(b) for a, b in box]
        value, slope = self._chart(scalar, middle)
        return _pulled(scalar, slope, self.part.spread(scalar, [(x.lower(), x.upper()) for x in value]))
