"""The direct theorem as a test: gradient flow through G against mirror flow of the R it induces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_positive
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.losses import Loss
from geoflow.flows.mirror import mirror_flow
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.vertical import vertical_check
from geoflow.numerics.integrate import SolverOptions
from geoflow.potentials.induced import InducedLegendreFunction, mirror_map
from geoflow.potentials.legendre import LegendreFunction
from geoflow.results import Check, EquivalenceReport

if TYPE_CHECKING:
    from typing_extensions import Unpack


#: part of w below which the way of a flow is what rounding leaves of it
STANDS = 1e-6


def verify_equivalence(
    loss: Loss,
    G: Parametrization,
    x0: ArrayLike,
    t: ArrayLike,
    legendre: LegendreFunction | None = None,
    tol: float = 1e-7,
    **solver: Unpack[SolverOptions],
) -> EquivalenceReport:
    """Integrate gradient flow of G and mirror flow of R separately, and compare them; the direct theorem as a test.

    The lift and dual gaps always test the numerically induced R, by one batched lift of the whole trajectory. Where G
    commutes modulo fibres the brackets of the report are those pushed to w, and the lift is compared with x by C.

    Parameters
    ----------
    loss : callable
        loss(w) or loss(w, t).
    G : Parametrization
    x0 : array-like, shape=[D]
    t : float or array-like, shape=[n_times]
    legendre : LegendreFunction, optional
        R in closed form, with grad R(G(x0)) = 0; by default the numerically induced one is integrated.
    tol : float
        What every gap of the report has to meet.
    rtol, atol, method : optional
        Of both integrations, as for `geoflow.numerics.integrate.Solver`; 1e-11 and 1e-14 by default.

    Raises
    ------
    NotCommutingError, NotRegularError
        When G is not covered by the theorem.
    """
    tol, induced = as_positive(tol), mirror_map(G, x0)
    R = induced if legendre is None else legendre
    options: SolverOptions = {"rtol": 1e-11, "atol": 1e-14, **solver}
    flow, mirror = gradient_flow(loss, G, x0, t, **options), mirror_flow(loss, R, induced.w0, t, **options)
    n = min(len(flow.t), len(mirror.t)) - (0 if flow.success and mirror.success else 1)
    w, v = flow.w[:n], mirror.w[:n]
    assert flow.x is not None
    x, mu = flow.x[:n], flow.mu[:n]
    way, size = (float(np.abs(part).max(initial=0.0)) for part in (w - induced.w0, w))
    least = max(STANDS * size, 1e-300)  # of a flow that stands still, w and mu have no way, but rounding
    over_time = np.abs(w - v).max(axis=-1) / max(way, least)

    commuting, lift_gap = _along(induced, w, x)
    return EquivalenceReport(
        commuting=commuting,
        regular=G.check_regular(x),
        gap=float(over_time.max(initial=0.0)),
        lift_gap=lift_gap,
        dual_gap=_gap(induced.gradient(w), mu) * min(1.0, way / least),
        gap_over_time=over_time,
        tol=tol,
        gradient_flow=flow,
        mirror_flow=mirror,
        legendre=R,
    )


def _along(R: InducedLegendreFunction, w: Array, x: Array) -> tuple[Check, float]:
    """The check of the brackets at points x of a flow, and how far lifts of w are from them: by C, of a fibred leaf."""
    G, lifted = R.parametrization, R.lift(w)
    if not R.leaf.fibred:
        return G.check_commuting(x), _gap(lifted, x)
    flat = G.flatten(x).reshape(-1, G.dim)
    return vertical_check(G.kernel, flat, G.name, G.point_shape), _gap(G.cometric(lifted), G.cometric(x))


def _gap(value: Array, reference: Array) -> float:
    return float(np.abs(value - reference).max(initial=0.0) / (np.abs(reference).max(initial=0.0) + 1e-300))
