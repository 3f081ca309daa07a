"""Gradient flow of u^2 - v^2, a plain map in autograd.numpy, from N starts at once."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from scipy.integrate import solve_ivp

import geoflow as gf
from benchmarks.harness import Goal, Task, Way
from benchmarks.peers import DIFFRAX, engines, jax64, ready

RTOL, ATOL = 1e-8, 1e-10
DIFFRAX_NAME = "diffrax Dopri8, vmapped"


class FlowProblem:
    """Least squares, n = 2 d / 5 equations, a sparse solution; N starts u = v = alpha, alpha from 1e-3 to 1e-1."""

    def __init__(self, d: int, N: int, t: float = 50.0):
        self.t = t
        rng = np.random.default_rng(0)
        n, sparse = max(1, 2 * d // 5), max(1, d // 20)
        self.d, self.Z = d, rng.standard_normal((n, d)) / n**0.5
        self.y = self.Z[:, :sparse].sum(axis=1)
        self.alpha = np.geomspace(1e-3, 1e-1, N) if N > 1 else np.array([1e-3])
        self.x0 = np.broadcast_to(self.alpha[:, None], (N, 2 * d)).copy()

    def map(self, x: Any) -> Any:
        return x[..., : self.d] ** 2 - x[..., self.d :] ** 2


def reference(p: FlowProblem) -> np.ndarray:
    """w(t) by the dual flow in closed form: mu = Z^T nu, nu' = y - Z w, w = 2 alpha^2 sinh(4 mu), to 1e-12."""
    scale = 2 * p.alpha[:, None] ** 2

    def w(nu: np.ndarray) -> np.ndarray:
        return scale * np.sinh(4 * nu.reshape(len(p.alpha), -1) @ p.Z)

    def rhs(t: float, nu: np.ndarray) -> np.ndarray:
        return (p.y - w(nu) @ p.Z.T).ravel()

    start = np.zeros(len(p.alpha) * len(p.y))
    return w(solve_ivp(rhs, (0, p.t), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1])


def by_geoflow(p: FlowProblem, options: dict[str, Any]) -> Any:
    G = gf.Parametrization(p.map, space=2 * p.d, codomain_dim=p.d, **options)
    loss = gf.LeastSquares(p.Z, p.y)
    return lambda: gf.gradient_flow(loss, G, p.x0, [0.0, p.t], rtol=RTOL, atol=ATOL).w[-1]


def by_scipy(p: FlowProblem) -> Any:
    """What one writes with autograd and scipy: the gradient of the loss of all starts, in one system."""

    def loss(x: Any) -> Any:
        return 0.5 * anp.sum((anp.matmul(p.map(x), p.Z.T) - p.y) ** 2)

    force = autograd.grad(loss)

    def rhs(t: float, flat: np.ndarray) -> np.ndarray:
        return -force(flat.reshape(p.x0.shape)).ravel()

    def call() -> np.ndarray:
        end = solve_ivp(rhs, (0, p.t), p.x0.ravel(), method="DOP853", rtol=RTOL, atol=ATOL).y[:, -1]
        return p.map(end.reshape(p.x0.shape))

    return call


def by_diffrax(p: FlowProblem) -> Any:
    jax = jax64()
    import diffrax

    Z, y = jax.numpy.asarray(p.Z), jax.numpy.asarray(p.y)
    force = jax.grad(lambda x: 0.5 * jax.numpy.sum((Z @ p.map(x) - y) ** 2))
    term = diffrax.ODETerm(lambda t, x, args: -force(x))
    steps = diffrax.PIDController(rtol=RTOL, atol=ATOL)

    def flow(x0: Any) -> Any:
        end = diffrax.diffeqsolve(
            term, diffrax.Dopri8(), 0.0, p.t, None, x0, stepsize_controller=steps,
            saveat=diffrax.SaveAt(t1=True), max_steps=100_000,
        )  # fmt: skip
        return p.map(end.ys[0])

    run = jax.jit(jax.vmap(flow))
    return lambda: ready(run(p.x0))


TASKS = (
    Task(
        "gradient_flow of N starts, u^2 - v^2",
        FlowProblem,
        sizes=(
            {"d": 100, "N": 1}, {"d": 100, "N": 100}, {"d": 100, "N": 1000},
            {"d": 10, "N": 1}, {"d": 1000, "N": 1}, {"d": 10_000, "N": 1},
        ),
        toy=({"d": 5, "N": 1, "t": 2}, {"d": 5, "N": 2, "t": 2}),
        ways=(
            *engines(by_geoflow),
            Way("scipy + autograd", by_scipy),
            Way(DIFFRAX_NAME, by_diffrax, DIFFRAX),
        ),
        reference=reference,
        # rtol bounds the error of a step: the end of some hundred steps is good to a hundred times it
        tol=1e-6,
        accuracy=RTOL,
        budget=60.0,
        memory=True,
        goals=(
            Goal({"d": 100, "N": 1}, 0.25),
            Goal({"d": 100, "N": 100}, 2.0, DIFFRAX_NAME),
            Goal({"d": 100, "N": 1000}, 1.0, DIFFRAX_NAME),
            Goal({"d": 100, "N": 1}, 1.5, DIFFRAX_NAME, "geoflow, engine=jax"),
            Goal({"d": 100, "N": 100}, 1.0, DIFFRAX_NAME, "geoflow, engine=jax"),
            Goal({"d": 100, "N": 1000}, 1.0, DIFFRAX_NAME, "geoflow, engine=jax"),
        ),
    ),
)  # fmt: skip
