"""A user's file, with types: what mypy --strict has to accept, and with it the types that names of geoflow have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

import geoflow as gf

Vector = NDArray[np.floating]


def squares(x: Vector) -> Vector:
    return np.asarray(x[..., :2] ** 2 - x[..., 2:] ** 2)


def study(depth: int, seed: int) -> Mapping[str, float]:
    case = gf.catalog.parametrizations["hyperbolic"](depth)
    rng = np.random.default_rng(seed)
    loss = gf.LeastSquares(rng.standard_normal((2, depth)), [1.0, -1.0])
    run: gf.Trajectory = gf.gradient_descent(
        loss, case.parametrization, case.x0, lambda k: 0.1 / (1 + k), 100, lambda k, w: 0.0 * w,
        batch=1, rng=rng, until={"loss": 1e-8, "change": 1e-12},
    )  # fmt: skip
    if run.status is gf.Status.UNTIL_NOT_MET:
        return {"loss": float(run.loss[-1])}
    return {"loss": float(run.unwrap().loss[-1]), "steps": run.n_evaluations}


def flows(x0: Vector, times: list[float]) -> Vector:
    G = gf.Parametrization(squares, space=4, codomain_dim=2, name="mine")
    check: gf.Check = G.check_commuting(x0)
    R: gf.LegendreFunction = gf.mirror_map(G, x0)
    loss = gf.LogisticLoss([[1.0, 0.5]], [1])
    flow = gf.gradient_flow(loss, G, x0, times, rtol=1e-10, until={"gradient": 1e-6})
    mirror = gf.mirror_flow(loss, R, G(x0), times, coordinates="w")
    report: gf.EquivalenceReport = gf.verify_equivalence(loss, G, x0, 1.0)
    if not (check and report):
        raise gf.CheckError("a law", got=str(report))
    return flow.w - mirror.w


def geometry() -> gf.Certificate:
    R = gf.catalog.potentials["log_sum_exp"](2)
    F: gf.Realization = gf.realize(R, gf.domains.Box([-1, -1], [1, 1]), tol=1e-6)
    margin: gf.MaxMargin = gf.max_margin(np.eye(2), [1, -1], R)
    metric: gf.HessianMetric = R.metric
    inside: Vector = F.embedding(margin.direction) + metric.dim
    table = gf.sweep(study, {"depth": [2, 3]}, seed=1)
    print(inside, table.failed, repr(F))
    return F.certificate
