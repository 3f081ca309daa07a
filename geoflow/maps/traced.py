"""The kernel of a map that is given by a function of flat points: its derivatives by autograd, or in closed form."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import Array, Bilinear, Index, Map, Mask, Trilinear
from geoflow.maps.blocks import Blocks
from geoflow.maps.kernel import MapKernel
from geoflow.maps.reading import Reading
from geoflow.numerics import autodiff
from geoflow.numerics.records import record
from geoflow.numerics.replay import IN_CACHE, Replay
from geoflow.spaces.gradients import as_space, is_flat, membership, riemannian_gradient

#: outputs beyond which a given Jacobian with blocks of zeros is not formed
LARGEST_JACOBIAN = 32
#: derivatives from which it pays to record a map
OFTEN = 30


class FunctionKernel(MapKernel):
    """A map given by a function of flat points, differentiated automatically, on a manifold with its own metric.

    `jacobian` is the closed form of the Euclidean derivative, shape=[..., D] to shape=[..., d, D], where there is one,
    and `hessian_product` that of (x, u, v) -> sum_i u_i hess G_i.v; with both the function is never traced.
    """

    def __init__(
        self,
        function: Map,
        space: Manifold,
        codomain_dim: int,
        jacobian: Map | None = None,
        hessian_product: Trilinear | None = None,
    ):
        self.dim, self.codomain_dim, self._shape = int(np.prod(space.shape)), codomain_dim, tuple(space.shape)
        self.function, self._closed_jacobian, self._closed_product = function, jacobian, hessian_product
        if jacobian is not None and hessian_product is not None:
            self.function = autodiff.with_closed_forms(function, jacobian, hessian_product)
        self._gradient, self._membership = riemannian_gradient(space), membership(space)
        self.flat, self._asked, self._unchecked = is_flat(space), 0, True
        self._hessian = autodiff.hessian(self.function)

    def value(self, x: Array) -> Array:
        if autodiff.is_traced(x):
            return self.function(x)
        self._unchecked = True
        value = self._asked_at(x)
        outside = self._outside(x)
        return value if outside is None else np.where(outside[..., None], np.nan, value)

    def jacobian(self, x: Array) -> Array:
        if autodiff.is_traced(x):
            return autodiff.jacobian(self.function, self.codomain_dim)(x)
        if self._closed_jacobian is not None:
            e = np.asarray(self._closed_jacobian(x), dtype=float)
        else:
            e = self._replayed_rows(np.asarray(x, dtype=float))
        outside = self._outside(x)
        return e if outside is None else np.where(outside[..., None, None], np.nan, e)

    def gradients(self, x: Array) -> Array:
        return self._gradient(self.jacobian(x), x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        e = self.jacobian(x)
        rows = self._gradient(e, x)
        C = np.einsum("...iD,...jD->...ij", e, rows)  # g(grad G_i, grad G_j) = dG_i(grad G_j)
        return rows, (C + np.swapaxes(C, -1, -2)) / 2

    def linearized(self, x: Array) -> tuple[Array, Map]:
        if self._uses_closed_form(x):
            return super().linearized(x)
        with np.errstate(all="ignore"):
            value, vjp = self._differentiated(x)
        outside = None if autodiff.is_traced(x) else self._outside(x)

        def pull(mu: Array) -> Array:
            with np.errstate(all="ignore"):
                rows = vjp(mu) if self.flat else self._gradient(vjp(mu)[..., None, :], x)[..., 0, :]
            given = self._closed_jacobian is not None and not autodiff.is_traced(rows)
            if given and not np.isfinite(rows).all():  # what is given may be good where autograd is not
                rows = super(FunctionKernel, self).pullback(x, mu)
            return rows if outside is None else np.where(outside[..., None], np.nan, rows)

        return value if outside is None else np.where(outside[..., None], np.nan, value), pull

    def _differentiated(self, x: Array) -> tuple[Array, Map]:
        """The value and the pullback of derivatives: by the record where a map is asked often, else by tracing it.

        Whether the map still is what was recorded is asked as a flow or a lift sets out: both begin with a value.
        """
        if not autodiff.is_traced(x) and self._asked_often() and self._replay is not None:
            found = self._replay(x)
            if not self._unchecked:
                return found
            if not self._unchanged():
                self._replay = None
            elif self._is_recorded(x, found[0]):
                self._unchecked = False
                return found
        return autodiff.value_and_vjp(self.function, x)

    def _replayed_rows(self, x: Array) -> Array:
        """dG of the function in the same ways: no flow sets out, and the map is asked at every x."""
        small = x.ndim > 1 and self.codomain_dim * x.size <= IN_CACHE  # beyond, tracing is not what it costs
        if small and self._asked_often() and self._replay is not None:
            with np.errstate(all="ignore"):
                value, rows = self._replay.with_jacobian(x)
            if self._is_recorded(x, value):
                return rows
        return autodiff.jacobian(self.function, self.codomain_dim)(x)

    def _asked_often(self) -> bool:
        """Whether it is, this time counted."""
        self._asked += 1
        return self._asked > OFTEN

    def _unchanged(self) -> bool:
        """Whether the map has the values that it had where it was recorded."""
        points, values = self._recorded
        return np.array_equal(self._asked_at(points), values, equal_nan=True)

    def _is_recorded(self, x: Array, value: Array) -> bool:
        """Whether the map still is what was recorded, where the record has this value at x; else it is one no more."""
        flat = x.reshape(-1, self.dim)  # as it was recorded
        now = self._asked_at(flat)
        if np.array_equal(now, value.reshape(now.shape)):
            return True
        assert self._replay is not None
        with np.errstate(all="ignore"):  # powers of a replay are products, whose rounding is another
            plain, size = self._replay.plain(flat), np.abs(now[np.isfinite(now)]).max(initial=0.0)
            if np.allclose(plain, now, rtol=1e-13, atol=1e-15 * size, equal_nan=True):
                return True
        self._replay = None
        return False

    @cached_property
    def _recorded(self) -> tuple[Array, Array]:
        points = np.random.default_rng(1).uniform(0.5, 1.5, (2, self.dim))
        return points, self._asked_at(points)

    def _asked_at(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.function(x), dtype=float)

    @cached_property
    def _replay(self) -> Replay | None:
        return Replay.of(record(self.function, self._recorded[0])[0])

    def pullback(self, x: Array, mu: Array) -> Array:
        if self._uses_closed_form(x):
            return super().pullback(x, mu)
        return self.linearized(x)[1](mu)

    def pushforward(self, x: Array, v: Array) -> Array:
        if self._uses_closed_form(x):
            return super().pushforward(x, v)
        return autodiff.jvp(self.function, x, v)[1]

    def derivative_of_pullback(self, x: Array, mu: Array, v: Array) -> Array:
        if self._closed_product is not None and not any(autodiff.is_traced(a) for a in (x, mu, v)):
            return self._derivatives_in_closed_form(x, mu, v)

        def pulled(y: Array) -> Array:
            e = autodiff.value_and_vjp(self.function, y)[1](mu)
            return self._gradient(e[..., None, :], y)[..., 0, :]

        if self.flat:  # the derivative of a gradient is a Hessian
            return autodiff.value_and_vjp(pulled, x)[1](v)
        return autodiff.jvp(pulled, x, v)[1]

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        if self._closed_product is not None and not (autodiff.is_traced(x) or autodiff.is_traced(directions)):
            return self._derivatives_in_closed_form(*self._every_row(x, directions))
        if (found := self._along_by_jets(x, directions)) is not None:
            return found
        df = autodiff.jacobian(self.function, self.codomain_dim)
        return autodiff.directional_jacobian(lambda y: self._gradient(df(y), y), x, directions)

    def derivative_of_cometric(self, x: Array, directions: Array) -> Array:
        if self._closed_product is not None and not (autodiff.is_traced(x) or autodiff.is_traced(directions)):
            rows, e = np.asarray(self.gradients(x), dtype=float), np.asarray(self.jacobian(x), dtype=float)
            along = self.derivative_of_gradients(x, directions)
            product = np.asarray(self._closed_product(*self._every_row(x, directions)), dtype=float)
            C = np.einsum("...kiD,...jD->...kij", product, rows) + np.einsum("...iD,...kjD->...kij", e, along)
            return (C + np.swapaxes(C, -1, -2)) / 2
        if (found := self._along_by_jets(x, directions)) is not None:
            C = 2 * np.einsum("...kiD,...jD->...kij", found, self.jacobian(x))
            return (C + np.swapaxes(C, -1, -2)) / 2

        def cometric(y: Array) -> Array:
            e = autodiff.jacobian(self.function, self.codomain_dim)(y)
            return autodiff.einsum("...iD,...jD->...ij", e, self._gradient(e, y))

        C = autodiff.directional_jacobian(cometric, x, directions)
        return (C + np.swapaxes(C, -1, -2)) / 2

    def _along_by_jets(self, x: Array, directions: Array) -> Array | None:
        """D(grad G_i)(x).v_m from all second derivatives, where these come at once and are not many more than asked."""
        flat = self.flat and not autodiff.is_traced(directions)
        second = self._hessian.fast(x) if flat and directions.shape[-2] * self.codomain_dim >= self.dim else None
        return None if second is None else np.matmul(directions[..., None, :, :], second).swapaxes(-3, -2)

    def _every_row(self, x: Array, directions: Array) -> tuple[Array, Array, Array]:
        """Points, unit covectors and directions, shape=[..., m, d, .], for the rows of the derivatives along all."""
        rows = (*np.shape(directions)[:-1], self.codomain_dim)
        units = np.broadcast_to(np.eye(self.codomain_dim), (*rows, self.codomain_dim))
        at, along = (np.broadcast_to(a, (*rows, self.dim)) for a in (x[..., None, None, :], directions[..., None, :]))
        return at, units, along

    def _derivatives_in_closed_form(self, x: Array, mu: Array, v: Array) -> Array:
        """D(sum_i mu_i grad G_i)(x).v by the closed form, and by the metric's derivative where M is curved."""
        assert self._closed_product is not None
        product = np.asarray(self._closed_product(x, mu, v), dtype=float)
        if self.flat:
            return product
        rows = np.asarray(self.jacobian(x), dtype=float)
        e, product = np.einsum("...iD,...i->...D", rows, mu)[..., None, :], product[..., None, :]
        along = autodiff.jvp(lambda y: self._gradient(e, y), np.array(x), v)[1]
        return (self._gradient(product, x) + along)[..., 0, :]

    def field(self, i: int) -> tuple[Map, Bilinear | None]:
        def gradient(x: Array) -> Array:
            rows = autodiff.jacobian(lambda y: self.function(y)[..., i])(x)
            return self._gradient(rows[..., None, :], x)[..., 0, :]

        return gradient, None

    @property
    def may_leave(self) -> bool:
        """Whether M is open in a vector space, so that a flow may reach its boundary."""
        return self._membership is not None

    def fresh(self) -> None:
        if "_recorded" in vars(self):
            self._unchecked = True
            if not self._unchanged():
                for name in ("_recorded", "_replay", "_reading", "blocks"):
                    vars(self).pop(name, None)

    @cached_property
    def _reading(self) -> Reading | None:
        self._recorded  # noqa: B018 - what it is read from
        return Reading(self.function, self.dim, self.codomain_dim) if self.flat else None

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks.one(self.dim, self.codomain_dim) if self._reading is None else self._reading.blocks

    @property
    def kinds(self) -> Index | None:
        return None if self._reading is None else self._reading.kinds

    def some_outputs(self, outputs: Index) -> tuple[MapKernel, Index] | None:
        found = None if self._reading is None else self._reading.some_outputs(outputs)
        return found and (FunctionKernel(found[0], as_space(len(found[1])), len(outputs)), found[1])

    def _uses_closed_form(self, x: Array) -> bool:
        """Whether the Jacobian is given, and no larger than what its products cost without it."""
        given = self._closed_jacobian is not None and not autodiff.is_traced(x)
        return given and (self.codomain_dim <= LARGEST_JACOBIAN or self.blocks.single)

    def _outside(self, x: Array) -> Mask | None:
        """Where x has left an open M; None where that cannot be: an integrator shortens its step there."""
        if self._membership is None:
            return None
        flat = np.reshape(x, (-1, *self._shape))
        inside = np.array(np.isfinite(flat).all(axis=tuple(range(1, flat.ndim))))
        inside[inside] = self._membership(flat[inside])
        return ~inside.reshape(np.shape(x)[:-1])
