"""What is asked of a potential when it is built: its values, derivatives and closed forms, and its conjugate's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import ArgumentError, NotLegendreError, ShapeError
from geoflow.numerics import autodiff
from geoflow.numerics.differences import Slopes, slopes
from geoflow.numerics.probes import (
    OPT_OUT,
    Points,
    in_some_units,
    probe_automatic,
    probe_closed,
    probe_values,
    usable_points,
)
from geoflow.numerics.records import quiet
from geoflow.potentials.kernel import ClosedFormula
from geoflow.spaces.domains import ConvexDomain, ImplicitDomain

#: entries of an array of derivatives beyond which it is not formed
LARGEST = 2**23
#: relative difference up to which a conjugate's value and gradient are those of R
AGREE = 1e-6


def points_of(domain: ConvexDomain, value: Map, name: str, unit: float) -> Points:
    """Points of a domain at which a potential is finite: the interior point, some about it, one near and one far."""
    centre = np.asarray(domain.interior_point(), dtype=float)
    rng = np.random.default_rng(0)
    if isinstance(domain, ImplicitDomain):  # its test of membership may be a solve
        sizes = 1 + np.abs(centre)
        tried = (centre + 0.5 * 4.0**-k * sizes * rng.uniform(-1, 1, (3, domain.dim)) for k in range(20))
        inside = (points[np.asarray(domain.belongs(points))] for points in tried)
        about = next((points for points in inside if len(points)), np.empty((0, domain.dim)))
        draws = [np.concatenate([about, centre[None]])]
    else:
        draws = [
            np.reshape(domain.random_point(n, bound=unit * bound, rng=seed), (n, domain.dim))
            for n, bound, seed in ((3, 1.0, 0), (1, 0.1, 1), (1, 5.0, 2))
        ]
        draws[0] = np.concatenate([draws[0], centre[None]])
    found = usable_points(value, draws, name)
    return Points(found.x, centre, found.first)


def probe_potential(formula: ClosedFormula, domain: ConvexDomain, name: str, native: bool) -> Points:
    """Hold the values and derivatives of R against each other; of one in jax, only its closed forms. Returns where.

    Raises `ArgumentError` where a derivative is wrong, `ShapeError` and `NotFiniteError` where R has no values, and
    `NotLegendreError` where R ignores a coordinate. Where R cannot be differentiated and its third derivative alone is
    missing, that is refused when it is asked for.
    """
    with quiet():
        return in_some_units(lambda unit: _probed(formula, domain, name, native, unit))


def _probed(formula: ClosedFormula, domain: ConvexDomain, name: str, native: bool, unit: float) -> Points:
    value = _valued(formula, name)
    at = points_of(domain, value, name, unit).few()
    probe_values(value, at.x, name, (domain.dim,))
    missing = [
        f for f, given in zip(("gradient", "hessian", "third_derivative"), formula.closed, strict=True) if not given
    ]
    if not native and missing:
        try:
            _probe_automatic(formula.potential, at, name, missing)
        except ArgumentError as error:
            if missing != ["third_derivative"]:
                raise
            formula.refuse_third(error)
    if len(missing) < 3:
        _probe_closed(formula, at, name)
    return at


def _valued(formula: ClosedFormula, name: str) -> Map:
    def value(w: Array) -> Array:
        with np.errstate(all="ignore"):
            found = np.asarray(formula.derivative(0, w), dtype=float)
        if found.shape != w.shape[:-1]:
            raise ShapeError(
                f"value of {name}", got=f"shape {found.shape} at points of shape {w.shape}",
                wanted=f"shape {w.shape[:-1]}",
                remedy="act on the last axis only, for example np.sum(..., axis=-1)",
            )  # fmt: skip
        return found

    return value


def _probe_automatic(potential: Map, at: Points, name: str, missing: list[str]) -> None:
    forms = " and ".join(f"{form}=" for form in missing)

    def column(w: Array) -> Array:
        return potential(w)[..., None]

    along, pulled = probe_automatic(column, at, name, forms=forms)
    ignored = np.flatnonzero((pulled == 0).all(axis=0))
    if len(ignored):
        told = ", ".join(f"w_{int(i) + 1}" for i in ignored[:5])
        raise NotLegendreError(
            f"{name} does not depend on {told}", got=f"a zero derivative at {len(along)} points",
            wanted="a potential that is strictly convex in every coordinate",
            remedy=f"leave the coordinate out of the domain; {OPT_OUT}", point=at.x[0], elsewhere=True,
        )  # fmt: skip
    if "third_derivative" in missing:
        v = at.directions()

        def bent(w: Array) -> Array:
            rows = np.broadcast_to(v, (len(w) // len(v), *v.shape)).reshape(-1, v.shape[-1])
            return autodiff.jvp(autodiff.jacobian(potential), w, rows)[1]

        given = np.asarray(autodiff.jvp(bent, at.x, v)[1], dtype=float)
        scale = _largest(given) + 1e-3 * _largest(np.asarray(bent(at.x)))
        probe_closed(
            given, lambda width: slopes(bent, at.x, v, width), "the third derivative by autograd", name, at, scale
        )


def _probe_closed(formula: ClosedFormula, at: Points, name: str) -> None:
    """Each closed form against differences of the level above it."""
    (N, d), x, v = at.x.shape, at.x, at.directions()
    gradient, hessian, third = formula.closed
    if gradient is not None:
        g = _shaped(gradient, at, (d,), f"gradient of {name}")
        again = _differences(lambda w: formula.derivative(0, w), x, v)
        _compare(np.sum(g * v, axis=1), again, f"gradient of {name}: gradient=", at, np.sum(np.abs(g * v), axis=1))
    if hessian is not None and d * d <= LARGEST:
        few = at if N * d * d <= LARGEST else Points(x[:1], at.centre, 1)
        H = _shaped(hessian, few, (d, d), f"hessian of {name}")
        u = few.directions()
        again = _differences(lambda w: formula.derivative(1, w), few.x, u)
        scale = _largest(np.einsum("nij,nj->ni", np.abs(H), np.abs(u)))
        _compare(np.einsum("nij,nj->ni", H, u), again, f"hessian of {name}: hessian=", few, scale)
    if third is not None and d**3 <= LARGEST:
        few = at if N * d**3 <= LARGEST else Points(x[:1], at.centre, 1)
        T = _shaped(third, few, (d, d, d), f"third_derivative of {name}")
        u, z = few.directions(), few.directions(9)

        def bent(w: Array) -> Array:
            rows = np.tile(u, (len(w) // len(u), 1))
            return np.einsum("nij,nj->ni", np.asarray(formula.derivative(2, w), dtype=float), rows)

        given = np.einsum("nijk,nj,nk->ni", T, u, z)
        scale = _largest(given) + 1e-3 * _largest(bent(few.x))
        what = f"third_derivative of {name}: third_derivative="
        _compare(given, _differences(bent, few.x, z), what, few, scale)


def _largest(a: Array) -> Array:
    return np.asarray(np.nan_to_num(np.abs(a), posinf=0.0).max(axis=1, keepdims=True))


def _differences(f: Map, x: Array, v: Array) -> Callable[[float], Slopes]:
    return lambda width: slopes(f, x, v, width)


def _compare(given: Array, again: Callable[[float], Slopes], what: str, at: Points, scale: Array) -> None:
    probe_closed(given, again, what, "the potential", at, scale)


def _shaped(form: Map, at: Points, shape: tuple[int, ...], what: str) -> Array:
    """The values of a closed form in a batch, which are those at single points."""
    with np.errstate(all="ignore"):
        value, single = np.asarray(form(at.x), dtype=float), np.asarray(form(at.x[0]), dtype=float)
    if value.shape != (len(at.x), *shape) or single.shape != shape:
        got = f"shape {value.shape} at points of shape {at.x.shape}, {single.shape} at one"
        raise ShapeError(what, got, f"shapes {(len(at.x), *shape)} and {shape}")
    size = np.nan_to_num(np.abs(single)).max(initial=0.0)
    if not np.allclose(value[0], single, 1e-9, 1e-12 * size, equal_nan=True):
        raise ArgumentError(
            what, got="values in a batch that are not those at single points", wanted="every point on its own",
            remedy="act on the last axes only",
        )  # fmt: skip
    return value


def probe_conjugate(
    formula: ClosedFormula, dual: Callable[[int, Array], Array], at: Points, name: str, made: bool
) -> None:
    """Q against R: Q(mu) = <w, mu> - R(w) and grad Q(mu) = w at mu = grad R(w); `made` is whether Q is a bare formula,
    whose derivatives are automatic and are probed too."""
    with quiet():
        mu = np.asarray(formula.derivative(1, at.x), dtype=float)
        good = np.isfinite(mu).all(axis=1)
        x, mu = at.x[good], mu[good]
        if not len(x):
            return
        terms = np.stack([np.sum(x * mu, axis=1), -np.asarray(formula.derivative(0, x), dtype=float)])
        if made:
            near = Points(
                mu, np.asarray(formula.derivative(1, np.asarray(at.centre)), dtype=float), min(at.first, len(mu))
            )
            near = near if np.isfinite(near.centre).all() else Points(near.x, 0.0, near.first)
            probe_automatic(lambda m: dual(0, m)[..., None], near, f"conjugate of {name}")
        Q, w = (np.asarray(dual(order, mu), dtype=float) for order in (0, 1))
        size = np.abs(terms).sum(axis=0) + np.abs(Q)
        off = [np.abs(Q - terms.sum(axis=0)) > AGREE * size, (np.abs(w - x) > AGREE * _span(x, at)).any(axis=1)]
    for wrong, what, got, wanted in (
        (off[0], "value", Q, terms.sum(axis=0)), (off[1], "gradient", w, x),
    ):  # fmt: skip
        if wrong.any():
            k = int(np.argmax(wrong))
            raise ArgumentError(
                f"conjugate of {name}: conjugate= is not the conjugate of the potential",
                got=f"{what} {got[k]} at mu = grad R(w) = {mu[k]}", wanted=f"{wanted[k]}, at w = {x[k]}",
                remedy=f"Q(mu) = sup <w, mu> - R(w), so that grad Q(grad R(w)) = w; {OPT_OUT}", point=x[k],
            )  # fmt: skip


def _span(x: Array, at: Points) -> Array:
    return np.asarray(np.abs(x).max(axis=1, keepdims=True) + np.abs(x - at.centre).max(axis=1, keepdims=True) + 1e-300)
