"""How derivatives to order three pass through one primitive: closed rules, no tracing.

A *jet* holds the partial derivatives of an array by their indices: jet[()] is the array, jet[0, 0, 2] its derivative
d_0 d_0 d_2, indices in order; a derivative that is not there is zero.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, reduce
from itertools import combinations_with_replacement, islice, product
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

from geoflow.numerics import entrywise
from geoflow.numerics.entrywise import OF_ONE_VARIABLE, Outer
from geoflow.numerics.replay import TAKE

Index = tuple[int, ...]
Jet = dict[Index, Any]


class Call(NamedTuple):
    """One call of a primitive: its arguments, its value, and the jets of the arguments that depend on the input.

    `indices` are those of the derivatives that are wanted, short ones first.
    """

    f: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    value: Any
    jets: Mapping[int, Jet]
    indices: tuple[Index, ...]


Rule = Callable[[Call], Jet]
LOG = OF_ONE_VARIABLE[anp.log]


@cache
def indices(dim: int, order: int) -> tuple[Index, ...]:
    """The indices of partial derivatives of orders 1 to `order`, short ones first."""
    return tuple(m for k in range(1, order + 1) for m in combinations_with_replacement(range(dim), k))


# products and compositions ------------------------------------------------------------------------------------------


@cache
def splits(index: Index, parts: int) -> tuple[tuple[tuple[Index, ...], int], ...]:
    """The ways to share an index among so many factors, and how often each occurs."""
    found: Counter[tuple[Index, ...]] = Counter()
    for owners in product(range(parts), repeat=len(index)):
        found[tuple(tuple(i for i, o in zip(index, owners, strict=True) if o == k) for k in range(parts))] += 1
    return tuple(found.items())


def leibniz(f: Callable[..., Any], jets: list[Jet], wanted: tuple[Index, ...]) -> Jet:
    """The derivatives of f(u, v, ...), linear in each argument."""
    found: Jet = {}
    for index in wanted:
        total = None
        for shares, times in splits(index, len(jets)):
            factors = [jet.get(share) for jet, share in zip(jets, shares, strict=True)]
            if all(factor is not None for factor in factors):
                total = _plus(total, f(*factors), times)
        if total is not None:
            found[index] = total
    return found


def chain(u: Jet, value: Any, outer: list[Any], wanted: tuple[Index, ...]) -> Jet:
    """The derivatives of f(u) entry by entry, from f'(u), f''(u), ...: those of d_i f(u) = f'(u) d_i u."""
    found: Jet = {}
    if not wanted or outer[0] is None:
        return found
    if outer[0] is value:  # f' = f
        slope = found
        found[()] = value
    else:
        short = tuple(index for index in wanted if len(index) < len(wanted[-1]))
        slope = {(): outer[0], **chain(u, outer[0], outer[1:], short)}
    for index in wanted:
        total = None
        for (part, rest), times in splits(index[1:], 2):
            factor, inner = slope.get(part), u.get((index[0], *rest))
            if factor is not None and inner is not None:
                total = _plus(total, factor * inner, times)
        if total is not None:
            found[index] = total
    found.pop((), None)
    return found


def _plus(total: Any, term: Any, times: int) -> Any:
    """total + times term, in place: both are new arrays."""
    if times != 1:
        term *= times
    if total is None:
        return term
    total += term
    return total


def _added(u: Jet, v: Jet) -> Jet:
    return {m: u[m] + v[m] if m in u and m in v else u.get(m, v.get(m)) for m in {**u, **v}}


# rules --------------------------------------------------------------------------------------------------------------


def _multilinear(call: Call) -> Jet:
    """What is linear in each of the arguments that depend on the input."""
    places, args = sorted(call.jets), list(call.args)
    if len(places) == 1:
        (place,), found = places, {}
        jet = call.jets[place]
        for index in call.indices:
            if index in jet:
                args[place] = jet[index]
                found[index] = call.f(*args, **call.kwargs)
        return found

    def f(*factors: Any) -> Any:
        for place, factor in zip(places, factors, strict=True):
            args[place] = factor
        return call.f(*args, **call.kwargs)

    return leibniz(f, [call.jets[place] for place in places], call.indices)


def _linear_from(first: int) -> Rule:
    """What is linear in all the arguments from a place on at once, as where parts are joined."""

    def rule(call: Call) -> Jet:
        found: Jet = {}
        zeros = [np.zeros_like(part, dtype=float) for part in call.args[first:]]
        for m in call.indices:
            if any(m in jet for jet in call.jets.values()):
                parts = [call.jets.get(first + k, {}).get(m, zero) for k, zero in enumerate(zeros)]
                found[m] = call.f(*call.args[:first], *parts, **call.kwargs)
        return found

    return rule


def _sum_of_two(sign: int) -> Rule:
    def rule(call: Call) -> Jet:
        shape, (u, v) = np.shape(call.value), (call.jets.get(k, {}) for k in (0, 1))
        found: Jet = {}
        for m in call.indices:
            if m in u and m in v:
                found[m] = u[m] + v[m] if sign > 0 else u[m] - v[m]
            elif m in u or m in v:
                part = u[m] if m in u else v[m] if sign > 0 else -v[m]
                found[m] = part if np.shape(part) == shape else np.broadcast_to(part, shape)
        return found

    return rule


def _entrywise(outer: Outer) -> Rule:
    """A function of every entry."""

    def rule(call: Call) -> Jet:
        order = len(call.indices[-1])
        return chain(call.jets[0], call.value, [*islice(outer(call.args[0], call.value), order)], call.indices)

    return rule


def _weighted(call: Call, weights: Mapping[int, Any]) -> Jet:
    """Piecewise linear functions, by the weight of every argument."""
    parts = [{m: jet[m] * weights[k] for m in call.indices if m in jet} for k, jet in call.jets.items()]
    return reduce(_added, parts)


def _larger(call: Call) -> Jet:
    """The larger or smaller of two, which share the derivative where they are equal."""
    x, y, z = *call.args[:2], call.value
    return _weighted(call, {0: (x == z) / (1.0 + (y == z)), 1: (y == z) / (1.0 + (x == z))})


def _clip(call: Call) -> Jet:
    return _weighted(call, {0: np.logical_and(call.value != call.args[1], call.value != call.args[2])})


def _extreme(call: Call, axis: Any = None, keepdims: bool = False) -> Jet:
    """The largest or smallest entries along axes, which share the derivative where there are several."""
    x = call.args[0]
    chosen = x == _spread(call.value, np.ndim(x), axis, keepdims)
    weight = chosen / chosen.sum(axis=axis, keepdims=True)
    jet = call.jets[0]
    return {m: np.sum(jet[m] * weight, axis=axis, keepdims=keepdims) for m in call.indices if m in jet}


def _spread(value: Any, ndim: int, axis: Any, keepdims: bool) -> Any:
    """What was summed over axes with these axes again, of one entry."""
    if keepdims:
        return value
    axes = tuple(range(ndim)) if axis is None else tuple(k % ndim for k in np.atleast_1d(axis))
    return np.expand_dims(value, axes)


def _divide(call: Call) -> Jet:
    x, y = call.args
    if 1 not in call.jets:
        return {m: d / y for m, d in call.jets[0].items() if m}
    inverse = 1.0 / y
    v = {(): inverse, **_inverse_jet(call.jets[1], inverse, call.indices)}
    return leibniz(np.multiply, [call.jets.get(0, {(): x}), v], call.indices)


def _inverse_jet(u: Jet, inverse: Any, wanted: tuple[Index, ...]) -> Jet:
    return chain(u, inverse, [*islice(entrywise.reciprocal(None, inverse), len(wanted[-1]))], wanted)


def _power(call: Call) -> Jet:
    x, p = call.args
    order = len(call.indices[-1])
    if 1 not in call.jets:
        u = _broadcast(call.jets[0], np.shape(call.value))
        return chain(u, call.value, [*islice(entrywise.powers(x, p), order)], call.indices)
    # x^p = exp(p log x)
    log = np.log(np.where(x == 0, 1.0, x))
    exponent: Jet = {(): log}
    if 0 in call.jets:
        exponent |= chain(call.jets[0], log, [*islice(LOG(x, None), order)], call.indices)
    u = _broadcast(leibniz(np.multiply, [call.jets[1], exponent], call.indices), np.shape(call.value))
    return chain(u, call.value, [call.value] * order, call.indices)


def _broadcast(u: Jet, shape: tuple[int, ...]) -> Jet:
    return {m: d if np.shape(d) == shape else np.broadcast_to(d, shape) for m, d in u.items()}


def _logaddexp(call: Call) -> Jet:
    """log(e^x + e^y) = y + L(x - y)."""
    x, y = call.args
    p, q, shape = np.exp(x - call.value), np.exp(y - call.value), np.shape(call.value)
    u, v = (_broadcast(call.jets.get(k, {}), shape) for k in (0, 1))
    gap = {m: u.get(m, 0.0) - v.get(m, 0.0) for m in call.indices if m in u or m in v}
    bent = chain(gap, call.value, [p, p * q, p * q * (q - p)], call.indices)
    return _added(bent, {m: d for m, d in v.items() if m})


def _logsumexp(call: Call, axis: Any = None, b: Any = 1.0, keepdims: bool = False) -> Jet:
    """log s for s = sum_k b_k e^{x_k - c}, c the value, so that s = 1."""
    x = call.args[0]
    p = b * np.exp(x - _spread(call.value, np.ndim(x), axis, keepdims))
    e = chain(_broadcast(call.jets[0], np.shape(p)), p, [p] * 3, call.indices)
    s = {m: np.sum(d, axis=axis, keepdims=keepdims) for m, d in e.items()}
    return chain(s, call.value, [1.0, -1.0, 2.0], call.indices)


def _with_options(rule: Callable[..., Jet]) -> Rule:
    """A rule whose primitive has options, given by place or by name."""
    return lambda call: rule(call, *call.args[1:], **call.kwargs)


def _norm(call: Call, order: Any = None, axis: Any = None, keepdims: bool = False) -> Jet:
    """The root of a sum of squares."""
    if order not in (None, 2) or not (np.ndim(call.args[0]) == 1 or isinstance(axis, int)):
        raise NotImplementedError
    squares = leibniz(np.multiply, [call.jets[0]] * 2, call.indices)
    s = {m: np.sum(d, axis=axis, keepdims=keepdims) for m, d in squares.items()}
    return chain(s, call.value, [*entrywise.root(call.value * call.value, call.value)], call.indices)


# the table ----------------------------------------------------------------------------------------------------------

#: what anp does not show, or wraps again
OWN: dict[str, Any] = {**vars(vars(anp)["numpy_wrapper"]), **vars(anp)}
WHERE = OWN.get("_original_where", anp.where)
NORM = vars(anp.linalg).get("_primitive_norm", anp.linalg.norm)
LINEAR = [
    TAKE, anp.negative, anp.reshape, anp.ravel, anp.expand_dims, anp.squeeze, anp.transpose, anp.swapaxes, anp.moveaxis,
    anp.rollaxis, anp.repeat, anp.tile, anp.roll, anp.flipud, anp.fliplr, anp.rot90, anp.diag, anp.diagonal, anp.trace,
    anp.triu, anp.tril, anp.sum, anp.cumsum, anp.diff, anp.atleast_1d, anp.atleast_2d, anp.atleast_3d, anp.deg2rad,
    anp.rad2deg, anp.radians, anp.degrees, OWN.get("_primitive_mean", anp.mean), OWN["_array_from_scalar_or_array"],
]  # fmt: skip
MULTILINEAR = [
    anp.multiply, anp.matmul, anp.dot, anp.inner, anp.outer, anp.tensordot, anp.einsum, anp.kron, anp.cross,
]  # fmt: skip
RULES: dict[Any, Rule] = {
    **dict.fromkeys(LINEAR + MULTILINEAR, _multilinear),
    **{f: _entrywise(outer) for f, outer in OF_ONE_VARIABLE.items()},
    **dict.fromkeys((anp.maximum, anp.minimum, anp.fmax, anp.fmin), _larger),
    **dict.fromkeys((anp.max, anp.min, anp.amax, anp.amin), _with_options(_extreme)),
    anp.add: _sum_of_two(1),
    anp.subtract: _sum_of_two(-1),
    WHERE: _linear_from(1),
    OWN["concatenate_args"]: _linear_from(1),
    OWN["array_from_args"]: _linear_from(2),
    anp.true_divide: _divide,
    anp.power: _power,
    anp.clip: _clip,
    anp.logaddexp: _logaddexp,
    NORM: _with_options(_norm),
}


#: primitives that act entry by entry
ENTRYWISE = {
    *OF_ONE_VARIABLE, anp.negative, anp.add, anp.subtract, anp.multiply, anp.true_divide, anp.power, WHERE,
    anp.maximum, anp.minimum, anp.fmax, anp.fmin, anp.clip, anp.logaddexp,
}  # fmt: skip


@cache
def _special() -> dict[Any, Rule]:
    """Functions of scipy, looked up where autograd's own have been imported."""
    import autograd.scipy.special

    special: Any = autograd.scipy.special
    two = 2.0 / float(np.sqrt(np.pi))
    return {
        special.expit: _entrywise(entrywise.logistic),
        special.erf: _entrywise(entrywise.gaussian(two)),
        special.erfc: _entrywise(entrywise.gaussian(-two)),
        special.gammaln: _entrywise(entrywise.log_gamma),
        special.logsumexp: _with_options(_logsumexp),
    }


def rule_of(primitive: Any) -> Rule | None:
    """The rule of a primitive of autograd; None where there is none."""
    if primitive in RULES or "autograd.scipy.special" not in sys.modules:
        return RULES.get(primitive)
    return _special().get(primitive)
