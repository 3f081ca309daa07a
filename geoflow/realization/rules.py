"""Exact embeddings, read off the structure of a Legendre function; no solver."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow import composition
from geoflow.legendre import LegendreFunction
from geoflow.profiles import Profile, profiles
from geoflow.realization.embedding import (
    Composite,
    Embedding,
    RidgeMap,
    Scaled,
    Stack,
    affine_chart,
    block_chart,
    dual_chart,
    smooth_chart,
)
from geoflow.realization.hyperbolic import BlanusaPlane


def exact_embedding(R: LegendreFunction) -> tuple[Embedding, str] | None:
    """An F with dF^T dF = hess R in closed form and the rules it comes from, or None where no rule applies."""
    direct = _by_structure(R)
    if direct is not None:
        return direct
    if R._conjugate is not None:  # the same manifold in its other chart
        other = _by_structure(R._conjugate)
        if other is not None:
            embedding, rule = other
            return Composite(embedding, dual_chart(R._conjugate), R.dim), f"dual of ({rule})"
    if R.dim == 1:
        return _line(R), "one variable: F = int sqrt(R'')"
    return None


def _by_structure(R: LegendreFunction) -> tuple[Embedding, str] | None:
    s: Any = R.structure
    if isinstance(s, composition.Ridges):
        return RidgeMap(s.directions, s.offsets, s.profiles), f"ridge sum of {len(s.profiles)}"
    if isinstance(s, composition.Pullback):
        maps = [_piece(model, chart, R) for model, chart in s.pieces]
        return Stack(maps) if len(maps) > 1 else maps[0], " x ".join(model for model, _ in s.pieces)
    if isinstance(s, composition.Scaled):
        part = exact_embedding(s.part)
        return part and (Scaled(np.sqrt(s.factor), part[0]), f"{s.factor:g} ({part[1]})")
    if isinstance(s, composition.Affine):
        part = exact_embedding(s.part)
        return part and (Composite(part[0], affine_chart(s.A, s.b), R.dim), f"affine change of ({part[1]})")
    if isinstance(s, composition.Sum):
        parts = [exact_embedding(p) for p in s.parts]
        found = [p for p in parts if p is not None]
        return (Stack([p[0] for p in found]), " + ".join(p[1] for p in found)) if len(found) == len(parts) else None
    if isinstance(s, composition.Product):
        ends = np.cumsum([p.dim for p in s.parts])
        parts = [exact_embedding(p) for p in s.parts]
        found = [p for p in parts if p is not None]
        if len(found) < len(parts):
            return None
        blocks = [slice(end - p.dim, end) for p, end in zip(s.parts, ends, strict=True)]
        maps = [Composite(p[0], block_chart(block, R.dim), R.dim) for p, block in zip(found, blocks, strict=True)]
        return Stack(maps), " x ".join(p[1] for p in found)
    return None


def _line(R: LegendreFunction) -> RidgeMap:
    """Every Legendre function of one variable is a ridge."""

    def at(f: Any) -> Any:
        return lambda s: anp.reshape(f(s[..., None]), anp.shape(s))

    levels = [at(f) for f in (R.potential, R._gradient, R._hessian, R._third)]
    profile = Profile(levels[0], (-np.inf, np.inf), tuple(levels[1:]), name=R.name)
    return RidgeMap(np.eye(1), np.zeros(1), [profile])


def _piece(model: str, chart: Any, R: LegendreFunction) -> Embedding:
    if model == "hyperbolic plane":
        return Composite(Scaled(np.sqrt(2.0), BlanusaPlane()), smooth_chart(chart), R.dim)
    m = int(np.shape(chart(R.domain.interior_point()))[-1])
    flat = RidgeMap(np.eye(m), np.zeros(m), [profiles["quadratic"]] * m)
    return Composite(flat, smooth_chart(chart), R.dim)
