"""Losses of residuals by any link, and what the flow of a loss l(Zw) tends to."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array, ArrayLike, Map
from geoflow._usercode import guarded
from geoflow._validate import require_type
from geoflow.errors import ArgumentError, InfeasibleError
from geoflow.flows.losses import LeastSquares, LinearModelLoss, LogisticLoss
from geoflow.numerics import autodiff
from geoflow.numerics.records import quiet
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.projection import bregman_projection

#: residuals, in units of y, at which a link is tried
TRIED = np.array([-3.0, -1.0, -0.1, -1e-3, 1e-3, 0.1, 1.0, 3.0])


class LinkLoss(LinearModelLoss):
    """L(w) = sum_k link(<z_k, w> - y_k), for a link r -> link(r) of one residual whose only stationary point is r = 0.

    The link, in autograd.numpy, maps shape=[...] to shape=[...] entry by entry; it need not be convex.

    Raises
    ------
    ArgumentError
        When the link is not entrywise, or is not larger at residuals further from 0, of either sign; `residual`.
    """

    def __init__(self, Z: ArrayLike, y: ArrayLike, link: Map):
        super().__init__(Z, y)
        if not callable(link):
            raise ArgumentError("link", got=type(link).__name__, wanted="a callable r -> link(r)")
        self._link = guarded(link, "the link", "r")
        self._require_minimum()

    def link(self, z: Array) -> Array:
        return self._link(z - self.y).sum(-1)

    def link_gradient(self, z: Array) -> Array:
        return self._slope(z - self.y)

    def link_hessian(self, z: Array) -> Array:
        r = z - self.y
        return autodiff.jvp(self._slope, r, np.ones(np.shape(r)))[1]

    def _slope(self, r: Array) -> Array:
        return autodiff.jvp(self._link, r, np.ones(np.shape(r)))[1]

    def _require_minimum(self) -> None:
        r = TRIED * max(1.0, float(np.abs(self.y).max(initial=0.0)))
        with quiet(), np.errstate(all="ignore"):
            value, slope = np.asarray(self._link(r), dtype=float), np.asarray(self._slope(r), dtype=float)
        if value.shape != r.shape:
            raise ArgumentError("link", f"shape {value.shape} at residuals of shape {r.shape}", "a value a residual")
        wrong = (slope * np.sign(r) < 0) | (value < float(self._link(np.zeros(1))[0])) | np.isnan(value)
        if wrong.any():
            at = float(r[wrong][0])
            raise ArgumentError(
                "link", f"{value[wrong][0]:.4g} with slope {slope[wrong][0]:.4g} at the residual {at:g}",
                "a link that grows away from r = 0", "subtract where its minimum is from r", residual=at,
            )  # fmt: skip


def implicit_bias(loss: LinearModelLoss, R: LegendreFunction, w0: ArrayLike) -> Array:
    """The limit of the mirror flow of L(w) = l(Zw) from w0: argmin { D_R(w, w0) : w minimises L }, shape=[d].

    grad L is in range(Z^T), so that grad R(w(t)) - grad R(w0) is: the limit is the Bregman projection of w0 on
    {Zw = z*}, z* the one minimiser of l on the range of Z, whatever else l is.

    Raises
    ------
    InfeasibleError, ConvergenceError
        When the infimum of the loss is not attained, as that of `LogisticLoss` on data that are separated, or {Zw = z*}
        misses the domain of R; when the projection does not converge.
    """
    require_type(R, LegendreFunction, "R")
    if not isinstance(loss, (LeastSquares, LinkLoss, LogisticLoss)):
        wanted = "a loss of residuals: gf.LeastSquares or gf.LinkLoss"
        raise ArgumentError("loss", got=type(loss).__name__, wanted=wanted)
    if isinstance(loss, LogisticLoss):
        raise InfeasibleError(
            "minimiser of the loss", "a LogisticLoss, whose infimum is not attained where data are separated",
            "a loss of residuals", "the flow then has a direction in place of a limit",
        )  # fmt: skip
    target = loss.y
    if isinstance(loss, LeastSquares):  # the nearest point to y of the range of Z
        target = loss.Z @ np.linalg.lstsq(loss.Z, loss.y, rcond=None)[0]
    return bregman_projection(R, loss.Z, target, w0)
