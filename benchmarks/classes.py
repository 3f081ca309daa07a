"""`gf.classify` on random maps that are built to be of each of the four kinds.

Run: python -m benchmarks.classes [--seed 0] [--count 500]. Outputs are multiplied by numbers from 1e-6 to 1e6, each by
its own; so are coordinates of x where fields commute coordinate by coordinate, and all by one number elsewhere, since
other units are another metric on M.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.riemannian_metric import RiemannianMetric

import geoflow as gf

Array = np.ndarray
Drawn = tuple[gf.Parametrization, Array]
KINDS = ("commuting", "commuting modulo fibres", "intrinsic", "not intrinsic")
SCALARS: list[Callable[[Any], Any]] = [anp.sinh, anp.exp, lambda z: z**3 / 3 + z, anp.tanh, lambda z: z**2]


class Twisted(RiemannianMetric):
    """On R^3, orthonormal fields a_1(x_1) d_1, a_2(x_2) (d_2 + k x_1 d_3) and d_3: brackets are along d_3."""

    def __init__(self, space: Any, speeds: Array, twist: float):
        super().__init__(space=space)
        self.speeds, self.twist = speeds, twist

    def cometric_matrix(self, base_point: Any) -> Any:
        x = base_point
        a, zero = anp.sqrt(1 + (self.speeds * x[..., :2]) ** 2), 0 * x[..., 0]
        fields = [
            [a[..., 0], zero, zero],
            [zero, a[..., 1], self.twist * x[..., 0] * a[..., 1]],
            [zero, zero, 1 + zero],
        ]
        E = anp.stack([anp.stack(field, axis=-1) for field in fields], axis=-1)
        return anp.einsum("...ia,...ja->...ij", E, E)

    def metric_matrix(self, base_point: Any) -> Any:
        return anp.linalg.inv(self.cometric_matrix(base_point))


def hopf(x: Any) -> Any:
    """R^4 to R^3 with |w| = |x|^2, the quotient by a circle: g = |dw|^2 / (4 |w|)."""
    a, b, c, d = (x[..., k] for k in range(4))
    return anp.stack([a * a + b * b - c * c - d * d, 2 * (a * c + b * d), 2 * (b * c - a * d)], axis=-1)


def square(x: Any) -> Any:
    """The upper triangle of U U^T, U of shape [2, 2]."""
    a, b, c, d = (x[..., k] for k in range(4))
    return anp.stack([a * a + b * b, a * c + b * d, c * c + d * d], axis=-1)


def product(x: Any) -> Any:
    """U V^T, both of shape [2, 2]."""
    U, V = (anp.reshape(part, (*anp.shape(x)[:-1], 2, 2)) for part in (x[..., :4], x[..., 4:]))
    return anp.reshape(anp.einsum("...ia,...ja->...ij", U, V), (*anp.shape(x)[:-1], 4))


def mixed(rng: np.random.Generator, d: int) -> Array:
    """A matrix that mixes outputs, which then are multiplied by numbers from 1e-6 to 1e6."""
    return 10.0 ** rng.uniform(-6, 6, (d, 1)) * (rng.standard_normal((d, d)) + 2 * np.eye(d))


def image(f: Callable[[Any], Any], A: Array, space: Any, unit: Any = 1.0) -> gf.Parametrization:
    return gf.Parametrization(lambda x: anp.einsum("ij,...j->...i", A, f(x / unit)), space, len(A), check=False)


def commuting(rng: np.random.Generator) -> Drawn:
    """A f(x), f coordinate by coordinate, or f(Qx) with Q orthogonal."""
    d = int(rng.integers(2, 5))
    chosen = [SCALARS[k] for k in rng.integers(0, len(SCALARS), d)]
    turned = rng.random() < 0.5
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0] if turned else np.eye(d)
    unit = 10.0 ** (rng.uniform(-6, 6) * np.ones(d) if turned else rng.uniform(-6, 6, d))

    def f(x: Any) -> Any:
        y = anp.einsum("ij,...j->...i", Q, x)
        return anp.stack([g(y[..., k]) for k, g in enumerate(chosen)], axis=-1)

    return image(f, mixed(rng, d), d, unit), Q.T @ rng.uniform(0.3, 1.0, d) * unit


def commuting_modulo_fibres(rng: np.random.Generator) -> Drawn:
    """A (x_1, x_2) on a twisted R^3."""
    space = Euclidean(3, equip=False)
    space.equip_with_metric(Twisted, speeds=rng.uniform(0.3, 1.0, 2), twist=rng.uniform(0.3, 2.0))
    return image(lambda x: x[..., :2], mixed(rng, 2), space), rng.uniform(-1, 1, 3)


def intrinsic(rng: np.random.Generator) -> Drawn:
    """Quotients, or coordinates in which the flat metric is not Hessian."""
    which, unit = rng.integers(4), 10.0 ** rng.uniform(-6, 6)
    if which == 0:
        d = int(rng.integers(2, 4))
        B = 0.3 * rng.standard_normal((d, d, d))
        bent = image(lambda x: x + anp.einsum("ijk,...j,...k->...i", B, x, x), mixed(rng, d), d, unit)
        return bent, unit * rng.uniform(0.2, 0.8, d)
    if which == 3:  # U^T U - V^T V = c I
        U, Q = rng.standard_normal((2, 2)) + 2 * np.eye(2), np.linalg.qr(rng.standard_normal((2, 2)))[0]
        return image(product, mixed(rng, 4), 8, unit), unit * np.concatenate([U.ravel(), (Q @ U).ravel()])
    return image((hopf, square)[which - 1], mixed(rng, 3), 4, unit), unit * (
        rng.standard_normal(4) + np.array([2, 0, 0, 2])
    )


def not_intrinsic(rng: np.random.Generator) -> Drawn:
    """Quadratics in general, factors that are not balanced, and quotients that a term breaks."""
    which, unit = rng.integers(3), 10.0 ** rng.uniform(-6, 6)
    if which == 0:
        d = int(rng.integers(2, 4))
        B = rng.standard_normal((d, d + 1, d + 1))
        general = image(lambda x: anp.einsum("ijk,...j,...k->...i", B, x, x), mixed(rng, d), d + 1, unit)
        return general, unit * rng.uniform(0.3, 1.0, d + 1)
    if which == 1:
        x0 = rng.standard_normal(8) + np.array([2, 0, 0, 2, 1, 0, 0, 1])
        return image(product, mixed(rng, 4), 8, unit), unit * x0
    size = 10.0 ** rng.uniform(-4, -1)
    term = np.array([0.3, 1.0, -0.5])

    def broken(x: Any) -> Any:
        return hopf(x) + size * term * (x[..., :1] ** 3 + x[..., 1:2] * x[..., 2:3] ** 2)

    return image(broken, mixed(rng, 3), 4, unit), unit * (rng.standard_normal(4) + np.array([1.5, 0, 0, 1.5]))


FAMILIES = dict(zip(KINDS, (commuting, commuting_modulo_fibres, intrinsic, not_intrinsic), strict=True))


def answers(kind: str, seed: int, count: int) -> list[str]:
    """What is said of so many draws of a kind: a kind, or the name of an error."""
    said = []
    for k in range(count):
        G, x0 = FAMILIES[kind](np.random.default_rng([seed, KINDS.index(kind), k]))
        try:
            said.append(gf.classify(G, x0).kind)
        except gf.GeoflowError as error:
            said.append(type(error).__name__)
    return said


def table(found: dict[str, list[str]]) -> str:
    """Counts by kind: draws, right, refused with an error, wrong."""
    lines = ["| built to be | draws | right | refused | wrong |", "|---|---|---|---|---|"]
    for kind, said in found.items():
        right, refused = sum(s == kind for s in said), sum(s not in KINDS for s in said)
        lines.append(f"| {kind} | {len(said)} | {right} | {refused} | {len(said) - right - refused} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classes", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    print(table({kind: answers(kind, options.seed, options.count) for kind in KINDS}))


if __name__ == "__main__":
    main()
