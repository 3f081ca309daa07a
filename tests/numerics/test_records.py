"""A record gives the values of the map it was made from, at other points, batches and arithmetics, or there is none."""

import autograd.numpy as anp
import autograd.scipy.special as special
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.records import record

A = np.arange(6.0).reshape(2, 3)


def roots(x):
    """Newton's iteration for the square root of 1 + |x|^2, by a loop whose length does not depend on x."""
    square = 1 + anp.sum(x**2, axis=-1)
    y = square
    for _ in range(6):
        y = (y + square / y) / 2
    return anp.stack([y, x[..., 0]], axis=-1)


POINTWISE = {
    "u^2 - v^2": (lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4),
    "one dimension": (lambda x: x**2, 1),
    "itself": (lambda x: x, 3),
    "stack": (lambda x: anp.stack([x[..., 0], anp.sin(x[..., 0]), x[..., 0] * x[..., 1]], axis=-1), 2),
    "scalar": (lambda x: anp.log(1 + anp.sum(anp.exp(x), axis=-1)), 3),
    "einsum": (lambda x: anp.einsum("ij,...j->...i", A, x**2), 3),
    "matmul": (lambda x: anp.exp(x) @ A.T, 3),
    "where": (lambda x: anp.where(x > 0.5, x, x**2), 3),
    "where and": (lambda x: x * anp.where((x[..., 0] > 0.4) & ~(x[..., 1] > 2), 2.0, x[..., 1])[..., None], 2),
    "where of numbers": (lambda x: anp.stack([anp.where(x[..., 0] > x[..., 1], x[..., 0], x[..., 1] ** 2)], -1), 2),
    "determinant": (lambda x: anp.linalg.det(anp.reshape(x, (*x.shape[:-1], 2, 2))), 4),
    "inverse": (lambda x: anp.linalg.inv(anp.reshape(x, (*x.shape[:-1], 2, 2)))[..., 0], 4),
    "eigenvalues": (lambda x: anp.linalg.eigvalsh(x[..., :, None] * x[..., None, :]), 3),
    "zeros": (lambda x: anp.concatenate([x[..., :1], anp.zeros((*x.shape[:-1], 1))], axis=-1), 2),
    "scipy": (lambda x: special.expit(x) + special.gammaln(x**2 + 1), 2),
    "numpy ufuncs": (lambda x: np.sin(x) + np.sum(x, axis=-1)[..., None], 2),
    "a loop": (roots, 2),
    "a derivative": (lambda x: gf.autodiff.jacobian(lambda y: anp.sin(y) * y[..., :1])(x)[..., 0], 2),
}
BATCHED = ["u^2 - v^2", "stack", "one dimension", "itself", "scalar", "einsum", "matmul", "where"]


@pytest.mark.parametrize("name", POINTWISE)
def test_a_record_at_a_point_gives_the_values_of_the_map(name, rng):
    f, D = POINTWISE[name]
    recorded, note = record(f, np.linspace(0.3, 1.0, D))
    assert recorded is not None and note == "" and recorded.pointwise
    for scale in (1.0, -2.0, 1e-6, 1e6):
        x = scale * rng.uniform(0.5, 1.5, D)
        with np.errstate(all="ignore"):
            assert np.allclose(recorded.replay(x), f(x), rtol=1e-13, atol=0, equal_nan=True)
    for step in recorded.steps[1:]:  # the example run can be repeated step by step
        if name != "a derivative":  # whose sparse gradients are added in place
            assert np.array_equal(step.primitive(*step.args, **step.kwargs), step.value)
        assert all(step.args[i] is recorded.steps[p].value for i, p in zip(step.argnums, step.parents, strict=True))


@pytest.mark.parametrize("name", BATCHED)
def test_a_record_of_a_batch_is_replayed_at_batches_of_any_size(name, rng):
    f, D = POINTWISE[name]
    recorded, note = record(f, rng.uniform(0.3, 1.0, (5, D)))
    assert recorded is not None and note == "" and not recorded.pointwise
    for batch in [(1,), (7,), (100,)]:
        x = rng.standard_normal((*batch, D))
        assert np.allclose(recorded.replay(x), f(x), rtol=1e-13, atol=1e-14)


def test_steps_come_after_their_parents_and_dead_ones_are_left_out():
    def f(x):
        anp.exp(x)  # nobody uses it
        return x[..., 0] * anp.sin(x[..., 1])

    recorded, _ = record(f, np.ones(2))
    assert [step.name for step in recorded.steps] == ["input", "__getitem__", "__getitem__", "sin", "multiply"]
    assert recorded.output == 4 and recorded.steps[4].parents == (1, 3) and recorded.steps[4].argnums == (0, 1)
    assert all(p < i for i, step in enumerate(recorded.steps) for p in step.parents)


def test_a_table_replaces_the_primitives():
    recorded, _ = record(lambda x: anp.exp(2.0 * x), np.ones(1))
    degree = {anp.exp: lambda k: f"exp({k})", anp.multiply: lambda a, b: f"{a:g}*{b}"}
    assert recorded.replay("x", degree) == "exp(2*x)"
    assert recorded.missing(degree) == [] and recorded.missing({anp.exp: None}) == ["multiply"]
    with pytest.raises(KeyError):
        recorded.replay("x", {})


def test_a_record_does_not_change_with_what_it_was_made_from():
    weights, x = np.array([1.0, 2.0]), np.ones(2)
    recorded, _ = record(lambda y: weights * y, x)
    weights[:], x[:] = 0.0, 0.0
    assert recorded.replay(np.ones(2)).tolist() == [1.0, 2.0] and recorded.steps[0].value.tolist() == [1.0, 1.0]
    with pytest.raises(AttributeError):
        recorded.output = 0
    with pytest.raises(ValueError, match="read-only"):
        recorded.steps[1].args[0][:] = 3.0


def branch(x):
    return x if x.ndim == 1 and x[0] > 0 else x**2


REFUSED = {
    "if": (branch, "truth of a value"),
    "if far away": (lambda x: x if np.any(x > 1e9) else x**2, "truth of a value"),
    "max": (lambda x: x * max(x[..., 0], x[..., 1]) if x.ndim == 1 else x, "truth of a value"),
    "a branch behind the tracer": (lambda x: x if gf.autodiff.untraced(x).sum() > 1 else x**3, "are not those of"),
    "a branch on the sign": (lambda x: x if gf.autodiff.untraced(x).min() > -1e-3 else 1.01 * x, "are not those of"),
    "float": (lambda x: np.array([float(x[0])]), "float"),
    "constant": (lambda x: np.ones(x.shape), "does not come from"),
    "random": (lambda x: x * np.random.default_rng().random(), "are not those of"),
    "mean of the batch": (lambda x: x - anp.mean(x, axis=0), "batch"),
    "numpy's own": (lambda x: np.linalg.norm(x, axis=-1), "ufunc"),
    "and of arrays": (lambda x: anp.where((x > 0) & (x < 1), x, 1), "logical_and"),
    "in place": (lambda x: np.copyto(np.zeros(2), x), "array data"),
    "nowhere finite": (lambda x: x * np.nan, "no finite value"),
    "an error": (lambda x: 1 // 0, "ZeroDivisionError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_has_a_note_and_no_record(name):
    f, words = REFUSED[name]
    recorded, note = record(f, np.array([0.4, 0.7]))
    assert recorded is None and words in note


def test_a_batch_whose_shape_is_a_constant_of_the_record_is_refused(rng):
    example = rng.uniform(0.3, 1.0, (5, 4))

    def f(x):
        return x + anp.zeros(x.shape[:-1])[..., None] * x

    assert record(f, example[0])[0] is not None
    recorded, note = record(f, example)
    assert recorded is None and "record" in note and ("at x =" in note or "at a batch" in note)


def test_a_reshape_that_keeps_the_batch_is_recorded_for_any(rng):
    f = POINTWISE["determinant"][0]
    recorded = record(f, rng.uniform(0.3, 1.0, (5, 4)))[0]
    for n in (1, 2, 5, 9):
        x = rng.standard_normal((n, 4))
        assert np.allclose(recorded.replay(x), f(x), rtol=1e-14)


def test_a_map_that_changes_between_the_points_given_is_found(rng):
    """A bump far from where records are tried is seen at points of the caller's own."""

    def f(x):
        return x + 1.0 if np.all(np.abs(gf.autodiff.untraced(x) - 1234.5) < 1e-3) else x

    assert record(f, np.ones(2))[0] is not None
    recorded, note = record(f, np.ones(2), points=np.full((1, 2), 1234.5))
    assert recorded is None and "not those of its record" in note


def test_a_number_is_no_point():
    assert record(lambda x: x, 1.0)[0] is None


def test_plain_autograd_is_as_before(rng):
    """What the recorder adds to autograd, a box for one truth value, changes no derivative."""
    f = POINTWISE["where of numbers"][0]
    x = np.array([[2.0, 1.0], [1.0, 2.0]])
    assert gf.autodiff.jacobian(f)(x).tolist() == [[[1.0, 0.0]], [[0.0, 4.0]]]
    record(f, x[0])
    assert gf.autodiff.jacobian(f)(x[0]).tolist() == [[1.0, 0.0]]
    assert gf.autodiff.jacobian(lambda y: y if np.all(y > 0) else y**2)(x[0]).tolist() == np.eye(2).tolist()


def test_the_values_of_all_steps_end_with_that_of_the_map():
    w = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    recorded, _ = record(lambda w: anp.exp(-anp.sum(w**2, axis=-1)), w)
    values = recorded.values(2 * w)
    assert len(values) == len(recorded.steps) and np.array_equal(values[0], 2 * w)
    assert np.array_equal(values[recorded.output], recorded.replay(2 * w))
    assert any(np.allclose(value, -4 * (w**2).sum(axis=1)) for value in values if np.shape(value) == (5,))
