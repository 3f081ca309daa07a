"""Proofs: how sharp and how fast they are, and that none is of a bound below the true error.

    python -m benchmarks.proof [--seed 0] [--share 1] [--parts cases bumps maps damage]

cases    Realizations of potentials with known Hessians: the proved bound beside the error at the certificate's points,
         and beside the true error, in 100 digits by mpmath and integers of 400 bits, at 1,000 random points and at the
         worst points that a climb finds.
bumps    Random potentials with a narrow bump that changes their metric by 1e-3, which the map that is proved does not
         know: every bound below the error at the top is counted as false.
maps     Random polynomial maps, half of them commuting by construction.
damage   Single bits of the numbers that a file states, the checksum made anew, and single bytes of the file.

`--share` is the part of all points, bumps, maps and bits that is done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import autograd.numpy as anp
import mpmath as mp
import numpy as np

import geoflow as gf
from geoflow.numerics.balls import load
from geoflow.realization.archive import read_arrays, write_arrays
from geoflow.realization.files import check_proof
from geoflow.realization.realized import Realization
from geoflow.realization.target import Target

DIGITS, BITS = 100, 400
POINTS, BUMPS, MAPS = 1000, 200, 500
CHECK = "import sys, time; from geoflow.realization.files import check_proof; t = time.process_time(); \
ok = bool(check_proof(sys.argv[1])); print(ok, time.process_time() - t)"

# potentials with their Hessians in mpmath ---------------------------------------------------------------------------

Exact = Callable[[list[Any]], Any]


class Known(NamedTuple):
    """A potential, its Hessian at a point of mpmath numbers, and a box."""

    R: Any
    hessian: Exact
    lower: list[float]
    upper: list[float]


def gaussian(w: list[Any]) -> Any:
    a, b = w
    mixed = a / (2 * b**2)
    return mp.matrix([[-1 / (2 * b), mixed], [mixed, -(a**2) / (2 * b**3) + 1 / (2 * b**2)]])


def quartic(w: list[Any]) -> Any:
    s, d = sum(c * c for c in w), range(len(w))
    return mp.matrix([[(1 + s) * (i == j) + 2 * w[i] * w[j] for j in d] for i in d])


def softmax_covariance(A: np.ndarray, b: np.ndarray, flat: float) -> Exact:
    """Of log sum_k exp(<a_k, w> + b_k) + flat |w|^2 / 2."""
    rows, offsets = [[mp.mpf(float(x)) for x in row] for row in A], [mp.mpf(float(x)) for x in b]

    def hessian(w: list[Any]) -> Any:
        grown = [mp.exp(mp.fdot(row, w) + c) for row, c in zip(rows, offsets, strict=True)]
        total, d = mp.fsum(grown), range(len(w))
        mean = [mp.fdot(grown, [row[i] for row in rows]) / total for i in d]
        return mp.matrix([[
            mp.fsum(g * row[i] * row[j] for g, row in zip(grown, rows, strict=True)) / total - mean[i] * mean[j]
            + (mp.mpf(flat) if i == j else 0) for j in d
        ] for i in d])  # fmt: skip

    return hessian


def log_sum_exp(d: int, half: float) -> Known:
    A = np.concatenate([np.zeros((1, d)), np.eye(d)])
    R = gf.catalog.potentials["log_sum_exp"](d)
    return Known(R, softmax_covariance(A, np.zeros(d + 1), 0.0), [-half] * d, [half] * d)


def soft_maximum(seed: int) -> Known:
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)

    def value(w: Any) -> Any:
        z = anp.matmul(w, A.T) + b
        return anp.log(anp.sum(anp.exp(z), axis=-1)) + 0.0625 * anp.sum(w * w, axis=-1)

    R = gf.LegendreFunction(value, 2, name="random soft maximum")
    return Known(R, softmax_covariance(A, b, 0.125), [-1.0, -1.0], [1.0, 1.0])


def known(name: str, seed: int) -> Known:
    P = gf.catalog.potentials
    if name == "Gaussian":
        return Known(P["gaussian_log_partition"](2), gaussian, [-1.0, -2.0], [1.0, -0.5])
    if name == "quartic":
        return Known(P["quartic"](2), quartic, [-2.0, -2.0], [2.0, 2.0])
    if name == "entropy":
        return Known(P["negative_entropy"](2), lambda w: mp.diag([1 / c for c in w]), [0.1, 0.1], [2.0, 2.0])
    if name == "soft maximum":
        return soft_maximum(seed)
    d, half = LOG_SUM_EXP[name]
    return log_sum_exp(d, half)


#: dimension, and half the side of the box
LOG_SUM_EXP = {
    "log-sum-exp": (2, 2.0),
    "log-sum-exp, half": (2, 0.5),
    "log-sum-exp, d = 1": (1, 2.0),
    "log-sum-exp, d = 3": (3, 1.0),
}
FOUR = ("Gaussian", "log-sum-exp", "quartic", "soft maximum")
CASES = [
    *((name, method) for name in FOUR for method in ("spectral", "twist")),
    *((f"log-sum-exp, d = {d}", method) for d, method in ((1, "spectral"), (1, "twist"), (3, "twist"))),
    *((name, "exact") for name in ("entropy", "log-sum-exp, half", "Gaussian")),
]

# the true error, to many digits -------------------------------------------------------------------------------------


def fixed(value: Any) -> int:
    return int(mp.nint(mp.ldexp(mp.mpf(value), BITS)))


class TrueError:
    """The relative metric error of a solver's map at float points, the polynomials in integers of 400 bits."""

    def __init__(self, F: Any, hessian: Exact):
        self.F, self.hessian, self.d = F, hessian, F.dim
        spectral = F.method == "spectral"
        self.box = F.map.basis if spectral else F.map.amplitudes
        if spectral:
            table = np.zeros((*[self.box.degree + 1] * self.d, len(F.map.coefficients)))
            for k, column in zip(self.box.index, F.map.coefficients.T, strict=True):
                table[tuple(k)] = column
        else:
            table = self.box.coefficients
        with mp.workdps(DIGITS + 50):
            whole = [fixed(float(c)) for c in table.ravel()]
        self.flint, n = load(), self.box.degree + 1
        self.table = self.flint.fmpz_mat(n, len(whole) // n, whole)

    def _series(self, w: list[Any]) -> list[list[Any]]:
        """The functions, and their derivatives along every axis, as mpmath numbers."""
        bases = []
        for i, x in enumerate(w):
            scale, low = mp.mpf(float(self.box.scale[i])), mp.mpf(float(self.box.lower[i]))
            t, p = (x - low) * scale - 1, self.box.degree
            T, U = [mp.mpf(1), t], [mp.mpf(1), 2 * t]
            for _ in range(p):
                T.append(2 * t * T[-1] - T[-2])
                U.append(2 * t * U[-1] - U[-2])
            slopes = [mp.mpf(0), *(k * U[k - 1] * scale for k in range(1, p + 1))]
            bases.append([[fixed(c) for c in T[: p + 1]], [fixed(c) for c in slopes]])
        mat, n, found = self.flint.fmpz_mat, self.box.degree + 1, []
        first = (mat(bases[0]) * self.table).table()
        for order in [(0,) * self.d, *(tuple(int(i == j) for j in range(self.d)) for i in range(self.d))]:
            part = [int(c) >> BITS for c in first[order[0]]]
            for i in range(1, self.d):
                product = mat([bases[i][order[i]]]) * mat(n, len(part) // n, part)
                part = [int(c) >> BITS for c in product.entries()]
            found.append([mp.ldexp(mp.mpf(c), -BITS) for c in part])
        return found

    def _gram(self, w: list[Any]) -> Any:
        """dF^T dF; of a twist from the rows of dF, with their sines and cosines."""
        (a, *da), d, F = self._series(w), range(self.d), self.F.map
        if self.F.method == "spectral":
            rows = list(zip(*da, strict=True))
        else:
            rows, lam = [tuple(mp.mpf(float(c)) for c in row) for row in F.front], mp.mpf(float(F.frequency))
            for r, line in enumerate(F.directions):
                line = [mp.mpf(float(c)) for c in line]
                phase = lam * mp.fdot(line, [w[i] - mp.mpf(float(self.box.lower[i])) for i in d])
                cos, sin = mp.cos(phase), mp.sin(phase)
                rows.append(tuple(da[i][r] * cos / lam - a[r] * sin * line[i] for i in d))
                rows.append(tuple(da[i][r] * sin / lam + a[r] * cos * line[i] for i in d))
        return mp.matrix([[mp.fsum(row[i] * row[j] for row in rows) for j in d] for i in d])

    def __call__(self, w: np.ndarray) -> float:
        """The largest |x - 1| with det(dF^T dF - x H) = 0."""
        with mp.workdps(DIGITS):
            point = [mp.mpf(float(c)) for c in w]
            H = self.hessian(point)
            L = mp.cholesky(H) ** -1
            E = L * (self._gram(point) - H) * L.T
            return float(max(abs(x) for x in mp.eigsy((E + E.T) / 2, eigvals_only=True)))


def worst_points(F: Any, keep: int, seed: int) -> np.ndarray:
    """Where a climb from random points finds the largest errors."""
    lower, upper = F.region.lower, F.region.upper
    rng = np.random.default_rng([seed, 5])
    w = lower + (upper - lower) * (1 - np.cos(np.pi * rng.uniform(size=(20_000, F.dim)))) / 2
    w = np.concatenate([w, np.clip(w + 0.02 * (upper - lower) * rng.choice([-60, 0, 60], w.shape), lower, upper)])
    for _ in range(5):  # smaller and smaller steps about the worst
        best = w[np.argsort(-F.metric_error(w))[:200]]
        steps = rng.standard_normal((200, 20, F.dim)) * rng.uniform(size=(200, 20, 1)) ** 3
        near = best[:, None] + 0.02 * (upper - lower) * steps
        w = np.concatenate([best, np.clip(near.reshape(-1, F.dim), lower, upper)])
    return w[np.argsort(-F.metric_error(w))[:keep]]


# the parts ----------------------------------------------------------------------------------------------------------


class Sharpness(NamedTuple):
    """A case: errors sampled, proved, and true; processor seconds of proof and check; points where it is false."""

    name: str
    method: str
    sampled: float
    proved: float
    injectivity: float
    true: float
    points: int
    false: int
    seconds: float
    check: float
    checked: bool


def realized(case: Known, method: str, tol: float = 1e-8) -> Any:
    try:
        return gf.realize(case.R, gf.domains.Box(case.lower, case.upper), method=method, tol=tol)
    except gf.RealizationError as error:  # what it reached can be proved as well
        return error.evidence["realization"]


def sharpness(name: str, method: str, seed: int, count: int) -> Sharpness:
    case = known(name, seed)
    F = realized(case, method, 1e-6 if name.endswith("3") else 1e-8)
    start = time.process_time()
    proof = F.prove()
    seconds = time.process_time() - start
    true, points = np.nan, 0
    errors: list[float] = []
    if method != "exact":
        error = TrueError(F, case.hessian)
        w = np.concatenate([F.region.random_point(count, rng=seed), worst_points(F, max(3, count // 30), seed)])
        errors, points = [error(x) for x in w], len(w)
        true = max(errors)
    with tempfile.TemporaryDirectory() as folder:
        file = F.save(Path(folder) / "F.npz")
        run = subprocess.run([sys.executable, "-c", CHECK, str(file)], capture_output=True, text=True, check=False)
    ok, check = run.stdout.split() if run.returncode == 0 else ("False", "nan")
    false = sum(not e <= proof.eps for e in errors)
    figures = proof.measured, proof.eps, proof.injectivity, true, points, false, seconds
    return Sharpness(name, method, *figures, float(check), ok == "True")


class Bump(NamedTuple):
    """A potential with a bump: its width, the true error at its top, the bound, and whether the sampled points pass."""

    width: float
    true: float
    proved: float
    sampled_passes: bool
    plain: float


def bump(seed: int, k: int) -> Bump:
    """Log-sum-exp of random affine functions and |w|^2, d = 1 or 2, with a bump that takes 1e-3 of the metric."""
    rng = np.random.default_rng([seed, k])
    d = 1 + k % 2
    A, b, width = rng.standard_normal((3, d)), rng.standard_normal(3), 10.0 ** rng.uniform(-3, -1)
    at, sign = rng.uniform(-0.8, 0.8, d), rng.choice([-1.0, 1.0])

    def plain(w: Any) -> Any:
        return anp.log(anp.sum(anp.exp(anp.matmul(w, A.T) + b), axis=-1)) + 0.5 * anp.sum(w * w, axis=-1)

    def bumped(w: Any) -> Any:
        return plain(w) + sign * size * width**2 * anp.exp(-anp.sum((w - at) ** 2, axis=-1) / width**2)

    box = gf.domains.Box(-np.ones(d), np.ones(d))
    R = gf.LegendreFunction(plain, d)
    size = 5e-4 * float(np.linalg.eigvalsh(R.hessian(at))[0])
    F = gf.realize(R, box, method="spectral", tol=1e-7)
    target = Target.hessian(gf.LegendreFunction(bumped, d, check=False), box)
    there = Realization(F.map, target, "spectral", "", F.certificate)
    near = np.concatenate([at[None], at + width * rng.standard_normal((200, d))])
    true = float(there.metric_error(near[np.all(np.abs(near) <= 1, axis=1)]).max())
    passes = there.certify(1e-5).metric_error < 1e-5
    without = F.prove().eps if k % 10 < 2 else np.nan  # a control
    return Bump(width, true, there.prove().eps, bool(passes), without)


ROTATION = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


def polynomial_map(rng: np.random.Generator, commuting: bool) -> gf.Parametrization:
    """sum_k c_ik y_k^p, y = Q x for an orthogonal Q that floats hold exactly, and a term that spoils it."""
    degrees, scale = rng.integers(1, 5, 4), 10.0 ** rng.integers(-6, 7, 3)
    c = rng.standard_normal((3, 4)) * scale[:, None]
    size = 0.0 if commuting else float(scale[1] * 10.0 ** -rng.integers(0, 9))

    def function(x: Any) -> Any:
        y = anp.einsum("kl,...l->...k", ROTATION, x)
        powers = anp.stack([y[..., k] ** int(degrees[k]) for k in range(4)], axis=-1)
        outputs = anp.einsum("ik,...k->...i", c, powers)
        spoiled = outputs[..., 1] + size * x[..., 0] ** 2 * x[..., 1]
        return anp.stack([outputs[..., 0], spoiled, outputs[..., 2]], axis=-1)

    return gf.Parametrization(function, 4, 3, check=False)


def decided(seed: int, count: int) -> tuple[int, float]:
    """How many of the random maps are decided rightly, and the processor seconds of all."""
    rng, right, seconds = np.random.default_rng([seed, 7]), 0, 0.0
    for k in range(count):
        G = polynomial_map(rng, commuting=k % 2 == 0)
        start = time.process_time()
        found = gf.prove_commuting(G)
        seconds += time.process_time() - start
        right += found.status == ("proved" if k % 2 == 0 else "refuted")
    return right, seconds


class Damage(NamedTuple):
    """What was changed, in how many files, and how many of them were still taken for a proof of another statement."""

    what: str
    files: int
    accepted: int


def damages(seed: int, share: float) -> list[Damage]:
    """Of a file of one variable, whose check is quick."""
    F = gf.realize(gf.catalog.potentials["log_sum_exp"](1), gf.domains.Box([-1], [1]), method="spectral", tol=1e-9)
    proof, rng = F.prove(), np.random.default_rng([seed, 9])
    found = []
    with tempfile.TemporaryDirectory() as folder:
        whole, other = F.save(Path(folder) / "whole.npz"), Path(folder) / "other.npz"
        content, arrays = whole.read_bytes(), read_arrays(whole)
        changed = {
            "bits of what is stated": stated_bits(arrays, rng, share),
            "numbers of the map and the record": others(arrays, rng, share),
        }
        for what, changes in changed.items():
            files = accepted = 0
            for name, value in changes:
                write_arrays(other, {**arrays, name: value}, lambda path: None)
                files, accepted = files + 1, accepted + stands(other, proof)
            found.append(Damage(f"{what}, checksum made anew", files, accepted))
        places = rng.choice(len(content), max(3, int(share * 2000)))
        accepted = 0
        for place in places:
            damaged = bytearray(content)
            damaged[place] ^= int(rng.integers(1, 256))
            other.write_bytes(bytes(damaged))
            accepted += stands(other, proof)
        found.append(Damage("bytes of the file", len(places), accepted))
    return found


def stands(file: Path, proof: Any) -> bool:
    """Whether a file is taken for a proof of something else than it was."""
    try:
        found = check_proof(file)
    except gf.GeoflowError:
        return False
    names = ("eps", "least_eigenvalue", "largest_eigenvalue", "injectivity", "box")
    return bool(found) and any(str(getattr(found, name)) != str(getattr(proof, name)) for name in names)


def stated_bits(arrays: dict[str, Any], rng: np.random.Generator, share: float) -> Iterator[tuple[str, Any]]:
    names = ("eps", "least_eigenvalue", "largest_eigenvalue", "injectivity")
    every = [("proof_" + name, bit) for name in names for bit in range(64)]
    for place in rng.permutation(len(every))[: max(4, int(share * len(every)))]:
        name, bit = every[place]
        yield name, (arrays[name].view(np.uint64) ^ np.uint64(1 << bit)).view(float).reshape(())


def others(arrays: dict[str, Any], rng: np.random.Generator, share: float) -> Iterator[tuple[str, Any]]:
    """Sides of the box, coefficients of F and of P, and digits of the record, by a part in a thousand or more."""
    for _ in range(max(2, int(share * 40))):
        for name in ("lower", "upper", "coefficients", "proof_white", "proof_rho"):
            value = np.array(arrays[name], dtype=float)
            value.flat[int(rng.integers(value.size))] *= 1 + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-3, 0)
            yield name, value
        text = str(arrays["proof_record"])
        digits = [k for k, c in enumerate(text) if c.isdigit()]
        k = int(rng.choice(digits))
        yield "proof_record", np.array(text[:k] + str((int(text[k]) + int(rng.integers(1, 10))) % 10) + text[k + 1 :])


# what is printed ----------------------------------------------------------------------------------------------------


def print_cases(seed: int, share: float) -> int:
    errors = ("sampled", "proved", "true, worst", "proved / sampled")
    columns = ("potential", "method", *errors, "injective", "prove, s", "check, s", "false")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    false = 0
    for name, method in CASES:
        row = sharpness(name, method, seed, max(2, int(share * POINTS)))
        false += row.false
        ratio = f"{row.proved / row.sampled:.1f}" if row.points else "-"
        cells = (
            f"{row.sampled:.1e}", f"{row.proved:.2e}", f"{row.true:.2e}" if row.points else "-", ratio,
            f"{row.injectivity:.2g}", f"{row.seconds:.1f}", f"{row.check:.2f}" + ("" if row.checked else " FAILS"),
            f"{row.false} of {row.points}",
        )  # fmt: skip
        print(f"| {name} | {method} | {' | '.join(cells)} |", flush=True)
    return false


def print_bumps(seed: int, share: float) -> int:
    rows: list[Bump] = []
    for k in range(max(2, int(share * BUMPS))):
        rows.append(bump(seed, k))
        if len(rows) % 20 == 0:
            false = sum(row.proved < row.true for row in rows)
            print(f"... {len(rows)} bumps, {false} bounds below the error", file=sys.stderr, flush=True)
    false = sum(row.proved < row.true for row in rows)
    proved = [row for row in rows if row.proved < 1]
    widths = f", down to a width of {min(row.width for row in proved):.2g}" if proved else ""
    print(
        f"{len(rows)} bumps, true error {min(r.true for r in rows):.1e} or more: {false} bounds below it; the sampled"
        f" certificate passes {sum(r.sampled_passes for r in rows)}; a bound is proved of {len(proved)}{widths};"
        f" without the bump the bound is at most {np.nanmax([r.plain for r in rows]):.1e}",
        flush=True,
    )
    return false


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--parts", nargs="+", default=["cases", "bumps", "maps", "damage"])
    options = parser.parse_args()
    seed, share, wrong = options.seed, options.share, 0
    if "cases" in options.parts:
        wrong += print_cases(seed, share)
    if "bumps" in options.parts:
        wrong += print_bumps(seed, share)
    if "maps" in options.parts:
        count = max(4, int(share * MAPS))
        right, seconds = decided(seed, count)
        wrong += count - right
        print(f"{count} polynomial maps: {right} decided rightly in {seconds:.1f} s", flush=True)
        for name in ("matrix_square", "matrix_product"):
            print(f"{name}: {gf.prove_commuting(gf.catalog.noncommuting[name]().parametrization)}")
    if "damage" in options.parts:
        for row in damages(seed, share):
            wrong += row.accepted
            print(f"{row.what}: {row.files} changed, {row.accepted} taken for a proof of another statement", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
