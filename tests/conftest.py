"""A seeded generator for every test, and numerical realizations that several files ask for."""

from functools import partial

import numpy as np
import pytest

import geoflow as gf  # before any test imports geomstats, whose backend it chooses


@pytest.fixture
def rng():
    return np.random.default_rng(20221128)


@pytest.fixture(scope="session")
def black_box():
    """R without its structure: solvers see its Hessian only."""
    return lambda R: gf.LegendreFunction(R.potential, R.domain, hessian=partial(R.kernel.derivative, 2), name=R.name)


@pytest.fixture(scope="session")
def realized(black_box):
    """Numerical realizations by name, each solved once."""
    potentials, box = gf.catalog.potentials, gf.domains.Box
    gauss, square = box([-1, -2], [1, -0.5]), box([-1, -1], [1, 1])
    requests = {
        "twist, Gaussian": ("gaussian_log_partition", 2, gauss, "twist", 1e-8, None),
        "twist, log-sum-exp": ("log_sum_exp", 3, box([-1] * 3, [1] * 3), "twist", 1e-6, None),
        "spectral, quartic": ("quartic", 2, box([-2, -2], [2, 2]), "spectral", 1e-10, None),
        "spectral, log-sum-exp": ("log_sum_exp", 2, square, "spectral", 1e-8, None),
        "spectral, a sphere": ("log_sum_exp", 2, square, "spectral", 1e-6, 3),
        "auto": ("gaussian_log_partition", 2, gauss, "auto", 1e-6, None),
    }
    made = {}

    def get(name):
        if name not in made:
            potential, d, region, method, tol, ambient_dim = requests[name]
            R = black_box(potentials[potential](d))
            made[name] = gf.realize(R, region, tol=tol, method=method, ambient_dim=ambient_dim)
        return made[name]

    return get
