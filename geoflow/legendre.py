"""Legendre functions: potentials, their conjugates and Bregman divergences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow import autodiff
from geoflow._validate import as_points, describe
from geoflow.domains import Region, as_domain
from geoflow.errors import ArgumentError, ConvergenceError, DomainError, NotFiniteError, NotLegendreError, ShapeError

if TYPE_CHECKING:
    from geoflow.metrics import HessianMetric

NEWTON_STEPS = 400
RESIDUAL_TOL = 1e-9


class LegendreFunction:
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
    structure : object, optional
        How the function is composed of others, from `geoflow.composition`: a structure with the same Hessian, from
        which `geoflow.realize` builds its exact embedding. It is checked by the certificate, never believed.

    Reference
    ---------
    Rockafellar, Convex Analysis, section 26.
    """

    def __init__(
        self,
        potential: Callable[[Any], Any],
        domain: Any,
        *,
        gradient: Callable[[Any], Any] | None = None,
        hessian: Callable[[Any], Any] | None = None,
        third_derivative: Callable[[Any], Any] | None = None,
        conjugate: LegendreFunction | Callable[[Any], Any] | None = None,
        name: str = "R",
        structure: Any = None,
    ):
        if not callable(potential):
            raise ArgumentError("potential", got=type(potential).__name__, wanted="a callable w -> R(w)")
        self.domain, self.name = as_domain(domain), name
        self.dim = int(self.domain.dim)
        self.potential, self.structure = potential, structure
        self._gradient = gradient or autodiff.jacobian(potential)
        self._hessian = hessian or autodiff.hessian(potential)
        if third_derivative is None and hasattr(structure, "derivative"):
            third_derivative = partial(structure.derivative, 3)
        self._third = third_derivative or autodiff.third_derivative(potential)
        self._conjugate: LegendreFunction | None = None
        self.has_closed_conjugate = conjugate is not None
        if isinstance(conjugate, LegendreFunction):
            self._link(conjugate)
            conjugate.has_closed_conjugate = True
        elif conjugate is not None:
            self._link(self._closed_conjugate(conjugate))

    # values ---------------------------------------------------------------------------------------------------------

    def __call__(self, w: Any) -> Any:
        """R(w), shape=[...].

        Raises
        ------
        DomainError
            Where a point is outside the domain.
        """
        return self._evaluate(self.potential, w, ())

    def gradient(self, w: Any) -> np.ndarray:
        """Mirror coordinates mu = grad R(w), shape=[..., d]."""
        return self._evaluate(self._gradient, w, (self.dim,))

    def hessian(self, w: Any) -> np.ndarray:
        """Hessian metric H(w), shape=[..., d, d]."""
        return self._evaluate(self._hessian, w, (self.dim,) * 2)

    def third_derivative(self, w: Any) -> np.ndarray:
        """T_ijk = d_i d_j d_k R(w), shape=[..., d, d, d]."""
        return self._evaluate(self._third, w, (self.dim,) * 3)

    def cometric(self, w: Any) -> np.ndarray:
        """Cometric H(w)^{-1} = hess Q(grad R(w)), shape=[..., d, d]."""
        return _inverse(self.hessian(w), self.name)

    def bregman_divergence(self, w: Any, v: Any) -> np.ndarray:
        """D_R(w, v) = R(w) - R(v) - <grad R(v), w - v>, shape=[...]."""
        w, v = self.domain.require(w, "w"), self.domain.require(v, "v")
        return self(w) - self(v) - np.einsum("...i,...i->...", self.gradient(v), w - v)

    # composition ----------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> LegendreFunction:
        """R1 + R2, on the intersection of the domains."""
        from geoflow import composition

        return composition.add(self, other) if isinstance(other, LegendreFunction) else NotImplemented

    def __rmul__(self, factor: Any) -> LegendreFunction:
        """c R, for c > 0."""
        from geoflow import composition

        return composition.scale(self, factor)

    __mul__ = __rmul__

    def compose_affine(self, A: Any, b: Any = 0.0) -> LegendreFunction:
        """R(A w + b), for A of shape=[d, n] with full column rank and b of shape=[d]; a function of w in R^n.

        Raises
        ------
        ShapeError
        NotLegendreError
            When A is not of full column rank.
        DomainError
            When no A w + b is in the domain.
        """
        from geoflow import composition

        return composition.compose_affine(self, A, b)

    # duality --------------------------------------------------------------------------------------------------------

    @property
    def conjugate(self) -> LegendreFunction:
        """Convex conjugate Q(mu) = sup_w <w, mu> - R(w); the conjugate of the conjugate is R itself."""
        if self._conjugate is None:
            self._link(self._product_of_conjugates() or self._numerical_conjugate())
        assert self._conjugate is not None
        return self._conjugate

    def inverse_gradient(self, mu: Any, start: Any = None) -> np.ndarray:
        """The w with grad R(w) = mu, that is grad Q(mu): closed form where known, else damped Newton.

        Parameters
        ----------
        mu : array-like, shape=[..., d]
        start : array-like, shape=[..., d], optional
            Where Newton starts; the interior point of the domain by default.

        Raises
        ------
        DomainError
            When mu is not in the range of grad R.
        NotLegendreError
            When the Hessian is not positive definite where Newton went.
        """
        if self.has_closed_conjugate:
            return self.conjugate.gradient(mu)
        mu = as_points(mu, self.dim, "mu")
        w, residual = self._newton(mu, start)
        bad = ~(residual <= RESIDUAL_TOL)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            raise DomainError(
                "mu outside the range of the gradient",
                got=f"mu = {describe(mu[index])}"
                + (f" at batch entry {index}" if index else "")
                + f", residual {residual[index]:.1e} relative after Newton",
                wanted=f"mu = grad R(w) for some w of {self.domain}",
                remedy="choose mu in the domain of the conjugate, or pass a better `start`",
                point=mu[index],
                index=index,
                defect=float(residual[index]),
            )
        return w

    @property
    def metric(self) -> HessianMetric:
        """The Hessian metric, as a geomstats metric on the domain."""
        import copy

        from geoflow.metrics import HessianMetric

        space = copy.copy(self.domain)
        space.equip_with_metric(HessianMetric, potential=self)
        return space.metric

    def local_cometric(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function w -> H(w)^{-1}, shape=[N, d] to [N, d, d], for an integrator: NaN outside the domain."""

        def cometric(w: np.ndarray) -> np.ndarray:
            inside = np.asarray(self.domain.belongs(w))
            if not inside.all():
                return np.full((*w.shape, self.dim), np.nan)
            return np.linalg.inv(np.asarray(self._hessian(w), dtype=float))

        return cometric

    def __repr__(self) -> str:
        return f"LegendreFunction({self.name} on {self.domain})"

    # inside ---------------------------------------------------------------------------------------------------------

    def _evaluate(self, function: Callable[[Any], Any], w: Any, shape: tuple[int, ...]) -> np.ndarray:
        if hasattr(w, "_value"):  # being differentiated: the value at the point itself was checked outside
            return function(w)
        w = self.domain.require(w, f"point of {self.name}")
        with np.errstate(all="ignore"):
            value = np.asarray(function(w), dtype=float)
        wanted = (*w.shape[:-1], *shape)
        if value.shape != wanted:
            raise ShapeError(
                f"value of {self.name}",
                got=f"shape {value.shape} at points of shape {w.shape}",
                wanted=f"shape {wanted}",
                remedy="act on the last axis only, for example np.sum(..., axis=-1)",
            )
        if not np.isfinite(value).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0][: w.ndim - 1])
            raise NotFiniteError(
                f"value of {self.name}",
                got=f"NaN or infinity at w = {describe(w[index])}",
                wanted="finite values inside the domain",
                remedy="give the domain on which the potential is finite",
                point=w[index],
            )
        return value

    def _link(self, other: LegendreFunction) -> None:
        self._conjugate, other._conjugate = other, self

    def _closed_conjugate(self, function: Callable[[Any], Any]) -> LegendreFunction:
        """Q from its formula; mu is in its domain where grad R(grad Q(mu)) gives mu back."""
        gradient = autodiff.jacobian(function)

        def inside(mu: Any) -> np.ndarray:
            mu = np.asarray(mu, dtype=float)
            with np.errstate(all="ignore"):
                w = np.asarray(gradient(mu), dtype=float)
                ok = np.asarray(self.domain.belongs(w))
                w = np.where(ok[..., None], w, self.domain.interior_point())
                back = np.asarray(self._gradient(w), dtype=float)
            return ok & (np.abs(back - mu).max(-1) <= 1e-6 * (1 + np.abs(mu).max(-1)))

        interior = np.asarray(self._gradient(self.domain.interior_point()), dtype=float)
        region = Region(self.dim, inside, interior, f"range of grad {self.name}")
        result = LegendreFunction(function, region, name=f"conjugate of {self.name}")
        result.has_closed_conjugate = True
        return result

    def _product_of_conjugates(self) -> LegendreFunction | None:
        from geoflow import composition

        if not isinstance(self.structure, composition.Product):
            return None
        return composition.product(*(part.conjugate for part in self.structure.parts))

    def _numerical_conjugate(self) -> LegendreFunction:
        def inside(mu: Any) -> np.ndarray:
            return self._newton(np.asarray(mu, dtype=float), None)[1] <= RESIDUAL_TOL

        def value(mu: Any) -> np.ndarray:
            w = self.inverse_gradient(mu)
            return np.einsum("...i,...i->...", w, mu) - self(w)

        def hessian(mu: Any) -> np.ndarray:
            return self.cometric(self.inverse_gradient(mu))

        def third(mu: Any) -> np.ndarray:
            w = self.inverse_gradient(mu)
            C = self.cometric(w)
            return -np.einsum("...ai,...bj,...ck,...ijk->...abc", C, C, C, self.third_derivative(w))

        interior = np.asarray(self._gradient(self.domain.interior_point()), dtype=float)
        region = Region(self.dim, inside, interior, f"range of grad {self.name}")
        result = LegendreFunction(
            value,
            region,
            gradient=self.inverse_gradient,
            hessian=hessian,
            third_derivative=third,
            name=f"conjugate of {self.name}",
        )
        result.has_closed_conjugate = True  # its conjugate is self, whose gradient needs no solve
        return result

    def _newton(self, mu: np.ndarray, start: Any) -> tuple[np.ndarray, np.ndarray]:
        """Minimise R(w) - <mu, w> for all mu at once; returns w and the relative residual of grad R(w) = mu."""
        shape = mu.shape
        mu = mu.reshape(-1, self.dim)
        start = self._newton_start() if start is None else start
        w = np.array(np.broadcast_to(np.asarray(start, dtype=float), shape)).reshape(-1, self.dim)
        active, previous = np.arange(len(mu)), np.full(len(mu), np.inf)
        for iteration in range(NEWTON_STEPS):
            step, slope, usable = self._newton_step(w[active], mu[active], first=iteration == 0)
            active, step, slope = active[usable], step[usable], slope[usable]
            moved, accepted = self._line_search(w[active], step, slope, mu[active])
            size = np.abs(step).max(-1) / (1e-300 + np.abs(w[active]).max(-1) + np.abs(step).max(-1) * 1e-3)
            w[active] = moved
            stalled = (size < 1e-8) & (size > 0.5 * previous[active])
            previous[active] = size
            active = active[accepted & ~stalled & (size > 4e-16) & (np.abs(moved).max(-1) < 1e300)]
            if len(active) == 0:
                break
        with np.errstate(all="ignore"):
            value = np.asarray(self._gradient(w), dtype=float)
            scale = 1 + np.abs(mu).max(-1)
            residual = np.abs(value - mu).max(-1) / scale
        return w.reshape(shape), np.where(np.isfinite(residual), residual, np.inf).reshape(shape[:-1])

    def _newton_start(self) -> np.ndarray:
        """The interior point, or a generic point beside it where the Hessian degenerates there, as that of w^4 at 0."""
        centre = self.domain.interior_point()
        with np.errstate(all="ignore"):
            H = np.asarray(self._hessian(centre), dtype=float)
        if not np.isfinite(H).all() or abs(np.linalg.eigvalsh(H)[0]) <= 1e-12 * np.abs(H).max():
            return self.domain.random_point(rng=0)
        return centre

    def _newton_step(self, w: np.ndarray, mu: np.ndarray, first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Newton direction, its slope -decrement^2, and where it is usable, at points inside the domain.

        An iterate that runs away until its Hessian over- or underflows is not usable; a Hessian that is not positive
        definite anywhere else is the potential's fault.
        """
        with np.errstate(all="ignore"):
            g = np.asarray(self._gradient(w), dtype=float) - mu
            H = np.asarray(self._hessian(w), dtype=float)
            # scale to unit diagonal: coordinates of a potential may differ by many orders of magnitude
            diagonal = np.einsum("nii->ni", H)
            s = 1 / np.sqrt(np.abs(diagonal))
            scaled = H * s[:, :, None] * s[:, None, :]
            finite = np.isfinite(scaled).all((1, 2)) & np.isfinite(g).all(1)
            scaled = np.where(finite[:, None, None], scaled, np.eye(self.dim))
            eigenvalues, vectors = np.linalg.eigh(scaled)
            usable = finite & (eigenvalues[:, 0] > 0)
            indefinite = finite & (eigenvalues[:, 0] < -1e-10)
            if indefinite.any():
                # on the way to infinity, for a mu outside the range, the Hessian is rounding and its sign means nothing
                start = self._newton_start()
                usual = np.abs(np.asarray(self._hessian(start), dtype=float)).max()
                noise = 1e-12 * usual * (1 + np.abs(w).max(axis=1))
                indefinite &= np.linalg.eigvalsh(np.where(finite[:, None, None], H, 0.0))[:, 0] < -noise
            indefinite |= first & ~usable
        if indefinite.any():
            point = w[int(np.argmax(indefinite))]
            raise NotLegendreError(
                f"{self.name} is not strictly convex",
                got=f"a Hessian that is not positive definite at w = {describe(point)}",
                wanted="a positive definite Hessian on the whole domain",
                remedy="check the potential, or give the domain on which it is strictly convex",
                point=point,
            )
        with np.errstate(all="ignore"):
            along = np.einsum("nik,ni->nk", vectors, s * g) / np.maximum(eigenvalues, 1e-16)
            step = -s * np.einsum("nik,nk->ni", vectors, along)
            return step, np.einsum("ni,ni->n", g, step), usable

    def _line_search(
        self, w: np.ndarray, step: np.ndarray, slope: np.ndarray, mu: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Halve until inside the domain and Armijo's condition holds; near the optimum rounding counts as equality."""

        def merit(v: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                return np.asarray(self.potential(v), dtype=float) - np.einsum("ni,ni->n", mu, v)

        base = merit(w)
        slack = 1e-14 * (1 + np.abs(base) + np.abs(np.einsum("ni,ni->n", mu, w)))
        t, accepted, result = np.ones(len(w)), np.zeros(len(w), dtype=bool), w.copy()
        for _ in range(60):
            todo = np.flatnonzero(~accepted)
            if len(todo) == 0:
                break
            trial = w + t[:, None] * step
            inside = np.asarray(self.domain.belongs(trial))
            value = merit(np.where(inside[:, None], trial, w))
            fine = inside & (value <= base + 1e-4 * t * slope + slack) & ~accepted
            result[fine] = trial[fine]
            accepted |= fine
            t = np.where(accepted, t, t / 2)
        return result, accepted


def _inverse(H: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.linalg.inv(H)
    except np.linalg.LinAlgError:
        raise NotLegendreError(
            f"Hessian of {name}",
            got="a singular matrix",
            wanted="a positive definite Hessian",
            remedy="stay away from the boundary of the domain",
        ) from None


def require_converged(defect: float, tol: float, what: str, remedy: str) -> None:
    """Raise `ConvergenceError` when a recomputed defect exceeds its tolerance, or is NaN."""
    if not defect <= tol:
        raise ConvergenceError(
            what, got=f"defect {defect:.1e}", wanted=f"at most {tol:.0e}", remedy=remedy, defect=defect
        )
