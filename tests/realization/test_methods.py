"""What solvers of realizations are given and give back: budgets, tasks, and the register of methods."""

import dataclasses

import numpy as np
import pytest

import geoflow as gf
from geoflow.realization import spectral, twist
from geoflow.realization.methods import METHODS, Budget, Stage, Task, register


@pytest.mark.parametrize(
    "options, words",
    [
        ({"ambient_dim": 0}, "ambient_dim"),
        ({"ambient_dim": 2.0}, "ambient_dim"),
        ({"ambient_dim": True}, "ambient_dim"),
        ({"max_degree": -3}, "max_degree"),
        ({"frequency": 0.0}, "frequency"),
        ({"frequency": np.inf}, "frequency"),
        ({"frequency": "fast"}, "frequency"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(options, words):
    with pytest.raises(gf.ArgumentError, match=words):
        Budget(**options)
    with pytest.raises(gf.ArgumentError, match=words):
        gf.realize(gf.catalog.potentials["quartic"](2), gf.domains.Box([-1, -1], [1, 1]), **options)


def test_a_budget_is_unlimited_by_default_and_cannot_be_changed():
    budget = Budget(max_degree=7)
    assert budget.ambient_dim is None and budget.frequency is None and budget.max_degree == 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        budget.seed = 3
    with pytest.raises(TypeError):
        Budget(degree=3)


def test_the_methods_are_known_by_their_names():
    assert METHODS["spectral"] is spectral.SPECTRAL and METHODS["twist"] is twist.TWIST
    for name, method in METHODS.items():
        assert method.name == name and method.remedy
    for name in ("spectral", "auto", "exact"):
        with pytest.raises(gf.ArgumentError, match="second one"):
            register(dataclasses.replace(METHODS["spectral"], name=name))


@pytest.mark.parametrize("name", ["spectral", "twist"])
def test_a_solver_announces_its_stages_and_its_embedding_survives_as_arrays(name, rng):
    R = gf.catalog.potentials["log_sum_exp"](2)
    lower, upper, seen = -np.ones(2), np.ones(2), []

    def fresh_error(F):
        return 1.0 / (1 + len(seen))

    task = Task(R.kernel.hessian, lower, upper, 0.4, fresh_error, Budget(), seen.append)
    assert task.dim == 2
    found = METHODS[name].solve(task)
    assert found.stages == seen and all(isinstance(s, Stage) for s in seen) and found.reason
    assert seen[-1].fresh <= 0.4 or name == "twist"
    again = METHODS[name].from_arrays(lower, upper, METHODS[name].arrays_of(found.embedding))
    w = rng.uniform(lower, upper, (5, 2))
    assert np.array_equal(again.value(w), found.embedding.value(w))
    assert np.array_equal(again.jacobian(w), found.embedding.jacobian(w))
