"""What a step of the spectral solver costs: seconds and flops against degree, D and d, and beside a matrix product.

Run: OPENBLAS_NUM_THREADS=1 python benchmarks/realization_cost.py
The sizes of a series are timed by turns; an exponent is the slope of a log-log fit over the three largest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import geoflow as gf
from geoflow.numerics.chebyshev import ProductBasis, total_degree
from geoflow.realization.collocation import Collocation, damped_solve
from geoflow.realization.spectral import OVERSAMPLING

SERIES = {  # what varies: (d, degree, D) of each run
    "degree, d = 2": [(2, p, 5) for p in (16, 20, 24, 28, 32)],
    "degree, d = 3": [(3, p, 9) for p in (7, 8, 9, 10, 11)],
    "degree, d = 4": [(4, p, 14) for p in (4, 5, 6, 7)],
    "D, d = 3, degree 8": [(3, 8, D) for D in (6, 9, 13, 18)],
    "d, degree 6": [(d, 6, d * (d + 3) // 2) for d in (2, 3, 4)],
}
VARIES = {"degree": 1, "D": 2, "d": 0}


class Step:
    """The two halves of a step at one size, and their flops: the normal matrix, then its factor and the solve."""

    def __init__(self, d: int, degree: int, D: int):
        R, box = gf.catalog.potentials["log_sum_exp"](d), np.ones(d)
        basis = ProductBasis(-box, box, total_degree(d, degree))
        rng, m = np.random.default_rng(0), len(basis)
        w = np.cos(np.pi * rng.uniform(size=(int(OVERSAMPLING[d] * m) + 8, d)))
        self.points = Collocation(R.kernel.derivative(2, w), basis, w)
        self.state = self.points.state(rng.standard_normal((D, m)) / m)
        self.N, self.gradient = self.points.normal_matrix(self.state.K), self.points.gradient(self.state).ravel()
        self.damping = 1e-3 * float(np.trace(self.N)) / len(self.N)
        self.unknowns = D * m
        self.normal_flops = (d * D * (D + 1) / 2 + D**2) * len(w) * m**2
        self.solve_flops = self.unknowns**3 / 3

    def normal(self) -> Any:
        return self.points.normal_matrix(self.state.K)

    def solve(self) -> Any:
        return damped_solve(self.N, self.gradient, self.damping)


def product(n: int) -> tuple[Callable[[], Any], float]:
    """A product of two matrices of size n, and its flops."""
    A, B = np.random.default_rng(0).standard_normal((2, n, n))
    return lambda: A @ B, 2.0 * n**3


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of log values against log sizes, of the last three."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(values[-3:]), 1)[0])


def measure(series: list[tuple[int, int, int]], rounds: int = 5, n: int = 1500) -> tuple[list[dict[str, float]], float]:
    """For each size: unknowns, and seconds and flops of both halves; and flops a second of the matrix product."""
    steps, (multiply, flops) = [Step(*size) for size in series], product(n)
    calls: dict[str, Callable[[], Any]] = {"product": multiply}
    for k, step in enumerate(steps):
        calls |= {f"normal {k}": step.normal, f"solve {k}": step.solve}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    seconds = {name: float(np.median(each)) for name, each in times.items()}
    rows = [
        {
            "unknowns": step.unknowns,
            "normal s": seconds[f"normal {k}"], "normal flops": step.normal_flops,
            "solve s": seconds[f"solve {k}"], "solve flops": step.solve_flops,
        }
        for k, step in enumerate(steps)
    ]  # fmt: skip
    return rows, flops / seconds["product"]


def main(chosen: dict[str, list[tuple[int, int, int]]] = SERIES, rounds: int = 5, n: int = 1500) -> None:
    """Print, for each series, its rows, the exponents measured and counted, and the rates."""
    for title, series in chosen.items():
        rows, rate = measure(series, rounds, n)
        print(f"{title}   (matrix product: {rate / 1e9:.1f} Gflop/s)")
        for (d, degree, D), row in zip(series, rows, strict=True):
            halves = [
                f"{half} {row[f'{half} s']:.4f} s, {row[f'{half} flops']:.1e} flops, "
                f"{row[f'{half} flops'] / row[f'{half} s'] / rate:.2f} of the product's rate"
                for half in ("normal", "solve")
            ]
            print(f"  d {d}  degree {degree:2d}  D {D:2d}  unknowns {row['unknowns']:5.0f}: " + "; ".join(halves))
        sizes = [size[VARIES[title.split(",")[0]]] for size in series]
        for kind in ("s", "flops"):
            total = [row[f"normal {kind}"] + row[f"solve {kind}"] for row in rows]
            parts = [exponent(sizes, [row[f"{half} {kind}"] for row in rows]) for half in ("normal", "solve")]
            print(
                f"  exponent of {'seconds' if kind == 's' else kind}: normal {parts[0]:.2f}, solve {parts[1]:.2f}, "
                f"step {exponent(sizes, total):.2f}"
            )


if __name__ == "__main__":
    main()
