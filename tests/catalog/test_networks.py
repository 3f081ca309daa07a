"""Diagonal networks of any depth: their kernel against autograd, closed forms against the induced ones, any size."""

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog.networks import PowerKernel, diagonal_network


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
def test_the_kernel_is_that_of_the_map(depth, signed, rng):
    d = 3

    def value(x):
        return x[..., :d] ** depth - x[..., d:] ** depth if signed else x**depth

    mine, wanted = PowerKernel(d, depth, (1.0, -1.0) if signed else (1.0,)), None
    wanted = gf.Parametrization(value, mine.dim, d).kernel
    x, v = rng.uniform(0.5, 1.5, (2, 4, mine.dim))
    mu, u = rng.standard_normal((2, 4, d))
    for name, arguments in [
        ("value", (x,)), ("gradients", (x,)), ("jacobian", (x,)), ("cometric", (x,)), ("pullback", (x, mu)),
        ("pushforward", (x, v)), ("derivative_of_pullback", (x, mu, v)), ("pullback", (x, u)),
        ("derivative_of_gradients", (x, np.stack([v, x], axis=1))), ("cometric_product", (x, mu)),
    ]:  # fmt: skip
        found = getattr(mine, name)(*arguments)
        assert np.allclose(found, getattr(wanted, name)(*arguments), rtol=1e-12, atol=1e-13), name
    assert mine.blocks.width == 1 and mine.blocks.of_input.tolist() == list(range(d)) * (2 if signed else 1)
    assert np.allclose(gf.autodiff.jacobian(mine.value)(x), wanted.jacobian(x), rtol=1e-13)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [1e-3, 0.5, [0.2, 3.0]])
def test_closed_forms_are_what_the_map_induces(depth, signed, alpha, rng):
    case = gf.catalog.diagonal_network(2, depth=depth, alpha=alpha, signed=signed)
    R = gf.mirror_map(case.parametrization, case.x0)
    w = rng.uniform(-1, 1, (4, 2)) if signed else R.w0 * rng.uniform(0.3, 30, (4, 2))
    assert (case.legendre is None) == (signed and depth > 2) and (case.dual is None) == (not signed or depth < 3)
    mu, x = R.gradient(w), R.lift(w)
    if case.legendre is not None:
        assert np.allclose(mu, case.legendre.gradient(w), rtol=1e-10, atol=1e-12)
        assert np.allclose(R(w), case.legendre(w), rtol=1e-9, atol=1e-12)
    else:  # w is ill determined by mu close to its bound, and mu well by w
        back, C = case.dual.gradient(mu), np.einsum("nii->ni", case.parametrization.cometric(x))
        assert (np.abs(back - w) / C).max() <= 1e-10 * np.abs(mu).max()
    assert np.allclose(case.parametrization(x), w, rtol=1e-11, atol=1e-14)


def test_a_wrong_depth_of_the_closed_form_is_seen():
    two, three = (diagonal_network(2, depth=depth, alpha=0.5, signed=False) for depth in (2, 3))
    R = gf.mirror_map(three.parametrization, three.x0)
    w = np.array([0.3, 0.4])
    assert np.abs(R.gradient(w) - two.legendre.gradient(w)).max() > 1e-2


def test_a_large_network_forms_no_matrix(rng):
    d = 20_000
    case = diagonal_network(d, depth=2, alpha=1e-3)
    R, w = gf.mirror_map(case.parametrization, case.x0), rng.uniform(-1, 1, d)
    assert np.allclose(R.gradient(w), case.legendre.gradient(w), rtol=1e-10, atol=1e-12)
    Z = rng.standard_normal((5, d)) / np.sqrt(d)
    y = Z @ w
    projected = gf.bregman_projection(R, Z, y, np.zeros(d))
    assert np.allclose(projected, gf.bregman_projection(case.legendre, Z, y, np.zeros(d)), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "arguments, options",
    [((0,), {}), ((2.5,), {}), ((2,), {"depth": 0}), ((2,), {"depth": 2.5}), ((2,), {"alpha": 0.0}),
     ((2,), {"alpha": -1.0}), ((2,), {"alpha": [1.0, 2.0, 3.0]}), ((2,), {"alpha": np.nan})],
)  # fmt: skip
def test_what_is_no_network_is_refused(arguments, options):
    with pytest.raises(gf.GeoflowError):
        gf.catalog.diagonal_network(*arguments, **options)


def test_it_is_the_pair_of_the_catalogue_at_depth_three():
    case = gf.catalog.parametrizations["diagonal_network"](2)
    other = gf.Parametrization(lambda x: x[..., :2] ** 3 - x[..., 2:] ** 3, 4, 2)
    assert np.allclose(case.parametrization(case.x0 * 1.3), other(case.x0 * 1.3), rtol=1e-14)
    assert np.isfinite(anp.sum(case.x0))


@pytest.mark.parametrize("depth, alpha", [(3, 1e-8), (4, 1e-6), (5, 1e-5), (6, 1e-4), (8, 1e-2), (10, 1e-3)])
def test_deep_networks_from_small_starts_have_their_dual(depth, alpha):
    case = diagonal_network(2, depth=depth, alpha=alpha)
    edge = case.dual.domain.upper[0]
    mu = edge * np.array([[1e-12, -1e-9], [0.3, -0.5], [0.9, -0.99]])
    with mpmath.workdps(60):
        wanted = [
            [float(_end(depth, alpha, m) - _end(depth, alpha, -m)) for m in row] for row in mu.tolist()
        ]  # u^L - v^L where the flows of both end, 60 digits
    assert np.allclose(case.dual.gradient(mu), wanted, rtol=1e-12, atol=0)
    flown = case.parametrization(gf.joint_flow(case.parametrization, case.x0, mu[1:]))  # which cancels near mu = 0
    assert np.allclose(flown, wanted[1:], rtol=1e-8, atol=0)


def _end(depth, alpha, mu):
    start, power = mpmath.mpf(alpha) ** (2 - depth), -mpmath.mpf(depth) / (depth - 2)
    return (start - depth * (depth - 2) * mpmath.mpf(mu)) ** power


@pytest.mark.parametrize("depth, alpha", [(3, 1e-6), (4, 1e-4), (5, 1e-3), (6, 1e-2)])
def test_projections_of_deep_networks_meet_their_constraint(depth, alpha):
    """mu resolves w to 1e-8 there: the last step of Newton is one of w."""
    case = diagonal_network(2, depth=depth, alpha=alpha)
    w = gf.bregman_projection(gf.mirror_map(case.parametrization, case.x0), [[1.0, 2.0]], [1.0], np.zeros(2))
    assert abs(w @ [1.0, 2.0] - 1) < 1e-13 and abs(w[1] - 0.5) < 1e-6
