"""The jax engine: what it compiles gives what autograd gives, for any batch and order; without jax it says so."""

import subprocess
import sys

import autograd.numpy as anp
import autograd.scipy.special as special
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics import autodiff, engine
from geoflow.numerics.records import record
from geoflow.potentials.convexity import SINGULAR, pivots, unit_diagonal


def coupled(x):
    return anp.stack([anp.exp(x[..., 0]) * x[..., 1], anp.sin(x[..., 1]) + x[..., 0] ** 3.0, x[..., 0] / 2], axis=-1)


# without jax ---------------------------------------------------------------------------------------------------------


def test_geoflow_imports_no_jax_until_it_is_asked_for():
    code = """
import sys, geoflow as gf
G = gf.Parametrization(lambda x: x**2, 2, 2)
R = gf.LegendreFunction(lambda w: (w**2).sum(-1), 2)
gf.gradient_flow(gf.LeastSquares([[1.0, 2.0]], [1.0]), G, [1.0, 1.0], 0.1), R.hessian([1.0, 2.0])
assert (G.engine, R.engine, G.engine_note, R.engine_note) == ("autograd", "autograd", "", "")
assert not {"jax", "jaxlib", "diffrax", "equinox"} & {m.split(".")[0] for m in sys.modules}
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("make", [
    lambda **options: gf.Parametrization(lambda x: x**2, 2, 2, **options),
    lambda **options: gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1), 2, **options),
])  # fmt: skip
def test_a_missing_extra_and_an_unknown_engine_are_said(make, monkeypatch):
    with pytest.raises(gf.ArgumentError, match="'torch'; wanted one of 'auto', 'autograd', 'jax'"):
        make(engine="torch")
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    assert make().engine == "autograd" and make(engine="autograd").engine == "autograd"
    with pytest.raises(gf.ArgumentError, match=r"pip install geoflow\[jax\]"):
        make(engine="jax")


def test_a_map_that_imports_jax_where_there_is_none(monkeypatch):
    def written_with_jax(x):
        import jax.numpy as jnp

        return jnp.square(x)

    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(gf.ArgumentError, match=r"pip install geoflow\[jax\]"):
        gf.Parametrization(written_with_jax, 2, 2)


def test_sizes_of_batches_are_few_and_near():
    sizes = [engine.padded_size(n) for n in range(2000)]
    assert all(n <= size <= max(1.25 * n, 1) for n, size in enumerate(sizes)), sizes[:20]
    assert len(set(sizes)) <= 40 and engine.padded_size(1000) == 1024


def test_a_value_of_numpy_is_not_one_of_jax():
    assert not engine.is_jax_array(np.ones(2)) and not engine.is_jax_array(1.0)


def test_an_unknown_option_of_a_legendre_function_is_refused_by_name():
    with pytest.raises(TypeError, match=r"LegendreFunction\(\) got an unexpected keyword 'motor'"):
        gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1), 2, motor="jax")


# with jax ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jnp():
    pytest.importorskip("diffrax")
    return pytest.importorskip("jax").numpy


@pytest.fixture(scope="module")
def point(jnp):
    found, note = engine.recorded_point(coupled, np.array([[0.3, 0.7]]))
    assert note == ""
    return found


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (0,)])
def test_derivatives_of_a_recorded_map_over_any_batch(point, batch, rng):
    x = rng.uniform(0.2, 1.0, (*batch, 2))
    pairs = [
        (point, coupled), (engine.jacobian(point), autodiff.jacobian(coupled)),
        (engine.hessian(point), autodiff.hessian(coupled)),
        (engine.third_derivative(point), autodiff.third_derivative(coupled)),
    ]  # fmt: skip
    for compiled, plain in pairs:
        found = engine.Compiled(compiled, 1)(x)
        assert found.dtype == float and found.flags.writeable
        if batch != (0,):
            assert found.shape == plain(x).shape and np.allclose(found, plain(x), rtol=1e-12, atol=1e-13)
        else:
            assert found.shape[0] == 0


def test_products_with_the_derivative_and_batches_that_broadcast(point, rng):
    x, u, v = rng.uniform(0.2, 1.0, (4, 1, 2)), rng.standard_normal((5, 3)), rng.standard_normal((4, 1, 2))
    J = autodiff.jacobian(coupled)(x)
    pulled = engine.Compiled(engine.pullback(point), 1, 1)(x, u)
    assert pulled.shape == (4, 5, 2) and np.allclose(pulled, np.einsum("abij,bi->abj", np.repeat(J, 5, 1), u))
    assert np.allclose(engine.Compiled(engine.pushforward(point), 1, 1)(x, v), np.einsum("abij,abj->abi", J, v))
    other = engine.pullback(engine.pullback(point), argnum=1)  # of the pullback in u: the Jacobian again
    u = np.broadcast_to(u[:1], (4, 1, 3))
    assert np.allclose(engine.Compiled(other, 1, 1, 1)(x, u, v), np.einsum("abij,abj->abi", J, v))


@pytest.mark.parametrize("d", [1, 2, engine.SMALL, engine.SMALL + 1, 12])
def test_definite_systems_in_any_units_and_what_is_not_definite(jnp, d, rng):
    """As numpy's solution and `convexity.pivots`, of small systems and of others; a pivot tells what is of no use."""
    A = rng.standard_normal((50, d, d + 2))
    units = 10.0 ** rng.uniform(-8, 8, (50, d))
    H = (A @ np.swapaxes(A, -1, -2) + 0.1 * np.eye(d)) * units[:, :, None] * units[:, None, :]
    right = units[:, :, None] * rng.standard_normal((50, d, 3))
    solve = engine.Compiled(engine.definite_solve, 2, 2)
    found, pivot = solve(H, right)
    scaled, unit = unit_diagonal(H)
    assert np.allclose(found, np.linalg.solve(scaled, right * unit[..., None]) * unit[..., None], rtol=1e-10)
    assert np.allclose(pivot, pivots(H), rtol=1e-10)
    for sign in (-1.0, 0.0):  # no pivot is above 0 where the last coordinate is not
        bad = H.copy()
        bad[:, -1] *= sign
        bad[:, :-1, -1] *= sign
        assert not (solve(bad, right)[1] > SINGULAR).any() and not (pivots(bad) > SINGULAR).any()


def test_the_derivative_takes_the_mode_with_fewer_passes(jnp):
    tall = engine.Compiled(engine.jacobian(lambda x: jnp.stack([x[0] * k for k in range(5)])), 1)
    assert tall(np.ones((2, 1))).tolist() == [[[0.0], [1.0], [2.0], [3.0], [4.0]]] * 2


def test_a_compiled_function_is_traced_once_for_sizes_that_are_near(jnp):
    traces = []

    def counted(x):
        traces.append(x.shape)
        return x**2

    compiled = engine.Compiled(counted, 1)
    for n in (97, 100, 111, 112):
        assert compiled(np.full((n, 2), 3.0)).shape == (n, 2)
    assert traces == [(2,)]


def test_float64_whatever_the_rest_of_the_program_has_chosen(jnp):
    found = engine.Compiled(lambda x: x / 3, 1)(np.ones((1, 1)))
    assert found.dtype == np.float64 and found[0, 0] == 1 / 3
    assert jnp.ones(1).dtype == jnp.float32  # the setting of others is as it was


def test_a_map_of_jax_is_differentiated_by_autograd_to_any_order(jnp, rng):
    def same(x):
        return jnp.stack([jnp.exp(x[..., 0]) * x[..., 1], jnp.sin(x[..., 1]) + x[..., 0] ** 3, x[..., 0] / 2], axis=-1)

    assert engine.written_in_jax(same, np.ones(2)) and not engine.written_in_jax(coupled, np.ones(2))
    assert not engine.written_in_jax(lambda x: x @ np.ones(7), np.ones(2))  # wrong, whatever it is written in
    f, x = engine.traceable(same, 1), rng.uniform(0.2, 1.0, (4, 2))
    for derivative in (autodiff.jacobian, autodiff.hessian, autodiff.third_derivative):
        for at in (x, x[0]):
            assert np.allclose(derivative(f)(at), derivative(coupled)(at), rtol=1e-12, atol=1e-13)
    v = rng.standard_normal((4, 3, 2))
    along, expected = (autodiff.directional_jacobian(autodiff.jacobian(g), x, v) for g in (f, coupled))
    assert np.allclose(along, expected, rtol=1e-12, atol=1e-13)


def test_two_arguments_of_different_batches_are_differentiated(jnp, rng):
    f = engine.traceable(lambda a, b: jnp.sum(a * b**2)[None], 1, 1)
    a, b = rng.standard_normal((1, 3)), rng.standard_normal((5, 3))
    assert np.allclose(autodiff.value_and_vjp(lambda y: f(y, b), a)[1](np.ones((5, 1))), (b**2).sum(0)[None])
    a = a[0]
    assert np.allclose(autodiff.value_and_vjp(lambda y: f(y, b), a)[1](np.ones((5, 1))), (b**2).sum(0))


def test_a_record_of_what_calls_a_map_of_jax_is_replayed(jnp):
    f = engine.traceable(lambda x: jnp.sin(x), 1)
    found, note = engine.recorded_point(lambda x: f(x) ** 2 + x, np.array([[0.4, 0.8]]))
    x = np.array([[1.0, 2.0]])
    assert note == "" and np.allclose(engine.Compiled(found, 1)(x), np.sin(x) ** 2 + x, rtol=1e-15)


FUNCTIONS = {
    "mean, var": lambda x: anp.mean(x, axis=-1) + anp.max(x, axis=-1),
    "where": lambda x: anp.where(x > 0.5, x, x**2),
    "powers": lambda x: x**2.0 + x**-1 + x**0.5 + 2.0**x,
    "special": lambda x: special.expit(x) + special.gammaln(x + 1) * special.erf(x),
    "logsumexp": lambda x: special.logsumexp(x, axis=-1),
    "largest": lambda x: autodiff.largest(x) + x,
    "matrices": lambda x: anp.linalg.inv(anp.reshape(x, (*x.shape[:-1], 2, 2)) + 3 * np.eye(2))[..., 0],
    "eigh": lambda x: anp.linalg.eigh(x[..., :, None] * x[..., None, :] + np.diag([1.0, 2.0, 4.0, 7.0]))[0],
    "cholesky": lambda x: anp.linalg.cholesky(x[..., :, None] * x[..., None, :] + 4 * np.eye(4))[..., 1],
    "einsum": lambda x: anp.einsum("...i,...j,ij->...i", x, x, np.arange(16.0).reshape(4, 4)),
    "sorted": lambda x: anp.sort(x, axis=-1) * anp.abs(x),
    "concatenate": lambda x: anp.concatenate([x[..., 2:], anp.tanh(x[..., :2]), np.ones((*x.shape[:-1], 1))], axis=-1),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_autograd_have_their_likes_in_jax(jnp, name, rng):
    f = FUNCTIONS[name]
    x = rng.uniform(0.2, 0.9, (3, 4))
    found, note = engine.recorded_point(f, x)
    assert note == ""
    plain = np.stack([f(p) for p in x])
    assert np.allclose(engine.Compiled(found, 1)(x), plain, rtol=1e-13, atol=1e-14)
    slopes = np.stack([_rows(f, p) for p in x])
    assert np.allclose(engine.Compiled(engine.jacobian(found), 1)(x), slopes, rtol=1e-10, atol=1e-12)


def _rows(f, x):
    """The Jacobian at one point, an output at a time."""
    value, pull = autodiff.value_and_vjp(f, x)
    return pull(np.ones(())) if np.ndim(value) == 0 else np.stack([pull(unit) for unit in np.eye(len(value))])


def test_a_primitive_that_jax_does_not_have_is_named(jnp):
    mine = autodiff.with_pullback(lambda x: x**2, lambda argnum, value, arguments, u: 2 * arguments[0] * u)
    recorded, _ = record(mine, np.ones(2))
    assert engine.replayed(recorded) == (None, "no function of jax is known for <lambda>")
    named_like_one = autodiff.with_pullback(exp, lambda argnum, value, arguments, u: u)
    recorded, _ = record(named_like_one, np.ones(2))
    assert engine.replayed(recorded)[0] is None  # a name is not what is looked up


def exp(x):
    """Not the exponential function."""
    return x + 1.0


def test_disagreement_is_relative_and_leaves_out_what_is_not_finite():
    plain = np.array([1e6, np.nan, 2e6])
    assert engine.disagreement(plain + np.array([1e-5, 7.0, 0.0]), plain) == 0.0
    assert engine.disagreement(plain * 1.001, plain) == pytest.approx(1e-3)
    assert engine.disagreement(np.array([np.nan]), np.ones(1)) != 0.0
