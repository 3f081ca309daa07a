"""The keywords that say what differentiates, and whether it is believed."""

import pytest

import geoflow as gf
from geoflow.numerics.choice import EngineChoice


def test_a_choice_is_autograd_probed_unless_it_is_said_otherwise():
    assert EngineChoice() == EngineChoice(engine="auto", check=True)


@pytest.mark.parametrize("options", [{"engine": "tape"}, {"engine": None}, {"check": "yes"}, {"check": None}])
def test_what_is_no_engine_and_no_flag_is_refused(options):
    with pytest.raises(gf.ArgumentError, match=next(iter(options))):
        EngineChoice(**options)
