"""Every closed form of the catalogue against autodiff, quadrature and the flow that defines it."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import geoflow as gf
from geoflow.catalog.registry import Entry, Registry, around
from geoflow.theorems import laws

DIMS = (1, 2, 5)
COMMUTING = [(name, d) for name, entry in gf.catalog.parametrizations.items() for d in entry.dims or DIMS]
POTENTIALS = [(name, d) for name, entry in gf.catalog.potentials.items() for d in entry.dims or DIMS]


@pytest.mark.parametrize("name, d", COMMUTING)
def test_brackets_and_jacobian(name, d, rng):
    case = gf.catalog.parametrizations[name](d)
    G, x = case.parametrization, case.sample(100, rng)
    assert G.codomain_dim == d and x.shape == (100, *G.point_shape)
    check = G.check_commuting(x)
    assert check.defect <= 1e-12, str(check)
    assert G.check_regular(x)
    for law in (laws.jacobian_is_derivative, laws.cometric_is_gram):
        defect, scale = law(G, x)
        assert defect <= 1e-13 * scale, law.__name__


@pytest.mark.parametrize("name, d", COMMUTING)
def test_closed_forms_against_the_induced_function(name, d, rng):
    case = gf.catalog.parametrizations[name](d)
    R, w = gf.mirror_map(case.parametrization, case.x0), case.reach(8, rng)
    defect, _ = laws.lift_inverts(R, w)
    assert defect <= 1e-10
    if case.legendre is not None:
        for law in (laws.induced_gradient_matches, laws.induced_value_matches, laws.induced_hessian_matches):
            defect, scale = law(R, case.legendre, w)
            assert defect <= 1e-9 * scale, law.__name__
        assert np.allclose(R.third_derivative(w), case.legendre.third_derivative(w), rtol=1e-7, atol=1e-9)
    dual = case.dual if case.dual is not None else case.legendre.conjugate
    mu = R.gradient(w)
    assert np.allclose(dual.gradient(mu), w, rtol=1e-9, atol=1e-11)
    assert np.allclose(dual(mu), R.conjugate(mu), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name, d", COMMUTING)
def test_the_dual_gradient_is_the_integrated_flow(name, d, rng):
    """grad Q(mu) = G(psi(x0; mu)), by an integrator and a right-hand side written here."""
    case = gf.catalog.parametrizations[name](d)
    G = case.parametrization
    mu = rng.uniform(-case.mu_bound, case.mu_bound, size=d)

    def velocity(s, x):
        return np.einsum("i,i...->...", mu, G.gradients(x.reshape(G.point_shape))).ravel()

    flow = solve_ivp(velocity, (0, 1), case.x0.ravel(), rtol=1e-12, atol=1e-13, method="DOP853")
    dual = case.dual if case.dual is not None else case.legendre.conjugate
    assert np.allclose(dual.gradient(mu), G(flow.y[:, -1].reshape(G.point_shape)), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name, d", COMMUTING)
def test_closed_forms_against_autodiff(name, d, rng):
    case = gf.catalog.parametrizations[name](d)
    w = case.reach(6, rng)
    for R, points in [(case.legendre, w), (case.dual, rng.uniform(-case.mu_bound, case.mu_bound, size=(6, d)))]:
        if R is None:
            continue
        for law in (
            laws.gradient_is_derivative,
            laws.hessian_is_derivative,
            laws.third_derivative_is_derivative,
            laws.third_derivative_is_symmetric,
            laws.fenchel_young,
            laws.gradient_inverts,
        ):
            defect, scale = law(R, points)
            assert defect <= 1e-9 * scale, law.__name__
    if case.legendre is not None:
        w0 = case.parametrization(case.x0)
        assert abs(case.legendre(w0)) < 1e-14 and np.abs(case.legendre.gradient(w0)).max() < 1e-14


FIBRED = ("heisenberg", "stiefel_rows")


@pytest.mark.parametrize("name", FIBRED)
def test_maps_that_commute_modulo_fibres_are_accepted_everywhere(name, rng):
    entry = gf.catalog.noncommuting[name]
    case = entry()
    for x in case.sample(5, rng):
        assert gf.mirror_map(case.parametrization, x).leaf.fibred and entry.reason
    check = case.parametrization.check_commuting(case.x0)
    assert not check and check.evidence["vertical"] and "in ker dG" in str(check)
    assert check.evidence["answer"] == "commute modulo fibres"


@pytest.mark.parametrize("name", [name for name in gf.catalog.noncommuting if name not in FIBRED])
def test_noncommuting_maps_are_refused_with_the_bracket_named(name, rng):
    entry = gf.catalog.noncommuting[name]
    case = entry()
    with pytest.raises(gf.NotCommutingError, match=r"\[grad G_\d+, grad G_\d+\]") as caught:
        gf.mirror_map(case.parametrization, case.x0)
    assert caught.value.defect > 1e-3 and entry.reason
    for x in case.sample(10, rng):
        with pytest.raises(gf.NotCommutingError):
            gf.mirror_map(case.parametrization, x)


@pytest.mark.parametrize("name, d", POTENTIALS)
def test_potentials_are_legendre(name, d, rng):
    R = gf.catalog.potentials[name](d)
    w = R.domain.random_point(12, bound=0.8, rng=rng).reshape(-1, d)
    for law in (
        laws.gradient_is_derivative,
        laws.hessian_is_derivative,
        laws.third_derivative_is_derivative,
        laws.third_derivative_is_symmetric,
        laws.gradient_inverts,
        laws.fenchel_young,
        laws.inverse_hessian_is_conjugate_hessian,
    ):
        defect, scale = law(R, w)
        assert defect <= 1e-9 * scale, law.__name__
    assert np.linalg.eigvalsh(R.hessian(w)).min() > 0


def test_unknown_names_and_dimensions_are_answered():
    with pytest.raises(gf.ArgumentError, match="hyperbolic"):
        gf.catalog.parametrizations["hyperbolc"]
    with pytest.raises(KeyError):
        gf.catalog.potentials["nothing"]
    for bad in (0, -1, 1.5, True, "2"):
        with pytest.raises(gf.ArgumentError, match="dimension d"):
            gf.catalog.parametrizations["square"](bad)
    with pytest.raises(gf.ArgumentError, match="one of"):
        gf.catalog.potentials["gaussian_log_partition"](3)


def test_a_registry_of_ones_own():
    registry = Registry("shape")
    entry = Entry("circle", "round", "x^2 + y^2", "-", "everything", lambda d: d, dims=(2, 4))
    assert registry.add(entry) is entry and "circle" in registry and list(registry) == ["circle"] and len(registry) == 1
    assert registry["circle"]() == 2 and registry["circle"](4) == 4
    with pytest.raises(gf.ArgumentError, match="second entry"):
        registry.add(entry)
    with pytest.raises(gf.ArgumentError, match="did you mean circle") as caught:
        registry["cirle"]
    assert isinstance(caught.value, KeyError) and "no shape of that name" in str(caught.value)


def test_samples_around_a_point_stay_in_their_cube(rng):
    points = around([1.0, -2.0], 0.3)(200, rng)
    assert points.shape == (200, 2) and np.abs(points - [1.0, -2.0]).max() <= 0.3
    assert np.abs(points - [1.0, -2.0]).max() > 0.25


def test_points_in_reach_are_values_of_joint_flows(rng):
    case = gf.catalog.parametrizations["square"](2)
    w = case.reach(50, rng)
    mu = np.log(w / case.x0**2) / 4
    assert np.abs(mu).max() <= case.mu_bound * (1 + 1e-9) and np.abs(mu).max() > 0.8 * case.mu_bound
