"""k-means with Bregman divergences, by scikit-learn's interface and against scikit-learn's own."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import geoflow as gf
from geoflow.metrics.gaps import SIDES, divergence_from


def blobs(R, rng, n=40, spread=0.05):
    """Three groups of points in the domain, and which is which."""
    centres = R.domain.random_point(3, bound=0.8, rng=3)
    points = centres[:, None] + spread * rng.uniform(-0.1, 0.1, (3, n, R.dim))
    return R.domain.require(points.reshape(-1, R.dim)), np.repeat(np.arange(3), n)


def partition(labels):
    return {frozenset(np.flatnonzero(labels == k)) for k in np.unique(labels)}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["negative_entropy", "log_sum_exp", "simplex_entropy", "quartic"])
def test_groups_are_found_and_centres_are_barycentres(name, side, rng):
    R = gf.catalog.potentials[name](2)
    X, truth = blobs(R, rng)
    found = gf.BregmanKMeans(R, 3, side, n_init=3).fit(X)
    assert partition(found.labels_) == partition(truth)
    for k in range(3):
        assert np.allclose(found.cluster_centers_[k], gf.barycentre(R, X[found.labels_ == k], side=side), rtol=1e-9)
    to_own = divergence_from(R, X, found.cluster_centers_[found.labels_], side)
    assert np.isclose(found.inertia_, to_own.sum(), rtol=1e-12) and np.isclose(found.score(X), -found.inertia_)
    assert np.array_equal(found.predict(X), found.labels_) and found.transform(X).shape == (120, 3)
    assert np.array_equal(found.fit_predict(X), found.labels_)


def test_it_is_scikit_learns_for_squared_distances(rng):
    """D = |w - c|^2 / 2 of |w|^2 / 2: half the inertia from the same optimum."""
    R = gf.RidgeSum(np.eye(3), 0.0, "quadratic")
    X = rng.standard_normal((200, 3)) + 6 * rng.integers(3, size=(200, 1))
    weight = rng.uniform(0.1, 2, 200)
    theirs = KMeans(3, n_init=20, random_state=0).fit(X, sample_weight=weight)
    for side in SIDES:
        ours = gf.BregmanKMeans(R, 3, side, n_init=20).fit(X, sample_weight=weight)
        factor = 8 if side == "jensen" else 2
        assert np.isclose(factor * ours.inertia_, theirs.inertia_, rtol=1e-9)
        assert partition(ours.labels_) == partition(theirs.labels_)


def test_the_sum_falls_at_every_step(rng):
    R = gf.catalog.potentials["burg"](2)
    X = rng.uniform(0.1, 5, (300, 2))
    sums, whole = [], gf.BregmanKMeans(R, 5, n_init=1).fit(X)
    assert whole.n_iter_ > 4
    for steps in range(1, whole.n_iter_):
        with pytest.warns(ConvergenceWarning, match="still moved after max_iter"):
            sums.append(gf.BregmanKMeans(R, 5, n_init=1, max_iter=steps).fit(X).inertia_)
    assert (np.diff([*sums, whole.inertia_]) <= 1e-12).all() and sums[-1] < 0.95 * sums[0]


def test_scales_do_not_matter(rng):
    """The divergence of -log w is one of ratios: units of 1e-6 and 1e6 give the same clusters."""
    R = gf.catalog.potentials["burg"](2)
    X = rng.uniform(0.5, 5, (100, 2))
    one = gf.BregmanKMeans(R, 4).fit(X)
    for scale in (1e-6, 1e6):
        other = gf.BregmanKMeans(R, 4).fit(scale * X)
        assert np.array_equal(one.labels_, other.labels_) and np.isclose(one.inertia_, other.inertia_, rtol=1e-9)


def test_scikit_learns_interface(rng):
    R = gf.catalog.potentials["negative_entropy"](2)
    X, truth = blobs(R, rng)
    estimator = gf.BregmanKMeans(R, n_clusters=3, side="left", n_init=2, random_state=5)
    params = estimator.get_params()
    assert params == {
        "R": R, "n_clusters": 3, "side": "left", "n_init": 2, "max_iter": 300, "random_state": 5,
    }  # fmt: skip
    assert estimator.set_params(n_clusters=2).n_clusters == 2
    again = gf.BregmanKMeans(**{**estimator.get_params(), "n_clusters": 3})
    assert partition(again.fit(X).labels_) == partition(truth) and again.n_features_in_ == 2
    pipe = make_pipeline(FunctionTransformer(np.exp), gf.BregmanKMeans(R, 3, n_init=2))
    assert partition(pipe.fit_predict(np.log(X))) == partition(truth)
    search = GridSearchCV(gf.BregmanKMeans(R, 1, n_init=2), {"n_clusters": [1, 3]}, cv=2).fit(
        X[rng.permutation(len(X))]
    )
    assert search.best_params_ == {"n_clusters": 3}
    for same in (clone(again).fit(X), pickle.loads(pickle.dumps(again)), copy.deepcopy(again)):
        assert np.array_equal(same.cluster_centers_, again.cluster_centers_)


def test_seeds_and_weights(rng):
    R = gf.catalog.potentials["burg"](2)
    X = rng.uniform(0.1, 5, (60, 2))
    seeds = [7, np.random.default_rng(7), np.random.RandomState(7)]
    assert len({gf.BregmanKMeans(R, 4, random_state=s, n_init=1).fit(X).inertia_ for s in seeds[:2]}) == 1
    assert gf.BregmanKMeans(R, 4, random_state=seeds[2]).fit(X).n_iter_ >= 1
    twice = gf.BregmanKMeans(R, 3, n_init=20).fit(np.concatenate([X, X[:20]]))
    weighted = gf.BregmanKMeans(R, 3, n_init=20).fit(X, sample_weight=np.r_[np.full(20, 2.0), np.ones(40)])
    assert np.isclose(twice.inertia_, weighted.inertia_, rtol=1e-9)
    without = gf.BregmanKMeans(R, 3).fit(X, sample_weight=np.r_[np.zeros(20), np.ones(40)])
    assert np.isclose(without.inertia_, gf.BregmanKMeans(R, 3).fit(X[20:]).inertia_, rtol=1e-12)
    assert len(without.labels_) == 60


def test_as_many_clusters_as_points_and_points_that_are_the_same():
    R = gf.catalog.potentials["quartic"](1)
    X = np.array([[0.0], [1.0], [1.0], [1 + 1e-15], [5.0]])
    found = gf.BregmanKMeans(R, 4).fit(X)
    assert found.inertia_ == 0 and len(np.unique(found.labels_)) == 4
    one = gf.BregmanKMeans(R, 1).fit(X)
    assert np.isclose(one.cluster_centers_[0, 0], X.mean(), rtol=1e-15)


def test_bad_input_is_answered(rng):
    R = gf.catalog.potentials["burg"](2)
    X = rng.uniform(0.5, 1, (10, 2))
    for options, words in [
        ({"n_clusters": 0}, "n_clusters; got 0; wanted an integer, at least 1"),
        ({"n_clusters": 11}, "n_clusters; got 11 for 10 distinct points"),
        ({"n_init": 1.5}, "n_init"),
        ({"max_iter": -1}, "max_iter"),
        ({"side": "top"}, "side; got 'top'"),
        ({"random_state": "x"}, "random_state; got 'x'"),
    ]:
        with pytest.raises(gf.ArgumentError, match=words):
            gf.BregmanKMeans(**{"R": R, "n_clusters": 2, **options}).fit(X)
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        gf.BregmanKMeans("burg", 2).fit(X)
    with pytest.raises(gf.DomainError, match="X outside the domain"):
        gf.BregmanKMeans(R, 2).fit(-X)
    with pytest.raises(gf.ShapeError, match=r"X; got shape \(10, 3\)"):
        gf.BregmanKMeans(R, 2).fit(np.ones((10, 3)))
    with pytest.raises(gf.ShapeError, match="wanted shape \\[n, 2\\]"):
        gf.BregmanKMeans(R, 2).fit(X[None])
    with pytest.raises(gf.NotFiniteError):
        gf.BregmanKMeans(R, 2).fit(np.where(X.max() - 1e-9 < X, np.nan, X))
    for weight, error in [
        (np.ones(9), gf.ShapeError),
        (-np.ones(10), gf.ArgumentError),
        (np.zeros(10), gf.ArgumentError),
    ]:
        with pytest.raises(error, match="sample_weight"):
            gf.BregmanKMeans(R, 2).fit(X, sample_weight=weight)
    with pytest.raises(NotFittedError, match="call fit first"):
        gf.BregmanKMeans(R, 2).predict(X)
