"""Ellipsoids as level sets, with any of their methods replaced: what tests of manifolds break."""

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.base import LevelSet
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.riemannian_metric import RiemannianMetric


def ellipsoid(axes=(1.0, 2.0, 3.0), size=1.0, metric=None, **methods):
    """sum x_i^2 / a_i^2 = size^2, with any of its methods replaced, and a metric if there is one."""
    a = np.array(axes)

    class Ellipsoid(LevelSet):
        def _define_embedding_space(self):
            return Euclidean(len(a), equip=False)

        def submersion(self, x):
            return anp.sum((x / a) ** 2, axis=-1) - size**2

        def tangent_submersion(self, v, x):
            return 2 * anp.sum(v * x / a**2, axis=-1)

        def to_tangent(self, v, x):
            n = x / a**2
            return v - n * (anp.sum(v * n, axis=-1) / anp.sum(n * n, axis=-1))[..., None]

        def projection(self, x):
            return size * x / anp.sqrt(anp.sum((x / a) ** 2, axis=-1))[..., None]

        def random_point(self, n_samples=1, bound=1.0):
            return self.projection(np.random.standard_normal((n_samples, len(a))))

    for name, method in methods.items():
        setattr(Ellipsoid, name, method)
    space = Ellipsoid(dim=len(a) - 1, equip=False)
    if metric is not None:
        space.equip_with_metric(metric)
    return space


def metric_of(inner):
    class Metric(RiemannianMetric):
        def inner_product(self, u, v, base_point=None):
            return inner(u, v, base_point)

    return Metric


WEIGHTS = np.array([1.0, 2.0, 5.0])
WEIGHTED = metric_of(lambda u, v, x: anp.sum(WEIGHTS * u * v, axis=-1))
