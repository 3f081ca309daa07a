"""How fast a mirror flow of a convex loss has to converge."""

from __future__ import annotations

import numpy as np

from geoflow._typing import ArrayLike
from geoflow._validate import as_positive
from geoflow.errors import ArgumentError, DomainError
from geoflow.flows.losses import Loss
from geoflow.potentials.legendre import LegendreFunction
from geoflow.results import Check, Trajectory


def check_rate_bound(
    R: LegendreFunction, trajectory: Trajectory, loss: Loss, w_star: ArrayLike, tol: float = 1e-9
) -> Check:
    """Check L(w(t)) - L(w*) <= D_R(w*, w(0)) / t along a trajectory of a convex, time-independent loss.

    The defect is the largest of t (L(w(t)) - L(w*)) / D_R(w*, w(0)) - 1, at least 0; the trajectory starts at t = 0,
    and w_star is any point of the domain, shape=[d].

    Reference
    ---------
    LWLA22, theorem 4.14.
    """
    tol = as_positive(tol)
    if trajectory.t[0] != 0.0:
        raise ArgumentError("trajectory", got=f"first time {trajectory.t[0]:g}", wanted="one that starts at t = 0")
    w_star = np.asarray(w_star, dtype=float)
    divergence = float(R.bregman_divergence(w_star, trajectory.w[0]))
    if divergence <= 0:
        raise DomainError("w*", got=f"D_R(w*, w0) = {divergence:.2e}", wanted="w* away from w(0)")
    excess = trajectory.t * (trajectory.loss - float(loss(w_star))) / divergence
    worst = int(np.argmax(excess))
    return Check(
        name="rate bound L(w(t)) - L* <= D_R(w*, w0)/t",
        defect=max(0.0, float(excess[worst]) - 1.0),
        scale=divergence,
        tol=tol,
        witness=trajectory.w[worst],
        detail=f"largest t (L - L*) / D_R = {excess[worst]:.4f} at t = {trajectory.t[worst]:.4g}",
        n_points=len(excess),
        evidence={"largest_ratio": float(excess[worst])},
    )
