"""Digits: closed forms of the catalogue against 200 digits, at scales 1e-12 to 1e12 of the argument.

    python -m benchmarks.digits [--seed 0] [--draws 2]

A row for every potential: the worst relative error of every operation, and how often it was refused with a typed error.
Errors are relative to every entry where R is a sum over coordinates, and to the largest entry elsewhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import mpmath as mp
import numpy as np

import geoflow as gf

DIGITS, STEP = 200, mp.mpf(10) ** -25
SCALES = tuple(10.0**k for k in range(-12, 13, 3))
SEPARATIONS = (1e-12, 1e-9, 1e-6, 1e-3, 0.3)
#: what a double is too small, or too large, for
TINY, HUGE = mp.mpf(10) ** -290, mp.mpf(10) ** 290
#: what third differences resolve of the value
NOISE = mp.mpf(10) ** -60


@dataclass
class Family:
    """A potential of the catalogue: its value in mpmath, its points at a scale, and its distance where it is known."""

    name: str
    value: Callable[[list[Any]], Any]
    points: Callable[[float, np.random.Generator], list[np.ndarray]]
    separable: bool = False
    distance: Callable[[list[Any], list[Any]], Any] | None = None
    solved: bool = False  # whether the conjugate is computed by a solver


@dataclass
class Tally:
    """The worst relative error of an operation, where, and how often it was refused."""

    worst: float = 0.0
    count: int = 0
    refused: int = 0
    where: tuple[Any, ...] = field(default=())


# points at a scale --------------------------------------------------------------------------------------------------


def positive(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    return [scale * rng.uniform(0.2, 2, 2), rng.permutation([scale, 1.0]) * rng.uniform(0.2, 2, 2)]


def whole(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    return [scale * rng.uniform(-2, 2, 2), np.array([scale, -1.0]) * rng.uniform(0.2, 2, 2)]


def interval(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    """From both ends of (0, 1), and from its middle."""
    if scale > 0.1:
        return []
    s = scale * rng.uniform(0.2, 2, 2)
    return [s, 1 - s, 0.5 + s / 2]


def simplex(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Towards a corner, a face and the face where the last entry vanishes."""
    if scale > 0.1:
        return []
    s = scale * rng.uniform(0.2, 2)
    return [np.array([s, 0.7 * s]), np.array([s, 0.4]), np.array([0.375, 0.625 - s])]


def cube(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    """About 0, and towards a wall."""
    if scale > 0.1:
        return []
    return [scale * rng.uniform(-1, 1, 2), np.array([-1 + scale * rng.uniform(0.2, 1), 0.1])]


def natural(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Natural parameters of means and deviations of any ratio up to 1e8."""
    m, s = rng.uniform(0.2, 2, 2)
    means = [scale, 1.0] if 1e-9 < scale < 1e9 else [1.0]
    return [np.array([a * m / s**2, -1 / (2 * s**2)]) for a in means] + [np.array([m / scale, -1 / (2 * scale)])]


def definite(scale: float, rng: np.random.Generator) -> list[np.ndarray]:
    B = rng.uniform(-1, 1, (2, 2))
    W = B @ B.T + 0.1 * np.eye(2)
    w, ratio = np.array([W[0, 0], W[0, 1], W[1, 1]]), np.sqrt(scale)
    return [scale * w, w * np.array([ratio, 1.0, 1 / ratio])]


# values in many digits -----------------------------------------------------------------------------------------------


def entropy(w: list[Any]) -> Any:
    return sum(x * mp.log(x) - x for x in w)


def log_sum_exp(w: list[Any]) -> Any:
    z = [0, *w]
    top = z.index(max(z))
    return z[top] + mp.log1p(sum(mp.exp(x - z[top]) for k, x in enumerate(z) if k != top))


def softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def simplex_entropy(w: list[Any]) -> Any:
    return sum(x * mp.log(x) for x in [*w, 1 - sum(w)])


def polytope_barrier(w: list[Any]) -> Any:
    s = gf.catalog.potentials["polytope_barrier"](2).structure
    return -sum(mp.log(dot(a, w) + mp.mpf(float(b))) for a, b in zip(s.directions, s.offsets, strict=True))


def logistic_regression(w: list[Any]) -> Any:
    Z = np.random.default_rng(1).standard_normal((20, 2))
    return sum(softplus(dot(z, w)) for z in Z) * mp.mpf(1 / 20) + mp.mpf(0.1) * sum(x * x for x in w) / 2


def soft_max_affine(w: list[Any]) -> Any:
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)
    # the catalogue rounds the differences of rows: they are its data
    z = [dot(a, w) + mp.mpf(float(c)) for a, c in zip(A[1:] - A[0], b[1:] - b[0], strict=True)]
    return log_sum_exp(z) + dot(A[0], w) + mp.mpf(float(b[0])) + mp.mpf(0.1) * sum(x * x for x in w) / 2


def quadratic_form(w: list[Any]) -> Any:
    B = np.random.default_rng(2).standard_normal((2, 2))
    A = B @ B.T / 2 + np.eye(2)
    return sum(x * dot(row, w) for x, row in zip(w, A, strict=True)) / 2


def quartic(w: list[Any]) -> Any:
    q = sum(x * x for x in w)
    return q / 2 + q * q / 4


def dot(a: Any, w: list[Any]) -> Any:
    return sum(mp.mpf(float(x)) * y for x, y in zip(a, w, strict=True))


# distances ------------------------------------------------------------------------------------------------------------


def flat(phi: Callable[[Any], Any]) -> Callable[[list[Any], list[Any]], Any]:
    return lambda w, v: mp.sqrt(sum((phi(x) - phi(y)) ** 2 for x, y in zip(w, v, strict=True)))


def on_sphere(w: list[Any], v: list[Any]) -> Any:
    return between_classes(*([*u, 1 - sum(u)] for u in (w, v)))


def between_classes(w: list[Any], v: list[Any]) -> Any:
    p, q = ([mp.sqrt(x) for x in u] for u in (w, v))
    return 4 * mp.asin(mp.sqrt(sum((x - y) ** 2 for x, y in zip(p, q, strict=True))) / 2)


def of_classes(w: list[Any], v: list[Any]) -> Any:
    def probabilities(u: list[Any]) -> list[Any]:
        total = log_sum_exp(u)
        return [mp.exp(x - total) for x in [0, *u]]

    return between_classes(probabilities(w), probabilities(v))


def of_normals(t: list[Any], r: list[Any]) -> Any:
    (x, y), (p, q) = ((-a / (2 * mp.sqrt(2) * b), 1 / mp.sqrt(-2 * b)) for a, b in (t, r))
    return 2 * mp.sqrt(2) * mp.asinh(mp.sqrt(((x - p) ** 2 + (y - q) ** 2) / (4 * y * q)))


def of_matrices(w: list[Any], v: list[Any]) -> Any:
    (a, b, c), (p, q, r) = w, v
    det, other = a * c - b * b, p * r - q * q
    half = (a * r + c * p - 2 * b * q) / (2 * mp.sqrt(det * other))  # of the trace over the root of the determinant
    shape = mp.acosh(half) if half > 1 + mp.mpf(10) ** -60 else mp.sqrt(2 * abs(half - 1))
    return mp.sqrt(mp.log(det / other) ** 2 / 2 + 2 * shape**2)


FAMILIES = [
    Family("negative_entropy", entropy, positive, True, flat(lambda s: 2 * mp.sqrt(s))),
    Family("burg", lambda w: -sum(map(mp.log, w)), positive, True, flat(mp.log)),
    Family("fermi_dirac", lambda w: sum(x * mp.log(x) + (1 - x) * mp.log(1 - x) for x in w), interval, True,
           flat(lambda s: 2 * mp.asin(mp.sqrt(s)))),
    Family("hyperbolic_entropy", lambda w: sum(x * mp.asinh(x) - mp.sqrt(1 + x * x) for x in w), whole, True),
    Family("log_sum_exp", log_sum_exp, whole, False, of_classes),
    Family("simplex_entropy", simplex_entropy, simplex, False, on_sphere),
    Family("polytope_barrier", polytope_barrier, cube, solved=True),
    Family("logistic_regression", logistic_regression, whole, solved=True),
    Family("gaussian_log_partition", lambda t: -t[0] ** 2 / (4 * t[1]) - mp.log(-2 * t[1]) / 2, natural, False,
           of_normals, solved=True),
    Family("log_det_spd", lambda w: -mp.log(w[0] * w[2] - w[1] ** 2), definite, False, of_matrices, solved=True),
    Family("quartic", quartic, whole, solved=True),
    Family("quadratic_form", quadratic_form, whole),
    Family("power", lambda w: sum(x**4 / 4 + x**2 / 2 for x in w), whole, True, solved=True,
           distance=flat(lambda s: s * mp.sqrt(1 + 3 * s**2) / 2 + mp.asinh(mp.sqrt(3) * s) / (2 * mp.sqrt(3)))),
    Family("soft_max_affine", soft_max_affine, whole, solved=True),
]  # fmt: skip


# what is compared ---------------------------------------------------------------------------------------------------


def exactly(w: Any) -> list[Any]:
    return [mp.mpf(float(x)) for x in w]


def derivative(f: Callable[[list[Any]], Any], w: list[Any], axes: tuple[int, ...]) -> Any:
    """By central differences, with steps in proportion to the coordinates: good to forty digits and more."""
    if not axes:
        return f(w)
    k, step = axes[0], abs(w[axes[0]]) * STEP
    ends = []
    for sign in (1, -1):
        moved = list(w)
        moved[k] = w[k] + sign * step
        ends.append(derivative(f, moved, axes[1:]))
    return (ends[0] - ends[1]) / (2 * step)


def tensor(f: Callable[[list[Any]], Any], w: list[Any], order: int) -> np.ndarray:
    found = np.empty((len(w),) * order, dtype=object)
    for axes in np.ndindex(found.shape):
        first = tuple(sorted(axes))
        found[axes] = derivative(f, w, first) if axes == first else found[first]
    return found


def inverse(f: Callable[[list[Any]], Any], mu: list[Any], w: list[Any]) -> list[Any] | None:
    """The w with grad f(w) = mu, by Newton's method from one that is near; None where the digits do not resolve it."""
    for _ in range(3):
        g, H = tensor(f, w, 1), mp.matrix(tensor(f, w, 2).tolist())
        try:
            step = mp.lu_solve(H, mp.matrix([m - x for m, x in zip(mu, g, strict=True)]))
        except ZeroDivisionError:
            return None
        w = [x + s for x, s in zip(w, step, strict=True)]
    return w


def error(found: Any, wanted: np.ndarray, entrywise: bool, least: Any = TINY) -> float:
    """The largest relative error; what a double cannot hold, or the reference not resolve, is not asked for."""
    found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=object)
    if entrywise and wanted.ndim > 1:  # all off the diagonal are zeros
        found, wanted = (np.array([x[(k,) * x.ndim] for k in range(len(x))]) for x in (found, wanted))
    found, wanted = found.ravel(), wanted.ravel()
    top = max(abs(x) for x in wanted)
    if top > HUGE:
        return 0.0
    worst = mp.mpf(0)
    for x, y in zip(found, wanted, strict=True):
        size = max(abs(y) if entrywise else top, TINY, least)
        worst = max(worst, abs(mp.mpf(float(x)) - y) / size if np.isfinite(x) else mp.inf)
    return float(worst)


def operations(family: Family, w: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, Any, Any, bool]]:
    """(name, call, wanted, whether entry by entry) for a point."""
    R, f, exact = gf.catalog.potentials[family.name](), family.value, exactly(w)
    for order, name in enumerate(("__call__", "gradient", "hessian", "third_derivative")):
        call = getattr(R, name)
        yield name, lambda call=call: call(w), lambda k=order: tensor(f, exact, k), family.separable
    mu = np.array([float(x) for x in tensor(f, exact, 1)])
    back = inverse(f, exactly(mu), exact) if np.isfinite(mu).all() else None
    if back is not None:
        kind = " (solved)" if family.solved else ""
        yield "inverse" + kind, lambda: R.inverse_gradient(mu), lambda: np.array(back), family.separable
        wanted = sum(m * x for m, x in zip(exactly(mu), back, strict=True)) - f(back)
        yield "conjugate" + kind, lambda: R.conjugate(mu), lambda: np.array([wanted]), False
    yield from pairs(family, R, w, rng)


def pairs(family: Family, R: Any, w: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, Any, Any, bool]]:
    """Divergences and distances to points at all separations, and to a far one."""
    f, exact = family.value, exactly(w)
    slope = tensor(f, exact, 1)
    others = [w * (1 + h * rng.uniform(-1, 1, len(w))) for h in SEPARATIONS]
    others += family.points(SCALES[int(rng.integers(len(SCALES)))], rng)[:1]
    for v in others:
        if (v == w).all() or not R.domain.belongs(v):
            continue
        other = exactly(v)
        wanted = f(other) - f(exact) - sum(g * (x - y) for g, x, y in zip(slope, other, exact, strict=True))
        near = np.abs(v - w).max() < 0.9 * np.abs(w).max()
        kind = "near" if near else "far"
        yield f"divergence {kind}", lambda v=v: R.bregman_divergence(v, w), lambda x=wanted: np.array([x]), False
        if family.distance:
            far = family.distance(other, exact)
            yield f"distance {kind}", lambda v=v: R.metric.dist(w, v), lambda x=far: np.array([x]), False


def measure(families: list[Family], scales: tuple[float, ...], draws: int, seed: int) -> dict[tuple[str, str], Tally]:
    """(potential, operation) to its worst error and refusals."""
    table: dict[tuple[str, str], Tally] = {}
    with mp.workdps(DIGITS):
        for family in families:
            rng = np.random.default_rng(seed)
            for scale in scales:
                for w in (w for _ in range(draws) for w in family.points(scale, rng)):
                    for name, call, wanted, entrywise in operations(family, w, rng):
                        # a third derivative of zero is differences of values that are not
                        least = abs(family.value(exactly(w))) * NOISE if "derivative" in name else TINY
                        one(table.setdefault((family.name, name), Tally()), call, wanted, entrywise, w, least)
    return table


def one(tally: Tally, call: Any, wanted: Any, entrywise: bool, w: np.ndarray, least: Any) -> None:
    tally.count += 1
    try:
        with np.errstate(all="ignore"):
            found = call()
    except gf.GeoflowError:
        tally.refused += 1
        return
    gap = error(found, wanted(), entrywise, least)
    if gap >= tally.worst:
        tally.worst, tally.where = gap, tuple(w)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    chosen = [family for family in FAMILIES if options.only in family.name]
    print(f"{'potential':24}{'operation':22}{'worst':>9}{'refused':>12}   at")
    for family in chosen:
        for (name, operation), tally in measure([family], SCALES, options.draws, options.seed).items():
            mark = " " if tally.worst <= 1e-8 else "!"
            refused = f"{tally.refused} of {tally.count}" if tally.refused else "-"
            place = ", ".join(f"{x:.6g}" for x in tally.where) if tally.worst > 1e-12 else ""
            print(f"{name:24}{operation:22}{tally.worst:9.1e}{mark}{refused:>11}   {place}", flush=True)


if __name__ == "__main__":
    main()
