"""The public names, and those of the last release."""

import inspect

import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials import projection
from geoflow.theorems import direct

SQUARE = gf.Parametrization(lambda x: x**2, 2, 2)


def test_public_names():
    for name in gf.__all__:
        assert getattr(gf, name) is not None
    assert set(gf.__all__) <= set(dir(gf))
    with pytest.raises(AttributeError, match="nothing"):
        _ = gf.nothing


def test_public_functions_and_classes_say_what_they_are():
    for name in gf.__all__:
        value = getattr(gf, name)
        if inspect.isclass(value) or inspect.isfunction(value) or inspect.ismodule(value):
            assert (value.__doc__ or "").strip(), name


def test_a_name_is_loaded_once():
    assert gf.Parametrization is gf.Parametrization and gf.domains is gf.domains
    assert isinstance(gf.__version__, str) and gf.__version__[0].isdigit()


def deprecated(name):
    with pytest.warns(DeprecationWarning, match=f"gf.{name} is deprecated; write "):
        return getattr(gf, name)


def test_maps_from_maps_under_their_old_names():
    x = np.array([[1.0, 0.5], [0.3, 2.0]])
    A, b = np.array([[1.0, 2.0]]), np.array([0.5])
    assert np.array_equal(deprecated("affine_image")(SQUARE, A, b)(x), SQUARE.affine(A, b)(x))
    assert np.array_equal(deprecated("precompose")(SQUARE, lambda y: y[..., ::-1])(x), SQUARE(x[:, ::-1]))
    leaf = deprecated("restrict_to_leaf")(SQUARE, [1.0, 1.0])
    w = np.array([[1.2, 0.7]])
    assert np.allclose(leaf.cometric(w), 4 * w[..., None] * np.eye(2), rtol=1e-9)


def test_functions_and_modules_under_their_old_names():
    assert deprecated("rate_bound") is gf.check_rate_bound
    assert deprecated("bias") is projection
    assert deprecated("verify") is direct


def test_names_that_never_were_are_no_deprecated_ones():
    for name in ("affine", "Verify", "__wrapped__"):
        with pytest.raises(AttributeError, match="has no attribute"):
            getattr(gf, name)


def test_old_names_check_their_arguments_and_say_what_to_write():
    with pytest.warns(DeprecationWarning, match=r"G\.affine"):
        affine_image = gf.affine_image
    with pytest.raises(gf.ArgumentError, match="G; got int"):
        affine_image(3, [[1.0]])
    with pytest.warns(DeprecationWarning, match="geoflow.potentials.profiles"):
        assert gf.profiles.PROFILES
    with pytest.warns(DeprecationWarning, match="ImplicitDomain"):
        assert gf.domains.Region is gf.domains.ImplicitDomain


def test_every_object_shows_itself_in_a_line():
    case, bent = gf.catalog.parametrizations["hyperbolic"](50), gf.catalog.noncommuting["matrix_square"]()
    G, x0, R = case.parametrization, case.x0, case.legendre
    loss, parabola = gf.LeastSquares(np.ones((3, 50)), np.zeros(3)), gf.catalog.noncommuting["parabola"]()
    F = gf.realize(gf.catalog.potentials["log_sum_exp"](2), gf.domains.Box([-1, -1], [1, 1]))
    w0 = bent.parametrization(bent.x0)
    found = [
        G, R, gf.mirror_map(G, x0), loss, gf.LogisticLoss(np.ones((2, 50)), [1, -1]), case, G.check_commuting(x0),
        gf.gradient_flow(loss, G, x0, np.linspace(0, 1, 500)), gf.verify_equivalence(loss, G, x0, 0.1), F,
        F.certificate,
        F.parametrization, R.metric, gf.LieAlgebra(bent.parametrization.gradient_fields), gf.catalog.parametrizations,
        gf.catalog.parametrizations["square"], G.gradient_fields[0], gf.classify(bent.parametrization, bent.x0),
        gf.induced_metric(bent.parametrization, bent.x0), gf.DuallyFlatManifold(R), gf.laws.LAWS["flows_commute"],
        gf.lift_curve(bent.parametrization, bent.x0, [w0, w0 + 0.01]), gf.families.gaussian(2), R.domain,
        gf.schedule_gap(parabola.parametrization, parabola.x0, n=8),
    ]  # fmt: skip
    for value in found:
        assert 0 < len(repr(value)) <= 300 and " at 0x" not in repr(value) and "\n" not in repr(value), repr(value)
