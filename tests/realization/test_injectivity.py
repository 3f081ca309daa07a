"""Far points that meet."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.realization.certificate import INJECTIVITY_TOL, certify
from geoflow.realization.embedding import Embedding, SmoothChart
from geoflow.realization.target import Target


class Smooth(Embedding):
    """A map written in autograd.numpy."""

    def __init__(self, f, d):
        self.jet, self.dim = SmoothChart(f), d
        self.ambient_dim = f(np.zeros((1, d))).shape[-1]


def certified(f, d):
    """The certificate of a map for its own metric."""
    F = Smooth(f, d)

    def metric(w):
        J = F.jacobian(w)
        return np.swapaxes(J, 1, 2) @ J

    return certify(F, Target(metric, gf.domains.Box([-1] * d, [1] * d)), 1e-8)


def eight(w, gap):
    """A figure of eight in the first coordinate; its two branches meet in one pair of points, up to the gap."""
    t = 2.5 * w[..., 0]
    rest = [w[..., k] for k in range(1, w.shape[-1])]
    off = [t * (v - 0.1234 * k) for k, v in enumerate(rest, start=1)]
    return anp.stack([anp.cos(t), anp.sin(2 * t) / 2, *rest, *off, gap * t], axis=-1)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_surface_that_meets_itself_in_two_points_is_not_injective(d):
    for gap in (0.0, 1e-8):
        found = certified(lambda w, gap=gap: eight(w, gap), d)
        assert found.metric_error < 1e-12 and found.derivative_error < 1e-6
        # the branches meet at t = -pi/2 and pi/2, where the stretch is more than 2
        assert found.injectivity_margin < 1e-6 and not found and "far points meet" in found.failures[0]


def test_sheets_apart_are_measured():
    found, F = certified(lambda w: eight(w, 0.2), 2), Smooth(lambda w: eight(w, 0.2), 2)
    pair = np.array([[-np.pi / 2 / 2.5, 0.1234], [np.pi / 2 / 2.5, 0.1234]])
    stretch = np.linalg.svd(F.jacobian(pair), compute_uv=False).min()
    # the branches pass at 0.2 pi, from points 2 pi / 5 apart
    assert found and 0.95 * 0.5 / stretch < found.injectivity_margin < 1.05 * 0.5 / stretch
    assert found.injectivity_margin > 0.1 > INJECTIVITY_TOL


def test_maps_without_far_pairs_have_the_margin_of_their_bending():
    flat = certified(lambda w: anp.stack([w[..., 0], w[..., 1], 0 * w[..., 0]], axis=-1), 2)
    assert flat.injectivity_margin == pytest.approx(1)
    bent = certified(lambda w: anp.stack([anp.cos(w[..., 0]), anp.sin(w[..., 0])], axis=-1), 1)
    # chord over arc of an arc of length 2
    assert bent.injectivity_margin == pytest.approx(np.sin(1.0), rel=2e-3)
