"""Legendre functions: potentials, their conjugates and Bregman divergences."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._showing import Shown
from geoflow._typing import Array, ArrayLike, Map, Mask
from geoflow._usercode import guarded
from geoflow._validate import all_finite, as_finite, as_options, as_points, describe
from geoflow.errors import ArgumentError, DomainError, NotFiniteError, NotLegendreError, ShapeError, in_a_line
from geoflow.numerics import autodiff
from geoflow.numerics.choice import EngineChoice, EngineOption
from geoflow.numerics.engine import written_in_jax
from geoflow.potentials.conjugate import ConjugateFormula, range_test
from geoflow.potentials.convexity import require_definite
from geoflow.potentials.divergence import Pairwise, between, confirmed, require_digits
from geoflow.potentials.kernel import ClosedFormula, LegendreKernel, SolvedKernel, with_engine
from geoflow.potentials.moving import ClosedPoints, MovingPoints, SolvedPoints
from geoflow.potentials.newton import Newton
from geoflow.potentials.probes import probe_conjugate, probe_potential
from geoflow.potentials.proofs import MAX_CELLS, LegendreProof, prove_legendre
from geoflow.potentials.recession import require_solved
from geoflow.potentials.smoothness import EdgedPoints, essential_smoothness, explained
from geoflow.potentials.structure import Affine, Scaled, Structure, Sum, Tilted, conjugate_of
from geoflow.results import Check
from geoflow.spaces.domains import Box, ImplicitDomain, WholeSpace, as_domain

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from geoflow.metrics.hessian import HessianMetric


class LegendreFunction(Shown):
    """A Legendre function R on an open convex set: strictly convex, with a gradient that blows up at the boundary.

    Parameters
    ----------
    potential : callable
        R: shape=[..., d] to shape=[...], in autograd.numpy.
    domain : int or ConvexDomain
        Interior of dom R; an int d means R^d.
    gradient, hessian, third_derivative : callable, optional
        Closed forms, to shape=[..., d], [..., d, d], [..., d, d, d]; what is missing is differentiated automatically.
    conjugate : LegendreFunction or callable, optional
        Closed form of Q = R*, mu of shape=[..., d] to shape=[...].
    name : str
    engine : str
        "autograd", "jax" or "auto", as for `Parametrization`: what is not given in closed form is compiled.
    check : bool
        Derivatives, closed forms and the conjugate are compared with differences of R; False believes them.

    Attributes
    ----------
    engine, engine_note : str
        What differentiates R, and why it is not what was asked for.
    kernel : LegendreKernel
        R and its derivatives, unchecked: what integrators and solvers call.
    formula : Formula
        The same as formulas, good inside the domain: what compositions call.
    structure : object, or None
        How R is built from others, a class of `geoflow.potentials.structure`. It has the Hessian of R; `realize` builds
        its exact embedding from it, and the certificate checks that, so that it is never believed.
    has_closed_conjugate : bool
        Whether grad Q needs no solve.

    Reference
    ---------
    Rockafellar, Convex Analysis, section 26.
    """

    structure: object
    has_closed_conjugate: bool

    def __init__(
        self,
        potential: Map,
        domain: int | Manifold,
        *,
        gradient: Map | None = None,
        hessian: Map | None = None,
        third_derivative: Map | None = None,
        conjugate: LegendreFunction | Map | None = None,
        name: str = "R",
        **options: Unpack[EngineOption],
    ):
        if not callable(potential):
            raise ArgumentError("potential", got=type(potential).__name__, wanted="a callable w -> R(w)")
        chosen, region = as_options(EngineChoice, options, "LegendreFunction"), as_domain(domain)
        forms = zip((gradient, hessian, third_derivative), ("gradient", "hessian", "third_derivative"), strict=True)
        closed = [guarded(form, f"{kind}= of {name}", "w") for form, kind in forms]
        given = potential
        potential = guarded(potential, name, "w")
        if not isinstance(conjugate, LegendreFunction):
            conjugate = guarded(conjugate, f"conjugate= of {name}", "mu")
        formula = with_engine(ClosedFormula(potential, closed), region, chosen.engine)
        self._adopt(LegendreKernel(formula, region), name, conjugate)
        if chosen.check:
            native = formula.engine == "jax" and written_in_jax(given, region.interior_point())
            at = probe_potential(formula, region, name, native)
            if self.known_conjugate is not None:
                dual = self.known_conjugate.kernel.derivative
                probe_conjugate(formula, dual, at, name, not isinstance(conjugate, LegendreFunction) and not native)

    @classmethod
    def from_kernel(cls, kernel: LegendreKernel, name: str = "R") -> LegendreFunction:
        """A Legendre function by its kernel alone, which is believed."""
        R = LegendreFunction.__new__(LegendreFunction)
        R._adopt(kernel, name)
        return R

    @classmethod
    def composed(cls, structure: Structure) -> LegendreFunction:
        """The Legendre function of a structure, which is its formula, its domain and its name."""
        R = LegendreFunction.from_kernel(LegendreKernel(structure, structure.domain), structure.name)
        R.has_closed_conjugate = structure.has_closed_conjugate
        return R.set_structure(structure)

    # values ---------------------------------------------------------------------------------------------------------

    def __call__(self, w: ArrayLike) -> Array:
        """R(w), shape=[...]; raises `DomainError`, as all derivatives do, where a point is outside the domain."""
        return self._evaluate(0, w)

    def gradient(self, w: ArrayLike) -> Array:
        """Mirror coordinates mu = grad R(w), shape=[..., d]."""
        return self._evaluate(1, w)

    def hessian(self, w: ArrayLike) -> Array:
        """Hessian metric H(w), shape=[..., d, d]."""
        return self._evaluate(2, w)

    def third_derivative(self, w: ArrayLike) -> Array:
        """T_ijk = d_i d_j d_k R(w), shape=[..., d, d, d]."""
        return self._evaluate(3, w)

    def cometric(self, w: ArrayLike) -> Array:
        """Cometric H(w)^{-1} = hess Q(grad R(w)), shape=[..., d, d]."""
        H = self.hessian(w)
        require_definite(H, np.asarray(w, dtype=float), self.name)
        return np.linalg.inv(H)

    def bregman_divergence(self, w: ArrayLike, v: ArrayLike) -> Array:
        """D_R(w, v) = R(w) - R(v) - <grad R(v), w - v>, shape=[...], to eight digits for points however near.

        Near points by closed forms, or an integral of the Hessian; `ConvergenceError` where the digits are in doubt.
        """
        w, v = np.broadcast_arrays(self.domain.require(w, "w"), self.domain.require(v, "v"))
        flat = w.reshape(-1, self.dim), v.reshape(-1, self.dim)
        with np.errstate(all="ignore"):
            found = self.divergence_or_nan(*flat, flat[0] - flat[1]).reshape(w.shape[:-1])
        return require_digits(found, w, v, f"Bregman divergence of {self.name}")

    def divergence_or_nan(self, w: Array, v: Array, h: Array) -> Array:
        """The same unchecked, with h = w - v, all of shape=[N, d]; NaN where its digits are in doubt."""
        if isinstance(self.formula, Structure):
            return self.formula.divergence(w, v, h)
        closed = self.closed_divergence
        if closed is None and isinstance(self.structure, Structure):
            closed = self.structure.divergence
        return between(self.formula, w, v, h) if closed is None else confirmed(self.formula, closed, w, v, h)

    @property
    def engine(self) -> str:
        """What differentiates R, "autograd" or "jax"."""
        return str(getattr(self.formula, "engine", "autograd"))

    @property
    def engine_note(self) -> str:
        """Why the engine is not the one that was asked for; empty where it is."""
        return str(getattr(self.formula, "engine_note", ""))

    @property
    def potential(self) -> Map:
        """R as a bare function, in autograd.numpy."""
        return partial(self.formula.derivative, 0)

    def prove_legendre(self, box: Box, max_cells: int = MAX_CELLS) -> LegendreProof:
        """Whether R is strictly convex on a bounded box, by balls: proved, refuted at a point, or undecided."""
        return prove_legendre(self.potential, self.domain, box, max_cells, self.name)

    # composition ----------------------------------------------------------------------------------------------------

    def set_structure(self, structure: object) -> Self:
        """This function, told how it is built: a structure with its Hessian, for exact embeddings and geodesics."""
        self.structure = structure
        vars(self).pop("metric", None)  # whose isometry is of the structure
        return self

    def __add__(self, other: object) -> LegendreFunction:
        """R1 + R2, on the intersection of the domains."""
        if not isinstance(other, LegendreFunction):
            return NotImplemented
        parts = [p for R in (self, other) for p in (R.structure.parts if isinstance(R.structure, Sum) else (R,))]
        dims = sorted({p.dim for p in parts})
        if len(dims) > 1:
            remedy = "for R1(w1) + R2(w2) on separate coordinates use gf.product(R1, R2)"
            raise ShapeError("sum of Legendre functions", got=f"dimensions {dims}", wanted="one", remedy=remedy)
        return LegendreFunction.composed(Sum(*parts))

    def __rmul__(self, factor: float) -> LegendreFunction:
        """c R, for c > 0."""
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.floating, np.integer)):
            raise ArgumentError("factor of a Legendre function", got=type(factor).__name__, wanted="a positive number")
        c = float(factor)
        if not 0 < c < np.inf:
            raise NotLegendreError(
                f"{c:g} times {self.name}", got=f"factor {c:g}", wanted="a positive factor: the result has to be convex"
            )
        return LegendreFunction.composed(Scaled(c, self))

    __mul__ = __rmul__

    def compose_affine(self, A: ArrayLike, b: ArrayLike = 0.0) -> LegendreFunction:
        """R(A w + b), for A of shape=[d, n] or a multiple of the identity and b of shape=[d]; a function of w in R^n.

        Raises `ShapeError`; `NotLegendreError` when A has no full column rank; `DomainError` when no A w + b is inside.
        """
        A, b = as_finite(A, "matrix A"), as_finite(b, "vector b")
        if A.ndim not in (0, 2) or (A.ndim == 2 and len(A) != self.dim) or b.shape not in {(), (self.dim,)}:
            got, wanted = f"A of shape {A.shape}, b of shape {b.shape}", f"shapes [{self.dim}, n] and [{self.dim}]"
            raise ShapeError(f"affine change of {self.name}", got=got, wanted=wanted)
        b = np.array(np.broadcast_to(b, self.dim))
        rank, columns = (int(A != 0), 1) if A.ndim == 0 else (np.linalg.matrix_rank(A), A.shape[1])
        if rank < columns:
            raise NotLegendreError(
                f"affine change of {self.name}",
                got=f"a matrix of rank {rank} with {columns} columns",
                wanted="full column rank: otherwise R(A w + b) is constant along the kernel of A",
                remedy="drop the dependent coordinates of w",
            )
        return LegendreFunction.composed(Affine(self, float(A) if A.ndim == 0 else A, b))

    def add_affine(self, slope: ArrayLike = 0.0, offset: float = 0.0) -> LegendreFunction:
        """R(w) + <slope, w> + offset, slope of shape=[d] or a number for every coordinate: the same metric."""
        slope, offset = as_finite(slope, "slope"), float(as_finite(offset, "offset"))
        if slope.shape not in {(), (self.dim,)}:
            raise ShapeError("slope", got=f"shape {slope.shape}", wanted=f"shape [{self.dim}]")
        if offset == 0 and not slope.any():
            return self
        return LegendreFunction.composed(Tilted(self, np.array(np.broadcast_to(slope, self.dim)), offset))

    def tilt(self, w0: ArrayLike) -> LegendreFunction:
        """D_R(., w0): R minus its affine part at w0: value and gradient vanish there, and mirror flow is the same."""
        w0 = self.domain.require(w0, "w0")
        if w0.shape != (self.dim,):
            raise ShapeError("w0", got=f"shape {w0.shape}", wanted=f"one point, shape ({self.dim},)")
        slope, known = self.gradient(w0), (w0, np.zeros(self.dim), 0.0)
        return LegendreFunction.composed(Tilted(self, -slope, float(slope @ w0 - self(w0)), known))

    # duality --------------------------------------------------------------------------------------------------------

    @property
    def conjugate(self) -> LegendreFunction:
        """Convex conjugate Q(mu) = sup_w <w, mu> - R(w); the conjugate of the conjugate is R itself."""
        if self.known_conjugate is None:
            built = conjugate_of(self.structure)
            if isinstance(built, Structure):
                built = LegendreFunction.composed(built)
                built.name = f"conjugate of {self.name}"
            self._link(built if isinstance(built, LegendreFunction) else self._numerical_conjugate())
        assert self.known_conjugate is not None
        return self.known_conjugate

    def inverse_gradient(self, mu: ArrayLike, start: ArrayLike | None = None) -> Array:
        """The w with grad R(w) = mu, that is grad Q(mu), shape=[..., d]: closed form where known, else damped Newton.

        Newton begins at `start`, by default the interior point of the domain.

        Raises
        ------
        DomainError
            When mu is not in the range of grad R, with what shows it.
        ConvergenceError
            When Newton's method does not arrive, or grad R in floating point does not tell w to eight digits.
        NotLegendreError
            When the Hessian is not positive definite where Newton went.
        """
        try:
            if self.has_closed_conjugate:
                return self.conjugate.gradient(mu)
            mu = as_points(mu, self.dim, "mu")
            found = self.newton.solve(mu, start)
            require_solved(self, mu, found)
        except DomainError as error:
            raise explained(self, error) from None
        return found.w

    @cached_property
    def essential_smoothness(self) -> Check:
        """Whether grad R blows up at the boundary of the domain, as inverse gradients and projections need it to.

        Seen along rays from the interior point; it holds where there is no boundary. `unwrap()` raises
        `NotLegendreError`.
        """
        return essential_smoothness(self.kernel, self.name)

    @property
    def edged(self) -> bool:
        """Whether grad R, where no solve is behind it, is seen to be bounded at the boundary of the domain."""
        looked_at = not isinstance(self.domain, WholeSpace) and isinstance(self.formula, (ClosedFormula, Structure))
        return looked_at and not self.essential_smoothness

    def moving_points(self, mu: Array, w: Array) -> MovingPoints:
        """The points w with grad R(w) = mu, shape=[N, d], to be moved with mu by a solver."""
        closed = self.has_closed_conjugate
        points = ClosedPoints(self.conjugate.kernel, mu) if closed else SolvedPoints(self, mu, w)
        return EdgedPoints(self, points, mu, w) if self.edged else points

    def flowing_points(self, mu: Array, w: Array) -> MovingPoints:
        """The same for a flow or a descent, which moves them very often."""
        return self.moving_points(mu, w)

    @cached_property
    def metric(self) -> HessianMetric:
        """The Hessian metric, as a geomstats metric on the domain."""
        from geoflow.metrics.hessian import metric_of

        return metric_of(self)

    def __repr__(self) -> str:
        return in_a_line(f"{type(self).__name__}({self.name} on {self.domain})")

    # inside ---------------------------------------------------------------------------------------------------------

    def _adopt(self, kernel: LegendreKernel, name: str, conjugate: LegendreFunction | Map | None = None) -> None:
        self.kernel, self.formula, self.domain, self.name = kernel, kernel.formula, kernel.domain, name
        self.dim, self.newton = int(kernel.domain.dim), Newton(self)
        self.structure, self.has_closed_conjugate = None, False
        #: D_R as a closed form of (w, v, w - v), shape=[N, d] each, where there is one: compared when it is used
        self.closed_divergence: Pairwise | None = None
        #: points, shape=[N, n, d], to linear A and A^{-1}, D_R(A w, A v) = D_R(w, v): there gradients keep their digits
        self.frame: Callable[[Array], tuple[Array, Array]] | None = None
        self.known_conjugate: LegendreFunction | None = None
        if conjugate is not None:
            self._link(conjugate if isinstance(conjugate, LegendreFunction) else self._closed_conjugate(conjugate))
            self.has_closed_conjugate = self.conjugate.has_closed_conjugate = True

    def _link(self, other: LegendreFunction) -> None:
        self.known_conjugate, other.known_conjugate = other, self

    def _evaluate(self, order: int, w: ArrayLike) -> Array:
        if autodiff.is_traced(w):  # the value at the point itself was checked outside
            return self.kernel.derivative(order, autodiff.as_float(w))
        if isinstance(self.formula, ConjugateFormula):  # a solve that fails says why
            mu = as_points(w, self.dim, f"point of {self.name}")
            assert self.known_conjugate is not None
            return self.formula.at(order, mu, self.known_conjugate.inverse_gradient(mu))
        w = self.domain.require(w, f"point of {self.name}")
        value = self.kernel.derivative(order, w)
        wanted = (*w.shape[:-1], *(self.dim,) * order)
        if value.shape != wanted:
            raise ShapeError(
                f"value of {self.name}",
                got=f"shape {value.shape} at points of shape {w.shape}",
                wanted=f"shape {wanted}",
                remedy="act on the last axis only, for example np.sum(..., axis=-1)",
            )
        if not all_finite(value):
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0][: w.ndim - 1])
            raise NotFiniteError(
                f"value of {self.name}",
                got=f"NaN or infinity at w = {describe(w[index])}",
                wanted="finite values inside the domain",
                remedy="give the domain on which the potential is finite",
                point=w[index],
            )
        return value

    def _dual_region(self, inside: Callable[[ArrayLike], Mask]) -> ImplicitDomain:
        interior = self.kernel.derivative(1, self.domain.interior_point())
        return ImplicitDomain(self.dim, inside, interior, f"range of grad {self.name}")

    def _closed_conjugate(self, function: Map) -> LegendreFunction:
        """Q from its formula; mu is in its domain where grad R(grad Q(mu)) gives mu back."""
        region = self._dual_region(range_test(self.kernel, function))
        return LegendreFunction(function, region, name=f"conjugate of {self.name}", check=False)

    def _numerical_conjugate(self) -> LegendreFunction:
        def inside(mu: ArrayLike) -> Mask:
            return np.asarray(np.isfinite(self._primal(np.asarray(mu, dtype=float))).all(axis=-1))

        kernel = SolvedKernel(ConjugateFormula(self.kernel, self._primal), self._dual_region(inside))
        result = LegendreFunction.from_kernel(kernel, f"conjugate of {self.name}")
        result.has_closed_conjugate = True  # its conjugate is self, whose gradient needs no solve
        return result

    def _primal(self, mu: Array) -> Array:
        """The w with grad R(w) = mu, NaN where there is none; shape=[..., d]."""
        result, finite = np.full(mu.shape, np.nan), np.isfinite(mu).all(axis=-1)
        if finite.any():
            found = self.newton.solve(mu[finite])
            result[finite] = np.where(found.accurate[..., None], found.w, np.nan)
        return result
