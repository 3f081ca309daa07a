"""The checks at points: verdicts, witnesses, the search for one bad pair among many, and random families of which no
commuting map is refused and no other accepted.
"""

import tracemalloc

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

import geoflow as gf
from geoflow.maps import commuting
from geoflow.maps.blocks import Blocks
from geoflow.maps.commuting import commuting_check, regular_check, searched_pair
from geoflow.numerics import batches


def hyperbolic(d=2):
    return gf.Parametrization(lambda x: x[..., :d] ** 2 - x[..., d:] ** 2, space=2 * d, codomain_dim=d)


def test_checks_report_and_unwrap(rng):
    x = rng.standard_normal((50, 2))
    good = gf.Parametrization(anp.exp, 2, 2).check_commuting(x)
    assert good and good.n_points == 50 and good.unwrap() is good
    parabola = gf.Parametrization(lambda y: anp.stack([y[..., 0], y[..., 0] ** 2 + y[..., 1]], -1), 2, 2)
    bad = parabola.check_commuting(x)
    with pytest.raises(gf.NotCommutingError) as caught:
        bad.unwrap()
    assert caught.value.pair == (0, 1) and caught.value.defect > 0.1 and caught.value.point.shape == (2,)
    degenerate = hyperbolic().check_regular(np.zeros(4))
    with pytest.raises(gf.NotRegularError):
        degenerate.unwrap()
    too_many = gf.Parametrization(lambda y: anp.concatenate([y, y**2], -1), 2, 4).check_regular(x)
    assert not too_many and "dim M = 2" in too_many.detail


def test_the_worst_point_is_the_witness():
    G = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 1] + x[..., 0] ** 4], -1), 2, 2, name="bent")
    x = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 1.0]])
    check = commuting_check(G.kernel, x, 1e-9, "bent", (2,))
    assert not check and check.n_points == 3 and check.evidence["pair"] == (0, 1) and "bent" in check.name
    assert commuting_check(G.kernel, x[:1], 1e-9, "bent", (2,))


def test_rank_is_judged_block_by_block_in_the_scale_of_its_rows():
    fold = gf.Parametrization(lambda x: x**2, 2, 2).kernel
    assert regular_check(fold, np.array([[1.0, 1.0], [1.0, 1e-150]]), 1e-10, "fold", (2,), 2)
    check = regular_check(fold, np.array([[1.0, 1.0], [1.0, 0.0]]), 1e-10, "fold", (2,), 2)
    assert not check and check.witness.tolist() == [1.0, 0.0] and check.evidence["singular_ratio"] == 0
    mixed = gf.Parametrization(lambda x: anp.stack([x[..., 0] ** 2 + x[..., 1] ** 2, x[..., 0] ** 2], -1), 2, 2).kernel
    near = regular_check(mixed, np.array([[1.0, 1.0], [1.0, 1e-12]]), 1e-10, "mixed", (2,), 2)
    assert not near and near.witness.tolist() == [1.0, 1e-12] and near.evidence["singular_ratio"] < 1e-11
    assert regular_check(mixed, np.array([[1.0, 1.0], [1.0, 1e-9]]), 1e-10, "mixed", (2,), 2)

    def uneven(x):  # the first block has two dependent rows and the second one alone
        return anp.stack([x[..., 0] + x[..., 1], 2 * x[..., 0] + 2 * x[..., 1], x[..., 2]], -1)

    check = regular_check(gf.Parametrization(uneven, 3, 3).kernel, np.ones((1, 3)), 1e-10, "uneven", (3,), 3)
    assert not check and check.evidence["singular_ratio"] < 1e-15


def test_a_large_batch_is_checked_in_parts_and_the_witness_is_found_in_the_whole(rng, monkeypatch):
    x = rng.uniform(0.5, 1.5, (20, 4))
    x[13, 0] = 9.0
    G = gf.Parametrization(lambda x: anp.stack([x[..., 0] ** 2, x[..., 1] + 1e-3 * x[..., 0] ** 4], -1), 4, 2)
    whole = G.check_commuting(x)
    monkeypatch.setattr(commuting, "SLICE", 48)
    parts = G.check_commuting(x)
    assert parts.defect == whole.defect and np.array_equal(parts.witness, whole.witness)
    assert np.array_equal(whole.witness, x[13]) and parts.n_points == 20


@pytest.mark.parametrize("seed", range(12))
def test_no_unit_of_an_output_or_of_the_inputs_changes_a_verdict(seed):
    """Verdict, pair and defect of a map that commutes and of one with a bad pair, in all ways of finding it."""
    rng = np.random.default_rng(seed)
    d, D = [(3, 4), (2, 40), (34, 34)][seed % 3]
    Q, A, x = ortho_group.rvs(D, random_state=rng), rng.standard_normal((d, D)), rng.standard_normal((2, D))
    outputs, size = 10.0 ** (6 * rng.integers(-1, 2, d)), [1e-6, 1.0, 1e6][seed % 4 - 1]

    def made(bad, outer, inner):
        def value(x):
            y = x / inner
            return (
                anp.matmul(anp.sinh(anp.matmul(y, Q.T) / 2), A.T) + bad * (y[..., 0] * y[..., 1])[..., None]
            ) * outer

        return gf.Parametrization(value, D, d)

    assert made(0.0, outputs, size).check_commuting(x * size)
    bad = np.eye(d)[seed % d] * 1e-3
    plain, scaled = (made(bad, *units).check_commuting(x * units[1]) for units in ((1.0, 1.0), (outputs, size)))
    assert not plain and seed % d in plain.evidence["pair"] and not scaled
    if d <= commuting.ALL_PAIRS:  # what is searched is not always the very worst pair
        assert scaled.evidence["pair"] == plain.evidence["pair"] and np.isclose(scaled.defect, plain.defect, rtol=1e-6)


def test_a_large_field_hides_no_small_bracket():
    """The third output is a million million times larger, and commutes with nothing it could be compared with."""

    def value(x, bad):
        small = [x[..., 0] ** 2, x[..., 1] ** 2 + bad * x[..., 0] * x[..., 1]]
        return anp.stack([*small, 1e12 * (x[..., 0] ** 2 + x[..., 1] ** 2 + x[..., 2] ** 2)], -1)

    x = np.array([[1.0, 0.7, 0.4]])
    good = gf.Parametrization(lambda x: value(x, 0.0), 3, 3).check_commuting(x)
    assert good and good.defect < 1e-14
    bad = gf.Parametrization(lambda x: value(x, 1e-5), 3, 3).check_commuting(x)
    assert not bad and bad.evidence["pair"] == (0, 1) and 1e-6 < bad.defect < 1e-4


@pytest.mark.parametrize("inputs", [(1.0, 1.0), (1e-6, 1e6), (1e6, 1e6)])
def test_regularity_has_no_units(inputs, rng):
    """(1e-6 y_1^2, 1e6 y_2^2), turned or mixed, in y = x / inputs."""
    inputs, outputs = np.array(inputs), np.array([1e-6, 1e6])
    turn = ortho_group.rvs(2, random_state=rng) if inputs[0] == inputs[1] else np.eye(2)
    mix = np.array([[1.0, 0.5], [-0.3, 1.0]])
    for M, rank in ((np.eye(2), 2), (mix, 2), (np.array([[1.0, 0.5], [2.0, 1.0]]), 1)):
        G = gf.Parametrization(lambda x, M=M: anp.matmul(anp.matmul(x / inputs, turn.T) ** 2, M.T) * outputs, 2, 2)
        x = rng.uniform(0.5, 1.5, (3, 2)) * inputs
        assert G.check_commuting(x) and bool(G.check_regular(x)) == (rank == 2)


def test_memory_does_not_grow_with_the_points(rng, monkeypatch):
    d = 3
    A = rng.standard_normal((d, d))
    G = gf.Parametrization(lambda x: anp.matmul(x[..., :d] ** 2 - x[..., d:] ** 2, A.T), 2 * d, d)
    x = rng.uniform(0.5, 1.5, (240, 2 * d))
    monkeypatch.setattr(batches, "SLICE", 2**13)

    def peak(points):
        tracemalloc.start()
        assert G.check_commuting(points)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(x)  # what is loaded and recorded once
    assert peak(x) < 1.5 * peak(x[:60])


def planted(d, first, second, size):
    """u^2 - v^2 with size u_first u_second added to the output `first`: that pair alone does not commute."""

    def value(x):
        w = x[..., :d] ** 2 - x[..., d:] ** 2
        unit = np.zeros(d)
        unit[first] = size
        return w + unit * (x[..., first] * x[..., second])[..., None]

    return gf.Parametrization(value, 2 * d, d)


@pytest.mark.parametrize("seed", range(10))
def test_one_bad_pair_among_half_a_million_is_found_at_the_defect_it_has_alone(seed, monkeypatch):
    rng, d, size = np.random.default_rng(seed), 1000, 1e-6
    first, second = (int(k) for k in rng.choice(d, 2, replace=False))
    x = rng.uniform(0.5, 1.5, (1, 2 * d))
    alone = x[:, [first, second, d + first, d + second]]
    wanted = commuting_check(planted(2, 0, 1, size).kernel, alone, 1e-9, "pair", (4,))
    hidden = planted(d, first, second, size).kernel
    hidden.blocks = Blocks.one(2 * d, d)  # as of a map whose structure is not seen: every pair may be bad
    calls = []
    monkeypatch.setattr(hidden, "derivative_of_pullback", _counting(hidden.derivative_of_pullback, calls))
    found = searched_pair(hidden, x, "hidden")
    assert found.pair == (min(first, second), max(first, second))
    assert 0.5 * wanted.defect < found.defect < 2 * wanted.defect and found.defect > 1e-8
    assert len(calls) < 100  # of half a million
    calls.clear()
    monkeypatch.setattr(commuting, "ALL_ROWS", 0)
    assert searched_pair(hidden, x, "hidden").pair == found.pair
    assert len(calls) <= 1 + 2 * (2 * 10 + 4)  # the combinations, then two halvings and the pairs they find
    seen = planted(d, first, second, size).check_commuting(x)
    assert not seen and seen.evidence["pair"] == found.pair and np.isclose(seen.defect, wanted.defect, rtol=1e-6)


def _counting(function, calls):
    def counted(*arguments):
        calls.append(1)
        return function(*arguments)

    return counted


@pytest.mark.parametrize("scales", ["outputs", "inputs"])
def test_the_search_is_not_misled_by_units(scales, rng):
    """The bad pair of a dense map whose other outputs, or coordinates, are a million times larger."""
    d = 200
    A = np.abs(rng.standard_normal((d, d))) + np.eye(d)
    units = np.ones(d)
    units[7:] = 1e6

    def value(x, size):
        z = x / units if scales == "inputs" else x
        w = anp.matmul(z**2, A.T) + size * (z[..., 3] * z[..., 4])[..., None] * np.eye(d)[5]
        return w * units if scales == "outputs" else w

    x = rng.uniform(0.5, 1.5, (2, d)) * (units if scales == "inputs" else 1.0)
    good = gf.Parametrization(lambda x: value(x, 0.0), d, d).check_commuting(x)
    assert good and good.defect < 1e-13
    bad = gf.Parametrization(lambda x: value(x, 1e-4), d, d).check_commuting(x)
    assert not bad and 5 in bad.evidence["pair"]


def test_blocks_of_several_outputs_are_checked_by_themselves(rng):
    """Three blocks: one commutes, one does not, and one has a single output; each in its own scale."""

    def value(x, size):
        return anp.stack(
            [
                1e6 * x[..., 0] ** 2, 1e6 * x[..., 1] ** 2 + 1e6 * x[..., 0] ** 2,
                1e-6 * x[..., 2], 1e-6 * (x[..., 3] + size * x[..., 2] ** 2), x[..., 4] * x[..., 5],
            ], -1,
        )  # fmt: skip

    x = rng.uniform(0.5, 1.5, (3, 6))
    G = gf.Parametrization(lambda x: value(x, 0.0), 6, 5)
    assert G.kernel.blocks.count == 3 and G.kernel.blocks.width == 2 and G.check_commuting(x).defect < 1e-15
    bad = gf.Parametrization(lambda x: value(x, 1.0), 6, 5).check_commuting(x)
    assert not bad and bad.evidence["pair"] == (2, 3)


def test_a_dense_map_of_many_outputs_is_refused_as_its_few_outputs_are(rng):
    d = 60
    S = rng.standard_normal((d, d, d)) / d
    G = gf.Parametrization(lambda x: anp.einsum("...k,dkl,...l->...d", x, S + np.swapaxes(S, 1, 2), x), d, d)
    x = rng.standard_normal((2, d))
    check = G.check_commuting(x)
    few = G.affine(np.eye(d)[list(check.evidence["pair"])]).check_commuting(x)
    assert not check and 0.3 < check.defect / few.defect < 3


VERDICT = settings(max_examples=80, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)
SCALARS = [anp.sinh, anp.exp, lambda z: z**3 + z, anp.tanh, lambda z: 2 * z]


def accepted(G, x0):
    try:
        gf.mirror_map(G, x0)
    except gf.NotCommutingError:
        return False
    return True


@VERDICT
@given(seeds)
def test_simultaneously_diagonalisable_quadratics_commute(seed):
    rng = np.random.default_rng(seed)
    D = int(rng.integers(2, 6))
    d = int(rng.integers(1, D + 1))
    Q = ortho_group.rvs(D, random_state=rng)
    A = np.einsum("ki,di,li->dkl", Q, rng.standard_normal((d, D)), Q)
    G = gf.Parametrization(lambda x: anp.einsum("...k,dkl,...l->...d", x, A, x) / 2, D, d)
    assert accepted(G, rng.standard_normal(D))


@VERDICT
@given(seeds)
def test_coordinatewise_maps_in_rotated_coordinates_commute(seed):
    rng = np.random.default_rng(seed)
    D = int(rng.integers(2, 6))
    Q, kinds = ortho_group.rvs(D, random_state=rng), rng.integers(0, len(SCALARS), size=D)
    G = gf.Parametrization(lambda x: anp.stack([SCALARS[k](x @ Q[:, j]) for j, k in enumerate(kinds)], -1), D, D)
    assert accepted(G, rng.standard_normal(D))


@VERDICT
@given(seeds)
def test_affine_images_of_commuting_maps_commute(seed):
    rng = np.random.default_rng(seed)
    D = int(rng.integers(2, 6))
    d = int(rng.integers(1, D + 1))
    Q, B = ortho_group.rvs(D, random_state=rng), rng.standard_normal((d, D))
    kinds = rng.integers(0, len(SCALARS), size=D)
    G = gf.Parametrization(lambda x: anp.stack([SCALARS[k](x @ Q[:, j]) for j, k in enumerate(kinds)], -1) @ B.T, D, d)
    assert accepted(G, rng.standard_normal(D))


@VERDICT
@given(seeds)
def test_random_quadratics_do_not_commute(seed):
    rng = np.random.default_rng(seed)
    D = int(rng.integers(2, 6))
    S = rng.standard_normal((int(rng.integers(2, D + 1)), D, D))
    S = S + np.swapaxes(S, 1, 2)
    G = gf.Parametrization(lambda x: anp.einsum("...k,dkl,...l->...d", x, S, x) / 2, D, len(S))
    assert not accepted(G, rng.standard_normal(D))


def test_there_are_three_answers():
    answers = {
        "commute": gf.catalog.parametrizations["hyperbolic"](2),
        "commute modulo fibres": gf.catalog.noncommuting["heisenberg"](),
        "do not commute": gf.catalog.noncommuting["parabola"](),
    }
    for answer, case in answers.items():
        assert case.parametrization.check_commuting(case.x0).evidence["answer"] == answer


def test_brackets_that_are_no_numbers_are_no_verdict():
    """sinh grows so fast that a flow from an ordinary start leaves what floats can multiply."""
    A = np.array([[1.0, 0.3], [0.2, 1.0]])
    G = gf.Parametrization(lambda x: anp.einsum("ij,...j->...i", A, x**2 / 2), 2, 2)
    assert G.check_commuting([[1.0, 2.0], [1e60, 1.0]])
    with pytest.raises(gf.NotFiniteError):
        G.check_commuting([[1.0, 2.0], [1e220, 1.0]])
