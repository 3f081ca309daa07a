"""The command line as a user meets it: output, files and exit status."""

import json

import pytest

from geoflow import catalog
from geoflow.app.cli import main

GOOD = """
import autograd.numpy as np
import geoflow as gf
G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, space=4, codomain_dim=2, name="mine")
bad = gf.Parametrization(lambda x: np.stack([x[..., 0], x[..., 0] ** 2 + x[..., 1]], -1), 2, 2, name="bad")
degenerate = gf.Parametrization(lambda x: np.stack([x[..., 0], x[..., 0]], -1), 2, 2)
x0 = [1.0, 0.7, 0.5, 0.3]
number = 3
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
    assert {p.name for p in plots.iterdir()} == {"sine_trajectories.png", "sine_gap.png"}
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
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert names == ["convergence.png", "flow.png", "surface.png"]
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
