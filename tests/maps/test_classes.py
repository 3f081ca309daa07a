"""What a map makes of w: all four answers, at all scales, and what is wrong to ask."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.euclidean import Euclidean

import geoflow as gf
from benchmarks import classes
from geoflow.maps.classes import commutes_modulo_fibres, orbit_points

KINDS = {
    "neuron": "intrinsic",
    "heisenberg": "commuting modulo fibres",
    "spd_bures_general": "not intrinsic",
    "stiefel_rows": "commuting modulo fibres",
    "hyperboloid_coordinates": "intrinsic",
    "ball_identity": "intrinsic",
    "matrix_square": "intrinsic",
    "matrix_product": "not intrinsic",
    "deep_linear": "not intrinsic",
    "parabola": "intrinsic",
    "so_general": "not intrinsic",
}


@pytest.mark.parametrize("name", list(KINDS))
def test_every_map_of_the_catalogue_that_does_not_commute(name):
    case = gf.catalog.noncommuting[name]()
    found = gf.classify(case.parametrization, case.x0)
    assert found.kind == KINDS[name] and not found.commuting and str(found).startswith(name)
    assert found.is_mirror_flow == (found.kind == "commuting modulo fibres")
    assert found.is_riemannian == (found.kind != "not intrinsic")
    if found.kind == "intrinsic":
        assert found.codazzi > 1e-2
    if found.kind == "not intrinsic":  # the witness: one w, two C
        G = case.parametrization
        w, C = G(found.lifts), G.cometric(found.lifts)
        assert np.abs(w[1] - w[0]).max() <= 1e-9 * np.abs(w).max()
        assert np.abs(C[1] - C[0]).max() >= 0.5 * found.cometric_gap * np.sqrt(np.diag(C[0])).min() ** 2 > 1e-5
        with pytest.raises(gf.NotIntrinsicError, match="over one w") as caught:
            found.require_intrinsic()
        assert caught.value.lifts.shape == (2, *G.point_shape)


def test_every_catalogued_map_is_known():
    assert set(KINDS) == set(gf.catalog.noncommuting)


@pytest.mark.parametrize("name", list(gf.catalog.parametrizations))
def test_every_map_of_the_catalogue_that_commutes(name):
    entry = gf.catalog.parametrizations[name]
    case = entry(entry.dims[-1] if entry.dims else 3)
    found = gf.classify(case.parametrization, case.x0)
    assert found.kind == "commuting" and found.fibre_dim == 0 and found.is_mirror_flow


def product(n):
    def f(x):
        U, V = (anp.reshape(part, (*anp.shape(x)[:-1], n, n)) for part in (x[..., : n * n], x[..., n * n :]))
        return anp.reshape(anp.einsum("...ia,...ja->...ij", U, V), (*anp.shape(x)[:-1], n * n))

    return gf.Parametrization(f, 2 * n * n, n * n, name="U V^T")


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_factors_are_intrinsic_from_balanced_starts_and_not_from_others(unit, rng):
    """U^T U = V^T V, or a difference that is a multiple of I, is preserved, and then C is a function of W."""
    G = product(2)
    U, Q = rng.standard_normal((2, 2)) + 2 * np.eye(2), np.linalg.qr(rng.standard_normal((2, 2)))[0]
    balanced = unit * np.concatenate([U.ravel(), (Q @ U).ravel()])
    assert gf.classify(G, balanced).kind == "intrinsic"
    assert gf.classify(G, unit * rng.standard_normal(8)).kind == "not intrinsic"


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_units_of_outputs_and_inputs_change_no_answer(unit, rng):
    out, into = unit ** rng.uniform(-1, 1, 3), unit ** rng.uniform(-1, 1, 4)
    for f, kind in ((classes.hopf, "intrinsic"),):
        G = gf.Parametrization(lambda x, f=f: f(x) * out, 4, 3)
        assert gf.classify(G, rng.standard_normal(4)).kind == kind
    # coordinates in other units are another metric on M: the map changes with them, its kind need not be the same
    two = gf.Parametrization(lambda x: classes.hopf(x * into / into), 4, 3)
    assert gf.classify(two, rng.standard_normal(4)).kind == "intrinsic"


@pytest.mark.parametrize("seed", range(3))
def test_horizontal_lifts_of_commuting_fields_commute_modulo_fibres(seed):
    rng, space = np.random.default_rng(seed), Euclidean(3, equip=False)
    space.equip_with_metric(classes.Twisted, speeds=rng.uniform(0.3, 1.0, 2), twist=rng.uniform(0.5, 2))
    A, x0 = rng.standard_normal((2, 2)) + 2 * np.eye(2), rng.uniform(-1, 1, 3)
    G = gf.Parametrization(lambda x: anp.einsum("ij,...j->...i", A, x[..., :2]), space, 2)
    found = gf.classify(G, x0)
    assert found.kind == "commuting modulo fibres" and (found.leaf_dim, found.fibre_dim) == (3, 1)
    assert commutes_modulo_fibres(G, x0)
    loss, t = gf.LeastSquares(np.eye(2), G(x0) + np.array([0.3, -0.2])), [0.0, 0.5, 1.0]
    report = gf.verify_equivalence(loss, G, x0, t)
    assert report and report.gap < 1e-8 and report.lift_gap < 1e-8, str(report)
    mirror = gf.mirror_flow(loss, gf.mirror_map(G, x0), G(x0), t, rtol=1e-10)
    assert np.abs(mirror.w - gf.gradient_flow(loss, G, x0, t, rtol=1e-10).w).max() < 1e-8


@pytest.mark.parametrize("kind", classes.KINDS)
def test_random_maps_are_told_apart(kind):
    """A few of what `python -m benchmarks.classes` draws."""
    assert classes.answers(kind, 0, 3) == [kind] * 3


def test_points_of_the_orbit_stay_on_it(rng):
    G, x0 = product(2), rng.standard_normal(8)
    points = orbit_points(G, x0).reshape(-1, 2, 2, 2)
    U, V = points[:, 0], points[:, 1]
    kept = np.einsum("nia,nib->nab", U, U) - np.einsum("nia,nib->nab", V, V)
    assert np.abs(kept - kept[0]).max() <= 1e-12 * np.abs(points).max() ** 2


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: gf.classify(3, [1.0]), gf.ArgumentError, "Parametrization"),
        (lambda: gf.classify(product(2), np.ones(7)), gf.ShapeError, "shape"),
        (lambda: gf.classify(product(2), np.zeros(8)), gf.NotRegularError, "rank"),
        (lambda: gf.classify(gf.Parametrization(anp.log, 1, 1), [-1.0]), gf.NotFiniteError, "NaN"),
        (lambda: gf.induced_metric(product(2), np.arange(1.0, 9.0) ** 0.7), gf.NotIntrinsicError, "balanced"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with np.errstate(all="ignore"), pytest.raises(error, match=words):
        make()
