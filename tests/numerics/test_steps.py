"""Short motions by a few steps: the orders of the pairs, and what they refuse."""

import numpy as np
import pytest

from geoflow.numerics.runs import error_norm
from geoflow.numerics.steps import LARGEST_CHANGE, few_steps, pairs


def accepts(errors, end):
    return True


@pytest.mark.parametrize("k, order", [(0, 2), (1, 3), (2, 5), (3, 8)])
def test_the_pairs_have_their_orders(k, order):
    """y' = y: the error of one step falls as its order + 1."""
    pair = pairs()[k]
    for row, node in zip(pair.A, pair.A.sum(axis=1), strict=True):
        assert row.sum() == pytest.approx(node)
    assert pair.b.sum() == pytest.approx(1.0, abs=1e-14)

    def step(h):
        stages = []
        for row in pair.A:
            y = 1.0 + sum(a * s for a, s in zip(row, stages, strict=False))
            stages.append(h * y)
        return abs(1.0 + pair.b @ np.array(stages) - np.exp(h))

    h = {2: 0.05, 3: 0.05, 5: 0.2, 8: 0.5}[order]
    assert np.log2(step(h) / step(h / 2)) == pytest.approx(order + 1, abs=0.5)


@pytest.mark.parametrize("change", [1e-9, 1e-7, 1e-5, 1e-3, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_few_steps_of_blow_up_have_the_accuracy_asked(change, scale):
    """y' = (change / scale) y^2 from `scale` is scale / (1 - change) after unit time."""
    calls, y = [], np.full((2, 3), scale)

    def field(y):
        calls.append(1)
        return change / scale * y * y

    def accept(errors, end):
        return error_norm([error.reshape(6, 1) / (1e-11 * scale) for error in errors]) < 1

    end = few_steps(field, y, field(y), change, accept)
    assert np.allclose(end, scale / (1 - change), rtol=1e-11)
    assert len(calls) <= (2 if change < 1e-6 else 12 * np.ceil(change / 0.05))


def test_what_is_not_accepted_or_large_or_nan_is_none():
    y = np.ones((1, 1))
    assert few_steps(lambda y: y, y, y, LARGEST_CHANGE, accepts) is None
    assert few_steps(lambda y: 1e-3 * y, y, 1e-3 * y, 1e-3, lambda errors, end: False) is None
    assert few_steps(lambda y: np.nan * y, y, np.nan * y, np.nan, accepts) is None
    tried = []
    few_steps(lambda y: y, y, y * 1e-9, 1e-9, lambda errors, end: tried.append(1))
    assert len(tried) == len(pairs())
