"""Derivatives of a recorded map at many points: all partial derivatives at once through its steps, on numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow.numerics.jet_rules import ENTRYWISE, Call, Jet, indices, rule_of
from geoflow.numerics.records import Record, Step, record
from geoflow.numerics.replay import differentiated, is_constant, raw_functions

#: inputs up to which all partial derivatives of an order are formed at once: of a map, and of a function of one output,
#: whose autograd takes one pass an input; half as many for fewer points than FEW
MOST, MOST_OF_ONE, FEW = {2: 16, 3: 8}, {2: 6, 3: 8}, 30
#: derivatives of the entries of one step that are worked on at once
AT_ONCE = 2**18
#: calls from which it pays to record a map, each of so many points more counting as one
OFTEN, POINTS = 10, 500
#: relative difference from autograd's derivatives up to which a record is believed
AGREE = 1e-9


class Jets:
    """x to the derivatives of f of one order, from the record of f at a batch; shape=[N, D] to shape=[N, ..., D, D].

    `several` gives those of lower orders too, which they are computed from.
    """

    def __init__(self, recorded: Record, order: int):
        self._order, self._output, self._steps = order, recorded.output, recorded.steps[1:]
        self._raw, self._argnums = raw_functions(recorded), differentiated(recorded)
        rules = [rule_of(step.primitive) if n else None for step, n in zip(self._steps, self._argnums, strict=True)]
        if any(n and not rule for n, rule in zip(self._argnums, rules, strict=True)):
            raise NotImplementedError("a primitive without a rule")
        self._rules, self._apart = rules, coordinatewise(recorded)
        #: entries of the largest step at one point
        self._width = max(np.size(step.value) for step in recorded.steps) / len(recorded.steps[0].value)
        last = {parent: k for k, step in enumerate(self._steps) for parent in step.parents}
        #: the steps that are not needed any more, after each step
        self._done = [[p for p, at in last.items() if at == k and p != self._output] for k in range(len(self._steps))]

    def __call__(self, x: Array) -> Array:
        return self.several((self._order,), x)[0]

    def several(self, orders: Sequence[int], x: Array) -> list[Array]:
        """The derivatives of these orders, up to the own one, from one pass."""
        N, D = x.shape
        wanted = indices(D, self._order)
        rows = max(1, int(AT_ONCE / (self._width * len(wanted))))
        if rows >= N:
            return self._once(orders, x, wanted)
        parts = [self._once(orders, x[k : k + rows], wanted) for k in range(0, N, rows)]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _once(self, orders: Sequence[int], x: Array, wanted: tuple[tuple[int, ...], ...]) -> list[Array]:
        D, pure = x.shape[1], tuple(m for m in wanted if len(set(m)) == 1)
        x = np.asfortranarray(x)  # the points last in memory: numpy's loops are long
        jets: list[Jet] = [{(): x, **{(i,): np.broadcast_to(unit, x.shape) for i, unit in enumerate(np.eye(D))}}]
        for k, step in enumerate(self._steps):
            args = list(step.args)
            for position, parent in zip(step.argnums, step.parents, strict=True):
                args[position] = jets[parent][()]
            value = self._raw[k](*args, **step.kwargs)
            rule, found = self._rules[k], {}
            if rule is not None:
                moving = {n: jets[p] for n, p in zip(step.argnums, step.parents, strict=True) if n in self._argnums[k]}
                some = pure if self._apart[k] else wanted
                found = rule(Call(self._raw[k], tuple(args), step.kwargs, value, moving, some))
            jets.append({(): value, **found})
            for parent in self._done[k]:
                jets[parent] = {}
        return [_assembled(jets[self._output], D, order) for order in orders]


def coordinatewise(recorded: Record) -> list[bool]:
    """Of every step after the input, whether its entry i depends on x_i alone: mixed derivatives are zero there."""
    shape, apart = np.shape(recorded.steps[0].value), [True]
    for step, argnums in zip(recorded.steps[1:], differentiated(recorded), strict=True):
        moving = [p for n, p in zip(step.argnums, step.parents, strict=True) if n in argnums]
        alone = step.primitive in ENTRYWISE and np.shape(step.value) == shape
        apart.append(alone and all(apart[p] and np.shape(recorded.steps[p].value) == shape for p in moving))
    return apart[1:]


def _assembled(jet: Jet, D: int, order: int) -> Array:
    """The derivatives of one order as one array, the indices of derivatives last; in memory, the points are."""
    shape = np.shape(jet[()])
    found = np.zeros((*[D] * order, *shape[::-1]))
    for index, part in jet.items():
        if len(index) == order:
            for places in set(permutations(index)):
                found[places] = part.T
    return found.transpose(*range(found.ndim - 1, order - 1, -1), *range(order))


class Remembered:
    """The derivatives of f of an order, as `plain` has them, by jets on a record of f where they are asked often.

    f is recorded once, at points of the first batch that finds it asked often enough, and the record is believed where
    its derivatives there are autograd's. At every call f is asked for its values at the record's own points again: a
    map that has changed is not a record any more. Where jets are not finite, the derivatives are those of `plain`.
    """

    def __init__(self, f: Map, order: int, plain: Callable[[Any], Array]):
        self._f, self._order, self._plain = f, order, plain
        self._asked, self._tried = 0.0, False
        self._jets: Jets | None = None
        self._points, self._values = np.zeros((0, 0)), np.zeros(0)
        self._axes: dict[int, bool] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without the record: another process makes its own."""
        fresh = Remembered(self._f, self._order, self._plain)
        return vars(fresh).copy()

    def __call__(self, x: ArrayLike) -> Array:
        fast = self.fast(x)
        return self._plain(x) if fast is None else fast

    def fast(self, x: ArrayLike) -> Array | None:
        """The derivatives by jets; None where there are none, or where they cost more than others."""
        points = self._points_for_jets(x)
        if points is None:
            return None
        assert self._jets is not None
        with np.errstate(all="ignore"):
            found = self._jets(points)
        finite = np.isfinite(found).reshape(len(found), -1).all(axis=1)
        if not finite.all():
            found[~finite] = self._plain(points[~finite])
        return found.reshape(*np.shape(x)[:-1], *found.shape[1:])

    def fast_with_lower(self, x: ArrayLike) -> list[Array] | None:
        """The derivatives of one order less, and these, by one pass; None where `fast` is, or they are not finite."""
        points = self._points_for_jets(x)
        if points is None:
            return None
        assert self._jets is not None
        with np.errstate(all="ignore"):
            both = self._jets.several((self._order - 1, self._order), points)
        if not all(np.isfinite(found).all() for found in both):
            return None
        return [found.reshape(*np.shape(x)[:-1], *found.shape[1:]) for found in both]

    def _points_for_jets(self, x: ArrayLike) -> Array | None:
        if not isinstance(x, np.ndarray):  # it may be being differentiated
            return None
        x = np.asarray(x, dtype=float)
        D = x.shape[-1] if x.ndim else 0
        if not x.size or MOST[self._order] < D:
            return None
        points = x.reshape(-1, D)
        with np.errstate(all="ignore"):
            if not self._ready(points) or not self._accepts(x.ndim):
                return None
        return points

    def _ready(self, points: Array) -> bool:
        """Whether there are jets, f is what was recorded, and they are faster at so many points."""
        self._asked += 1 + len(points) / POINTS
        if self._asked > OFTEN and not self._tried:
            self._tried, self._jets = True, self._recorded(points)
        if self._jets is None or not self._pays(points):
            return False
        if not np.array_equal(self._f(self._points), self._values, equal_nan=True):
            self._jets = None
        return self._jets is not None

    def _pays(self, points: Array) -> bool:
        """Whether the record is of points of this size, and jets are faster at so many of them."""
        N, D = points.shape
        most = (MOST_OF_ONE if self._values.size == len(self._values) else MOST)[self._order]
        return self._points.shape[1] == D and (most if N >= FEW else most // 2) >= D

    def _recorded(self, x: Array) -> Jets | None:
        """Jets that agree with autograd at some of these points and at others; None where there are none."""
        others = np.random.default_rng(1).uniform(0.5, 1.5, (3, x.shape[1]))
        self._points = np.concatenate([x[:2], others])
        found = record(self._f, self._points, x[:3], _known)[0]
        if found is None or found.pointwise:
            return None
        try:
            jets = Jets(found, self._order)
            got, wanted = jets(self._points), np.asarray(self._plain(self._points), dtype=float)
            self._values = np.array(self._f(self._points), dtype=float)
        except Exception:  # arguments that a rule does not know
            return None
        return jets if _agree(got, wanted) else None

    def _accepts(self, ndim: int) -> bool:
        """Whether f does to batches with so many axes what it does to those with one: some take one point alone."""
        if ndim not in self._axes:
            self._axes[ndim] = ndim == 2 or self._same(ndim)
        return self._axes[ndim]

    def _same(self, ndim: int) -> bool:
        try:
            if ndim == 1:
                value: Any = np.stack([np.asarray(self._f(point)) for point in self._points])
            else:
                value = np.asarray(self._f(self._points.reshape(*[1] * (ndim - 2), *self._points.shape)))
                value = value.reshape(value.shape[ndim - 2 :])
        except Exception:  # the map takes no such batch
            return False
        return _agree(value[..., None], self._values[..., None])


def _known(step: Step) -> bool:
    """Whether derivatives pass through a step by a rule, or not at all."""
    return rule_of(step.primitive) is not None or is_constant(step)


def _agree(a: Array, b: Array) -> bool:
    """Equal at every point where b is finite, to rounding at the scale of its largest entry there; at one at least."""
    if a.shape != b.shape:
        return False
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    finite = np.isfinite(b).all(axis=1)
    gap = np.abs(a - b)[finite].max(axis=1, initial=0.0)
    return bool(finite.any() and np.all(gap <= AGREE * np.abs(b[finite]).max(axis=1, initial=0.0)))
