"""Brackets of all pairs against those of the fields, and the probes of a map when it is built."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.spd_matrices import (
    SPDLogEuclideanMetric,
    SPDMatrices,
)

import geoflow as gf
from geoflow.maps.brackets import gradient_brackets, require_finite
from geoflow.maps.probes import probe_metric
from geoflow.maps.traced import FunctionKernel
from geoflow.numerics.probes import probe_values


def hyperbolic(d=2):
    return gf.Parametrization(lambda x: x[..., :d] ** 2 - x[..., d:] ** 2, space=2 * d, codomain_dim=d)


def sphere_squares(d=2):
    return gf.Parametrization(lambda x: x[..., :d] ** 2, space=Hypersphere(d), codomain_dim=d)


def test_brackets_match_the_bracket_of_the_fields(rng):
    G = gf.Parametrization(
        lambda x: anp.stack([x[..., 0] * x[..., 1], anp.sin(x[..., 2]) * x[..., 0], x[..., 1] ** 3], -1), 3, 3
    )
    x = rng.standard_normal((4, 3))
    for i, X in enumerate(G.gradient_fields):
        for j, Y in enumerate(G.gradient_fields):
            assert np.allclose(G.brackets(x)[..., i, j, :], gf.lie_bracket(X, Y)(x), atol=1e-13)


def test_gradients_on_a_sphere_are_tangent_and_brackets_too(rng):
    G = sphere_squares(3)
    x = rng.standard_normal((5, 4))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    assert np.abs(np.einsum("...iD,...D->...i", G.gradients(x), x)).max() < 1e-14
    assert G.check_commuting(x).defect < 1e-13
    twisted = gf.Parametrization(lambda y: anp.stack([y[..., 0], y[..., 0] * y[..., 1]], -1), Hypersphere(2), 2)
    y = x[:, :3] / np.linalg.norm(x[:, :3], axis=-1, keepdims=True)
    brackets = twisted.brackets(y)
    assert not twisted.check_commuting(y)
    assert np.abs(np.einsum("...ijD,...D->...ij", brackets, y)).max() < 1e-13


def spd(n, metric):
    space = SPDMatrices(n, equip=False)
    space.equip_with_metric(metric)
    return space


def test_a_metric_that_cannot_be_differentiated_is_refused():
    with pytest.raises(gf.ArgumentError, match="SPDLogEuclideanMetric"):
        gf.Parametrization(lambda X: X[..., 0, :1], spd(2, SPDLogEuclideanMetric), 1)


def test_the_number_of_evaluations_does_not_grow_with_the_points():
    """All brackets of a map with d = 10, without a clock: one pass forward over reverse serves every pair and point."""
    d, calls = 10, []

    def counted(x):
        calls.append(1)
        return x[..., :d] ** 2 - x[..., d:] ** 2

    G, rng = gf.Parametrization(counted, 2 * d, d), np.random.default_rng(0)
    for n in (1, 7, 100):
        x = rng.standard_normal((n, 2 * d))
        calls.clear()
        assert G.brackets(x).shape == (n, d, d, 2 * d)
        assert len(calls) == 3  # the gradients, twice, and their derivative
        calls.clear()
        assert G.kernel.blocks.width == 1  # read off once
        calls.clear()
        G.check_commuting(x)
        assert len(calls) == 3  # whether the map is what was read, the gradients of all blocks, and a derivative
        calls.clear()
        G.kernel.derivative_of_gradients(x, rng.standard_normal((n, d, 2 * d)))
        assert len(calls) == 1


def test_brackets_of_a_kernel_are_antisymmetric_and_known_for_the_parabola():
    """[grad x, grad (x^2 + y)] = 2 d/dx."""
    G = gf.catalog.noncommuting["parabola"]().parametrization
    found = gradient_brackets(G.kernel, np.array([[0.3, 0.7], [2.0, -1.0]]))
    assert np.allclose(found[:, 0, 1], [2.0, 0.0], atol=1e-14)
    assert np.array_equal(found, -np.swapaxes(found, 1, 2))


def test_a_value_that_is_not_finite_is_named_with_its_point():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert require_finite(x, x, 1, "values") is x
    with pytest.raises(gf.NotFiniteError, match="values") as caught:
        require_finite(np.array([[1.0, 1.0], [1.0, np.inf]]), x, 1, "values")
    assert caught.value.index == (1,) and caught.value.point.tolist() == [3.0, 4.0]


def test_probes_of_values_name_the_usual_mistakes():
    x = np.array([[0.5, 1.0], [1.5, 0.7], [0.9, 0.8]])
    assert probe_values(lambda y: y**2, x, "G", (2,)) is True
    assert probe_values(lambda y: np.where(y > 0.6, y, np.nan), x, "G", (2,)) is False
    with pytest.raises(gf.ArgumentError, match="mixes batch entries") as caught:
        probe_values(lambda y: y - y.mean(axis=0), x, "G", (2,))
    assert caught.value.defect > 0.1
    with pytest.raises(gf.ShapeError, match="cannot be evaluated at points of shape"):
        probe_values(lambda y: y @ np.ones((3, 2)), x, "G", (2,))


def test_probes_of_a_metric_tell_a_wrong_rule():
    space = SPDMatrices(2)
    G = gf.Parametrization(lambda X: X[..., 0, :], space, 2)
    x = G.generic_points()
    probe_metric(G.kernel, space, x)

    class Wrong(FunctionKernel):
        def derivative_of_gradients(self, x, directions):
            return 1.01 * super().derivative_of_gradients(x, directions)

    wrong = Wrong(G.kernel.function, space, 2)
    with pytest.raises(gf.ArgumentError, match="SPDAffineMetric") as caught:
        probe_metric(wrong, space, x)
    assert 1e-4 < caught.value.defect < 0.1
