"""The direct theorem: a commuting parametrization G induces a Legendre function R, computed from G alone."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array, ArrayLike, Bilinear
from geoflow._validate import as_points, require_type
from geoflow.maps.classes import commutes_modulo_fibres
from geoflow.maps.fibred import FibredLeaf, fibred_leaf
from geoflow.maps.leaf import Leaf
from geoflow.maps.lifts import metric_jet
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow, points_of_leaf
from geoflow.numerics import autodiff
from geoflow.numerics.batches import inverse_or_nan, solved_or_nan
from geoflow.potentials.decoupled import find_coordinates
from geoflow.potentials.divergence import require_digits
from geoflow.potentials.kernel import SolvedKernel
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.moving import MovingLeafPoints, MovingPoints
from geoflow.potentials.tabled import TabledLeafPoints
from geoflow.spaces.domains import ImplicitDomain

#: D d of the largest maps that are read: that takes a tenth of a second there, and lifts by blocks are O(D) anyway
LARGEST_READ = 2**17


def mirror_map(G: Parametrization, x0: ArrayLike) -> InducedLegendreFunction:
    """Return the Legendre function R whose mirror flow is the gradient flow of every loss through G from x0.

    R = Q* with grad Q(mu) = G(psi(x0; mu)); normalised by R(G(x0)) = 0 and grad R(G(x0)) = 0. That G is regular and
    commutes is checked at x0, shape=[D], around it on its leaf, and along every lift.

    It is enough that G commutes modulo fibres: every bracket of the fields, however long, is in ker dG on the leaf.
    Then mu is a function of w, and x(w) = psi(x0; mu) is one point over w of those that lifts come to.

    Where the record of G shows coordinates in which it decouples (`gf.find_structure`), R is in closed form,
    `R.closed`, once that was compared with the joint flow of G; elsewhere every value is a lift.

    Raises
    ------
    NotRegularError, NotCommutingError, NotOnManifoldError
        The former two with `defect` and the witness `point`, the second with the `pair` of fields.

    Reference
    ---------
    LWLA22, theorem 4.8.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0 = G.require_point(x0, "x0")
    G(x0)  # a typed error where G itself is not defined
    G.check_regular(x0).unwrap()
    commuting = G.check_commuting(points_of_leaf(G, x0))
    if commuting or not commutes_modulo_fibres(G, x0):
        commuting.unwrap()
        closed = find_coordinates(G).closed_form(x0) if G.kernel.dim * G.codomain_dim <= LARGEST_READ else None
        return InducedLegendreFunction(G, x0) if closed is None else ClosedInducedFunction(G, x0, closed)
    return InducedLegendreFunction(G, x0, fibred_leaf(G, x0, FibredLeaf))


class LiftFormula:
    """R(w) = <w, mu> - Q(mu) and its derivatives, at the lift x(w) = psi(x0; mu); NaN where w has none.

    grad R = mu, hess R = C^{-1} at x(w), and T_ijk = -H_ia (d_k C_ab) H_bj, C differentiated along the lift
    dx/dw_k = grad G^T H e_k.
    """

    def __init__(self, leaf: Leaf):
        self.leaf = leaf

    def derivative(self, order: int, w: Array) -> Array:
        found, kernel = self.leaf.lift_or_nan(np.asarray(w, dtype=float), order == 0), self.leaf.kernel
        if order == 0:
            return np.einsum("...i,...i->...", w, found.mu) - found.Q
        if order == 1:
            return found.mu
        if order == 2:
            return inverse_or_nan(kernel.cometric(found.x))
        return metric_jet(kernel, found.x)[2]


class LiftKernel(SolvedKernel):
    """R by lifting to a leaf; the region is the range of G from x0."""

    def __init__(self, leaf: Leaf, region: ImplicitDomain):
        super().__init__(LiftFormula(leaf), region)
        self.leaf = leaf

    def cometric(self, w: Array) -> Array:
        return self.leaf.kernel.cometric(self.leaf.lift_or_nan(np.asarray(w, dtype=float)).x)

    def velocity_along(self) -> Bilinear:
        follow = self.leaf.follower()
        return lambda w, force: self.leaf.kernel.cometric_product(follow(w), force)


class InducedLegendreFunction(LegendreFunction):
    """The Legendre function that a commuting parametrization induces from a point, by lifting; see `mirror_map`.

    Values at w come from the lift x(w) = psi(x0; mu), G(x(w)) = w: grad R = mu, hess R = (dG dG^T)^{-1} at x(w).
    Attributes: `parametrization`, `x0` of shape=[D], `w0` of shape=[d], `leaf`, and `closed`, R in closed form or None.
    """

    closed: LegendreFunction | None = None

    def __init__(self, parametrization: Parametrization, x0: Array, leaf: Leaf | None = None):
        self.parametrization, self.x0, self.w0 = parametrization, np.array(x0, dtype=float), parametrization(x0)
        self.leaf, name = leaf or parametrization.leaf(self.x0), parametrization.name
        region = ImplicitDomain(parametrization.codomain_dim, self.leaf.reaches, self.w0, f"range of {name} from x0")
        self._adopt(LiftKernel(self.leaf, region), f"R induced by {name}")

    def lift(self, w: ArrayLike) -> Array:
        """The point x(w) of the leaf through x0 with G(x(w)) = w; shape=[..., d] to shape=[..., D].

        Raises
        ------
        DomainError
            When w is out of reach from x0: carries `s`, how far along the segment from G(x0) the lift got, and `index`.
        NotCommutingError, NotRegularError
            When G fails to commute or to be regular along the lift.
        """
        return self.parametrization.unflatten(self.leaf.lift(as_points(w, self.dim, f"point of {self.name}")).x)

    def inverse_gradient(self, mu: ArrayLike, start: ArrayLike | None = None) -> Array:
        """grad Q(mu) = G(psi(x0; mu)), by the joint flow; shape=[..., d]."""
        return self.parametrization(joint_flow(self.parametrization, self.x0, mu))

    def moving_points(self, mu: Array, w: Array) -> MovingPoints:
        return MovingLeafPoints(self.leaf, w)

    def flowing_points(self, mu: Array, w: Array) -> MovingPoints:
        return TabledLeafPoints(self.leaf, w) if TabledLeafPoints.fit(self.leaf) else self.moving_points(mu, w)

    def bregman_divergence(self, w: ArrayLike, v: ArrayLike) -> Array:
        w, v = np.broadcast_arrays(*(as_points(point, self.dim, f"point of {self.name}") for point in (w, v)))
        at, base = self.leaf.lift(w, True), self.leaf.lift(v, True)  # says how far a lift got that does not arrive
        fenchel = np.einsum("...i,...i->...", w, at.mu - base.mu) - at.Q + base.Q
        size = np.abs(at.Q) + np.abs(base.Q) + (np.abs(w) * (np.abs(at.mu) + np.abs(base.mu))).sum(axis=-1)
        found = self._divergence_from(base.x, w, w - v)
        found = np.where(np.abs(fenchel - found) <= 1e-7 * size, found, np.nan)
        return require_digits(found, w, v, f"Bregman divergence of {self.name}")

    def divergence_or_nan(self, w: Array, v: Array, h: Array) -> Array:
        x, found = self.leaf.lift_or_nan(v).x, np.full(len(w), np.nan)
        good = np.isfinite(x).all(axis=-1)
        if good.any():
            found[good] = self._divergence_from(x[good], w[good], h[good])
        return found

    def _divergence_from(self, x: Array, w: Array, h: Array) -> Array:
        flat = (part.reshape(-1, part.shape[-1]) for part in (x, w, h))
        return self.leaf.divergence(*flat).reshape(w.shape[:-1])

    def _evaluate(self, order: int, w: ArrayLike) -> Array:
        # a lift that does not arrive is the domain check, and says how far it got: no second lift to ask first
        w = as_points(w, self.dim, f"point of {self.name}")
        self.leaf.lift(w, order == 0)
        return self.kernel.derivative(order, w)

    def _primal(self, mu: Array) -> Array:
        return solved_or_nan(self.inverse_gradient, mu)


class ClosedInducedFunction(InducedLegendreFunction):
    """The same where R was read off the record of G: values and divergences in closed form, points x(w) by lifting."""

    def __init__(self, parametrization: Parametrization, x0: Array, closed: LegendreFunction):
        super().__init__(parametrization, x0)
        name, self.closed = self.name, closed
        self._adopt(closed.kernel, name)
        self.structure, self.has_closed_conjugate = closed.structure, closed.has_closed_conjugate

    def inverse_gradient(self, mu: ArrayLike, start: ArrayLike | None = None) -> Array:
        """grad Q(mu), in closed form, or by the joint flow; shape=[..., d]."""
        return self._read.inverse_gradient(mu) if self.has_closed_conjugate else super().inverse_gradient(mu, start)

    def bregman_divergence(self, w: ArrayLike, v: ArrayLike) -> Array:
        return self._read.bregman_divergence(w, v)

    def divergence_or_nan(self, w: Array, v: Array, h: Array) -> Array:
        return self._read.divergence_or_nan(w, v, h)

    @property
    def _read(self) -> LegendreFunction:
        assert self.closed is not None
        return self.closed

    def _evaluate(self, order: int, w: ArrayLike) -> Array:
        if autodiff.is_traced(w):
            return self.kernel.derivative(order, autodiff.as_float(w))
        w = as_points(w, self.dim, f"point of {self.name}")
        if not np.all(self.domain.belongs(w)):
            self.leaf.lift(w)  # raises, and says how far it got
        read = self._read
        return np.asarray((read, read.gradient, read.hessian, read.third_derivative)[order](w))
