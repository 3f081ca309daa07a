"""Operations of autograd.numpy and autograd.scipy in a map and in a potential: right, or refused, and never wrong.

    python benchmarks/operations.py [--seed 0] [--only repeat]

Each operation takes x of shape=[..., 4], positive, to shape=[..., k]. In a map, the Jacobian and its derivative along a
direction, in batches of several sizes and at one point; in a potential, the gradient and the Hessian. All are held
against Richardson differences of the values, made here. "right" is within 1e-6 of them relative, "refused" is a typed
error of geoflow.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import autograd.numpy as np
import autograd.scipy.linalg as sla
import autograd.scipy.signal as sig
import autograd.scipy.special as sp
import autograd.scipy.stats as st
import numpy as onp

import geoflow as gf

D = 4
C = onp.random.default_rng(3).standard_normal((4, 4))
TOL = 1e-6
#: what the Hessian of a potential has beside the operation, so that it is convex
CONVEX = 100.0


def M(x: Any) -> Any:
    """2 x 2 matrices."""
    return np.reshape(x, (*np.shape(x)[:-1], 2, 2))


def S(x: Any) -> Any:
    """Symmetric positive definite matrices."""
    A = M(x)
    return np.matmul(A, np.swapaxes(A, -1, -2)) + np.array([[2.0, 0.3], [0.3, 1.0]])


def flat(A: Any) -> Any:
    """All axes of a matrix as one."""
    return np.reshape(A, (*np.shape(A)[:-2], -1))


def one(a: Any) -> Any:
    """A scalar a point as a vector."""
    return a[..., None]


def parts(*arrays: Any) -> Any:
    return np.concatenate(arrays, axis=-1)


def named(of: Any, name: str, change: Callable[[Any], tuple[Any, ...]], **options: Any) -> Callable[[Any], Any]:
    """The function of that name of a module, of what x is changed to."""
    return lambda x: getattr(of, name)(*change(x), **options)


def entrywise(names: str, of: Any = np, inner: Callable[[Any], Any] = lambda x: x) -> dict[str, Any]:
    return {
        f"{of.__name__.split('.')[-1]}.{n}": named(of, n, lambda x: (inner(x),))
        for n in names.split()
        if hasattr(of, n)
    }


OF_TWO = (
    "add arctan2 divide float_power floor_divide fmax fmin fmod hypot logaddexp logaddexp2 maximum minimum mod "
    "multiply power remainder subtract true_divide"
)
SUMS = "sum mean prod std var max min amax amin ptp median average nansum nanmean"


def summed(name: str, keep: bool) -> Callable[[Any], Any]:
    whole = named(np, name, lambda x: (x**2,), axis=-1, **({"keepdims": True} if keep else {}))
    return whole if keep else lambda x: one(whole(x))


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    **entrywise(
        "abs absolute arcsinh arctan arctanh cbrt ceil conj conjugate cos cosh deg2rad degrees exp exp2 expm1 "
        "fabs floor imag isfinite log log10 log1p log2 negative positive rad2deg radians real reciprocal rint round "
        "sign sin sinc sinh sqrt square tan tanh trunc angle nan_to_num real_if_close"
    ),
    **{k + " of x/3": v for k, v in entrywise("arccos arcsin arctanh", np, lambda x: x / 3).items()},
    "numpy.arccosh of 1+x": lambda x: np.arccosh(1 + x),
    **{f"numpy.{n}": named(np, n, lambda x: (x[..., :2], x[..., 2:] + 0.05)) for n in OF_TWO.split() if hasattr(np, n)},
    "numpy.heaviside": lambda x: np.heaviside(x - 1, 0.5) + x,
    "x ** 3": lambda x: x**3,
    "2 ** x": lambda x: 2.0**x,
    "x ** x": lambda x: x**x,
    "numpy.where": lambda x: np.where(x > 1, x**2, np.sin(x)),
    "numpy.where with a root": lambda x: np.where(x > 1, np.sqrt(np.where(x > 1, x - 1 + 1e-9, 1.0)), x),
    "numpy.clip": lambda x: np.clip(x, 0.9, 1.2) + x**2,
    "numpy.select": lambda x: np.select([x > 1], [x**2], x),
    # sums and extremes
    **{
        f"numpy.{n}, keepdims={keep}": summed(n, keep) for n in SUMS.split() for keep in (False, True) if hasattr(np, n)
    },
    "numpy.std, ddof=1": lambda x: one(np.std(x, axis=-1, ddof=1)),
    "numpy.var, ddof=1": lambda x: one(np.var(x**2, axis=-1, ddof=1)),
    "numpy.sum over a pair": lambda x: one(np.sum(M(x) ** 2, axis=(-2, -1))),
    "numpy.mean over a pair": lambda x: one(np.mean(M(x) ** 2, axis=(-2, -1))),
    "numpy.cumsum": lambda x: np.cumsum(x**2, axis=-1),
    "numpy.cumprod": lambda x: np.cumprod(x, axis=-1),
    "numpy.percentile": lambda x: one(np.percentile(x, 40, axis=-1)),
    "numpy.quantile": lambda x: one(np.quantile(x, 0.4, axis=-1)),
    "numpy.trapezoid": lambda x: one(np.trapezoid(x**2, axis=-1)),
    "numpy.count_nonzero": lambda x: x + np.count_nonzero(x, axis=-1, keepdims=True),
    # shapes
    "numpy.reshape": lambda x: flat(M(x) ** 2),
    "numpy.ravel": lambda x: np.reshape(np.ravel(x**2), np.shape(x)),
    "numpy.repeat, axis=-1": lambda x: np.repeat(x**2, 2, axis=-1),
    "numpy.repeat, axis by number": lambda x: np.repeat(x**2, 3, axis=np.ndim(x) - 1),
    "numpy.repeat of counts": lambda x: np.repeat(x**2, onp.array([1, 2, 0, 3]), axis=-1),
    "numpy.repeat of a column": lambda x: flat(np.repeat(x[..., None] ** 2, 3, axis=-1)),
    "numpy.repeat, no axis": lambda x: np.reshape(np.repeat(x**2, 2), (*np.shape(x)[:-1], 8)),
    "numpy.tile": lambda x: np.tile(x**2, 2),
    "numpy.tile of a pair": lambda x: flat(np.tile(M(x) ** 2, (2, 3))),
    "numpy.tile with 1s": lambda x: np.tile(x**2, (1,) * (np.ndim(x) - 1) + (2,)),
    "numpy.concatenate": lambda x: np.concatenate([x**2, np.sin(x)], axis=-1),
    "numpy.stack": lambda x: np.stack([x[..., 0] ** 2, x[..., 1] * x[..., 2]], axis=-1),
    "numpy.array of entries": lambda x: (
        np.array([x[..., 0] ** 2, x[..., 1] * x[..., 2]]).T
        if np.ndim(x) < 3
        else np.stack([x[..., 0] ** 2, x[..., 1] * x[..., 2]], axis=-1)
    ),
    "numpy.append": lambda x: np.append(x**2, x, axis=-1),
    "numpy.hstack": lambda x: np.hstack([x**2, x]),
    "numpy.vstack": lambda x: np.reshape(np.vstack([x**2, x]), (*np.shape(x)[:-1], -1)),
    "numpy.dstack": lambda x: (
        flat(np.dstack([M(x) ** 2, M(x)])) if np.ndim(x) == 1 else flat(np.concatenate([M(x) ** 2, M(x)], -1))
    ),
    "numpy.split": lambda x: parts(*[np.sin(p) for p in np.split(x, 2, axis=-1)]),
    "numpy.array_split": lambda x: parts(*[np.sin(p) for p in np.array_split(x, 3, axis=-1)]),
    "numpy.flip": lambda x: np.flip(x**2, axis=-1) * x,
    "numpy.fliplr": lambda x: flat(np.fliplr(M(x)) ** 2) if np.ndim(x) == 1 else x[..., ::-1] ** 2,
    "numpy.flipud": lambda x: flat(np.flipud(M(x)) ** 2),
    "numpy.rot90": lambda x: flat(np.rot90(M(x), axes=(-2, -1)) ** 2),
    "x[..., ::-1]": lambda x: x[..., ::-1] ** 2 * x,
    "x[..., index]": lambda x: x[..., onp.array([0, 2, 2])] ** 2,
    "x[..., mask]": lambda x: x[..., onp.array([True, False, True, True])] ** 2,
    "numpy.take": lambda x: np.take(x**2, onp.array([0, 2, 2]), axis=-1),
    "numpy.take_along_axis": lambda x: np.take_along_axis(x**2, onp.zeros((*np.shape(x)[:-1], 1), dtype=int), axis=-1),
    "numpy.roll": lambda x: np.roll(x**2, 1, axis=-1) * x,
    "numpy.rollaxis": lambda x: flat(np.rollaxis(M(x) ** 2, np.ndim(x), np.ndim(x) - 1)),
    "numpy.moveaxis": lambda x: flat(np.moveaxis(M(x) ** 2, -1, -2)),
    "numpy.swapaxes": lambda x: flat(np.swapaxes(M(x) ** 2, -1, -2)),
    "numpy.transpose": lambda x: np.transpose(np.transpose(x**2)),
    "numpy.squeeze": lambda x: np.squeeze(x[..., None] ** 2, axis=-1),
    "numpy.expand_dims": lambda x: flat(np.expand_dims(x**2, axis=-1)),
    "numpy.atleast_1d": lambda x: np.atleast_1d(x**2),
    "numpy.atleast_2d": lambda x: np.reshape(np.atleast_2d(x**2), np.shape(x)),
    "numpy.atleast_3d": lambda x: np.reshape(np.atleast_3d(x**2), np.shape(x)),
    "numpy.broadcast_to": lambda x: flat(np.broadcast_to(x[..., None] ** 2, (*np.shape(x), 3))),
    "numpy.pad": lambda x: np.pad(x**2, [(0, 0)] * (np.ndim(x) - 1) + [(1, 2)], mode="constant") + x[..., :1],
    "numpy.diagonal": lambda x: np.diagonal(S(x), axis1=-2, axis2=-1),
    "numpy.diag": lambda x: np.diag(S(x)) if np.ndim(x) == 1 else np.diagonal(S(x), axis1=-2, axis2=-1),
    "numpy.trace": lambda x: one(np.trace(S(x), axis1=-2, axis2=-1)),
    "numpy.tril": lambda x: flat(np.tril(S(x))) + x[..., :1],
    "numpy.triu": lambda x: flat(np.triu(S(x))) + x[..., :1],
    "numpy.sort": lambda x: np.sort(x, axis=-1) ** 2,
    "numpy.partition": lambda x: np.partition(x, 2, axis=-1) ** 2,
    "numpy.diff": lambda x: np.diff(x**2, axis=-1),
    "numpy.ediff1d": lambda x: np.ediff1d(x**2) if np.ndim(x) == 1 else np.diff(x**2, axis=-1),
    "numpy.gradient": lambda x: np.gradient(x**2, axis=-1),
    "numpy.full": lambda x: x * np.full(4, 2.0),
    "numpy.full_like": lambda x: x * np.full_like(x, 2.0),
    "numpy.ones_like": lambda x: x**2 + np.ones_like(x),
    "numpy.linspace": lambda x: np.sum(np.linspace(x, 2 * x, 3), axis=0) ** 2,
    "numpy.astype": lambda x: (x**2).astype(float),
    "make_diagonal": lambda x: flat(np.make_diagonal(x**2, axis1=-1, axis2=-2)) + x[..., :1],
    # products
    "numpy.dot": lambda x: np.dot(x**2, C),
    "numpy.matmul": lambda x: flat(np.matmul(M(x), M(x))),
    "x @ C": lambda x: x**2 @ C,
    "numpy.inner": lambda x: np.inner(x**2, C),
    "numpy.outer": lambda x: (
        np.reshape(np.outer(x, x), (-1,)) if np.ndim(x) == 1 else flat(x[..., :, None] * x[..., None, :])
    ),
    "numpy.tensordot": lambda x: np.tensordot(x**2, C, axes=(-1, 0)),
    "numpy.kron": lambda x: np.kron(x**2, onp.array([1.0, 2.0])),
    "numpy.einsum": lambda x: np.einsum("...i,ij,...j->...i", x, C, x),
    "numpy.einsum of matrices": lambda x: flat(np.einsum("...ij,...jk->...ik", M(x), M(x))),
    "numpy.cross": lambda x: np.cross(x[..., :3], x[..., 1:] ** 2),
    "numpy.vdot": lambda x: x * np.vdot(C[0], C[1]) ** 2,
    "numpy.fft.fft": lambda x: np.real(np.fft.fft(x**2, axis=-1)),
    "numpy.fft.rfft": lambda x: np.abs(np.fft.rfft(x**2, axis=-1)) ** 2,
    "numpy.fft.ifft": lambda x: np.imag(np.fft.ifft(x**2, axis=-1)) + x,
    "numpy.fft.irfft": lambda x: np.fft.irfft(np.fft.rfft(x, axis=-1) ** 2, axis=-1),
    "numpy.fft.fftshift": lambda x: np.fft.fftshift(x**2, axes=-1) * x,
    # linear algebra
    "numpy.linalg.det": lambda x: one(np.linalg.det(S(x))),
    "numpy.linalg.slogdet": lambda x: one(np.linalg.slogdet(S(x))[1]),
    "numpy.linalg.inv": lambda x: flat(np.linalg.inv(S(x))),
    "numpy.linalg.pinv": lambda x: flat(np.linalg.pinv(S(x))),
    "numpy.linalg.solve": lambda x: np.linalg.solve(S(x), x[..., :2, None])[..., 0],
    "numpy.linalg.cholesky": lambda x: flat(np.linalg.cholesky(S(x))) + x[..., :1],
    "numpy.linalg.eigh, values": lambda x: np.linalg.eigh(S(x))[0],
    "numpy.linalg.eigh, vectors": lambda x: flat(np.linalg.eigh(S(x))[1] ** 2),
    "numpy.linalg.eigvalsh": lambda x: np.linalg.eigvalsh(S(x)),
    "numpy.linalg.eig": lambda x: np.real(np.linalg.eig(S(x))[0]),
    "numpy.linalg.svd, values": lambda x: np.linalg.svd(M(x) + 2 * np.eye(2), compute_uv=False),
    "numpy.linalg.svd": lambda x: np.linalg.svd(S(x))[1],
    "numpy.linalg.svd, vectors": lambda x: flat(np.linalg.svd(S(x))[0] ** 2),
    "numpy.linalg.qr": lambda x: flat(np.linalg.qr(S(x))[1] ** 2),
    "numpy.linalg.matrix_power": lambda x: flat(np.linalg.matrix_power(S(x), 3)),
    "numpy.linalg.norm": lambda x: one(np.linalg.norm(x, axis=-1)),
    "numpy.linalg.norm, keepdims": lambda x: np.linalg.norm(x, axis=-1, keepdims=True),
    "numpy.linalg.norm of a pair": lambda x: one(np.linalg.norm(M(x), axis=(-2, -1))),
    "numpy.linalg.norm, fro": lambda x: one(np.linalg.norm(M(x), "fro", axis=(-2, -1))),
    "numpy.linalg.norm, nuc": lambda x: one(np.linalg.norm(S(x), "nuc", axis=(-2, -1))),
    "numpy.linalg.norm, 2": lambda x: one(np.linalg.norm(M(x), 2, axis=(-2, -1))),
    "numpy.linalg.norm, p=1": lambda x: one(np.linalg.norm(x, 1, axis=-1)),
    "numpy.linalg.norm, p=3": lambda x: one(np.linalg.norm(x, 3, axis=-1)),
    "numpy.linalg.norm, inf": lambda x: one(np.linalg.norm(x, onp.inf, axis=-1)),
    "numpy.linalg.norm, p=1.5": lambda x: one(np.linalg.norm(x, 1.5, axis=-1)),
    # scipy
    **entrywise("erf erfc gamma gammaln digamma psi rgamma expit i0 i1 j0 j1 y0 y1 gammasgn", sp),
    **{k + " of x/3": v for k, v in entrywise("logit erfinv erfcinv", sp, lambda x: x / 3).items()},
    "special.polygamma": lambda x: sp.polygamma(1, x),
    "special.multigammaln": lambda x: sp.multigammaln(x + 1, 2),
    "special.jn": lambda x: sp.jn(2, x),
    "special.yn": lambda x: sp.yn(2, x),
    "special.iv": lambda x: sp.iv(1.5, x),
    "special.ive": lambda x: sp.ive(1.5, x),
    "special.beta": lambda x: sp.beta(x[..., :2], x[..., 2:]),
    "special.betaln": lambda x: sp.betaln(x[..., :2], x[..., 2:]),
    "special.betainc": lambda x: sp.betainc(2.0, 3.0, x / 3),
    "special.gammainc": lambda x: sp.gammainc(2.0, x),
    "special.gammaincc": lambda x: sp.gammaincc(2.0, x),
    "special.logsumexp": lambda x: one(sp.logsumexp(x**2, axis=-1)),
    "special.logsumexp, keepdims": lambda x: sp.logsumexp(x**2, axis=-1, keepdims=True),
    "special.logsumexp, b": lambda x: one(sp.logsumexp(x, axis=-1, b=onp.array([1.0, 2.0, 0.5, 1.0]))),
    "stats.norm.pdf": lambda x: st.norm.pdf(x, 0.3, 1.2),
    "stats.norm.logpdf": lambda x: st.norm.logpdf(x, 0.3, 1.2),
    "stats.norm.cdf": lambda x: st.norm.cdf(x, 0.3, 1.2),
    "stats.norm.logcdf": lambda x: st.norm.logcdf(x, 0.3, 1.2),
    "stats.norm.sf": lambda x: st.norm.sf(x, 0.3, 1.2),
    "stats.norm.logsf": lambda x: st.norm.logsf(x, 0.3, 1.2),
    "stats.beta.pdf": lambda x: st.beta.pdf(x / 3, 2.0, 3.0),
    "stats.beta.logpdf": lambda x: st.beta.logpdf(x / 3, 2.0, 3.0),
    "stats.beta.cdf": lambda x: st.beta.cdf(x / 3, 2.0, 3.0),
    "stats.gamma.pdf": lambda x: st.gamma.pdf(x, 2.0),
    "stats.gamma.logpdf": lambda x: st.gamma.logpdf(x, 2.0),
    "stats.gamma.cdf": lambda x: st.gamma.cdf(x, 2.0),
    "stats.chi2.pdf": lambda x: st.chi2.pdf(x, 3.0),
    "stats.chi2.logpdf": lambda x: st.chi2.logpdf(x, 3.0),
    "stats.chi2.cdf": lambda x: st.chi2.cdf(x, 3.0),
    "stats.t.pdf": lambda x: st.t.pdf(x, 3.0),
    "stats.t.logpdf": lambda x: st.t.logpdf(x, 3.0),
    "stats.t.cdf": lambda x: st.t.cdf(x, 3.0),
    "stats.t.logcdf": lambda x: st.t.logcdf(x, 3.0),
    "stats.poisson.logpmf": lambda x: st.poisson.logpmf(2, x),
    "stats.poisson.pmf": lambda x: st.poisson.pmf(2, x),
    "stats.multivariate_normal.logpdf": lambda x: one(st.multivariate_normal.logpdf(x, onp.zeros(4), onp.eye(4) + 0.2)),
    "stats.multivariate_normal.pdf": lambda x: one(st.multivariate_normal.pdf(x, onp.zeros(4), onp.eye(4) + 0.2)),
    "stats.dirichlet.logpdf": lambda x: one(
        st.dirichlet.logpdf(x[..., :3] / np.sum(x[..., :3], -1, keepdims=True), onp.array([2.0, 3.0, 1.5]))
    ),
    "scipy.linalg.solve_triangular": lambda x: (
        sla.solve_triangular(np.linalg.cholesky(S(x)), x[..., :2], lower=True)
        if np.ndim(x) == 1
        else np.linalg.solve(np.linalg.cholesky(S(x)), x[..., :2, None])[..., 0]
    ),
    "scipy.linalg.sqrtm": lambda x: flat(sla.sqrtm(S(x))),
    "scipy.linalg.solve_sylvester": lambda x: flat(sla.solve_sylvester(S(x), S(x), M(x))),
    "scipy.signal.convolve": lambda x: sig.convolve(x**2, onp.array([1.0, 2.0]), axes=([np.ndim(x) - 1], [0])),
}


def difference(f: Callable[[Any], Any], x: Any, v: Any, h: float = 2e-3) -> Any:
    """d/ds f(x + s v), by Richardson's extrapolation of central differences at three steps."""
    d = [(onp.asarray(f(x + s * v)) - onp.asarray(f(x - s * v))) / (2 * s) for s in (h, h / 2, h / 4)]
    e = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    return (16 * e[1] - e[0]) / 15


def misfit(a: Any, b: Any) -> float:
    """Relative; NaN counts as infinite where the differences are finite."""
    a, b = onp.asarray(a, dtype=float), onp.asarray(b, dtype=float)
    if a.shape != b.shape or not onp.isfinite(a).all():
        return onp.inf
    return float(onp.abs(a - b).max() / (onp.abs(b).max() + 1e-9))


#: entries apart from each other and from where the operations have kinks, which are at 0.9, 1, 1.2 and at ties
ENTRIES = onp.array([0.7, 0.8, 1.1, 1.3])


def draw(rng: Any, *shape: int) -> Any:
    return rng.permuted(onp.broadcast_to(ENTRIES, shape), axis=-1) + rng.uniform(-0.02, 0.02, shape)


def in_a_map(f: Callable[[Any], Any], rng: Any) -> tuple[str, str]:
    def value(x: Any) -> Any:
        return onp.asarray(f(onp.asarray(x)), dtype=float)

    try:
        d = int(value(onp.ones(D) * 1.1).shape[-1])
    except Exception as error:
        return "no value", f"{type(error).__name__}: {error}"
    try:
        G = gf.Parametrization(f, D, d)
        worst = 0.0
        for batch in ((), (1,), (2,), (3,), (4,), (2, 3)):
            x, v = draw(rng, *batch, D), rng.uniform(-1, 1, (*batch, D))
            J = onp.asarray(G.jacobian(x))
            alone = [difference(value, p, u) for p, u in zip(x.reshape(-1, D), v.reshape(-1, D), strict=True)]
            worst = max(worst, misfit(onp.einsum("...iD,...D->...i", J, v).reshape(-1, d), onp.stack(alone)))
            if len(batch) < 2:

                def rows(p: Any) -> Any:
                    return onp.stack([difference(value, p, e) for e in onp.eye(D)], axis=-1)

                two = onp.stack(
                    [difference(rows, p, u, 1e-2) for p, u in zip(x.reshape(-1, D), v.reshape(-1, D), strict=True)]
                )
                given = G.kernel.derivative_of_gradients(x, v[..., None, :])[..., 0, :, :]
                scale = onp.abs(two).max() + onp.abs(J).max()
                worst = max(worst, float(onp.abs(onp.reshape(given, two.shape) - two).max() / scale) * 1e-1)
                mu = onp.random.default_rng(1).standard_normal((*batch, d))
                given = onp.reshape(G.kernel.derivative_of_pullback(x, mu, v), (-1, D))
                wanted = onp.einsum("niD,ni->nD", two, mu.reshape(-1, d))
                worst = max(worst, float(onp.abs(given - wanted).max() / (scale * onp.abs(mu).max())) * 1e-1)
    except gf.GeoflowError as error:
        return "refused", str(error).split(";")[0]
    except Exception as error:
        return "RAW", f"{type(error).__name__}: {error}"
    return ("right", f"{worst:.1e}") if worst <= TOL else ("WRONG", f"{worst:.1e}")


def in_a_potential(f: Callable[[Any], Any], rng: Any) -> tuple[str, str]:
    try:
        d = int(onp.asarray(f(onp.ones(D) * 1.1)).shape[-1])
    except Exception as error:
        return "no value", f"{type(error).__name__}: {error}"
    weights = onp.random.default_rng(2).uniform(0.5, 1.0, d)

    def part(w: Any) -> Any:
        return np.sum(weights * f(1 + 0.4 * np.tanh(w)), axis=-1)

    def plain(w: Any) -> Any:
        return onp.asarray(part(onp.asarray(w)), dtype=float)

    try:
        R = gf.LegendreFunction(lambda w: CONVEX * np.sum(w**2, axis=-1) / 2 + part(w), D)
        worst = 0.0
        for batch in ((), (2,), (3,), (4,)):
            w = onp.arctanh((draw(rng, *batch, D) - 1) / 0.4)
            points = w.reshape(-1, D)
            g = onp.stack([[difference(plain, p, e) for e in onp.eye(D)] for p in points])
            H = onp.stack([
                onp.stack([difference(lambda q: onp.stack([difference(plain, q, a) for a in onp.eye(D)]), p, e, 1e-2)
                           for e in onp.eye(D)]) for p in points
            ])  # fmt: skip
            size = onp.abs(g).max() + onp.abs(H).max() + 1e-6
            worst = max(worst, float(onp.abs((R.gradient(w) - CONVEX * w).reshape(-1, D) - g).max()) / size)
            off = (R.hessian(w) - CONVEX * onp.eye(D)).reshape(-1, D, D) - H
            worst = max(worst, float(onp.abs(off).max()) / size * 1e-1)
    except gf.GeoflowError as error:
        return "refused", str(error).split(";")[0]
    except Exception as error:
        return "RAW", f"{type(error).__name__}: {error}"
    return ("right", f"{worst:.1e}") if worst <= TOL else ("WRONG", f"{worst:.1e}")


def table(seed: int = 0, only: str = "") -> list[tuple[str, tuple[str, str], tuple[str, str]]]:
    """(operation, verdict and detail in a map, verdict and detail in a potential), each operation of a name."""
    rows = []
    for name, f in OPERATIONS.items():
        if only in name:
            with onp.errstate(all="ignore"):
                rng = onp.random.default_rng(seed)
                rows.append((name, in_a_map(f, rng), in_a_potential(f, rng)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    rows = table(options.seed, options.only)
    for name, in_map, in_potential in rows:
        why = "" if in_map[0] == in_potential[0] == "right" else f"  {in_map[1][:90]} | {in_potential[1][:60]}"
        print(f"{name:34s} {in_map[0]:8s} {in_potential[0]:8s}{why}")
    for place, k in (("map", 1), ("potential", 2)):
        verdicts = [row[k][0] for row in rows]
        told = ", ".join(f"{v} {verdicts.count(v)}" for v in ("right", "refused", "no value", "WRONG", "RAW"))
        print(f"{len(rows)} operations in a {place}: {told}")


if __name__ == "__main__":
    main()
