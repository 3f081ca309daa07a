"""Errors say what is wrong, what was got, what was wanted and what to do, and keep their figures."""

import inspect
import pickle

import pytest

import geoflow as gf
from geoflow import errors

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, gf.GeoflowError)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda c: c.__name__)
def test_every_error_carries_its_four_sentences_and_its_evidence(error):
    raised = error("thing", got="a", wanted="b", remedy="do c", defect=0.5, point=[1, 2])
    assert str(raised) == "thing; got a; wanted b; do c"
    assert (raised.what, raised.got, raised.wanted, raised.remedy) == ("thing", "a", "b", "do c")
    assert raised.defect == 0.5 and raised.evidence == {"defect": 0.5, "point": [1, 2]}
    assert getattr(gf, error.__name__, error) is error and (error.__doc__ or "").strip()
    with pytest.raises(gf.GeoflowError):
        raise raised


def test_what_is_left_out_is_not_printed():
    assert str(gf.ArgumentError("thing")) == "thing"
    assert str(gf.ArgumentError("thing", wanted="b")) == "thing; wanted b"
    with pytest.raises(AttributeError):
        _ = gf.ArgumentError("thing").defect


@pytest.mark.parametrize(
    "error, kinds",
    [
        (gf.ArgumentError, (ValueError,)),
        (gf.ShapeError, (ValueError,)),
        (gf.NotFiniteError, (ValueError,)),
        (gf.DomainError, (ValueError,)),
        (gf.InfeasibleError, (gf.DomainError, ValueError)),
        (gf.NotOnManifoldError, (gf.DomainError, ValueError)),
        (gf.BackendError, (ImportError,)),
    ],
)
def test_errors_are_of_pythons_own_kinds_too(error, kinds):
    for kind in kinds:
        with pytest.raises(kind):
            raise error("thing")


@pytest.mark.parametrize("error", [gf.NotCommutingError, gf.NotRegularError, gf.CheckError, gf.ConvergenceError])
def test_what_fails_a_theorem_is_no_bad_argument(error):
    assert not issubclass(error, ValueError)


def test_an_error_survives_another_process():
    again = pickle.loads(pickle.dumps(gf.DomainError("thing", got="a", index=(1,))))
    assert type(again) is gf.DomainError and again.what and again.index == (1,)


def test_rows_of_numbers_are_printed_by_their_ends():
    text = errors.shortened(f"values {list(range(1000))} of 12, 13, 14\nthings")
    assert text == "values [0, 1, 2, 3, ... 997, 998, 999] of 12, 13, 14 things"
    assert errors.shortened("x" * 10**6, 100).startswith("xxx") and len(errors.shortened("x" * 10**6, 100)) < 110
    assert errors.shortened("1 2 3 4 5 6 7 8") == "1 2 3 4 5 6 7 8"
    for text in ("9" * 20_000, "1." * 20_000, "1 " * 20_000 + "x", "[" * 20_000):
        assert len(errors.shortened(text)) < 1300  # in a time that grows with the length
