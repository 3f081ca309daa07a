import numpy as np
import pytest

import geoflow  # noqa: F401  chooses geomstats' backend before any test imports geomstats


@pytest.fixture
def rng():
    return np.random.default_rng(20221128)
