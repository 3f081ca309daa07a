"""Laws of the direct theorem: the lift, and the Legendre function that a map induces."""

from __future__ import annotations

import numpy as np

from geoflow._typing import ArrayLike
from geoflow.maps.reach import joint_flow
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.potentials.legendre import LegendreFunction
from geoflow.results import EquivalenceReport
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.law import Defect, compare, law, size_of


@law("induced", 1e-10, cases.induced, cases.shifted, "lift inverts")
def lift_inverts(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """G(lift(w)) = w."""
    return compare(R.parametrization(R.lift(w)), w)


@law("induced", 1e-9, cases.induced, cases.shifted)
def lift_is_joint_flow(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """lift(w) = psi(x0; grad R(w))."""
    return compare(joint_flow(R.parametrization, R.x0, R.gradient(w)), R.lift(w))


@law("induced", 1e-7, cases.induced, cases.shifted, "path independence")
def lift_is_path_independent(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """Lifting to w by way of the corner (w_1, ..., w_{d-1}, w0_d) ends where the straight lift ends."""
    w = np.atleast_2d(np.asarray(w, dtype=float))
    direct = R.lift(w)
    corner = w.copy()
    corner[:, -1] = R.w0[-1]
    ends = []
    for via, point in zip(R.lift(corner), w, strict=True):
        ends.append(InducedLegendreFunction(R.parametrization, via).lift(point))
    return size_of(np.stack(ends) - direct), max(size_of(direct - R.x0), np.finfo(float).tiny)


@law("induced", 1e-9, cases.induced, cases.shifted)
def inverse_hessian_is_cometric(R: InducedLegendreFunction, w: ArrayLike) -> Defect:
    """hess R(w) dG dG^T = I at the lifted point."""
    product = np.einsum("...ij,...jk->...ik", R.hessian(w), R.parametrization.cometric(R.lift(w)))
    return size_of(product - np.eye(R.dim)), 1.0


@law("closed form", 1e-9, cases.closed_form, lambda: cases.closed_form(1.001), "grad R")
def induced_gradient_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: ArrayLike) -> Defect:
    """grad R of the induced function is that of a closed form with the same normalisation."""
    return compare(R.gradient(w), closed.gradient(w))


@law("closed form", 1e-9, cases.closed_form, lambda: cases.closed_form(1.001), "R")
def induced_value_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: ArrayLike) -> Defect:
    """R of the induced function is that of a closed form with the same normalisation."""
    return compare(R(w), closed(w))


@law("closed form", 1e-9, cases.closed_form, lambda: cases.closed_form(1.001), "hess R")
def induced_hessian_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: ArrayLike) -> Defect:
    """hess R of the induced function is that of a closed form."""
    return compare(R.hessian(w), closed.hessian(w))


@law("report", 1e-7, lambda: (cases.report(),), lambda: (cases.broken_report(),))
def equivalence_gap(report: EquivalenceReport) -> Defect:
    """Gradient flow through G is mirror flow of R; already relative to the size of the trajectory."""
    return report.gap, 1.0


@law("report", 1e-8, lambda: (cases.report(),), lambda: (cases.broken_report(),))
def dual_coordinate_is_loss_integral(report: EquivalenceReport) -> Defect:
    """grad R(w(t)) = -int_0^t grad L_s(w(s)) ds, and lift(w(t)) = x(t); already relative."""
    return max(report.dual_gap, report.lift_gap), 1.0
