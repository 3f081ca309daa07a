"""The hyperbolic plane in R^6."""

import numpy as np

import geoflow as gf
from geoflow.realization.hyperbolic import BlanusaPlane
from geoflow.theorems.converse import converse_figures, converse_tolerances

P, Box = gf.catalog.potentials, gf.domains.Box


def test_gaussian_in_r6_over_the_whole_box():
    F = gf.realize(P["gaussian_log_partition"](2), Box([-3, -5], [3, -0.2]), tol=1e-10)
    assert F.ambient_dim == 6 and F.exact
    figures = converse_figures(F, round_trip=False)
    assert all(value <= converse_tolerances(F)[key] for key, value in figures.items()), figures


def test_blanusa_plane_is_isometric_and_smooth_across_its_seams():
    u = np.linspace(-4.2, 4.2, 400)
    w = np.stack([u, np.linspace(-3, 3, 400)], axis=-1)
    _, J, S = BlanusaPlane().jet(w)
    gram = np.einsum("nDi,nDj->nij", J, J)
    expected = np.stack([np.ones(400), np.cosh(u) ** 2], axis=-1)[:, :, None] * np.eye(2)
    assert np.allclose(gram, expected, rtol=1e-12, atol=1e-11)
    h = 1e-5
    for i, e in enumerate(np.eye(2) * h):
        up, down = BlanusaPlane().jet(w + e), BlanusaPlane().jet(w - e)
        assert np.allclose((up[0] - down[0]) / (2 * h), J[:, :, i], atol=1e-5 * np.abs(J).max())
        assert np.allclose((up[1] - down[1]) / (2 * h), S[:, :, :, i], atol=1e-4 * np.abs(S).max())


def test_the_image_of_the_hyperbolic_plane_is_periodic_in_one_direction_only():
    plane, w = BlanusaPlane(), np.array([[0.3, 0.2], [0.3, 0.9], [-2.1, 0.2]])
    assert (plane.dim, plane.ambient_dim) == (2, 6)
    value, J, S = plane.jet(w)
    assert value.shape == (3, 6) and J.shape == (3, 6, 2) and S.shape == (3, 6, 2, 2)
    assert np.allclose(S, np.swapaxes(S, 2, 3), atol=1e-12)
    gaps = np.linalg.norm(value[:, None] - value[None], axis=-1) + np.eye(3)
    assert gaps.min() > 1e-3
