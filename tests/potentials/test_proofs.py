"""Strict convexity on a box: proved, refuted with a point, or undecided with a cell."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

BOXES = {
    "negative_entropy": ([0.1, 0.1], [2, 2]), "burg": ([0.1, 0.1], [2, 2]), "fermi_dirac": ([0.2, 0.2], [0.8, 0.8]),
    "hyperbolic_entropy": ([-1, -1], [1, 1]), "log_sum_exp": ([-2, -2], [2, 2]),
    "simplex_entropy": ([0.1, 0.1], [0.4, 0.4]), "polytope_barrier": ([-0.4, -0.4], [0.4, 0.4]),
    "gaussian_log_partition": ([-1, -2], [1, -0.5]), "quartic": ([-1, -1], [1, 1]),
    "quadratic_form": ([-1, -1], [1, 1]), "power": ([-1, -1], [1, 1]),
    "logistic_regression": ([-0.5, -0.5], [0.5, 0.5]), "soft_max_affine": ([-0.5, -0.5], [0.5, 0.5]),
    "log_det_spd": ([1.0, -0.2, 1.0], [1.5, 0.2, 1.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", list(gf.catalog.potentials))
def test_potentials_of_the_catalogue_are_proved_convex(name):
    pytest.importorskip("flint")
    lower, upper = BOXES[name]
    R, box = gf.catalog.potentials[name](None if name == "log_det_spd" else 2), gf.domains.Box(lower, upper)
    proof = R.prove_legendre(box)
    smallest = np.linalg.eigvalsh(R.hessian(box.random_point(500, rng=0))).min()
    assert proof and 0 < proof.least_eigenvalue <= smallest and "proved" in str(proof)
    assert proof.unwrap() is proof


def dented(depth, width):
    return gf.LegendreFunction(
        lambda w: anp.sum(w**2, -1) + depth * width**2 * anp.exp(-anp.sum((w - 0.3) ** 2, -1) / width**2), 2
    )


def test_a_dent_is_found_and_a_shallow_one_is_none():
    pytest.importorskip("flint")
    box = gf.domains.Box([-1, -1], [1, 1])
    R = dented(4.0, 1e-2)  # a dent of width 1e-2: 2 - 2 * 4 < 0 at its top
    found = R.prove_legendre(box)
    assert found.status == "refuted" and np.abs(found.point - 0.3).max() < 0.05
    assert found.direction @ R.hessian(found.point) @ found.direction < 0
    with pytest.raises(gf.NotLegendreError, match="not convex"):
        found.unwrap()
    assert dented(0.1, 1e-2).prove_legendre(box).status == "proved"


def test_a_hessian_that_is_singular_at_a_point_is_not_decided():
    pytest.importorskip("flint")
    R = gf.LegendreFunction(lambda w: anp.sum(w**4, axis=-1), 2, check=False)
    found = R.prove_legendre(gf.domains.Box([-1, -1], [1, 1]), max_cells=200)
    assert found.status == "undecided" and not found and np.isnan(found.least_eigenvalue)
    assert (found.lower <= 0).any() and (found.upper >= 0).any() and "undecided" in str(found)


def test_what_is_no_box_of_the_domain_is_refused():
    pytest.importorskip("flint")
    R = gf.catalog.potentials["burg"](2)
    with pytest.raises(gf.DomainError):
        R.prove_legendre(gf.domains.Box([-1, 0.1], [1, 1]))
    with pytest.raises(gf.ArgumentError, match="bounded"):
        R.prove_legendre(gf.domains.Box([0.1, 0.1], [1, np.inf]))


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(gf.ProofError, match=r"pip install geoflow\[proof\]"):
        gf.catalog.potentials["burg"](1).prove_legendre(gf.domains.Box([0.5], [1.0]))


# what numpy would do to balls without being asked --------------------------------------------------------------------


def convex(x):
    return anp.sum(x**2 / 2 + x**4 / 12, axis=-1)


LOST = {
    "a number taken for a condition": lambda x: anp.where(anp.sum(0 * x, axis=-1), convex(x), -convex(x)),
    "dtype in a sum": lambda x: convex(x) - anp.sum(2 * x**2, axis=-1, dtype=float),
    "dtype in an array": lambda x: convex(x) - anp.sum(anp.array(x, dtype=float) ** 2 * 2, axis=-1),
    "a narrow bump of a type": lambda x: (
        convex(x) + anp.sum(1.5e-8 * anp.exp(-(((x - 0.3141) / 1e-4) ** 2)), axis=-1, dtype=float)
    ),
    "all of it": lambda x: anp.sum(convex(x)[..., None], axis=-1, dtype=float),
}


@pytest.mark.parametrize("name", LOST)
def test_no_derivative_is_lost_on_the_way_to_balls(name):
    R = gf.LegendreFunction(LOST[name], gf.domains.Box([-1.0], [1.0]), check=False)
    with pytest.raises(gf.GeoflowError, match=r"no comparison|dtype="):
        R.prove_legendre(gf.domains.Box([-0.9], [0.9]))
