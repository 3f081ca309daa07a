"""The mirror map induced by u^L - v^L from u = v = alpha, and what is computed with it, against closed forms.

The map is a plain one in autograd.numpy; nothing tells the library that its R has a closed form.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

import geoflow as gf
from benchmarks.harness import Goal, Size, Task, Way, relative_error
from benchmarks.peers import engines
from geoflow.catalog.pairs import hypentropy

# the largest powers of ten for 1e-9 in w(t) at all sizes: the library's steps, and LSODA's, whose errors grow more
RTOL, ATOL = 1e-10, 1e-13
LSODA_RTOL, LSODA_ATOL = 1e-11, 1e-14
STEP = 0.01
CLOSED, BY_HAND = "geoflow, closed form of R", "closed form by hand"


class InducedProblem:
    """G, x0, n = min(100, d / 2) equations Z w = y with a sparse solution, and N points w.

    A flow takes the time t, a descent so many steps.

    In closed form, with s = alpha^(2 - L): grad Q(mu) = 2 alpha^2 sinh(4 mu) for L = 2, and for L = 3
    grad Q(mu) = (s - 3 mu)^-3 - (s + 3 mu)^-3.
    """

    def __init__(self, L: int, d: int, N: int = 1, alpha: float = 1e-3, t: float = 1e4, steps: int = 1000):
        self.alpha, self.t, self.steps = alpha, t, steps
        rng = np.random.default_rng(0)
        n = min(100, max(1, d // 2))
        sparse = max(1, min(5, n // 2))
        self.L, self.d, self.s = L, d, self.alpha ** (2 - L)
        self.x0 = np.full(2 * d, self.alpha)
        self.W = rng.standard_normal((N, d))
        self.Z = rng.standard_normal((n, d)) / n**0.5
        self.y = self.Z[:, :sparse] @ np.where(np.arange(sparse) % 2, -1.0, 1.0)
        self.mu_end = np.inf if L == 2 else self.s / 3

    def map(self, x: Any) -> Any:
        return x[..., : self.d] ** self.L - x[..., self.d :] ** self.L

    def conjugate(self, mu: np.ndarray) -> float:
        """Q(mu), Q(0) = 0."""
        if self.L == 2:
            return float((self.alpha * np.sinh(2 * mu)) @ (self.alpha * np.sinh(2 * mu)))
        a, b = self.s - 3 * mu, self.s + 3 * mu
        return float((a**-2 + b**-2 - 2 / self.s**2).sum() / 6)

    def primal(self, mu: np.ndarray) -> np.ndarray:
        """w = grad Q(mu)."""
        if self.L == 2:
            return 2 * self.alpha**2 * np.sinh(4 * mu)
        return (self.s - 3 * mu) ** -3 - (self.s + 3 * mu) ** -3

    def cometric(self, mu: np.ndarray) -> np.ndarray:
        """The diagonal of hess Q(mu)."""
        if self.L == 2:
            return 8 * self.alpha**2 * np.cosh(4 * mu)
        return 9 * ((self.s - 3 * mu) ** -4 + (self.s + 3 * mu) ** -4)

    def dual(self, w: np.ndarray) -> np.ndarray:
        """mu = grad R(w); for L = 3 by bisection in log(s - 3 |mu|), which keeps the digits of s - 3 |mu|."""
        if self.L == 2:
            return np.arcsinh(w / (2 * self.alpha**2)) / 4
        size = np.abs(w)
        low, high = np.full(w.shape, np.log(self.s) - 40.0), np.full(w.shape, np.log(self.s))
        for _ in range(100):
            middle = (low + high) / 2
            a = np.exp(middle)
            above = a**-3 - (2 * self.s - a) ** -3 > size
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.sign(w) * (self.s - np.exp((low + high) / 2)) / 3


def project_by_hand(p: InducedProblem) -> np.ndarray:
    """argmin R(w), Zw = y: the dual max <y, nu> - Q(Z^T nu), by Newton's method with shortened steps."""
    nu = np.zeros(len(p.y))

    def value(nu: np.ndarray) -> float:
        return float(p.y @ nu) - p.conjugate(nu @ p.Z)

    best, least = nu, np.inf
    stalled = 0
    for _ in range(500):
        mu = nu @ p.Z
        missing = p.y - p.Z @ p.primal(mu)
        if np.abs(missing).max() < 0.5 * least:
            best, least, stalled = nu, np.abs(missing).max(), 0
        else:
            stalled += 1
        if stalled > 100:
            break
        step = np.linalg.solve((p.Z * p.cometric(mu)) @ p.Z.T, missing)
        along = step @ p.Z
        # at most a factor e in w, and nine tenths of the way to the boundary of dom Q
        room = np.where(np.isfinite(p.mu_end), 0.9 * (p.mu_end - np.abs(mu)), 0.5)
        step = step / max(1.0, np.abs(along / room).max())
        while value(nu + step) < value(nu) and np.abs(step).max() > 1e-14 * np.abs(nu).max():
            step = step / 2
        nu = nu + step
    return p.primal(best @ p.Z)


def flow_by_hand(p: InducedProblem, rtol: float = LSODA_RTOL, atol: float = LSODA_ATOL) -> np.ndarray:
    """w(t) by mu = Z^T nu, nu' = y - Z grad Q(mu)."""

    def rhs(t: float, nu: np.ndarray) -> np.ndarray:
        return p.y - p.Z @ p.primal(nu @ p.Z)

    def jacobian(t: float, nu: np.ndarray) -> np.ndarray:
        return -(p.Z * p.cometric(nu @ p.Z)) @ p.Z.T

    found = solve_ivp(rhs, (0, p.t), np.zeros(len(p.y)), method="LSODA", rtol=rtol, atol=atol, jac=jacobian)
    return p.primal(found.y[:, -1] @ p.Z)


def descend_by_hand(p: InducedProblem) -> np.ndarray:
    """mu_{k+1} = mu_k - STEP Z^T (Z w_k - y), w = grad Q(mu)."""
    mu = np.zeros(p.d)
    for _ in range(p.steps):
        mu = mu - STEP * (p.Z @ p.primal(mu) - p.y) @ p.Z
    return p.primal(mu)


# what is done with R: of a problem and R to a value -------------------------------------------------------------------


def gradient(p: InducedProblem, R: Any) -> np.ndarray:
    return R.gradient(p.W)


def projection(p: InducedProblem, R: Any) -> np.ndarray:
    return gf.bregman_projection(R, p.Z, p.y, np.zeros(p.d))


def flow(p: InducedProblem, R: Any) -> np.ndarray:
    trajectory = gf.mirror_flow(gf.LeastSquares(p.Z, p.y), R, np.zeros(p.d), [0.0, p.t], rtol=RTOL, atol=ATOL)
    return trajectory.unwrap().w[-1]


def descent(p: InducedProblem, R: Any) -> np.ndarray:
    return gf.mirror_descent(gf.LeastSquares(p.Z, p.y), R, np.zeros(p.d), STEP, p.steps).w[-1]


# tasks ----------------------------------------------------------------------------------------------------------------


def _ways(L: int, act: Any, by_hand: Any) -> tuple[Way, ...]:
    """A fresh induced R before every call, so that nothing of an earlier call is used; closed forms beside it."""

    def induced(p: InducedProblem, options: dict[str, Any]) -> Any:
        G = gf.Parametrization(p.map, space=2 * p.d, codomain_dim=p.d, **options)
        return lambda: gf.mirror_map(G, p.x0), lambda R: act(p, R)

    def closed(p: InducedProblem) -> Any:
        R = hypentropy(np.zeros(p.d), np.full(p.d, 2 * p.alpha**2))
        return lambda: act(p, R)

    known = (Way(CLOSED, closed),) if L == 2 else ()
    return (*engines(induced), *known, Way(BY_HAND, lambda p: lambda: by_hand(p)))


def _map_ways() -> tuple[Way, ...]:
    def build(p: InducedProblem, options: dict[str, Any]) -> Any:
        G = gf.Parametrization(p.map, space=2 * p.d, codomain_dim=p.d, **options)
        return lambda: gf.mirror_map(G, p.x0)

    return engines(build)


def map_error(R: Any, reference: np.ndarray, p: InducedProblem) -> float:
    """Of grad Q half the way to the first point, which is not timed."""
    return relative_error(R.inverse_gradient(p.dual(p.W[0]) / 2), reference)


def _sizes(*dims: int, **more: float) -> tuple[Size, ...]:
    return tuple({"d": d, **more} for d in dims)


def _goals(**more: int) -> tuple[Goal, ...]:
    return tuple(Goal({"d": d, **more}, s) for d, s in ((10, 0.5), (1000, 5.0), (100_000, 60.0)))


def _tasks(L: int) -> tuple[Task, ...]:
    problem = partial(InducedProblem, L)
    name, dims, toy = f"u^{L} - v^{L}", (10, 1000, 100_000), _sizes(2, alpha=1.0, t=0.1)
    many = _sizes(10, N=100) + _sizes(10, N=1000) + _sizes(10, N=10_000)
    return (
        Task(
            f"mirror_map, {name}", problem, _sizes(*dims), toy, _map_ways(), lambda p: p.primal(p.dual(p.W[0]) / 2),
            error=map_error, tol=1e-9, budget=60.0, memory=True, goals=_goals(),
        ),
        Task(
            f"R.gradient at N points, {name}", problem, _sizes(*dims, N=10) + many,
            _sizes(2, N=2, alpha=1.0),
            _ways(L, gradient, lambda p: p.dual(p.W)), lambda p: p.dual(p.W), tol=1e-9,
            accuracy=1e-9, budget=60.0, memory=True, goals=(*_goals(N=10), Goal({"d": 10, "N": 10_000}, 2.0)),
        ),
        Task(
            f"bregman_projection, {name}", problem, _sizes(*dims), toy,
            _ways(L, projection, project_by_hand), project_by_hand, tol=1e-9, accuracy=1e-9, budget=60.0, memory=True,
            goals=_goals(),
        ),
        Task(
            f"mirror_flow, {name}", problem, _sizes(*dims), toy, _ways(L, flow, flow_by_hand),
            lambda p: flow_by_hand(p, 1e-13, 1e-16), tol=1e-9, accuracy=1e-9, budget=60.0, memory=True, goals=_goals(),
        ),
    )  # fmt: skip


TASKS = (
    *_tasks(2),
    *_tasks(3),
    Task(
        "mirror_descent, u^2 - v^2",
        partial(InducedProblem, 2),
        _sizes(10, 100),
        _sizes(2, alpha=1.0, steps=3),
        _ways(2, descent, descend_by_hand),
        descend_by_hand,
        tol=1e-9,
        accuracy=1e-9,
    ),
)
