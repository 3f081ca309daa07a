"""The converse theorem in figures: accuracy, time and dimension of every kind of realization, and the theorem itself.

Run: python -m benchmarks.converse [exact] [twist] [spectral] [dimension] [theorem] [controls]; all parts by default.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import autograd.numpy as anp
import numpy as np

import geoflow as gf
from geoflow.theorems.converse import converse_figures


def black_box(R: gf.LegendreFunction) -> gf.LegendreFunction:
    """R with nothing but its values."""
    return gf.LegendreFunction(R.potential, R.domain, name=R.name)


def soft_maximum(seed: int) -> gf.LegendreFunction:
    """Log-sum-exp of 6 random affine functions of 2 variables, plus |w|^2 / 20."""
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)

    def potential(w: Any) -> Any:
        return anp.log(anp.sum(anp.exp(anp.matmul(w, A.T) + b), axis=-1)) + anp.sum(w**2, axis=-1) / 20

    return gf.LegendreFunction(potential, 2, name=f"soft maximum, draw {seed}")


def exact_cases() -> Iterator[tuple[str, gf.LegendreFunction, Any]]:
    """Name, R, and the region to certify."""
    P, Box = gf.catalog.potentials, gf.domains.Box
    for name in ("negative_entropy", "burg", "fermi_dirac", "hyperbolic_entropy", "simplex_entropy", "log_sum_exp"):
        yield name, P[name](5), None
    rng = np.random.default_rng(0)
    A = rng.standard_normal((12, 4))
    yield "polytope barrier, d 4, 12 half-spaces", gf.RidgeSum(-A, 1.0, "log_barrier"), None
    from sklearn.datasets import load_diabetes

    Z = load_diabetes().data[:50, :5]
    yield "logistic regression, 50 diabetes patients", gf.RidgeSum(Z / Z.std(axis=0), 0.0, "softplus"), None
    yield "quadratic form", P["quadratic_form"](5), None
    yield "quartic profile", P["power"](5), None
    yield "sum: entropy + 3 quadratic", P["negative_entropy"](3) + 3 * P["quadratic_form"](3), None
    yield "product: Burg x log-sum-exp", gf.product(P["burg"](2), P["log_sum_exp"](3)), None
    yield "affine: log-sum-exp of A w + b", P["log_sum_exp"](5).compose_affine(rng.standard_normal((5, 3)), 0.3), None
    yield "conjugate of the polytope barrier", gf.RidgeSum(-A, 1.0, "log_barrier").conjugate, None
    yield "conjugate of a sum", (P["negative_entropy"](3) + P["quadratic_form"](3)).conjugate, None
    yield "conjugate of hyperbolic entropy", P["hyperbolic_entropy"](5).conjugate, None
    yield "Gaussian log-partition", P["gaussian_log_partition"](2), Box([-3, -5], [3, -0.2])
    yield "-log det on SPD(2)", P["log_det_spd"](3), Box([0.7, -0.3, 0.7], [1.3, 0.3, 1.3])


def numerical_cases() -> list[tuple[str, gf.LegendreFunction, Any, float, float]]:
    """Name, black box, box, and the errors asked of the twist and of the spectral solver."""
    P, Box = gf.catalog.potentials, gf.domains.Box
    return [
        ("Gaussian", black_box(P["gaussian_log_partition"](2)), Box([-1, -2], [1, -0.5]), 1e-8, 1e-10),
        ("log-sum-exp, d 2", black_box(P["log_sum_exp"](2)), Box([-2, -2], [2, 2]), 1e-8, 1e-10),
        ("soft maximum, draw 0", soft_maximum(0), Box([-1, -1], [1, 1]), 1e-8, 1e-10),
        ("soft maximum, draw 3", soft_maximum(3), Box([-1, -1], [1, 1]), 1e-8, 1e-10),
        ("quartic", black_box(P["quartic"](2)), Box([-2, -2], [2, 2]), 1e-8, 1e-10),
        ("log-sum-exp, d 3", black_box(P["log_sum_exp"](3)), Box([-1] * 3, [1] * 3), 1e-6, 1e-7),
        ("-log det SPD(2)", black_box(P["log_det_spd"](3)), Box([0.7, -0.3, 0.7], [1.3, 0.3, 1.3]), 1e-6, 1e-7),
    ]


def attempt(R: gf.LegendreFunction, box: Any, **options: Any) -> tuple[gf.Realization, float, bool]:
    """The realization, certified or the best found; seconds; and whether it is certified."""
    start = time.perf_counter()
    try:
        F = gf.realize(R, box, **options)
    except gf.RealizationError as error:
        F = error.realization
    return F, time.perf_counter() - start, F.certificate.passed


def report(name: str, F: gf.Realization, seconds: float, passed: bool) -> None:
    c = F.certificate
    print(
        f"{name:42s} D {F.ambient_dim:3d}  error {c.metric_error:.1e} (tol {c.tol:.0e})  injectivity "
        f"{c.injectivity_margin:.2g}  reach {c.reach:.2g}  {seconds:5.1f} s  {'certified' if passed else 'REFUSED'}",
        flush=True,
    )


def theorem(name: str, F: gf.Realization) -> None:
    start = time.perf_counter()
    figures = converse_figures(F)
    text = "  ".join(f"{key} {value:.1e}" for key, value in figures.items())
    print(f"    {name}: {text}  {time.perf_counter() - start:.1f} s", flush=True)


def main(parts: list[str]) -> None:
    """Print the tables asked for."""
    run = "theorem" in parts
    if "exact" in parts:
        print("Exact rules")
        for name, R, box in exact_cases():
            tol = 1e-10 if R.name.startswith("Gaussian") else 1e-12
            F, seconds, passed = attempt(R, box, tol=tol, method="exact")
            report(name, F, seconds, passed)
            if run:
                theorem(name, F)
    for method, column in (("twist", 3), ("spectral", 4)):
        if method not in parts:
            continue
        print(f"Black box, {method}")
        cases = numerical_cases()
        if method == "spectral":
            d4 = black_box(gf.catalog.potentials["log_sum_exp"](4))
            cases.append(("log-sum-exp, d 4", d4, gf.domains.Box([-1] * 4, [1] * 4), 1e-4, 1e-5))
        for name, R, box, *tols in cases:
            F, seconds, passed = attempt(R, box, tol=tols[column - 3], method=method)
            report(name, F, seconds, passed)
            stages = "  ".join(f"{s.parameter:g}/{s.grid}: {s.fresh:.0e} {s.seconds:.1f}s" for s in F.stages)
            print(f"    {stages}")
            if run:
                theorem(name, F)
    if "dimension" in parts:
        print("Error against ambient dimension: log-sum-exp on [-1, 1]^d, degree at most 18 (d 2) and 8 (d 3)")
        for d, dims, degree in ((2, (2, 3, 4, 5, 6), 18), (3, (3, 4, 5, 6, 9), 8)):
            for D in dims:
                R = black_box(gf.catalog.potentials["log_sum_exp"](d))
                box = gf.domains.Box([-1] * d, [1] * d)
                F, seconds, passed = attempt(R, box, tol=1e-12, method="spectral", ambient_dim=D, max_degree=degree)
                report(f"d {d}", F, seconds, passed)
    if "controls" in parts:
        print("Metrics that are not Hessian")
        box = gf.domains.Box([-1, -1], [1, 1])
        for name, metric in NOT_HESSIAN.items():
            F = gf.realize_metric(metric, box)
            w = np.random.default_rng(3).uniform(-0.9, 0.9, size=(50, 2))
            predicted = gf.is_hessian(metric, w).evidence["bracket"]
            seen = np.linalg.norm(F.parametrization.brackets(F.embedding(w)), axis=-1).max()
            print(f"{name:20s} {F!r}  bracket predicted {predicted:.6f}, seen {seen:.6f}")


def _diagonal(first: Any, second: Any) -> Any:
    zero = anp.zeros(anp.shape(first))
    return anp.stack([anp.stack([first, zero], axis=-1), anp.stack([zero, second], axis=-1)], axis=-2)


NOT_HESSIAN = {
    "diag(1, 1 + w1^2)": lambda w: _diagonal(anp.ones(anp.shape(w)[:-1]), 1 + w[..., 0] ** 2),
    "diag(exp(w2), 1)": lambda w: _diagonal(anp.exp(w[..., 1]), anp.ones(anp.shape(w)[:-1])),
}

if __name__ == "__main__":
    main(sys.argv[1:] or ["exact", "twist", "spectral", "dimension", "theorem", "controls"])
