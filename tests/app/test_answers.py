"""The JSON of every command: what it was asked, what it found, and what it was raised by."""

import json

import numpy as np
import pytest

from geoflow.app.answers import plain
from geoflow.app.cli import main

MAPS = """
import autograd.numpy as np
import geoflow as gf
import pathlib
log = pathlib.Path("reads.txt")
log.write_text((log.read_text() if log.exists() else "") + "read ")
G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2, name="mine")
H = gf.Parametrization(lambda x: x[..., :2] ** 2, 2, 2, name="squares")
case = gf.catalog.parametrizations["sine"](2)
R = gf.LegendreFunction(lambda w: np.sum(np.cosh(w), -1), 2)
x0 = [1.0, 0.7, 0.5, 0.3]
"""


def strictly(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def answer(tmp_path, *arguments):
    file = tmp_path / "answer" / "of.json"
    status = main([*arguments, "--json", str(file)])
    return status, strictly(file.read_text())


def test_numbers_of_every_kind_are_strict_json():
    value = {
        "a": np.float64(np.nan),
        1: (np.inf, -np.inf),
        "b": np.arange(3),
        "c": [True, None, np.bool_(False)],
        "d": {1},
    }
    assert plain(value) == {"a": "nan", "1": ["inf", "-inf"], "b": [0, 1, 2], "c": [True, None, False], "d": "{1}"}
    assert strictly(json.dumps(plain(value), allow_nan=False)) == plain(value)


def test_list(tmp_path, capsys):
    status, content = answer(tmp_path, "list")
    assert status == 0 and content["passed"] and content["command"].startswith("geoflow list --json")
    assert {row["name"] for row in content["Potentials"]} >= {"burg", "quartic"}
    assert len(content["Commuting parametrizations"]) > 10 and "burg" in capsys.readouterr().out


def test_verify_with_what_is_proved(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps.py").write_text(MAPS)
    status, content = answer(
        tmp_path, "verify", "maps.py:G", "maps.py:H", "matrix_square", "--prove", "--x0", "1,1,1,1"
    )
    assert status == 2 and "shape" in content["error"] and not content["passed"]  # H has two coordinates
    assert [row["name"] for row in content["rows"]] == ["maps.py:G"]
    (tmp_path / "reads.txt").unlink()
    status, content = answer(tmp_path, "verify", "maps.py:G", "maps.py:case", "matrix_square", "--prove")
    assert status == 0 and (tmp_path / "reads.txt").read_text() == "read "  # once
    proofs = {proof["name"]: proof for proof in content["proofs"]}
    assert proofs["maps.py:G"]["status"] == "proved" and proofs["matrix_square"]["status"] == "refuted"
    assert "2 x_3" in proofs["matrix_square"]["proof"] and len(content["rows"]) == 3
    capsys.readouterr()


def test_realize_with_its_proof(tmp_path, capsys):
    pytest.importorskip("flint")
    status, content = answer(
        tmp_path, "realize", "burg", "--d", "1", "--box", "0.5:1", "--method", "spectral", "--prove"
    )
    assert status == 0 and content["passed"] and content["name"] == "Burg entropy"
    assert content["proof"]["passed"] and 0 <= content["proof"]["eps"] < 1e-6 and "proved" in content["proof"]["proof"]
    assert "proved" in capsys.readouterr().out


def test_a_refusal_and_a_mistake_are_answers_too(tmp_path, capsys):
    call, file = "realize quartic --box -1:1 --dim 2 --method spectral --tol 1e-3", str(tmp_path / "F.npz")
    status, content = answer(tmp_path, *call.split(), "--save", file)
    assert status == 1 and not content["passed"] and "metric" in content["failures"]
    assert "not saved" in capsys.readouterr().out and not (tmp_path / "F.npz").exists()
    status, content = answer(tmp_path, "realize", "quartic")
    assert status == 2 and "bounded" in content["error"] and not content["passed"]


def test_sweep(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    (tmp_path / "study.py").write_text("def figure(a):\n    return {'inverse': 1 / a}\n")
    (tmp_path / "plan.toml").write_text('function = "study.py:figure"\nfolder = "out"\n[grid]\na = [0, 1, 2]\n')
    status, content = answer(tmp_path, "sweep", str(tmp_path / "plan.toml"), "--jobs", "1")
    assert status == 1 and (len(content["rows"]), content["failed"]) == (3, 1)
    assert content["rows"][0]["a"] == 0 and "ZeroDivision" in content["rows"][0]["error"]
    assert [row["inverse"] for row in content["rows"]] == [None, 1.0, 0.5]
    capsys.readouterr()


def test_a_run_that_is_ended_by_its_limit_is_an_answer(tmp_path, capsys):
    (tmp_path / "slow.py").write_text("while True: pass\n")
    answer(tmp_path, "verify", "identity")  # imports what a command needs: the limit would leave that half done
    status, content = answer(tmp_path, "verify", f"{tmp_path}/slow.py:G", "--timeout", "0.3")
    assert status == 124 and "--timeout 0.3 is over" in content["error"]
    capsys.readouterr()
