"""The operation at fault is named."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive

from geoflow.numerics.culprits import blame, unfinished, unsupported

X = np.array([[0.6, 1.2], [0.9, 0.7], [1.1, 1.4]])


@primitive
def square(x):
    return x**2


@primitive
def cube(x):
    return x**3


defvjp(square, lambda ans, x: lambda g: 2.01 * g * x)
# right once; differentiated again, it is a constant
defvjp(cube, lambda ans, x: lambda g: g * 3 * np.asarray(getattr(x, "_value", x)) ** 2)


@pytest.mark.parametrize(
    "f, order, words",
    [
        (lambda x: np.concatenate([np.asarray(getattr(x, "_value", x), dtype=float)] * 2, axis=-1), 1, "plain numpy"),
        (lambda x: x * np.sin(np.asarray(getattr(x, "_value", x), dtype=float)), 1, "plain numpy"),
        (lambda x: anp.sin(square(x)) + x, 1, "the derivative of square"),
        (lambda x: anp.sin(cube(x)), 2, "second derivative of cube"),
        (lambda x: anp.sort(x, axis=-1), 1, "np.sort with axis=-1"),
        (lambda x: x if anp.sum(x) > 0 else -x, 1, "depends on x"),
        (lambda x: anp.sin(x) * anp.repeat(x, 2, axis=-1)[..., :2], 2, ""),
    ],
)  # fmt: skip
def test_blame_names_the_operation(f, order, words):
    found = blame(f, X, order)
    assert (words in found) if words else found == ""


def test_what_is_not_finite_is_named():
    assert "norm at 0" in unfinished(lambda x: anp.linalg.norm(x, axis=-1) ** 2, np.zeros(2), 1)
    assert "np.where does not take" in unfinished(lambda x: anp.where(x > 0, anp.sqrt(x), x), np.array([-1.0, 1.0]), 1)
    assert unfinished(lambda x: x**2, np.zeros(2), 2) == ""
    assert "eigenvalues that repeat" in unfinished(
        lambda x: anp.linalg.eigvalsh(x[..., None, :] * np.eye(2)), np.ones(2), 2
    )
    assert unsupported(NotImplementedError("VJP of median wrt argnums (0,) not defined")).endswith("np.median")
