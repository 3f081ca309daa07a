"""Nearest points of M."""

import numpy as np

from geoflow.realization.embedding import Embedding
from geoflow.realization.nearest import NearestPoint, solve_or_nan


def test_a_batch_with_a_point_over_the_edge_keeps_the_others(realized):
    F = realized("spectral, log-sum-exp")
    w = np.array([[0.1, 0.2], [0.99, 0.0]])
    G, J = F.parametrization, F.jacobian(w)
    G(F.embedding(w))
    moved = F.embedding(w) + np.einsum("nDi,i->nD", J, [0.05, 0.0])
    value = np.asarray(G.kernel.value(moved))
    assert np.isnan(value[1]).all() and np.allclose(value[0], [0.15, 0.2], atol=2e-3)


class Circle(Embedding):
    """(cos w, sin w)."""

    dim, ambient_dim = 1, 2

    def jet(self, w):
        c, s = np.cos(w[:, 0]), np.sin(w[:, 0])
        value, first = np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)
        return value, first[..., None], -value[..., None, None]


def arc(low, high):
    def inside(w):
        return np.isfinite(w[:, 0]) & (w[:, 0] >= low) & (w[:, 0] <= high)

    return NearestPoint(Circle(), inside, lambda n: np.linspace(low, high, n)[:, None])


def test_the_nearest_point_of_a_circle_is_the_angle(rng):
    w = rng.uniform(-1.2, 1.2, (20, 1))
    x = rng.uniform(0.6, 1.4, (20, 1)) * Circle().value(w)
    foot = arc(-1.5, 1.5)(x)
    assert np.allclose(foot.w, w, rtol=1e-10, atol=1e-12)
    assert np.allclose(foot.distance, np.abs(np.linalg.norm(x, axis=1) - 1), atol=1e-12)
    assert np.abs(np.einsum("nDi,nD->ni", foot.J, foot.offset)).max() < 1e-10  # what is left is normal
    assert np.allclose(foot.A[:, 0, 0], np.linalg.norm(x, axis=1), rtol=1e-10)  # 1 - <x - F, F''>


def test_what_is_nearest_to_a_point_beyond_the_end_is_not_on_the_arc():
    foot = arc(-1.0, 1.0)(np.array([[np.cos(1.3), np.sin(1.3)], [1.0, 0.0], [np.nan, 0.0]]))
    assert np.isnan(foot.w[[0, 2]]).all() and np.allclose(foot.w[1], 0, atol=1e-12)


def test_the_last_answer_is_followed_and_a_jump_starts_again():
    nearest = arc(-3.0, 3.0)
    for w in np.r_[np.linspace(0.0, 2.5, 20), -2.5, 0.3]:
        assert np.allclose(nearest(1.1 * Circle().value(np.array([[w]]))).w, w, atol=1e-10)
    x = Circle().value(np.array([[0.5]]))
    assert nearest(x) is nearest(x.copy())


class Counted(Circle):
    """The circle, with the number of points at which its jet was asked for."""

    points = 0

    def jet(self, w):
        self.points += len(w)
        return super().jet(w)


def test_a_point_that_is_held_back_is_tried_once_and_the_others_are_not_solved_again():
    def solved(angles):
        F = Counted()
        nearest = NearestPoint(F, lambda w: np.abs(w[:, 0]) <= 1.0, lambda n: np.linspace(-1, 1, n)[:, None])
        nearest(F.value(np.zeros((1, 1))))  # the samples are taken
        F.points = 0
        foot = nearest(Circle().value(np.array(angles)[:, None]))
        return foot.w[:, 0], F.points

    w, held = solved([1.3])
    assert np.isnan(w).all() and held <= 6 * 61  # six starts, each at most sixty halvings towards the edge
    inside = np.linspace(-0.9, 0.9, 100)
    w, alone = solved(inside)
    assert np.allclose(w, inside, atol=1e-9) and alone <= 6 * 100
    w, together = solved([1.3, *inside])
    assert np.isnan(w[0]) and np.allclose(w[1:], inside, atol=1e-9) and together <= held + alone + 6


def test_the_very_edge_is_on_the_arc():
    edge = np.array([[1.0], [1.0 + 1e-15], [1.0 + 1e-9]])
    foot = arc(-1.0, 1.0)(Circle().value(edge))
    assert np.allclose(foot.w[:2], 1.0, atol=1e-12) and np.isnan(foot.w[2]).all()


def test_singular_systems_are_nan_only_where_they_are_not_finite():
    A, b = np.array([np.eye(2), np.diag([np.nan, 1.0]), 2 * np.eye(2)]), np.ones((3, 2))
    found = solve_or_nan(A, b)
    assert found[0].tolist() == [1, 1] and np.isnan(found[1]).all() and found[2].tolist() == [0.5, 0.5]
    assert np.isfinite(solve_or_nan(np.zeros((1, 2, 2)), np.ones((1, 2)))).all()
    assert solve_or_nan(A, np.ones((3, 2, 4))).shape == (3, 2, 4)
