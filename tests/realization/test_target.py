"""Metrics and regions that have no realization."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

P, Box = gf.catalog.potentials, gf.domains.Box
SQUARE = Box([-1, -1], [1, 1])


def diagonal(first, second):
    zero = anp.zeros(anp.shape(first))
    return anp.stack([anp.stack([first, zero], axis=-1), anp.stack([zero, second], axis=-1)], axis=-2)


NOT_REALIZABLE = {
    "nonconvex": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: w[..., 0] ** 2 - w[..., 1] ** 2 / 2 + w[..., 1] ** 4, 2), SQUARE)),
    "nonconvex somewhere": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) + 0.6 * anp.sin(3 * w[..., 0]), 2), SQUARE)),
    "degenerate at a point": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: anp.sum((w - 0.317) ** 4, axis=-1), 2), SQUARE)),
    "degenerate everywhere": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: (w[..., 0] + w[..., 1]) ** 2, 2), SQUARE)),
    "crossing": (gf.DomainError, lambda: gf.realize(P["burg"](2), Box([-0.5, 0.5], [1, 1]))),
    "crossing, exact": (gf.DomainError, lambda: gf.realize(P["simplex_entropy"](2), Box([0.1, 0.1], [0.7, 0.7]))),
    "crossing, unknown domain": (gf.DomainError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: -anp.sum(anp.log(w), axis=-1), 2), Box([-0.1, 0.5], [1, 1]))),
    "metric": (gf.NotLegendreError, lambda: gf.realize_metric(lambda w: diagonal(w[..., 0], w[..., 0]), SQUARE)),
    "skew metric": (gf.NotLegendreError, lambda: gf.realize_metric(
        lambda w: np.broadcast_to([[2.0, 0.1], [0.0, 1.0]], (*w.shape, 2)), SQUARE)),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_REALIZABLE)
def test_what_has_no_realization_is_refused_at_a_point(name):
    error, call = NOT_REALIZABLE[name]
    with pytest.raises(error) as caught:
        call()
    assert np.shape(caught.value.point) == (2,) and caught.value.got and caught.value.wanted
