"""Injectivity of maps of a box: arcs that meet themselves and arcs that nearly do, with the margin that is known."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.rounded import Rounded
from geoflow.realization.separation import injective


class Arc:
    """(cos w, sin w) on [-half, half], times w_2 in [-half, half] where d = 2."""

    def __init__(self, half, d=1):
        self.half, self.d = half, d

    def bend(self):
        return 1.0

    def half_sides(self, count):
        return np.full(self.d, self.half / count) * (1 + 1e-15)

    def centres(self, count):
        w = self.half * ((2 * np.arange(count) + 1) / count - 1)
        if self.d == 1:
            return (
                Rounded(np.stack([np.cos(w), np.sin(w)], -1), 1e-15),
                [Rounded(np.stack([-np.sin(w), np.cos(w)], -1), 1e-15)],
            )
        a, b = np.meshgrid(w, w, indexing="ij")
        zero = np.zeros(a.shape)
        value = Rounded(np.stack([np.cos(a), np.sin(a), b], -1), 1e-15)
        return value, [
            Rounded(np.stack([-np.sin(a), np.cos(a), zero], -1), 1e-15), Rounded(np.stack([zero, zero, zero + 1], -1)),
        ]  # fmt: skip


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("half", [0.5, 1.5, 2.5, 3.0])
def test_an_arc_that_does_not_close_is_injective(half, d):
    true = abs(np.sin(half)) / half  # of the ends
    found = injective(Arc(half, d), 1.0)
    assert 0 < found <= true and found >= min(0.19, 0.5 * true)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("half", [np.pi, 3.2, 5.0, 10.0])
def test_an_arc_that_meets_itself_is_not(half, d):
    assert injective(Arc(half, d), 1.0) == 0.0


def test_nothing_is_shown_without_an_immersion():
    assert injective(Arc(0.5), 0.0) == 0.0


@pytest.mark.parametrize(("name", "lower", "upper"), [
    ("gaussian_log_partition", [-1.0, -2.0], [1.0, -0.5]), ("quartic", [-2.0, -2.0], [2.0, 2.0]),
    ("log_sum_exp", [-2.0, -2.0], [2.0, 2.0]),
])  # fmt: skip
def test_spectral_maps_on_large_boxes_are_injective(name, lower, upper):
    pytest.importorskip("flint")
    F = gf.realize(gf.catalog.potentials[name](2), gf.domains.Box(lower, upper), method="spectral", tol=1e-5)
    margin = F.prove().injectivity
    w = F.region.random_point(4000, rng=0)
    near = np.linalg.norm(F(w[:2000]) - F(w[2000:]), axis=1) / np.linalg.norm(w[:2000] - w[2000:], axis=1)
    assert 0 < margin <= near.min()
