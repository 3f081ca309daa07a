"""Verdicts of `check_commuting` and `check_regular` on random maps, beside brackets in extended precision.

Run: python -m benchmarks.verdicts [--seed 0] [--count 10000]. A map A f(B x) is drawn from a family, its outputs and
inputs are multiplied by numbers from 1e-6 to 1e6, and the verdict is compared with what is true of it. Maps of families
that commute do. Others do not where the bracket of some pair is at least 1e-6 in its own scale, by norms,
|hess G_j| |grad G_i| + |hess G_i| |grad G_j|, or by coordinates, |x_k| max_l |d_l G_i / x_l| max_l |d_l G_j / x_l|;
where it is less nothing is asked. Maps are regular unless an output is a combination of others, or zero.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from scipy.stats import ortho_group

import geoflow as gf

LEAST = 1e-6
POINTS = 3
Array = np.ndarray
#: functions of one variable with their first and second derivatives
SCALARS: list[tuple[Callable[[Any], Any], ...]] = [
    (anp.sinh, np.cosh, np.sinh),
    (anp.exp, np.exp, np.exp),
    (lambda z: z**3 / 3 + z, lambda z: z**2 + 1, lambda z: 2 * z),
    (anp.tanh, lambda z: np.cosh(z) ** -2, lambda z: -2 * np.tanh(z) * np.cosh(z) ** -2),
    (lambda z: 2 * z, lambda z: 2 + 0 * z, lambda z: 0 * z),
    (lambda z: z**2 / 2, lambda z: z, lambda z: 1 + 0 * z),
]


class Draw(NamedTuple):
    """w = outer * (A f(B (x / inner)) + plus (x / inner)_a (x / inner)_b), at points x; what is known of it."""

    A: Array
    B: Array
    kinds: Array
    plus: Array
    pair: tuple[int, int]
    outer: Array
    inner: Array
    y: Array
    commutes: bool
    regular: bool

    def map(self, x: Any) -> Any:
        y = x / self.inner
        z = anp.matmul(y, self.B.T)
        f = anp.stack([SCALARS[k][0](z[..., m]) for m, k in enumerate(self.kinds)], axis=-1)
        a, b = self.pair
        return (anp.matmul(f, self.A.T) + self.plus * y[..., a : a + 1] * y[..., b : b + 1]) * self.outer

    def bracket(self) -> float:
        """The largest relative bracket of a pair in its own scale over the points, in extended precision."""
        floats = self.A, self.B, self.plus, self.outer, self.inner
        A, B, plus, outer, inner = (a.astype(np.longdouble) for a in floats)
        (a, b), worst = self.pair, 0.0
        for y in self.y.astype(np.longdouble):
            z = B @ y
            slopes = np.array([SCALARS[k][1](t) for k, t in zip(self.kinds, z, strict=True)])
            bends = np.array([SCALARS[k][2](t) for k, t in zip(self.kinds, z, strict=True)])
            g = (A * slopes) @ B
            H = np.einsum("im,mk,ml->ikl", A * bends, B, B)
            g[:, a] += plus * y[b]
            g[:, b] += plus * y[a]
            H[:, a, b] += plus
            H[:, b, a] += plus
            H = H * outer[:, None, None] / inner[:, None] / inner
            worst = max(worst, relative_bracket(g * outer[:, None] / inner, H, y * inner))
        return worst


def relative_bracket(g: Array, H: Array, x: Array) -> float:
    """The largest over pairs, by norms or by coordinates, of gradients, shape=[d, D], and Hessians, shape=[d, D, D]."""
    along = np.einsum("jkl,il->ijk", H, g)
    brackets = along - np.swapaxes(along, 0, 1)
    scale = np.linalg.norm(g, axis=1)[:, None] * np.sqrt((H**2).sum(axis=(1, 2)))
    norms = np.sqrt((brackets**2).sum(axis=2)) / np.maximum(scale + scale.T, 1e-300)
    rates = np.abs(g / x).max(axis=1)
    moved = np.abs(x) * (rates[:, None] * rates)[..., None]
    return float(np.maximum(norms, (np.abs(brackets) / np.maximum(moved, 1e-300)).max(axis=2)).max())


def numbers(rng: np.random.Generator, n: int) -> Array:
    """Powers of ten from 1e-6 to 1e6, the ends and 1 often."""
    return np.where(rng.random(n) < 0.5, 10.0 ** rng.uniform(-6, 6, n), 10.0 ** (6 * rng.integers(-1, 2, n)))


def a_draw(rng: np.random.Generator, B: Array, A: Array, kinds: Array, commutes: bool, **changes: Any) -> Draw:
    """The map A f(B x) with outputs of any scale, and all inputs of one."""
    D = B.shape[1]
    draw = Draw(
        A, B, kinds, np.zeros(len(A)), (0, 0), numbers(rng, len(A)), np.full(D, numbers(rng, 1)[0]),
        rng.standard_normal((POINTS, D)), commutes, True,
    )  # fmt: skip
    return draw._replace(**changes)


def shape(rng: np.random.Generator) -> tuple[int, int, Array, Array]:
    """D, d <= D, a rotation and kinds of functions."""
    D = int(rng.integers(1, 9))
    Q = ortho_group.rvs(D, random_state=rng) if D > 1 else np.ones((1, 1))
    return D, int(rng.integers(1, D + 1)), Q, rng.integers(0, len(SCALARS), D)


def rotated(rng: np.random.Generator) -> Draw:
    D, d, Q, kinds = shape(rng)
    return a_draw(rng, Q, np.eye(d, D), kinds, True)


def mixed(rng: np.random.Generator) -> Draw:
    D, d, Q, kinds = shape(rng)
    return a_draw(rng, Q, rng.standard_normal((d, D)), kinds, True)


def quadratics(rng: np.random.Generator) -> Draw:
    D, d, Q, _ = shape(rng)
    return a_draw(rng, Q, rng.standard_normal((d, D)), np.full(D, len(SCALARS) - 1), True)


def coordinatewise(rng: np.random.Generator) -> Draw:
    """Every input in a unit of its own: commuting is kept, since no coordinate is mixed with others."""
    D, d, _, kinds = shape(rng)
    return a_draw(rng, np.eye(D), np.eye(D)[rng.permutation(D)[:d]], kinds, True, inner=numbers(rng, D))


def units_mixed(rng: np.random.Generator) -> Draw:
    D, d, _, kinds = shape(rng)
    return a_draw(rng, np.eye(D), rng.standard_normal((d, D)), kinds, True, inner=numbers(rng, D))


def products(rng: np.random.Generator) -> Draw:
    """Two maps side by side, each with its own rotation, mixing and unit."""
    parts = [shape(rng) for _ in range(2)]
    (D, d, Q, kinds), (E, e, P, more) = ((min(D, 4), min(d, D, 4), Q, k) for D, d, Q, k in parts)
    Q, P = (ortho_group.rvs(n, random_state=rng) if n > 1 else np.ones((1, 1)) for n in (D, E))
    A, B = np.zeros((d + e, D + E)), np.zeros((D + E, D + E))
    A[:d, :D], A[d:, D:] = rng.standard_normal((d, D)), rng.standard_normal((e, E))
    B[:D, :D], B[D:, D:] = Q, P
    units = numbers(rng, 2)
    return a_draw(rng, B, A, np.r_[kinds[:D], more[:E]], True, inner=np.repeat(units, (D, E)))


def isometric(rng: np.random.Generator) -> Draw:
    """From more coordinates: y to Q y with orthonormal rows."""
    D, d, _, kinds = shape(rng)
    rows = np.linalg.qr(rng.standard_normal((D + 2, D)))[0].T
    return a_draw(rng, rows, rng.standard_normal((d, D)), kinds, True)


def not_isometric(rng: np.random.Generator) -> Draw:
    D, d, Q, kinds = shape(rng)
    B = Q + 10.0 ** rng.uniform(-6, 0) * rng.standard_normal((D, D))
    return a_draw(rng, B, np.eye(d, D), kinds, False)


def bent_quadratics(rng: np.random.Generator) -> Draw:
    """Symmetric matrices that share no basis: more squares than inputs."""
    D, d, _, _ = shape(rng)
    B = rng.standard_normal((3 * D, D))
    return a_draw(rng, B, rng.standard_normal((d, 3 * D)), np.full(3 * D, len(SCALARS) - 1), False)


def bad_pair(rng: np.random.Generator) -> Draw:
    """Squares of 8 coordinates in units of their own, with a product of two added to one output."""
    a, b = (int(k) for k in rng.choice(8, 2, replace=False))
    plus = np.eye(8)[a] * 10.0 ** rng.uniform(-6, 0)
    units = numbers(rng, 8) if rng.random() < 0.5 else np.full(8, numbers(rng, 1)[0])
    y = rng.uniform(0.5, 1.5, (POINTS, 8))
    return a_draw(rng, np.eye(8), np.eye(8), np.full(8, 5), False, plus=plus, pair=(a, b), inner=units, y=y)


def bad_mixed(rng: np.random.Generator) -> Draw:
    D, d, Q, kinds = shape(rng)
    a, b = (int(k) for k in rng.choice(D, 2)) if D > 1 else (0, 0)
    plus = np.eye(d)[rng.integers(d)] * 10.0 ** rng.uniform(-6, 0)
    return a_draw(rng, Q, rng.standard_normal((d, D)), kinds, False, plus=plus, pair=(a, b))


def dependent(rng: np.random.Generator) -> Draw:
    """An output that is a combination of the others, or zero: commuting, not regular."""
    D, d, Q, kinds = shape(rng)
    A = rng.standard_normal((d, D))
    A[-1] = rng.standard_normal(d - 1) @ A[:-1] if d > 1 and rng.random() < 0.7 else 0.0
    return a_draw(rng, Q, A, kinds, True, regular=False)


FAMILIES: list[Callable[[np.random.Generator], Draw]] = [
    rotated, mixed, quadratics, coordinatewise, units_mixed, products, isometric, not_isometric, bent_quadratics,
    bad_pair, bad_mixed, dependent,
]  # fmt: skip


class Verdict(NamedTuple):
    """One draw: the family, what is true, and what was said."""

    family: str
    bracket: float
    commuting: bool | None
    defect: float
    said_commuting: bool
    regular: bool
    said_regular: bool


def verdict(seed: int, k: int) -> Verdict:
    """The k-th draw of a seed."""
    make = FAMILIES[k % len(FAMILIES)]
    draw = make(np.random.default_rng([seed, k]))
    d, D = len(draw.outer), len(draw.inner)
    x = draw.y * draw.inner
    bracket = draw.bracket()
    commuting = True if draw.commutes else False if bracket >= LEAST else None
    with np.errstate(all="ignore"):  # the map is probed near 1, where one in units of 1e-6 may be infinite
        # verdicts are asked at points of the draw's own units; the probes at construction know none of them
        G = gf.Parametrization(draw.map, D, d, check=False)
    one, other = G.check_commuting(x), G.check_regular(x)
    return Verdict(make.__name__, bracket, commuting, one.defect, bool(one), draw.regular, bool(other))


def table(found: list[Verdict]) -> str:
    """Counts by family: draws, of these asked, wrong verdicts, and the defects nearest to the other side."""
    lines = [
        "| family | draws | asked | commuting | wrong | largest defect of commuting | least of others | rank wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in [*(make.__name__ for make in FAMILIES), "all"]:
        some = [v for v in found if name in (v.family, "all")]
        asked = [v for v in some if v.commuting is not None]
        good, bad = ([v.defect for v in asked if v.commuting is kind] for kind in (True, False))
        wrong = sum(v.said_commuting is not v.commuting for v in asked)
        ends = [f"{max(good):.0e}" if good else "-", f"{min(bad):.0e}" if bad else "-"]
        rank = sum(v.said_regular is not v.regular for v in some)
        cells = [name, len(some), len(asked), len(good), wrong, *ends, rank]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    print(table([verdict(options.seed, k) for k in range(options.count)]))


if __name__ == "__main__":
    main()
