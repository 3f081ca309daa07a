"""Do the gradient fields commute, and which pair does not; all brackets at a point."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np

import geoflow as gf
from benchmarks.harness import Goal, Task, Way, relative_error
from benchmarks.peers import JAX, engines, jax64, ready

BAD = 1e-6
TOL = 1e-9


class PairsProblem:
    """u^2 - v^2 at one point; with `bad` times u_j v_j added, component i fails to commute with component j alone."""

    def __init__(self, d: int, bad: float = 0.0):
        self.d, self.D, self.bad = d, 2 * d, bad
        self.pair = (d // 3, d - 1)
        self.x = np.random.default_rng(0).uniform(0.5, 1.5, 2 * d)
        self.unit = np.eye(1, d, self.pair[0])[0]
        self.answer = self.pair if bad else None

    def map(self, x: Any) -> Any:
        d, j = self.d, self.pair[1]
        value = x[..., :d] ** 2 - x[..., d:] ** 2
        return value + self.bad * x[..., j : j + 1] * x[..., d + j :] * self.unit if self.bad else value

    def brackets(self) -> np.ndarray:
        """[grad G_i, grad G_j] = 4 bad (v_j, -u_j) in the coordinates u_j, v_j, and zero for any other pair."""
        (i, j), d, found = self.pair, self.d, np.zeros((self.d, self.d, self.D))
        found[i, j, j], found[i, j, d + j] = 4 * self.bad * self.x[d + j], -4 * self.bad * self.x[j]
        return found - np.swapaxes(found, 0, 1)


class DenseProblem:
    """w = A (x o x), dense; two columns of A are equal but for row j, and a product of their x's in component i, `bad`
    relative to the largest term of a bracket, fails to commute with component j alone."""

    def __init__(self, d: int, bad: float = 0.0):
        rng = np.random.default_rng(0)
        self.d, self.D = d, d
        self.x = rng.uniform(0.5, 1.5, d)
        self.A = rng.standard_normal((d, d))
        self.pair = (d // 3, d - 1)
        self.answer = self.pair if bad else None
        j, (p, q) = self.pair[1], (0, 1)
        self.A[:, q] = np.where(np.arange(d) == j, self.A[:, p] + 1.0, self.A[:, p])
        self.weight = 0.0
        if bad:
            # Hess G_i grad G_k = 4 A_i A_k x; the bracket of x_p x_q and G_j has length 2 (A_jq - A_jp) |(x_p, x_q)|
            square = self.A**2
            largest = 4 * np.sqrt((square * self.x**2 @ square.T).max())
            self.weight = bad * largest / (2 * np.hypot(self.x[p], self.x[q]))
        self.unit = np.eye(1, d, self.pair[0])[0]

    def map(self, x: Any, matmul: Any = anp.matmul) -> Any:
        value = matmul(x**2, self.A.T)
        return value + self.weight * x[..., :1] * x[..., 1:2] * self.unit if self.weight else value


def bad_pairs(d: int) -> PairsProblem:
    # 2 |x| = 3 is about the size of Hess G_j grad G_i
    return PairsProblem(d, BAD)


def bad_dense(d: int) -> DenseProblem:
    return DenseProblem(d, BAD)


def parametrization(p: Any, options: dict[str, Any]) -> gf.Parametrization:
    return gf.Parametrization(p.map, space=p.D, codomain_dim=p.d, **options)


def check_by_geoflow(p: Any, options: dict[str, Any]) -> Any:
    G = parametrization(p, options)

    def call() -> tuple[int, int] | None:
        check = G.check_commuting(p.x, tol=TOL)
        return None if check.passed else tuple(int(k) for k in check.evidence["pair"])

    return call


def jax_map(p: Any, jax: Any) -> Any:
    return (lambda x: p.map(x, jax.numpy.matmul)) if isinstance(p, DenseProblem) else p.map


def all_pairs_by_jax(p: Any) -> Any:
    """The jacobian, differentiated along each of its rows; compiled."""
    jax = jax64()
    rows = jax.jacrev(jax_map(p, jax))

    def along(x: Any) -> Any:
        return jax.vmap(lambda v: jax.jvp(rows, (x,), (v,))[1])(rows(x))

    return jax.jit(along)


def brackets_by_jax(p: Any) -> Any:
    along = all_pairs_by_jax(p)

    def call() -> np.ndarray:
        terms = ready(along(p.x))
        return terms - np.swapaxes(terms, 0, 1)

    return call


def check_by_jax(p: Any) -> Any:
    along = all_pairs_by_jax(p)

    def call() -> tuple[int, int] | None:
        terms = ready(along(p.x))
        sizes = np.linalg.norm(terms - np.swapaxes(terms, 0, 1), axis=-1)
        i, j = (int(k) for k in np.unravel_index(int(sizes.argmax()), sizes.shape))
        return None if sizes[i, j] <= TOL * np.linalg.norm(terms, axis=-1).max() else (min(i, j), max(i, j))

    return call


def random_bracket_by_jax(p: Any) -> Any:
    """One bracket of <u, G> and <v, G>, u and v random: a verdict, which names no pair."""
    jax = jax64()
    value = jax_map(p, jax)
    u, v = np.random.default_rng(1).standard_normal((2, p.d))

    def field(c: Any) -> Any:
        return jax.grad(lambda x: value(x) @ c)

    def sizes(x: Any) -> Any:
        first = jax.jvp(field(v), (x,), (field(u)(x),))[1]
        second = jax.jvp(field(u), (x,), (field(v)(x),))[1]
        return jax.numpy.linalg.norm(first - second), jax.numpy.linalg.norm(first) + jax.numpy.linalg.norm(second)

    run = jax.jit(sizes)

    def call() -> tuple[int, int] | None:
        size, scale = run(p.x)
        return None if size <= TOL * scale else (-1, -1)

    return call


def brackets_by_geoflow(p: Any, options: dict[str, Any]) -> Any:
    G = parametrization(p, options)
    return lambda: G.brackets(p.x)


def brackets_one_by_one(p: Any) -> Any:
    """Hessian and gradient of each component by autograd, one after the other."""

    def call() -> np.ndarray:
        parts = [lambda x, i=i: p.map(x)[i] for i in range(p.d)]
        hessians = np.stack([autograd.hessian(part)(p.x) for part in parts])
        rows = np.stack([autograd.grad(part)(p.x) for part in parts])
        along = np.einsum("jpq,iq->ijp", hessians, rows)
        return along - np.swapaxes(along, 0, 1)

    return call


def same_answer(value: Any, answer: Any, problem: Any) -> float:
    """0 for the right verdict and, where it is a refusal, the right pair; else 1."""
    return float(value != answer)


ALL = Way("jax, all pairs", check_by_jax, JAX)
PLANTED = "one bad pair of relative size 1e-6"
RANDOM = Way("jax, one random bracket", random_bracket_by_jax, JAX)


def check(name: str, problem: Any, sizes: tuple[int, ...], peers: tuple[Way, ...], goal: int) -> Task:
    return Task(
        name,
        problem,
        sizes=tuple({"d": d} for d in sizes),
        toy=({"d": 4}, {"d": 6}),
        ways=(*engines(check_by_geoflow), *peers),
        reference=lambda p: p.answer,
        error=same_answer,
        tol=0.5,
        budget=20.0,
        memory=True,
        goals=(Goal({"d": goal}, 2.0),),
    )


TASKS = (
    check("check_commuting, u^2 - v^2", PairsProblem, (100, 1000, 100_000), (ALL, RANDOM), 100_000),
    check(f"check_commuting, u^2 - v^2, {PLANTED}", bad_pairs, (100, 1000, 100_000), (ALL,), 100_000),
    check("check_commuting, w = A (x o x), D = d", DenseProblem, (100, 300, 1000), (ALL, RANDOM), 1000),
    check(f"check_commuting, w = A (x o x), {PLANTED}", bad_dense, (100, 300, 1000), (ALL,), 1000),
    Task(
        "all brackets at one point, u^2 - v^2 and u_j v_j in one component",
        lambda d: PairsProblem(d, 1.0),
        sizes=({"d": 10}, {"d": 30}, {"d": 100}),
        toy=({"d": 3}, {"d": 5}),
        ways=(
            *engines(brackets_by_geoflow),
            Way("jax, all pairs", brackets_by_jax, JAX),
            Way("autograd, one by one", brackets_one_by_one),
        ),
        reference=PairsProblem.brackets,
        error=relative_error,
        tol=1e-12,
        memory=True,
    ),
)  # fmt: skip
