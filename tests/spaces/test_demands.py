"""Each way of getting a manifold wrong is named by the law that it breaks."""

import autograd.numpy as anp
import numpy as np
import pytest
from ellipsoids import ellipsoid, metric_of
from geomstats.geometry.base import LevelSet
from geomstats.geometry.hypersphere import Hypersphere

import geoflow as gf
from geoflow.spaces.demands import LAWS


def test_laws_have_names_of_their_own_and_remedies():
    assert len({law.name for law in LAWS}) == len(LAWS) == 14
    assert all(law.remedy and law.measure.__name__ for law in LAWS)


ONE_POINT = {
    "to_tangent": lambda self, v, x: v - x * np.dot(np.ravel(v), np.ravel(x)) / np.dot(np.ravel(x), np.ravel(x)),
    "belongs": lambda self, x, atol=1e-8: bool(np.abs(np.sum((x / np.array([1, 2, 3])) ** 2) - 1) < atol),
}


def oblique(self, v, x):
    normal = x / np.array([1.0, 2.0, 3.0]) ** 2
    aside = normal + np.array([0.0, 0.0, 0.3])
    return v - aside * (anp.sum(v * normal, axis=-1) / anp.sum(aside * normal, axis=-1))[..., None]


BROKEN = {
    "to_tangent returns v": ({"to_tangent": lambda self, v, x: v}, "to_tangent is tangent"),
    "an oblique projection": ({"to_tangent": oblique}, "to_tangent is orthogonal"),
    "half a projection": ({"to_tangent": lambda self, v, x: oblique(self, v, x) / 2}, "to_tangent is idempotent"),
    "a projection to nothing": ({"to_tangent": lambda self, v, x: 0 * v}, "to_tangent is onto"),
    "one normal of two": ({"to_tangent": lambda self, v, x: v * np.array([0.0, 0.0, 1.0])}, "to_tangent is tangent"),
    "belongs says no": ({"belongs": lambda self, x, atol=1e-8: np.zeros(len(x), bool)}, "belongs accepts points of M"),
    "belongs says yes": ({"belongs": lambda self, x, atol=1e-8: np.ones(len(x), bool)}, "belongs refuses other points"),
    "random_point off M": (
        {"random_point": lambda self, n_samples=1, bound=1.0: np.random.standard_normal((n_samples, 3))},
        "random_point draws points of M",
    ),
    "a projection that stays": ({"projection": lambda self, x: x, "random_point": lambda self, n_samples=1, bound=1.0:
                                 np.tile([0.6, 1.6, 0.0], (n_samples, 1))}, "projection is one to M"),
    "a projection that moves M": (
        {"projection": lambda self, x: -x / anp.sqrt(anp.sum((x / np.array([1.0, 2, 3])) ** 2, axis=-1))[..., None]},
        "projection is one to M",
    ),
    "a wrong tangent_submersion": (
        {"tangent_submersion": lambda self, v, x: 2 * anp.sum(v * x, axis=-1)},
        "tangent_submersion is the derivative of submersion",
    ),
    "one point at a time": ({"belongs": ONE_POINT["belongs"]}, "methods take batches"),
    "sums over the batch": ({"to_tangent": ONE_POINT["to_tangent"]}, "methods take batches"),
    "a NaN": ({"to_tangent": lambda self, v, x: v * np.nan}, "to_tangent is idempotent"),
    "an exception": ({"to_tangent": lambda self, v, x: v @ np.ones((7, 7))}, "to_tangent is tangent"),
    "no gradient through numpy": (
        {"to_tangent": lambda self, v, x: ellipsoid_tangent(v, np.array(getattr(x, "_value", x), dtype=float))},
        "gradients can be differentiated",
    ),
}  # fmt: skip


def ellipsoid_tangent(v, x):
    n = x / np.array([1.0, 2.0, 3.0]) ** 2
    return v - n * (anp.sum(v * n, axis=-1) / anp.sum(n * n, axis=-1))[..., None]


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_named_with_a_remedy(name):
    methods, law = BROKEN[name]
    report = gf.check_manifold(ellipsoid(**methods))
    assert not report and law in report.failures, str(report)
    check = next(c for c in report.checks if c.name == law)
    assert not check.defect <= check.tol and check.evidence["remedy"] in str(report)
    with pytest.raises(gf.CheckError, match="relative defect"):
        report.unwrap()


def curved(u, v, x):
    return anp.sum(u * v, axis=-1) * (1 + anp.sum(x**2, axis=-1))


@pytest.mark.parametrize(
    "inner, law",
    [
        (lambda u, v, x: anp.sum(u * np.roll(v, 1, axis=-1), axis=-1), "inner_product is symmetric and bilinear"),
        (lambda u, v, x: anp.sum(u * v, axis=-1) ** 2, "inner_product is symmetric and bilinear"),
        (lambda u, v, x: -anp.sum(u * v, axis=-1), "inner_product is positive"),
        (lambda u, v, x: anp.sum(u * v * np.array([1.0, 1.0, -30.0]), axis=-1), "inner_product is positive"),
        (lambda u, v, x: u[..., 0] * v[..., 0], "inner_product is positive"),
        (lambda u, v, x: anp.sum(u * v), "inner_product is symmetric and bilinear"),
    ],
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_inner_product_that_is_none(inner, law, scale):
    assert gf.check_manifold(ellipsoid(metric=metric_of(lambda u, v, x: scale * curved(u, v, x))))
    report = gf.check_manifold(ellipsoid(metric=metric_of(lambda u, v, x: scale * inner(u, v, x))))
    assert law in report.failures, str(report)


def test_a_closed_gradient_of_another_manifold_is_seen():
    class Stretched(Hypersphere):  # an ellipsoid that says it is a sphere: gradients would be those of the sphere
        submersion, tangent_submersion = ellipsoid().submersion, ellipsoid().tangent_submersion
        to_tangent, projection, random_point = ellipsoid().to_tangent, ellipsoid().projection, ellipsoid().random_point
        belongs = LevelSet.belongs

    report = gf.check_manifold(Stretched(2, equip=False))
    assert report.failures == ["gradients are those of the metric"], str(report)
