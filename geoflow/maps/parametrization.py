"""Parametrization: a map G : M -> R^d, its gradient fields and the cometric it induces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.manifold import Manifold

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Map, Trilinear
from geoflow._usercode import guarded
from geoflow._validate import all_finite, as_count, as_finite, as_options, as_points, describe
from geoflow.errors import ArgumentError, NotFiniteError, NotOnManifoldError, NotRegularError, ShapeError, in_a_line
from geoflow.maps.brackets import gradient_brackets, require_finite
from geoflow.maps.combined import AffineKernel
from geoflow.maps.commuting import commuting_check, regular_check
from geoflow.maps.compiled import compiled_kernel
from geoflow.maps.fields import VectorField
from geoflow.maps.kernel import MapKernel
from geoflow.maps.leaf import Leaf, LeafKernel
from geoflow.maps.probes import probe_compiled, probe_map, probe_metric
from geoflow.maps.traced import FunctionKernel
from geoflow.numerics import autodiff
from geoflow.numerics.engine import refuse_jax, require_engine, written_in_jax
from geoflow.numerics.probes import (
    CheckChoice,
    CheckOption,
    Points,
    generic_draws,
    in_some_units,
    more_draws,
    probe_values,
    usable_points,
)
from geoflow.results import Check
from geoflow.spaces.domains import ConvexDomain, ImplicitDomain
from geoflow.spaces.gradients import CometricMetric, as_space, belongs, seeded_points
from geoflow.spaces.probes import probe_manifold, require_near, tangent_at

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

COMMUTING_TOL = 1e-9
REGULAR_TOL = 1e-10


class Parametrization(Portable):
    """A map w = G(x) from a Riemannian manifold M to R^d, with the geometry it induces.

    Its gradients are Riemannian: g(grad G_i, v) = dG_i(v) for the metric g that M is equipped with, or else inherits
    from its ambient space. The cometric on R^d is C_ij = g(grad G_i, grad G_j). Where M has matrix points,
    shape=[..., n, m] stands for shape=[..., D] below, D = n m.

    Parameters
    ----------
    function : callable
        x of shape=[..., D] to G(x) of shape=[..., d], any batch before the axes of a point, in autograd.numpy.
    space : int or geomstats manifold
        An int D means Euclidean R^D; a manifold gives the shape of its points, `to_tangent`, and its `metric`.
    codomain_dim : int
        d.
    jacobian : callable, optional
        Closed form of the Euclidean derivative of `function`, shape=[..., d, D].
    name : str
    hessian_product : callable, optional
        Closed form of (x, u, v) to sum_i u_i hess G_i(x).v, u of shape=[..., d], to shape=[..., D]. With `jacobian` it
        makes a map that nothing can differentiate, in plain numpy: no function is then traced.
    check : bool
        Derivatives, closed forms and the manifold are compared with differences; False believes them.
    engine : str
        "autograd"; "jax", which records the map and compiles its kernel, and stays with autograd where it cannot be
        recorded; "auto", autograd unless the map is written in jax.numpy. "jax" is an extra: pip install geoflow[jax].

    Attributes
    ----------
    kernel : MapKernel
        The map on flat points, unchecked: what integrators and solvers call.
    engine, engine_note : str
        What differentiates the map, and why it is not what was asked for.

    Raises
    ------
    ArgumentError, ShapeError
        When the map mixes batch entries, its values do not have `codomain_dim` components or do not depend on x, a
        derivative, automatic or in closed form, is not that of its values (`defect`), `to_tangent` is no orthogonal
        projection, the manifold's metric cannot be differentiated, or jax is asked for and not installed.
    NotFiniteError
        When it is finite at no point that is tried.

    Reference
    ---------
    LWLA22, section 2.
    """

    commuting_tol = COMMUTING_TOL
    #: numbers of the inputs that the map was seen to ignore
    ignored: tuple[int, ...] = ()

    def __init__(
        self,
        function: Map,
        space: int | Manifold,
        codomain_dim: int,
        jacobian: Map | None = None,
        name: str = "G",
        hessian_product: Trilinear | None = None,
        engine: str = "auto",
        **check: Unpack[CheckOption],
    ):
        if not callable(function):
            raise ArgumentError("parametrization", got=type(function).__name__, wanted="a callable x -> G(x)")
        codomain_dim = as_count(codomain_dim, "codomain_dim")
        require_engine(engine)
        probed = as_options(CheckChoice, check, "Parametrization").check
        function, jacobian = guarded(function, name, "x"), guarded(jacobian, f"jacobian of {name}", "x")
        hessian_product = guarded(hessian_product, f"hessian_product of {name}", "x, u, v")
        self._place(as_space(space), name)
        self.codomain_dim, points = codomain_dim, self.generic_points()
        flat, forms = self._flat_value(function), self._flat_forms(jacobian, hessian_product)
        kernel = FunctionKernel(flat, self.space, self.codomain_dim, *forms)
        self.kernel: MapKernel = kernel
        native = engine != "jax" and points is not None and written_in_jax(flat, points)
        if native and engine == "autograd":
            raise refuse_jax(name)
        if engine == "jax" or native:
            found, kernel.engine_note = compiled_kernel(flat, self.space, self.codomain_dim, points)
            self.kernel = found or kernel
        if points is not None and probed:
            self._probe(points, None if native else kernel, forms)

    def _probe(self, points: Array, traced: FunctionKernel | None, forms: tuple[Map | None, Trilinear | None]) -> None:
        """Hold the values and derivatives of the map against each other, at points of M; one in jax is not traced."""
        probe_manifold(self.space, points)
        probe_values(self._evaluate, points, self.name, self.point_shape)

        def probe(unit: float) -> Points:
            at = self._usable(points, unit)
            if traced is not None:
                self.ignored = probe_map(traced.function, forms, at, self.codomain_dim, self.name)
            else:
                probe_compiled(self.kernel, at, self.name)
            return at

        at = in_some_units(probe) if self.is_euclidean else probe(1.0)
        if not self.is_euclidean:
            probe_metric(self.kernel, self.space, at.x[: at.first])

    def _usable(self, points: Array, unit: float) -> Points:
        """Points of M at which the map has a finite value; of R^D at several sizes beside a unit."""
        if not self.is_euclidean:
            at = usable_points(self._evaluate, [points], self.name)
            return Points(at.x, at.centre, at.first, tangent_at(self.space, at.x))
        draws = generic_draws(self.dim)
        try:
            return usable_points(self._evaluate, [unit * draw for draw in draws], self.name)
        except NotFiniteError:
            if unit != 1.0:
                raise
            return usable_points(self._evaluate, draws + more_draws(self.dim), self.name)

    @classmethod
    def from_kernel(
        cls, kernel: MapKernel, space: int | Manifold, name: str = "G", commuting_tol: float = COMMUTING_TOL
    ) -> Self:
        """A parametrization by its kernel alone, which is believed; `commuting_tol` is what `check_commuting` asks."""
        G = cls.__new__(cls)
        G._place(as_space(space), name)
        G.kernel, G.codomain_dim, G.commuting_tol = kernel, kernel.codomain_dim, commuting_tol
        return G

    # values ---------------------------------------------------------------------------------------------------------

    def __call__(self, x: ArrayLike) -> Array:
        """G(x), shape=[..., d]."""
        if autodiff.is_traced(x):
            return self.kernel.value(self.flatten(autodiff.as_float(x)))
        return self._finite(self._evaluate(self.flatten(self._as_points(x))), x, "value")

    def jacobian(self, x: ArrayLike) -> Array:
        """Euclidean derivative dG: row i is the derivative of G_i in the ambient coordinates; shape=[..., d, D]."""
        x = self._as_points(x)
        return self.unflatten(self._finite(self.kernel.jacobian(self.flatten(x)), x, "jacobian"))

    def gradients(self, x: ArrayLike) -> Array:
        """Riemannian gradients: row i is grad G_i, tangent to M; dG itself on R^D; shape=[..., d, D]."""
        x = self._as_points(x)
        return self.unflatten(self._finite(self.kernel.gradients(self.flatten(x)), x, "gradients"))

    def cometric(self, x: ArrayLike) -> Array:
        """Cometric C_ij = g(grad G_i, grad G_j) on R^d, dG dG^T in Euclidean space; shape=[..., d, d]."""
        x = self._as_points(x)
        return self._finite(self.kernel.cometric(self.flatten(x)), x, "cometric")

    @property
    def gradient_fields(self) -> tuple[VectorField, ...]:
        """The fields grad G_1, ..., grad G_d."""

        def field(i: int) -> VectorField:
            (flat, closed), name = self.kernel.field(i), f"grad {self.name}_{i + 1}"
            derivative = None
            if closed is not None:

                def derivative(x: Array, v: Array) -> Array:
                    return self.unflatten(closed(self.flatten(x), self.flatten(v)))

            return VectorField(lambda x: self.unflatten(flat(self.flatten(x))), name, derivative, self.space, False)

        return tuple(field(i) for i in range(self.codomain_dim))

    def brackets(self, x: ArrayLike) -> Array:
        """Lie brackets [grad G_i, grad G_j] = D(grad G_j).grad G_i - D(grad G_i).grad G_j; shape=[..., d, d, D]."""
        x = self._as_points(x)
        self.gradients(x)  # a typed error where they are not finite
        return self.unflatten(self._finite(gradient_brackets(self.kernel, self.flatten(x)), x, "brackets"))

    @property
    def engine(self) -> str:
        """What differentiates the map, "autograd" or "jax"."""
        return self.kernel.engine

    @property
    def engine_note(self) -> str:
        """Why the engine is not the one that was asked for; empty where it is."""
        return self.kernel.engine_note

    # maps from this one ---------------------------------------------------------------------------------------------

    def affine(self, A: ArrayLike, b: ArrayLike = 0.0) -> Parametrization:
        """A G(x) + b, for A of shape=[e, d] and b of shape=[e]: commuting with G, and its Q is Q(A^T nu) + <b, nu>.

        Raises `ShapeError` when shapes do not fit, and `NotRegularError` when A has dependent rows.
        """
        A, b = as_finite(A, "matrix A"), as_finite(b, "vector b")
        if A.ndim != 2 or A.shape[1] != self.codomain_dim or b.shape not in {(), A.shape[:1]}:
            got, wanted = f"A of shape {A.shape}, b of shape {b.shape}", f"shapes [e, {self.codomain_dim}] and [e]"
            raise ShapeError(f"affine image of {self.name}", got=got, wanted=wanted)
        rank = np.linalg.matrix_rank(A)
        if rank < len(A):
            got, remedy = f"a matrix of {len(A)} rows and rank {rank}", "drop the dependent rows"
            raise NotRegularError(f"affine image of {self.name}", got=got, wanted="full row rank", remedy=remedy)
        kernel = AffineKernel(self.kernel, A, b)
        return Parametrization.from_kernel(kernel, self.space, f"A {self.name} + b", self.commuting_tol)

    def precompose(self, isometry: Map, space: int | Manifold | None = None) -> Parametrization:
        """G(phi(y)) for an isometry phi of `space` to M: the same R from y0 as from phi(y0).

        phi takes y of shape=[..., E], in `space` or by default M itself, to points of M, in autograd.numpy. Whether it
        is an isometry is not assumed: gradients are computed on `space`, and another map changes R.
        """
        if not callable(isometry):
            raise ArgumentError("isometry", got=type(isometry).__name__, wanted="a callable y -> phi(y)")

        def composed(y: Array) -> Array:
            return self.kernel.value(self.flatten(isometry(y)))

        domain, name = self.space if space is None else space, f"{self.name} of an isometry"
        return Parametrization(composed, domain, self.codomain_dim, name=name, engine=self.engine)

    def leaf(self, x0: ArrayLike) -> Leaf:
        """The leaf through x0, to which w is lifted; regular and commuting are checked along every lift."""
        start = self.flatten(self.require_point(x0, "x0"))

        def watch(points: Array) -> None:
            require_near(self.space, points, f"lift of {self.name}")
            self.check_regular(self.unflatten(points)).unwrap()
            self.check_commuting(self.unflatten(points)).unwrap()

        return Leaf(self.kernel, start, watch, self.point_shape, self.name)

    def on_leaf(self, x0: ArrayLike) -> Parametrization:
        """G on the leaf through x0, in the coordinates w = G(x) of the leaf: the identity of its range with C^{-1}.

        Raises `NotRegularError` and `NotCommutingError` at x0, shape=[D]; the lifts to the leaf check the rest.
        """
        leaf = self.leaf(x0)
        leaf.watch(leaf.start[None])
        kernel = LeafKernel(leaf)

        space = ImplicitDomain(self.codomain_dim, leaf.reaches, leaf.w0, f"range of {self.name} from x0")
        space.equip_with_metric(CometricMetric, cometric=kernel.cometric)
        return Parametrization.from_kernel(kernel, space, f"{self.name} on a leaf", self.commuting_tol)

    # checks ---------------------------------------------------------------------------------------------------------

    def check_commuting(self, points: ArrayLike, tol: float | None = None) -> Check:
        """Check [grad G_i, grad G_j] = 0 at points of shape=[..., D], each pair relative to the terms of its bracket.

        Units of outputs and inputs do not enter: a large field hides no small bracket, and on R^D no large coordinate
        that of a small one. What rounding leaves is no bracket. `evidence["answer"]` may be "commute modulo fibres".
        `tol` is by default `commuting_tol`: 1e-9, or what the accuracy of a numerical realization allows. `unwrap` of
        the check raises `NotCommutingError` with `defect`, `point` and `pair`.
        """
        x = self.flatten(self._as_points(points)).reshape(-1, self.dim)
        tol = self.commuting_tol if tol is None else tol
        return commuting_check(self.kernel, x, tol, self.name, self.point_shape)

    def check_regular(self, points: ArrayLike, tol: float = REGULAR_TOL) -> Check:
        """Check rank dG = d at points of shape=[..., D]: the smallest singular value exceeds `tol` times the largest.

        Gradients are taken at unit length, and on R^D also inputs in units of x, so that no unit counts. Outputs that
        share no input have orthogonal gradients: each block of outputs is judged by its own singular values, an output
        alone by whether its gradient is zero. `defect` is
        1 - s_min / (tol s_max), at least 0; `unwrap` of the check raises `NotRegularError`.
        """
        x = self.flatten(self._as_points(points)).reshape(-1, self.dim)
        return regular_check(self.kernel, x, tol, self.name, self.point_shape, int(self.space.dim))

    def require_points(self, x: ArrayLike, what: str = "point") -> Array:
        """The points as an array, or a typed error: shape, finiteness, and membership in M."""
        x = self._as_points(x, what)
        if self.is_euclidean:
            return x
        batch = x.shape[: x.ndim - len(self.point_shape)]
        inside = belongs(self.space, x.reshape(-1, self.dim)).reshape(batch)
        if not inside.all():
            index = tuple(int(i) for i in np.argwhere(~inside)[0])
            open_set = isinstance(self.space, ConvexDomain)
            raise NotOnManifoldError(
                f"{what} not on the manifold",
                got=describe(x[index]) + (f" at batch entry {index}" if index else ""),
                wanted=f"a point of {self.space if open_set else f'{type(self.space).__name__} to 1e-8'}",
                remedy="move it inside" if open_set else "project it first with space.projection(x)",
                point=x[index],
                index=index,
            )
        return x

    def require_point(self, x: ArrayLike, what: str = "point") -> Array:
        """One point of M, or a typed error."""
        x = self.require_points(x, what)
        if x.shape != self.point_shape:
            raise ShapeError(what, got=f"shape {x.shape}", wanted=f"one point, shape {self.point_shape}")
        return x

    # shapes ---------------------------------------------------------------------------------------------------------

    def flatten(self, x: Array) -> Array:
        """Points of M to those of the kernel: shape=[..., *point_shape] to shape=[..., D]."""
        return x if len(self.point_shape) == 1 else x.reshape((*np.shape(x)[: -len(self.point_shape)], self.dim))

    def unflatten(self, x: Array) -> Array:
        """shape=[..., D] to shape=[..., *point_shape]."""
        return x if len(self.point_shape) == 1 else x.reshape((*np.shape(x)[:-1], *self.point_shape))

    def generic_points(self) -> Array | None:
        """Three flat points of M from a fixed seed, shape=[3, D]; None where M cannot sample."""
        if self.is_euclidean:
            return generic_draws(self.dim)[0]
        points = seeded_points(self.space, 3)
        return None if points is None else self.flatten(points)

    def __repr__(self) -> str:
        points = " x ".join(map(str, self.point_shape))
        space = f"R^{points}" if self.is_euclidean else f"{type(self.space).__name__.lstrip('_')} in R^{points}"
        unused = f", ignores {', '.join(f'x_{j + 1}' for j in self.ignored[:5])}" if self.ignored else ""
        return in_a_line(f"Parametrization({self.name}: {space} -> R^{self.codomain_dim}{unused})")

    # inside ---------------------------------------------------------------------------------------------------------

    def _place(self, space: Manifold, name: str) -> None:
        self.space, self.name = space, name
        self.point_shape = tuple(int(n) for n in space.shape)
        self.dim, self.is_euclidean = int(np.prod(self.point_shape)), isinstance(space, Euclidean)

    def _flat_value(self, function: Map) -> Map:
        """A user's function of points, shape=[..., *point_shape] to shape=[..., d], as one of flat points."""
        return function if len(self.point_shape) == 1 else lambda x: function(self.unflatten(x))

    def _flat_forms(self, J: Map | None, product: Trilinear | None) -> tuple[Map | None, Trilinear | None]:
        """A user's closed forms, to shape=[..., d, *point_shape] and shape=[..., *point_shape], of flat points."""
        if len(self.point_shape) == 1:
            return J, product
        raised = self.unflatten
        return (
            None if J is None else lambda x: self.flatten(J(raised(x))),
            None if product is None else lambda x, u, v: self.flatten(product(raised(x), u, raised(v))),
        )

    def _as_points(self, x: ArrayLike, what: str = "point") -> Array:
        return as_points(x, self.point_shape, f"{what} of {self.name}")

    def _evaluate(self, x: Array) -> Array:
        """The kernel's value at flat points, its shape checked."""
        value = self.kernel.value(x)
        if value.shape != (*x.shape[:-1], self.codomain_dim):
            raise ShapeError(
                f"value of {self.name}",
                got=f"shape {value.shape} at points of shape {self.unflatten(x).shape}",
                wanted=f"shape {(*x.shape[:-1], self.codomain_dim)}, from codomain_dim = {self.codomain_dim}",
                remedy="act on the last axis only (x[..., i]), and check codomain_dim",
            )
        return value

    def _finite(self, value: Array, x: ArrayLike, what: str) -> Array:
        if all_finite(value):
            return value
        self.require_points(x)  # of an open M, a point outside is the likelier cause
        return require_finite(value, np.asarray(x, dtype=float), len(self.point_shape), f"{what} of {self.name}")
