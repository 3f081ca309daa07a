"""Coordinates in which maps decouple, read off maps as users write them; their R beside the numerical one."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.induced import InducedLegendreFunction


def maps(d):
    """Maps as users write them: name, function, D, and a start."""
    rng = np.random.default_rng(d)
    q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    wide, _ = np.linalg.qr(rng.standard_normal((d + 2, d + 2)))
    a = np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d)
    lines = rng.uniform(0.2, 1.0, (d, d + 2))
    forms = np.einsum("ki,di,li->dkl", wide, lines, wide)
    c = rng.uniform(0.5, 2, d)
    x, y = rng.uniform(0.6, 1.2, d), rng.uniform(0.6, 1.2, 2 * d)
    yield "squares", lambda x: c * x * x, d, x
    yield "signed", lambda x: x[..., :d] ** 2 - anp.square(x[..., d:]), 2 * d, y
    yield "products", lambda x: x[..., :d] * x[..., d:] + 0.5, 2 * d, np.r_[y[:d] + 1, y[d:]]
    yield "mixed", lambda x: (x @ q) ** 2, d, q @ x
    yield "image", lambda x: anp.exp(x) @ a.T - 1.0, d, x / 5
    yield "sines", lambda x: anp.sin(0.5 * (x @ q)), d, q @ x / 2
    yield "quadratics", lambda x: 0.5 * anp.einsum("...k,dkl,...l->...d", x, forms, x), d + 2, wide @ np.ones(d + 2)
    yield "shifted", lambda x: (x - 3) ** 2 / 2 + x, d, x


@pytest.mark.parametrize("d", [2, 6])
def test_maps_as_users_write_them(d):
    for name, function, D, x0 in maps(d):
        G = gf.Parametrization(function, D, d)
        found = gf.find_structure(G)
        assert found and found.checked["value"] < 1e-12, (name, str(found))
        R, numerical = gf.mirror_map(G, x0), InducedLegendreFunction(G, x0)
        assert R.closed is not None and numerical.closed is None, name
        mu = 0.05 * np.random.default_rng(3).uniform(-1, 1, (3, d))
        w = G(gf.joint_flow(G, x0, mu))
        assert abs(R(G(x0))) < 1e-14 and np.abs(R.gradient(G(x0))).max() < 1e-13, name
        assert np.abs(R.gradient(w) - mu).max() < 1e-9, name  # joint_flow integrates to 1e-10
        assert np.abs(R(w) - numerical(w)).max() < 1e-9, name
        assert np.abs(R.lift(w) - numerical.lift(w)).max() < 1e-9, name
        assert np.abs(R.inverse_gradient(mu) - w).max() < 1e-9, name
        assert np.abs(R.bregman_divergence(w, w[0]) - numerical.bregman_divergence(w, w[0])).max() < 1e-9, name
        H = numerical.hessian(w)
        assert np.abs(R.hessian(w) - H).max() < 1e-7 * np.abs(H).max(), name


@pytest.mark.parametrize("d, names", [(30, "all"), (200, "squares signed mixed image")])
def test_large_maps_are_read(d, names):
    for name, function, D, _ in maps(d):
        if names == "all" or name in names.split():
            found = gf.find_structure(gf.Parametrization(function, D, d, check=False))
            assert found and found.checked["value"] < 1e-11, (name, str(found))
            assert np.abs(found.axes @ found.axes.T - np.eye(len(found.axes))).max() < 1e-12


def test_near_misses_stay_black_boxes():
    for name, function, D, _ in maps(3):
        for twist in (
            lambda x: 1e-6 * anp.sin(anp.sum(x, axis=-1) + x[..., 0]),
            lambda x: 1e-6 * x[..., 0] ** 2 * x[..., 1],
            lambda x: 1e-7 * anp.tanh(x[..., 0]) * x[..., 1] ** 2,
        ):
            G = gf.Parametrization(lambda x, f=function, t=twist: f(x) + t(x)[..., None], D, 3, check=False)
            found = gf.find_structure(G)
            assert not found and found.stopped_at, (name, str(found))


def test_forms_that_do_not_commute_are_named():
    A = np.array([[[1.0, 0], [0, 2]], [[0, 1], [1, 0]]])
    G = gf.Parametrization(lambda x: anp.einsum("...k,dkl,...l->...d", x, A, x), 2, 2)
    assert "not diagonal" in gf.find_structure(G).stopped_at
    with pytest.raises(gf.ArgumentError, match="R"):
        gf.find_structure(3)


def test_points_out_of_reach_are_refused_by_the_lift():
    G = gf.Parametrization(lambda x: x**2, 2, 2)
    R = gf.mirror_map(G, [1.0, 2.0])
    with pytest.raises(gf.DomainError) as error:
        R.gradient([[1.0, 1.0], [-1.0, 1.0]])
    assert error.value.index == (1,) and 0 < error.value.s < 1
    assert R.closed and R.structure is R.closed.structure


def test_bases_too_large_to_be_read_are_named():
    d = 20_000
    G = gf.Parametrization(lambda x: x[..., :d] ** 2 - x[..., d:] ** 2, 2 * d, d)
    assert "too large" in gf.find_structure(G).stopped_at
    R = gf.mirror_map(G, np.full(2 * d, 0.5))
    assert R.closed is None and R.gradient(np.zeros(d)).shape == (d,)


@pytest.mark.parametrize(
    "f, x0",
    [(anp.exp, [0.0, 3.0]), (anp.exp, [-5.0, 5.0]), (anp.log, [0.3, 5.0]), (anp.log, [0.01, 1.0]),
     (anp.sinh, [0.3, -5.0]), (anp.sinh, [4.0, 4.0])],
)  # fmt: skip
def test_starts_of_any_size_have_their_mirror_map(f, x0):
    G = gf.Parametrization(f, 2, 2)
    R, lifted = gf.mirror_map(G, x0), InducedLegendreFunction(G, np.array(x0))
    w = G(np.array(x0) + np.array([0.01, -0.005]) * np.minimum(1, np.abs(x0)))
    assert np.allclose(R.gradient(w), lifted.gradient(w), rtol=1e-7, atol=1e-300)


def test_what_was_read_and_has_no_value_leaves_the_lifts():
    G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2)
    assert np.all(np.isfinite(gf.mirror_map(G, 1e-100 * np.array([1, 0.7, 0.5, 0.3])).w0))
