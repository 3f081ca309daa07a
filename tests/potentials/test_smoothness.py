"""Whether gradients blow up at the boundary: domains of all kinds and units, and what needs them to."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

D = gf.domains


def square(w):
    return anp.sum(w**2, axis=-1) / 2


def entropy(w):
    return anp.sum(w * anp.log(w) - w, axis=-1)


@pytest.mark.parametrize("s", [1e-6, 1.0, 1e6])
def test_a_gradient_that_is_bounded_at_the_boundary_of_any_domain(s):
    ball = gf.LegendreFunction(square, D.Ball([0.0, 0.0], s))
    domains = [
        D.Orthant(1), D.Orthant(3), D.Box([-s, 0.0], [s, np.inf]), D.Box([s], [s + 1]), D.Simplex(3),
        D.Polytope([[1.0, 2.0]], [s]), D.Ball([s, -s], s),
        D.ImplicitDomain(2, lambda w: np.abs(w).sum(axis=-1) < s, [0.0, 0.0], "diamond"),
    ]  # fmt: skip
    for domain in domains:
        seen = gf.LegendreFunction(square, domain, name="half").essential_smoothness
        assert not seen and seen.defect > 0.8 and seen.evidence["rays"] >= 1
        with pytest.raises(gf.NotLegendreError, match=r"essential smoothness of half .* stays near"):
            seen.unwrap()
    assert not gf.product(ball, gf.catalog.potentials["burg"](2)).essential_smoothness
    assert not (gf.catalog.potentials["burg"](2) + gf.LegendreFunction(square, D.Ball([s, s], s))).essential_smoothness


@pytest.mark.parametrize("name", gf.catalog.potentials)
def test_every_potential_of_the_catalogue_is_essentially_smooth(name):
    for d in (1, 2, 7):
        try:
            R = gf.catalog.potentials[name](d)
        except gf.GeoflowError:  # of two variables only
            continue
        assert R.essential_smoothness.defect <= 1e-3
        assert (1e-6 * R.compose_affine(1e3)).essential_smoothness


def test_growth_however_slow_and_however_hidden():
    def smooth(f, domain):
        return gf.LegendreFunction(f, domain).essential_smoothness

    def bowl(p):
        return lambda w: -((1 - anp.sum(w**2, axis=-1)) ** p) + 2 * anp.sum(w**2, axis=-1)

    assert smooth(lambda w: entropy(w) + 1e6 * square(w), D.Orthant(2))
    assert smooth(lambda w: -anp.sum(w**0.9, axis=-1), D.Orthant(2))  # w^-0.1
    assert smooth(bowl(0.5), D.Ball([0.0, 0.0]))
    assert not smooth(bowl(1.5), D.Ball([0.0, 0.0]))
    assert not smooth(lambda w: anp.sum(w**1.1, axis=-1), D.Orthant(2))  # w^0.1
    # one face of four, and faces that the potential does not end at
    assert not smooth(lambda w: entropy(w[..., :1]) + square(w[..., 1:]), D.Orthant(2))
    assert not smooth(entropy, D.Box([0.0, 0.0], [np.inf, 3.0]))
    assert smooth(square, 3) and smooth(square, 3).evidence["rays"] == 0


def test_a_face_in_a_thousand_and_many_dimensions():
    barrier = gf.catalog.potentials["burg"](40)
    assert barrier.essential_smoothness.evidence["rays"] >= 40
    one = gf.LegendreFunction(lambda w: -anp.sum(anp.log(w[..., :-1]), -1) + w[..., -1] ** 2, D.Orthant(40))
    assert not one.essential_smoothness and abs(one.essential_smoothness.witness[-1]) < 1e-12
    wide = gf.catalog.potentials["negative_entropy"](200_000)
    assert wide.essential_smoothness  # a few rays, and no matrix


@pytest.mark.parametrize("conjugate", [None, square], ids=["solved", "closed"])
def test_projections_inverses_and_flows_name_what_is_missing(conjugate):
    R = gf.LegendreFunction(square, D.Orthant(2), conjugate=conjugate)
    with pytest.raises(gf.NotLegendreError, match="essential smoothness") as caught:
        gf.bregman_projection(R, [[1.0, -1.0]], [5.0], [1.0, 3.0])  # (5, 0) on the closed orthant
    assert np.isclose(caught.value.point, 0).any() and "enlarge the domain" in str(caught.value)
    assert np.allclose(gf.bregman_projection(R, [[1.0, 1.0]], [5.0], [1.0, 3.0]), [1.5, 3.5], rtol=1e-12)
    assert np.allclose(R.inverse_gradient([1.0, 2.0]), [1, 2], rtol=1e-12)
    with pytest.raises(gf.DomainError, match="not essentially smooth"):
        R.inverse_gradient([1.0, -2.0])
    for coordinates in ("w", "mu"):
        flow = gf.mirror_flow(gf.LeastSquares([[1.0, -1.0]], [5.0]), R, [1.0, 3.0], 10.0, coordinates=coordinates)
        assert flow.status is gf.Status.LEFT_DOMAIN and "not essentially smooth" in flow.message


def test_a_projection_in_a_ball_ends_inside_or_is_refused():
    ball = gf.LegendreFunction(square, D.Ball([0.0, 0.0]))
    with pytest.raises(gf.NotLegendreError, match="essential smoothness"):
        gf.bregman_projection(ball, [[1.0, 0.0]], [0.9], [0.0, 0.9])
    assert np.allclose(gf.bregman_projection(ball, [[1.0, 0.0]], [0.9], [0.0, 0.1]), [0.9, 0.1], rtol=1e-12)


def test_what_is_infeasible_for_a_legendre_function_is_still_called_that():
    with pytest.raises(gf.InfeasibleError):
        gf.bregman_projection(gf.catalog.potentials["negative_entropy"](2), [[1.0, 1.0]], [-1.0], [1.0, 1.0])
    with pytest.raises(gf.DomainError) as caught:
        gf.catalog.potentials["fermi_dirac"](2).conjugate.inverse_gradient([2.0, 0.5])
    assert "essentially" not in str(caught.value)


def test_it_is_looked_at_once_and_for_few_evaluations():
    calls = []

    def counted(w):
        calls.append(len(np.atleast_2d(getattr(w, "_value", w))))
        return square(w)

    R = gf.LegendreFunction(counted, D.Orthant(2))
    calls.clear()
    first = R.essential_smoothness
    assert first is R.essential_smoothness and len(calls) <= 3 * first.evidence["rays"]


def test_what_no_ray_can_tell_is_said():
    def one_quadratic(d):
        mask = np.arange(d) == 1
        function = lambda w: anp.sum(anp.where(mask, w**2 / 2, w * anp.log(w)), axis=-1)  # noqa: E731
        return gf.LegendreFunction(function, gf.domains.Orthant(d)).essential_smoothness

    for d in (3, 100, 1000):
        assert not one_quadratic(d)
    assert "faces not looked at" in str(gf.catalog.potentials["burg"](5000).essential_smoothness)
    for q, told in ((1.001, True), (1.01, True), (1.5, False)):
        R = gf.LegendreFunction(lambda w, q=q: anp.sum(w**q, axis=-1) / (q * (q - 1)), gf.domains.Orthant(2))
        assert ("undecided" in str(R.essential_smoothness)) == told == bool(R.essential_smoothness)
    assert "undecided" not in str(gf.catalog.potentials["negative_entropy"](2).essential_smoothness)
