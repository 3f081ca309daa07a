"""Realizing: solvers that are starved, and bad requests."""

from functools import partial

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

P, Box = gf.catalog.potentials, gf.domains.Box
GAUSS_BOX, SQUARE = Box([-1, -2], [1, -0.5]), Box([-1, -1], [1, 1])


def black_box(R):
    return gf.LegendreFunction(R.potential, R.domain, hessian=partial(R.kernel.derivative, 2), name=R.name)


def diagonal(first, second):
    zero = anp.zeros(anp.shape(first))
    return anp.stack([anp.stack([first, zero], axis=-1), anp.stack([zero, second], axis=-1)], axis=-2)


NOT_HESSIAN = {
    "1 + w1^2": lambda w: diagonal(anp.ones(anp.shape(w)[:-1]), 1 + w[..., 0] ** 2),
    "exp w2": lambda w: diagonal(anp.exp(w[..., 1]), anp.ones(anp.shape(w)[:-1])),
}


def test_starved_solvers_never_certify():
    R = black_box(P["gaussian_log_partition"](2))
    for options in ({"method": "spectral", "max_degree": 3}, {"method": "twist", "frequency": 0.5}):
        with pytest.raises(gf.RealizationError) as caught:
            gf.realize(R, GAUSS_BOX, **options)
        F = caught.value.realization
        assert not F.certificate.passed and F.certificate.metric_error > 1e-8 and caught.value.remedy
    with pytest.raises(gf.RealizationError) as caught:  # a curved surface does not fit in the plane
        gf.realize(R, GAUSS_BOX, method="spectral", ambient_dim=2, max_degree=10)
    assert caught.value.realization.certificate.metric_error > 1e-3


BAD = {
    "no box": lambda: gf.realize(black_box(P["quartic"](2))),
    "infinite box": lambda: gf.realize(black_box(P["quartic"](2)), Box([-np.inf, 0], [1, 1])),
    "box of wrong dimension": lambda: gf.realize(P["quartic"](2), Box([0], [1])),
    "box of no kind": lambda: gf.realize(P["quartic"](2), 3),
    "method": lambda: gf.realize(P["quartic"](2), SQUARE, method="magic"),
    "tol": lambda: gf.realize(P["quartic"](2), SQUARE, tol=0),
    "dimension too small": lambda: gf.realize(P["quartic"](2), SQUARE, ambient_dim=1),
    "twist has its own dimension": lambda: gf.realize(P["quartic"](2), SQUARE, ambient_dim=7, method="twist"),
    "frequency": lambda: gf.realize(P["quartic"](2), SQUARE, frequency=-1.0),
    "not a potential": lambda: gf.realize(lambda w: w, SQUARE),
    "no rule": lambda: gf.realize(P["quartic"](2), SQUARE, method="exact"),
    "dimension 5": lambda: gf.realize(black_box(P["log_sum_exp"](5)), Box([-1] * 5, [1] * 5)),
    "exact metric": lambda: gf.realize_metric(NOT_HESSIAN["exp w2"], SQUARE, method="exact"),
    "metric shape": lambda: gf.realize_metric(lambda w: w, SQUARE),
    "metric without box": lambda: gf.realize_metric(NOT_HESSIAN["exp w2"], None),
    "points": lambda: gf.is_hessian(NOT_HESSIAN["exp w2"], []),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    with pytest.raises(gf.GeoflowError) as caught:
        BAD[name]()
    assert caught.value.got and caught.value.wanted


def test_an_exact_rule_is_passed_over_for_another_ambient_dimension():
    R = P["log_sum_exp"](2)
    assert gf.realize(R, SQUARE).exact and gf.realize(R, SQUARE, ambient_dim=3).exact
    F = gf.realize(R, SQUARE, tol=1e-6, ambient_dim=5, max_degree=14)
    assert F.method == "spectral" and F.ambient_dim == 5 and "D = 3" in F.reason
    with pytest.raises(gf.RealizationError, match=r"no exact rule .*D = 3"):
        gf.realize(R, SQUARE, method="exact", ambient_dim=4)


def test_progress_is_told_stage_by_stage():
    told = []
    F = gf.realize(black_box(P["quartic"](2)), SQUARE, tol=1e-6, advance=lambda name, stage: told.append((name, stage)))
    assert [name for name, _ in told] == ["spectral"] * len(told) and [stage for _, stage in told] == F.stages


def test_a_bare_metric_has_no_potential(rng):
    F = gf.realize_metric(P["quartic"](2).kernel.hessian, ([-1, -1], [1, 1]), tol=1e-6)
    w = rng.uniform(-0.9, 0.9, (5, 2))
    assert F.potential is None and F.certificate and F.metric_error(w).max() <= 1e-6
    assert F.parametrization.check_commuting(F.embedding(w))
