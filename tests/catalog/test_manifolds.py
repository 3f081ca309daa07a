"""Entries on curved manifolds: gradients for their metrics, intrinsic brackets, flows that stay, refusals."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

CURVED = [n for n, e in gf.catalog.parametrizations.items() if e.family in ("manifold", "sphere")]
REFUSED = [n for n, e in gf.catalog.noncommuting.items() if e.family == "manifold" and e.known == "refused"]


@pytest.mark.parametrize("name", CURVED + REFUSED)
def test_gradients_are_for_the_manifolds_own_metric(name, rng):
    entry = gf.catalog.parametrizations[name] if name in CURVED else gf.catalog.noncommuting[name]
    case = entry()
    G, x = case.parametrization, case.sample(6, rng)
    v = np.asarray(G.space.to_tangent(rng.standard_normal(x.shape), x))
    defect, scale = laws.gradient_is_riemannian(G, x, v)
    assert defect <= 1e-12 * scale


@pytest.mark.parametrize("name", CURVED)
def test_flows_stay_on_the_manifold_and_are_mirror_flows(name, rng):
    case = gf.catalog.parametrizations[name]()
    G, d = case.parametrization, case.parametrization.codomain_dim
    target = G(gf.joint_flow(G, case.x0, rng.uniform(-1, 1, d) * case.mu_bound / 2))
    report = gf.verify_equivalence(gf.LeastSquares(np.eye(d), target), G, case.x0, 1.0)
    assert report, str(report)
    x = report.gradient_flow.x
    assert x.shape == (101, *G.point_shape)
    assert np.all(G.space.belongs(x, atol=1e-8))
    gap = np.abs(np.asarray(G.space.projection(x)) - x).max()
    assert gap <= 1e-8, gap


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_carry_the_bracket(name):
    case = gf.catalog.noncommuting[name]()
    with pytest.raises(gf.NotCommutingError) as caught:
        gf.mirror_map(case.parametrization, case.x0)
    assert caught.value.defect > 1e-3 and caught.value.point.shape == case.parametrization.point_shape


@pytest.mark.parametrize("name", CURVED)
def test_brackets_do_not_depend_on_the_extension_off_the_manifold(name, rng):
    """Adding to G what vanishes on M changes neither its gradients nor its brackets there."""
    case = gf.catalog.parametrizations[name]()
    G, x = case.parametrization, case.sample(5, rng)
    vanishing = {
        "Hypersphere": lambda y: anp.sum(y**2, -1) - 1,
        "Hyperboloid": lambda y: -(y[..., 0] ** 2) + anp.sum(y[..., 1:] ** 2, -1) + 1,
        "_SpecialOrthogonalMatrices": lambda y: anp.sum(y[..., 0, :] ** 2, -1) - 1,
        "Stiefel": lambda y: anp.sum(y[..., :, 0] ** 2, -1) - 1,
        "Grassmannian": lambda y: anp.sum(y * np.eye(y.shape[-1]), axis=(-1, -2)) - 2,
        "ProductManifold": lambda y: anp.sum(y[..., :2] ** 2, -1) - 1,
        "SPDMatrices": lambda y: y[..., 0, 1] - y[..., 1, 0],
    }.get(type(G.space).__name__)
    if vanishing is None:
        return  # an open set of R^D has no outside
    inner = G.kernel.value

    def shifted(y):
        bump = vanishing(y)[..., None]
        flat = anp.reshape(y, (*anp.shape(y)[: anp.ndim(y) - len(G.point_shape)], G.dim))
        return inner(flat) + bump * (1 + flat[..., : G.codomain_dim] + 3 * bump)

    other = gf.Parametrization(shifted, G.space, G.codomain_dim)
    assert np.allclose(other.gradients(x), G.gradients(x), atol=1e-11)
    assert np.allclose(other.brackets(x), G.brackets(x), atol=1e-10)
    assert gf.LieAlgebra(other.gradient_fields).dimension(x[0], depth=3) == G.codomain_dim
