"""The command line as a user meets it: output, files and exit status."""

import contextlib
import io
import json
import re

import pytest

from benchmarks import commands
from geoflow import catalog
from geoflow.app.cli import main
from geoflow.realization.archive import read_arrays, write_arrays

GOOD = """
import autograd.numpy as np
import geoflow as gf
G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, space=4, codomain_dim=2, name="mine")
bad = gf.Parametrization(lambda x: np.stack([x[..., 0], x[..., 0] ** 2 + x[..., 1]], -1), 2, 2, name="bad")
degenerate = gf.Parametrization(lambda x: np.stack([x[..., 0], x[..., 0]], -1), 2, 2)
x0 = [1.0, 0.7, 0.5, 0.3]
number = 3
case = gf.catalog.parametrizations["square"](2)
R = gf.LegendreFunction(lambda w: np.sum(np.cosh(w), axis=-1), 2)
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "maps.py"
    path.write_text(GOOD)
    return str(path)


def test_list_names_every_entry(capsys):

    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in [*catalog.parametrizations, *catalog.noncommuting, *catalog.potentials]:
        assert name in printed


def test_verify_entries_with_json_and_figures(tmp_path, capsys):
    target = tmp_path / "out" / "rows.json"
    plots = tmp_path / "plots"
    assert main(["verify", "sine", "parabola", "--dim", "3", "--json", str(target), "--plot", str(plots)]) == 0
    content = json.loads(target.read_text())
    assert content["passed"] and [row["name"] for row in content["rows"]] == ["sine", "parabola"]
    assert content["rows"][0]["d"] == 3 and content["rows"][0]["figures"]["gap"] <= 1e-7
    assert content["rows"][1]["refused"]
    assert {p.name for p in plots.iterdir()} == {
        "sine_trajectories.png",
        "sine_trajectories.svg",
        "sine_gap.png",
        "sine_gap.svg",
    }
    assert "refused" in capsys.readouterr().out


def test_verify_a_users_own_map(module, capsys):
    assert main(["verify", f"{module}:G"]) == 0
    assert "pass" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["bad", "degenerate"])
def test_a_users_map_outside_the_theorem_fails_with_its_reason(module, name, capsys):
    assert main(["verify", f"{module}:{name}", "--x0", "1,0.5"]) == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed and "relative defect" in printed


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["verify", "hyperbolc"], "did you mean hyperbolic"),
        (["verify", "nowhere.py:G"], "no such file"),
        (["verify", "{module}:H"], "no such name"),
        (["verify", "{module}:number"], "int"),
        (["verify", "{module}"], "FILE.py:OBJECT"),
        (["verify", "{module}:G", "--x0", "1,a"], "separated by commas"),
        (["verify", "{module}:G", "--x0", "1,2"], r"[..., 4]"),
        (["verify", "sine", "--dim", "0"], "at least 1"),
    ],
)
def test_bad_usage_is_one_clear_line(module, arguments, words, capsys):
    assert main([a.replace("{module}", module) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and "Traceback" not in captured.err


POTENTIAL = """
import autograd.numpy as np
import geoflow as gf
R = gf.LegendreFunction(lambda w: np.sum(np.cosh(w), axis=-1) + np.sum(w, axis=-1) ** 4 / 8, domain=2)
"""


def test_realize_a_users_potential_to_a_picture(tmp_path, capsys):
    import geoflow as gf

    (tmp_path / "mine.py").write_text(POTENTIAL)
    target, saved = f"{tmp_path}/mine.py:R", tmp_path / "F.npz"
    options = ["--box=-1:1", "--tol", "1e-5", "--plot", str(tmp_path / "pictures"), "--save", str(saved)]
    assert main(["realize", target, *options, "--json", str(tmp_path / "F.json")]) == 0
    printed = capsys.readouterr()
    assert "gradient flow on M is mirror flow of R" in printed.out and "error" in printed.err
    names = sorted(p.name for p in (tmp_path / "pictures").glob("*.png"))
    assert names == ["flow_on_realization.png", "spectral_convergence.png", "spectral_error.png", "surface.png"]
    assert gf.load_realization(saved).certificate.passed
    assert json.loads((tmp_path / "F.json").read_text())["passed"]


def test_realize_refuses_with_a_figure_and_a_remedy(capsys):
    assert main(["realize", "quartic", "--box=-1:1", "--dim", "2", "--method", "spectral", "--tol", "1e-3"]) == 1
    assert "REFUSED" in capsys.readouterr().out
    for arguments, word in (
        (["burg", "--box=-1:1"], "outside"),
        (["quartic", "--box=1"], "--box"),
        (["quartic"], "bounded"),
    ):
        assert main(["realize", *arguments]) == 2
        assert word in capsys.readouterr().err


def test_verify_a_potential_by_name(capsys):
    assert main(["verify", "simplex_entropy"]) == 0
    assert "Converse theorem" in capsys.readouterr().out


def test_command_lines_of_every_kind_end_in_one_line_and_their_status(tmp_path):
    """Some of `python -m benchmarks.commands`, here without a process of their own; none runs a flow for long."""
    quick = [
        line for line in commands.lines(7, 240, tmp_path)
        if line.status == 2 and not line.kind.startswith(("late", "sample", "closed", "potential"))
    ]  # fmt: skip
    assert len(quick) > 100 and len({line.kind for line in quick}) > 80
    for line in quick[::4]:
        with contextlib.redirect_stderr(io.StringIO()) as printed, contextlib.redirect_stdout(io.StringIO()):
            status = main(list(line.arguments))
        assert commands.fault(line, status, printed.getvalue()) == "", line


def test_every_call_with_a_mistake_is_answered_in_one_line_with_a_remedy(tmp_path):
    """All of them but those that run a solver first: more than 60."""
    (tmp_path / "maps.py").write_text(commands.GOOD)
    calls = [line for line in commands.calls(tmp_path) if line.status == 2 and line.kind != "realize FILE:R"]
    assert len(calls) > 60
    for line in calls:
        with contextlib.redirect_stderr(io.StringIO()) as printed, contextlib.redirect_stdout(io.StringIO()):
            status = main(list(line.arguments))
        assert commands.fault(line, status, printed.getvalue()) == "", line


@pytest.mark.parametrize(
    "statement", ["1 / 0", "raise KeyboardInterrupt", "raise SystemExit(0)", "np.linalg.inv(0 * np.eye(2))"]
)
def test_what_a_map_raises_late_is_no_verdict(statement, tmp_path, capsys):
    path = tmp_path / "late.py"
    path.write_text(commands.PLACES["late"][1].replace("DELAY", "60").replace("{}", statement))
    assert main(["verify", "identity", f"{path}:G", "--json", str(tmp_path / "rows.json")]) == 2
    captured = capsys.readouterr()
    assert f"{path}, line 8" in captured.err and "Traceback" not in captured.err
    assert "identity" in captured.out  # what was done
    content = json.loads((tmp_path / "rows.json").read_text())
    assert not content["passed"] and [row["name"] for row in content["rows"]] == ["identity"]
    assert main(["verify", f"{path}:G", "--traceback"]) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_the_judge_of_command_lines_sees_faults():
    line = commands.Line(("list",), 2, "word")
    assert "no answer" in commands.fault(line, None, "")
    assert "traceback" in commands.fault(line, 2, "Traceback (most recent call last)")
    assert "exit status 0" in commands.fault(line, 0, "")
    assert "no remedy" in commands.fault(line, 2, "a word")
    assert "2 lines" in commands.fault(line, 2, "a word\nb") and "no 'word'" in commands.fault(line, 2, "a")
    assert commands.fault(line, 2, "... sine\ngeoflow: word; wanted another") == ""


def test_outputs_that_cannot_be_written_are_refused_before_the_run(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for arguments in (
        ["--json", str(tmp_path)],
        ["--json", str(tmp_path / "file" / "x")],
        ["--plot", str(tmp_path / "file")],
    ):
        assert main(["verify", "sine", *arguments]) == 2
        captured = capsys.readouterr()
        assert "wanted" in captured.err and "... sine" not in captured.err


def test_options_that_mean_nothing_are_refused(module, capsys):
    for arguments in (
        ["verify", f"{module}:G", "--dim", "2"], ["verify", "sine", "--x0", "1"], ["realize", f"{module}:R", "--d=2"],
        ["verify", "parabola", "--dim", "3"], ["verify", "parabola", "matrix_square", "--dim", "7"],
        ["verify", f"{module}:case", "--x0", "1,1"], ["verify", "burg", "--prove"], ["verify", "burg", "--x0", "1"],
    ):  # fmt: skip
        assert main(arguments) == 2
        assert "--" in capsys.readouterr().err


def test_options_that_some_targets_have_no_use_for_are_told_of(module, capsys):
    assert main(["verify", "sine", f"{module}:G", "parabola", "--dim", "3", "--x0", "1,1,1,1"]) == 0
    told = capsys.readouterr().err
    assert f"--dim is not for {module}:G, parabola" in told and "--x0 is not for sine, parabola" in told
    assert main(["verify", "burg", "square", "--prove"]) == 0
    captured = capsys.readouterr()
    assert "--prove is not for burg" in captured.err and "square: commuting proved" in captured.out


def test_a_plot_of_nothing_says_so(tmp_path, capsys):
    assert main(["verify", "parabola", "--plot", str(tmp_path / "none")]) == 0
    assert "no pictures: nothing here has flows in x" in capsys.readouterr().out


def test_what_is_proved_is_printed_in_other_words_than_what_is_measured(capsys):
    assert main(["verify", "matrix_square", "square", "--prove"]) == 0
    printed = capsys.readouterr().out
    assert "matrix_square: not commuting, proved" in printed and "-2 x_3, -2 x_4, 2 x_1, 2 x_2" in printed
    assert "square: commuting proved: by structure" in printed


def test_a_realization_is_proved_on_its_box(capsys):
    pytest.importorskip("flint")
    assert main(["realize", "burg", "--d", "1", "--box", "0.5:1", "--method", "spectral", "--prove"]) == 0
    printed = capsys.readouterr().out
    assert "proved on all of Box([0.5], [1.0])" in printed and "(measured " in printed
    apart, gap = (float(re.search(pattern, printed)[1]) for pattern in (r"at most (\S+) apart", r"add: (\S+)"))
    assert 0 < gap < 1e-6 and 0 < apart < 1e-4


def test_a_saved_proof_is_checked_and_a_changed_one_fails(tmp_path, capsys):
    pytest.importorskip("flint")
    file = tmp_path / "F.npz"
    common = ["realize", "burg", "--d", "1", "--box", "0.5:1", "--method", "spectral", "--tol", "1e-6"]
    assert main([*common, "--prove", "--save", str(file)]) == 0
    stated = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("proved on all"))
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == stated
    arrays = read_arrays(file)
    write_arrays(file, {**arrays, "proof_eps": arrays["proof_eps"] / 2}, lambda path: None)
    assert main(["check", str(file)]) == 1 and "nothing is proved" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "none.npz")]) == 2
