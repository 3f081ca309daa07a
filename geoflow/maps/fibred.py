"""Leaves of maps that do not commute, of which w sees no more than it would of a map that does, or than a metric.

The fields of a map commute modulo fibres where all their brackets are vertical, dG.B = 0: x over w then depends on the
path of the lift, mu does not. Where only C does not depend on it, w still follows a Riemannian gradient flow.
"""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow._validate import describe
from geoflow.errors import NotIntrinsicError
from geoflow.maps.leaf import PATH_TOL, Leaf
from geoflow.maps.lifts import Lifted, lift_along
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.segments import LeafPoints
from geoflow.maps.vertical import vertical_check
from geoflow.spaces.probes import require_near

#: how far another path to w goes aside, beside the way there: less where it leaves the range
DETOURS = (0.1, 0.01)


class FibredLeaf(Leaf):
    """That of a map whose fields commute modulo fibres: mu does not depend on the path of a lift.

    x(w) is psi(x0; mu), the end of the joint flow: one point over w, of the many that lifts come to.
    """

    fibred = True

    def _settled(self, w: Array, found: LeafPoints) -> LeafPoints:
        polished = self._polish(w, found.mu)
        units = np.sqrt(np.einsum("nii->ni", self.kernel.cometric(polished.x)))
        gap = (np.abs(polished.mu - found.mu) * units).max(-1) / ((np.abs(polished.mu) * units).max(-1) + 1e-300)
        away = (np.abs(w - self.w0) / units).max(-1) > 1e-9 * ((np.abs(w) + np.abs(self.w0)) / units).max(-1)
        self._require_path_independence(w, found.x, np.where(away, gap, 0.0))
        return polished


class IntrinsicLeaf(Leaf):
    """That of a map whose cometric is a function of w: x(w) is where the lift of the segment from G(x0) comes to.

    Its mu is what the lift of that segment gains, and no function of w.
    """

    def _settled(self, w: Array, found: LeafPoints) -> LeafPoints:
        dx, dmu = self.kernel.horizontal_lift(found.x, w - self.kernel.value(found.x))
        self._require_one_cometric(w, found.x + dx)
        return LeafPoints(found.x + dx, found.mu + dmu, found.Q)

    def _require_one_cometric(self, w: Array, x: Array) -> None:
        """`NotIntrinsicError` where the lift along another path comes to a point over w with another C."""
        C = self.kernel.cometric(x)
        units = np.sqrt(np.einsum("nii->ni", C))
        way = (w - self.w0) / units
        aside = np.roll(way, 1, axis=1) * np.where(np.arange(way.shape[1]) % 2, -1.0, 1.0) * units
        for size in DETOURS:
            state, stop = Lifted(np.broadcast_to(self.start, x.shape)), None
            for corner in ((self.w0 + w) / 2 + size * aside, w):
                if stop is None:
                    state, stop = lift_along(self.kernel, state, corner - self.kernel.value(state.x))
            if stop is None:
                break
        else:
            return  # no other path stays inside
        gap = np.abs(self.kernel.cometric(state.x) - C) / (units[:, :, None] * units[:, None, :])
        worst = int(np.argmax(gap.reshape(len(w), -1).max(axis=1)))
        if not gap[worst].max() <= PATH_TOL:
            lifts = np.stack([x[worst], state.x[worst]]).reshape(2, *self.point_shape)
            raise NotIntrinsicError(
                f"{self.name} induces no metric on w",
                got=f"two lifts of w = {describe(w[worst])} whose cometrics differ by {gap[worst].max():.1e} relative",
                wanted=f"one cometric, to {PATH_TOL:.0e}",
                remedy="C is a function of w near x0 and not as far as there",
                lifts=lifts,
                defect=float(gap[worst].max()),
            )


def fibred_leaf(G: Parametrization, x0: Array, kind: type[Leaf]) -> Leaf:
    """A leaf of that kind through x0; regular, and of a fibred one vertical brackets, are checked along every lift."""

    def watch(points: Array) -> None:
        require_near(G.space, points, f"lift of {G.name}")
        G.check_regular(G.unflatten(points)).unwrap()
        if kind is FibredLeaf:
            vertical_check(G.kernel, points, G.name, G.point_shape).unwrap()

    return kind(G.kernel, G.flatten(x0), watch, G.point_shape, G.name)
