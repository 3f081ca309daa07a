"""Realizations by the spectral solver: a potential of which only values are known, to an isometric embedding in R^D."""

from __future__ import annotations

from typing import Any

import numpy as np

import geoflow as gf
from benchmarks.converse import black_box, soft_maximum
from benchmarks.harness import Goal, Size, Task, Way


class BoxProblem:
    """log-sum-exp in d variables, or a soft maximum of random affine functions, on [-side, side]^d."""

    def __init__(self, d: int, D: int, tol: float, side: float = 1.0, draw: int = -1):
        self.dim, self.tol = D, tol
        self.R = black_box(gf.catalog.potentials["log_sum_exp"](d)) if draw < 0 else soft_maximum(draw)
        self.box = gf.domains.Box([-side] * d, [side] * d)
        # points of our own, with the box's faces, which the solver has not seen
        w = np.random.default_rng(12345).uniform(-side, side, (400, d))
        w[:100, 0] = np.where(np.arange(100) % 2, side, -side)
        self.w = w


def by_geoflow(p: BoxProblem) -> Any:
    """The jacobian of F at the points; a realization that is refused has failed."""
    return lambda: gf.realize(p.R, p.box, tol=p.tol, method="spectral", ambient_dim=p.dim).jacobian(p.w)


def metric_error(jacobian: Any, H: np.ndarray, p: BoxProblem) -> float:
    """max |L^{-1} (dF^T dF) L^{-T} - 1| over the points, H = L L^T, relative to the tolerance asked for."""
    J = np.asarray(jacobian)
    L = np.linalg.inv(np.linalg.cholesky(H))
    white = L @ (np.swapaxes(J, -1, -2) @ J) @ np.swapaxes(L, -1, -2)
    gap = float(np.linalg.norm(white - np.eye(H.shape[-1]), ord=2, axis=(-2, -1)).max())
    return np.inf if np.isnan(gap) else gap / p.tol


def realization(name: str, sizes: tuple[Size, ...], goal: float, budget: float) -> Task:
    small = {key: value for key, value in sizes[0].items() if key == "draw"}
    return Task(
        f"realize, spectral, {name}",
        BoxProblem,
        sizes,
        toy=({"d": 2, "D": 5, "tol": 3e-2, "side": 0.2, **small},),
        ways=(Way("geoflow", by_geoflow),),
        reference=lambda p: p.R.hessian(p.w),
        error=metric_error,
        tol=1.0,
        accuracy=1.0,
        budget=budget,
        memory=True,
        goals=(Goal(sizes[0], goal),),
    )


def _dims(d: int, *dims: int, **more: float) -> tuple[Size, ...]:
    return tuple({"d": d, "D": D, **more} for D in dims)


TASKS = (
    realization("log-sum-exp, d = 2", _dims(2, 5, 4, 6, tol=1e-10, side=2), 3.0, 30.0),
    realization("soft maximum, draw 0", _dims(2, 5, tol=1e-10, draw=0), 3.0, 30.0),
    realization("soft maximum, draw 3", _dims(2, 5, tol=1e-10, draw=3), 3.0, 120.0),
    realization("log-sum-exp, d = 3", _dims(3, 9, 6, 12, tol=1e-7), 20.0, 120.0),
    realization("log-sum-exp, d = 4", _dims(4, 14, 10, tol=1e-5), 180.0, 400.0),
)
