"""Metrics and regions that have no realization."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.realization.target import Target, as_region, checked_metric

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


def test_a_target_is_the_hessian_on_the_domain_or_on_a_region(rng):
    R, w = P["burg"](2), rng.uniform(0.5, 1.5, (4, 2))
    whole, part = Target.hessian(R), Target.hessian(R, Box([0.5, 0.5], [1, 1]))
    assert whole.region is R.domain and whole.box is None and whole.name == R.name
    assert part.box is part.region and np.array_equal(part.metric(w), R.hessian(w))
    assert Target(whole.metric, SQUARE).name == "metric"
    assert whole.inside(np.array([[1.0, 1.0], [-1.0, 1.0]])).tolist() == [True, False]
    assert Target.hessian(R, SQUARE).inside(np.array([[0.5, 0.5], [-0.5, 0.5], [2.0, 2.0]])).tolist() == [
        True, False, False
    ]  # fmt: skip


@pytest.mark.parametrize(
    "target",
    [Target.hessian(P["quartic"](2), SQUARE), Target.hessian(P["burg"](2)), Target.hessian(P["simplex_entropy"](2)),
     Target.hessian(P["burg"](2), gf.domains.Ball([0.5, 0.5], 2.0))],
    ids=["box", "orthant", "simplex", "ball across the boundary"],
)  # fmt: skip
def test_samples_are_inside_and_the_room_about_them_too(target):
    points = target.sample(100, np.random.default_rng(0))
    assert points.shape == (100, 2) and target.inside(points).all() and np.ptp(points, axis=0).min() > 0.1
    assert np.array_equal(points, target.sample(100, np.random.default_rng(0)))
    room = target.room(points)
    assert (room > 0).all() and (room <= 1).all()
    for e in np.concatenate([np.eye(2), -np.eye(2)]):
        assert target.inside(points + room[:, None] * e).all()


def test_room_is_found_to_a_factor_of_two():
    room = Target.hessian(P["burg"](2)).room(np.array([[0.3, 5.0], [7.0, 9.0]]))
    assert room.tolist() == [0.25, 1.0]


def test_a_definite_metric_is_let_through_and_one_that_dips_between_the_points_is_not():
    Target.hessian(P["log_sum_exp"](2), SQUARE).require_definite()
    Target.hessian(P["burg"](2), Box([0.1, 0.1], [1, 1])).require_in_domain()

    def dips(w):
        """Negative in a disc of radius 0.02 about a point of no grid."""
        low = ((w - [0.31415, 0.2718]) ** 2).sum(-1) - 4e-4
        return np.einsum("n,ij->nij", np.ones(len(w)), np.diag([1.0, 0.0])) + np.einsum(
            "n,ij->nij", low, np.diag([0.0, 1.0])
        )

    with pytest.raises(gf.NotLegendreError, match="not positive definite") as caught:
        Target(dips, SQUARE).require_definite()
    assert np.linalg.norm(caught.value.point - [0.31415, 0.2718]) < 0.02 and caught.value.eigenvalue < 0


def test_regions_in_every_form():
    assert as_region(None, 2) is None
    box = as_region(([-1, -1], [1, 1]), 2)
    assert isinstance(box, Box) and box.upper.tolist() == [1, 1]
    ball = gf.domains.Ball([0.0, 0.0])
    assert as_region(ball, 2) is ball
    with pytest.raises(gf.ShapeError, match="dimension 2"):
        as_region(ball, 3)
    with pytest.raises(gf.ArgumentError, match="pair"):
        as_region(3.0, 2)


def test_a_users_metric_is_checked_at_every_call():
    metric = checked_metric(lambda w: np.broadcast_to(np.eye(2), (*w.shape, 2)), 2)
    assert metric(np.zeros((3, 2))).shape == (3, 2, 2)
    with pytest.raises(gf.ShapeError, match="metric_matrix"):
        checked_metric(lambda w: np.eye(3), 2)(np.zeros((1, 2)))
    tilted = checked_metric(lambda w: np.eye(2) + w[:, :1, None] * np.array([[0.0, 1.0], [0.0, 0.0]]), 2)
    assert tilted(np.zeros((2, 2))).shape == (2, 2, 2)
    with pytest.raises(gf.NotLegendreError, match="not symmetric") as caught:
        tilted(np.array([[0.0, 0.0], [0.5, 0.0]]))
    assert caught.value.point.tolist() == [0.5, 0.0]


def test_corners_and_edges_are_on_the_boundary_where_the_metric_is():
    cube = Target.hessian(P["quartic"](3), Box([-1, 0, 2], [1, 1, 5]))
    assert cube.compact and len(np.unique(cube.corners, axis=0)) == 8 and len(cube.edges) == 200
    ends = ((cube.edges == cube.box.lower) | (cube.edges == cube.box.upper)).sum(axis=1)
    assert set(ends) == {1, 2} and cube.inside((cube.edges + cube.box.interior_point()) / 2).all()
    share = (cube.edges - cube.box.lower) / (cube.box.upper - cube.box.lower)
    beside = np.minimum(share, 1 - share)[(share != 0) & (share != 1)]
    assert 0.05 < (beside < 0.01).mean() < 0.2  # 0.02 of points that are uniform
    assert len(Target.hessian(P["quartic"](12), Box([-1] * 12, [1] * 12)).corners) == 1024
    touching = Target.hessian(P["burg"](2), Box([0, 0], [1, 1]))
    assert not touching.compact and touching.corners.tolist() == [[1, 1]] and (touching.edges > 0).all()
    assert Target.hessian(P["quartic"](1), Box([-1], [1])).edges.shape == (0, 1)
    whole = Target.hessian(P["burg"](2))
    assert not whole.compact and whole.corners.shape == whole.edges.shape == (0, 2)


def untraced(f, w):
    """f, which autograd cannot look into."""
    if type(w) is not np.ndarray:
        raise TypeError("plain arrays only")
    return f(w)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_hessian_that_is_not_that_of_the_potential_is_refused(scale):
    R, box = P["log_sum_exp"](2), Box([-scale, -scale], [scale, scale])

    def potential(w):
        return R.potential(w / scale)

    def bump(w):
        return anp.exp(-anp.sum((w / scale - 0.3) ** 2, axis=-1) / (2 * 0.01**2))[..., None, None]

    right = lambda w: np.asarray(R.kernel.hessian(w / scale)) / scale**2  # noqa: E731
    Target.hessian(gf.LegendreFunction(potential, 2, hessian=right), box).require_hessian()
    for wrong in (lambda w: 7 * right(w), lambda w: (1 + 1e-6) * right(w), lambda w: right(w) * (1 + 1e-5 * bump(w))):
        with pytest.raises(gf.ArgumentError, match="differ from those of autograd") as caught:
            gf.realize(gf.LegendreFunction(potential, 2, hessian=wrong, check=False), box, tol=1e-8)
        assert caught.value.defect > 1e-7
    for wrong in (lambda w: 7 * right(w), lambda w: 1.001 * right(w), lambda w: right(w) * (1 + 0.1 * bump(w))):
        plain = gf.LegendreFunction(lambda w: untraced(potential, w), 2, hessian=wrong, check=False)
        with pytest.raises(gf.ArgumentError, match="differ from second differences of the potential") as caught:
            gf.realize(plain, box, tol=1e-6)
        assert caught.value.defect > 5e-4 and box.belongs(caught.value.point)


def test_a_hessian_without_the_bump_of_the_potential_is_refused(rng):
    c, s = rng.uniform(-0.9, 0.9, 3), 0.005
    R = gf.LegendreFunction(
        lambda w: anp.sum(w**2, axis=-1) / 2 + 0.1 * s**2 * anp.exp(-anp.sum((w - c) ** 2, axis=-1) / (2 * s**2)),
        3,
        hessian=lambda w: np.eye(3) + 0 * w[..., None],
    )
    with pytest.raises(gf.ArgumentError, match="Hessian of R"):
        gf.realize(R, Box([-1] * 3, [1] * 3), tol=1e-2)


def test_no_right_hessian_is_refused():
    for k, name in enumerate(P):
        R = P[name](3 if name == "log_det_spd" else 2)
        for S in (R, R.conjugate, (1e6, 1e-6)[k % 2] * R):
            Target.hessian(S).require_hessian()
    kinked = gf.LegendreFunction(lambda w: anp.sum(w**2 + anp.abs(w), axis=-1), 2)
    raised = gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) + 1e9, 2)
    for R in (kinked, raised):
        Target.hessian(R, SQUARE).require_hessian()
