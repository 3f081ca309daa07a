"""Exponential families against scipy.stats, quadrature and mpmath."""

import mpmath as mp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import geoflow as gf
from geoflow.catalog.log_partitions import packed

F = gf.families


def one(n=None):
    """A family, two members by ordinary coordinates, observations, and what scipy calls them."""
    S, T = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([[0.5, -0.1], [-0.1, 3.0]])
    m, k = np.array([1.0, -2.0]), np.array([0.5, 0.0])
    return {
        "normal": (F.gaussian(), [[0.0, 1.0], [1.0, 4.0]], np.array([[-3.0], [0.2], [5.0]]),
                   lambda x, a: stats.norm(a[0], np.sqrt(a[1])).logpdf(x[..., 0])),
        "normals": (F.gaussian(2), [packed(m, S), packed(k, T)], np.array([[0.1, -0.2], [3.0, 4.0]]),
                    lambda x, a: stats.multivariate_normal(a[:2], [[a[2], a[3]], [a[3], a[4]]]).logpdf(x)),
        "categorical": (F.categorical(3), [[0.2, 0.3, 0.5], [0.6, 1e-7, 0.4 - 1e-7]], np.array([0, 1, 2]),
                        lambda x, a: np.log(np.array(a))[x]),
        "multinomial": (F.multinomial(3, 7), [[0.2, 0.3, 0.5], [0.6, 1e-7, 0.4 - 1e-7]],
                        np.array([[7, 0, 0], [2, 3, 2], [0, 1, 6]]), lambda x, a: stats.multinomial(7, a).logpmf(x)),
        "poisson": (F.poisson(), [[3.0], [0.1]], np.array([[0], [1], [20]]),
                    lambda x, a: stats.poisson(a[0]).logpmf(x[..., 0])),
        "gamma": (F.gamma(), [[2.0, 3.0], [0.3, 0.1]], np.array([1e-3, 0.7, 9.0]),
                  lambda x, a: stats.gamma(a[0], scale=1 / a[1]).logpdf(x)),
        "von Mises": (F.von_mises(), [[0.4, 2.0], [-2.0, 0.3]], np.array([-3.0, 0.1, 8.0]),
                      lambda x, a: stats.vonmises(a[1], loc=a[0]).logpdf(x)),
    }[n]  # fmt: skip


NAMES = ["normal", "normals", "categorical", "multinomial", "poisson", "gamma", "von Mises"]


@pytest.mark.parametrize("name", NAMES)
def test_densities_are_scipys(name):
    family, members, x, logpdf = one(name)
    theta = family.convert(members, "ordinary", "natural")
    for ordinary, natural in zip(members, theta, strict=True):
        assert np.allclose(family.log_density(x, natural), logpdf(x, ordinary), rtol=1e-10, atol=1e-12)
    t = family.statistic(x)  # and of the form <theta, t(x)> - R(theta) + k(x): differences of members have no k
    R = family.log_partition
    straight = t @ (theta[1] - theta[0]) - R(theta[1]) + R(theta[0])
    assert np.allclose(family.log_density(x, theta[1]) - family.log_density(x, theta[0]), straight, rtol=1e-9)
    assert family.log_density(x[:, None], theta).shape == (len(x), 2)


@pytest.mark.parametrize("name", NAMES)
def test_coordinates_go_there_and_back(name):
    family, members, _, _ = one(name)
    kinds = ["natural", "expectation", "ordinary"]
    values = {kind: family.convert(members, "ordinary", kind) for kind in kinds}
    for source in kinds:
        for target in kinds:
            found = family.convert(values[source], source, target)
            assert np.allclose(found, values[target], rtol=1e-9, atol=1e-12), (source, target)
    R = family.log_partition
    assert np.allclose(R.inverse_gradient(values["expectation"]), values["natural"], rtol=1e-8)
    assert np.allclose(R.gradient(values["natural"]), values["expectation"], rtol=1e-14)
    assert np.allclose(family.manifold.primal_chart(values["expectation"]), values["natural"], rtol=1e-8)


def integral(family, f, low, high, points=None):
    return quad(lambda x: float(f(np.reshape(x, family.point_shape))), low, high, epsabs=1e-14, limit=800,
                points=points)[0]  # fmt: skip


def expected(family, f):
    """The integral or sum of f over all observations."""
    name = family.name
    if name.startswith("normal"):
        return integral(family, f, -80, 80, [-1, 0, 1])
    if name == "gamma":  # x = e^s
        return quad(lambda s: float(f(np.exp(s))) * np.exp(s), -120, 8, epsabs=1e-14, limit=800, points=[-20, 0, 3])[0]
    if name == "von Mises":
        return integral(family, f, -np.pi, np.pi)
    if name == "Poisson":
        return sum(float(f(np.array([k]))) for k in range(200))
    if name.startswith("categorical"):
        return sum(float(f(np.array(k))) for k in range(3))
    counts = [(i, j, 7 - i - j) for i in range(8) for j in range(8 - i)]
    return sum(float(f(np.array(c))) for c in counts)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "normals"])
def test_divergences_are_integrals_of_the_densities(name):
    family, members, _, _ = one(name)
    p, q = family.convert(members, "ordinary", "natural")

    def log_p(x):
        return family.log_density(x, p)

    def log_q(x):
        return family.log_density(x, q)

    kl = [
        expected(family, lambda x: np.exp(log_p(x)) * (log_p(x) - log_q(x))),
        expected(family, lambda x: np.exp(log_q(x)) * (log_q(x) - log_p(x))),
    ]
    assert np.isclose(family.kl_divergence(p, q), kl[0], rtol=1e-9)
    assert np.isclose(family.jeffreys_divergence(p, q), sum(kl), rtol=1e-9)
    alpha = gf.chernoff_exponent(family.log_partition, p, q)
    found = family.chernoff_information(p, q)
    for a in (alpha, alpha - 0.01, alpha + 0.01):
        exact = -np.log(expected(family, lambda x, a=a: np.exp(a * log_p(x) + (1 - a) * log_q(x))))
        assert abs(found - exact) < 1e-9 * found if a == alpha else exact < found
    eta = family.convert(p, "natural", "expectation")
    for i in range(family.dim):
        mean = expected(family, lambda x, i=i: np.exp(log_p(x)) * family.statistic(x)[..., i])
        assert np.isclose(mean, eta[i], rtol=1e-9)


def test_divergences_of_normals_of_the_plane_in_closed_form():
    family, members, _, _ = one("normals")
    p, q = family.convert(members, "ordinary", "natural")
    (m, S), (k, T) = ((np.array(a[:2]), np.array([[a[2], a[3]], [a[3], a[4]]])) for a in members)
    mean = (k - m) @ np.linalg.solve(T, k - m)
    exact = (np.trace(np.linalg.solve(T, S)) - 2 + mean + np.log(np.linalg.det(T) / np.linalg.det(S))) / 2
    assert np.isclose(family.kl_divergence(p, q), exact, rtol=1e-13)
    half = family.log_partition  # Bhattacharyya's distance
    mid = (S + T) / 2
    exact = (k - m) @ np.linalg.solve(mid, k - m) / 8
    exact += np.log(np.linalg.det(mid) / np.sqrt(np.linalg.det(S) * np.linalg.det(T))) / 2
    assert np.isclose(gf.jensen_divergence(half, p, q), exact, rtol=1e-13)


@pytest.mark.parametrize("kappa", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_von_mises_at_all_concentrations(kappa):
    family, angle = F.von_mises(), 0.7
    theta = family.convert([angle, kappa], "ordinary", "natural")
    eta = family.convert(theta, "natural", "expectation")
    assert np.allclose(family.convert(eta, "expectation", "ordinary"), [angle, kappa], rtol=1e-9)
    with mp.workdps(50):
        K, L = mp.mpf(kappa), mp.mpf(kappa) * 3 / 2
        ratio = mp.besseli(1, K) / mp.besseli(0, K)
        assert abs(mp.mpf(float(np.hypot(*eta))) / ratio - 1) < 1e-14
        other = family.convert([angle, 1.5 * kappa], "ordinary", "natural")
        kl = (K - L) * ratio + mp.log(mp.besseli(0, L) / mp.besseli(0, K))
        assert abs(mp.mpf(float(family.kl_divergence(theta, other))) / kl - 1) < 1e-9
        turned = family.convert([angle + 1e-3, kappa], "ordinary", "natural")
        kl = K * ratio * (1 - mp.cos(mp.mpf(1e-3)))
        assert abs(mp.mpf(float(family.kl_divergence(theta, turned))) / kl - 1) < 1e-9


@pytest.mark.parametrize("shape", [1e-6, 1e-2, 1.0, 50.0, 1e6])
@pytest.mark.parametrize("change", [1e-9, 0.3, 100.0])
def test_gammas_at_all_scales(shape, change):
    family = F.gamma()
    ordinary = np.array([[shape, 2.0], [shape * (1 + change), 2.0 * (1 + 2 * change)]])
    p, q = family.convert(ordinary, "ordinary", "natural")
    with mp.workdps(50):
        (a, b), (c, d) = ([mp.mpf(x) for x in row] for row in ordinary)
        kl = (a - c) * mp.psi(0, a) - mp.loggamma(a) + mp.loggamma(c) + c * mp.log(b / d) + a * (d - b) / b
        assert abs(mp.mpf(float(family.kl_divergence(p, q))) / kl - 1) < 1e-9
    eta = family.convert(p, "natural", "expectation")
    # log E x - E log x = 1 / (2 a) of large a, in which the rounding of E log x is 2 a times as large
    rounding = 2 * shape * np.spacing(abs(eta[0]))
    assert np.allclose(family.convert(eta, "expectation", "ordinary"), ordinary[0], rtol=1e-12 + rounding)


@pytest.mark.parametrize("mean", [0.0, 1e4, 1e8])
def test_normals_far_from_0(mean):
    """The divergence of normals a step apart, for steps that the natural parameters tell."""
    family = F.gaussian()
    p, q = family.convert([[mean, 1.0], [mean + 1.0, 1.0]], "ordinary", "natural")
    assert np.isclose(family.kl_divergence(p, q), 0.5, rtol=1e-9)
    assert np.isclose(family.chernoff_information(p, q), 1 / 8, rtol=1e-9)
    x = mean + np.random.default_rng(0).standard_normal((1000, 1))
    fit = family.convert(family.maximum_likelihood(x), "natural", "ordinary")
    assert np.allclose(fit, [x.mean(), x.var()], rtol=1e-9)
    assert np.isclose(family.log_density(np.array([mean + 0.5]), p), stats.norm.logpdf(0.5), rtol=1e-9)
    S = np.array([[mean, 1.0], [mean, 4.0]])  # the left centroid has the moments of the mixture
    c = gf.barycentre(family.log_partition, family.convert(S, "ordinary", "natural"), side="left")
    assert np.allclose(family.convert(c, "natural", "ordinary"), [mean, 2.5], rtol=1e-7)


def test_the_left_centroid_of_members_has_the_mean_of_their_expectations():
    for name in NAMES:
        family, members, _, _ = one(name)
        eta = family.convert(members, "ordinary", "expectation")
        theta = family.convert(members, "ordinary", "natural")
        c = gf.barycentre(family.log_partition, theta, side="left")
        assert np.allclose(c, family.convert(eta.mean(axis=0), "expectation", "natural"), rtol=1e-8), name


def test_maximum_likelihood():
    rng = np.random.default_rng(0)
    draws = {
        "normals": rng.multivariate_normal([1, -2], [[2, 0.3], [0.3, 1]], 500),
        "categorical": rng.choice(3, 500, p=[0.2, 0.3, 0.5]),
        "multinomial": rng.multinomial(7, [0.2, 0.3, 0.5], 500),
        "poisson": rng.poisson(3.0, (500, 1)),
        "gamma": rng.gamma(2.0, 1 / 3, 500),
        "von Mises": rng.vonmises(0.4, 2.0, 500),
    }
    for name, x in draws.items():
        family, members, _, _ = one(name)
        best = family.maximum_likelihood(x)
        assert np.allclose(family.convert(best, "natural", "ordinary"), members[0], atol=0.3), name
        top = family.log_density(x, best).sum()
        for _ in range(20):
            assert family.log_density(x, best + 1e-3 * rng.standard_normal(family.dim)).sum() < top, name
        doubled = family.maximum_likelihood(x, np.r_[np.full(100, 2.0), np.ones(400)])
        again = family.maximum_likelihood(np.concatenate([x, x[:100]]))
        assert np.allclose(doubled, again, rtol=1e-9)
    a, _, b = stats.gamma.fit(draws["gamma"], floc=0)
    fit = F.gamma().convert(F.gamma().maximum_likelihood(draws["gamma"]), "natural", "ordinary")
    assert np.allclose(fit, [a, 1 / b], rtol=1e-4)


def test_a_likely_class_keeps_its_digits():
    family = F.categorical(2)
    for p in (1e-300, 1e-20, 1e-3):
        theta = family.convert([1 - p, p], "ordinary", "natural")
        assert np.isclose(family.log_density(0, theta), np.log1p(-p), rtol=1e-12)
        assert np.isclose(family.log_density(1, theta), np.log(p), rtol=1e-12)


def test_large_counts_keep_their_digits():
    """log p of the likeliest count, against mpmath: terms of the size of 1e9 cancel."""
    with mp.workdps(40):
        rate = 1e8
        exact = rate * mp.log(rate) - rate - mp.loggamma(mp.mpf(rate) + 1)
        found = F.poisson().log_density([rate], F.poisson().convert([rate], "ordinary", "natural"))
        assert abs(mp.mpf(float(found)) - exact) < 1e-6  # log(rate) is rounded to 2e-15, times 1e8
        n, k = 10**8, 5 * 10**7
        exact = mp.loggamma(n + 1) - 2 * mp.loggamma(k + 1) + n * mp.log(0.5)
        found = F.multinomial(2, n).log_density([k, k], [0.0])
        assert abs(mp.mpf(float(found)) / exact - 1) < 1e-12


def test_by_name_and_by_their_words():
    assert list(F.FAMILIES) == ["gaussian", "categorical", "multinomial", "poisson", "gamma", "von_mises"]
    assert repr(F.FAMILIES["poisson"](2)) == "ExponentialFamily(Poisson, 2 independent)"
    assert isinstance(F.gamma().manifold, gf.DuallyFlatManifold)
    assert abs(F.gaussian().manifold.metric.sectional_curvature([1.0, 0.0], [0.0, 1.0], [0.3, -2.0]) + 0.5) < 1e-10


@pytest.mark.parametrize(
    "family, bad",
    [
        (F.gaussian(), [0.0, -1.0]), (F.gaussian(2), [0, 0, 1, 2, 1]), (F.categorical(3), [0.5, 0.5, 0.5]),
        (F.categorical(2), [1.0, 0.0]), (F.multinomial(2, 3), [-0.5, 1.5]), (F.poisson(), [0.0]),
        (F.gamma(), [1.0, -1.0]), (F.von_mises(), [0.0, -1.0]),
    ],
)  # fmt: skip
def test_ordinary_coordinates_of_no_member(family, bad):
    good = family.convert(family.log_partition.domain.interior_point(), "natural", "ordinary")
    with pytest.raises(gf.DomainError, match=r"ordinary coordinates of .*at batch entry.*wanted .*; choose") as error:
        family.convert([good, bad], "ordinary", "natural")
    assert error.value.index == (1,)


@pytest.mark.parametrize(
    "family, bad",
    [
        (F.gaussian(), [2.0, 3.0]), (F.gaussian(2), [1, 1, 1, 1, 1]), (F.categorical(3), [0.5, 0.6]),
        (F.multinomial(2, 3), [3.0]), (F.poisson(), [-1.0]), (F.gamma(), [1.0, 2.0]), (F.von_mises(), [0.8, 0.7]),
    ],
)  # fmt: skip
def test_expectations_of_no_member(family, bad):
    with pytest.raises(gf.DomainError, match=r"expectation coordinates of .*wanted"):
        family.convert(bad, "expectation", "natural")


@pytest.mark.parametrize(
    "family, bad",
    [
        (F.categorical(3), 3), (F.categorical(3), 0.5), (F.multinomial(2, 3), [1, 1]), (F.multinomial(2, 3), [-1, 4]),
        (F.poisson(), [-1]), (F.poisson(2), [0.5, 1]), (F.gamma(), 0.0),
    ],
)  # fmt: skip
def test_observations_outside_the_support(family, bad):
    with pytest.raises(gf.DomainError, match=r"outside its support; got .*; wanted .*; remove it"):
        family.statistic(bad)


def test_bad_input_is_answered():
    normal = F.gaussian(2)
    with pytest.raises(gf.ArgumentError, match="kind of coordinates; got 'moments'"):
        normal.convert(np.zeros(5), "moments", "natural")
    with pytest.raises(gf.ShapeError, match="ordinary coordinates of normal"):
        normal.convert(np.zeros(4), "ordinary", "natural")
    with pytest.raises(gf.NotFiniteError):
        normal.statistic([np.nan, 1.0])
    with pytest.raises(gf.ShapeError, match="log density"):
        F.gamma().log_density(np.ones(3), -np.ones((4, 2)) * [-1, 1])
    for wrong in (0, 1.5, True):
        with pytest.raises(gf.ArgumentError):
            F.gaussian(wrong)
    with pytest.raises(gf.ArgumentError, match="number of classes; got 1; wanted at least 2"):
        F.categorical(1)
    with pytest.raises(gf.ArgumentError, match="trials"):
        F.multinomial(3, 0)
    with pytest.raises(gf.ShapeError, match=r"observations; got shape \(2,\); wanted shape \[n, 2\]"):
        normal.maximum_likelihood([1.0, 2.0])
    with pytest.raises(gf.ArgumentError, match="weights"):
        F.gamma().maximum_likelihood([1.0, 2.0], [0.0, 0.0])
    with pytest.raises(gf.DomainError, match="expectation coordinates of gamma"):
        F.gamma().maximum_likelihood([2.0, 2.0])  # all the same: the shape grows without bound
