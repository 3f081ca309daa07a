"""Structures found in potentials written as users write them, and in none that only looks like one."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import logsumexp

import geoflow as gf
from geoflow.realization.certificate import relative_metric_error
from geoflow.realization.rules import exact_embedding


def written(d):
    """Potentials as users write them: name, function, domain."""
    rng = np.random.default_rng(d)
    A, b = rng.standard_normal((2 * d, d)) / np.sqrt(d), rng.standard_normal(2 * d)
    y, t, c = rng.integers(0, 5, 2 * d) * 1.0, rng.standard_normal(d), rng.uniform(0.5, 2, 2 * d)
    Q = A.T @ A + np.eye(d)
    sign = 2.0 * (y > 2) - 1

    def stable(w):
        z = w @ A.T + b
        top = anp.max(z, axis=-1, keepdims=True)
        return anp.max(z, axis=-1) + anp.log(anp.sum(anp.exp(z - top), axis=-1)) + 0.1 * anp.sum(w**2, axis=-1)

    def regression(w):
        residual = w @ A.T - b
        return 0.5 * anp.linalg.norm(residual, axis=-1) ** 2 + 0.1 * anp.sum(anp.sqrt(1 + (w - t) ** 2), axis=-1)

    def simplex(w):
        rest = 1 - anp.sum(w, axis=-1)
        return anp.sum(w * anp.log(w), axis=-1) + rest * anp.log(rest)

    inner = gf.domains.Box(np.full(d, -0.5), np.full(d, 0.5))
    yield "softplus", lambda w: anp.sum(anp.log(1 + anp.exp(w @ A.T + b)), axis=-1), d
    yield "quartic", lambda w: anp.sum(w**4, -1) / 4 + anp.sum(w**2, -1) / 2, d
    yield "barrier", lambda w: -anp.sum(anp.log(6 - w @ A.T), -1) - anp.sum(anp.log(4 - w**2), -1), inner
    yield "poisson", lambda w: anp.sum(anp.exp(w @ A.T + b) - y * (w @ A.T + b), axis=-1), d
    yield (
        "logistic",
        lambda w: anp.mean(anp.log1p(anp.exp(-sign * (w @ A.T))), axis=-1) + 0.05 * anp.sum(w * w, axis=-1),
        d,
    )
    yield "log of a sum", lambda w: anp.log(anp.sum(anp.exp(w @ A.T + b), -1)) + 0.1 * anp.sum(w**2, -1), d
    yield "stable log of a sum", stable, d
    yield "logsumexp", lambda w: logsumexp(w @ A.T + b, axis=-1) / 3 + 0.1 * anp.sum((w - t) ** 2, -1), d
    yield "simplex", simplex, gf.domains.Simplex(d)
    yield "regression", regression, d
    yield "einsum", lambda w: 0.5 * anp.einsum("...i,ij,...j->...", w, Q, w) + anp.sum(anp.cosh(w), -1), d
    yield "weights", lambda w: anp.sum(c * anp.logaddexp(0, w @ A.T + b), -1) + anp.sum(w @ Q * w, -1) / 2, d
    yield "mixed", lambda w: anp.sum(anp.log(1 + anp.exp(w @ A.T)) + 1e-3 * (w @ A.T) ** 4, axis=-1), d
    yield "relative entropy", lambda w: anp.sum(w * (anp.log(w / anp.exp(t)) - 1), -1), gf.domains.Orthant(d)


@pytest.mark.parametrize("d", [2, 7, 50, 200])
def test_potentials_as_users_write_them(d):
    for name, potential, domain in written(d):
        R = gf.LegendreFunction(potential, domain, check=False)
        found = gf.find_structure(R)
        assert found, (name, str(found))
        assert found.stopped_at == "" and max(found.checked["value"], found.checked["hessian"]) < 1e-12, (name, found)
        F = exact_embedding(found.potential)[0]
        centre = R.domain.interior_point()  # at the boundary hess R itself has fewer digits
        w = centre + 0.9 * (R.domain.random_point(3, rng=1) - centre)
        assert relative_metric_error(F.jacobian(w), R.hessian(w)).max() < 1e-12, name
