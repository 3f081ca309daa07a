"""Batches of geodesics and logarithms: one adaptive solve against geomstats' loops, on the same metric."""

from __future__ import annotations

import copy
from typing import Any

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.base import ImmersedSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.numerics.geodesic import ExpODESolver
from geomstats.numerics.ivp import ScipySolveIVP

import geoflow as gf
from benchmarks.harness import Task, Way
from geoflow.metrics.geodesics import BatchedIVP

TOLERANCES = {"rtol": 1e-8, "atol": 1e-10}


def loop() -> ScipySolveIVP:
    """geomstats' own: one integration after the other."""
    return ScipySolveIVP(point_ndim=1, **TOLERANCES)


class Octant(ImmersedSet):
    """The sphere of radius 2 in R^3 over the simplex: its pullback metric is the Hessian metric of the entropy."""

    def _define_embedding_space(self) -> Any:
        return Euclidean(3)

    def immersion(self, point: Any) -> Any:
        return 2 * anp.concatenate([anp.sqrt(point), anp.sqrt(1 - anp.sum(point, axis=-1, keepdims=True))], axis=-1)

    def immersion_and_jacobian(self, point: Any) -> Any:
        return self.immersion(point), gf.autodiff.jacobian(self.immersion)(point)

    def projection(self, point: Any) -> Any:
        return point

    def random_point(self, n_samples: int = 1, bound: float = 1.0) -> Any:
        raise NotImplementedError


class GeodesicProblem:
    """N starts on the simplex, with velocities."""

    def __init__(self, N: int):
        rng = np.random.default_rng(0)
        self.R = gf.catalog.potentials["simplex_entropy"](2)
        self.w = self.R.domain.random_point(N, bound=0.1, rng=rng).reshape(N, 2)
        # short enough that none leaves the simplex before time 1
        nearest = np.minimum(self.w.min(axis=-1), 1 - self.w.sum(axis=-1))
        self.v = 0.3 * nearest[:, None] * rng.uniform(-1, 1, self.w.shape)

    def exact(self) -> np.ndarray:
        """Great circles of the sphere of radius 2, written out: z = 2 sqrt(p), z' = v / sqrt(p)."""
        p = np.concatenate([self.w, 1 - self.w.sum(axis=-1, keepdims=True)], axis=-1)
        v = np.concatenate([self.v, -self.v.sum(axis=-1, keepdims=True)], axis=-1)
        speed = np.linalg.norm(v / np.sqrt(p), axis=-1, keepdims=True)
        end = 2 * np.sqrt(p) * np.cos(speed / 2) + 2 * v / np.sqrt(p) / speed * np.sin(speed / 2)
        return end[:, :2] ** 2 / 4


def on_hessian_metric(solver: Any) -> Any:
    def build(p: GeodesicProblem) -> Any:
        space = copy.copy(p.R.domain)
        space.equip_with_metric(gf.HessianMetric, potential=p.R, closed_forms=False)
        space.metric.exp_solver = ExpODESolver(space, solver())
        return lambda: space.metric.exp(p.v, p.w)

    return build


def by_pullback(p: GeodesicProblem) -> Any:
    surface = Octant(dim=2)
    surface.metric.exp_solver = ExpODESolver(surface, loop())
    return lambda: surface.metric.exp(p.v, p.w)


TASKS = (
    Task(
        "N geodesics of the entropy of the simplex, rtol 1e-8",
        GeodesicProblem,
        sizes=({"N": 4}, {"N": 100}, {"N": 1000}),
        toy=({"N": 1}, {"N": 2}),
        ways=(
            Way("geoflow", on_hessian_metric(lambda: BatchedIVP(**TOLERANCES))),
            Way("geomstats, its solver on our metric", on_hessian_metric(loop)),
            Way("geomstats, pullback metric", by_pullback),
        ),
        reference=GeodesicProblem.exact,
        tol=1e-6,
        accuracy=1e-8,
        memory=True,
    ),
)  # fmt: skip
