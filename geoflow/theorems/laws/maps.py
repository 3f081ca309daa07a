"""Laws of maps and of the direct theorem: derivatives, brackets, loops, maps from maps, and the lift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import Array, ArrayLike, Map
from geoflow.maps.holonomy import area_law, lift_curve
from geoflow.maps.lie_algebra import LieAlgebra
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow
from geoflow.numerics import autodiff
from geoflow.potentials.induced import InducedLegendreFunction, mirror_map
from geoflow.potentials.legendre import LegendreFunction
from geoflow.results import EquivalenceReport
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.register import Defect, compare, law, scale_of, size_of


@law("map", 1e-9, lambda: cases.at_start("parabola"))
def gradients_commute(G: Parametrization, x: ArrayLike) -> Defect:
    """[grad G_i, grad G_j] = 0; the scale is that of the two terms whose difference it is."""
    check = G.check_commuting(x)
    return check.defect * check.scale, check.scale


@law("map", 0.0, lambda: (cases.at_start()[0], np.zeros(4)))
def regular(G: Parametrization, x: ArrayLike) -> Defect:
    """rank dG = d: the defect is 0 where it is, relative to the threshold of `check_regular`."""
    return G.check_regular(x).defect, 1.0


@law("map", 1e-12, lambda: cases.at_start(jacobian=1.5))
def jacobian_is_derivative(G: Parametrization, x: ArrayLike) -> Defect:
    """A closed-form jacobian is the derivative of the map."""
    x = G.flatten(np.asarray(x, dtype=float))
    return compare(G.kernel.jacobian(x), autodiff.jacobian(G.kernel.value)(x))


@law("map", 1e-10, lambda: cases.at_start("spd_affine", gradients=1.1), lambda: cases.at_start("spd_affine"))
def gradient_is_riemannian(G: Parametrization, x: ArrayLike, v: ArrayLike | None = None) -> Defect:
    """g(grad G_i, v) = dG_i(v) for tangent vectors v, with the inner product of the manifold's own metric.

    By default v is the sum of the gradients.
    """
    x = np.asarray(x, dtype=float)
    rows = np.moveaxis(G.gradients(x), x.ndim - len(G.point_shape), 0)
    v = rows.sum(axis=0) if v is None else np.asarray(v, dtype=float)
    inner = np.stack([_inner_product(G, row, v, x) for row in rows], axis=-1)
    return compare(inner, autodiff.jvp(G.kernel.value, G.flatten(x), G.flatten(v))[1])


def _inner_product(G: Parametrization, a: Array, b: Array, x: Array) -> Array:
    """g_x(a, b) by the metric of the manifold, as geomstats computes it."""
    metric = getattr(G.space, "metric", None)
    if metric is None:
        return np.sum(G.flatten(a) * G.flatten(b), axis=-1)
    return np.asarray(metric.inner_product(a, b, x))


@law("map", 1e-12, lambda: cases.at_start(cometric=1.01))
def cometric_is_gram(G: Parametrization, x: ArrayLike) -> Defect:
    """The cometric's entries are <grad G_i, grad G_j> of the gradient fields."""
    x = np.asarray(x, dtype=float)
    fields = [np.asarray(X(x)) for X in G.gradient_fields]
    gram = np.stack([np.stack([_inner_product(G, a, b, x) for b in fields], axis=-1) for a in fields], axis=-2)
    return compare(G.cometric(x), gram)


@law("map", 1e-9, lambda: cases.at_start("parabola"), figure="flows commute")
def flows_commute(G: Parametrization, x: ArrayLike, s: float = 0.1) -> Defect:
    """phi_i^s phi_j^s = phi_j^s phi_i^s for the first and the last gradient field."""
    X, Y = G.gradient_fields[0], G.gradient_fields[-1]
    one, other = Y.flow(X.flow(x, s), s), X.flow(Y.flow(x, s), s)
    return size_of(one - other), size_of(one - np.asarray(x, dtype=float))


@law("map", 1e-9, lambda: cases.at_start("matrix_product"), lambda: cases.at_start("heisenberg"))
def necessary_condition(G: Parametrization, x: ArrayLike) -> Defect:
    """dG.B = 0 for all iterated brackets B of length at least 2 of the gradient fields, relative to their terms."""
    return LieAlgebra(G.gradient_fields).check_necessary_condition(G, x).defect, 1.0


@law("loop", 1e-9, lambda: cases.square_loop("parabola"), lambda: cases.square_loop("hyperbolic"))
def lift_closes(G: Parametrization, x0: ArrayLike, loop: ArrayLike) -> Defect:
    """The lift of a closed loop to (x, mu) closes: path independence, the finite form of commuting; it is relative."""
    return lift_curve(G, x0, loop).defect, 1.0


@law("loop", 0.1, lambda: cases.at_start("matrix_square", derivative=1.3), lambda: cases.at_start("matrix_square"))
def holonomy_is_bracket(G: Parametrization, x0: ArrayLike, pair: tuple[int, int] = (0, 1)) -> Defect:
    """What a small parallelogram leaves is its area times the bracket of the horizontal lifts, up to a side."""
    law = area_law(G, x0, pair)
    return abs(law.slope - 2) + law.limit_defect, 1.0


IMAGE = [[1.0, 0.5]], [0.3], [[0.1], [-0.2]]  # A, b and nu
NEAR = [[0.9, 0.2]]


@law("map from maps", 1e-9, lambda: (*cases.false_operations(), *IMAGE), lambda: (*cases.at_start(), *IMAGE))
def affine_image_transforms_dual(
    G: Parametrization, x0: ArrayLike, A: ArrayLike, b: ArrayLike, nu: ArrayLike
) -> Defect:
    """Q of A G + b is Q(A^T nu) + <b, nu>: its gradient is A grad Q(A^T nu) + b."""
    A, nu = np.asarray(A, dtype=float), np.asarray(nu, dtype=float)
    image = mirror_map(G.affine(A, b), x0).inverse_gradient(nu)
    return compare(image, mirror_map(G, x0).inverse_gradient(nu @ A) @ A.T + b)


@law(
    "map from maps",
    1e-9,
    lambda: (cases.at_start()[0], lambda y: 2 * y, None, cases.at_start()[1] / 2, NEAR),
    lambda: (cases.at_start()[0], lambda y: y[..., ::-1], None, cases.at_start()[1][::-1], NEAR),
)
def isometry_keeps_legendre(
    G: Parametrization, isometry: Map, space: int | Manifold | None, y0: ArrayLike, w: ArrayLike
) -> Defect:
    """G composed with an isometry induces from y0 what G induces from its image: the same grad R."""
    y0 = np.asarray(y0, dtype=float)
    moved = mirror_map(G.precompose(isometry, space), y0)
    return compare(moved.gradient(w), mirror_map(G, np.asarray(isometry(y0), dtype=float)).gradient(w))


@law("map from maps", 1e-9, lambda: cases.product_of("sine", "square"), lambda: cases.product_of("square", "sine"))
def product_adds_legendre(
    product: Parametrization, x0: ArrayLike, parts: list[LegendreFunction], w: ArrayLike
) -> Defect:
    """R of a product is the sum of the parts' R, each on its own block of coordinates."""
    w = np.asarray(w, dtype=float)
    ends = np.cumsum([0] + [R.dim for R in parts])
    blocks = [R.gradient(w[..., i:j]) for R, i, j in zip(parts, ends[:-1], ends[1:], strict=True)]
    return compare(mirror_map(product, x0).gradient(w), np.concatenate(blocks, axis=-1))


@law("map from maps", 1e-8, lambda: (*cases.false_operations(), NEAR), lambda: (*cases.at_start(), NEAR))
def leaf_keeps_legendre(G: Parametrization, x0: ArrayLike, w: ArrayLike) -> Defect:
    """G restricted to the leaf through x0, as the identity of a Hessian manifold, induces the same grad R."""
    leaf = mirror_map(G.on_leaf(x0), G(x0))
    return compare(leaf.gradient(w), mirror_map(G, x0).gradient(w))


@law("induced", 1e-10, lambda: (cases.Shifted(*cases.at_start()), cases.induced()[1]), figure="lift inverts")
def lift_inverts(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """G(lift(w)) = w."""
    return compare(R.parametrization(R.lift(w)), w)


@law("induced", 1e-9, lambda: (cases.Shifted(*cases.at_start()), cases.induced()[1]))
def lift_is_joint_flow(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """lift(w) = psi(x0; grad R(w))."""
    return compare(joint_flow(R.parametrization, R.x0, R.gradient(w)), R.lift(w))


@law("induced", 1e-7, lambda: (cases.Shifted(*cases.at_start()), cases.induced()[1]), figure="path independence")
def lift_is_path_independent(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """Lifting to w by way of the corner (w_1, ..., w_{d-1}, w0_d) ends where the straight lift ends."""
    w = np.atleast_2d(np.asarray(w, dtype=float))
    direct, corner = R.lift(w), w.copy()
    corner[:, -1] = R.w0[-1]
    pairs = zip(R.lift(corner), w, strict=True)
    ends = np.stack([InducedLegendreFunction(R.parametrization, via).lift(point) for via, point in pairs])
    return size_of(ends - direct), scale_of(direct - R.x0)


@law("induced", 1e-9, lambda: (cases.Shifted(*cases.at_start()), cases.induced()[1]))
def inverse_hessian_is_cometric(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """hess R(w) dG dG^T = I at the lifted point."""
    product = np.einsum("...ij,...jk->...ik", R.hessian(w), R.parametrization.cometric(R.lift(w)))
    return size_of(product - np.eye(R.dim)), 1.0


@law("closed form", 1e-9, lambda: cases.closed_form(1.001), figure="grad R")
def induced_gradient_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: ArrayLike) -> Defect:
    """grad R of the induced function is that of a closed form with the same normalisation."""
    return compare(R.gradient(w), closed.gradient(w))


@law("closed form", 1e-9, lambda: cases.closed_form(1.001), figure="R")
def induced_value_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: ArrayLike) -> Defect:
    """R of the induced function is that of a closed form with the same normalisation."""
    return compare(R(w), closed(w))


@law("closed form", 1e-9, lambda: cases.closed_form(1.001), figure="hess R")
def induced_hessian_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: ArrayLike) -> Defect:
    """hess R of the induced function is that of a closed form."""
    return compare(R.hessian(w), closed.hessian(w))


@law("report", 1e-7, lambda: (replace(cases.report(), gap=1e-3),))
def equivalence_gap(report: EquivalenceReport) -> Defect:
    """Gradient flow through G is mirror flow of R; already relative to the size of the trajectory."""
    return report.gap, 1.0


@law("report", 1e-8, lambda: (replace(cases.report(), dual_gap=1e-3),))
def dual_coordinate_is_loss_integral(report: EquivalenceReport) -> Defect:
    """grad R(w(t)) = -int_0^t grad L_s(w(s)) ds, and lift(w(t)) = x(t); already relative."""
    return max(report.dual_gap, report.lift_gap), 1.0
