"""Records as text: the same function again, and texts that are none refused."""

import json

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.enclosures import known_primitives, recorded_or_error
from geoflow.numerics.stored import record_of, text_of


def function(x):
    y = anp.concatenate([x[..., ::-1], 0.1 * x[..., :1]], axis=-1)
    A = np.array([[1.0, 2.0, -1 / 3], [1e-300, 0.0, 7.0]])
    return anp.sum(anp.exp(anp.einsum("ij,...j->...i", A[:, :2], x[..., :2])), axis=-1) + anp.sum(y**3) * anp.max(A)


def test_a_record_is_the_same_function_again():
    points = np.random.default_rng(0).uniform(0.5, 1, (5, 2))
    recorded = recorded_or_error(function, points, "f")
    back = record_of(text_of(recorded))
    for x in points:
        assert back.replay(x) == recorded.replay(x)
    assert text_of(back) == text_of(recorded)


@pytest.mark.parametrize("name", list(gf.catalog.potentials))
def test_potentials_of_the_catalogue(name):
    R = gf.catalog.potentials[name]()
    w = R.domain.random_point(4, rng=0)
    recorded = recorded_or_error(R.potential, w, name)
    back = record_of(text_of(recorded))
    assert all(back.replay(x) == recorded.replay(x) for x in w)


def test_names_tell_primitives_apart():
    names = [str(getattr(p, "__name__", p)) for p in known_primitives()]
    assert len(set(names)) == len(names)


def test_texts_that_are_no_records_are_refused():
    good = json.loads(text_of(recorded_or_error(lambda x: anp.sum(x**2), np.ones((2, 2)), "f")))
    for change in (
        {"variables": 0}, {"output": 9}, {"steps": [["system", [0], [0], [None], {}]]},
        {"steps": [["exp", [0], [5], [None], {}]]}, {"steps": [["exp", [3], [0], [None], {}]]},
        {"steps": [["exp", [0], [0], [{"what": 1}], {}]]}, {"steps": [["power", [0], [0], [None, [1]], {}]]},
        {"steps": [["power", [0], [0], [None, {"array": ["a"], "shape": [1], "kind": "O"}], {}]]},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"record|operation|step|constant|array|output"):
            record_of(json.dumps({**good, **change}))
    with pytest.raises(gf.ProofError, match="floor"):
        text_of(recorded_or_error(lambda x: anp.sum(x**2 + anp.floor(x)), np.full((2, 2), 1.5), "f"))
