"""Ten random Legendre functions without closed forms, in autograd and in mpmath, and what is minimised over them."""

from functools import partial

import autograd.numpy as anp
import mpmath as mp
import numpy as np

import geoflow as gf

#: each in autograd, and itself, its derivative and its second derivative in mpmath
RIDGES = [
    (lambda s: anp.logaddexp(s, -s), lambda s: mp.log(mp.exp(s) + mp.exp(-s)), mp.tanh, lambda s: mp.sech(s) ** 2),
    (
        lambda s: anp.sqrt(1 + s * s), lambda s: mp.sqrt(1 + s * s), lambda s: s / mp.sqrt(1 + s * s),
        lambda s: (1 + s * s) ** mp.mpf(-1.5),
    ),
    (lambda s: s**4 / 8, lambda s: s**4 / 8, lambda s: s**3 / 2, lambda s: 3 * s**2 / 2),
    (lambda s: anp.exp(s / 4), lambda s: mp.exp(s / 4), lambda s: mp.exp(s / 4) / 4, lambda s: mp.exp(s / 4) / 16),
    (
        lambda s: s * anp.arctan(s) - anp.log(1 + s * s) / 2, lambda s: s * mp.atan(s) - mp.log(1 + s * s) / 2, mp.atan,
        lambda s: 1 / (1 + s * s),
    ),
]  # fmt: skip


class Random:
    """sum_k c_k f_k(<a_k, w> + b_k) + |w|^2 / 20 in R^d."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.d, self.kinds = 1 + seed % 3, rng.integers(len(RIDGES), size=4 + seed % 3)
        n = len(self.kinds)
        self.A, self.b, self.c = rng.standard_normal((n, self.d)), rng.standard_normal(n), rng.uniform(0.2, 2, n)
        self.R = gf.LegendreFunction(partial(self.value), self.d, name=f"random {seed}")

    def value(self, w):
        s = anp.matmul(w, self.A.T) + self.b
        ridges = sum(c * RIDGES[kind][0](s[..., k]) for k, (kind, c) in enumerate(zip(self.kinds, self.c, strict=True)))
        return ridges + anp.sum(w * w, axis=-1) / 20

    def _terms(self, order, w):
        for k, kind in enumerate(self.kinds):
            s = mp.fdot(map(mp.mpf, self.A[k]), w) + mp.mpf(self.b[k])
            yield k, mp.mpf(self.c[k]) * RIDGES[kind][order + 1](s)

    def exact(self, w):
        w = [mp.mpf(x) for x in w]
        return mp.fsum(t for _, t in self._terms(0, w)) + mp.fdot(w, w) / 20

    def slope(self, w):
        w = [mp.mpf(x) for x in w]
        terms = list(self._terms(1, w))
        return [mp.fsum(t * mp.mpf(self.A[k, i]) for k, t in terms) + w[i] / 10 for i in range(self.d)]

    def bend(self, w):
        w = [mp.mpf(x) for x in w]
        terms = list(self._terms(2, w))
        H = mp.matrix(self.d)
        for i in range(self.d):
            for j in range(self.d):
                H[i, j] = mp.fsum(t * mp.mpf(self.A[k, i]) * mp.mpf(self.A[k, j]) for k, t in terms) + (
                    i == j
                ) / mp.mpf(10)
        return H

    def divergence(self, w, v):
        w, v = [mp.mpf(x) for x in w], [mp.mpf(x) for x in v]
        return self.exact(w) - self.exact(v) - mp.fdot(self.slope(v), [x - y for x, y in zip(w, v, strict=True)])

    def gap(self, alpha, w, v):
        alpha, w, v = mp.mpf(alpha), [mp.mpf(x) for x in w], [mp.mpf(x) for x in v]
        middle = [alpha * x + (1 - alpha) * y for x, y in zip(w, v, strict=True)]
        return alpha * self.exact(w) + (1 - alpha) * self.exact(v) - self.exact(middle)


TEN = [Random(seed) for seed in range(10)]


def relative(found, exact):
    """|found - exact| / |exact|, of a number or of a vector."""
    found, exact = np.atleast_1d(found), [mp.mpf(x) for x in np.atleast_1d(exact)]
    return float(max(abs(mp.mpf(x) - y) for x, y in zip(found, exact, strict=True)) / max(map(abs, exact)))
