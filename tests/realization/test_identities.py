"""Metrics of exact embeddings by the identities of their rules, against dF^T dF of the embeddings; and wrong rules."""

import dataclasses

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.balls import Scalar, precision
from geoflow.potentials.composition import RidgeSum
from geoflow.potentials.structure import Ridges
from geoflow.realization.embedding import Embedding
from geoflow.realization.identities import Rule, text_of_rule
from geoflow.realization.proof import check
from geoflow.realization.realized import Realization
from geoflow.realization.rules import exact_embedding
from geoflow.realization.target import Target

flint = pytest.importorskip("flint")
P = gf.catalog.potentials
BOXES = {
    "negative_entropy": ([0.5, 0.5], [1, 1]), "burg": ([0.5, 0.5], [1, 1]), "fermi_dirac": ([0.3, 0.3], [0.7, 0.7]),
    "hyperbolic_entropy": ([-0.5, -0.5], [0.5, 0.5]), "log_sum_exp": ([-0.1, -0.1], [0.1, 0.1]),
    "simplex_entropy": ([0.1, 0.1], [0.2, 0.2]), "polytope_barrier": ([-0.2, -0.2], [0.2, 0.2]),
    "gaussian_log_partition": ([-0.2, -1.2], [0.2, -1]), "quadratic_form": ([-1, -1], [1, 1]),
    "power": ([-1, -1], [1, 1]),
    "logistic_regression": ([-0.1, -0.1], [0.1, 0.1]), "soft_max_affine": ([-0.01, -0.01], [0.01, 0.01]),
}  # fmt: skip
#: whose rule says by how much points are apart
APART = set(BOXES) - {"log_sum_exp", "gaussian_log_partition", "soft_max_affine"}


@pytest.mark.parametrize("name", BOXES)
def test_the_metric_of_a_rule_is_that_of_its_map(name):
    R, box = P[name](2), gf.domains.Box(*BOXES[name])
    F, _ = exact_embedding(R)
    w = box.random_point(20, rng=0)
    text = text_of_rule(F, w)
    J = F.jacobian(w)
    with precision() as module:
        rule = Rule.of_text(module, text)
        scalar = Scalar(module, False)
        for x, slope in zip(w, J, strict=True):
            g = rule.metric(scalar, [module.arb(float(c)) for c in x])
            found = np.array([[float(e) for e in row] for row in g])
            assert np.allclose(found, slope.T @ slope, rtol=1e-11)
        sides = [(module.arb(float(a)), module.arb(float(b))) for a, b in zip(box.lower, box.upper, strict=True)]
        apart = rule.injectivity(scalar, sides)
    far = box.random_point(20, rng=1)
    least = (np.linalg.norm(F.value(w) - F.value(far), axis=1) / np.linalg.norm(w - far, axis=1)).min()
    assert 0 <= apart <= least and (apart > 0.3 * least) == (name in APART)


@pytest.mark.parametrize("name", BOXES)
def test_exact_realizations_of_the_catalogue_are_proved(name):
    box = gf.domains.Box(*BOXES[name])
    proof = gf.realize(P[name](2), box).prove()
    assert proof and proof.eps < 1e-9 and "by the identity of the rule" in str(proof)


@pytest.mark.parametrize("wrong", [1e-3, 1e-6, 1e-9])
def test_a_rule_that_is_not_that_of_the_potential_is_not_proved_better_than_it_is(wrong):
    """A potential that says it is a ridge sum, and is it but for a part."""
    box = gf.domains.Box([-0.5, -0.5], [0.5, 0.5])
    a, profiles = np.array([[1.0, 0.5], [0.2, 1.0]]), ("quartic", "cosh")
    true, said = (RidgeSum(a * [[1.0], [scale]], 0.0, profiles) for scale in (1.0, 1 + wrong))
    liar = gf.LegendreFunction(true.potential, 2, name="liar").set_structure(
        Ridges(said.structure.directions, said.structure.offsets, said.structure.profiles)
    )
    F, _ = exact_embedding(liar)
    there = Realization(F, Target.hessian(liar, box), "exact", "", gf.realize(true, box).certificate)
    error = there.metric_error(box.random_point(500, rng=0)).max()
    proof = there.prove()
    assert error <= proof.eps <= 10 * error and gf.realize(true, box).prove().eps < 1e-9 < error


def test_an_embedding_without_an_identity_is_refused():
    with pytest.raises(gf.ProofError, match="Embedding"):
        text_of_rule(Embedding(), np.zeros((1, 1)))
    with precision() as module, pytest.raises(ValueError, match="rule"):
        Rule.of_text(module, "{}")


# closed forms of users ----------------------------------------------------------------------------------------------


def bump(s, w=1e-6):
    t = (s - 0.3141) / w
    return anp.where(anp.abs(t) < 1, (1 - t**2) ** 2, 0.0)


def test_a_curvature_in_closed_form_that_cannot_be_enclosed_is_refused():
    def hessian(w):
        return (1 + w**2 + bump(w))[..., None]

    R = gf.LegendreFunction(lambda w: anp.sum(w**2 / 2 + w**4 / 12, axis=-1), 1, hessian=hessian)
    F = gf.realize(R, gf.domains.Box([-1.0], [1.0]), method="exact")
    with pytest.raises(gf.ProofError, match="closed form"):
        F.prove()


def test_an_integral_in_closed_form_of_a_user_is_refused():
    def integral(s):
        return (s * np.sqrt(1 + s**2) + np.arcsinh(s)) / 2

    quartic = gf.Profile(lambda s: s**2 / 2 + s**4 / 12, (-np.inf, np.inf), root_integral=integral)
    F = gf.realize(gf.RidgeSum(np.eye(1), np.zeros(1), [quartic]), gf.domains.Box([-1.0], [1.0]), method="exact")
    with pytest.raises(gf.ProofError, match="root_integral"):
        F.prove()


def test_a_rule_is_no_plan_for_the_map_of_a_solver():
    R = gf.catalog.potentials["quartic"](1)
    box = gf.domains.Box([-1.0], [1.0])
    exact, solved = gf.realize(R, box, method="exact"), gf.realize(R, box, method="spectral")
    assert check(exact.prove(), None) and not check(exact.prove(), solved.map)
    said = dataclasses.replace(solved.prove(), argument="and F is perfect")
    assert "perfect" not in str(check(said, solved.map))


@pytest.mark.parametrize("profile", [anp.exp, anp.cosh, lambda s: s**2 / 2 + s**4 / 12, lambda s: anp.exp(s) + s * s])
def test_ridges_that_a_user_writes_are_proved(profile):
    F = gf.realize(gf.RidgeSum(np.eye(1), np.zeros(1), [profile]), gf.domains.Box([-1], [1]))
    proof = F.prove()
    assert F.exact and proof and proof.eps < 1e-11 and proof.injectivity > 0
