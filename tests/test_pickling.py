"""What holds functions is pickled and copied, with the same values, for process pools and sweeps."""

import copy
import pickle
import re
import threading
from functools import cache, partial
from multiprocessing import get_context

import autograd.numpy as anp
import numpy as np
import picklable
import pytest
from geomstats.geometry.hypersphere import Hypersphere

import geoflow as gf  # before geomstats, whose backend it chooses
from geoflow._pickling import rebuilt_by
from geoflow.flows.losses import LinearSchedule

CATALOG, START = gf.catalog, np.array([0.6, 0.8, 0.5, 0.3])
LOSS = gf.LeastSquares([[1.0, 0.5], [0.2, 1.0]], [1.0, -0.5])
W = np.array([[0.3, 0.4], [0.1, 0.2]])


def hyperbolic():
    return CATALOG.parametrizations["hyperbolic"](2).parametrization


def own_map(**options):
    return gf.Parametrization(picklable.cube, 2, 2, name="cube", **options)


def flow(loss, **options):
    return gf.gradient_flow(loss, hyperbolic(), START, 0.5, **options)


def mirror(loss, **options):
    return gf.mirror_flow(loss, CATALOG.potentials["negative_entropy"](2), [0.5, 0.4], 0.5, **options)


def decaying(G):
    return gf.regularized_mirror_map(G, START, picklable.decay)


@cache
def realization():
    return gf.realize(CATALOG.potentials["log_sum_exp"](2), gf.domains.Box([-1, -1], [1, 1]))


def same(first, second):
    for a, b in zip(np.atleast_1d(first), np.atleast_1d(second), strict=True):
        assert np.array_equal(a, b, equal_nan=True)


def printed(value):
    """`repr` but for addresses."""
    return re.sub("0x[0-9a-f]+", "", repr(value))


def copies(value):
    return pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)


OBJECTS = {
    "map": (own_map, lambda G: G.brackets(W)),
    "map with closed forms": (
        partial(own_map, jacobian=picklable.cube_jacobian, hessian_product=picklable.cube_product),
        lambda G: gf.autodiff.hessian(G)(W),
    ),
    "map on a sphere": (
        lambda: gf.Parametrization(picklable.cube, Hypersphere(1), 2),
        lambda G: G.cometric([0.6, 0.8]),
    ),
    "affine image": (lambda: own_map().affine([[1.0, 2.0]]), lambda G: G.gradients(W)),
    "of an isometry": (lambda: own_map().precompose(picklable.turn), lambda G: G.gradients(W)),
    "leaf": (lambda: hyperbolic().on_leaf(START), lambda G: G.gradients(W)),
    "field": (lambda: hyperbolic().gradient_fields[0], lambda X: X(START)),
    "bracket of fields": (
        lambda: gf.lie_bracket(gf.VectorField(picklable.turn), 2 * gf.VectorField(picklable.cube)), lambda X: X(W),
    ),
    "potential": (lambda: gf.LegendreFunction(picklable.quartic, 2), lambda R: R.third_derivative(W)),
    "its conjugate": (lambda: gf.LegendreFunction(picklable.quartic, 2).conjugate, lambda Q: Q.hessian(W)),
    "its metric": (lambda: gf.LegendreFunction(picklable.quartic, 2).metric, lambda g: g.metric_matrix(W)),
    "composed": (
        lambda: (2 * gf.RidgeSum(np.eye(2), 0.1, "softplus") + CATALOG.potentials["quartic"](2)).tilt(W[0]),
        lambda R: R.hessian(W),
    ),
    "induced": (lambda: gf.mirror_map(hyperbolic(), START), lambda R: R.hessian(W)),
    "own profile": (lambda: gf.Profile(picklable.cube, (0.0, np.inf)), lambda r: r.root_integral(W)),
    "domain": (
        lambda: gf.domains.ImplicitDomain(2, picklable.inside, [0.0, 0.0], "disc"), lambda K: K.belongs(10 * W),
    ),
    "loss": (lambda: LOSS, lambda loss: loss.gradient(W[0])),
    "schedule": (lambda: LinearSchedule(W), lambda loss: loss.gradient(W, 0.3)),
    "gradient flow": (partial(flow, picklable.pulse), lambda f: f([0.1, 0.2])),
    "mirror flow": (partial(mirror, LOSS), lambda f: f([0.1, 0.2])),
    "mirror flow in nu": (partial(mirror, LOSS, coordinates="nu"), lambda f: f(0.2)),
    "regularized mirror flow": (
        lambda: gf.mirror_flow(LOSS, decaying(hyperbolic()), hyperbolic()(START), 0.5), lambda f: f(0.2),
    ),
    "flow of a lambda": (lambda: flow(lambda w: anp.sum(w**2, axis=-1)), lambda f: f(0.2)),
    "mirror flow of a lambda": (lambda: mirror(lambda w: anp.sum(w**2, axis=-1)), lambda f: f(0.2)),
    "check": (lambda: hyperbolic().check_commuting(START), lambda check: check.defect),
    "report": (
        lambda: gf.verify_equivalence(LOSS, hyperbolic(), START, t=0.5), lambda r: [r.gap, *r.mirror_flow(0.2)],
    ),
    "row": (lambda: gf.Row("a", {"gap": 0.1}, results={"flow": flow(LOSS)}), lambda r: r.results["flow"](0.2)),
    "realization": (realization, lambda F: F(W)),
    "its map": (lambda: realization().parametrization, lambda G: G.gradients(realization()(W))),
    "certificate": (lambda: realization().certificate, lambda c: [c.metric_error, *c.witness]),
    "ball": (
        lambda: gf.BregmanBall(gf.LegendreFunction(picklable.quartic, 2), W[0], 0.1), lambda b: b.boundary(W),
    ),
    "bisector": (
        lambda: gf.bisector(CATALOG.potentials["burg"](2), W[0], W[1], "left"),
        lambda wall: [wall.offset, *wall.normal],
    ),
    "cells": (lambda: gf.VoronoiCells(CATALOG.potentials["burg"](2), W, "jensen"), lambda cells: cells.divergences(W)),
    "family": (gf.families.gamma, lambda f: f.convert(W, "ordinary", "expectation")),
    "entry": (lambda: CATALOG.parametrizations["square"], lambda entry: entry(2).x0),
}  # fmt: skip


@pytest.mark.parametrize("make, ask", OBJECTS.values(), ids=OBJECTS)
def test_what_is_public_has_the_same_values_after_a_pickle_and_a_copy(make, ask):
    value = make()
    for again in copies(value):
        assert type(again) is type(value) and printed(again) == printed(value)
        same(ask(again), ask(value))


@pytest.mark.parametrize("name", [*CATALOG.parametrizations, *CATALOG.noncommuting])
def test_maps_of_the_catalogue(name):
    case = (CATALOG.parametrizations if name in CATALOG.parametrizations else CATALOG.noncommuting)[name]()
    again = pickle.loads(pickle.dumps(case))
    same(again.parametrization.gradients(case.x0), case.parametrization.gradients(case.x0))
    same(again.sample(3, np.random.default_rng(0)), case.sample(3, np.random.default_rng(0)))
    for R, other in ((case.legendre, again.legendre), (case.dual, again.dual)):
        if R is not None:
            point = R.domain.interior_point()
            same(other.hessian(point), R.hessian(point))


@pytest.mark.parametrize("name", CATALOG.potentials)
def test_potentials_of_the_catalogue(name):
    R = CATALOG.potentials[name]()
    w, again = R.domain.random_point(2, rng=0), pickle.loads(pickle.dumps(R))
    same(again.hessian(w), R.hessian(w))
    assert again.domain.belongs(w).all() and (again.conjugate.conjugate is again)
    same(again.inverse_gradient(R.gradient(w)), R.inverse_gradient(R.gradient(w)))


def test_results_of_a_process_pool():
    """A fresh process, which has imported nothing."""
    start = [0.5, 0.2]
    tasks = [
        partial(gf.gradient_flow, LOSS, own_map(), start, 0.5),
        partial(gf.mirror_flow, LOSS, gf.LegendreFunction(picklable.quartic, 2), start, 0.5),
    ]
    with get_context("spawn").Pool(1) as pool:
        found = pool.map(picklable.run, tasks)
    for task, there in zip(tasks, found, strict=True):
        same(there(0.2), task()(0.2))


@pytest.mark.parametrize(
    "make",
    [
        lambda f: gf.Parametrization(f, 2, 2, name="mine"),
        lambda f: gf.Parametrization(picklable.cube, 2, 2, name="mine").precompose(f),
        lambda f: gf.LegendreFunction(lambda w: anp.sum(f(w) ** 2, axis=-1), 2, name="mine"),
        lambda f: gf.VectorField(f, "mine"),
    ],
)
def test_what_cannot_be_pickled_is_named_and_can_be_copied(make):
    value = make(lambda x: 1.0 * x)
    line = "line \\d+.*wanted functions, and objects, that another process can import by name; .*`def` at the top level"
    with pytest.raises(gf.NotPicklableError, match=rf"{type(value).__name__} 'mine.*lambda.*test_pickling.py, {line}"):
        pickle.dumps(value)
    with pytest.raises(pickle.PicklingError):
        pickle.dumps([1, {"G": value}])
    for again in (copy.deepcopy(value), copy.copy(value)):
        assert again is not value
        same(again(W), value(W))


def test_a_pickler_that_writes_every_function_is_left_to_itself():
    cloudpickle = pytest.importorskip("cloudpickle")
    for value in (gf.Parametrization(lambda x: x**2, 2, 2), flow(lambda w: anp.sum(w**2, axis=-1))):
        ask = (lambda G: G(W)) if isinstance(value, gf.Parametrization) else (lambda f: f(0.2))
        same(ask(pickle.loads(cloudpickle.dumps(value))), ask(value))


class Local:
    def __call__(self, x):
        return x**2


def test_objects_that_are_called():
    G = gf.Parametrization(Local(), 2, 2)
    same(pickle.loads(pickle.dumps(G))(W), G(W))
    G.kernel.function.lock = threading.Lock()
    with pytest.raises(gf.NotPicklableError, match="lock"):
        pickle.dumps(G)


def test_parts_stay_one_and_caches_stay_behind():
    R = gf.LegendreFunction(picklable.quartic, 2)
    Q = R.conjugate
    again = pickle.loads(pickle.dumps(R))
    assert again.conjugate.conjugate is again and again.kernel.formula is again.formula
    assert copy.deepcopy(Q).conjugate.conjugate is not Q
    F = realization()
    small = len(pickle.dumps(F))
    F.parametrization.gradients(F(W))
    assert len(pickle.dumps(F)) == small
    G = own_map()
    small = len(pickle.dumps(G))
    for _ in range(40):
        G.kernel.pullback(W, W)
    assert "_replay" in vars(G.kernel) and len(pickle.dumps(G)) < small + 100


def test_another_version_of_python_is_refused(monkeypatch):
    data = pickle.dumps(own_map())
    monkeypatch.setattr("geoflow._pickling._tag", lambda: "cpython-999")
    with pytest.raises(gf.NotPicklableError, match="one version of Python"):
        pickle.loads(data)


def test_a_decorator_does_not_hand_on_how_a_function_is_rebuilt():
    made = rebuilt_by(lambda x: x, partial, picklable.cube, 1.0)
    other = rebuilt_by(lambda x: 2 * x, partial, picklable.turn, 1.0)
    vars(made).update(vars(other))
    with pytest.raises(gf.NotPicklableError):
        pickle.dumps(gf.VectorField(made))
    assert pickle.loads(pickle.dumps(gf.VectorField(other))).function.func is picklable.turn


def test_compiled_maps_and_potentials():
    pytest.importorskip("jax")
    for value in (own_map(engine="jax"), gf.LegendreFunction(picklable.quartic, 2, engine="jax")):
        for again in copies(value):
            assert again.engine == value.engine == "jax"
            same(again.kernel.value(W), value.kernel.value(W))
    found = gf.gradient_flow(LOSS, own_map(engine="jax"), [0.5, 0.2], 0.5)
    same(pickle.loads(pickle.dumps(found))(0.2), found(0.2))
