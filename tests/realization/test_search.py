"""Where metrics vary within the distance of random points."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.records import record
from geoflow.realization.search import covering_radius, descend, extremes, quantities, surprises
from geoflow.realization.target import Target


def smooth(w):
    return anp.sum(w**2, axis=-1) / 2 + anp.log(1 + anp.sum(anp.exp(w), axis=-1))


def unrolled(z):
    """A bump of which every factor vanishes to rounding, and is no exponential."""
    value = 1.0
    for i in range(z.shape[-1]):
        value = value * (anp.tanh(z[..., i] + 1) - anp.tanh(z[..., i] - 1))
    return value


# functions of (w - c) / s that are flat to rounding nearly everywhere
BUMPS = {
    "gaussian": lambda z: anp.exp(-anp.sum(z**2, axis=-1) / 2),
    "flat top": lambda z: anp.exp(-(anp.sum(z**2, axis=-1) ** 2)),
    "product": lambda z: anp.prod(anp.exp(-(z**2)), axis=-1),
    "rational": lambda z: 1 / (1 + anp.sum(z**2, axis=-1)),
    "power": lambda z: (1 + anp.sum(z**2, axis=-1)) ** -3.5,
    "norm": lambda z: anp.exp(-(anp.linalg.norm(z, axis=-1) ** 2)),
    "compact": lambda z: anp.maximum(1 - anp.sum(z**2, axis=-1), 0.0) ** 4,
    "where": lambda z: anp.where(anp.sum(z**2, axis=-1) < 1, (1 - anp.sum(z**2, axis=-1)) ** 4, 0.0),
    "unrolled": unrolled,
}


@pytest.mark.parametrize("kind", BUMPS)
def test_a_bump_is_found_wherever_it_is(kind, rng):
    for d in (1, 2, 3, 4):
        for scale in (1e-6, 1.0, 1e6):
            c, s = rng.uniform(-0.95, 0.95, d), float(rng.uniform(0.005, 0.02))

            def potential(w, c=c, s=s, scale=scale):
                z = w / scale
                return smooth(z) + 1e-3 * s**2 * BUMPS[kind]((z - c) / s)

            found = extremes([potential], -scale * np.ones(d), scale * np.ones(d), np.zeros((0, d)))
            assert (
                np.linalg.norm(found.points / scale - c, axis=1).min() < 0.05 * s if d > 1 or kind != "unrolled" else 2
            )
            assert found.n_quantities and not found.note
            assert np.abs(found.points).max() <= scale and np.abs(found.around).max() <= scale


def test_a_bump_is_found_in_sums_affine_changes_and_products():
    c, s, cube = np.array([0.3, -0.4, 0.2]), 0.005, gf.domains.Box([-1] * 3, [1] * 3)
    bump = gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) + 1e-3 * s**2 * BUMPS["gaussian"]((w - c) / s), 3)
    quartic = gf.catalog.potentials["quartic"]
    for R, centre in [(quartic(3) + bump, c), (3 * bump, c), (bump.compose_affine(2.0), c / 2)]:
        assert np.linalg.norm(Target.hessian(R, cube).found.points - centre, axis=1).min() < 0.05 * s
    R = gf.product(quartic(1), bump)
    found = Target.hessian(R, gf.domains.Box([-1] * 4, [1] * 4)).found
    assert np.linalg.norm(found.points[:, 1:] - c, axis=1).min() < 0.05 * s


def test_quantities_are_what_steps_that_are_no_polynomials_are_given():
    w = np.random.default_rng(0).uniform(-1, 1, (7, 2))

    def f(w):
        return anp.exp(-anp.sum(w**2, axis=-1) * 900) * anp.exp(-900 * w[..., 0] ** 4) + w[..., 1] ** 3

    found = quantities(record(f, w[:3])[0], w)
    square, fourth = -900 * (w**2).sum(axis=1), -900 * w[:, 0] ** 4
    for wanted in (square, fourth, square + fourth, square**2 + fourth**2):
        assert np.isclose(found, wanted[:, None], rtol=1e-12).all(axis=0).any()
    assert found.shape == (7, 4) and quantities(record(lambda w: w[..., 0] ** 2, w[:3])[0], w).shape == (7, 0)


def test_descents_go_to_minima_and_stay_in_the_cube(rng):
    c, starts = rng.uniform(0.1, 0.9, (6, 3)), rng.uniform(size=(6, 3))
    B = rng.standard_normal((3, 3))
    calls = []

    def quadratic(z, index):
        calls.append(len(z))
        return ((z - c[index]) @ B).__pow__(2).sum(axis=1)

    assert np.abs(descend(quadratic, starts) - c).max() < 1e-6
    assert sum(calls) <= 6 * (1 + 7 * 13)
    assert np.abs(descend(lambda z, index: ((z - c[index]) ** 2).sum(axis=1) ** 2, starts) - c).max() < 1e-2
    assert np.array_equal(
        descend(lambda z, index: z @ np.array([1.0, -1.0, 0.5]), starts), np.tile([0.0, 1, 0], (6, 1))
    )
    assert np.array_equal(descend(lambda z, index: np.full(len(z), np.nan), starts), starts)
    steep = descend(lambda z, index: 1e307 * (z - c[index]).__abs__().sum(axis=1) ** 3, starts)
    assert np.isfinite(steep).all() and (np.abs(steep - c).sum(axis=1) <= np.abs(starts - c).sum(axis=1)).all()


def test_what_is_not_recorded_is_said_and_the_metric_itself_is_looked_at(rng):
    c, calls = np.array([0.31, -0.27]), []

    def metric(w):
        assert type(w) is np.ndarray
        calls.append(len(w))
        return np.eye(2) * (1 + 0.3 * np.exp(-((w - c) ** 2).sum(axis=-1) / (2 * 0.02**2)))[..., None, None]

    target = Target(metric, gf.domains.Box([-1, -1], [1, 1]), sources=(metric,))
    assert "cannot be recorded" in target.found.note and target.found.n_quantities == 0
    assert np.linalg.norm(target.found.points - c, axis=1).min() < 0.04 and len(target.found.sample) > 10_000
    assert sum(calls) < 20_000
    high = extremes([smooth], -np.ones(7), np.ones(7), np.zeros((0, 7)))
    assert "dimension 6" in high.note and len(high.points) == 0
    assert Target.hessian(gf.catalog.potentials["burg"](2)).found.note


def test_surprises_of_a_smooth_metric_are_points_of_its_box():
    sample, points = surprises(lambda w: np.eye(2) * (2 + w[:, :1, None]), np.array([-1.0, 3.0]), np.array([1.0, 4.0]))
    assert len(points) == 40 and (sample.min(axis=0) >= [-1, 3]).all() and (sample.max(axis=0) <= [1, 4]).all()


def test_the_covering_radius_is_that_of_the_largest_hole():
    axis = np.linspace(0, 1, 11)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for size in (1e-6, 1e6):
        found = covering_radius(size * grid, np.zeros(2), size * np.ones(2))
        assert 0.95 * 0.05 * np.sqrt(2) < found <= 0.05 * np.sqrt(2)
