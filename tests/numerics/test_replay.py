"""Recorded maps replayed with their pullbacks, against autograd's own."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive

from geoflow.numerics import autodiff, replay
from geoflow.numerics.records import record
from geoflow.numerics.replay import Replay

A = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
MAPS = {
    "differences of powers": (lambda x: x[..., :2] ** 3 - x[..., 2:] ** 2, 4),
    "products": (lambda x: anp.stack([x[..., 0] * x[..., 1], x[..., 1] / x[..., 2]], -1), 3),
    "broadcasting": (lambda x: x[..., :1] * x + anp.sum(x, axis=-1, keepdims=True), 3),
    "a part used twice": (lambda x: x[..., :2] * x[..., :2] + x[..., 1:] + x[..., ::2], 3),
    "gathered": (lambda x: x[..., np.array([0, 0, 1])] ** 2, 2),
    "matrix": (lambda x: anp.matmul(anp.sin(x), A.T), 3),
    "einsum": (lambda x: anp.einsum("ij,...i,...j->...j", A, x[..., :2], x), 3),
    "powers 0, 1, negative, of x": (lambda x: anp.stack([x[..., 0] ** 0, x[..., 0] ** 1, x[..., 1] ** -1.5], -1), 2),
    "power of two variables": (lambda x: x[..., :1] ** x[..., 1:], 2),
    "where": (lambda x: anp.where(x > 1, x**2, anp.exp(x)), 3),
    "scalar": (lambda x: anp.log(anp.sum(anp.exp(x), axis=-1)), 3),
    "identity of its argument": (lambda x: x + 0.0, 2),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
def test_values_and_pullbacks_are_those_of_autograd(name, batch, rng):
    f, D = MAPS[name]
    recorded, note = record(f, rng.uniform(0.5, 1.5, (2, D)))
    assert recorded is not None, note
    run = Replay.of(recorded)
    x = rng.uniform(0.5, 1.5, (*batch, D))
    wanted, vjp = autodiff.value_and_vjp(f, x)
    value, pull = run(x)
    assert np.allclose(value, wanted, rtol=1e-15, atol=1e-15)
    for _ in range(2):  # a pullback may be used again, and does not change what it is given
        u = rng.standard_normal(wanted.shape)
        kept = u.copy()
        assert np.allclose(pull(u), vjp(u), rtol=1e-14, atol=1e-15) and np.array_equal(u, kept)


def test_a_large_batch_is_replayed_in_parts(rng, monkeypatch):
    f, D = MAPS["products"]
    run = Replay.of(record(f, rng.uniform(0.5, 1.5, (2, D)))[0])
    x, u = rng.uniform(0.5, 1.5, (100, D)), rng.standard_normal((100, 2))
    value, pull = run(x)
    monkeypatch.setattr(replay, "IN_CACHE", 10)
    parts, pull_parts = run(x)
    assert np.array_equal(parts, value) and np.array_equal(pull_parts(u), pull(u))


@pytest.mark.parametrize("d, D, n", [(3, 2, 4), (16, 16, 8), (1, 5, 1)])
def test_rows_take_one_pass(d, D, n, rng, monkeypatch):
    A, x = rng.standard_normal((D, d)), rng.standard_normal((n, D))
    run = Replay.of(record(lambda x: anp.matmul(anp.tanh(x), A), x[:2])[0])
    calls, once = [], run._once

    def counted(points):
        value, pull = once(points)
        return value, lambda u: calls.append(len(u)) or pull(u)

    monkeypatch.setattr(run, "_once", counted)
    value, rows = run.with_jacobian(x)
    assert calls == [n * d]
    assert np.allclose(value, np.tanh(x) @ A, rtol=1e-12, atol=1e-13)
    assert np.allclose(rows, np.einsum("Dd,nD->ndD", A, 1 / np.cosh(x) ** 2), rtol=1e-11, atol=1e-13)


def test_there_is_no_replay_of_one_point_nor_without_a_record():
    assert Replay.of(None) is None
    assert Replay.of(record(lambda x: x**2, np.ones(3))[0]) is None


@pytest.mark.parametrize("p", [0, 1, 2, 3, 7, 16, 17, -1, 0.5, 2.5])
def test_powers_by_products_are_powers(p, rng):
    x = rng.uniform(0.5, 1.5, (4, 3))
    assert np.allclose(replay.power(x, p), x**p, rtol=1e-14, atol=0)


def test_a_primitive_of_a_user_is_not_taken_for_numpys(rng):
    @primitive
    def power(x, p):
        return np.sign(x) * np.abs(x) ** p

    defvjp(power, lambda ans, x, p: lambda g: g * p * np.abs(x) ** (p - 1), None)
    run = Replay.of(record(lambda x: power(x, 2), np.ones((2, 2)))[0])
    x = np.array([[-1.0, 2.0]])
    value, pull = run(x)
    assert value.tolist() == [[-1.0, 4.0]] and pull(np.ones((1, 2))).tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_size_of_a_batch_in_a_reshape_is_no_part_of_a_map(n, rng):
    def gram(x):
        U = anp.reshape(x, (*x.shape[:-1], 2, 3))
        return anp.matmul(U, anp.swapaxes(U, -1, -2)).reshape((*x.shape[:-1], -1))

    run = Replay.of(record(gram, rng.standard_normal((2, 6)))[0])
    x, u = rng.standard_normal((n, 6)), rng.standard_normal((n, 4))
    value, pull = run(x)
    expected, vjp = autodiff.value_and_vjp(gram, x)
    assert np.allclose(value, expected, rtol=1e-14) and np.allclose(pull(u), vjp(u), rtol=1e-13)
    # a shape that is the map's own, equal to the batch's by chance, is none of ours
    assert record(lambda x: anp.reshape(x, (2, -1)), rng.standard_normal((2, 6)))[0] is None
