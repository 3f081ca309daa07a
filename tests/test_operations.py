"""A few of the operations of benchmarks/operations.py, of every kind: right or refused, and never wrong."""

import numpy as np
import pytest

from benchmarks.operations import OPERATIONS, table

RIGHT = ["numpy.repeat, axis=-1", "numpy.tile of a pair", "numpy.linalg.norm of a pair", "numpy.linalg.eigh, vectors"]
REFUSED = ["numpy.median, keepdims=True", "numpy.sort", "numpy.hstack"]


def test_there_are_at_least_152():
    assert len(OPERATIONS) >= 152


@pytest.mark.parametrize("name", [*RIGHT, *REFUSED])
def test_an_operation_is_right_or_refused_in_maps_and_potentials(name):
    rows = [row for row in table(3, name) if row[0] == name]
    assert len(rows) == 1 and np.all([verdict in ("right", "refused") for _, *pair in rows for verdict, _ in pair])
    _, in_map, in_potential = rows[0]
    assert {in_map[0], in_potential[0]} == ({"right"} if name in RIGHT else {"refused"}), rows[0]
