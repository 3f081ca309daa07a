"""Functions of one variable as recorded calls: the algebra done on them, and their values."""

import autograd.numpy as anp
import numpy as np
import pytest

from geoflow.potentials.curves import Affinity, Nodes

S = np.linspace(0.1, 3.0, 7)


def call(nodes, f, *operands):
    args = tuple(None if isinstance(k, int) else k for k in operands)
    return nodes.call(f, args, [(i, k) for i, k in enumerate(operands) if isinstance(k, int)], {})


def test_a_node_is_kept_once_and_evaluated():
    nodes = Nodes()
    e = call(nodes, anp.exp, 0)
    assert call(nodes, anp.exp, 0) == e and nodes.exponent(e) == 0
    both = nodes.affine(2.0, [(3.0, e), (1.0, e), (-1.0, 0)])
    assert nodes.affine(2.0, [(4.0, e), (-1.0, 0)]) == both
    assert np.array_equal(nodes.curve(both)(S), -S + 4 * np.exp(S) + 2)
    assert nodes.affine(0.0, [(1.0, both)]) == both, "a sum of one is that one"


def test_squares_are_multiplied_out():
    nodes = Nodes()
    line = nodes.affine(-3.0, [(2.0, 0)])
    powers = [call(nodes, anp.multiply, line, line), call(nodes, anp.square, line), call(nodes, anp.power, line, 2.0)]
    assert len(set(powers)) == 1 and dict(nodes.parts(powers[0])[1]) == {0: -12.0, 1: 4.0}
    assert np.allclose(nodes.curve(powers[0])(S), (2 * S - 3) ** 2, rtol=1e-14)
    cube = nodes.call(anp.power, (None, 3), [(0, line)], {})
    assert nodes.line(cube) is None and np.allclose(nodes.curve(cube)(S), (2 * S - 3) ** 3, rtol=1e-14)


@pytest.mark.parametrize("c", [1.0, 2.5])
def test_log_of_two_exponentials_keeps_its_digits(c):
    nodes = Nodes()
    e, back = call(nodes, anp.exp, 0), call(nodes, anp.exp, nodes.affine(0.0, [(-1.0, 0)]))
    for inside, wanted in (
        (nodes.affine(c, [(3.0, e)]), np.log(c + 3 * np.exp(S))),
        (nodes.affine(0.0, [(c, e), (1.0, back)]), np.log(c * np.exp(S) + np.exp(-S))),
    ):
        curve = nodes.curve(call(nodes, anp.log, inside))
        assert np.allclose(curve(S), wanted, rtol=1e-14)
        assert np.isfinite(curve(np.array([800.0, -800.0]))).all(), "the plain formula overflows here"
        assert "logaddexp" in [getattr(s.function, "__name__", "") for s in curve.steps if not isinstance(s, Affinity)]
    three = call(nodes, anp.log, nodes.affine(1.0, [(1.0, e), (1.0, back)]))
    assert np.allclose(nodes.curve(three)(S), np.log(1 + np.exp(S) + np.exp(-S)), rtol=1e-14)


def test_one_function_in_many_spellings():
    nodes = Nodes()
    log = call(nodes, anp.log, 0)
    plain = call(nodes, anp.multiply, 0, log)
    scaled = call(nodes, anp.log, nodes.affine(0.0, [(2.0, 0)]))
    spelled = call(nodes, anp.multiply, nodes.affine(0.0, [(5.0, 0)]), nodes.affine(-1.0, [(1.0, scaled)]))
    constant, parts = nodes.parts(spelled)
    assert constant == 0 and dict(parts)[plain] == 5.0 and set(dict(parts)) == {0, plain}
    assert np.allclose(nodes.curve(spelled)(S), 5 * S * (np.log(2 * S) - 1), rtol=1e-14)
