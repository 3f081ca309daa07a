"""Rules of autograd that are wrong or missing, given right ones: of repeat, tile, norm, eigh, eigvalsh, cbrt, and of
quotients and logaddexp, whose second derivatives overflow or cancel.

Importing this registers them with autograd, for the whole process: other code that differentiates `np.repeat` gets the
right derivative too. Only rules that are wrong or missing are replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import JVPNode, VJPNode, defjvp, defvjp, primitive, register_notrace
from autograd.numpy import linalg
from autograd.numpy.numpy_vjps import unbroadcast_f
from autograd.tracer import Box

from geoflow._typing import Array, Map

#: gaps of eigenvalues, relative to the largest, below which the derivative of an eigenvector has no digits
GAP = 1e-9


def _repeat(ans: Array, x: Array, repeats: Any, axis: int | None = None) -> Map:
    """autograd's reads axis=-1 as the axis before the first, and cannot take a number for every entry."""
    shape = anp.shape(x)
    along = 0 if axis is None else axis % len(shape)
    inner = (int(np.prod(shape)),) if axis is None else shape
    counts = np.broadcast_to(np.ravel(repeats), (inner[along],))
    if (counts == counts[0]).all():
        split = (*inner[: along + 1], int(counts[0]), *inner[along + 1 :])
        return lambda g: anp.reshape(anp.sum(anp.reshape(g, split), axis=along + 1), shape)
    places = np.repeat(np.eye(inner[along]), counts, axis=0)
    return lambda g: anp.reshape(anp.moveaxis(anp.tensordot(g, places, axes=(along, 0)), -1, along), shape)


def _tile(ans: Array, x: Array, reps: Any) -> Map:
    """autograd's takes the repetitions for those of the first axes, and numpy for those of the last."""
    shape, counts = anp.shape(x), tuple(int(r) for r in np.ravel(reps))
    axes = max(len(shape), len(counts))
    padded, counts = (1,) * (axes - len(shape)) + shape, (1,) * (axes - len(counts)) + counts
    split = tuple(int(n) for pair in zip(counts, padded, strict=True) for n in pair)
    return lambda g: anp.reshape(anp.sum(anp.reshape(g, split), axis=tuple(range(0, 2 * axes, 2))), shape)


def _norm(ans: Array, x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Map:
    """autograd's puts the axes of a pair back at the wrong places in a batch, and does not know of keepdims."""
    shape = anp.shape(x)
    axes = tuple(range(len(shape))) if axis is None else tuple(int(a) % len(shape) for a in np.ravel(axis))
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    matrix = len(axes) == 2 and not (axis is None and ord is None)
    numeric = isinstance(ord, (int, float, np.number))
    if not (ord is None or (matrix and ord in ("fro", "nuc")) or (not matrix and numeric and 1 < ord < np.inf)):
        raise NotImplementedError(f"derivative of np.linalg.norm with ord={ord!r} over {len(axes)} axes")

    def vjp(g: Array) -> Array:
        g, size = anp.reshape(g, kept), anp.reshape(ans, kept)
        if ord in (None, 2, "fro"):
            return g / size * x
        if ord == "nuc":
            u, _, vt = linalg.svd(anp.moveaxis(x, axes, (-2, -1)), full_matrices=False)
            return g * anp.moveaxis(anp.matmul(u, vt), (-2, -1), axes)
        return g / size ** (ord - 1) * x * anp.abs(x) ** (ord - 2)

    return vjp


def _norm_forwards(g: Array, ans: Array, x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    pulled = _norm(ans, x, ord, axis, keepdims)(anp.ones(anp.shape(ans)))
    axes = tuple(range(anp.ndim(x))) if axis is None else tuple(int(a) for a in np.ravel(axis))
    return anp.sum(g * pulled, axis=axes, keepdims=keepdims)


def _lower(D: Array, UPLO: str) -> Array:
    """The derivative in the triangle that is read, from one in all entries."""
    n = anp.shape(D)[-1]
    triangle = np.tril(np.ones((n, n)), -1) if UPLO.upper() == "L" else np.triu(np.ones((n, n)), 1)
    return D * np.eye(n) + (D + anp.swapaxes(D, -1, -2)) * triangle


def _eigh(ans: Any, x: Array, UPLO: str = "L") -> Callable[[Any], Array]:
    """autograd's leaves the eigenvectors out where their cotangent is zero, which is wrong if that is differentiated.

    Where eigenvalues repeat, an eigenvector has no derivative: NaN, and not the half of a Hessian.
    """
    w, v = ans

    def vjp(g: Any) -> Array:
        wg, vg = g[0], g[1]
        total = anp.matmul(v * wg[..., None, :], anp.swapaxes(v, -1, -2))
        if isinstance(vg, Box) or np.any(vg):
            mixed = anp.matmul(anp.swapaxes(v, -1, -2), vg)
            off = mixed * _inverse_gaps(w) if isinstance(mixed, Box) else _zero_or(mixed, _inverse_gaps(w))
            total = total + anp.matmul(anp.matmul(v, off), anp.swapaxes(v, -1, -2))
        return _lower(total, UPLO)

    return vjp


def _inverse_gaps(w: Array) -> Array:
    """1 / (w_j - w_i) off the diagonal, NaN where eigenvalues repeat."""
    gap = w[..., None, :] - w[..., :, None]
    diagonal = np.eye(anp.shape(w)[-1])
    same = blurred(w)
    return (1 - diagonal) / (gap + diagonal + same) + anp.where(same, np.nan, 0.0)


def _blurred(w: Array) -> Array:
    """Whether eigenvalues are as close as their rounding, off the diagonal."""
    close = np.abs(w[..., None, :] - w[..., :, None]) <= GAP * np.abs(w).max(axis=-1)[..., None, None]
    return np.asarray(close & (np.eye(w.shape[-1]) == 0))


blurred: Map = primitive(_blurred)

for _node in (VJPNode, JVPNode):
    register_notrace(_node, blurred)


def _zero_or(a: Array, b: Array) -> Array:
    """a b, and 0 where a is."""
    return anp.where(a == 0, 0.0, a * b)


def _eigvalsh(ans: Array, x: Array, UPLO: str = "L") -> Map:
    def vjp(g: Array) -> Array:
        v = anp.linalg.eigh(x, UPLO)[1]  # type: ignore[call-overload]
        return _lower(anp.matmul(v * g[..., None, :], anp.swapaxes(v, -1, -2)), UPLO)

    return vjp


def _share(x: Array, y: Array) -> Array:
    """e^x / (e^x + e^y), whose derivatives are products of shares, and not differences."""
    return anp.exp(-anp.logaddexp(0.0, y - x))


defvjp(anp.repeat, _repeat, argnums=(0,))
defvjp(anp.tile, _tile, argnums=(0,))
defvjp(vars(linalg)["_primitive_norm"], _norm, argnums=(0,))
defjvp(vars(linalg)["_primitive_norm"], _norm_forwards, argnums=(0,))
defvjp(linalg.eigh, _eigh, argnums=(0,))
defvjp(linalg.eigvalsh, _eigvalsh, argnums=(0,))
for _divide in (anp.true_divide, anp.divide):  # autograd squares y, which over- or underflows
    defvjp(
        _divide,
        lambda ans, x, y: unbroadcast_f(x, lambda g: g / y),
        lambda ans, x, y: unbroadcast_f(y, lambda g: -(g / y) * ans),
    )
    defjvp(_divide, "same", lambda g, ans, x, y: -(g / y) * ans)
defvjp(
    anp.logaddexp,
    lambda ans, x, y: unbroadcast_f(x, lambda g: g * _share(x, y)),
    lambda ans, x, y: unbroadcast_f(y, lambda g: g * _share(y, x)),
)
defjvp(anp.logaddexp, lambda g, ans, x, y: g * _share(x, y), lambda g, ans, x, y: g * _share(y, x))
defvjp(anp.cbrt, lambda ans, x: lambda g: g / (3.0 * ans**2), argnums=(0,))
