"""`to_tangent` of a user's manifold is asked whether it is one; flows that leave M say so."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.base import LevelSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.grassmannian import Grassmannian
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.spd_matrices import SPDMatrices
from geomstats.geometry.special_orthogonal import SpecialOrthogonal
from geomstats.geometry.stiefel import Stiefel

import geoflow as gf
from geoflow.spaces.gradients import seeded_points
from geoflow.spaces.probes import drift, probe_manifold, require_near, tangent_at

AXES = np.array([1.0, 1.0, 0.0])


def orthogonal(v, x):
    return v - x * AXES * anp.sum(v * x * AXES, axis=-1)[..., None]


def cylinder(to_tangent, size=1.0):
    class Cylinder(LevelSet):
        def _define_embedding_space(self):
            return Euclidean(3, equip=False)

        def submersion(self, x):
            return anp.sum(x[..., :2] ** 2, axis=-1) - size**2

        def tangent_submersion(self, v, x):
            return 2 * anp.sum(v[..., :2] * x[..., :2], axis=-1)

        def to_tangent(self, v, x):
            return to_tangent(v, x / size)

        def projection(self, x):
            return anp.concatenate(
                [size * x[..., :2] / anp.linalg.norm(x[..., :2], axis=-1)[..., None], x[..., 2:]], -1
            )

        def random_point(self, n_samples=1, bound=1.0):
            return self.projection(size * np.random.standard_normal((n_samples, 3)))

    return Cylinder(dim=2, equip=False)


def value(x):
    return anp.stack([x[..., 0], anp.exp(x[..., 2])], axis=-1)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    "to_tangent, words",
    [
        (lambda v, x: v, "not tangent"),
        (lambda v, x: v - (x * AXES + np.array([0, 0, 0.5])) * anp.sum(v * x * AXES, -1)[..., None], "oblique"),
        (lambda v, x: orthogonal(v, x) / 2, "idempotent"),
        (lambda v, x: 0 * v, "tangent vectors"),
        (lambda v, x: v * np.array([0.0, 0.0, 1.0]), "tangent vectors"),
    ],
)
def test_what_is_no_tangent_projection_is_refused(to_tangent, words, size):
    probe_manifold(cylinder(orthogonal, size), seeded_points(cylinder(orthogonal, size), 3))
    with pytest.raises(gf.ArgumentError, match=f"to_tangent of Cylinder.*{words}"):
        gf.Parametrization(lambda x: value(x / size), cylinder(to_tangent, size), 2)


@pytest.mark.parametrize(
    "space",
    [Hypersphere(3), Stiefel(4, 2), Grassmannian(4, 2), SpecialOrthogonal(3), Hyperboloid(2), SPDMatrices(2),
     Hypersphere(2, equip=False), Hyperboloid(2, equip=False), ProductManifold([Hypersphere(2), Hyperboloid(2)])],
    ids=lambda space: type(space).__name__,
)  # fmt: skip
def test_geomstats_own_manifolds_pass(space):
    x = seeded_points(space, 3).reshape(3, -1)
    probe_manifold(space, x)
    assert (drift(space, x) <= 1e-12).all()
    v = np.random.default_rng(0).standard_normal(x.shape)
    P = tangent_at(space, x)
    assert np.allclose(P(P(v)), P(v), atol=1e-12)


def test_a_flow_that_leaves_m_is_a_failure_and_one_that_stays_says_how_well():
    loss, x0 = gf.LeastSquares([[1.0, 0.5]], [1.0]), [0.6, 0.8, 0.1]
    good = gf.Parametrization(value, cylinder(orthogonal), 2)
    flow = gf.gradient_flow(loss, good, x0, 1.0)
    assert flow.success and "on Cylinder to" in flow.message
    wrong = gf.Parametrization(value, cylinder(lambda v, x: v), 2, check=False)
    flow = gf.gradient_flow(loss, wrong, x0, 1.0)
    assert not flow.success and "left Cylinder" in flow.message
    with pytest.raises(gf.NotOnManifoldError, match="joint flow left Cylinder"):
        gf.joint_flow(wrong, x0, [0.3, 0.4])
    assert np.isclose(drift(cylinder(orthogonal), np.array([[1.1, 0.0, 0.0]])), 0.1 / 2.1, rtol=0.7)
    with pytest.raises(gf.NotOnManifoldError):
        require_near(Hypersphere(2), np.array([[0.0, 1.0, 0.1]]), "a lift")


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_a_manifold_of_any_size_is_taken_and_a_flow_that_leaves_it_is_seen(size):
    loss, x0 = gf.LeastSquares([[1.0, 0.5]], [1.0]), size * np.array([0.6, 0.8, 0.1])
    good = gf.Parametrization(lambda x: value(x / size), cylinder(orthogonal, size), 2)
    flow = gf.gradient_flow(loss, good, x0, 0.3 * size**2)
    assert flow.success and drift(good.space, flow.x).max() < 1e-9 and np.abs(flow.w[-1] - flow.w[0]).max() > 0.02
    bad = gf.Parametrization(lambda x: value(x / size), cylinder(lambda v, x: v, size), 2, check=False)
    assert "left Cylinder" in gf.gradient_flow(loss, bad, x0, 0.3 * size**2).message
