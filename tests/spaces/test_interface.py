"""check_manifold: geomstats' own manifolds keep every law, at any scale, drawn or given."""

import autograd.numpy as anp
import numpy as np
import pytest
from ellipsoids import WEIGHTED, ellipsoid
from geomstats.geometry.base import ImmersedSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.grassmannian import Grassmannian
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.manifold import Manifold
from geomstats.geometry.poincare_ball import PoincareBall
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.spd_matrices import SPDMatrices
from geomstats.geometry.special_orthogonal import SpecialOrthogonal
from geomstats.geometry.stiefel import Stiefel

import geoflow as gf
from geoflow.spaces.interface import ManifoldReport


@pytest.mark.parametrize(
    "space",
    [3, Hypersphere(3), Stiefel(4, 2), Grassmannian(4, 2), SpecialOrthogonal(3), Hyperboloid(2), SPDMatrices(2),
     PoincareBall(2), Hypersphere(1), Hypersphere(1000), Hypersphere(1000, equip=False), Hyperboloid(2, equip=False),
     ProductManifold([Hypersphere(2), Hyperboloid(2)]), gf.domains.Orthant(3), gf.domains.Ball([1.0, 2.0])],
    ids=lambda space: type(space).__name__,
)  # fmt: skip
def test_manifolds_of_geomstats_and_domains_keep_every_law(space):
    report = gf.check_manifold(space)
    assert report and len(report.checks) >= 7, str(report)
    assert report.unwrap() is report and "hold" in str(report)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_an_ellipsoid_of_any_size_keeps_every_law(size):
    report = gf.check_manifold(ellipsoid(size=size))
    assert report and "inner_product is positive" in report.skipped, str(report)
    assert gf.check_manifold(ellipsoid(size=size, metric=WEIGHTED))
    many = gf.check_manifold(ellipsoid(np.linspace(1.0, 2.0, 300), size))
    assert many and "to_tangent is onto" in many.skipped, str(many)


def test_an_immersion_is_asked_for_its_metric():
    class Paraboloid(ImmersedSet):
        def _define_embedding_space(self):
            return Euclidean(3, equip=False)

        def immersion(self, x):
            return anp.concatenate([x, anp.sum(x**2, axis=-1, keepdims=True)], axis=-1)

        def random_point(self, n_samples=1, bound=1.0):
            return np.random.uniform(-1, 1, (n_samples, 2))

    report = gf.check_manifold(Paraboloid(dim=2, equip=False))
    assert report and "gradients are those of the metric" in [c.name for c in report.checks], str(report)


def test_points_are_given_where_none_can_be_drawn():
    class Bare(Manifold):
        def __init__(self):
            super().__init__(dim=2, shape=(3,), equip=False)

        def belongs(self, point, atol=1e-8):
            return np.abs(np.sum(point**2, axis=-1) - 1) < atol

        def is_tangent(self, vector, base_point, atol=1e-8):
            return np.abs(np.sum(vector * base_point, axis=-1)) < atol

        def to_tangent(self, vector, base_point):
            return vector - base_point * anp.sum(vector * base_point, axis=-1)[..., None]

        def random_point(self, n_samples=1, bound=1.0):
            raise RuntimeError("none to hand")

        regularize = None

    report = gf.check_manifold(Bare())
    assert report.failures == ["random_point draws points"] and "none to hand" in str(report)
    assert gf.check_manifold(Bare(), points=[[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
    assert gf.check_manifold(Bare(), points=[0.6, 0.0, 0.8])
    off = gf.check_manifold(Bare(), points=[[0.6, 0.0, 0.9]])
    assert "belongs accepts points of M" in off.failures
    with pytest.raises(gf.ShapeError, match="points"):
        gf.check_manifold(Bare(), points=[0.6, 0.8])
    with pytest.raises(gf.ArgumentError, match="space"):
        gf.check_manifold("sphere")
    with pytest.raises(gf.ArgumentError, match="n_points"):
        gf.check_manifold(Bare(), n_points=0)


def test_a_factor_of_a_product_is_named():
    space = ProductManifold([Hypersphere(2, equip=False), ellipsoid(to_tangent=lambda self, v, x: v)], equip=False)
    report = gf.check_manifold(space)
    assert report.failures and all(name.startswith("factor 2 (Ellipsoid): ") for name in report.failures)


def test_the_draws_are_repeated_and_leave_numpys_generator_as_it_was():
    state = np.random.get_state()[1].copy()
    first, again = gf.check_manifold(Hypersphere(2)), gf.check_manifold(Hypersphere(2))
    assert first == again and (np.random.get_state()[1] == state).all()
    assert isinstance(first, ManifoldReport) and len(repr(first)) < 300
