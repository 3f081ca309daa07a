"""The kernel of a function: read once, and anew where the function has changed."""

import autograd.numpy as anp
import numpy as np

import geoflow as gf


def test_a_function_that_has_changed_is_read_anew():
    """Blocks are read off a map once: an array that it closes over may be written to."""
    A, B, x0 = np.eye(3), np.zeros((3, 3)), np.array([1.0, 0.8, 0.6])
    mixed = gf.Parametrization(lambda x: anp.matmul(x**2, A), 3, 3)
    bent = gf.Parametrization(lambda x: x**2 + anp.matmul(x, B) ** 3, 3, 3)
    assert mixed.check_commuting(x0) and bent.check_commuting(x0) and mixed.kernel.blocks.count == 3
    A[:], B[0, 1] = [[1, 0.5, 0.1], [0.2, 1, 0.3], [0.1, 0.4, 1]], 1.0
    assert not bent.check_commuting(x0)
    again, w = gf.Parametrization(lambda x: anp.matmul(x**2, A), 3, 3), 1.1 * mixed(x0)
    assert np.allclose(gf.mirror_map(mixed, x0).gradient(w), gf.mirror_map(again, x0).gradient(w), rtol=1e-12)


def test_what_overflows_where_a_map_is_read_is_no_error():
    """It is read at points of its own, where a user's warnings may be errors."""
    steep = gf.Parametrization(lambda x: anp.exp(800 * x) / 1e300, 2, 2)
    with np.errstate(all="raise"):
        assert steep.check_commuting([0.1, 0.2])
