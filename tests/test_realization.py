"""The converse theorem: exact rules, both solvers, certificates, flows on M, and what has to be refused."""

from functools import partial

import autograd.numpy as anp
import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import geoflow as gf
from geoflow.theorems import laws
from geoflow.realization import twist
from geoflow.numerics.chebyshev import TensorGrid, TensorSeries, TotalDegreeBasis
from geoflow.realization.hyperbolic import BlanusaPlane
from geoflow.realization.spectral import SpectralMap
from geoflow.theorems.converse import converse_figures, converse_tolerances

P, Box = gf.catalog.potentials, gf.domains.Box
GAUSS_BOX, SQUARE = Box([-1, -2], [1, -0.5]), Box([-1, -1], [1, 1])


def black_box(R):
    return gf.LegendreFunction(R.potential, R.domain, hessian=partial(R.kernel.derivative, 2), name=R.name)


def barrier():
    return gf.RidgeSum(-np.random.default_rng(0).standard_normal((12, 4)), 1.0, "log_barrier")


def patients():
    Z = load_diabetes().data[:50, :5]
    return gf.RidgeSum(Z / Z.std(axis=0), 0.0, "softplus")


EXACT = {
    "negative_entropy": (lambda: P["negative_entropy"](5), 5),
    "burg": (lambda: P["burg"](5), 5),
    "fermi_dirac": (lambda: P["fermi_dirac"](5), 5),
    "hyperbolic_entropy": (lambda: P["hyperbolic_entropy"](5), 5),
    "simplex_entropy": (lambda: P["simplex_entropy"](5), 6),
    "log_sum_exp": (lambda: P["log_sum_exp"](5), 6),
    "barrier": (barrier, 12),
    "logistic regression": (patients, 50),
    "quadratic_form": (lambda: P["quadratic_form"](4), 4),
    "power": (lambda: P["power"](3), 3),
    "log_det_spd": (lambda: P["log_det_spd"](3), 7),
    "sum": (lambda: P["negative_entropy"](3) + 3 * P["quadratic_form"](3), 6),
    "product": (lambda: gf.product(P["burg"](2), P["log_sum_exp"](2)), 5),
    "affine": (lambda: P["log_sum_exp"](3).compose_affine([[1.0, 0.2], [0.0, 1.0], [1.0, 1.0]], 0.1), 4),
    "conjugate of barrier": (lambda: barrier().conjugate, 12),
    "conjugate of sum": (lambda: (P["negative_entropy"](2) + P["quadratic_form"](2)).conjugate, 4),
    "conjugate twice": (lambda: P["log_sum_exp"](2).conjugate.conjugate, 3),
    "user profile": (lambda: gf.RidgeSum([[1.0, 0.5], [0.0, 1.0]], 0.1, anp.cosh), 2),
    "soft_max_affine": (lambda: P["soft_max_affine"](2), 8),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_rules(name):
    build, D = EXACT[name]
    F = gf.realize(build(), tol=1e-11)
    assert F.exact and F.method == "exact" and F.ambient_dim == D and F.reason
    assert F.certificate.n_points >= 2000 and F.certificate.injectivity_margin > 1e-3


@pytest.mark.parametrize(
    "name", [n for n in EXACT if n not in {"soft_max_affine", "log_det_spd", "conjugate of barrier"}]
)
def test_exact_rules_reach_1e_12_away_from_the_boundary(name):
    R = EXACT[name][0]()
    F = gf.realize(R, tol=1e-11)
    centre = R.domain.interior_point()
    w = centre + 0.7 * (R.domain.random_point(2000, bound=0.4, rng=3) - centre)
    assert laws.embedding_is_isometric(F, w)[0] <= 1e-12


def test_gaussian_in_r6_over_the_whole_box():
    F = gf.realize(P["gaussian_log_partition"](2), Box([-3, -5], [3, -0.2]), tol=1e-10)
    assert F.ambient_dim == 6 and F.exact
    figures = converse_figures(F, round_trip=False)
    assert all(value <= converse_tolerances(F)[key] for key, value in figures.items()), figures


def test_blanusa_plane_is_isometric_and_smooth_across_its_seams():
    u = np.linspace(-4.2, 4.2, 400)
    w = np.stack([u, np.linspace(-3, 3, 400)], axis=-1)
    _, J, S = BlanusaPlane().jet(w)
    gram = np.einsum("nDi,nDj->nij", J, J)
    expected = np.stack([np.ones(400), np.cosh(u) ** 2], axis=-1)[:, :, None] * np.eye(2)
    assert np.allclose(gram, expected, rtol=1e-12, atol=1e-11)
    h = 1e-5
    for i, e in enumerate(np.eye(2) * h):
        up, down = BlanusaPlane().jet(w + e), BlanusaPlane().jet(w - e)
        assert np.allclose((up[0] - down[0]) / (2 * h), J[:, :, i], atol=1e-5 * np.abs(J).max())
        assert np.allclose((up[1] - down[1]) / (2 * h), S[:, :, :, i], atol=1e-4 * np.abs(S).max())


NUMERICAL = {
    "twist, Gaussian": ("gaussian_log_partition", 2, GAUSS_BOX, "twist", 1e-8, None),
    "twist, log-sum-exp": ("log_sum_exp", 3, Box([-1] * 3, [1] * 3), "twist", 1e-6, None),
    "spectral, quartic": ("quartic", 2, Box([-2, -2], [2, 2]), "spectral", 1e-10, None),
    "spectral, log-sum-exp": ("log_sum_exp", 2, SQUARE, "spectral", 1e-8, None),
    "spectral, a sphere": ("log_sum_exp", 2, SQUARE, "spectral", 1e-6, 3),
    "auto": ("gaussian_log_partition", 2, GAUSS_BOX, "auto", 1e-6, None),
}


@pytest.fixture(scope="module")
def realized():
    made = {}

    def get(name):
        if name not in made:
            potential, d, box, method, tol, D = NUMERICAL[name]
            made[name] = gf.realize(black_box(P[potential](d)), box, tol=tol, method=method, ambient_dim=D)
        return made[name]

    return get


@pytest.mark.parametrize("name", NUMERICAL)
def test_solvers_meet_tol_at_points_they_never_saw(name, realized):
    F = realized(name)
    assert F.certificate and not F.exact and F.stages
    w = np.random.default_rng(99).uniform(F.region.lower, F.region.upper, size=(2000, F.dim))
    assert laws.embedding_is_isometric(F, w)[0] <= F.certificate.tol
    inner = F.region.interior_point() + 0.9 * (w[:50] - F.region.interior_point())
    defect, scale = laws.embedding_jacobian_is_derivative(F, inner)
    assert defect <= 1e-6 * scale
    for offset in (0.0, 0.05):
        defect, scale = laws.nearest_point_inverts(F, inner, offset)
        assert defect <= 1e-9 * scale


@pytest.mark.parametrize("name", ["spectral, log-sum-exp", "spectral, a sphere", "twist, Gaussian"])
def test_the_theorem_on_a_numerical_realization(name, realized):
    F = realized(name)
    figures = converse_figures(F, seed=4, round_trip=name != "twist, Gaussian")
    assert all(value <= converse_tolerances(F)[key] for key, value in figures.items()), figures


@pytest.mark.parametrize("name", ["negative_entropy", "simplex_entropy", "barrier", "conjugate of sum", "product"])
def test_the_theorem_on_an_exact_realization(name):
    F = gf.realize(EXACT[name][0](), tol=1e-11)
    figures = converse_figures(F, seed=5)
    assert all(value <= converse_tolerances(F)[key] for key, value in figures.items()), figures


def test_manifold_and_parametrization(realized):
    F = realized("spectral, log-sum-exp")
    G, M = F.parametrization, F.parametrization.space
    w = np.random.default_rng(0).uniform(-0.9, 0.9, size=(3, 4, 2))
    x = F.embedding(w)
    assert G(x).shape == w.shape and np.allclose(G(x), w, atol=1e-11)
    assert M.belongs(x).all() and not M.belongs(x + 0.01).any()
    assert np.allclose(M.projection(M.projection(x + 1e-3)), M.projection(x + 1e-3), atol=1e-11)
    v = M.to_tangent(np.ones(5), x[0, 0])
    assert M.is_tangent(v, x[0, 0]) and not M.is_tangent(np.ones(5), x[0, 0])
    assert M.belongs(M.random_point(5)).all() and M.random_point().shape == (5,)
    assert np.allclose(G.cometric(x), np.linalg.inv(F.metric_matrix(w)), rtol=1e-7)
    # closed derivatives against differences, on M and off it
    y = x[0] + 1e-3
    steps = 1e-5 * np.eye(5)
    rows = np.stack([(G(y + e) - G(y - e)) / 2e-5 for e in steps], axis=-1)
    assert np.allclose(G.gradients(y), rows, atol=1e-7)
    tangent = G.gradients(x[0])[:, 0]
    along = (G.gradients(F.embedding(w[0] + 1e-5 * G.cometric(x[0])[:, :, 0]))
             - G.gradients(F.embedding(w[0] - 1e-5 * G.cometric(x[0])[:, :, 0]))) / 2e-5  # fmt: skip
    assert np.allclose(G.kernel.derivative_of_gradients(x[0], tangent[:, None])[:, 0], along, atol=1e-7)
    X, Y = G.gradient_fields
    assert np.abs(gf.lie_bracket(X, Y)(x[0])).max() <= 1e-6
    assert np.abs(gf.lie_bracket(X, 2 * X - Y + X)(x[0])).max() <= 1e-6
    with pytest.raises(gf.NotOnManifoldError):
        gf.gradient_flow(lambda u: anp.sum(u**2), G, x[0, 0] + 0.01, 1.0)
    with pytest.raises(gf.DomainError):
        F.embedding([2.0, 0.0])


def test_a_flow_that_reaches_the_edge_of_the_box_stops_there(realized):
    F = realized("spectral, log-sum-exp")
    flow = gf.gradient_flow(lambda w: -w[..., 0] * 2.0, F.parametrization, F.embedding([0.0, 0.0]), 50.0)
    assert not flow.success and flow.w[-1, 0] == pytest.approx(1.0, abs=1e-2)


def test_a_batch_with_a_point_over_the_edge_keeps_the_others(realized):
    F = realized("spectral, log-sum-exp")
    w = np.array([[0.1, 0.2], [0.99, 0.0]])
    G, J = F.parametrization, F.jacobian(w)
    G(F.embedding(w))
    moved = F.embedding(w) + np.einsum("nDi,i->nD", J, [0.05, 0.0])
    value = np.asarray(G.kernel.value(moved))
    assert np.isnan(value[1]).all() and np.allclose(value[0], [0.15, 0.2], atol=2e-3)


def diagonal(first, second):
    zero = anp.zeros(anp.shape(first))
    return anp.stack([anp.stack([first, zero], axis=-1), anp.stack([zero, second], axis=-1)], axis=-2)


NOT_HESSIAN = {
    "1 + w1^2": lambda w: diagonal(anp.ones(anp.shape(w)[:-1]), 1 + w[..., 0] ** 2),
    "exp w2": lambda w: diagonal(anp.exp(w[..., 1]), anp.ones(anp.shape(w)[:-1])),
}


@pytest.mark.parametrize("name", NOT_HESSIAN)
def test_a_metric_that_is_not_hessian_gives_a_map_that_does_not_commute(name):
    metric, w = NOT_HESSIAN[name], np.random.default_rng(1).uniform(-0.8, 0.8, size=(40, 2))
    F = gf.realize_metric(metric, SQUARE, tol=1e-8)
    codazzi = gf.is_hessian(metric, w)
    assert not codazzi and codazzi.defect > 0.1
    seen = F.parametrization.check_commuting(F.embedding(w))
    largest = np.linalg.norm(F.parametrization.brackets(F.embedding(w)), axis=-1).max()
    assert not seen and largest == pytest.approx(codazzi.evidence["bracket"], rel=1e-5)
    defect, scale = laws.bracket_is_codazzi_defect(F, metric, w)
    assert defect <= 1e-5 * scale
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(F.parametrization, F.embedding(w[0]))
    with pytest.raises(gf.ArgumentError):
        converse_figures(F)


def test_is_hessian_accepts_hessians_with_and_without_autodiff():
    for name in ("log_sum_exp", "gaussian_log_partition", "quartic", "quadratic_form"):
        R = P[name](2)
        w = R.domain.random_point(20, bound=0.4, rng=0)
        assert gf.is_hessian(R.kernel.hessian, w), name
    assert gf.is_hessian(lambda w: np.asarray(P["quartic"](2).kernel.hessian(np.array(w, dtype=float))), w, tol=1e-6)


def test_starved_solvers_never_certify():
    R = black_box(P["gaussian_log_partition"](2))
    for options in ({"method": "spectral", "max_degree": 3}, {"method": "twist", "frequency": 0.5}):
        with pytest.raises(gf.RealizationError) as caught:
            gf.realize(R, GAUSS_BOX, **options)
        F = caught.value.realization
        assert not F.certificate.passed and F.certificate.metric_error > 1e-8 and caught.value.remedy
    with pytest.raises(gf.RealizationError) as caught:  # a curved surface does not fit in the plane
        gf.realize(R, GAUSS_BOX, method="spectral", ambient_dim=2, max_degree=10)
    assert caught.value.realization.certificate.metric_error > 1e-3


def test_no_false_certificate_in_random_potentials():
    """Whatever is certified has the metric of R by differences of R and of F alone."""
    rng, certified = np.random.default_rng(7), 0
    for k in range(200):
        A, b = rng.standard_normal((4, 2)) * rng.uniform(0.3, 2.0), rng.standard_normal(4)
        size = rng.uniform(0.0, 0.2)

        def potential(w, A=A, b=b, size=size):
            z = w @ A.T + b
            return anp.log(anp.sum(anp.exp(z), axis=-1)) + size * anp.sum(w**2, axis=-1) * (1 + w[..., 0] * 0.1)

        R = gf.LegendreFunction(potential, 2)
        options = {"frequency": 60.0} if k % 2 else {"max_degree": 8}
        try:
            F = gf.realize(R, SQUARE, tol=1e-4, **options)
        except (gf.RealizationError, gf.NotLegendreError):
            continue
        certified += 1
        w, h = rng.uniform(-0.9, 0.9, size=(20, 2)), 1e-3
        e = h * np.eye(2)
        H = np.stack([np.stack([(potential(w + p + q) - potential(w + p - q) - potential(w - p + q)
                                 + potential(w - p - q)) / (4 * h * h) for q in e], -1) for p in e], -2)  # fmt: skip
        J = np.stack([(F.embedding(w + p / 10) - F.embedding(w - p / 10)) / (0.2 * h) for p in e], axis=-1)
        L = np.linalg.inv(np.linalg.cholesky(H))
        error = L @ np.swapaxes(J, 1, 2) @ J @ np.swapaxes(L, 1, 2) - np.eye(2)
        assert np.abs(error).max() <= 1e-3  # differences of F and R are good to 1e-4
    assert certified >= 60


NOT_REALIZABLE = {
    "nonconvex": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: w[..., 0] ** 2 - w[..., 1] ** 2 / 2 + w[..., 1] ** 4, 2), SQUARE)),
    "nonconvex somewhere": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) + 0.6 * anp.sin(3 * w[..., 0]), 2), SQUARE)),
    "degenerate at a point": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: anp.sum((w - 0.317) ** 4, axis=-1), 2), SQUARE)),
    "degenerate everywhere": (gf.NotLegendreError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: (w[..., 0] + w[..., 1]) ** 2, 2), SQUARE)),
    "crossing": (gf.DomainError, lambda: gf.realize(P["burg"](2), Box([-0.5, 0.5], [1, 1]))),
    "crossing, exact": (gf.DomainError, lambda: gf.realize(P["simplex_entropy"](2), Box([0.1, 0.1], [0.7, 0.7]))),
    "crossing, unknown domain": (gf.DomainError, lambda: gf.realize(
        gf.LegendreFunction(lambda w: -anp.sum(anp.log(w), axis=-1), 2), Box([-0.1, 0.5], [1, 1]))),
    "metric": (gf.NotLegendreError, lambda: gf.realize_metric(lambda w: diagonal(w[..., 0], w[..., 0]), SQUARE)),
    "skew metric": (gf.NotLegendreError, lambda: gf.realize_metric(
        lambda w: np.broadcast_to([[2.0, 0.1], [0.0, 1.0]], (*w.shape, 2)), SQUARE)),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_REALIZABLE)
def test_what_has_no_realization_is_refused_at_a_point(name):
    error, call = NOT_REALIZABLE[name]
    with pytest.raises(error) as caught:
        call()
    assert np.shape(caught.value.point) == (2,) and caught.value.got and caught.value.wanted


BAD = {
    "no box": lambda: gf.realize(black_box(P["quartic"](2))),
    "infinite box": lambda: gf.realize(black_box(P["quartic"](2)), Box([-np.inf, 0], [1, 1])),
    "box of wrong dimension": lambda: gf.realize(P["quartic"](2), Box([0], [1])),
    "box of no kind": lambda: gf.realize(P["quartic"](2), 3),
    "method": lambda: gf.realize(P["quartic"](2), SQUARE, method="magic"),
    "tol": lambda: gf.realize(P["quartic"](2), SQUARE, tol=0),
    "dimension too small": lambda: gf.realize(P["quartic"](2), SQUARE, ambient_dim=1),
    "twist has its own dimension": lambda: gf.realize(P["quartic"](2), SQUARE, ambient_dim=7, method="twist"),
    "frequency": lambda: gf.realize(P["quartic"](2), SQUARE, frequency=-1.0),
    "not a potential": lambda: gf.realize(lambda w: w, SQUARE),
    "no rule": lambda: gf.realize(P["quartic"](2), SQUARE, method="exact"),
    "dimension 5": lambda: gf.realize(black_box(P["log_sum_exp"](5)), Box([-1] * 5, [1] * 5)),
    "exact metric": lambda: gf.realize_metric(NOT_HESSIAN["exp w2"], SQUARE, method="exact"),
    "metric shape": lambda: gf.realize_metric(lambda w: w, SQUARE),
    "metric without box": lambda: gf.realize_metric(NOT_HESSIAN["exp w2"], None),
    "points": lambda: gf.is_hessian(NOT_HESSIAN["exp w2"], []),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    with pytest.raises(gf.GeoflowError) as caught:
        BAD[name]()
    assert caught.value.got and caught.value.wanted


def test_save_and_load(tmp_path, realized):
    for name in ("twist, Gaussian", "spectral, log-sum-exp"):
        F, file = realized(name), tmp_path / "F.npz"
        F.save(file)
        for potential in (None, F.potential):
            again = gf.load_realization(file, potential)
            w = np.random.default_rng(0).uniform(F.region.lower, F.region.upper, size=(5, 2))
            assert np.array_equal(again.embedding(w), F.embedding(w)) and again.method == F.method and again.certificate
        with pytest.raises(gf.RealizationError):
            gf.load_realization(file, black_box(2 * F.potential))
    R = P["log_sum_exp"](2)
    F = gf.realize(R, SQUARE)
    F.save(tmp_path / "exact.npz")
    assert gf.load_realization(tmp_path / "exact.npz", R).ambient_dim == 3
    with pytest.raises(gf.ArgumentError):
        gf.load_realization(tmp_path / "exact.npz")
    (tmp_path / "other.npz").write_text("no realization")
    with pytest.raises(gf.ArgumentError):
        gf.load_realization(tmp_path / "other.npz")


def test_series_agree_with_the_functions_they_interpolate():
    lower, upper = np.array([-1.0, 0.5]), np.array([1.0, 2.0])
    grid = TensorGrid(lower, upper, 24)

    def f(w):
        return np.stack([np.sin(w[:, 0]) * np.exp(w[:, 1]), w[:, 0] ** 2 * w[:, 1]], axis=-1)

    w = np.random.default_rng(0).uniform(lower, upper, size=(7, 2))
    value, first, second = TensorSeries(lower, upper, grid.coefficients(f(grid.points))).jet(w)
    assert np.allclose(value, f(w), atol=1e-13)
    assert np.allclose(first[:, 0, 0], np.cos(w[:, 0]) * np.exp(w[:, 1]), atol=1e-11)
    assert np.allclose(second[:, 1, 0, 1], 2 * w[:, 0], atol=1e-9)
    assert np.allclose(grid.gradient(f(grid.points))[:, 1, 1], grid.points[:, 0] ** 2, atol=1e-10)
    basis = TotalDegreeBasis(lower, upper, 5)
    A = np.random.default_rng(1).standard_normal((3, len(basis)))
    value, first, second = SpectralMap(basis, A).jet(w)
    e = np.array([1e-4, 0.0])
    up, down = SpectralMap(basis, A).jet(w + e), SpectralMap(basis, A).jet(w - e)
    assert np.allclose((up[0] - down[0]) / 2e-4, first[:, :, 0], rtol=1e-4, atol=1e-4)
    assert np.allclose((up[1] - down[1]) / 2e-4, second[:, :, :, 0], rtol=1e-4, atol=1e-3)


def test_analytic_centre_is_a_positive_decomposition_and_optimal():
    rng, lines = np.random.default_rng(0), twist.spread_lines(15, 3)
    B = 0.2 * rng.standard_normal((30, 3, 3))
    H = np.eye(3) + (B + np.swapaxes(B, 1, 2)) / 2
    c, _ = twist.analytic_centre(H, lines)
    assert (c > 0).all() and np.allclose(np.einsum("pk,ki,kj->pij", c, lines, lines), H, atol=1e-12)
    # optimal: 1/c is in the span of the constraints
    V = np.stack([lines[:, i] * lines[:, j] for i in range(3) for j in range(i, 3)], axis=-1)
    residual = 1 / c.T - V @ np.linalg.lstsq(V, 1 / c.T, rcond=None)[0]
    assert np.abs(residual).max() <= 1e-9 * np.abs(1 / c).max()
    with pytest.raises(gf.ConvergenceError):
        twist.analytic_centre(np.diag([1.0, -0.5, 1.0])[None], lines)
