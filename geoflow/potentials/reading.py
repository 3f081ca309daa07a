"""A recorded potential read step by step: affine functions of w, functions of one of them, sums, quadratic forms."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.numerics.records import Record, Step
from geoflow.numerics.structure import ENTRYWISE, MOVES, PARTS_FROM
from geoflow.potentials.terms import Quadratic, Ridge, Shifted, SoftMax, Terms, Unread, Value

#: numbers in one array of a reading beyond which it stops
LARGEST = 2**25
#: primitives that are linear in all they depend on together; constants in some of their arguments are added
ADDITIONS = {"add", "subtract", "negative", "sum", "mean", "cumsum", "diff", "trace", "real"}
#: primitives that are linear in each argument while the others are constant
PRODUCTS = {"multiply", "matmul", "dot", "inner", "tensordot", "einsum", "outer", "kron"}


class UnreadableError(Exception):
    """A step that is none of what a reading knows."""


class Reader:
    """The values of all steps of a record at one point, as far as they are read; `stopped_at` says where not further.

    `values[k]` is that of step k, None where it is not read.
    """

    def __init__(self, record: Record):
        self.terms, self.record, self.stopped_at = Terms(), record, ""
        self.dim = int(np.size(record.steps[0].value))
        d = self.dim
        self.values: list[Value | None] = [Value((d,), np.eye(d), np.zeros(d), np.zeros((d, 0)))]
        self._maxima: dict[tuple[tuple[int, ...], str], int] = {}
        self._roots: dict[int, tuple[Value, int]] = {}
        for k, step in enumerate(record.steps[1:], 1):
            parents = [self.values[p] for p in step.parents]
            try:
                self.values.append(None if any(p is None for p in parents) else self._read(k, step, parents))
            except UnreadableError as error:
                self._stop(k, step, str(error))

    @property
    def result(self) -> Value | None:
        """The value of the map."""
        return self.values[self.record.output]

    def _stop(self, k: int, step: Step, why: str) -> None:
        self.values.append(None)
        if not self.stopped_at:
            self.stopped_at = f"step {k} of {len(self.record.steps) - 1}, {step.name}: {why}"

    # what a step is -------------------------------------------------------------------------------------------------

    def _read(self, k: int, step: Step, parents: list[Any]) -> Value:
        name, raw = step.name, getattr(step.primitive, "fun", step.primitive)
        if name in MOVES and (name in PARTS_FROM or step.argnums == (0,) or name == "_array_from_scalar_or_array"):
            return self._linear(step, parents, raw)
        if name in ADDITIONS and not (name in ("sum", "mean") and step.argnums != (0,)):
            return self._linear(step, parents, raw)
        if len(parents) == 1 and (name in PRODUCTS or (name in ("true_divide", "divide") and step.argnums == (0,))):
            return self._linear(step, parents, raw)
        if len(parents) == 2 and name in ("matmul", "dot", "inner") and all(len(p.shape) == 1 for p in parents):
            products = self._entrywise(step, anp.multiply, parents, parents[0].shape, (None, None))
            return products.with_columns((), products.columns.sum(axis=0, keepdims=True))
        if len(parents) == 2 and name == "einsum":
            return self._form(step, parents)
        if name in ("max", "amax"):
            return self._largest(k, step)
        if name == "logsumexp":
            return self._log_sum(step, parents[0])
        if name == "norm":
            return self._norm(k, step, parents[0])
        if name in ENTRYWISE or (isinstance(raw, np.ufunc) and raw.signature is None):
            return self._entrywise(step, step.primitive, parents, np.shape(step.value), step.args)
        raise UnreadableError("no rule reads it")

    def _linear(self, step: Step, parents: list[Value], raw: Any) -> Value:
        """A step that is linear: applied to every column of what it is applied to."""
        shape, n = np.shape(step.value), int(np.size(step.value))
        zeroed = self._without_constants(step, parents)
        constant = list(zeroed)
        if step.name in ("add", "subtract") or step.name in PARTS_FROM:
            constant = list(step.args)
        for position, parent in zip(step.argnums, parents, strict=True):
            constant[position] = parent.offsets.reshape(parent.shape)
        total: Value | None = None
        for position, parent in zip(step.argnums, parents, strict=True):
            columns = parent.columns
            if n * columns.shape[1] > LARGEST:
                raise UnreadableError(f"{n} entries of {columns.shape[1]} terms are too many")
            found = np.zeros((n, columns.shape[1]))
            for j in np.flatnonzero(columns.any(axis=0)):
                if j != self.dim:
                    args = list(zeroed)
                    args[position] = columns[:, j].reshape(parent.shape)
                    found[:, j] = np.ravel(raw(*args, **step.kwargs))
            part = parent.with_columns(shape, found)
            total = part if total is None else total.joined(part)
        assert total is not None
        total.offsets[:] = np.ravel(np.broadcast_to(raw(*constant, **step.kwargs), shape))
        return total

    def _without_constants(self, step: Step, parents: list[Value]) -> list[Any]:
        """The arguments with zeros for all that is added."""
        args, first = (
            list(step.args),
            PARTS_FROM.get(step.name, 0 if step.name in ("add", "subtract") else len(step.args)),
        )
        for i in range(first, len(args)):
            args[i] = np.zeros(np.shape(args[i]))
        for position, parent in zip(step.argnums, parents, strict=True):
            args[position] = np.zeros(parent.shape)
        return args

    def _form(self, step: Step, parents: list[Value]) -> Value:
        """einsum of two affine functions: quadratic forms."""
        if not all(p.affine for p in parents) or not isinstance(step.args[0], str):
            raise UnreadableError("a product of what is not affine in w")
        subscripts = step.args[0].replace(" ", "").replace("...", "")
        if "->" not in subscripts:
            raise UnreadableError("subscripts without ->")
        inputs, output = subscripts.split("->")
        letters, free = inputs.split(","), [c for c in "YZYZYZ" if c not in inputs][:2]
        args, n = list(step.args), int(np.size(step.value))
        if n * (self.dim + 1) ** 2 > LARGEST or len(free) < 2:
            raise UnreadableError("too many quadratic forms")
        for letter, position, parent in zip(free, step.argnums, parents, strict=True):
            letters[position - 1] += letter
            args[position] = np.concatenate([parent.slopes, parent.offsets[:, None]], axis=1).reshape(*parent.shape, -1)
        args[0] = ",".join(letters) + "->" + output + "".join(free)
        found = np.einsum(*args, **step.kwargs).reshape(n, self.dim + 1, self.dim + 1)
        found = (found + np.swapaxes(found, 1, 2)) / 2
        rows = [{self.terms.add(Quadratic(q[:-1, :-1])): 1.0} for q in found]
        return Value.of_rows(np.shape(step.value), 2 * found[:, :-1, -1], found[:, -1, -1], rows)

    def _largest(self, k: int, step: Step) -> Value:
        """Largest entries along an axis, one and the same however often they are asked for."""
        axis = step.args[1] if len(step.args) > 1 else step.kwargs.get("axis")
        first = self._maxima.setdefault((step.parents, repr(axis)), k)
        return self._kept(np.shape(step.value), [Unread(first, e) for e in range(int(np.size(step.value)))])

    def _kept(self, shape: tuple[int, ...], atoms: list[Unread]) -> Value:
        rows = [{self.terms.add(atom): 1.0} for atom in atoms]
        return Value.of_rows(shape, np.zeros((len(rows), self.dim)), np.zeros(len(rows)), rows)

    def _norm(self, k: int, step: Step, parent: Value) -> Value:
        """The length of a vector, to be squared later."""
        plain = all(a is None for a in step.args[1:]) and set(step.kwargs) <= {"axis", "ord"}
        if len(parent.shape) != 1 or not plain or step.kwargs.get("ord") not in (None, 2):
            raise UnreadableError("a norm of other than one vector")
        squares = self._entrywise(step, anp.multiply, [parent, parent], parent.shape, (None, None))
        self._roots[self.terms.add(Unread(k, 0))] = squares.with_columns((), squares.columns.sum(0, keepdims=True)), 0
        return self._kept((), [Unread(k, 0)])

    # entry by entry -------------------------------------------------------------------------------------------------

    def _entrywise(
        self, step: Step, function: Any, parents: list[Value], shape: tuple[int, ...], args: tuple[Any, ...]
    ) -> Value:
        n, positions = int(np.prod(shape)), (0, 1) if function is anp.multiply else step.argnums
        at = [np.broadcast_to(np.arange(len(p.offsets)).reshape(p.shape), shape).ravel() for p in parents]
        constants = [
            a if i in positions or np.ndim(a) == 0 else np.broadcast_to(a, shape).ravel() for i, a in enumerate(args)
        ]
        slopes, offsets, rows = np.zeros((n, self.dim)), np.zeros(n), list[dict[int, float]]()
        for e in range(n):
            entries = [(p, int(index[e])) for p, index in zip(parents, at, strict=True)]
            given = [a if i in positions or np.ndim(a) == 0 else a[e].item() for i, a in enumerate(constants)]
            slopes[e], offsets[e], row = self._entry(function, entries, positions, given, step.kwargs)
            rows.append(row)
        return Value.of_rows(shape, slopes, offsets, rows)

    def _entry(
        self, function: Any, entries: list[tuple[Value, int]], positions: tuple[int, ...], args: list[Any], kwargs: Any
    ) -> tuple[Array, float, dict[int, float]]:
        """One entry of a step: a function of one variable, or one of the few that are more."""
        found = [self.terms.single(*entry) for entry in entries]
        fine = [f for f in found if f is not None]
        directions = {f[0] for f in fine} - {None}
        if len(fine) == len(found) and len(directions) == 1:
            places = [(i, f[1]) for i, f in zip(positions, fine, strict=True)]
            node = self.terms.nodes.call(function, args, places, kwargs)
            direction = directions.pop()
            assert direction is not None
            return self.terms.split(direction, node, self.dim)
        if len(fine) == len(found) and not directions:
            for i, (v, e) in zip(positions, entries, strict=True):
                args[i] = float(v.offsets[e])
            return np.zeros(self.dim), float(function(*args, **kwargs)), {}
        if function is anp.multiply and len(entries) == 2:
            return self._product(*entries)
        if function in (anp.log, anp.log1p):
            return self._logarithm(*entries[0], function is anp.log1p)
        if function is anp.exp:
            return self._exponential(*entries[0])
        if function in (anp.power, anp.square) and (function is anp.square or args[1] == 2):
            return self._square(*entries[0])
        if function is anp.logaddexp and len(entries) == 2 and all(v.affine for v, _ in entries):
            return self._soft_max([(v.slopes[e], float(v.offsets[e])) for v, e in entries])
        raise UnreadableError("a function of several variables at once")

    def _product(self, one: tuple[Value, int], other: tuple[Value, int]) -> tuple[Array, float, dict[int, float]]:
        """The product of two affine functions."""
        (v, i), (u, j) = one, other
        if v.weights[i].any() or u.weights[j].any():
            if v is u and i == j:
                return self._square(v, i)
            raise UnreadableError("a product of functions of several variables")
        a, p, b, q = v.slopes[i], v.offsets[i], u.slopes[j], u.offsets[j]
        form = Quadratic((np.outer(a, b) + np.outer(b, a)) / 2)
        return q * a + p * b, float(p * q), ({self.terms.add(form): 1.0} if form.matrix.any() else {})

    def _square(self, v: Value, i: int) -> tuple[Array, float, dict[int, float]]:
        """The square of a root is what it was the root of."""
        row = v.row(i)
        root = next(iter(row)) if len(row) == 1 else -1
        if root not in self._roots or v.slopes[i].any() or v.offsets[i]:
            raise UnreadableError("the square of a function of several variables")
        inside, entry = self._roots[root]
        factor = row[root] ** 2
        inner = {k: factor * c for k, c in inside.row(entry).items()}
        return factor * inside.slopes[entry], float(factor * inside.offsets[entry]), inner

    def _exponential(self, v: Value, i: int) -> tuple[Array, float, dict[int, float]]:
        """exp of an affine function less what is unread, as a largest entry."""
        row = v.row(i)
        if not all(isinstance(self.terms.atoms[k], Unread) for k in row):
            raise UnreadableError("exp of a function of several variables")
        atom = Shifted(tuple(v.slopes[i].tolist()), float(v.offsets[i]), tuple(sorted(row.items())))
        return np.zeros(self.dim), 0.0, {self.terms.add(atom): 1.0}

    def _logarithm(self, v: Value, i: int, plus_one: bool) -> tuple[Array, float, dict[int, float]]:
        """log of a positive combination of exponentials of affine functions."""
        constant, row, forms = float(v.offsets[i]) + plus_one, v.row(i), list[tuple[Array, float]]()
        shifts = set[tuple[tuple[int, float], ...]]()
        for k, c in row.items():
            atom = self.terms.atoms[k]
            form = self._exponent_of(atom)
            if form is None or not c > 0:
                break
            shifts.add(atom.shift if isinstance(atom, Shifted) else ())
            forms.append((form[0], form[1] + float(np.log(c))))
        if len(forms) < max(len(row), 1) or v.slopes[i].any() or constant < 0 or len(shifts) != 1:
            raise UnreadableError("log of what is no sum of exponentials of affine functions")
        shift = dict(shifts.pop())
        if constant > 0:
            if shift:
                raise UnreadableError("log of exponentials of different scales")
            forms.append((np.zeros(self.dim), float(np.log(constant))))
        slope, offset, found = self._soft_max(forms)
        return slope, offset, found | shift

    def _exponent_of(self, atom: Any) -> tuple[Array, float] | None:
        """(a, b) where an atom is exp(<a, w> + b), up to its shift."""
        if isinstance(atom, Shifted):
            return np.array(atom.direction), atom.offset
        inner = self.terms.nodes.exponent(atom.node) if isinstance(atom, Ridge) else None
        line = None if inner is None else self.terms.nodes.line(inner)
        if line is None:
            return None
        a, b = self.terms.bases[atom.direction]
        return line[0] * a, line[0] * b + line[1]

    def _soft_max(self, forms: list[tuple[Array, float]]) -> tuple[Array, float, dict[int, float]]:
        a, b = np.array([f[0] for f in forms]), np.array([f[1] for f in forms])
        return np.zeros(self.dim), 0.0, {self.terms.add(SoftMax(a, b)): 1.0}

    def _log_sum(self, step: Step, parent: Value) -> Value:
        """scipy's logsumexp of affine functions."""
        kwargs = dict(step.kwargs)
        axis = step.args[1] if len(step.args) > 1 else kwargs.pop("axis", None)
        kwargs.pop("keepdims", None)
        if not parent.affine or kwargs or len(step.args) > 2:
            raise UnreadableError("logsumexp of what is not affine in w, or with weights")
        places, axes = np.arange(len(parent.offsets)).reshape(parent.shape), len(parent.shape)
        along = tuple(range(axes)) if axis is None else tuple(int(k) % axes for k in np.ravel(axis))
        groups = np.moveaxis(places, along, range(len(along))).reshape(
            int(np.prod([parent.shape[k] for k in along])), -1
        )
        rows = [self._soft_max([(parent.slopes[e], float(parent.offsets[e])) for e in group])[2] for group in groups.T]
        return Value.of_rows(np.shape(step.value), np.zeros((len(rows), self.dim)), np.zeros(len(rows)), rows)
