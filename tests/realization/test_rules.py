"""Exact embeddings by structure."""

import autograd.numpy as anp
import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import geoflow as gf
from geoflow.potentials.structure import Pullback
from geoflow.realization.rules import exact_embedding
from geoflow.theorems import laws

P, Box = gf.catalog.potentials, gf.domains.Box


def barrier():
    return gf.RidgeSum(-np.random.default_rng(0).standard_normal((12, 4)), 1.0, "log_barrier")


def patients():
    Z = load_diabetes().data[:50, :5]
    return gf.RidgeSum(Z / Z.std(axis=0), 0.0, "softplus")


EXACT = {
    "negative_entropy": (lambda: P["negative_entropy"](5), 5),
    "burg": (lambda: P["burg"](5), 5),
    "fermi_dirac": (lambda: P["fermi_dirac"](5), 5),
    "hyperbolic_entropy": (lambda: P["hyperbolic_entropy"](5), 5),
    "simplex_entropy": (lambda: P["simplex_entropy"](5), 6),
    "log_sum_exp": (lambda: P["log_sum_exp"](5), 6),
    "barrier": (barrier, 12),
    "logistic regression": (patients, 50),
    "quadratic_form": (lambda: P["quadratic_form"](4), 4),
    "power": (lambda: P["power"](3), 3),
    "log_det_spd": (lambda: P["log_det_spd"](3), 7),
    "sum": (lambda: P["negative_entropy"](3) + 3 * P["quadratic_form"](3), 6),
    "product": (lambda: gf.product(P["burg"](2), P["log_sum_exp"](2)), 5),
    "affine": (lambda: P["log_sum_exp"](3).compose_affine([[1.0, 0.2], [0.0, 1.0], [1.0, 1.0]], 0.1), 4),
    "conjugate of barrier": (lambda: barrier().conjugate, 12),
    "conjugate of sum": (lambda: (P["negative_entropy"](2) + P["quadratic_form"](2)).conjugate, 4),
    "conjugate twice": (lambda: P["log_sum_exp"](2).conjugate.conjugate, 3),
    "user profile": (lambda: gf.RidgeSum([[1.0, 0.5], [0.0, 1.0]], 0.1, anp.cosh), 2),
    "soft_max_affine": (lambda: P["soft_max_affine"](2), 8),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_rules(name):
    build, D = EXACT[name]
    F = gf.realize(build(), tol=1e-11)
    assert F.exact and F.method == "exact" and F.ambient_dim == D and F.reason
    assert F.certificate.n_points >= 2000 and F.certificate.injectivity_margin > 1e-3


@pytest.mark.parametrize(
    "name", [n for n in EXACT if n not in {"soft_max_affine", "log_det_spd", "conjugate of barrier"}]
)
def test_exact_rules_reach_1e_12_away_from_the_boundary(name):
    R = EXACT[name][0]()
    F = gf.realize(R, tol=1e-11)
    centre = R.domain.interior_point()
    w = centre + 0.7 * (R.domain.random_point(2000, bound=0.4, rng=3) - centre)
    assert laws.embedding_is_isometric(F, w)[0] <= 1e-12


def test_rules_are_told_in_words_and_what_has_no_structure_has_none():
    for build, words in [
        (lambda: P["negative_entropy"](2), "ridge sum of 2"),
        (lambda: 3 * P["burg"](2), "3 (ridge sum of 2)"),
        (lambda: P["burg"](2).tilt([1.0, 1.0]), "ridge sum of 2"),
        (lambda: P["log_sum_exp"](2), "dual of (ridge sum of 3)"),
        (lambda: gf.product(P["burg"](1), P["burg"](2)), "ridge sum of 1 x ridge sum of 2"),
        (lambda: P["gaussian_log_partition"](2), "hyperbolic plane"),
        (lambda: gf.LegendreFunction(lambda w: anp.cosh(w[..., 0]), 1), "one variable: F = int sqrt(R'')"),
    ]:
        assert exact_embedding(build())[1] == words
    quartic, burg = P["quartic"](2), P["burg"](2)
    for R in (quartic, quartic + burg, 2 * quartic, gf.product(quartic, burg), quartic.compose_affine(2.0)):
        assert exact_embedding(R) is None


def test_one_variable_needs_no_structure(rng):
    R = gf.LegendreFunction(lambda w: anp.cosh(w[..., 0]) + w[..., 0] ** 4, 1)
    F, w = exact_embedding(R)[0], rng.uniform(-1, 1, (5, 1))
    assert np.allclose(F.jacobian(w)[:, 0, 0] ** 2, R.hessian(w)[:, 0, 0], rtol=1e-13)
    assert F.ambient_dim == 1


@pytest.mark.parametrize("name, d", [("gaussian_log_partition", 2), ("log_det_spd", 3)])
def test_closed_derivatives_of_charts_are_those_of_the_charts(name, d):
    R = P[name](d)
    w = R.domain.random_point(50, rng=3)
    for (_, chart), derivatives in zip(R.structure.pieces, R.structure.derivatives, strict=True):
        wanted = gf.autodiff.jacobian(chart)(w), gf.autodiff.hessian(chart)(w)
        for closed, automatic in zip(derivatives(w), wanted, strict=True):
            assert closed.shape == automatic.shape
            assert np.abs(closed - automatic).max() <= 1e-11 * np.abs(automatic).max()


def test_wrong_closed_derivatives_of_a_chart_are_refused():
    R = P["gaussian_log_partition"](2)
    ((model, chart),), (derivatives,) = R.structure.pieces, R.structure.derivatives

    def wrong(w):
        first, second = derivatives(w)
        return first, 1.001 * second

    S = gf.LegendreFunction(R.potential, R.domain, name="mine").set_structure(
        Pullback(((model, chart),), None, (wrong,))
    )
    with pytest.raises(gf.ArgumentError, match="chart of mine; got derivatives of order 2"):
        gf.realize(S, Box([-1, -2], [1, -0.5]))
