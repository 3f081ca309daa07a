"""A batch of geodesics: one adaptive solve against geomstats' loops, on the same metric in the same run.

Run: python benchmarks/geometry.py [geodesics]
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import copy
import sys
import time

import numpy as np

import geoflow as gf

import autograd.numpy as anp  # isort: skip
from geomstats.geometry.base import ImmersedSet  # isort: skip
from geomstats.geometry.euclidean import Euclidean  # isort: skip
from geomstats.numerics.geodesic import ExpODESolver  # isort: skip
from geomstats.numerics.ivp import ScipySolveIVP  # isort: skip

from geoflow.metrics.geodesics import BatchedIVP  # isort: skip


class Octant(ImmersedSet):
    """The sphere of radius 2 in R^3 over the simplex: its pullback metric is the Hessian metric of the entropy."""

    def _define_embedding_space(self):
        return Euclidean(3)

    def immersion(self, point):
        return 2 * anp.concatenate([anp.sqrt(point), anp.sqrt(1 - anp.sum(point, axis=-1, keepdims=True))], axis=-1)

    def immersion_and_jacobian(self, point):
        return self.immersion(point), gf.autodiff.jacobian(self.immersion)(point)

    def projection(self, point):
        return point

    def random_point(self, n_samples=1, bound=1.0):
        raise NotImplementedError


def _metric(R, exp_solver=None):
    space = copy.copy(R.domain)
    space.equip_with_metric(gf.HessianMetric, potential=R, closed_forms=False)
    if exp_solver is not None:
        space.metric.exp_solver = ExpODESolver(space, exp_solver)
    return space.metric


def _seconds(call):
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def geodesics(n: int = 100, pullback_n: int = 4, repeats: int = 3) -> dict[str, float]:
    """Median seconds of n geodesics at rtol 1e-8 by each way, their ratios, and the largest error of ours."""
    rng = np.random.default_rng(0)
    R = gf.catalog.potentials["simplex_entropy"](2)
    w = R.domain.random_point(n, bound=0.1, rng=rng)
    v = 0.1 * rng.standard_normal(w.shape)
    options = {"rtol": 1e-8, "atol": 1e-10}
    ours, theirs = _metric(R, BatchedIVP(**options)), _metric(R, ScipySolveIVP(point_ndim=1, **options))
    surface = Octant(dim=2)
    surface.metric.exp_solver = ExpODESolver(surface, ScipySolveIVP(point_ndim=1, **options))
    few = slice(0, pullback_n)  # the pullback metric is slow: a few geodesics, scaled to n
    times: dict[str, list[float]] = {"ours": [], "geomstats scipy": [], "geomstats pullback": []}
    for _ in range(repeats):
        spent, end = _seconds(lambda: ours.exp(v, w))
        times["ours"].append(spent)
        times["geomstats scipy"].append(_seconds(lambda: theirs.exp(v, w))[0])
        spent, pulled = _seconds(lambda: surface.metric.exp(v[few], w[few]))
        times["geomstats pullback"].append(spent * n / pullback_n)
    median = {name: float(np.median(found)) for name, found in times.items()}
    exact = R.metric.exp(v, w)
    return {
        **median,
        "error of ours": float(np.abs(end - exact).max()),
        "error of pullback": float(np.abs(pulled - exact[few]).max()),
        "ratio to geomstats scipy": median["geomstats scipy"] / median["ours"],
        "ratio to geomstats pullback": median["geomstats pullback"] / median["ours"],
    }


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["geodesics"]
    for name in wanted:
        for label, value in globals()[name]().items():
            print(f"{name:12} {label:30} {value:.4g}")
