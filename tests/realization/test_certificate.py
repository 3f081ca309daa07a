"""Certificates."""

import autograd.numpy as anp
import numpy as np

import geoflow as gf
from benchmarks import certificates
from geoflow.realization.certificate import Certificate, certify, relative_metric_error
from geoflow.realization.embedding import Embedding
from geoflow.realization.target import Target

SQUARE = gf.domains.Box([-1, -1], [1, 1])


def test_no_false_certificate_in_random_potentials():
    """Whatever is certified has the metric of R by differences of R and of F alone."""
    rng, certified = np.random.default_rng(7), 0
    for k in range(40):
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
    assert certified >= 12


class Scaled(Embedding):
    """w to c w in the plane, its derivative given as b times that."""

    dim = ambient_dim = 2

    def __init__(self, c, b=1.0):
        self.c, self.b = c, b

    def jet(self, w):
        n = len(w)
        J = np.broadcast_to(self.b * self.c * np.eye(2), (n, 2, 2))
        return self.c * w, J, np.zeros((n, 2, 2, 2))


EUCLIDEAN = Target(lambda w: np.broadcast_to(np.eye(2), (len(w), 2, 2)), SQUARE)


def test_the_identity_of_the_plane_is_certified_and_a_stretch_is_not():
    good = certify(Scaled(1.0), EUCLIDEAN, 1e-8, n_points=300)
    assert good and good.failures == [] and good.n_points == 300 and good.metric_error < 1e-15
    assert good.injectivity_margin > 1 - 1e-9 and abs(good.condition - 1) < 1e-12 and good.reach > 1e100
    assert str(good).startswith("certified")
    bad = certify(Scaled(1.001), EUCLIDEAN, 1e-8, n_points=300)
    assert not bad and abs(bad.metric_error - (1.001**2 - 1)) < 1e-12 and len(bad.failures) == 1
    assert SQUARE.belongs(bad.witness) and str(bad).startswith("NOT certified")
    assert certify(Scaled(1.001), EUCLIDEAN, 1e-2, n_points=300)


def test_a_derivative_that_is_not_one_is_found_out():
    """F = w / 2 with dF = I has the right metric, by a wrong derivative."""
    found = certify(Scaled(0.5, 2.0), EUCLIDEAN, 1e-8, n_points=300)
    assert not found and found.metric_error < 1e-15 and found.derivative_error > 0.1
    assert any("derivative of F" in words for words in found.failures)


def test_a_map_that_meets_itself_is_only_an_immersion():
    class Wrapped(Embedding):
        """Round a circle more than once: locally isometric."""

        dim, ambient_dim = 2, 3

        def jet(self, w):
            n, t = len(w), 5 * w[:, 0]
            value = np.stack([np.cos(t) / 5, np.sin(t) / 5, w[:, 1]], axis=-1)
            J, S = np.zeros((n, 3, 2)), np.zeros((n, 3, 2, 2))
            J[:, 0, 0], J[:, 1, 0], J[:, 2, 1] = -np.sin(t), np.cos(t), 1.0
            S[:, 0, 0, 0], S[:, 1, 0, 0] = -5 * np.cos(t), -5 * np.sin(t)
            return value, J, S

    found = certify(Wrapped(), EUCLIDEAN, 1e-8, n_points=1500)
    assert found.metric_error < 1e-14 and found.derivative_error < 1e-6
    assert found.injectivity_margin < 0.1 and abs(found.reach - 0.2) < 1e-6


def test_relative_errors_do_not_depend_on_the_scale_of_the_metric(rng):
    B = rng.standard_normal((4, 2, 2))
    H = B @ np.swapaxes(B, 1, 2) + 0.1 * np.eye(2)
    J = np.swapaxes(np.linalg.cholesky(H), 1, 2)
    assert relative_metric_error(J, H).max() < 1e-13
    for size in (1e-8, 1e8):
        found = relative_metric_error(1.01 * np.sqrt(size) * J, size * H)
        assert np.allclose(found, 1.01**2 - 1, rtol=1e-9)
    J[1, 0, 0] = np.nan
    assert np.isnan(relative_metric_error(J, H)).tolist() == [False, True, False, False]


def test_a_nan_is_never_certified():
    fields = {
        "metric_error": 1e-12, "n_points": 10, "tol": 1e-8, "witness": np.zeros(2), "derivative_error": 1e-9,
        "injectivity_margin": 0.5, "condition": 1.0, "reach": 1.0,
    }  # fmt: skip
    assert Certificate(**fields)
    for name in ("metric_error", "derivative_error", "injectivity_margin"):
        assert not Certificate(**{**fields, name: np.nan})


def test_corners_count():
    """An error that only a corner has: below 1e-3 in all but a 30,000th of the cube."""

    class Curled(Embedding):
        """w plus c (w_1 w_2 w_3)^20 / 20 in the first coordinate."""

        dim = ambient_dim = 3

        def jet(self, w):
            p = w.prod(axis=1)
            J = np.tile(np.eye(3), (len(w), 1, 1))
            J[:, 0] += 0.1 * p[:, None] ** 19 * np.stack([w[:, 1] * w[:, 2], w[:, 0] * w[:, 2], w[:, 0] * w[:, 1]], 1)
            value = w.copy()
            value[:, 0] += 0.1 * p**20 / 20
            return value, J, np.zeros((len(w), 3, 3, 3))

    cube = Target(lambda w: np.broadcast_to(np.eye(3), (len(w), 3, 3)), gf.domains.Box([-1] * 3, [1] * 3))
    found = certify(Curled(), cube, 0.05)
    at_corner = relative_metric_error(Curled().jacobian(np.ones((1, 3))), np.eye(3)[None])[0]
    assert not found and abs(found.metric_error - at_corner) < 1e-12 and np.abs(found.witness).tolist() == [1, 1, 1]
    assert found.metric_error > 0.15


def test_an_error_is_maximised_from_the_worst_points():
    class Dented(Embedding):
        """w in the plane, its length along w_1 off by a bump of width 0.05 about a point of no sample."""

        dim = ambient_dim = 2

        def jet(self, w):
            J = np.tile(np.eye(2), (len(w), 1, 1))
            J[:, 0, 0] += 0.1 * np.exp(-((w - [0.123, 0.456]) ** 2).sum(axis=1) / (2 * 0.05**2))
            return w, J, np.zeros((len(w), 2, 2, 2))

    found = certify(Dented(), EUCLIDEAN, 0.3, n_points=1000)
    assert found.metric_error > 0.21 - 1e-7 and np.linalg.norm(found.witness - [0.123, 0.456]) < 1e-3


def test_narrow_bumps_are_never_certified_away(rng):
    """A bump of width 0.005 to 0.02 that changes the metric by a fifth, in the plane and in space."""
    for d, options in [(1, {"method": "spectral"}), (2, {"max_degree": 10}), (3, {"max_degree": 4})]:
        for _ in range(3):
            c, s = rng.uniform(-0.98, 0.98, d), float(rng.uniform(0.005, 0.02))

            def potential(w, c=c, s=s):
                bump = anp.exp(-anp.sum((w - c) ** 2, axis=-1) / (2 * s**2))
                return anp.sum(w**2, axis=-1) / 2 + 0.2 * s**2 * bump

            try:
                gf.realize(gf.LegendreFunction(potential, d), gf.domains.Box([-1] * d, [1] * d), tol=0.02, **options)
            except gf.RealizationError as error:
                found = error.realization.certificate
            assert found.metric_error > 0.1 and np.linalg.norm(found.witness - c) < 2 * s


def test_a_certificate_says_what_was_searched():
    R = gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) + anp.exp(w[..., 0]), 2)
    found = gf.realize(R, SQUARE, tol=1e-6).certificate
    assert 0.01 < found.smallest_feature < 0.1 and found.smallest_at_extremes == 1e-3
    for words in ("4 corners", "200 points of edges and faces", "quantities", "at the extremes from 1e-03"):
        assert words in found.searched and words in str(found)
    bare = certify(Scaled(1.0), EUCLIDEAN, 1e-8, n_points=300)
    assert np.isnan(bare.smallest_at_extremes) and "narrower ones may be missed" in str(bare)
    whole = gf.realize(gf.catalog.potentials["burg"](2)).certificate
    assert np.isnan(whole.smallest_feature) and "random points only" in str(whole)


def test_no_certificate_of_random_potentials_is_false():
    """One hundredth of benchmarks/certificates.py."""
    tally = certificates.run(seed=2, draws=10)["all"]
    assert tally.counts["false"] == 0 and tally.counts["certified"] >= 3 and sum(tally.counts.values()) == 10
    assert 0 < tally.worst <= 1.05
