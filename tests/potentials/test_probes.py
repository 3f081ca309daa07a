"""Potentials, their closed forms and their conjugates are held against differences when they are built."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog.coordinatewise import LOGARITHM, SINH, TANH
from geoflow.potentials.profiles import PROFILES


def square(w):
    return anp.sum(w**2, axis=-1) / 2


def eye(w):
    return np.broadcast_to(np.eye(2), (*np.shape(w)[:-1], 2, 2))


def cubic_zero(w):
    return np.zeros((*np.shape(w)[:-1], 2, 2, 2))


def test_repeat_is_right_in_a_potential():
    R = gf.LegendreFunction(lambda w: anp.sum(anp.repeat(w, 2, axis=-1) ** 2, -1) / 4, 2)
    assert np.allclose(R.gradient([3.0, 5.0]), [3.0, 5.0], rtol=1e-14)
    assert np.allclose(R.hessian(np.ones((3, 2))), np.eye(2), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "forms, name",
    [
        ({"gradient": lambda w: 1.01 * w}, "gradient"),
        ({"gradient": lambda w: 0.0 * w}, "gradient"),
        ({"hessian": lambda w: 7 * eye(w)}, "hessian"),
        ({"gradient": lambda w: w, "hessian": lambda w: 7 * eye(w)}, "hessian"),
        ({"third_derivative": lambda w: cubic_zero(w) + 1e-3}, "third_derivative"),
    ],
)
def test_wrong_closed_forms_are_refused_by_name(forms, name, scale):
    scaled = {key: lambda w, f=f: scale * f(w) for key, f in forms.items()}
    with pytest.raises(gf.ArgumentError, match=f"{name}= differs from the potential"):
        gf.LegendreFunction(lambda w: scale * square(w), 2, **scaled)
    R = gf.LegendreFunction(lambda w: scale * square(w), 2, check=False, **scaled)
    assert R.dim == 2


def test_right_closed_forms_are_taken_at_every_scale():
    for c in (1e-6, 1.0, 1e6):
        R = gf.LegendreFunction(
            lambda w, c=c: square(c * w), gf.domains.Box([-1 / c, -1 / c], [3 / c, 1 / c]),
            gradient=lambda w, c=c: c**2 * w, hessian=lambda w, c=c: c**2 * eye(w), third_derivative=cubic_zero,
            conjugate=lambda mu, c=c: square(mu / c),
        )  # fmt: skip
        assert np.allclose(R.inverse_gradient([c / 3, c / 4]), [1 / (3 * c), 1 / (4 * c)])


def test_a_conjugate_that_is_none_is_refused():
    for wrong in (
        lambda mu: anp.sum(mu**2, axis=-1), lambda mu: square(mu) + 1.0,
        gf.LegendreFunction(lambda mu: anp.sum(mu**2, axis=-1), 2),
    ):  # fmt: skip
        with pytest.raises(gf.ArgumentError, match="conjugate= is not the conjugate"):
            gf.LegendreFunction(square, 2, conjugate=wrong)


def test_plain_numpy_is_named_and_a_missing_third_derivative_refused_where_it_is_asked_for():
    def untraced(w):
        return square(np.asarray(getattr(w, "_value", w), dtype=float))

    with pytest.raises(gf.ArgumentError, match="uses plain numpy"):
        gf.LegendreFunction(untraced, 2)
    with pytest.raises(gf.ArgumentError, match="uses plain numpy"):
        gf.LegendreFunction(untraced, 2, gradient=lambda w: w)
    R = gf.LegendreFunction(untraced, 2, gradient=lambda w: w, hessian=eye)
    assert np.allclose(R.hessian(np.ones(2)), np.eye(2))
    with pytest.raises(gf.ArgumentError, match="third_derivative="):
        R.third_derivative(np.ones(2))


def test_what_has_no_derivative_is_blamed_and_not_convexity():
    with pytest.raises(gf.ArgumentError, match=r"np.linalg.norm .*a norm at 0"):
        gf.LegendreFunction(lambda w: anp.linalg.norm(w, axis=-1) ** 2, 2)

    def log_det(w):
        S = anp.stack([anp.stack([w[..., 0], w[..., 1]], -1), anp.stack([w[..., 1], w[..., 2]], -1)], -2)
        return -anp.sum(anp.log(anp.linalg.eigvalsh(S)), axis=-1)

    with pytest.raises(gf.ArgumentError, match="eigenvalues that repeat"):
        gf.LegendreFunction(log_det, gf.domains.Ball([1.0, 0.0, 1.0], 0.5))
    R = gf.LegendreFunction(log_det, gf.domains.Ball([1.0, 0.2, 1.5], 0.3))
    exact = gf.catalog.potentials["log_det_spd"](3)
    w = [1.1, 0.1, 1.4]
    assert np.allclose(R.hessian(w), exact.hessian(w), rtol=1e-10)


def test_an_ignored_coordinate_is_named():
    with pytest.raises(gf.NotLegendreError, match="does not depend on w_2"):
        gf.LegendreFunction(lambda w: w[..., 0] ** 2, 2)


@pytest.mark.parametrize("profile", [*PROFILES.values(), TANH, SINH, LOGARITHM], ids=lambda p: p.name)
def test_the_profiles_that_are_shipped_pass_their_own_probe(profile):
    profile.probe()
    if profile.conjugate is not None:
        profile.conjugate.probe()


def test_profiles_of_users_are_probed():
    with pytest.raises(gf.ArgumentError, match="derivatives= differs"):
        gf.Profile(lambda s: s**2 / 2, derivatives=(lambda s: 2 * s,))
    with pytest.raises(gf.ArgumentError, match="root_integral= differs"):
        gf.Profile(lambda s: s**2 / 2, root_integral=lambda s: 2 * s)
    with pytest.raises(gf.ArgumentError, match="uses plain numpy"):
        gf.RidgeSum(np.eye(2), 0.0, lambda s: np.asarray(getattr(s, "_value", s), dtype=float) ** 2)
    assert gf.Profile(lambda s: s**2 / 2, derivatives=(lambda s: 2 * s,), check=False).name == "r"


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_a_potential_that_overflows_beside_the_centre_is_probed_in_its_own_unit(unit):
    R = gf.LegendreFunction(lambda w: anp.sum(anp.cosh(w / unit), axis=-1), 2)
    assert np.allclose(R.gradient([0.3 * unit, 0.0]), np.sinh([0.3, 0.0]) / unit, rtol=1e-12)
    with pytest.raises(gf.NotLegendreError, match="w_2"):
        gf.LegendreFunction(lambda w: anp.cosh(w[..., 0] / unit), 2)
