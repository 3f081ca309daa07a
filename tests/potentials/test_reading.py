"""Records read step by step: each value, as it was read, is that of its step at other points."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import logsumexp

from geoflow.numerics.records import record
from geoflow.potentials.categorical import SoftMaximum
from geoflow.potentials.reading import Reader
from geoflow.potentials.terms import Quadratic, Ridge, SoftMax

D = 4
RNG = np.random.default_rng(3)
A, B, Q = RNG.standard_normal((5, D)), RNG.standard_normal(5), RNG.standard_normal((D, D))
POINT = RNG.uniform(0.2, 1.0, D)

READ = {
    "linear maps": lambda w: anp.sum(anp.cumsum(w @ A.T + B, -1) ** 2, -1) + anp.mean(anp.dot(w, Q), -1) ** 4,
    "moved entries": lambda w: anp.sum(anp.exp(anp.concatenate([w[..., 1:] - w[..., :-1], -w[..., :1]], -1)), -1),
    "stacked": lambda w: anp.sum(anp.stack([w[..., 0] + 1.0, 2 * w[..., 1]], -1) ** 4, -1),
    "quadratic forms": lambda w: anp.sum((w @ Q) * (w + 1.0), -1) + 0.5 * anp.einsum("...i,ij,...j->...", w, Q, w),
    "a length squared": lambda w: (2 * anp.linalg.norm(w @ A.T + B, axis=-1)) ** 2,
    "logsumexp": lambda w: logsumexp(w @ A.T + B, axis=-1),
    "a shifted one": lambda w: anp.log(anp.sum(anp.exp(w - anp.max(w, -1, keepdims=True)), -1)) + anp.max(w, -1),
    "with weights": lambda w: anp.log(2 + 3 * anp.exp(w[..., 0] - 1) + anp.exp(w[..., 1] + w[..., 2])),
    "pieces": lambda w: anp.sum(anp.where(w > 0.5, w**2, w**4 / 4), -1),
}


def value_of(terms, value, w):
    """A number that was read, at a point."""
    total = value.slopes[0] @ w + value.offsets[0]
    for k, c in value.row(0).items():
        atom = terms.atoms[k]
        if isinstance(atom, Ridge):
            a, b = terms.bases[atom.direction]
            total += c * terms.nodes.curve(atom.node)(np.array([a @ w + b]))[0]
        elif isinstance(atom, Quadratic):
            total += c * (w @ atom.matrix @ w)
        else:
            assert isinstance(atom, SoftMax)
            total += c * SoftMaximum(atom.directions, atom.offsets).derivative(0, w)
    return total


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_the_map(name):
    recorded, note = record(READ[name], POINT)
    assert note == ""
    reader = Reader(recorded)
    assert reader.stopped_at == "" and reader.result is not None
    for w in np.random.default_rng(0).uniform(-1, 1, (5, D)):
        wanted = READ[name](w)
        assert abs(value_of(reader.terms, reader.result, w) - wanted) < 1e-13 * (1 + abs(wanted))


@pytest.mark.parametrize(
    ("potential", "step", "why"),
    [
        (lambda w: anp.sqrt(1 + anp.sum(w**2, -1)), "sqrt", "several variables"),
        (lambda w: anp.sum(w**2, -1) + w[..., 0] * w[..., 1] ** 2, "multiply", "product"),
        (lambda w: anp.log(anp.sum(anp.exp(w) + w**2, -1)), "log", "no sum of exponentials"),
        (lambda w: anp.prod(w, -1), "prod", "no rule"),
        (lambda w: anp.sum(w**2 * anp.sum(w, -1)[..., None], -1), "multiply", "product"),
        (lambda w: anp.linalg.norm(w, axis=-1), None, ""),
    ],
)
def test_where_a_reading_stops(potential, step, why):
    reader = Reader(record(potential, POINT)[0])
    if step is None:  # it is read as far as it goes: a root that nothing squares
        assert reader.stopped_at == "" and not reader.result.affine
        return
    assert reader.result is None and step in reader.stopped_at and why in reader.stopped_at
    assert reader.stopped_at.startswith("step ")
