"""What is asked of a function when it is given: that its derivatives are those of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypedDict, TypeVar

import numpy as np

from geoflow._typing import Array, Map, Mask
from geoflow._usercode import described_error, described_place, is_about_shapes, place_of
from geoflow._validate import describe, require_flag
from geoflow.errors import (
    ArgumentError,
    DerivativeError,
    GeoflowError,
    NotFiniteError,
    NotLegendreError,
    ShapeError,
    UserCodeError,
)
from geoflow.numerics import autodiff
from geoflow.numerics.culprits import blame, unfinished, unsupported
from geoflow.numerics.differences import WIDEST, Slopes, clearly_off, directions, slopes, stays_off
from geoflow.numerics.engine import not_installed
from geoflow.numerics.records import quiet

OPT_OUT = "check=False believes it"
T = TypeVar("T")
#: units of x in which a function is probed, one after the other, where it over- or underflows in those before
UNITS = (1.0, 1e-3, 1e-6, 1e3, 1e6)
#: entries of points beyond which two of them are probed
LARGE = 2**16


class CheckOption(TypedDict, total=False):
    """The keyword of a `CheckChoice`."""

    check: bool


@dataclass(frozen=True)
class CheckChoice:
    """Whether what a user gives is probed when it is given."""

    check: bool = True

    def __post_init__(self) -> None:
        require_flag(self.check)


class Points(NamedTuple):
    """Where a function is probed: flat points, shape=[N, D], what directions are measured from, how many come first,
    at which its derivatives have to be finite, and the projection of vectors to the tangent spaces there."""

    x: Array
    centre: Array | float = 0.0
    first: int = 3
    tangent: Map | None = None

    def directions(self, seed: int = 5) -> Array:
        """Random directions at the points, tangent to where they are."""
        v = directions(self.x, np.random.default_rng(seed), self.centre)
        return v if self.tangent is None else np.asarray(self.tangent(v), dtype=float)

    def few(self) -> Points:
        """The first and the last alone where points are large."""
        return self if self.x.size <= LARGE or self.tangent else Points(self.x[[0, -1]], self.centre, 1)


def in_some_units(probe: Callable[[float], T]) -> T:
    """What a probe gives in the first units in which the function neither over- nor underflows; else its first error.

    An error is about the units where it is a `NotFiniteError` of values, or says that it may be right `elsewhere`.
    """
    first: GeoflowError | None = None
    for unit in UNITS:
        try:
            return probe(unit)
        except (NotFiniteError, NotLegendreError, ArgumentError) as error:
            if not (isinstance(error, NotFiniteError) or getattr(error, "elsewhere", False)):
                raise first or error from None
            first = first or error
    assert first is not None
    raise first


def usable_points(value: Map, draws: list[Array], name: str) -> Points:
    """The first set of points at which the function has a finite value, and one point of every other set.

    Raises `NotFiniteError` where it has none at all, or the error of the user's code at the first of them.
    """
    chosen: list[Array] = []
    raised: list[Exception] = []
    for points in draws:
        good = points[_defined(value, points, raised)]
        if len(good):
            chosen.append(good[:1] if chosen else good)
    if not chosen and raised and isinstance(raised[0], ArgumentError):
        raised[0].elsewhere = True  # type: ignore[attr-defined]
        raise raised[0]
    if not chosen:
        tried, cause = sum(len(points) for points in draws), raised[0] if raised else None
        told = "" if cause is None else f", as {described_error(cause.__cause__ or cause)}"
        where = "" if cause is None or place_of(cause) is None else described_place(place_of(cause))
        raise NotFiniteError(
            f"value of {name}", got=f"NaN, infinity or an error at all of {tried} points that were tried{told}{where}",
            wanted="a function that is finite somewhere near 0, at sizes from 1e-6 to 1e6",
            remedy=f"check the function, shift and scale its argument, or give its domain; {OPT_OUT}",
        ) from cause  # fmt: skip
    return Points(np.concatenate(chosen), first=len(chosen[0]))


def _defined(value: Map, points: Array, raised: list[Exception]) -> Mask:
    """At which points a function has a finite value; what it raised at single ones is collected."""
    with quiet():
        try:
            values = np.asarray(value(points), dtype=float)
            return np.isfinite(values).reshape(len(points), -1).all(axis=1)
        except ShapeError:
            raise
        except Exception as error:
            if len(points) == 1:
                raised.append(_missing(error) if isinstance(error, ImportError) else error)
                return np.zeros(1, dtype=bool)
            return np.concatenate([_defined(value, point[None], raised) for point in points])


def _missing(error: ImportError) -> ArgumentError:
    """The error about a module that a user's function imports."""
    if (error.name or "").startswith("jax"):
        return not_installed(error)
    place = place_of(error)
    (file, line), got = place or ("", 0), f"{described_error(error)}{described_place(place)}"
    return UserCodeError("import in a function", got, "a module that is installed", "install it", file=file, line=line)


def probe_values(evaluate: Callable[[Array], Array], points: Array, name: str, point_shape: tuple[int, ...]) -> bool:
    """Shape of the values at flat points, shape=[n, D], and each point treated on its own; whether all are finite."""
    try:
        batch, single = evaluate(points), np.stack([evaluate(p) for p in points])
        two = evaluate(np.stack([points, points[::-1]]))
    except Exception as error:
        cause = (isinstance(error, UserCodeError) and error.__cause__) or error
        if isinstance(cause, ImportError) and (cause.name or "").startswith("jax"):
            raise not_installed(cause) from error
        if isinstance(error, GeoflowError) and not (error is not cause and is_about_shapes(cause)):
            raise
        raise ShapeError(
            f"{name} cannot be evaluated at points of shape {(len(points), *point_shape)}",
            got=f"{described_error(cause)}{described_place(place_of(error))}",
            wanted=f"a function of [..., {', '.join(map(str, point_shape))}], in autograd.numpy",
            remedy="act on the last axis only (x[..., i]), and check space and dimension",
        ) from error
    both = np.isfinite(batch) & np.isfinite(single)
    size = np.abs(np.where(both, single, 0.0)).max() + 1e-300
    gap = max(
        float(np.abs(np.where(both, values, 0.0) - np.where(both, single, 0.0)).max() / size)
        for values in (batch, np.nan_to_num(two[0]), np.nan_to_num(two[1][::-1]))
    )
    if gap > 1e-9:
        raise ArgumentError(
            f"{name} mixes batch entries",
            got=f"values that change by {gap:.1e} relative when other points join the batch",
            wanted="a map that treats every point on its own",
            remedy="reduce over axis=-1 only, and index with x[..., i]",
            defect=gap,
        )
    return bool(both.all())


def generic_draws(D: int) -> list[Array]:
    """Points of R^D of both signs and several sizes, shape=[n, D] each, from a fixed seed."""
    rng = np.random.default_rng(0)
    draws: list[Array] = [rng.uniform(0.5, 1.5, (3, D))]
    draws += [scale * rng.standard_normal((1, D)) for scale in (0.2, 4.0)]
    return draws


def more_draws(D: int) -> list[Array]:
    """Where else a function may be defined."""
    rng, few = np.random.default_rng(1), min(4, max(1, 10**6 // D))
    signs = [rng.choice([-1.0, 1.0], (few, D)) for _ in range(5)]
    sizes = [size * sign for sign, size in zip(signs, (1.0, 1e-3, 1e3, 0.03, 30.0), strict=True)]
    sizes += [np.full((few, D), size * sign) for sign in (1.0, -1.0) for size in (1e-3, 0.05, 10.0, 100.0, 1e3)]
    return [size * rng.uniform(0.5, 1.5, (few, D)) for size in sizes]


# automatic derivatives ----------------------------------------------------------------------------------------------


class Defect(NamedTuple):
    """A derivative that is not that of the differences: its order, its value and theirs, at which point."""

    order: int
    what: str
    got: float
    wanted: float
    point: int


def probe_automatic(f: Map, at: Points, name: str, orders: int = 2, forms: str = "") -> tuple[Array, Array]:
    """Compare autograd's derivatives of f, shape=[..., D] to shape=[..., d], with differences of its values.

    First order forwards and backwards, the derivative of the pullback along a direction forwards and backwards, in a
    batch and at one point; each output and each coordinate in its own size. Returns the derivatives of the outputs
    along a direction, shape=[N, d], and the derivatives of a combination of them, shape=[N, D]. Raises `ArgumentError`
    that says which operation is at fault where that is known; `forms` names the closed forms that make up for it.
    """
    at = at.few()
    x, v = at.x, at.directions()
    with quiet():
        try:
            found, *derivatives = _defect(f, at, v, orders)
        except Exception as error:
            raise _cannot(f, x, name, error, forms) from error
        if found is None:
            return derivatives[0], derivatives[1]
        if np.isfinite(found.got):
            reason = blame(f, x[found.point] if found.what.endswith("one point") else x, found.order)
        else:
            reason = unfinished(f, x[found.point], found.order)
    kind = "derivative" if found.order == 1 else "second derivative"
    raise ArgumentError(
        _because(name, reason) or f"the {kind} of {name} by autograd is not that of its values",
        got=f"{found.got:.6g} along a direction, {found.wanted:.6g} by differences of its values ({kind} "
        f"{found.what}, at {describe(x[found.point])})",
        wanted="operations of autograd.numpy whose derivatives autograd has right",
        remedy=_remedy(forms), point=x[found.point],
        elsewhere=not np.isfinite(found.got) and "branch" not in reason,
    )  # fmt: skip


def _because(name: str, reason: str) -> str:
    if not reason:
        return ""
    return f"{name} {reason}" if reason.startswith("uses") else f"{name} cannot be differentiated: {reason}"


def _cannot(f: Map, x: Array, name: str, error: Exception, forms: str) -> Exception:
    """The error to raise where f cannot be differentiated at all."""
    reason = blame(f, x, 2) or blame(f, x[0], 2) or unsupported(error)
    told = isinstance(error, (DerivativeError, UserCodeError))  # which says where in the file of the user
    kind: type[ArgumentError] = type(error) if told else ArgumentError  # type: ignore[assignment]
    return kind(
        _because(name, reason) or f"{name} cannot be differentiated",
        got=error.got if isinstance(error, ArgumentError) else f"{type(error).__name__}: {str(error)[:200]}",
        wanted="operations of autograd.numpy that autograd can differentiate, in a batch and at one point",
        remedy=_remedy(forms),
        **{key: getattr(error, key) for key in ("operation", "file", "line") if hasattr(error, key)},
    )


def _remedy(forms: str) -> str:
    return f"write it with other operations, or give {forms or 'its derivatives'} in closed form; {OPT_OUT}"


class _Check(NamedTuple):
    """A derivative, how it was had, the differences of a given width, and the size of its terms."""

    what: str
    given: Array
    again: Callable[[float], Slopes]
    scale: Array


def _defect(f: Map, at: Points, v: Array, orders: int) -> tuple[Defect | None, Array, Array]:
    x, first = at.x, at.first
    forward = np.asarray(autodiff.jvp(f, x, v)[1], dtype=float)
    size = np.median(np.nan_to_num(np.abs(forward), posinf=0.0), axis=0)
    mu = _signs(forward.shape, 6) / np.where(size > 0, size, 1.0)

    def pull(y: Array) -> Array:
        if np.ndim(y) == 3:
            return autodiff.value_and_vjp(f, y)[1](mu2)
        rows = mu[0] if np.ndim(y) == 1 else np.tile(mu, (len(y) // len(x), 1))
        return autodiff.value_and_vjp(f, y)[1](rows)

    outputs, inputs = _Fold(mu), _Fold(_signs(x.shape, 8) * np.abs(v) / _rowmax(v))
    ahead = cache(lambda width: slopes(lambda y: outputs(f(y)), x, v, width))
    bent = cache(lambda width: slopes(lambda y: inputs(pull(y)), x, v, width))
    given, p, p0 = outputs(forward), np.asarray(pull(x), dtype=float), np.asarray(pull(x[0]), dtype=float)
    # two axes: the points and, where they are small, the same in another order
    there_and_back = [slice(None), slice(None, None, -1)][: 1 if outputs.folded else 2]
    x2, v2, mu2 = (np.stack([a[order] for order in there_and_back]) for a in (x, v, mu))
    p2 = _averaged(np.asarray(autodiff.value_and_vjp(f, x2)[1](mu2), dtype=float))
    ones = np.ones(outputs.many) if outputs.folded else mu
    gathered = np.sum(np.abs(given) if outputs.folded else np.abs(mu * given), axis=-1)
    checks = [
        _Check("forwards, in a batch", given, ahead, _rowmax(given)),
        _Check("backwards, in a batch", np.sum(p * v, axis=1), lambda w: ahead(w).summed(ones), gathered),
        _Check("backwards, in a batch of two axes", np.sum(p2 * v, axis=1),
               lambda w: ahead(w).summed(ones), gathered),
        _Check("forwards, at one point", outputs(autodiff.jvp(f, x[0], v[0])[1][None]), lambda w: ahead(w).first(),
               _rowmax(given)[:1]),
        _Check("backwards, at one point", np.sum(p0 * v[0])[None], lambda w: ahead(w).summed(ones).first(),
               gathered[:1]),
    ]  # fmt: skip
    found = _worst(checks, first, 1)
    if found is None and orders > 1:
        batch = [inputs(g) for g in (autodiff.jvp(pull, x, v)[1], autodiff.value_and_vjp(pull, x)[1](v))]
        single = (autodiff.jvp(pull, x[0], v[0])[1], autodiff.value_and_vjp(pull, x[0])[1](v[0]))
        scale = 1e-3 * _rowmax(inputs(p)) + _rowmax(batch[0])
        twice = np.asarray(autodiff.jvp(pull, x2, v2)[1], dtype=float)
        batch.append(inputs(_averaged(twice)))
        ways = ("forwards", "backwards", "forwards, two axes")
        checks = [_Check(f"{w}, in a batch", g, bent, scale) for w, g in zip(ways, batch, strict=True)]
        checks += [
            _Check(f"{w}, at one point", inputs(np.asarray(g)[None]), lambda w: bent(w).first(), scale[:1])
            for w, g in zip(ways[:2], single, strict=True)
        ]
        found = _worst(checks, first, 2)
    return found, forward, p


#: entries of the outputs of a point beyond which they are compared in sums, and how many sums
ALONE, SUMS = 1024, 64


class _Fold:
    """Entries of arrays, shape=[..., n], as they are, or summed with weights of each where they are many."""

    def __init__(self, weights: Array):
        n = weights.shape[-1]
        self.folded = n > ALONE
        self.many = SUMS if self.folded else n
        self._weights, self._starts = weights, np.arange(SUMS) * n // SUMS

    def __call__(self, a: Array) -> Array:
        a = np.asarray(a, dtype=float)
        if not self.folded:
            return a
        if len(a) == len(self._weights) or len(a) == 1:
            return np.asarray(np.add.reduceat(a * self._weights[: len(a)], self._starts, axis=-1))
        parts = a.reshape(-1, len(self._weights), a.shape[-1])
        return np.add.reduceat(parts * self._weights, self._starts, axis=-1).reshape(len(a), SUMS)


def _averaged(a: Array) -> Array:
    """Of a batch, and the same in another order where it is there."""
    return a[0] if len(a) == 1 else (a[0] + a[1][::-1]) / 2


def _signs(shape: tuple[int, ...], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape)


def _rowmax(a: Array) -> Array:
    return np.asarray(np.nan_to_num(np.abs(a), posinf=0.0).max(axis=1, keepdims=True))


def _worst(checks: list[_Check], first: int, order: int) -> Defect | None:
    """The first derivative that is off and stays off."""
    for what, a, again, scale in checks:
        scale = np.array(scale if a.ndim > 1 else np.ravel(scale))
        scale[:first] = scale[:first].max()
        base = again(WIDEST)
        off = clearly_off(a, base, scale)
        off[first:] &= np.isfinite(a[first:])  # of points further out, NaN is said when they are used
        if off.any():
            off = stays_off(a, again, off, scale)
        if off.any():
            index = tuple(int(i) for i in np.argwhere(off)[0])
            return Defect(order, what, float(a[index]), float(base.value[index]), index[0])
    return None


# closed forms -------------------------------------------------------------------------------------------------------


def probe_closed(given: Array, again: Callable[[float], Slopes], what: str, of: str, at: Points, scale: Array) -> None:
    """Compare the values of a closed form, along directions, with differences: `ArgumentError` with `defect`."""
    base = again(WIDEST)
    off = clearly_off(given, base, scale)
    off[at.first :] &= np.isfinite(given[at.first :])
    if off.any():
        off = stays_off(given, again, off, scale)
    if not off.any():
        return
    index = tuple(int(i) for i in np.argwhere(off)[0])
    defect = float(np.nanmax(np.where(off, np.abs(given - base.value) / (np.abs(base.value) + 1e-300), 0.0)))
    raise ArgumentError(
        f"{what} differs from {of}",
        got=f"{given[index]:.6g} along a random direction, {base.value[index]:.6g} by differences, "
        f"at {describe(at.x[index[0]])}",
        wanted=f"the derivative of {of} in closed form",
        remedy=f"correct the closed form, or leave it out where autograd can differentiate; {OPT_OUT}",
        defect=defect, point=at.x[index[0]],
    )  # fmt: skip
