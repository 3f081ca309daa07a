"""The hyperbolic plane in R^6: smooth, global, isometric (Blanusa)."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow.numerics.chebyshev import Antiderivative
from geoflow.realization.embedding import Embedding, Jet


class BlanusaPlane(Embedding):
    """The hyperbolic plane du^2 + cosh(u)^2 dv^2 in R^6.

    F(u, v) = (x(u), v, f_1 cos(h_1 v), f_1 sin(h_1 v), f_2 cos(h_2 v), f_2 sin(h_2 v)), f_i = sinh(u) psi_i(u) / h_i,
    psi_1^2 + psi_2^2 = 1, x' = sqrt(1 - f_1'^2 - f_2'^2). h_i is constant on intervals of length 2, and jumps only
    where psi_i vanishes to infinite order.

    Reference
    ---------
    Blanusa, Ueber die Einbettung hyperbolischer Raeume in euklidische Raeume, Monatsh. Math. 59 (1955).
    """

    dim, ambient_dim = 2, 6

    def __init__(self) -> None:
        self._frequencies: dict[tuple[int, int], float] = {}
        self._x = Antiderivative(lambda u: self._profile(u)[0], 0.0, "x'")

    def jet(self, w: Array) -> Jet:
        u, v = w[:, 0], w[:, 1]
        slope, bend, f, df, ddf, h = self._profile(u)
        n = len(w)
        value, J, S = np.zeros((n, 6)), np.zeros((n, 6, 2)), np.zeros((n, 6, 2, 2))
        value[:, 0], J[:, 0, 0], S[:, 0, 0, 0] = self._x(u), slope, bend
        value[:, 1], J[:, 1, 1] = v, 1.0
        for i in range(2):
            # the phase reduced exactly enough: h v grows, and cos loses its digits otherwise
            c, s = np.cos(h[i] * v), np.sin(h[i] * v)
            for k, wave, dwave in ((2 + 2 * i, c, -s), (3 + 2 * i, s, c)):
                value[:, k] = f[i] * wave
                J[:, k, 0], J[:, k, 1] = df[i] * wave, f[i] * h[i] * dwave
                S[:, k, 0, 0], S[:, k, 1, 1] = ddf[i] * wave, -f[i] * h[i] ** 2 * wave
                S[:, k, 0, 1] = S[:, k, 1, 0] = df[i] * h[i] * dwave
        return value, J, S

    def _profile(self, u: Array) -> tuple[Array, ...]:
        """x', x'', and f_i, f_i', f_i'', h_i, each of shape=[2, N]."""
        h = np.stack([self._frequency(i, u) for i in range(2)])
        g, dg, ddg = _waves(u)
        f, df, ddf = g / h, dg / h, ddg / h
        slope = np.sqrt(1 - (df**2).sum(0))
        return slope, -(df * ddf).sum(0) / slope, f, df, ddf, h

    def _frequency(self, i: int, u: Array) -> Array:
        """h_i: on each of its intervals 1.6 times the largest |(sinh psi_i)'|, so that f_1'^2 + f_2'^2 < 0.8."""
        cells = np.floor((np.nan_to_num(u) + i) / 2).astype(int)
        found, place = np.unique(cells, return_inverse=True)
        for cell in found:
            if (i, cell) not in self._frequencies:
                grid = np.linspace(2 * cell - i, 2 * cell + 2 - i, 801)
                self._frequencies[i, cell] = 1.6 * float(np.abs(_waves(grid)[1][i]).max())
        return np.array([self._frequencies[i, cell] for cell in found])[place].reshape(u.shape)


def _waves(u: Array) -> tuple[Array, Array, Array]:
    """sinh(u) psi_i(u) and two derivatives, shape=[2, N]; psi = (sin, cos) of an angle flat at the integers."""
    floor = np.floor(u)
    step, dstep, ddstep = _smooth_step(u - floor)
    angle, d, dd = np.pi / 2 * np.mod(floor, 4) + np.pi / 2 * step, np.pi / 2 * dstep, np.pi / 2 * ddstep
    sin, cos = np.sin(angle), np.cos(angle)
    psi = np.stack([sin, cos])
    dpsi = np.stack([cos * d, -sin * d])
    ddpsi = np.stack([cos * dd - sin * d**2, -sin * dd - cos * d**2])
    sh, ch = np.sinh(u), np.cosh(u)
    return sh * psi, ch * psi + sh * dpsi, sh * psi + 2 * ch * dpsi + sh * ddpsi


def _smooth_step(x: Array) -> tuple[Array, Array, Array]:
    """S = 1 / (1 + exp(q)), q = 1/x - 1/(1-x), from 0 to 1 on [0, 1], flat at both ends; with S' and S''."""
    x = np.clip(x, 2e-3, 1 - 2e-3)  # beyond, S differs from 0 or 1 by less than exp(-498)
    q, dq, ddq = 1 / x - 1 / (1 - x), -1 / x**2 - 1 / (1 - x) ** 2, 2 / x**3 - 2 / (1 - x) ** 3
    S = 1 / (1 + np.exp(q))
    slope = S * (1 - S)
    return S, -dq * slope, slope * ((1 - 2 * S) * dq**2 - ddq)
