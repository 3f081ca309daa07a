"""Parametrization: a map G : M -> R^d, its gradient fields and the cometric it induces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geomstats.geometry.euclidean import Euclidean
from geomstats.geometry.manifold import Manifold

from geoflow import autodiff
from geoflow._validate import as_points, describe
from geoflow.errors import (
    ArgumentError,
    NotCommutingError,
    NotFiniteError,
    NotOnManifoldError,
    NotRegularError,
    ShapeError,
)
from geoflow.fields import VectorField
from geoflow.results import Check
from geoflow.spaces import as_space, belongs, membership, riemannian_gradient

COMMUTING_TOL = 1e-9
REGULAR_TOL = 1e-10


class Parametrization:
    """A map w = G(x) from a Riemannian manifold M to R^d, with the geometry it induces.

    Its differential has the rows grad G_i, the Riemannian gradients: g(grad G_i, v) = dG_i(v) for the metric g that M
    is equipped with, or else inherits from its ambient space. The cometric on R^d is C_ij = g(grad G_i, grad G_j).

    Where M has matrix points, shape=[..., n, m] stands for shape=[..., D] below, D = n m.

    Parameters
    ----------
    function : callable
        x of shape=[..., D] to G(x) of shape=[..., d], any batch before the axes of a point, in autograd.numpy.
    space : int or geomstats manifold
        An int D means Euclidean R^D; a manifold gives the shape of its points, `to_tangent`, and its `metric`.
    codomain_dim : int
        d.
    jacobian : callable, optional
        Closed form of the Euclidean jacobian of `function`, shape=[..., d, D].
    name : str

    Raises
    ------
    ArgumentError, ShapeError
        When the map mixes batch entries, its values do not have `codomain_dim` components, or the manifold's metric
        cannot be differentiated.

    Reference
    ---------
    LWLA22, section 2.
    """

    commuting_tol = COMMUTING_TOL

    def __init__(
        self,
        function: Callable[[Any], Any],
        space: int | Manifold,
        codomain_dim: int,
        jacobian: Callable[[Any], Any] | None = None,
        name: str = "G",
    ):
        if not callable(function):
            raise ArgumentError("parametrization", got=type(function).__name__, wanted="a callable x -> G(x)")
        self.space = as_space(space)
        self.point_shape = tuple(int(n) for n in self.space.shape)
        self.dim = int(np.prod(self.point_shape))
        if isinstance(codomain_dim, bool) or not isinstance(codomain_dim, (int, np.integer)) or codomain_dim < 1:
            raise ArgumentError("codomain_dim", got=repr(codomain_dim), wanted="an integer, at least 1")
        self.codomain_dim = int(codomain_dim)
        self.name = name
        # inside, points are flat, shape=[..., D]; only the public methods speak of the manifold's own shape
        self._function = function if self._vectors else lambda x: function(self._shaped(x))
        self._closed_jacobian = jacobian
        if jacobian is not None and not self._vectors:
            self._closed_jacobian = lambda x: self._flat(jacobian(self._shaped(x)))
        self._gradient = riemannian_gradient(self.space)
        self.is_euclidean, self._membership = isinstance(self.space, Euclidean), membership(self.space)
        self._probe()

    # values ---------------------------------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """G(x), shape=[..., d]."""
        if hasattr(x, "_value"):
            return self._function(self._flat(x))
        return self._finite(self._evaluate(self._flat(self._as_points(x))), x, "value")

    def jacobian(self, x: Any) -> np.ndarray:
        """Differential dG: row i is grad G_i, tangent to M; shape=[..., d, D]."""
        x = self._as_points(x)
        return self._shaped(self._finite(self.differential(self._flat(x)), x, "jacobian"))

    def cometric(self, x: Any) -> np.ndarray:
        """Cometric C_ij = g(grad G_i, grad G_j) on R^d, dG dG^T in Euclidean space; shape=[..., d, d]."""
        x = self._as_points(x)
        return self._finite(self.frame(self._flat(x))[1], x, "cometric")

    def differential(self, x: Any) -> Any:
        """The gradients at flat points, NaN outside an open M, without checks of the argument; shape=[..., d, D]."""
        return self._inside(self._gradient(self._derivative(x), x), x)

    def frame(self, x: Any) -> tuple[Any, Any]:
        """The gradients and their inner products at flat points; shape=[..., d, D] and shape=[..., d, d]."""
        e = self._inside(self._derivative(x), x)
        rows = self._gradient(e, x)
        C = np.einsum("...iD,...jD->...ij", e, rows)  # g(grad G_i, grad G_j) = dG_i(grad G_j)
        return rows, (C + np.swapaxes(C, -1, -2)) / 2

    def horizontal_lift(self, x: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dx = sum_i dmu_i grad G_i and dmu = C^{-1} dw at flat points of shape=[N, D]; NaN where dG is singular."""
        rows, gram = (np.array(part, dtype=float) for part in self.frame(x))
        direction = np.broadcast_to(direction, (len(x), self.codomain_dim))
        size = np.einsum("nii->n", gram)
        singular = ~(np.isfinite(size) & (size > 0))
        gram[singular] = np.eye(self.codomain_dim)
        try:
            dmu = np.linalg.solve(gram, direction[..., None])[..., 0]
        except np.linalg.LinAlgError:
            return np.full_like(x, np.nan), np.full_like(direction, np.nan)
        dmu[singular] = np.nan
        return np.einsum("niD,ni->nD", rows, dmu), dmu

    def derivative_of_differential(self, x: Any, directions: Any) -> np.ndarray:
        """D(dG)(x).v_m for several tangent directions at flat points: shape=[..., m, D] to shape=[..., m, d, D].

        On a manifold it is the derivative of the ambient components of the fields along M, whatever they are off M.
        """

        def rows(y: Any) -> Any:
            return self._gradient(autodiff.jacobian(self._function)(y), y)

        return autodiff.directional_jacobian(rows, x, directions)

    def derivative_of_cometric(self, x: Any, directions: Any) -> np.ndarray:
        """DC(x).v_m for several tangent directions at flat points: shape=[..., m, D] to shape=[..., m, d, d]."""

        def cometric(y: Any) -> Any:
            e = autodiff.jacobian(self._function)(y)
            return autodiff.einsum("...iD,...jD->...ij", e, self._gradient(e, y))

        C = autodiff.directional_jacobian(cometric, x, directions)
        return (C + np.swapaxes(C, -1, -2)) / 2

    @property
    def gradient_fields(self) -> tuple[VectorField, ...]:
        """The fields grad G_1, ..., grad G_d."""

        def field(i: int) -> VectorField:
            def gradient(x: Any) -> Any:
                x = self._flat(x)
                rows = autodiff.jacobian(lambda y: self._function(y)[..., i])(x)
                return self._shaped(self._gradient(rows[..., None, :], x)[..., 0, :])

            return VectorField(gradient, f"grad {self.name}_{i + 1}", space=self.space)

        return tuple(field(i) for i in range(self.codomain_dim))

    def brackets(self, x: Any) -> np.ndarray:
        """Lie brackets [grad G_i, grad G_j] = D(grad G_j).grad G_i - D(grad G_i).grad G_j; shape=[..., d, d, D]."""
        x = self._as_points(x)
        flat = self._flat(x)
        along = self.derivative_of_differential(flat, self._finite(self.differential(flat), x, "jacobian"))
        return self._shaped(self._finite(along - np.swapaxes(along, -3, -2), x, "brackets"))

    # checks ---------------------------------------------------------------------------------------------------------

    def check_commuting(self, points: Any, tol: float | None = None) -> Check:
        """Check [grad G_i, grad G_j] = 0 at the points, relative to the largest D(grad G_j).grad G_i term there.

        Parameters
        ----------
        points : array-like, shape=[..., D]
        tol : float, optional
            By default `commuting_tol`: 1e-9, or what the accuracy of a numerical realization allows.

        Returns
        -------
        Check
            `unwrap` raises `NotCommutingError` with `defect`, `point` and `pair`.
        """
        tol = self.commuting_tol if tol is None else tol
        points = self._flat(self._as_points(points)).reshape(-1, self.dim)
        rows = self._finite(self.differential(points), points, "jacobian")
        along = self._finite(self.derivative_of_differential(points, rows), points, "brackets")
        norms = np.linalg.norm(along - np.swapaxes(along, 1, 2), axis=-1)
        # the terms whose difference is the bracket; the floor, in the same unit |dG|^2 / |x|, is for maps that are
        # linear to rounding, where the terms themselves are noise
        length = np.linalg.norm(points, axis=-1)
        floor = 1e-6 * (rows**2).sum(axis=-1).max(axis=-1) / np.where(length > 0, length, 1.0)
        scale = np.maximum(np.linalg.norm(along, axis=-1).max(axis=(1, 2)), np.maximum(floor, 1e-300))
        relative = norms / scale[:, None, None]
        n, i, j = np.unravel_index(int(np.argmax(relative)), relative.shape)
        first, second = sorted((int(i), int(j)))
        return Check(
            name=f"commuting of {self.name}",
            defect=float(relative.max()),
            scale=float(scale[n]),
            tol=tol,
            witness=self._shaped(points[n]),
            detail=f"|[grad G_{first + 1}, grad G_{second + 1}]| = {norms[n, i, j]:.3e}",
            n_points=len(points),
            error=NotCommutingError,
            evidence={
                "pair": (first, second),
                "remedy": "gradient flow of a parametrization that does not commute is in general not a mirror flow; "
                "change G or M so that its gradient fields commute",
            },
        )

    def check_regular(self, points: Any, tol: float = REGULAR_TOL) -> Check:
        """Check rank dG = d at the points: defect 0 if the smallest singular value exceeds `tol` x the largest.

        Returns
        -------
        Check
            `defect` is 1 - s_min / (tol s_max), at least 0; `unwrap` raises `NotRegularError`.
        """
        points = self._flat(self._as_points(points)).reshape(-1, self.dim)
        d, dim = self.codomain_dim, int(self.space.dim)
        evidence = {"remedy": "start where dG has full rank, or drop dependent components of G"}
        if d > dim:
            detail, ratio, n = f"d = {d} > dim M = {dim}, so rank dG < d everywhere", 0.0, 0
        else:
            values = np.linalg.svd(self._finite(self.differential(points), points, "jacobian"), compute_uv=False)
            ratios = np.where(values[:, 0] > 0, values[:, -1] / np.maximum(values[:, 0], 1e-300), 0.0)
            n = int(np.argmin(ratios))
            ratio = float(ratios[n])
            detail = f"singular values of dG from {values[n, -1]:.2e} to {values[n, 0]:.2e}"
        return Check(
            name=f"regularity of {self.name}",
            defect=max(0.0, 1.0 - ratio / tol),
            scale=1.0,
            tol=0.0,
            witness=self._shaped(points[n]),
            detail=detail,
            n_points=len(points),
            error=NotRegularError,
            evidence={**evidence, "singular_ratio": ratio},
        )

    def require_points(self, x: Any, what: str = "point") -> np.ndarray:
        """The points as an array, or a typed error: shape, finiteness, and membership in M."""
        x = self._as_points(x, what)
        if self.is_euclidean:
            return x
        batch = x.shape[: x.ndim - len(self.point_shape)]
        inside = belongs(self.space, x.reshape(-1, self.dim)).reshape(batch)
        if not inside.all():
            index = tuple(int(i) for i in np.argwhere(~inside)[0])
            raise NotOnManifoldError(
                f"{what} not on the manifold",
                got=describe(x[index]) + (f" at batch entry {index}" if index else ""),
                wanted=f"a point of {type(self.space).__name__} to 1e-8",
                remedy="project it first with space.projection(x)",
                point=x[index],
                index=index,
            )
        return x

    def __repr__(self) -> str:
        points = " x ".join(map(str, self.point_shape))
        space = f"R^{points}" if self.is_euclidean else f"{type(self.space).__name__.lstrip('_')} in R^{points}"
        return f"Parametrization({self.name}: {space} -> R^{self.codomain_dim})"

    # inside ---------------------------------------------------------------------------------------------------------

    def _as_points(self, x: Any, what: str = "point") -> np.ndarray:
        return as_points(x, self.point_shape, f"{what} of {self.name}")

    @property
    def _vectors(self) -> bool:
        return len(self.point_shape) == 1

    def _flat(self, x: Any) -> Any:
        """shape=[..., *point_shape] to shape=[..., D]."""
        return x if self._vectors else x.reshape((*np.shape(x)[: -len(self.point_shape)], self.dim))

    def _shaped(self, x: Any) -> Any:
        """shape=[..., D] to shape=[..., *point_shape]."""
        return x if self._vectors else x.reshape((*np.shape(x)[:-1], *self.point_shape))

    def _inside(self, value: Any, x: Any) -> Any:
        """NaN where x has left an open M: an integrator shortens its step there, and at last stops."""
        if self._membership is None or hasattr(x, "_value"):
            return value
        flat = np.reshape(x, (-1, *self.point_shape))
        inside = np.array(np.isfinite(flat).all(axis=tuple(range(1, flat.ndim))))
        inside[inside] = self._membership(flat[inside])
        return np.where(inside.reshape(*np.shape(x)[:-1], 1, 1), value, np.nan)

    def _derivative(self, x: Any) -> Any:
        """Euclidean derivative of G at flat points, in closed form where there is one; shape=[..., d, D]."""
        if self._closed_jacobian is not None and not hasattr(x, "_value"):
            return np.asarray(self._closed_jacobian(x), dtype=float)
        return autodiff.jacobian(self._function)(x)

    def _evaluate(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = np.asarray(self._function(x), dtype=float)
        if value.shape != (*x.shape[:-1], self.codomain_dim):
            raise ShapeError(
                f"value of {self.name}",
                got=f"shape {value.shape} at points of shape {self._shaped(x).shape}",
                wanted=f"shape {(*x.shape[:-1], self.codomain_dim)}, from codomain_dim = {self.codomain_dim}",
                remedy="act on the last axis only (x[..., i]), and check codomain_dim",
            )
        return value

    def _finite(self, value: np.ndarray, x: Any, what: str) -> np.ndarray:
        if np.isfinite(value).all():
            return value
        x = np.asarray(x, dtype=float)
        axes = x.ndim - (len(self.point_shape) if x.shape[-len(self.point_shape) :] == self.point_shape else 1)
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0][:axes])
        raise NotFiniteError(
            f"{what} of {self.name}",
            got=f"NaN or infinity at x = {describe(x[index])}",
            wanted="a map that is smooth at the points it is used at",
            remedy="stay inside the domain of the map",
            point=x[index],
            index=index,
        )

    def _probe(self) -> None:
        """Evaluate at a few generic points: shape of the values, and each point treated on its own."""
        points = self._probe_points()
        if points is None:
            return
        try:
            batch = self._evaluate(points)
            single = np.stack([self._evaluate(p) for p in points])
        except ShapeError:
            raise
        except Exception as error:
            raise ShapeError(
                f"{self.name} cannot be evaluated at points of shape {self._shaped(points).shape}",
                got=f"{type(error).__name__}: {error}",
                wanted=f"a map of [..., {', '.join(map(str, self.point_shape))}] to [..., {self.codomain_dim}], "
                "in autograd.numpy",
                remedy="act on the last axis only (x[..., i]), and check space and codomain_dim",
            ) from error
        both = np.isfinite(batch) & np.isfinite(single)
        gap = np.abs(np.where(both, batch - single, 0.0))
        size = np.abs(np.where(both, single, 0.0)).max() + 1e-300
        if gap.max() > 1e-9 * size:
            raise ArgumentError(
                f"{self.name} mixes batch entries",
                got=f"values that change by {gap.max() / size:.1e} relative when other points join the batch",
                wanted="a map that treats every point on its own",
                remedy="reduce over axis=-1 only, and index with x[..., i]",
                defect=float(gap.max() / size),
            )
        if not self.is_euclidean and both.all():
            self._probe_metric(points)

    def _probe_metric(self, x: np.ndarray, h: float = 1e-5) -> None:
        """Brackets differentiate the metric: compare with central differences along M, which tell a wrong rule."""
        try:
            rows = self.differential(x)
            v = rows[:, 0] / (1e-300 + np.linalg.norm(rows[:, 0], axis=-1, keepdims=True))
            traced = self.derivative_of_differential(x, v[:, None])[:, 0]
            differences = (self.differential(x + h * v) - self.differential(x - h * v)) / (2 * h)
            size = np.abs(traced).max(axis=(1, 2)) + np.abs(rows).max(axis=(1, 2)) + 1e-300
            # a wrong rule is wrong everywhere, differences are coarse only where the metric varies fast
            gap = (np.abs(traced - differences).max(axis=(1, 2)) / size).min()
            got = f"gradients whose derivative by autograd is off by {gap:.1e} from finite differences"
        except Exception as error:
            gap, got = np.inf, f"{type(error).__name__} where gradients are differentiated: {error}"
        if not gap <= 1e-4:
            metric = type(getattr(self.space, "metric", None)).__name__.replace("NoneType", "inherited metric")
            raise ArgumentError(
                f"{metric} of {type(self.space).__name__}",
                got=got,
                wanted="`to_tangent` and `inner_product` of batches of points, with correct derivatives in autograd",
                remedy="check the derivative rules of the operations they use (eigenvalues, square roots of matrices)",
                defect=float(gap),
            )

    def _probe_points(self) -> np.ndarray | None:
        if self.is_euclidean:
            return np.random.default_rng(0).uniform(0.5, 1.5, size=(3, self.dim))
        state = np.random.get_state()  # geomstats draws from numpy's global generator: leave it as it was
        try:
            np.random.seed(0)
            points = np.asarray(self.space.random_point(3), dtype=float)
        except Exception:
            return None  # a manifold need not be able to sample
        finally:
            np.random.set_state(state)
        return self._flat(points) if points.shape == (3, *self.point_shape) else None
