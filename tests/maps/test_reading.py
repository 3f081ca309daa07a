"""What a record tells of a map on R^D."""

import autograd.numpy as anp
import numpy as np

from geoflow.maps.reading import Reading


def test_blocks_kinds_and_parts_are_of_one_record():
    reading = Reading(lambda x: x[..., :3] * x[..., 3:], 6, 3)
    assert reading.blocks.count == 3 and np.array_equal(reading.kinds, [0, 0, 0])
    function, inputs = reading.some_outputs(np.array([1]))
    assert np.array_equal(inputs, [1, 4]) and function(np.array([2.0, 5.0])) == 10.0


def test_what_cannot_be_recorded_is_one_block_without_kinds():
    reading = Reading(lambda x: x if np.asarray(anp.sum(x)) > 0 else -x, 2, 2)
    assert reading.blocks.single
    if reading.kinds is not None:
        assert len(reading.kinds) == 2
