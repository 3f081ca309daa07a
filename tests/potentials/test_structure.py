"""Structures: how a Legendre function is built. Their derivatives against automatic ones of the formula written out,
and the conjugates of those whose conjugate is known from their parts against Newton's method.
"""

import tracemalloc

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.newton import Newton
from geoflow.potentials.profiles import PROFILES, Profile
from geoflow.potentials.structure import (
    Affine,
    Product,
    Pullback,
    Ridges,
    Scaled,
    Separable,
    Sum,
    Tilted,
    conjugate_of,
)

P = gf.catalog.potentials
ENTROPY, BURG, LSE, QUARTIC = P["negative_entropy"](2), P["burg"](2), P["log_sum_exp"](2), P["quartic"](2)
A, TALL = (
    np.array([[1.0, 0.5], [0.2, 2.0]]),
    np.array([[1.0, 0.5, 0.1], [0.2, 2.0, -0.3], [0.1, 0.0, 1.0], [1.0, 1, 1]]),
)
b, s = np.array([0.3, 0.4]), np.array([0.7, -1.2])


def entropy(w):
    return anp.sum(w * anp.log(w) - w, axis=-1)


def lse(w):
    return anp.log(1 + anp.sum(anp.exp(w), axis=-1))


def quartic(w):
    return anp.sum(w**2, axis=-1) / 2 + anp.sum(w**2, axis=-1) ** 2 / 4


STRUCTURES = {
    "ridges": (
        Ridges(np.array([[1.0, 0.5], [0.0, 1.0], [2.0, 1.0]]), np.array([0.1, 0.2, 0.3]),
               (PROFILES["entropy"], PROFILES["softplus"], PROFILES["entropy"])),
        lambda w: entropy(anp.stack([w[..., 0] + 0.5 * w[..., 1] + 0.1, 2 * w[..., 0] + w[..., 1] + 0.3], -1))
        + anp.log(1 + anp.exp(w[..., 1] + 0.2)),
    ),
    "separable": (Separable(PROFILES["entropy"], 2, "entropy"), entropy),
    "sum": (Sum(ENTROPY, LSE, QUARTIC), lambda w: entropy(w) + lse(w) + quartic(w)),
    "scaled": (Scaled(3.0, ENTROPY), lambda w: 3 * entropy(w)),
    "affine": (Affine(ENTROPY, A, b), lambda w: entropy(anp.matmul(w, A.T) + b)),
    "affine, by a number": (Affine(ENTROPY, 0.5, b), lambda w: entropy(0.5 * w + b)),
    "affine, injective": (
        Affine(P["log_sum_exp"](4), TALL, 0.1 * np.ones(4)), lambda w: lse(anp.matmul(w, TALL.T) + 0.1),
    ),
    "tilted": (Tilted(ENTROPY, s, 5.0), lambda w: entropy(w) + anp.matmul(w, s) + 5.0),
    "product": (Product(ENTROPY, LSE), lambda w: entropy(w[..., :2]) + lse(w[..., 2:])),
    "nested": (
        Scaled(2.0, gf.LegendreFunction.composed(Tilted(gf.LegendreFunction.composed(Sum(ENTROPY, LSE)), s, 1.0))),
        lambda w: 2 * (entropy(w) + lse(w) + anp.matmul(w, s) + 1.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_derivatives_are_those_of_the_formula(name, batch, rng):
    structure, formula = STRUCTURES[name]
    d = int(structure.domain.dim)
    w = rng.uniform(0.2, 1.5, (*batch, d))
    assert structure.domain.belongs(w).all()
    for order, make in enumerate(
        [lambda f: f, gf.autodiff.jacobian, gf.autodiff.hessian, gf.autodiff.third_derivative]
    ):
        found, wanted = structure.derivative(order, w), make(formula)(w)
        assert np.shape(found) == (*batch, *(d,) * order)
        assert np.allclose(found, wanted, rtol=1e-12, atol=1e-12), order


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_composed_function_has_the_formula_the_domain_and_the_name_of_its_structure(name):
    structure, formula = STRUCTURES[name]
    R = gf.LegendreFunction.composed(structure)
    assert R.name == structure.name and R.structure is structure and str(R.domain) == str(structure.domain)
    w = R.domain.random_point(3, bound=0.3, rng=0)
    assert np.allclose(R(w), formula(w), rtol=1e-13, atol=1e-13)
    slope = gf.autodiff.jacobian(R.potential)(w)
    assert np.allclose(R.gradient(w), slope, rtol=1e-12, atol=1e-13)


def test_domains_of_structures():
    assert isinstance(STRUCTURES["separable"][0].domain, gf.domains.Orthant)
    assert isinstance(Separable(PROFILES["softplus"], 3, "r").domain, gf.domains.WholeSpace)
    assert Separable(PROFILES["fermi_dirac"], 2, "r").domain.belongs([0.5, 0.9])
    assert not Separable(PROFILES["fermi_dirac"], 2, "r").domain.belongs([0.5, 1.1])
    assert STRUCTURES["affine"][0].domain.belongs([-0.2, 0.3]) and not STRUCTURES["affine"][0].domain.belongs([-1, 0.3])
    assert STRUCTURES["affine, by a number"][0].domain.belongs([-0.5, 0])
    assert not STRUCTURES["affine, by a number"][0].domain.belongs([-0.7, 0])


SOLVED = {
    "scaled": Scaled(3.0, ENTROPY),
    "affine": Affine(ENTROPY, A, b),
    "affine, by a number": Affine(BURG, 0.5, b),
    "affine, by a negative number": Affine(BURG, -0.5, np.ones(2)),
    "tilted": Tilted(BURG, s, 5.0),
    "product": Product(ENTROPY, LSE, BURG),
    "separable": Separable(PROFILES["log_barrier"], 2, "barrier"),
    "all of them": Product(
        gf.LegendreFunction.composed(Scaled(0.25, gf.LegendreFunction.composed(Affine(ENTROPY, A, b)))),
        gf.LegendreFunction.composed(Tilted(gf.LegendreFunction.composed(Scaled(2.0, LSE)), s, 1.0)),
    ),
}


@pytest.mark.parametrize("name", SOLVED)
def test_conjugates_by_structure_are_those_of_newton(name):
    R = gf.LegendreFunction.composed(SOLVED[name])
    assert conjugate_of(R.structure) is not None and R.has_closed_conjugate
    w = R.domain.random_point(6, bound=0.3, rng=1)
    mu = R.gradient(w)
    found = Newton(R).solve(mu)
    solved = found.w
    assert found.accurate.all() and found.residual.max() < 1e-9
    Q = R.conjugate
    assert np.allclose(Q.gradient(mu), solved, rtol=1e-9, atol=1e-10)
    assert np.allclose(Q(mu), np.einsum("ni,ni->n", solved, mu) - R(solved), rtol=1e-10, atol=1e-10)
    assert np.allclose(Q.hessian(mu) @ R.hessian(w), np.eye(R.dim), atol=1e-10)
    assert Q.conjugate is R
    # a conjugate of another function is told from it
    other = gf.LegendreFunction.composed(Scaled(1.01, R)).conjugate
    assert np.abs(other.gradient(mu) - w).max() > 1e-4


@pytest.mark.parametrize(
    "structure",
    [STRUCTURES["ridges"][0], STRUCTURES["sum"][0], Scaled(2.0, QUARTIC), Tilted(QUARTIC, s, 0.0),
     Affine(QUARTIC, A, b), Separable(Profile(anp.cosh), 2, "cosh"), Pullback(())],
    ids=lambda structure: type(structure).__name__,
)  # fmt: skip
def test_what_has_no_conjugate_by_structure_says_so(structure):
    assert conjugate_of(structure) is None


def test_an_injective_affine_change_has_no_closed_conjugate(rng):
    R = gf.LegendreFunction.composed(STRUCTURES["affine, injective"][0])
    assert not R.has_closed_conjugate and conjugate_of(R.structure) is None
    w = 0.3 * rng.standard_normal((3, 3))
    assert np.allclose(R.conjugate.gradient(R.gradient(w)), w, rtol=1e-8, atol=1e-9)


def test_numbers_and_parts_of_many_coordinates_form_no_matrix(rng):
    d = 20_000
    entropy = gf.catalog.potentials["negative_entropy"](d)
    R, w = entropy.compose_affine(2.0, 0.1) + entropy, rng.uniform(0.5, 1.5, d)
    pair = gf.LegendreFunction.composed(Product(entropy, entropy))
    twice = np.concatenate([w, w + 1])
    tracemalloc.start()
    gradient = R.conjugate.gradient(R.gradient(w)) if R.has_closed_conjugate else R.gradient(w)
    moved = entropy.compose_affine(2.0, 0.1).conjugate.gradient(2 * np.log(2 * w + 0.1))
    of_pair, peak = pair.gradient(twice), tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.allclose(gradient, 2 * np.log(2 * w + 0.1) + np.log(w), rtol=1e-12) and np.allclose(moved, w, rtol=1e-12)
    assert np.allclose(of_pair, np.log(twice), rtol=1e-13) and peak < 50e6  # a matrix has 3.2e9


def test_derivatives_of_a_product_fill_its_blocks(rng):
    parts = [gf.catalog.potentials[name](2) for name in ("log_sum_exp", "quartic")]
    R, w = gf.LegendreFunction.composed(Product(*parts)), rng.uniform(-1, 1, (3, 4))
    plain = gf.LegendreFunction(lambda w: parts[0](w[..., :2]) + parts[1](w[..., 2:]), 4, check=False)
    for order in (1, 2, 3):
        assert np.allclose(R.kernel.derivative(order, w), plain.kernel.derivative(order, w), rtol=1e-9, atol=1e-10)
