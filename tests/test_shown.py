"""Every public object shows itself in a line or two of at most 300 characters, and every signature in plain words."""

import inspect
from typing import get_type_hints

import numpy as np
import pytest

import geoflow as gf  # isort: skip
from geomstats.geometry.hypersphere import Hypersphere

LONG = "a map with a name " * 50


def logarithmic(d):
    return gf.catalog.potentials["log_sum_exp"](d)


def made():
    """At least one object of every public class, and some that are large or have long names."""
    noncommuting, maps, potentials = gf.catalog.noncommuting, gf.catalog.parametrizations, gf.catalog.potentials
    bent, case, burg = noncommuting["matrix_square"](), maps["hyperbolic"](50), potentials["burg"](3)
    G, x0, loss = case.parametrization, case.x0, gf.LeastSquares(np.ones((3, 50)), np.zeros(3))
    box, rng, total = gf.domains.Box([-1, -1], [1, 1]), np.random.default_rng(0), burg
    for _ in range(20):
        total = total + burg
    F, algebra = gf.realize(logarithmic(2), box), gf.LieAlgebra(bent.parametrization.gradient_fields)
    yield from (gf.Parametrization(lambda x: x**2, 1000, 1000, name=LONG), G, G.gradient_fields[0], case)
    yield from (gf.LegendreFunction(lambda w: (w**2).sum(-1) / 2, 1000, name=LONG), total, gf.product(burg, burg))
    yield from (
        gf.mirror_map(G, x0),
        burg.metric,
        burg.conjugate,
        gf.DuallyFlatManifold(burg),
        gf.induced_metric(bent.parametrization, bent.x0),
    )
    yield from (gf.RidgeSum(np.eye(3), np.zeros(3), ["exp"] * 3), gf.Profile(np.exp, (-np.inf, np.inf), name=LONG))
    yield from (loss, gf.LogisticLoss(np.ones((2, 50)), [1, -1]), gf.PiecewiseLoss([loss] * 200, 0.1))
    yield from (gf.LinkLoss(np.ones((2, 3)), [0.0, 1.0], lambda r: r**2), gf.max_margin(np.eye(100), np.ones(100)))
    flow = gf.gradient_flow(loss, G, x0, 1.0, until={"loss": 1e-300, "gradient": 1e-300, "change": 1e-300})
    yield from (flow, flow.status, gf.verify_equivalence(loss, G, x0, 0.1), G.check_commuting(x0))
    yield from (gf.Row(LONG, {"a": 1.0}, {"a": 2.0}), gf.Row("a", error=LONG), gf.classify(G, x0), algebra)
    yield from (algebra.conservation_laws(2), algebra.dimension(bent.x0), gf.prove_commuting(bent.parametrization))
    yield from (F, F.certificate, F.parametrization, logarithmic(2).prove_legendre(box))
    yield gf.realize(burg, gf.domains.Box([0.5] * 3, [1.0] * 3), method="twist", tol=1e-2).prove()
    yield from (gf.find_structure(G), gf.find_structure(logarithmic(50)), gf.find_structure(total))
    yield from (
        gf.BregmanBall(burg, np.ones(3), 0.1),
        gf.VoronoiCells(burg, np.ones((4, 3)) + rng.uniform(size=(4, 3))),
    )
    yield from (gf.BregmanKMeans(burg, 2), gf.sweep(lambda a: a, {"a": list(range(300))}, jobs=1))
    yield from (
        gf.domains.Box(-np.ones(999), np.ones(999)),
        gf.domains.Polytope(rng.standard_normal((50, 3)), np.ones(50)),
    )
    yield gf.check_manifold(Hypersphere(2))
    yield from (gf.catalog.potentials, gf.catalog.potentials["burg"], *gf.laws.LAWS.values(), gf.families.gaussian(2))


@pytest.fixture(scope="module")
def objects():
    pytest.importorskip("flint")
    return list(made())


def test_each_is_at_most_300_characters_on_at_most_two_lines(objects):
    for value in objects:
        text = repr(value)
        assert 0 < len(text) <= 300 and text.count("\n") <= 1 and " at 0x" not in text, (type(value).__name__, text)


def test_there_is_one_of_every_public_class(objects):
    public = {name for name in gf.__all__ if inspect.isclass(getattr(gf, name)) and not name.endswith("Error")}
    kinds = {kind.__name__ for value in objects for kind in type(value).__mro__}
    assert public - kinds == set() and len(public) > 25


def functions():
    """Public functions, and the methods that public classes have of their own, by name."""
    for name in gf.__all__:
        value = getattr(gf, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and value.__module__.startswith("geoflow"):
            if inspect.isfunction(value.__init__):
                yield name, value
            for part, method in vars(value).items():
                if not part.startswith("_") and callable(getattr(value, part)) and not isinstance(method, type):
                    yield f"{name}.{part}", getattr(value, part)


def test_no_signature_quotes_its_types():
    found = list(functions())
    assert len(found) > 120
    for name, value in found:
        signature = inspect.signature(value)
        for part in (*(p.annotation for p in signature.parameters.values()), signature.return_annotation):
            assert "'" not in inspect.formatannotation(part) or "Literal" in str(part), (name, part)
    told = str(inspect.signature(gf.gradient_flow))
    assert (
        told.startswith("(loss: Loss, G: Parametrization, x0: ArrayLike, t: ArrayLike, *") and "-> Trajectory" in told
    )
    method = str(inspect.signature(gf.LegendreFunction.bregman_divergence))
    assert method == "(self, w: ArrayLike, v: ArrayLike) -> Array"


def test_hints_are_still_resolved():
    """By what reads the types of a function, and not only shows them."""
    hints = get_type_hints(gf.max_margin)
    assert hints["return"] is gf.MaxMargin and hints["level"] is float
    assert get_type_hints(gf.Trajectory)["status"] is gf.Status
