"""Commuting decided exactly: the catalogue, maps that commute by construction, and maps that nearly do."""

from fractions import Fraction

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

ROTATION = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
#: entries whose own coefficients are rounded: they commute to rounding, and not as the binary numbers they are
ROUNDED = {"quadratic", "matrix_sensing"}


def polynomial_map(rng, commuting):
    """sum_k c_ik y_k^p, y = Q x for an orthogonal Q that floats hold exactly, and a term that spoils it."""
    degrees, scale = rng.integers(1, 5, 4), 10.0 ** rng.integers(-6, 7, 3)
    c = rng.standard_normal((3, 4)) * scale[:, None]
    size = 0.0 if commuting else float(scale[1] * 10.0 ** -rng.integers(0, 9))

    def function(x):
        y = anp.einsum("kl,...l->...k", ROTATION, x)
        powers = anp.stack([y[..., k] ** int(degrees[k]) for k in range(4)], axis=-1)
        outputs = anp.einsum("ik,...k->...i", c, powers)
        spoiled = outputs[..., 1] + size * x[..., 0] ** 2 * x[..., 1]
        return anp.stack([outputs[..., 0], spoiled, outputs[..., 2]], axis=-1)

    return gf.Parametrization(function, 4, 3, check=False)


@pytest.mark.parametrize("seed", range(20))
def test_maps_that_commute_by_construction_and_that_nearly_do(seed):
    rng = np.random.default_rng(seed)
    for k in range(4):
        G = polynomial_map(rng, commuting=k % 2 == 0)
        found = gf.prove_commuting(G)
        assert found.status == ("proved" if k % 2 == 0 else "refuted")
        if not found:
            i, j = found.pair
            measured = G.brackets(np.array([float(c) for c in found.witness]))[i, j]
            exact = np.array([float(c) for c in found.value])
            # a bracket in floating point is a difference: as many digits as the defect leaves
            assert np.abs(measured - exact).max() <= 1e-12 / found.defect * np.abs(exact).max()


def test_every_polynomial_entry_of_the_catalogue_is_decided():
    for name, entry in {**gf.catalog.parametrizations, **gf.catalog.noncommuting}.items():
        G = entry().parametrization
        if not G.kernel.flat:
            continue
        found = gf.prove_commuting(G)
        if name in ROUNDED:
            assert found.status == "refuted" and 0 < found.defect < 1e-14 and "rounded coefficients" in str(found)
        else:
            assert found.status == ("refuted" if name in gf.catalog.noncommuting else "proved"), name


def test_matrix_squares_and_products_with_the_bracket_in_letters():
    square = gf.prove_commuting(gf.catalog.noncommuting["matrix_square"]().parametrization)
    assert [str(c) for c in square.bracket] == ["-2 x_3", "-2 x_4", "2 x_1", "2 x_2"]
    x = square.witness
    assert square.value == (-2 * x[2], -2 * x[3], 2 * x[0], 2 * x[1])
    product = gf.prove_commuting(gf.catalog.noncommuting["matrix_product"]().parametrization)
    assert [str(c) for c in product.bracket] == ["0", "0", "0", "0", "-x_7", "-x_8", "x_5", "x_6"]
    with pytest.raises(gf.NotCommutingError, match="x_7"):
        product.unwrap()


def test_rational_maps_and_constants_as_the_binary_numbers_they_are():
    def ratio(x):
        return anp.stack([x[..., 0] / (1 + x[..., 0] ** 2), 0.1 / x[..., 0]], axis=-1)

    found = gf.prove_commuting(gf.Parametrization(ratio, 1, 2, check=False))
    x, tenth = found.witness[0], Fraction(0.1)
    f, g = (1 - x**2) / (1 + x**2) ** 2, -tenth / x**2
    df, dg = (2 * x**3 - 6 * x) / (1 + x**2) ** 3, 2 * tenth / x**3
    assert found.status == "refuted" and found.value == (dg * f - df * g,)
    # multiples of one function commute, also as quotients
    same = gf.Parametrization(lambda x: anp.stack([1 / x[..., 0], 3 / x[..., 0]], axis=-1), 1, 2, check=False)
    assert gf.prove_commuting(same).status == "proved"


def test_blocks_commute_whatever_their_functions_are():
    found = gf.prove_commuting(gf.Parametrization(lambda x: anp.tanh(x) + anp.exp(x), 300, 300))
    assert found and "structure" in found.argument


def test_a_map_on_a_curved_manifold_is_not_decided():
    found = gf.prove_commuting(gf.catalog.parametrizations["sphere_squares"]().parametrization)
    assert found.status == "undecided" and "Hypersphere" in str(found)


def test_a_map_that_is_no_rational_one_is_disproved_or_left_alone():
    pytest.importorskip("flint")
    mixed = lambda x: anp.stack([anp.exp(x[..., 0]), x[..., 0] * x[..., 1]], axis=-1)  # noqa: E731
    assert gf.prove_commuting(gf.Parametrization(mixed, 2, 2)).status == "refuted"

    def alike(x):
        return anp.stack([anp.exp(x[..., 0] + x[..., 1]), anp.exp(x[..., 0] - x[..., 1])], axis=-1)

    found = gf.prove_commuting(gf.Parametrization(alike, 2, 2))
    assert found.status == "undecided" and "not disproved" in str(found)


def test_what_cannot_be_recorded_is_said():
    branching = gf.Parametrization(lambda x: x[..., :2] ** (2 if np.ndim(x) > 1 or x[0] > 0 else 3), 3, 2, check=False)
    with pytest.raises(gf.ProofError, match="control flow"):
        gf.prove_commuting(branching)
    with pytest.raises(gf.ArgumentError, match="Parametrization"):
        gf.prove_commuting(lambda x: x)


def test_a_number_taken_for_a_condition_is_no_proof():
    def f(x):
        good = anp.stack([x[..., 0] ** 2, x[..., 1] ** 2], axis=-1)
        bad = anp.stack([x[..., 0] * x[..., 1], x[..., 0] ** 2 + 3 * x[..., 1]], axis=-1)
        return anp.where(x - x, good, bad)

    G = gf.Parametrization(f, 2, 2, check=False)
    with pytest.raises(gf.GeoflowError, match="no comparison"):
        gf.prove_commuting(G)
