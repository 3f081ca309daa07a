"""The speed the library promises, from the benchmark's own script."""

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location(
    "autodiff_benchmark", Path(__file__).parent.parent / "benchmarks" / "autodiff.py"
)
benchmark = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)


def test_jacobian_of_a_batch_is_50_times_faster_than_a_loop():
    seconds = benchmark.jacobian_of_a_batch(rounds=5)
    assert seconds["geomstats"] / seconds["geoflow"] >= 50, seconds


def test_all_brackets_within_20_milliseconds():
    seconds = benchmark.brackets_of_a_point()
    assert seconds["geoflow"] <= 0.020, seconds
    assert seconds["autograd"] > seconds["geoflow"]


def test_the_script_prints_its_figures(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "jacobian_of_a_batch", lambda: {"geoflow": 1e-3, "geomstats": 1e-1})
    benchmark.main()
    assert "ratio of medians 100" in capsys.readouterr().out


@pytest.mark.parametrize("rounds", [3])
def test_interleaving_takes_turns(rounds):
    order = []
    benchmark.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds)
    assert order == ["a", "b"] * (rounds + 1)
