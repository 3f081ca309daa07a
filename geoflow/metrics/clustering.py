"""k-means with Bregman divergences, in scikit-learn's interface."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_count, as_finite, as_points, require_type
from geoflow.errors import ArgumentError, ShapeError
from geoflow.metrics.barycentres import barycentre
from geoflow.metrics.cells import VoronoiCells
from geoflow.metrics.gaps import as_side
from geoflow.potentials.legendre import LegendreFunction

if TYPE_CHECKING:
    from typing_extensions import Self


class BregmanKMeans(ClusterMixin, TransformerMixin, BaseEstimator):
    """Clusters of points by the least sum of divergences from their centres, Lloyd's algorithm from k-means++ starts.

    Parameters
    ----------
    R : LegendreFunction
    n_clusters : int
    side : str
        "right", D(w, c), whose centres are means; "left", D(c, w); "symmetrised"; "jensen": those of `barycentre`.
    n_init, max_iter : int
        Starts, of which the best is kept, and steps each may take.
    random_state : int, Generator or RandomState, optional
        The seed of the starts, 0 by default.

    Attributes
    ----------
    cluster_centers_ : array, shape=[n_clusters, d]
    labels_ : array, shape=[n]
    inertia_ : float
        Sum of the divergences, weighted.
    n_iter_ : int
        Steps of the best start. Where it took `max_iter` and still moved there is a `ConvergenceWarning`.

    Raises
    ------
    ArgumentError, ShapeError, DomainError
        By `fit`, for parameters and points that are none.

    Reference
    ---------
    Banerjee, Merugu, Dhillon, Ghosh, Clustering with Bregman divergences, JMLR 2005; Arthur, Vassilvitskii, k-means++,
    SODA 2007.
    """

    def __init__(
        self,
        R: LegendreFunction,
        n_clusters: int = 8,
        side: str = "right",
        n_init: int = 10,
        max_iter: int = 300,
        random_state: Any = 0,
    ):
        self.R, self.n_clusters, self.side = R, n_clusters, side
        self.n_init, self.max_iter, self.random_state = n_init, max_iter, random_state

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the clusters of points X, shape=[n, d], with weights of shape=[n]; y is ignored."""
        X, p = self._checked(X, sample_weight)
        used, rng = p > 0, self._generator()
        best: tuple[float, Array, int, bool] | None = None
        for _ in range(self.n_init):
            found = self._lloyd(X[used], p[used], self._start(X[used], p[used], rng))
            if best is None or found[0] < best[0]:
                best = found
        assert best is not None
        _, self.cluster_centers_, self.n_iter_, settled = best
        if not settled:
            text = f"k-means of {self.R.name} still moved after max_iter = {self.max_iter} steps"
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        self.n_features_in_ = X.shape[1]
        divergences = self.transform(X)
        self.labels_ = np.argmin(divergences, axis=1)
        self.inertia_ = float(p @ divergences.min(axis=1))
        return self

    def fit_predict(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Index:
        """`fit`, and the labels, shape=[n]."""
        return self.fit(X, y, sample_weight).labels_

    def predict(self, X: ArrayLike) -> Index:
        """The index of the nearest centre, shape=[n]."""
        return np.argmin(self.transform(X), axis=-1)

    def transform(self, X: ArrayLike) -> Array:
        """The divergence from every centre, shape=[n, n_clusters]."""
        if not hasattr(self, "cluster_centers_"):
            raise NotFittedError("BregmanKMeans; got no centres; wanted a fitted estimator; call fit first")
        return VoronoiCells(self.R, self.cluster_centers_, self.side).divergences(X)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the weighted sum of the divergences from the nearest centres."""
        least = self.transform(X).min(axis=-1)
        return -float(least.sum() if sample_weight is None else _weights(sample_weight, len(least)) @ least)

    def _checked(self, X: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, Array]:
        require_type(self.R, LegendreFunction, "R")
        as_side(self.side)
        for name in ("n_clusters", "n_init", "max_iter"):
            as_count(getattr(self, name), name)
        X = as_points(X, self.R.dim, "X")
        if X.ndim != 2:
            raise ShapeError("X", got=f"shape {X.shape}", wanted=f"shape [n, {self.R.dim}]")
        X = self.R.domain.require(X, "X")
        p = _weights(sample_weight, len(X))
        distinct = len(np.unique(X[p > 0], axis=0))
        if distinct < self.n_clusters:
            got = f"{self.n_clusters} for {distinct} distinct points of positive weight"
            raise ArgumentError("n_clusters", got, f"at most {distinct}", "ask for fewer clusters")
        return X, p

    def _generator(self) -> np.random.Generator:
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = seed.randint(2**31)
        try:
            return np.random.default_rng(seed)
        except (TypeError, ValueError):
            raise ArgumentError("random_state", got=repr(seed), wanted="a seed, a Generator or a RandomState") from None

    def _start(self, X: Array, p: Array, rng: np.random.Generator) -> Array:
        """Points drawn with probabilities in proportion to the divergence from the nearest that is drawn."""
        centres, least = X[rng.choice(len(X), 1, p=p / p.sum())], np.full(len(X), np.inf)
        while len(centres) < self.n_clusters:
            least = np.minimum(least, VoronoiCells(self.R, centres[-1:], self.side).divergences(X)[:, 0])
            mass = p * least
            k = rng.choice(len(X), p=mass / mass.sum()) if mass.sum() > 0 else self._other(X, centres)
            centres = np.concatenate([centres, X[k : k + 1]])
        return centres

    def _other(self, X: Array, centres: Array) -> int:
        """A point that is no centre: where divergences are too small for a number."""
        return int(np.argmin((X[:, None] == centres).all(axis=-1).any(axis=1)))

    def _lloyd(self, X: Array, p: Array, centres: Array) -> tuple[float, Array, int, bool]:
        """The sum of divergences, the centres, the steps taken, and whether the labels came to rest."""
        labels = np.full(len(X), -1)
        for step in range(1, self.max_iter + 1):
            divergences = VoronoiCells(self.R, centres, self.side).divergences(X)
            new, least = np.argmin(divergences, axis=1), p * divergences.min(axis=1)
            for k in np.setdiff1d(np.arange(self.n_clusters), new):  # an empty cluster takes the worst point of another
                alone = np.bincount(new, minlength=self.n_clusters)[new] == 1
                worst = int(np.argmax(np.where(alone, -1.0, least)))
                new[worst], least[worst] = k, 0.0
            if (new == labels).all():
                return float(least.sum()), centres, step, True
            labels = new
            members = [labels == k for k in range(self.n_clusters)]
            centres = np.stack([barycentre(self.R, X[m], p[m], self.side) for m in members])
        return (
            float((p * VoronoiCells(self.R, centres, self.side).divergences(X).min(axis=1)).sum()),
            centres,
            step,
            False,
        )


def _weights(sample_weight: ArrayLike | None, n: int) -> Array:
    p = np.ones(n) if sample_weight is None else as_finite(sample_weight, "sample_weight")
    if p.shape != (n,):
        raise ShapeError("sample_weight", got=f"shape {p.shape}", wanted=f"shape ({n},)")
    if (p < 0).any() or not p.any():
        raise ArgumentError(
            "sample_weight", got=f"{p.min():g} to {p.max():g}", wanted="numbers >= 0, not all of them 0"
        )
    return p
