"""Both engines, one kernel: what is compiled of a map gives what autograd gives, and the same laws hold."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.spd_matrices import SPDMatrices

import geoflow as gf

NAMES = [
    "square", "hyperbolic", "quadratic", "sphere_squares", "spd_affine", "spd_bures", "so_torus", "stiefel_diagonal",
    "grassmannian_diagonal", "hyperboloid_gaussian", "spd_euclidean", "neuron", "stiefel_rows", "matrix_square",
]  # fmt: skip
TOL = 1e-12


@pytest.fixture(scope="module", autouse=True)
def jnp():
    pytest.importorskip("diffrax")
    return pytest.importorskip("jax").numpy


def case_of(name):
    registry = gf.catalog.parametrizations if name in gf.catalog.parametrizations else gf.catalog.noncommuting
    return registry[name]()


@pytest.fixture(scope="module")
def pair():
    """(compiled, plain, points) of an entry of the catalogue, the map without its closed forms."""
    made = {}

    def get(name):
        if name not in made:
            case = case_of(name)
            G = case.parametrization
            function = G.kernel.function
            maps = [
                gf.Parametrization(lambda x: function(G.flatten(x)), G.space, G.codomain_dim, engine=engine)
                for engine in ("jax", "autograd")
            ]
            made[name] = (*maps, case.sample(4, np.random.default_rng(5)))
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_every_output_of_the_kernel_is_that_of_autograd(pair, name, rng):
    G, H, points = pair(name)
    assert G.engine == "jax" and G.engine_note == "" and H.engine == "autograd"
    x = G.flatten(points)
    mu, u = rng.standard_normal((2, len(x), G.codomain_dim))
    v = H.kernel.pullback(x, u)
    several = np.stack([v, H.kernel.pullback(x, mu)], axis=1)
    outputs = {
        "value": lambda k: k.value(x), "jacobian": lambda k: k.jacobian(x), "gradients": lambda k: k.gradients(x),
        "cometric": lambda k: k.cometric(x), "pullback": lambda k: k.pullback(x, mu),
        "linearized": lambda k: k.linearized(x)[1](mu), "pushforward": lambda k: k.pushforward(x, v),
        "derivative_of_pullback": lambda k: k.derivative_of_pullback(x, mu, v),
        "bracket_terms": lambda k: np.stack(k.bracket_terms(x, mu, u)),
        "derivative_of_gradients": lambda k: k.derivative_of_gradients(x, several),
        "derivative_of_cometric": lambda k: k.derivative_of_cometric(x, several),
    }  # fmt: skip
    for what, of in outputs.items():
        a, b = of(G.kernel), of(H.kernel)
        assert a.shape == b.shape and np.abs(a - b).max() <= TOL * np.abs(b).max(), what
    assert np.allclose(G.kernel.gradients(x[0]), H.kernel.gradients(x[0]), rtol=1e-11, atol=1e-12)
    assert np.allclose(G.kernel.value(x.reshape(2, 2, -1)), H.kernel.value(x.reshape(2, 2, -1)), rtol=1e-12)


OWN = gf.autodiff.with_pullback(lambda a, b: a * b, lambda argnum, value, arguments, u: u * arguments[1 - argnum])
MAP_LAWS = [name for name, law in gf.laws.LAWS.items() if law.domain == "map" and name != "flows_commute"]


@pytest.mark.parametrize("name", ["hyperbolic", "spd_affine", "sphere_squares"])
@pytest.mark.parametrize("law", MAP_LAWS)
def test_the_laws_of_maps_hold_with_the_engine(pair, law, name):
    G, _, points = pair(name)
    entry = gf.laws.LAWS[law]
    defect, scale = entry.function(G, points[0])
    assert defect <= entry.tol * scale


def test_a_compiled_map_that_does_not_commute_is_found(pair):
    G, _, points = pair("neuron")
    assert not G.check_commuting(points)


def test_a_map_written_in_jax_numpy_is_taken_as_it_is(jnp, rng):
    G = gf.Parametrization(lambda x: jnp.stack([x[..., 0] ** 2, jnp.sin(x[..., 1])], axis=-1), 2, 2)
    H = gf.Parametrization(lambda x: anp.stack([x[..., 0] ** 2, anp.sin(x[..., 1])], axis=-1), 2, 2)
    assert (G.engine, H.engine) == ("jax", "autograd")
    with pytest.raises(gf.ArgumentError, match=r"written in jax\.numpy"):
        gf.Parametrization(lambda x: jnp.sin(x), 2, 2, engine="autograd")
    x = rng.uniform(0.2, 1.0, (3, 2))
    assert np.allclose(G(x), H(x), rtol=1e-15) and np.allclose(G.gradients(x), H.gradients(x), rtol=1e-14)
    assert np.allclose(G.brackets(x), H.brackets(x)) and G.check_commuting(x)
    assert np.allclose(G.gradient_fields[1].flow(x, 0.3), H.gradient_fields[1].flow(x, 0.3), rtol=1e-11)
    R, S = gf.mirror_map(G, x[0]), gf.mirror_map(H, x[0])
    w = H(x[0]) * 1.1
    assert np.allclose(R.gradient(w), S.gradient(w), rtol=1e-9)
    rotated = G.precompose(lambda y: anp.stack([y[..., 1], -y[..., 0]], axis=-1))
    assert rotated.engine == "jax" and np.allclose(rotated(x), H(np.stack([x[:, 1], -x[:, 0]], -1)), rtol=1e-15)
    assert np.allclose(G.affine([[1.0, 2.0]]).gradients(x), H.affine([[1.0, 2.0]]).gradients(x), rtol=1e-14)


def test_jax_numpy_on_a_manifold_of_matrices(jnp, rng):
    G = gf.Parametrization(lambda X: jnp.log(jnp.linalg.det(X))[..., None], SPDMatrices(2), 1)
    B = rng.standard_normal((3, 2, 2))
    X = B @ np.swapaxes(B, 1, 2) + np.eye(2)
    assert G.engine == "jax" and np.allclose(G.gradients(X)[:, 0], X, rtol=1e-12)  # X X^-1 X
    outside = np.diag([1.0, -1.0]).reshape(1, 4)
    assert np.isnan(G.kernel.value(outside)).all() and np.isnan(G.kernel.gradients(outside)).all()


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda x: x if np.all(x > 0) else x**2, "truth of a value"),
        (lambda x: x**2 if gf.autodiff.untraced(x).min() > 0 else 1.1 * x**2, "not those of its record"),
        (lambda x: OWN(x, x), "no function of jax"),
    ],
    ids=["if", "behind the tracer", "own primitive"],
)
def test_what_cannot_be_recorded_stays_with_autograd_and_a_note(function, words):
    G = gf.Parametrization(function, 2, 2, engine="jax", check=False)
    assert G.engine == "autograd" and words in G.engine_note
    assert G(np.array([1.0, 2.0])).shape == (2,)


def test_one_dimension_large_and_small_scales():
    for scale in (1e-6, 1.0, 1e6):
        G = gf.Parametrization(lambda x, scale=scale: scale * x**3, 1, 1, engine="jax")
        assert G.engine == "jax" and G.jacobian([2.0 * scale]) == pytest.approx(scale * 12 * scale**2, rel=1e-14)
    sphere = gf.Parametrization(lambda x: x[..., :2] ** 2, Hypersphere(2), 2, engine="jax")
    x = np.array([0.6, 0.0, 0.8])
    assert sphere.engine == "jax" and np.allclose(sphere.gradients(x) @ x, 0, atol=1e-16)


def test_a_kernel_that_is_compiled_has_no_hidden_passes(jnp):
    """One trace a kernel output and size of batch: a second call with new numbers traces nothing."""
    traces = []

    def counted(x):
        traces.append(np.shape(x))
        return jnp.square(x)

    G = gf.Parametrization(counted, 2, 2)
    for _ in range(2):
        G.kernel.pullback(np.ones((8, 2)), np.ones((8, 2)))
    before = len(traces)
    for k in range(3):
        assert np.allclose(G.kernel.pullback(np.full((8, 2), k + 1.0), np.ones((8, 2))), 2 * k + 2.0)
    assert len(traces) == before


def test_a_wrong_rule_of_jax_is_named(jnp):
    import jax

    first, second = jax.custom_jvp(lambda x: x**3), jax.custom_jvp(lambda x: x**3)
    first.defjvp(lambda at, way: (first(at[0]), 2 * at[0] ** 2 * way[0]))
    second.defjvp(lambda at, way: (second(at[0]), 3 * jax.lax.stop_gradient(at[0]) ** 2 * way[0]))
    for wrong, words in (
        (lambda x: jax.lax.stop_gradient(x) * x, "derivative of G by jax differs from the map"),
        (lambda x: first(x), "derivative of G by jax differs from the map"),
        (lambda x: second(x), "second derivative of G by jax differs from the first"),
    ):
        with pytest.raises(gf.ArgumentError, match=words):
            gf.Parametrization(wrong, 3, 3)
        assert gf.Parametrization(wrong, 3, 3, check=False).engine == "jax"
    right = jax.custom_jvp(lambda x: x**3)
    right.defjvp(lambda at, way: (right(at[0]), 3 * at[0] ** 2 * way[0]))
    for scale in (1e-6, 1.0, 1e6):
        assert gf.Parametrization(lambda x, c=scale: c * right(x / c), 3, 3).engine == "jax"
