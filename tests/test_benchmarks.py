"""The benchmark scripts: they import, take turns, print, and refuse to time two sides that disagree.

How fast anything is depends on the machine, and is not asserted; how often a map is evaluated is, in
numerics/test_autodiff and maps/test_brackets.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import geoflow as gf

FOLDER = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(f"{name}_benchmark", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_the_scripts_import(path):
    assert (script(path.stem).__doc__ or "").strip()


def test_the_sides_agree_before_they_are_timed():
    benchmark = script("autodiff")
    assert set(benchmark.jacobian_of_a_batch(n_points=50, rounds=1)) == {"geoflow", "geomstats"}
    assert set(benchmark.brackets_of_a_point(d=3, rounds=1)) == {"geoflow", "autograd"}


def test_a_side_that_is_wrong_is_not_timed(monkeypatch):
    benchmark, jacobian = script("autodiff"), gf.autodiff.jacobian
    monkeypatch.setattr(gf.autodiff, "jacobian", lambda f: lambda x: 1.001 * jacobian(f)(x))
    with pytest.raises(AssertionError, match="differ"):
        benchmark.jacobian_of_a_batch(n_points=5, rounds=1)
    monkeypatch.setattr(gf.Parametrization, "brackets", lambda G, x: np.ones((3, 3, 6)))
    with pytest.raises(AssertionError, match="differ"):
        benchmark.brackets_of_a_point(d=3, rounds=1)


def test_the_script_prints_its_figures(capsys, monkeypatch):
    benchmark = script("autodiff")
    monkeypatch.setattr(benchmark, "jacobian_of_a_batch", lambda: {"geoflow": 1e-3, "geomstats": 1e-1})
    benchmark.main()
    assert "ratio of medians 100" in capsys.readouterr().out


@pytest.mark.parametrize("rounds", [3])
def test_interleaving_takes_turns(rounds):
    order = []
    script("autodiff").interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds)
    assert order == ["a", "b"] * (rounds + 1)


def test_the_cost_of_a_realization_counts_what_the_solver_does(capsys):
    benchmark = script("realization_cost")
    step = benchmark.Step(2, 4, 5)
    m, P = 15, 38
    assert step.unknowns == 5 * m and step.normal().shape == (75, 75) and np.isfinite(step.solve()).all()
    assert step.normal_flops == (2 * 15 + 25) * P * m**2 and step.solve_flops == 75**3 / 3
    assert benchmark.exponent([1, 2, 4, 8], [5.0, 8.0, 64.0, 512.0]) == pytest.approx(3.0)
    benchmark.main({"degree, d = 2": [(2, p, 5) for p in (3, 4, 5)]}, rounds=1, n=50)
    printed = capsys.readouterr().out
    assert printed.count("unknowns") == 3 and "exponent of seconds" in printed and "exponent of flops" in printed
