"""Some outputs of a recorded map as a map of their own, and which outputs are one function."""

import autograd.numpy as anp
import numpy as np
import pytest

from geoflow.maps.blocks import Blocks
from geoflow.numerics.parts import kinds, part
from geoflow.numerics.records import record
from geoflow.numerics.structure import components

C, P = np.array([1.0, 1.0, 2.0, 1.0]), np.eye(8)[np.random.default_rng(0).permutation(8)]
#: maps R^8 -> R^4 with outputs that share no input, and which of these are one function of theirs
MAPS = {
    "differences of squares": (lambda x: x[..., :4] ** 2 - x[..., 4:] ** 2, [0, 0, 0, 0]),
    "a weight of its own": (lambda x: C * x[..., :4] ** 3 - x[..., 4:] ** 3, [0, 0, 1, 0]),
    "a shift of its own": (lambda x: anp.exp(x[..., :4] + C) * x[..., 4:], [0, 0, 1, 0]),
    "products of pairs": (lambda x: anp.prod(anp.reshape(x, (*x.shape[:-1], 4, 2)), axis=-1), [0, 0, 0, 0]),
    "sums of columns": (lambda x: anp.sum(anp.reshape(x, (*x.shape[:-1], 2, 4)) ** 2, axis=-2), [0, 0, 0, 0]),
    "one by one": (
        lambda x: anp.stack(
            [x[..., 0] ** 2 - x[..., 4], x[..., 1] ** 2 - x[..., 5], anp.sin(x[..., 2]), x[..., 3]], -1
        ),
        [0, 0, 1, 2],
    ),
    "a choice": (lambda x: anp.where(x[..., :4] > 0, x[..., :4], 0.1 * x[..., :4]) * x[..., 4:], [0, 0, 0, 0]),
    "a permutation": (lambda x: (x @ P)[..., :4] ** 2 * (x @ P)[..., 4:], None),
    "a matrix of blocks": (lambda x: x @ np.kron(np.eye(4), [[1.0], [2.0]]), [0, 0, 0, 0]),
    "two weights exchanged": (lambda x: x @ np.kron(np.eye(4), [[1.0], [2.0]])[[1, 0, 2, 3, 4, 5, 6, 7]], [0, 1, 1, 1]),
}


def read(f):
    found, _ = record(f, np.linspace(0.5, 1.5, 8))
    return found, Blocks(*components(found))


@pytest.mark.parametrize("name", MAPS)
def test_outputs_of_one_kind_are_one_function(name, rng):
    f, wanted = MAPS[name]
    found, blocks = read(f)
    labels = kinds(found, blocks.place_in_block)
    if wanted is not None:
        assert np.array_equal(labels[:, None] == labels, np.equal.outer(wanted, wanted))
    x, size = np.zeros((5, 8)), int(blocks.sizes.max())
    shared = rng.uniform(-1, 1, (5, size))
    used = blocks.of_input >= 0
    x[:, used] = shared[:, blocks.place_in_block[used]]  # every block at the same inputs
    for a in range(4):
        for b in range(4):
            if labels[a] == labels[b]:
                assert np.allclose(f(x)[:, a], f(x)[:, b], rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", MAPS)
def test_a_part_is_the_map_of_its_outputs(name, rng):
    f, _ = MAPS[name]
    found, _ = read(f)
    for outputs in (np.array([2]), np.array([3, 1]), np.arange(4)):
        function, inputs = part(found, outputs)
        x = rng.uniform(-1, 1, (2, 3, 8))
        assert np.allclose(function(x[..., inputs]), f(x)[..., outputs], rtol=1e-14, atol=1e-16)
        assert len(inputs) < 8 or len(outputs) == 4


@pytest.mark.parametrize(
    "f",
    [lambda x: anp.sort(x)[..., :4], lambda x: anp.cumsum(x, axis=-1)[..., :4]],
    ids=["sort", "cumsum"],
)
def test_what_is_not_read_entry_by_entry_has_no_kinds_and_no_part(f):
    found, note = record(f, np.linspace(0.5, 1.5, 8))
    if found is None:
        assert note
        return
    assert kinds(found, np.zeros(8, dtype=int)) is None and part(found, np.array([0])) is None
