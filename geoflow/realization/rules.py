"""Exact embeddings, read off the structure of a Legendre function; no solver."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, singledispatch

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import ArgumentError
from geoflow.potentials.categorical import SoftMaximum
from geoflow.potentials.kernel import ClosedFormula
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import PROFILES, Profile
from geoflow.potentials.structure import Affine, Product, Pullback, Ridges, Scaled, Separable, Sum, Tilted
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
    block_chart,
)
from geoflow.realization.hyperbolic import BlanusaPlane

#: two derivatives of a chart
Derivatives = Callable[[Array], tuple[Array, Array]]
#: an embedding, and the rule it comes from in words
Exact = tuple[Embedding, str]


def exact_embedding(R: LegendreFunction) -> Exact | None:
    """An F with dF^T dF = hess R in closed form and the rules it comes from, or None where no rule applies."""
    direct = embedding_of(R.structure, R)
    if direct is not None:
        return direct
    Q = R.known_conjugate
    other = None if Q is None else embedding_of(Q.structure, Q)  # the same manifold in its other chart
    if Q is not None and other is not None:
        return Composite(other[0], DualChart(Q), R.dim), f"dual of ({other[1]})"
    if R.dim == 1:
        return _line(R), "one variable: F = int sqrt(R'')"
    return None


@singledispatch
def embedding_of(structure: object, R: LegendreFunction) -> Exact | None:
    """The exact embedding of a Legendre function R of this structure; register a new structure here."""
    return None


@embedding_of.register
def _(structure: Ridges, R: LegendreFunction) -> Exact | None:
    s = structure
    return RidgeMap(s.directions, s.offsets, s.profiles), f"ridge sum of {len(s.profiles)}"


@embedding_of.register
def _(structure: SoftMaximum, R: LegendreFunction) -> Exact | None:
    return SphereMap(structure), f"sphere by the softmax of {len(structure.offsets)}"


@embedding_of.register
def _(structure: Separable, R: LegendreFunction) -> Exact | None:
    return embedding_of(structure.ridges, R) if structure.uniform else None


@embedding_of.register
def _(structure: Pullback, R: LegendreFunction) -> Exact | None:
    closed = structure.derivatives or (None,) * len(structure.pieces)
    maps = [_piece(model, _chart(chart, d, R), R) for (model, chart), d in zip(structure.pieces, closed, strict=True)]
    return Stack(maps) if len(maps) > 1 else maps[0], " x ".join(model for model, _ in structure.pieces)


@embedding_of.register
def _(structure: Scaled, R: LegendreFunction) -> Exact | None:
    part = _part(structure.part)
    return part and (Multiple(np.sqrt(structure.factor), part[0]), f"{structure.factor:g} ({part[1]})")


@embedding_of.register
def _(structure: Tilted, R: LegendreFunction) -> Exact | None:
    return _part(structure.part)


@embedding_of.register
def _(structure: Affine, R: LegendreFunction) -> Exact | None:
    part = _part(structure.part)
    chart = AffineChart(structure.matrix, structure.b)
    return part and (Composite(part[0], chart, R.dim), f"affine change of ({part[1]})")


@embedding_of.register
def _(structure: Sum, R: LegendreFunction) -> Exact | None:
    found = _parts(structure.parts)
    return None if found is None else (Stack([p[0] for p in found]), " + ".join(p[1] for p in found))


@embedding_of.register
def _(structure: Product, R: LegendreFunction) -> Exact | None:
    found = _parts(structure.parts)
    if found is None:
        return None
    blocks = [block_chart(block, R.dim) for block in structure.blocks]
    maps = [Composite(p[0], chart, R.dim) for p, chart in zip(found, blocks, strict=True)]
    return Stack(maps), " x ".join(p[1] for p in found)


def _part(part: object) -> Exact | None:
    return exact_embedding(part) if isinstance(part, LegendreFunction) else None


def _parts(parts: tuple[object, ...]) -> list[Exact] | None:
    found = [_part(p) for p in parts]
    fine = [p for p in found if p is not None]
    return fine if len(fine) == len(found) else None


def _line(R: LegendreFunction) -> RidgeMap:
    """Every Legendre function of one variable is a ridge."""

    def at(order: int, s: Array) -> Array:
        return anp.reshape(R.kernel.derivative(order, s[..., None]), anp.shape(s))

    value, *derivatives = (partial(at, order) for order in range(4))
    profile = Profile(value, (-np.inf, np.inf), tuple(derivatives), name=R.name)
    profile.curvature_is_given = not (isinstance(R.formula, ClosedFormula) and R.formula.closed[1] is None)
    return RidgeMap(np.eye(1), np.zeros(1), [profile])


def _chart(function: Map, derivatives: Derivatives | None, R: LegendreFunction) -> Chart:
    """The chart with its closed derivatives, which are compared with automatic ones at three points."""
    chart, automatic = SmoothChart(function, derivatives), SmoothChart(function)
    if derivatives is not None:
        w = R.domain.random_point(3, rng=0)
        for order, (closed, wanted) in enumerate(zip(chart(w), automatic(w), strict=True)):
            if closed.shape != wanted.shape or not np.abs(closed - wanted).max() <= 1e-8 * (1 + np.abs(wanted).max()):
                got = f"derivatives of order {order} in closed form that differ from those of the chart"
                raise ArgumentError(f"chart of {R.name}", got, "the derivatives of the chart")
    return chart


def _piece(model: str, chart: Chart, R: LegendreFunction) -> Embedding:
    if model == "hyperbolic plane":
        return Composite(Multiple(np.sqrt(2.0), BlanusaPlane()), chart, R.dim)
    m = chart(R.domain.interior_point()[None])[0].shape[-1]
    flat = RidgeMap(np.eye(m), np.zeros(m), [PROFILES["quadratic"]] * m)
    return Composite(flat, chart, R.dim)
