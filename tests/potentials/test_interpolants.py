"""Interpolants of Hessians and how far off they are, against Hessians at points."""

import autograd.numpy as anp
import numpy as np
import pytest
from numpy.polynomial import chebyshev

import geoflow as gf
from geoflow.numerics import bernstein
from geoflow.numerics.balls import precision
from geoflow.numerics.enclosures import recorded_or_error
from geoflow.potentials.interpolants import Fields, least_eigenvalue, outline
from geoflow.potentials.proofs import sample

pytest.importorskip("flint")
P = gf.catalog.potentials
BOXES = {
    "log_sum_exp": ([-2.0, -2.0], [2.0, 2.0]), "gaussian_log_partition": ([-1.0, -2.0], [1.0, -0.5]),
    "quartic": ([-2.0, -2.0], [2.0, 2.0]), "simplex_entropy": ([0.1, 0.1], [0.2, 0.2]),
}  # fmt: skip


def fields(flint, R, box):
    return Fields(flint, box, recorded_or_error(R.potential, sample(box), R.name))


@pytest.mark.parametrize("name", BOXES)
def test_an_interpolant_is_as_near_as_it_says(name):
    R, box = P[name](2), gf.domains.Box(*BOXES[name])
    w = box.random_point(300, rng=0)
    with precision() as flint:
        found = fields(flint, R, box)
        assert np.allclose(found.hessians(w), R.hessian(w), rtol=1e-12)
        plan = outline(found, 1e-6)
        q, lost = found.interpolant(plan.degree)
        size = bernstein.sup_on_polyellipse(found.bound, flint, 2, plan.rho, plan.fine)
        off = 2 * bernstein.Analytic(plan.rho, size, 2).tail(plan.degree) + lost
    u = 2 * (w - box.lower) / (box.upper - box.lower) - 1
    H = R.hessian(w)
    true = np.stack([H[:, 0, 0], H[:, 0, 1], H[:, 1, 1]])
    assert np.abs(chebyshev.chebval2d(*u.T, q.value) - true).max() <= off + 1e-11 * np.abs(true).max()
    assert off < 1e-5 * np.abs(true).max()


@pytest.mark.parametrize("name", BOXES)
def test_the_least_eigenvalue_is_below_all_and_nearly_the_least(name):
    R, box = P[name](2), gf.domains.Box(*BOXES[name])
    with precision() as flint:
        least = least_eigenvalue(flint, box, recorded_or_error(R.potential, sample(box), name))
    true = np.linalg.eigvalsh(R.hessian(np.concatenate([box.random_point(3000, rng=0), [box.lower, box.upper]]))).min()
    assert 0.3 * true < least <= true


def test_nothing_is_shown_of_a_hessian_that_is_singular_or_not_analytic():
    box = gf.domains.Box([-1.0], [1.0])
    for f in (
        lambda w: anp.sum(w**4, -1), lambda w: anp.sum(w**2 + anp.abs(w - 0.3) ** 5, -1), lambda w: -anp.sum(w**2, -1),
    ):  # fmt: skip
        with precision() as flint:
            assert least_eigenvalue(flint, box, recorded_or_error(f, sample(box), "f")) == 0.0


def test_a_comparison_that_the_box_decides_is_continued():
    def f(w):
        return anp.where(w[..., 0] > 0, anp.sum(w**2, -1), -anp.sum(w**4, -1))

    for lower, shown in ((0.1, True), (-0.1, False)):
        box = gf.domains.Box([lower], [1.0])
        with precision() as flint:
            least = least_eigenvalue(flint, box, recorded_or_error(f, sample(gf.domains.Box([0.1], [1.0])), "f"))
        assert (least > 1.9) == shown and least <= 2
