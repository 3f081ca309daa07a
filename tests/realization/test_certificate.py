"""Certificates."""

import autograd.numpy as anp
import numpy as np

import geoflow as gf

SQUARE = gf.domains.Box([-1, -1], [1, 1])


def test_no_false_certificate_in_random_potentials():
    """Whatever is certified has the metric of R by differences of R and of F alone."""
    rng, certified = np.random.default_rng(7), 0
    for k in range(200):
        A, b = rng.standard_normal((4, 2)) * rng.uniform(0.3, 2.0), rng.standard_normal(4)
        size = rng.uniform(0.0, 0.2)

        def potential(w, A=A, b=b, size=size):
            z = w @ A.T + b
            return anp.log(anp.sum(anp.exp(z), axis=-1)) + size * anp.sum(w**2, axis=-1) * (1 + w[..., 0] * 0.1)

        R = gf.LegendreFunction(potential, 2)
        options = {"frequency": 60.0} if k % 2 else {"max_degree": 8}
        try:
            F = gf.realize(R, SQUARE, tol=1e-4, **options)
        except (gf.RealizationError, gf.NotLegendreError):
            continue
        certified += 1
        w, h = rng.uniform(-0.9, 0.9, size=(20, 2)), 1e-3
        e = h * np.eye(2)
        H = np.stack([np.stack([(potential(w + p + q) - potential(w + p - q) - potential(w - p + q)
                                 + potential(w - p - q)) / (4 * h * h) for q in e], -1) for p in e], -2)  # fmt: skip
        J = np.stack([(F.embedding(w + p / 10) - F.embedding(w - p / 10)) / (0.2 * h) for p in e], axis=-1)
        L = np.linalg.inv(np.linalg.cholesky(H))
        error = L @ np.swapaxes(J, 1, 2) @ J @ np.swapaxes(L, 1, 2) - np.eye(2)
        assert np.abs(error).max() <= 1e-3  # differences of F and R are good to 1e-4
    assert certified >= 60
