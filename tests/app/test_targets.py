"""What a user names on the command line."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.app.targets import box_of, user_case, user_potential

MODULE = """
import autograd.numpy as np
import geoflow as gf
G = gf.Parametrization(lambda x: x**2, 2, 2, name="mine")
case = gf.catalog.parametrizations["sine"](3)
R = gf.LegendreFunction(lambda w: np.sum(np.cosh(w), axis=-1), 2, name="cosh")
x0 = [1.0, 0.5]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "maps.py"
    path.write_text(MODULE)
    return str(path)


def test_a_map_starts_where_it_is_told_or_where_its_module_says(file):
    assert user_case(f"{file}:G", None).x0.tolist() == [1.0, 0.5]
    case = user_case(f"{file}:G", "2,3e-1")
    assert case.x0.tolist() == [2.0, 0.3] and case.parametrization.name == "mine" and case.legendre is None
    assert user_case(f"{file}:case", None).parametrization.name == "sine"


def test_a_file_that_was_read_is_not_read_again_and_a_case_has_its_own_start(file):
    read = {}
    first, second = (user_case(f"{file}:G", None, read) for _ in range(2))
    assert list(read) == [file] and first.parametrization is second.parametrization
    with pytest.raises(gf.ArgumentError, match="own start"):
        user_case(f"{file}:case", "1,1,1")


def test_a_map_without_a_start_gets_one(tmp_path):
    path = tmp_path / "no_start.py"
    path.write_text(MODULE.replace("x0 = ", "start = "))
    x0 = user_case(f"{path}:G", None).x0
    assert x0.shape == (2,) and (x0 > 0).all()


def test_a_potential_by_name_or_from_a_file(file):
    assert user_potential("burg", 3).dim == 3 and user_potential("burg", None).dim == 2
    assert user_potential(f"{file}:R", None).name == "cosh"
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        user_potential(f"{file}:G", None)
    with pytest.raises(KeyError, match="did you mean burg"):
        user_potential("brug", 2)


def test_a_box_in_words():
    box = box_of("-1,-2:1,-0.5", 2)
    assert box.lower.tolist() == [-1, -2] and box.upper.tolist() == [1, -0.5]
    assert np.array_equal(box_of("-1:2", 3).upper, [2, 2, 2])
    assert box_of("0:inf", 1).upper[0] == np.inf
    for bad in ("1", "a:b", "1:2:3", ""):
        with pytest.raises(gf.ArgumentError, match="--box"):
            box_of(bad, 2)
    for many in ("-1,-1,-1:1", "-1:1,1,1", "-1,-1,-1:1,1,1"):
        with pytest.raises(gf.ShapeError, match="1 or d = 2"):
            box_of(many, 2)
    with pytest.raises(gf.ArgumentError, match="lower < upper"):
        box_of("2:1", 2)


@pytest.mark.parametrize(
    "target, words",
    [
        ("nowhere.py:G", "no such file"),
        ("{file}:H", "one of .*G"),
        ("{file}", "FILE.py:OBJECT"),
        ("{file}:x0", "Parametrization or a catalogue Case"),
        ("maps.txt:G", "FILE.py:OBJECT"),
    ],
)
def test_targets_that_are_none_are_named(target, words, file):
    with pytest.raises(gf.ArgumentError, match=words):
        user_case(target.replace("{file}", file), None)


def test_a_file_that_does_not_run_says_why(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    with pytest.raises(gf.ArgumentError, match="ZeroDivisionError") as caught:
        user_case(f"{path}:G", None)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
