"""A solution of an integrator as a trajectory in w."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array, Map
from geoflow.flows.losses import PointwiseLoss
from geoflow.numerics.integrate import Solution
from geoflow.results import Trajectory


def trajectory_of(solution: Solution, loss: PointwiseLoss, w_of: Map, mu: Array, x: Array | None = None) -> Trajectory:
    """The trajectory of a solution.

    Parameters
    ----------
    solution : Solution
    loss : PointwiseLoss
    w_of : callable
        States, shape=[..., k], to w, shape=[..., *batch, d].
    mu : array, shape=[n_times, ..., d]
    x : array, shape=[n_times, ..., D], optional
    """
    w = w_of(solution.y)
    with np.errstate(all="ignore"):
        values = np.stack([loss.value(p.reshape(-1, loss.dim), float(s)) for p, s in zip(w, solution.t, strict=True)])
    return Trajectory(
        t=solution.t,
        w=w,
        x=x,
        mu=mu,
        loss=values.reshape(w.shape[:-1]),
        status=solution.status,
        message=solution.message,
        sol=lambda s: w_of(solution.dense(s)),
        n_evaluations=solution.n_evaluations,
        method=solution.method,
    )
