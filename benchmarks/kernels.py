"""Derivatives of plain functions at N points: jacobians, second derivatives, and the geometry of a Hessian metric."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import geomstats.backend as gs
import numpy as np
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.riemannian_metric import RiemannianMetric

import geoflow as gf
from benchmarks.harness import Goal, Size, Task, Way
from benchmarks.peers import JAX, engines, jax64, ready

GEOMSTATS = "geomstats 2.8.0, autodiff"


class MapProblem:
    """N points and a map R^D -> R^6, f_i = sin(<b_i, x>) and a product of two coordinates in all of them."""

    def __init__(self, N: int, D: int = 2):
        rng = np.random.default_rng(0)
        self.x, self.B = rng.standard_normal((N, D)), rng.standard_normal((6, D)) / D**0.5

    def f(self, x: Any, np: Any = anp) -> Any:
        return np.sin(np.matmul(x, self.B.T)) + x[..., :1] * x[..., 1:2]

    def jacobian(self) -> np.ndarray:
        found = np.cos(self.x @ self.B.T)[..., None] * self.B
        found[..., 0] += self.x[:, 1:2]
        found[..., 1] += self.x[:, :1]
        return found

    def hessian(self) -> np.ndarray:
        found = -np.sin(self.x @ self.B.T)[..., None, None] * (self.B[:, :, None] * self.B[:, None, :])
        found[..., 0, 1] += 1
        found[..., 1, 0] += 1
        return found


class MetricProblem:
    """N points and R(w) = log(1 + sum exp w), a plain function: its metric is that of a sphere of radius 2."""

    def __init__(self, N: int, d: int = 3):
        self.d, self.w = d, np.random.default_rng(0).standard_normal((N, d))
        e = np.exp(self.w)
        self.p = e / (1 + e.sum(axis=-1, keepdims=True))

    def R(self, w: Any, np: Any = anp) -> Any:
        return np.log(1 + np.sum(np.exp(w), axis=-1))

    def metric(self) -> np.ndarray:
        return np.eye(self.d) * self.p[:, None, :] - self.p[:, :, None] * self.p[:, None, :]

    def third_derivative(self) -> np.ndarray:
        """Third cumulants of one draw among d + 1 with probabilities p."""
        p, unit = self.p, np.eye(self.d)
        equal = np.einsum("ij,jk->ijk", unit, unit)
        two = np.einsum("ij,ni,nk->nijk", unit, p, p)
        mixed = two + np.einsum("nijk->nikj", two) + np.einsum("nijk->nkji", two)
        return np.einsum("ijk,ni->nijk", equal, p) - mixed + 2 * np.einsum("ni,nj,nk->nijk", p, p, p)

    def christoffels(self) -> np.ndarray:
        return np.einsum("nkl,nlij->nkij", np.linalg.inv(self.metric()), self.third_derivative()) / 2

    def riemann_tensor(self) -> np.ndarray:
        """R(e_j, e_k) e_i = (g_ki e_j - g_ji e_k) / 4, l last."""
        first = np.einsum("nki,jl->nijkl", self.metric(), np.eye(self.d)) / 4
        return first - np.swapaxes(first, 2, 3)


# maps -----------------------------------------------------------------------------------------------------------------


def derivative_by_geoflow(order: str) -> Callable[..., Any]:
    def build(p: MapProblem) -> Any:
        derivative = getattr(gf.autodiff, order)(p.f)
        return lambda: derivative(p.x)

    return build


def derivative_by_jax(order: str) -> Callable[[MapProblem], Any]:
    def build(p: MapProblem) -> Any:
        jax = jax64()
        one = {"jacobian": jax.jacrev, "hessian": jax.hessian}[order](lambda x: p.f(x, jax.numpy))
        run = jax.jit(jax.vmap(one))
        return lambda: ready(run(p.x))

    return build


def jacobian_by_geomstats(p: MapProblem) -> Any:
    derivative = gs.autodiff.jacobian_vec(p.f)
    return lambda: derivative(p.x)


def derivatives(order: str, sizes: tuple[Size, ...], peers: tuple[Way, ...]) -> Task:
    name = {"jacobian": "jacobian", "hessian": "second derivatives"}[order]
    return Task(
        f"{name} of a map R^D -> R^6 at N points",
        MapProblem,
        sizes,
        toy=({"N": 3, "D": 2}, {"N": 6, "D": 2}, {"N": 3, "D": 4}),
        ways=(
            Way("geoflow", derivative_by_geoflow(order)),
            Way("jax", derivative_by_jax(order), JAX),
            *peers,
        ),
        reference=getattr(MapProblem, order),
        tol=1e-12,
        memory=True,
        goals=(Goal({"N": 1000, "D": 2}, 10.0, "jax"),),
    )


# metrics --------------------------------------------------------------------------------------------------------------


def metric_by_geoflow(what: str) -> Callable[..., Any]:
    """A fresh metric before every call, from a potential with no closed form."""
    method = {"third_derivative": "inner_product_derivative_matrix", "metric": "metric_matrix"}.get(what, what)

    def build(p: MetricProblem, options: dict[str, Any]) -> Any:
        R = gf.LegendreFunction(p.R, p.d, **options)
        return lambda: getattr(R.metric, method)(p.w)

    return build


class AutodiffMetric(RiemannianMetric):
    """What one writes with geomstats: the matrix is a Hessian, and geomstats differentiates it."""

    def __init__(self, space: Any, p: MetricProblem):
        super().__init__(space=space)
        self._hessian = gs.autodiff.hessian(p.R)

    def metric_matrix(self, base_point: Any = None) -> Any:
        if gs.ndim(base_point) == 1:
            return self._hessian(base_point)
        return gs.stack([self._hessian(point) for point in base_point])


def metric_by_geomstats(what: str) -> Callable[[MetricProblem], Any]:
    method = {"third_derivative": "inner_product_derivative_matrix", "metric": "metric_matrix"}.get(what, what)

    def build(p: MetricProblem) -> Any:
        space = copy.copy(Euclidean(p.d))
        metric = AutodiffMetric(space, p)
        return lambda: getattr(metric, method)(p.w)

    return build


def metric_by_jax(what: str) -> Callable[[MetricProblem], Any]:
    def build(p: MetricProblem) -> Any:
        jax = jax64()
        np_ = jax.numpy
        hessian = jax.hessian(lambda w: p.R(w, np_))
        third = jax.jacfwd(hessian)

        def christoffels(w: Any) -> Any:
            return np_.einsum("kl,lij->kij", np_.linalg.inv(hessian(w)), third(w)) / 2

        def riemann_tensor(w: Any) -> Any:
            S = 2 * christoffels(w)
            first = np_.einsum("ljp,pki->ijkl", S, S)
            return (np_.swapaxes(first, 1, 2) - first) / 4

        kernels = {"metric": hessian, "third_derivative": third, "christoffels": christoffels}
        run = jax.jit(jax.vmap({**kernels, "riemann_tensor": riemann_tensor}[what]))
        return lambda: ready(run(p.w))

    return build


def metrics(what: str) -> Task:
    names = {"third_derivative": "third derivatives", "christoffels": "Christoffel symbols", "metric": "the metric"}
    size = {"N": 1000, "d": 3}
    return Task(
        f"{names.get(what, 'Hessian curvature')} of a plain R at N points",
        MetricProblem,
        sizes=({"N": 100, "d": 3}, size, {"N": 10_000, "d": 3}, {"N": 1000, "d": 10}),
        toy=({"N": 2, "d": 2}, {"N": 4, "d": 2}, {"N": 2, "d": 3}),
        ways=(
            *engines(metric_by_geoflow(what)),
            Way("jax", metric_by_jax(what), JAX),
            Way(GEOMSTATS, metric_by_geomstats(what)),
        ),
        reference=getattr(MetricProblem, what),
        tol=1e-10,
        memory=True,
        goals=(
            Goal(size, 1 / 500, GEOMSTATS),
            Goal(size, 10.0, "jax"),
            Goal(size, 1.2, "jax", "geoflow, engine=jax"),
        ),
    )


SIZES = ({"N": 100, "D": 2}, {"N": 1000, "D": 2}, {"N": 10_000, "D": 2}, {"N": 1000, "D": 10}, {"N": 1000, "D": 50})
TASKS = (
    derivatives("jacobian", SIZES, (Way("geomstats 2.8.0, jacobian_vec", jacobian_by_geomstats),)),
    derivatives("hessian", SIZES, ()),
    metrics("metric"),
    metrics("third_derivative"),
    metrics("christoffels"),
    metrics("riemann_tensor"),
)
