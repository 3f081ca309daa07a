"""Certificates against differences: random potentials with narrow features, steep ridges and wrong Hessians.

Run: python -m benchmarks.certificates [seed] [draws]. A certificate is false where the metric error by differences of
the values of F and of R alone, at corners, edges, fresh points and in the feature, exceeds tol and its own uncertainty.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import autograd.numpy as anp
import numpy as np

import geoflow as gf

DIMENSIONS, SHARES = (1, 2, 3, 4), (0.2, 0.5, 0.2, 0.1)
#: what `realize` is asked for: tol and options, small enough for a thousand draws
REQUESTS: dict[int, list[tuple[float, dict[str, Any]]]] = {
    1: [(1e-8, {}), (1e-4, {"method": "spectral", "max_degree": 30})],
    2: [(1e-2, {"max_degree": 8}), (1e-4, {"max_degree": 12}), (1e-3, {"frequency": 60.0})],
    3: [(0.1, {"max_degree": 4}), (0.03, {"max_degree": 6})],
    4: [(0.3, {"max_degree": 3}), (0.1, {"max_degree": 4})],
}


WAVE = 1e-3  # a step of F as a share of one of R


@dataclass
class Draw:
    """A potential on a box, in units of its own, and where its feature is.

    Attributes
    ----------
    potential : callable
    hessian : callable, or None
        What is given as closed form.
    box : Box
    feature : str
    centre : array, shape=[d]
    width : float
        Of the feature, as a share of the sides.
    """

    potential: Callable[[Any], Any]
    hessian: Callable[[Any], Any] | None
    box: gf.domains.Box
    feature: str
    centre: np.ndarray
    width: float


def base(d: int, rng: np.random.Generator) -> Callable[[Any], Any]:
    """A smooth strictly convex function on [-1, 1]^d."""
    A, b = rng.standard_normal((d + 2, d)) * rng.uniform(0.1, 0.8), rng.standard_normal(d + 2)
    kind, size = rng.integers(4), rng.uniform(0.1, 0.5)

    def convex(z: Any) -> Any:
        t = anp.matmul(z, A.T) + b
        if kind == 0:
            value = anp.log(anp.sum(anp.exp(t), axis=-1))
        elif kind == 1:
            value = anp.sum(anp.logaddexp(0.0, t), axis=-1)
        elif kind == 2:
            value = anp.sum(anp.sqrt(1 + t**2), axis=-1)
        else:
            value = anp.sum(t**4, axis=-1) / 40
        return value + size * anp.sum(z**2, axis=-1)

    return convex


def bump(kind: str, c: np.ndarray, s: float, rng: np.random.Generator) -> Callable[[Any], Any]:
    """A function with derivatives of order 1 / s about c, at most of size 1."""
    d = len(c)
    normal = rng.standard_normal(d)
    normal /= np.linalg.norm(normal)
    radius = 0.3 + 0.5 * rng.uniform()
    B = np.eye(d) + 0.3 * rng.standard_normal((d, d))

    def square(z: Any) -> Any:
        return anp.sum((z - c) ** 2, axis=-1) / s**2

    def product(z: Any, factor: Callable[[Any], Any]) -> Any:
        value = 1.0
        for i in range(d):
            value = value * factor((z[..., i] - c[i]) / s)
        return value

    return {
        "gaussian": lambda z: anp.exp(-square(z) / 2),
        "skew gaussian": lambda z: anp.exp(-anp.sum(anp.matmul(z - c, B.T) ** 2, axis=-1) / (2 * s**2)),
        "product": lambda z: product(z, lambda t: anp.exp(-(t**2))),
        "rational": lambda z: 1 / (1 + square(z)),
        "compact": lambda z: anp.where(square(z) < 1, anp.maximum(1 - square(z), 0.0) ** 4, 0.0),
        "sech": lambda z: product(z, lambda t: 1 / anp.cosh(t)),
        "ridge": lambda z: anp.logaddexp(0.0, anp.matmul(z - c, normal) / s),
        "tube": lambda z: anp.exp(-anp.sum((z[..., :2] - c[:2]) ** 2, axis=-1) / (2 * s**2)),
        "ring": lambda z: anp.exp(-((anp.sum(z**2, axis=-1) - radius**2) ** 2) / (2 * s**2)),
    }[kind]


FEATURES = ("none", "gaussian", "skew gaussian", "product", "rational", "compact", "sech", "ridge", "tube", "ring",
            "at a corner", "wrong Hessian", "Hessian without the bump")  # fmt: skip
ODDS = np.array([4.0] + [1.0] * (len(FEATURES) - 1)) / (len(FEATURES) + 3)


def draw(d: int, rng: np.random.Generator) -> Draw:
    """A random potential of d variables, its box and its units random too."""
    feature, s = str(rng.choice(FEATURES, p=ODDS)), float(rng.uniform(0.005, 0.02))
    c = rng.uniform(-0.95, 0.95, d)
    if feature == "at a corner":
        c = np.sign(rng.uniform(-1, 1, d)) * (1 - 0.5 * s * rng.uniform(size=d))
    if feature == "ring":
        c = c * 0 + np.eye(d)[0]  # its circle is found below, by its radius
    convex, shape = base(d, rng), "gaussian" if feature in ("at a corner", "Hessian without the bump") else feature
    centre, half, unit = rng.uniform(-3, 3, d), 10.0 ** rng.uniform(-3, 3), 10.0 ** rng.uniform(-6, 6)
    size = 10.0 ** rng.uniform(-5, -0.5) * s**2  # some are within tol
    extra = None if feature in ("none", "wrong Hessian") else bump(shape, c, s, rng)
    centre = centre * half

    def plain(w: Any) -> Any:
        return unit * convex((w - centre) / half)

    def potential(w: Any) -> Any:
        return plain(w) if extra is None else plain(w) + unit * size * extra((w - centre) / half)

    hessian = None
    if feature == "wrong Hessian":
        off = 1 + 10.0 ** rng.uniform(-3, 1)
        right = gf.autodiff.hessian(plain)
        hessian = lambda w: off * right(w)  # noqa: E731
    elif feature == "Hessian without the bump":
        hessian = gf.autodiff.hessian(plain)
    return Draw(potential, hessian, gf.domains.Box(centre - half, centre + half), feature, centre + half * c, s / 2)


def points_of(case: Draw, rng: np.random.Generator, room: float) -> np.ndarray:
    """Corners, edges, fresh points and the feature, a little inside the box for differences; shape=[N, d]."""
    lower, upper, d = case.box.lower, case.box.upper, case.box.dim
    side = upper - lower
    corners = np.array(list(itertools.product(*zip(lower, upper, strict=True))))
    edges = rng.uniform(lower, upper, (60, d))
    ends = np.where(rng.uniform(size=edges.shape) < 0.5, lower, upper)
    edges = np.where(rng.uniform(size=edges.shape) < 0.5, ends, edges)
    near = case.centre + case.width * side * rng.uniform(-1, 1, (30, d))
    points = np.concatenate([corners, edges, rng.uniform(lower, upper, (150, d)), case.centre[None], near])
    return np.clip(points, lower + room * side, upper - room * side)


def error_by_differences(F: gf.Realization, case: Draw, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Relative metric errors by values of F and R alone, and how far each may be off."""
    d, side = case.box.dim, case.box.upper - case.box.lower
    # of the width of the feature, and not so small that rounding shows
    h = max(0.1 * case.width, 2e-4) if case.feature != "none" else 5e-4
    w = points_of(case, np.random.default_rng(seed), 2.5 * h)
    results = [_error(F, case.potential, w, step * side, d) for step in (h, h / 2)]
    return results[1], 2 * np.abs(results[1] - results[0]) + 1e-6


def _error(F: gf.Realization, potential: Callable[[Any], Any], w: np.ndarray, step: np.ndarray, d: int) -> np.ndarray:
    e = np.diag(step)

    def second(i: int, j: int, t: float) -> np.ndarray:
        p, q = t * e[i], t * e[j]
        value = potential(w + p + q) - potential(w + p - q) - potential(w - p + q) + potential(w - p - q)
        return np.asarray(value) / (4 * t * t)

    # whitened by the steps; two steps make the fourth order
    H = np.stack([[(4 * second(i, j, 0.5) - second(i, j, 1.0)) / 3 for j in range(d)] for i in range(d)])
    H = np.moveaxis(H, -1, 0)
    # a map may be wavier than its metric
    x = {t: [F.map.value(w + t * WAVE * v) / WAVE for v in e] for t in (-1.0, -0.5, 0.5, 1.0)}
    J = np.stack([(8 * (x[0.5][i] - x[-0.5][i]) - (x[1.0][i] - x[-1.0][i])) / 6 for i in range(d)], axis=-1)
    fine = np.linalg.eigvalsh(H)[:, 0] > 0
    out = np.full(len(w), np.inf)
    L = np.linalg.inv(np.linalg.cholesky(H[fine]))
    gram = L @ np.swapaxes(J[fine], 1, 2) @ J[fine] @ np.swapaxes(L, 1, 2) - np.eye(d)
    out[fine] = np.linalg.norm(gram, ord=2, axis=(1, 2))
    return out


@dataclass
class Tally:
    """What became of the draws of one row, and the largest error over tol of what was certified."""

    counts: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0


def judge(case: Draw, tol: float, options: dict[str, Any], seed: int) -> tuple[str, float]:
    """ "certified", "false" or the error that refuses; and the error by differences over tol."""
    # what is built is believed, and what is certified is not
    R = gf.LegendreFunction(case.potential, case.box.dim, hessian=case.hessian, check=False)
    try:
        F = gf.realize(R, case.box, tol=tol, **options)
    except gf.GeoflowError as error:
        return type(error).__name__, 0.0
    found, doubt = error_by_differences(F, case, seed)
    excess = (found - doubt) / tol
    return ("false" if excess.max() > 1.05 else "certified"), float(excess.max())


def run(seed: int, draws: int) -> dict[str, Tally]:
    """Tallies by dimension and by feature of so many draws."""
    rng, tallies = np.random.default_rng(seed), {}
    for k in range(draws):
        d = int(rng.choice(DIMENSIONS, p=SHARES))
        case = draw(d, rng)
        tol, options = REQUESTS[d][int(rng.integers(len(REQUESTS[d])))]
        verdict, excess = judge(case, tol, options, seed + k)
        for row in (f"d = {d}", case.feature, "all"):
            tally = tallies.setdefault(row, Tally())
            tally.counts[verdict] += 1
            tally.worst = max(tally.worst, excess)
        if verdict == "false":
            print(f"FALSE: draw {k}, d = {d}, {case.feature}, tol {tol:.0e}, {options}: {excess:.3g} times tol")
    return tallies


def main() -> None:
    """Print the table of a seed and a number of draws."""
    seed, draws = (int(value) for value in (sys.argv[1:] + ["0", "1000"][len(sys.argv) - 1 :]))
    start = time.perf_counter()
    tallies = run(seed, draws)
    print(f"seed {seed}, {draws} draws, {time.perf_counter() - start:.0f} s")
    print("| draws of | all | certified | false | refused | largest error over tol, certified |")
    print("|---|---|---|---|---|---|")
    for row in sorted(tallies, key=lambda name: (name == "all", not name.startswith("d ="), name)):
        counts = tallies[row].counts
        refused = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()) if what not in ("certified", "false"))
        total, worst = sum(counts.values()), tallies[row].worst
        print(f"| {row} | {total} | {counts['certified']} | {counts['false']} | {refused} | {worst:.2f} |")


if __name__ == "__main__":
    main()
