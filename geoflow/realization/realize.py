"""realize: a Legendre function, or any metric, to a certified isometric embedding and the parametrization it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from geoflow import autodiff
from geoflow._validate import as_finite, as_points, describe, require_type
from geoflow.domains import Box, ConvexDomain
from geoflow.errors import (
    ArgumentError,
    ConvergenceError,
    DomainError,
    GeoflowError,
    NotLegendreError,
    RealizationError,
    ShapeError,
)
from geoflow.legendre import LegendreFunction
from geoflow.realization import rules, spectral, twist
from geoflow.realization.certificate import Certificate, certify, relative_metric_error
from geoflow.realization.embedding import Embedding
from geoflow.realization.spectral import Stage
from geoflow.realization.submanifold import NearestPoint, Submanifold, SubmanifoldParametrization
from geoflow.results import Check

METHODS = ("auto", "exact", "twist", "spectral")
FRESH_POINTS = 2500
SOLVER_POINTS = 1500
LARGEST_DIM = 4
DEGENERATE = 1e-10
Metric = Callable[[np.ndarray], np.ndarray]
Advance = Callable[[str, Stage], None]


class Method(str):
    """The name of a method, "exact", "twist" or "spectral", and why it was taken.

    Attributes
    ----------
    reason : str
    """

    reason: str

    def __new__(cls, name: str, reason: str) -> Method:
        value = super().__new__(cls, name)
        value.reason = reason
        return value

    def __getnewargs__(self) -> tuple[str, str]:
        return str(self), self.reason

    def __repr__(self) -> str:
        return f"{self} ({self.reason})"


class Realization:
    """An isometric embedding F of a metric H on a region: dF^T dF = H, certified at fresh points; see `realize`.

    Attributes
    ----------
    dim, ambient_dim : int
        d and D.
    region : ConvexDomain
        Where F is certified.
    method : Method
        "exact", "twist" or "spectral"; `method.reason` says why.
    certificate : Certificate
    stages : list of Stage
        What a numerical solver reached, stage by stage.
    potential : LegendreFunction, or None
        R, where the metric is its Hessian.
    map : Embedding
        F and its derivatives, without checks.
    """

    def __init__(
        self,
        embedding: Embedding,
        metric: Metric,
        region: ConvexDomain,
        method: Method,
        tol: float,
        potential: LegendreFunction | None = None,
        stages: list[Stage] | None = None,
        seed: int = 0,
    ):
        self.map, self.region, self.method, self.potential = embedding, region, method, potential
        self.dim, self.ambient_dim = embedding.dim, embedding.ambient_dim
        self.stages = stages or []
        self._metric = metric
        self.certificate: Certificate = self.certify(tol, seed=seed)

    # the embedding --------------------------------------------------------------------------------------------------

    @property
    def exact(self) -> bool:
        """Whether F is a closed form, good on all of dom R, rather than the answer of a solver on a box."""
        return self.method == "exact"

    def embedding(self, w: Any) -> np.ndarray:
        """F(w), shape=[..., d] to shape=[..., D].

        Raises
        ------
        DomainError
            Where a point is outside the region (or, for an exact F, outside dom R).
        """
        return self._evaluate(w, 0)

    __call__ = embedding

    def jacobian(self, w: Any) -> np.ndarray:
        """dF(w), shape=[..., D, d]."""
        return self._evaluate(w, 1)

    def second_derivative(self, w: Any) -> np.ndarray:
        """hess F(w), shape=[..., D, d, d]."""
        return self._evaluate(w, 2)

    def metric_matrix(self, w: Any) -> np.ndarray:
        """The metric that was asked for, H(w), shape=[..., d, d]."""
        w = self._require(w)
        return self._metric(w.reshape(-1, self.dim)).reshape(*w.shape, self.dim)

    def metric_error(self, w: Any) -> np.ndarray:
        """Relative metric error || L^{-1} dF^T dF L^{-T} - I ||_2, H = L L^T, at each point; shape=[...]."""
        w = self._require(w)
        flat = w.reshape(-1, self.dim)
        return relative_metric_error(self.map.jacobian(flat), self._metric(flat)).reshape(w.shape[:-1])

    @cached_property
    def parametrization(self) -> SubmanifoldParametrization:
        """G = F^{-1} on M = F(region), extended to R^D by the nearest point; commuting exactly when H is Hessian."""
        nearest = NearestPoint(self.map, self._near, lambda n: self._sample(n, np.random.default_rng(1)))
        space = Submanifold(self.map, nearest, self._sample)
        name = self.potential.name if self.potential is not None else "metric"
        return SubmanifoldParametrization(space, nearest, f"G of {name}", self.certificate.metric_error)

    def certify(self, tol: float, n_points: int = FRESH_POINTS, seed: int = 0) -> Certificate:
        """Measure F again at `n_points` random points of the region, from a seed."""
        rng = np.random.default_rng([seed, 20_221])  # not a stream any solver draws from
        points = self._sample(n_points, rng)
        widths = np.maximum(np.ptp(points, axis=0), 1e-300) * np.ones_like(points)
        # near the boundary of dom R an exact F bends at the scale of the distance to it
        if self.exact:
            widths = np.minimum(widths, 10 * self._room(points)[:, None])
        return certify(self.map, self._metric, points, tol, widths, self._inside)

    def save(self, file: Any) -> None:
        """Write to an .npz file that `load_realization` reads.

        An exact realization is saved as the request it answers: reading it back needs the potential.
        """
        box = self.region if isinstance(self.region, Box) else None
        data: dict[str, Any] = {
            "kind": str(self.method),
            "reason": self.method.reason,
            "tol": self.certificate.tol,
            "lower": np.full(self.dim, np.nan) if box is None else box.lower,
            "upper": np.full(self.dim, np.nan) if box is None else box.upper,
            "stages": np.array([(s.parameter, s.grid, s.fitted, s.fresh, s.seconds) for s in self.stages]).reshape(
                -1, 5
            ),
            "probe": self._sample(200, np.random.default_rng(5)),
        }
        data["probe_metric"] = self._metric(data["probe"])
        if isinstance(self.map, spectral.SpectralMap):
            data.update(degree=self.map.basis.degree, coefficients=self.map.coefficients)
        elif isinstance(self.map, twist.TwistMap):
            data.update(
                front=self.map.front,
                directions=self.map.directions,
                frequency=self.map.frequency,
                coefficients=self.map.amplitudes.coefficients,
            )
        with open(file, "wb") as stream:
            np.savez_compressed(stream, **data)

    def __str__(self) -> str:
        return f"F: {self.region} -> R^{self.ambient_dim}, {self.method!r}; {self.certificate}"

    def __repr__(self) -> str:
        return f"Realization(R^{self.dim} -> R^{self.ambient_dim}, {self.method}, {self.certificate.metric_error:.1e})"

    # inside ---------------------------------------------------------------------------------------------------------

    def _evaluate(self, w: Any, order: int) -> np.ndarray:
        w = self._require(w)
        flat = w.reshape(-1, self.dim)
        value = self.map.value(flat) if order == 0 else self.map.jet(flat)[order]
        if not np.isfinite(value).all():
            index = int(np.argwhere(~np.isfinite(value))[0][0])
            raise DomainError(
                "point where the embedding is not finite",
                got=describe(flat[index]),
                wanted=f"a point of {self.region}",
                point=flat[index],
            )
        return value.reshape(*w.shape[:-1], *value.shape[1:])

    def _require(self, w: Any) -> np.ndarray:
        w = as_points(w, self.dim, "point of the realization")
        inside = self._near(w.reshape(-1, self.dim))
        if not inside.all():
            point = w.reshape(-1, self.dim)[int(np.argmin(inside))]
            raise DomainError(
                "point outside the realized region",
                got=describe(point),
                wanted=f"a point of {self.region}",
                remedy="realize on a larger box",
                point=point,
            )
        return w

    def _inside(self, w: np.ndarray) -> np.ndarray:
        inside = np.asarray(self.region.belongs(w))
        return inside & np.asarray(self.potential.domain.belongs(w)) if self.potential is not None else inside

    def _near(self, w: np.ndarray) -> np.ndarray:
        """Where F may be used: an exact one on dom R, a solver's on the closed box and a millionth beyond."""
        if self.exact and self.potential is not None:
            return np.asarray(self.potential.domain.belongs(w))
        assert isinstance(self.region, Box)
        room = 1e-6 * (self.region.upper - self.region.lower)
        with np.errstate(invalid="ignore"):
            return np.all((w >= self.region.lower - room) & (w <= self.region.upper + room), axis=-1)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return sample_region(self.region, self.potential, n, rng)

    def _room(self, w: np.ndarray) -> np.ndarray:
        """How far each point may move along the axes and stay inside, at most 1, to a factor of 2."""
        size, todo = np.ones(len(w)), np.ones(len(w), dtype=bool)
        axes = np.concatenate([np.eye(self.dim), -np.eye(self.dim)])
        for _ in range(60):
            inside = np.stack([self._inside(w + size[:, None] * e) for e in axes]).all(axis=0)
            todo &= ~inside
            if not todo.any():
                break
            size = np.where(todo, size / 2, size)
        return size


def realize(
    R: LegendreFunction,
    box: Any = None,
    tol: float = 1e-8,
    method: str = "auto",
    ambient_dim: int | None = None,
    max_degree: int | None = None,
    frequency: float | None = None,
    seed: int = 0,
    advance: Advance | None = None,
) -> Realization:
    """Embed the Hessian metric of R isometrically, so that G = F^{-1} is a commuting parametrization: the converse theorem.

    dF^T dF = hess R on the box; gradient flow of every loss through `F.parametrization` is mirror flow of R.

    Parameters
    ----------
    R : LegendreFunction
        Its structure (`RidgeSum`, sums, products, scalings, affine changes, conjugates) is used where there is one.
    box : Box, or pair (lower, upper), or ConvexDomain, optional
        A solver needs a bounded box inside int dom R. An exact F is good on all of dom R; the region, by default dom R,
        is where it is certified.
    tol : float
        Relative metric error to meet at points the solver never saw.
    method : str
        "exact", "twist" (any smooth metric, D near 20, wavy), "spectral" (D = d(d+3)/2), or "auto": exact where a rule
        applies, else the cheapest solver that meets tol.
    ambient_dim : int, optional
        D of the spectral solver, at least d.
    max_degree : int, optional
        Largest degree of the spectral solver.
    frequency : float, optional
        Fixed frequency of the twist; chosen automatically by default.
    seed : int
        Of the certificate's points.
    advance : callable, optional
        Told the method and every `Stage` of a solver, for a progress display.

    Returns
    -------
    Realization

    Raises
    ------
    RealizationError
        When tol is not met; carries the best F found as `realization`.
    NotLegendreError, DomainError
        When the Hessian is not positive definite in the box, or the box leaves dom R; with the `point`.

    Reference
    ---------
    LWLA22, theorem 4.9; J. Nash, Ann. Math. 60 (1954) and 63 (1956); A. Kallen, Ark. Mat. 16 (1978).
    """
    require_type(R, LegendreFunction, "R", "wrap the potential: gf.LegendreFunction(potential, domain)")
    _require_options(method, tol, ambient_dim, max_degree, frequency)
    region = _as_region(box, R.dim) or R.domain
    if region is not R.domain:
        _require_in_domain(region, R)
    _require_definite(_hessian_of(R), region, R)
    tried: list[str] = []
    if method in ("auto", "exact"):
        found = rules.exact_embedding(R)
        if found is not None and ambient_dim in (None, found[0].ambient_dim):
            F = Realization(found[0], _hessian_of(R), region, Method("exact", found[1]), tol, R, seed=seed)
            if method == "exact" or F.certificate.passed:
                return _accept(F)
            tried.append(f"exact rule ({found[1]}) missed tol: {F.certificate.metric_error:.1e}")
        elif method == "exact":
            raise RealizationError(
                f"no exact rule for {R.name}" + ("" if found is None else f" in R^{ambient_dim}"),
                got="a potential without visible structure"
                if found is None
                else f"D = {found[0].ambient_dim} by the rule",
                wanted="a ridge sum, or sums, products, scalings, affine changes and conjugates of potentials with a rule",
                remedy="build R with gf.RidgeSum, R1 + R2, gf.product, compose_affine, or use method='auto'",
            )
        elif found is not None:
            tried.append(f"the exact rule has D = {found[0].ambient_dim}")
        else:
            tried.append("no exact rule applies")
    return _solve(_hessian_of(R), region, R, tol, method, ambient_dim, max_degree, frequency, seed, advance, tried)


def realize_metric(
    metric_matrix: Callable[[Any], Any],
    box: Any,
    tol: float = 1e-8,
    method: str = "auto",
    ambient_dim: int | None = None,
    max_degree: int | None = None,
    frequency: float | None = None,
    seed: int = 0,
    advance: Advance | None = None,
) -> Realization:
    """Embed any smooth Riemannian metric on a box isometrically; its G commutes only if the metric is Hessian.

    Parameters
    ----------
    metric_matrix : callable
        w of shape=[..., d] to g(w) of shape=[..., d, d], symmetric positive definite.
    box : Box, or pair (lower, upper)
    tol, method, ambient_dim, max_degree, frequency, seed, advance
        As for `realize`; there are no exact rules.

    Raises
    ------
    RealizationError, NotLegendreError, DomainError, ShapeError
        As `realize`; NotLegendreError also where the matrix is not symmetric.
    """
    _require_options(method, tol, ambient_dim, max_degree, frequency)
    if method == "exact":
        raise ArgumentError("method", got="'exact'", wanted="'auto', 'twist' or 'spectral': a bare metric has no rules")
    if not callable(metric_matrix):
        raise ArgumentError("metric_matrix", got=type(metric_matrix).__name__, wanted="a callable w -> g(w)")
    region = _as_region(box, None)
    if region is None:
        raise ArgumentError("box", got="None", wanted="a gf.domains.Box or a pair (lower, upper)")
    metric = _checked_metric(metric_matrix, region.dim)
    _require_definite(metric, region, None)
    return _solve(metric, region, None, tol, method, ambient_dim, max_degree, frequency, seed, advance, [])


def is_hessian(metric_matrix: Callable[[Any], Any], points: Any, tol: float = 1e-8) -> Check:
    """Whether a metric is Hessian: Codazzi, d_k g_ij symmetric in all three indices; a truthy or falsy `Check`.

    The defect is the largest |d_k g_ij - d_j g_ik|, relative to the largest derivative. `evidence["bracket"]` is the
    largest relative bracket that `check_commuting` will report of a G realized from it at these points.

    Parameters
    ----------
    metric_matrix : callable
        w of shape=[..., d] to g(w) of shape=[..., d, d]; in autograd.numpy, else differences are used.
    points : array-like, shape=[..., d]
    tol : float
        1e-6 is sharp enough where differences are used.
    """
    points = as_finite(points, "points")
    if points.ndim == 0 or points.size == 0:
        raise ShapeError("points", got=f"shape {points.shape}", wanted="shape [..., d], at least one point")
    points = points.reshape(-1, points.shape[-1])
    g, T = metric_jet(metric_matrix, points)
    gap = np.abs(T - np.swapaxes(T, -1, -2))
    scale = float(np.abs(T).max())
    n, i, j, k = (int(q) for q in np.unravel_index(int(np.argmax(gap)), gap.shape))
    bracket, size = codazzi_brackets(g, T)
    norms = np.sqrt(np.einsum("nabi,nij,nabj->nab", bracket, g, bracket))
    relative = norms.max(axis=(1, 2)) / np.maximum(size, 1e-300)
    # a metric that is constant to rounding is Hessian
    unit = float(np.abs(g).max() / max(np.ptp(points, axis=0).max(), 1e-3))
    defect = float(gap.max()) / max(scale, 1e-9 * unit)
    return Check(
        name="Codazzi symmetry of the metric",
        defect=defect,
        scale=scale,
        tol=tol,
        witness=points[n],
        detail=f"d_{k + 1} g_{i + 1}{j + 1} - d_{j + 1} g_{i + 1}{k + 1} = {T[n, i, j, k] - T[n, i, k, j]:.3g}",
        n_points=len(points),
        evidence={
            "bracket": float(relative.max()),
            "remedy": "only a Hessian metric is realized by a commuting parametrization",
        },
    )


def metric_jet(metric_matrix: Callable[[Any], Any], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g_ij and d_k g_ij, the index of the derivation last: shape=[N, d, d] and [N, d, d, d]."""
    d = points.shape[-1]
    metric = _checked_metric(metric_matrix, d)
    g = metric(points)

    def flat(w: Any) -> Any:
        import autograd.numpy as anp

        value = metric_matrix(w)
        return anp.reshape(value, (*anp.shape(w)[:-1], d * d))

    try:
        T = np.asarray(autodiff.jacobian(flat)(points), dtype=float).reshape(-1, d, d, d)
    except (GeoflowError, TypeError, ValueError, NotImplementedError):
        h = 1e-3 * np.maximum(1e-2, np.abs(points).max(axis=0))
        steps = {k: [metric(points + k * h[i] * np.eye(d)[i]) for i in range(d)] for k in (-2, -1, 1, 2)}
        T = np.stack(
            [(8 * (steps[1][i] - steps[-1][i]) - (steps[2][i] - steps[-2][i])) / (12 * h[i]) for i in range(d)], axis=-1
        )
    return g, T


def codazzi_brackets(g: np.ndarray, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brackets [C e_i, C e_j], C = g^{-1}, of the fields that an isometric embedding makes the gradients of G, in w.

    They are C (d_a g C e_b - d_b g C e_a) contracted: zero exactly where d_k g_ij is symmetric. Shape=[N, d, d, d]; and
    the largest covariant length of D(C e_j).C e_i, shape=[N].
    """
    C = np.linalg.inv(g)
    along = -np.einsum("nal,nlbk,nbj,nki->nija", C, T, C, C, optimize=True)  # D(C e_j).(C e_i)
    size = np.sqrt(np.maximum(np.einsum("nija,nab,nijb->nij", along, g, along), 0.0)).max(axis=(1, 2))
    return along - np.swapaxes(along, 1, 2), size


def load_realization(file: Any, potential: LegendreFunction | None = None) -> Realization:
    """Read what `Realization.save` wrote, and certify it again.

    Parameters
    ----------
    file : path
    potential : LegendreFunction, optional
        R. Needed for an exact realization; for a solver's, the certificate is against R where it is given, else against
        the metric of the stored F itself, checked at 200 stored values of the metric.

    Raises
    ------
    ArgumentError
        When the file is not a realization, or an exact one comes without its potential.
    RealizationError
        When F does not have the metric of the potential.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            data = dict(archive)
        kind, tol = str(data["kind"]), float(data["tol"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ArgumentError(
            f"file {file}", got=f"{type(error).__name__}: {error}", wanted="a saved realization"
        ) from None
    lower, upper = data["lower"], data["upper"]
    box = None if np.isnan(lower).any() else Box(lower, upper)
    if kind == "exact":
        if potential is None:
            raise ArgumentError(
                f"file {file}",
                got=f"an exact realization ({data['reason']}) and no potential",
                wanted="the Legendre function it realizes",
                remedy="gf.load_realization(file, potential=R)",
            )
        F = realize(potential, box, tol=tol, method="exact")
    else:
        assert box is not None
        embedding: Embedding
        if kind == "spectral":
            basis = spectral.TotalDegreeBasis(lower, upper, int(data["degree"]))
            embedding = spectral.SpectralMap(basis, data["coefficients"])
        else:
            series = twist.TensorSeries(lower, upper, data["coefficients"])
            embedding = twist.TwistMap(data["front"], data["directions"], float(data["frequency"]), series)

        def own_metric(w: np.ndarray) -> np.ndarray:
            J = embedding.jacobian(w)
            return np.swapaxes(J, 1, 2) @ J

        stages = [Stage(row[0], int(row[1]), *row[2:]) for row in data["stages"]]
        metric = own_metric if potential is None else _hessian_of(potential)
        F = Realization(embedding, metric, box, Method(kind, str(data["reason"])), tol, potential, stages)
    error = float(relative_metric_error(F.map.jacobian(data["probe"]), data["probe_metric"]).max())
    if not error <= max(10 * tol, 1e-12):
        raise RealizationError(
            f"file {file}",
            got=f"an embedding whose metric differs from the stored one by {error:.1e} relative",
            wanted=f"at most tol = {tol:.0e}",
            remedy="the file is damaged, or `potential` is another function than the one realized",
            realization=F,
        )
    return _accept(F)


# inside -------------------------------------------------------------------------------------------------------------


def _hessian_of(R: LegendreFunction) -> Metric:
    def metric(w: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(R._hessian(w), dtype=float)

    return metric


def _require_options(
    method: str, tol: float, ambient_dim: int | None, max_degree: int | None, frequency: float | None
) -> None:
    if method not in METHODS:
        raise ArgumentError("method", got=repr(method), wanted=f"one of {METHODS}")
    if not (isinstance(tol, (int, float)) and 0 < tol < 1):
        raise ArgumentError("tol", got=repr(tol), wanted="a relative metric error between 0 and 1")
    for name, value in (("ambient_dim", ambient_dim), ("max_degree", max_degree)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
            raise ArgumentError(name, got=repr(value), wanted="a positive integer")
    if ambient_dim is not None and method == "twist":
        raise ArgumentError(
            "ambient_dim", got=f"{ambient_dim} with method='twist'", wanted="method='spectral': a twist sets its own D"
        )
    if frequency is not None and not (np.isscalar(frequency) and 0 < float(frequency) < np.inf):
        raise ArgumentError("frequency", got=repr(frequency), wanted="a positive number")


def _as_region(box: Any, dim: int | None) -> ConvexDomain | None:
    if box is None:
        return None
    region = box
    if not isinstance(box, ConvexDomain):
        try:
            lower, upper = box
        except (TypeError, ValueError):
            raise ArgumentError(
                "box", got=type(box).__name__, wanted="a gf.domains.Box, a pair (lower, upper), or a ConvexDomain"
            ) from None
        region = Box(lower, upper)
    if dim is not None and region.dim != dim:
        raise ShapeError("box", got=f"dimension {region.dim}", wanted=f"dimension {dim}, that of the potential")
    return region


def sample_region(
    region: ConvexDomain, potential: LegendreFunction | None, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Random points of the region: uniform in a bounded box, else about the interior point at several sizes."""
    if isinstance(region, Box) and np.isfinite(region.lower + region.upper).all():
        return rng.uniform(region.lower, region.upper, size=(n, region.dim))
    sizes = (0.3, 1.0, 3.0)
    parts = [np.atleast_2d(region.random_point(-(-n // 3), bound=size, rng=rng)) for size in sizes]
    points = np.concatenate(parts)[rng.permutation(3 * len(parts[0]))[:n]]
    if potential is not None and potential.domain is not region:
        fine = np.asarray(potential.domain.belongs(points))
        points = points[fine][rng.integers(fine.sum(), size=n)] if not fine.all() else points
    return points


def _test_points(region: ConvexDomain, potential: LegendreFunction | None) -> np.ndarray:
    """Corners, centre and a random sample; a bounded box also gets a regular grid."""
    rng = np.random.default_rng(11)
    points = [sample_region(region, potential, 2000, rng)]
    if isinstance(region, Box) and np.isfinite(region.lower + region.upper).all():
        d = region.dim
        n = {1: 201, 2: 41, 3: 13, 4: 7}.get(d, 1)
        if n > 1:
            axes = [np.linspace(low, high, n) for low, high in zip(region.lower, region.upper, strict=True)]
            points.append(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d))
        else:
            points.append(((region.lower + region.upper) / 2)[None])
    return np.concatenate(points)


def _require_in_domain(region: ConvexDomain, R: LegendreFunction) -> None:
    """The region inside dom R: corners of a box suffice, as dom R is convex; they may lie on its boundary."""
    points = sample_region(region, None, 2000, np.random.default_rng(12))
    if isinstance(region, Box):
        low = np.where(np.isfinite(region.lower), region.lower, region.interior_point() - 1)
        high = np.where(np.isfinite(region.upper), region.upper, region.interior_point() + 1)
        centre = (low + high) / 2
        pairs = list(zip(low, high, strict=True))
        if len(pairs) <= 12:
            corners = np.array(list(itertools.product(*pairs)))
        else:
            corners = np.where(np.random.default_rng(0).uniform(size=(4096, len(pairs))) < 0.5, low, high)
        points = np.concatenate([centre + (1 - 1e-9) * (corners - centre), points])
    inside = np.asarray(R.domain.belongs(points))
    if not inside.all():
        point = points[int(np.argmin(inside))]
        raise DomainError(
            f"box that crosses the boundary of the domain of {R.name}",
            got=f"{region}, whose point {describe(point)} is outside {R.domain}",
            wanted="a box inside int dom R",
            remedy="shrink the box",
            point=point,
        )


def _require_definite(metric: Metric, region: ConvexDomain, R: LegendreFunction | None) -> None:
    """H finite and positive definite over the region; where it is smallest, it is minimised further."""
    what = f"Hessian of {R.name}" if R is not None else "metric"
    points = _test_points(region, R)
    if R is not None:
        points = points[np.asarray(R.domain.belongs(points))]
    H = metric(points)
    finite = np.isfinite(H).all(axis=(1, 2))
    if not finite.all():
        point = points[int(np.argmin(finite))]
        raise DomainError(
            f"{what} is not finite in the box",
            got=f"NaN or infinity at w = {describe(point)}",
            wanted="a box inside the domain",
            remedy="shrink the box, or give the domain on which the potential is finite",
            point=point,
        )
    values = np.linalg.eigvalsh(H)
    worst = int(np.argmin(values[:, 0]))
    point, low = points[worst], float(values[worst, 0])
    if low > 1e-14 * values[worst, -1]:
        point, low = _least_eigenvalue(metric, region, R, points[np.argsort(values[:, 0])[:3]])
    around = _neighbours(point, region, R)
    nearby = float(np.linalg.eigvalsh(metric(around))[:, 0].max(initial=-np.inf)) if len(around) else 0.0
    if low > 1e-14 * float(np.linalg.eigvalsh(metric(point[None]))[0, -1]) and low > DEGENERATE * nearby:
        return
    kind = "is not positive definite" if low < -1e-12 * np.abs(values).max() else "degenerates"
    raise NotLegendreError(
        f"{what} {kind}",
        got=f"smallest eigenvalue {low:.3g} at w = {describe(point)}",
        wanted="a positive definite Hessian all over the box" if R is not None else "a positive definite metric",
        remedy="choose a box without that point, or add a small strictly convex term such as |w|^2 / 20",
        point=point,
        eigenvalue=low,
    )


def _least_eigenvalue(
    metric: Metric, region: ConvexDomain, R: LegendreFunction | None, starts: np.ndarray
) -> tuple[np.ndarray, float]:
    from scipy.optimize import minimize

    def inside(w: np.ndarray) -> bool:
        return bool(region.belongs(w, atol=0.0)) and (R is None or bool(R.domain.belongs(w)))

    def smallest(w: np.ndarray) -> float:
        if not inside(w):
            return np.inf
        H = metric(w[None])[0]
        return float(np.linalg.eigvalsh(H)[0]) if np.isfinite(H).all() else np.inf

    best = starts[0], float(np.linalg.eigvalsh(metric(starts[:1]))[0, 0])
    bounded = isinstance(region, Box) and np.isfinite(region.lower + region.upper).all()
    if not bounded:
        return best
    assert isinstance(region, Box)
    for start in starts:
        start = region.lower + np.clip((start - region.lower) / (region.upper - region.lower), 1e-9, 1 - 1e-9) * (
            region.upper - region.lower
        )
        simplex = np.concatenate([start[None], start + 0.02 * np.diag((region.interior_point() - start) + 1e-3)])
        result = minimize(
            smallest,
            start,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 1e-9, "fatol": 0.0, "maxfev": 400},
        )
        if result.fun < best[1]:
            best = np.asarray(result.x), float(result.fun)
    return best


def _neighbours(point: np.ndarray, region: ConvexDomain, R: LegendreFunction | None) -> np.ndarray:
    """The points at a twentieth of the box along each axis that are inside."""
    widths = region.upper - region.lower if isinstance(region, Box) else np.ones(region.dim)
    widths = np.where(np.isfinite(widths), widths, 1.0)
    steps = 0.05 * np.diag(widths)
    around = np.concatenate([point + steps, point - steps])
    inside = np.asarray(region.belongs(around))
    return around[inside & np.asarray(R.domain.belongs(around))] if R is not None else around[inside]


def _checked_metric(metric_matrix: Callable[[Any], Any], d: int) -> Metric:
    def metric(w: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            g = np.asarray(metric_matrix(w), dtype=float)
        if g.shape != (*w.shape, d):
            raise ShapeError(
                "metric_matrix",
                got=f"shape {g.shape} at points of shape {w.shape}",
                wanted=f"shape {(*w.shape, d)}",
                remedy="act on the last axis only, any batch before it",
            )
        skew = np.abs(g - np.swapaxes(g, -1, -2)).max(axis=(-1, -2))
        bad = skew > 1e-10 * np.abs(g).max(axis=(-1, -2))
        if bad.any():
            raise NotLegendreError(
                "metric that is not symmetric",
                got=f"|g - g^T| = {skew.max():.2g} at w = {describe(w[bad][0])}",
                wanted="symmetric matrices",
                point=w[bad][0],
            )
        return g

    return metric


def _solve(
    metric: Metric,
    region: ConvexDomain,
    R: LegendreFunction | None,
    tol: float,
    method: str,
    ambient_dim: int | None,
    max_degree: int | None,
    frequency: float | None,
    seed: int,
    advance: Advance | None,
    tried: list[str],
) -> Realization:
    """Spectral or twist or one after the other; the first that is certified."""
    d = region.dim
    if not (isinstance(region, Box) and np.isfinite(region.lower + region.upper).all()):
        raise ArgumentError(
            "box",
            got=f"{region}",
            wanted="a bounded box: a solver works on a compact region",
            remedy="pass gf.domains.Box(lower, upper)" + (f"; {tried[-1]}" if tried else ""),
        )
    if d > LARGEST_DIM:
        raise RealizationError(
            f"numerical realization in dimension {d}",
            got="; ".join(tried) or f"d = {d}",
            wanted=f"d <= {LARGEST_DIM}, or a potential with an exact rule",
            remedy="build R from gf.RidgeSum, sums and products, so that its structure is visible",
        )
    if ambient_dim is not None and ambient_dim < d:
        raise ArgumentError("ambient_dim", got=f"{ambient_dim}", wanted=f"at least d = {d}")
    lower, upper = np.array(region.lower), np.array(region.upper)
    if method == "auto":
        # measured: at d <= 2 the spectral map takes seconds and is far cheaper to use; above, the twist is faster
        order = ["spectral"] if ambient_dim is not None else ["spectral", "twist"] if d <= 2 else ["twist", "spectral"]
        if max_degree is not None:
            order = ["spectral"]
        elif frequency is not None:
            order = ["twist"]
    else:
        order = [method]
    rng = np.random.default_rng([seed, 7])
    fresh = sample_region(region, R, SOLVER_POINTS, rng)
    target = metric(fresh)

    def fresh_error(F: Embedding) -> float:
        errors = np.concatenate(
            [
                relative_metric_error(F.jacobian(fresh[k : k + 500]), target[k : k + 500])
                for k in range(0, len(fresh), 500)
            ]
        )
        return float(errors.max()) if np.isfinite(errors).all() else np.inf

    best: Realization | None = None
    for name in order:
        report = (lambda stage, name=name: advance(name, stage)) if advance is not None else (lambda stage: None)
        embedding: Embedding
        try:
            if name == "spectral":
                D = d * (d + 3) // 2 if ambient_dim is None else int(ambient_dim)
                degrees = spectral.degrees_up_to(d, max_degree)
                embedding, stages = spectral.solve(metric, lower, upper, D, tol / 3, fresh_error, degrees, report)
                why = f"degree {embedding.basis.degree} in R^{D}"
            else:
                embedding, stages = twist.solve(metric, lower, upper, tol / 3, fresh_error, frequency, report)
                why = (
                    f"{len(embedding.directions)} directions, frequency {embedding.frequency:.4g}, "
                    f"{embedding.amplitudes.degree + 1} points an axis"
                )
        except ConvergenceError as error:
            tried.append(f"{name}: {error}")
            continue
        reason = "; ".join([*tried, why])
        F = Realization(embedding, metric, region, Method(name, reason), tol, R, stages, seed)
        if F.certificate.passed:
            return F
        tried.append(f"{name} ({why}): {F.certificate.metric_error:.1e}")
        if best is None or not best.certificate.metric_error <= F.certificate.metric_error:
            best = F
    if best is None:
        raise RealizationError(
            "realization", got="; ".join(tried), wanted=f"relative metric error {tol:.0e}", remedy=_remedy(order),
            realization=None,
        )  # fmt: skip
    raise _refusal(best, order, tried)


def _accept(F: Realization) -> Realization:
    if F.certificate.passed:
        return F
    raise _refusal(F, [str(F.method)], [])


def _refusal(F: Realization, order: list[str], tried: list[str]) -> RealizationError:
    certificate = F.certificate
    return RealizationError(
        f"realization of {F.potential.name if F.potential is not None else 'the metric'} in R^{F.ambient_dim}",
        got="; ".join(certificate.failures) + f" [{F.method!r}]",
        wanted="a certificate that passes",
        remedy=_remedy(order),
        realization=F,
        certificate=certificate,
        defect=certificate.metric_error,
        point=certificate.witness,
    )


def _remedy(order: list[str]) -> str:
    if order == ["exact"]:
        return "raise tol, or certify on a region further from the boundary of dom R"
    hints = ["shrink the box", "raise tol"]
    if "spectral" in order:
        hints = ["raise max_degree or ambient_dim", *hints]
    if "twist" not in order:
        hints.append("use method='twist'")
    elif "spectral" not in order:
        hints.append("leave the frequency free, or use method='spectral'")
    return ", ".join(hints[:-1]) + ", or " + hints[-1]
