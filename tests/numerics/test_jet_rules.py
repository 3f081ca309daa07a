"""Every rule by which derivatives pass through a primitive, against autograd on a function that uses it."""

import autograd.numpy as anp
import autograd.scipy.special as special
import numpy as np
import pytest
from autograd.extend import defvjp, primitive

from geoflow.numerics.autodiff import _nested, largest
from geoflow.numerics.entrywise import OF_ONE_VARIABLE
from geoflow.numerics.jet_rules import RULES, rule_of, splits
from geoflow.numerics.jets import Jets
from geoflow.numerics.records import record

A = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
# the argument is wrapped by something that bends, so that every order arrives at the rule
BENT = {
    "add, broadcast": lambda y: y + y[..., :1] + 2.0,
    "subtract": lambda y: y[..., :1] - y,
    "subtract from a number": lambda y: 1.0 - y,
    "a number minus a part": lambda y: np.ones(3) - y[..., :1],
    "multiply": lambda y: y * y[..., ::-1] * 3.0,
    "divide": lambda y: y[..., :2] / y[..., 1:],
    "divide by a number": lambda y: y / 3.0,
    "divide a number": lambda y: np.array([1.0, 2.0, 3.0]) / y,
    "power, integers": lambda y: y**3 + y**2 + y**1 + y**0 + y**-2,
    "power, fractions": lambda y: y**0.5 + y**2.5,
    "power, an array of exponents": lambda y: y ** np.array([0.0, 1.0, 2.5]),
    "power of two variables": lambda y: y[..., :1] ** y,
    "power of a number": lambda y: 1.7**y,
    "negative": lambda y: -y,
    "getitem": lambda y: y[..., np.array([0, 0, 2])] + y[..., None, 0],
    "expand_dims": lambda y: anp.sum(anp.expand_dims(y, -1) * A.T, axis=-1),
    "transpose": lambda y: anp.transpose(anp.swapaxes(y, 0, 1)),
    "moveaxis, ravel": lambda y: anp.squeeze(anp.moveaxis(y[..., None], -1, 0), 0),
    "tile": lambda y: anp.tile(y, (1, 2)) ** 2,
    "roll, fliplr": lambda y: anp.roll(y, 1, axis=-1) * anp.fliplr(y),
    "diagonal": lambda y: anp.diagonal(y[..., None] * y[:, None], axis1=-1, axis2=-2),
    "cumsum, diff": lambda y: anp.diff(anp.cumsum(y, axis=-1) * y, axis=-1),
    "triu, tril": lambda y: anp.sum(anp.triu(y[..., None] * y[:, None]) - 2 * anp.tril(y[..., None] * y[:, None]), -1),
    "sum, keepdims": lambda y: anp.sum(y, axis=-1, keepdims=True) * y,
    "mean": lambda y: anp.mean(y, axis=-1),
    "concatenate": lambda y: anp.concatenate([y, 0 * y + 1.0, y[..., :1] ** 2], axis=-1) ** 2,
    "stack": lambda y: anp.stack([y[..., 0] * y[..., 1], y[..., 2]], axis=-1),
    "array": lambda y: anp.transpose(anp.array([y[..., 0] * y[..., 1], y[..., 2]])),
    "where": lambda y: anp.where(y > 1.0, y**2, anp.exp(y)) + anp.where(y > 1.0, y, 2.0),
    "maximum, minimum": lambda y: anp.maximum(y, 1.0) ** 2 + anp.minimum(y, y[..., :1]) ** 2,
    "max, min": lambda y: anp.max(y, axis=-1) ** 2 + anp.min(y, axis=-1, keepdims=True)[..., 0] ** 2,
    "clip": lambda y: anp.clip(y, 0.7, 1.3) ** 2,
    "abs": lambda y: anp.abs(y - 1.0) ** 3,
    "matmul": lambda y: anp.matmul(y, A.T),
    "matmul of two": lambda y: anp.matmul(y[..., None, :], y[..., :, None])[..., 0, 0],
    "dot": lambda y: anp.dot(y, A.T),
    "inner, outer": lambda y: anp.inner(y, A),
    "tensordot": lambda y: anp.tensordot(y, A, axes=[[1], [1]]),
    "einsum of three": lambda y: anp.einsum("ij,...i,...j,...j->...j", A, y[..., :2], y, anp.sin(y)),
    "cross": lambda y: anp.cross(y, y[..., ::-1] ** 2),
    "norm": lambda y: anp.linalg.norm(y, axis=-1),
    "logaddexp": lambda y: anp.logaddexp(y, y[..., :1] ** 2) + anp.logaddexp(1.0, y) + anp.logaddexp(y, 2.0),
    "logsumexp": lambda y: special.logsumexp(y, axis=-1),
    "logsumexp with weights": lambda y: special.logsumexp(y, axis=1, b=np.array([1.0, 2.0, 0.5]), keepdims=True) * y,
    "a shift that cancels": lambda y: anp.log(anp.sum(anp.exp(y - largest(y)), axis=-1)) + largest(y)[..., 0],
    "expit, erf": lambda y: special.expit(y) * special.erf(y) + special.erfc(y),
    "gammaln": lambda y: special.gammaln(y),
}


def compared(f, x, order):
    """The derivatives by jets and by autograd, of the record of f at other points."""
    recorded, note = record(f, np.random.default_rng(3).uniform(0.5, 1.5, (4, x.shape[-1])))
    assert recorded is not None, note
    return Jets(recorded, order)(x), _nested(f, order)(x)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("name", BENT)
def test_derivatives_are_those_of_autograd(name, order, rng):
    f = lambda x: BENT[name](anp.exp(anp.matmul(x - 1.0, A.T @ A / 4)))  # noqa: E731
    got, wanted = compared(f, rng.uniform(0.5, 1.5, (5, 3)), order)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max()


def test_every_rule_is_tested(rng):
    """The functions above use every rule but those of one variable, which have a file of their own."""
    used, x = set(), rng.uniform(0.5, 1.5, (4, 3))
    for f in BENT.values():
        used |= {step.primitive for step in record(f, x)[0].steps}
    rules = {RULES[p] for p in RULES if p not in OF_ONE_VARIABLE}
    assert rules - {RULES[p] for p in used if p in RULES} == set()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_at_any_scale(scale, rng):
    def f(x):
        y = x / scale
        return scale * (
            anp.log(1 + anp.sum(anp.exp(y), axis=-1)) + y[..., 0] * y[..., 1] / y[..., 2] + y[..., 2] ** 1.5
        )

    for order in (2, 3):
        got, wanted = compared(f, scale * rng.uniform(0.5, 1.5, (5, 3)), order)
        assert np.abs(got - wanted).max() <= 1e-12 * np.abs(wanted).max()


def test_a_shape_of_two_axes(rng):
    """reshape fixes the number of axes, which autograd's passes of all directions do not leave alone."""
    x = rng.uniform(0.5, 1.5, (5, 3))
    recorded = record(lambda x: anp.reshape(anp.exp(x @ A.T)[..., None], (-1, 2)), x)[0]
    assert np.allclose(Jets(recorded, 2)(x), _nested(lambda x: anp.exp(anp.matmul(x, A.T)), 2)(x), rtol=1e-14)


def test_ties_and_kinks_are_shared_as_autograd_shares_them():
    x = np.array([[1.0, 1.0, -1.0], [0.0, 2.0, 2.0], [0.7, 1.3, 0.0]])
    kinks = {
        "maximum": lambda x: anp.maximum(x[..., :1], x) ** 2,
        "max": lambda x: anp.max(x, axis=-1) ** 2,
        "abs": lambda x: x * anp.abs(x),
        "clip": lambda x: anp.clip(x, 0.7, 1.3) ** 2,
        "where": lambda x: anp.where(x > 0.0, x**3, x**2),
        "power": lambda x: x**2 + x**3,
    }
    for name, f in kinks.items():
        got, wanted = compared(f, x, 2)
        assert np.allclose(got, wanted, rtol=1e-14, atol=1e-14), name


def test_a_branch_that_is_not_taken_leaves_no_trace():
    x = np.array([[-1.0, 2.0]])
    f = lambda x: anp.where(x > 0, anp.sqrt(anp.where(x > 0, x, 1.0)), x)  # noqa: E731
    got, wanted = compared(f, x, 2)
    assert np.isfinite(got).all() and np.allclose(got, wanted, rtol=1e-14)


def test_a_primitive_of_a_user_has_no_rule_whatever_its_name():
    @primitive
    def exp(x):
        return np.exp(2 * x)

    defvjp(exp, lambda ans, x: lambda g: 2 * g * ans)
    assert rule_of(exp) is None and rule_of(anp.exp) is not None
    with pytest.raises(NotImplementedError):
        Jets(record(lambda x: exp(x) ** 2, np.ones((3, 2)))[0], 2)


def test_an_index_is_shared_in_every_way():
    assert dict(splits((0, 0), 2)) == {((0, 0), ()): 1, ((0,), (0,)): 2, ((), (0, 0)): 1}
    assert sum(times for _, times in splits((0, 1, 2), 3)) == 27
