"""Vector fields, Lie brackets, and joint flows of gradient fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow import autodiff
from geoflow._validate import as_finite, as_points, describe
from geoflow.errors import ArgumentError, ConvergenceError, DomainError, ShapeError

if TYPE_CHECKING:
    from geomstats.geometry.manifold import Manifold

    from geoflow.parametrization import Parametrization

FLOW_RTOL, FLOW_ATOL = 1e-12, 1e-14
MAX_STEPS = 3000


class VectorField:
    """A vector field X on (an open set or a submanifold of) R^D.

    Parameters
    ----------
    function : callable
        x of shape=[..., D] to X(x) of shape=[..., D], written with autograd.numpy.
    name : str
    derivative : callable, optional
        Closed form of (x, v) -> DX(x).v; by default automatic.
    space : geomstats manifold, optional
        Where the field lives, by default R^D; its points may be matrices, shape=[..., n, m] in place of shape=[..., D].
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        name: str = "X",
        derivative: Callable[[Any, Any], Any] | None = None,
        space: Manifold | None = None,
    ):
        if not callable(function):
            raise ArgumentError("vector field", got=type(function).__name__, wanted="a callable x -> X(x)")
        self._function, self.name, self._closed_derivative = function, name, derivative
        self.space = space

    def __call__(self, x: Any) -> Any:
        """X(x), shape=[..., D]."""
        x = x if hasattr(x, "_value") else as_finite(x, f"point of {self.name}")
        value = self._function(x)
        if np.shape(value) != np.shape(x):
            raise ShapeError(
                f"value of the vector field {self.name}",
                got=f"shape {np.shape(value)} at points of shape {np.shape(x)}",
                wanted="the shape of the points",
                remedy="return one tangent vector a point, coordinates on the last axis",
            )
        return value

    def derivative(self, x: Any, v: Any) -> Any:
        """DX(x).v, shape=[..., D]."""
        if self._closed_derivative is not None:
            return self._closed_derivative(x, v)
        return autodiff.jvp(self._function, x, v)[1]

    def flow(self, x: Any, t: Any, rtol: float = FLOW_RTOL, atol: float = FLOW_ATOL) -> np.ndarray:
        """Time-t flow phi^t(x) of dx/dt = X(x).

        Parameters
        ----------
        x : array-like, shape=[..., D]
        t : array-like, shape=[...]
            Time of each point, of either sign; a scalar serves all.
        rtol, atol : float

        Returns
        -------
        array, shape=[..., D]

        Raises
        ------
        DomainError
            When the flow ends before t; names the batch entry and the time.
        """
        x, t = as_finite(x, "point to flow from"), as_finite(t, "time t")
        axes = 1 if self.space is None else len(self.space.shape)
        shape = x.shape[x.ndim - axes :]
        batch = np.broadcast_shapes(x.shape[: x.ndim - axes], t.shape)
        start = np.broadcast_to(x, (*batch, *shape)).reshape(*batch, -1)

        def scaled(s: float, y: Any, time: Any) -> Any:
            return time[..., None] * np.reshape(self._function(y.reshape(*y.shape[:-1], *shape)), y.shape)

        end = _unit_time_flow(scaled, start, np.broadcast_to(t, batch), rtol, atol, "flow")
        return end.reshape(*batch, *shape)

    def __add__(self, other: VectorField) -> VectorField:
        derivative = None
        if self._closed_derivative is not None or other._closed_derivative is not None:

            def derivative(x: Any, v: Any) -> Any:
                return self.derivative(x, v) + other.derivative(x, v)

        name = f"({self.name} + {other.name})"
        return VectorField(lambda x: self._function(x) + other._function(x), name, derivative, self.space)

    def __mul__(self, scalar: float) -> VectorField:
        closed = self._closed_derivative
        derivative = None if closed is None else lambda x, v: scalar * closed(x, v)
        return VectorField(lambda x: scalar * self._function(x), f"{scalar:g} {self.name}", derivative, self.space)

    __rmul__ = __mul__

    def __neg__(self) -> VectorField:
        return -1.0 * self

    def __sub__(self, other: VectorField) -> VectorField:
        return self + (-1.0) * other

    def __repr__(self) -> str:
        return f"VectorField({self.name})"


def lie_bracket(X: Any, Y: Any) -> VectorField:
    """Lie bracket [X, Y] = DY.X - DX.Y of two vector fields, itself a vector field.

    Parameters
    ----------
    X, Y : VectorField or callable
        shape=[..., D] to shape=[..., D].
    """
    X = X if isinstance(X, VectorField) else VectorField(X, "X")
    Y = Y if isinstance(Y, VectorField) else VectorField(Y, "Y")
    return VectorField(lambda x: Y.derivative(x, X(x)) - X.derivative(x, Y(x)), f"[{X.name}, {Y.name}]", space=X.space)


def joint_flow(G: Parametrization, x0: Any, mu: Any, rtol: float = FLOW_RTOL, atol: float = FLOW_ATOL) -> np.ndarray:
    """Joint flow psi(x0; mu): value at s = 1 of dx/ds = dG(x)^T mu, x(0) = x0.

    Parameters
    ----------
    G : Parametrization
    x0 : array-like, shape=[..., D]
    mu : array-like, shape=[..., d]
    rtol, atol : float

    Returns
    -------
    array, shape=[..., D]

    Raises
    ------
    DomainError
        When a flow ends before s = 1: carries `index` (the batch entry), `s` and `point`.

    Reference
    ---------
    LWLA22, section 4.
    """
    x0, mu = G.require_points(x0, "x0"), as_points(mu, G.codomain_dim, "mu")
    x0 = G._flat(x0)
    batch = np.broadcast_shapes(x0.shape[:-1], mu.shape[:-1])
    start = np.broadcast_to(x0, (*batch, G.dim))

    def field(s: float, x: Any, covector: Any) -> Any:
        return np.einsum("...iD,...i->...D", G.differential(x), covector)

    mu = np.broadcast_to(mu, (*batch, G.codomain_dim))
    return G._shaped(_unit_time_flow(field, start, mu, rtol, atol, "joint flow"))


def _unit_time_flow(
    field: Callable[..., Any], start: np.ndarray, parameter: np.ndarray, rtol: float, atol: float, what: str
) -> np.ndarray:
    """Flow every batch entry of `start` by dx/ds = field(s, x, parameter) to s = 1 in one solve."""
    batch, dim = start.shape[:-1], start.shape[-1]
    flat = start.reshape(-1, dim)
    values = parameter.reshape(len(flat), *parameter.shape[len(batch) :])
    end, stop = integrate_batch(lambda s, x: field(s, x, values), flat, rtol, atol)
    if stop is None:
        return end.reshape(start.shape)
    index = tuple(int(i) for i in np.unravel_index(stop.entry, batch)) if batch else ()
    raise DomainError(
        f"{what} ends before the time asked for",
        got=f"a maximal solution that ends at s = {stop.s:.6g} of 1"
        + (f" for batch entry {index}" if index else "")
        + f", last point {describe(stop.point)}",
        wanted="a parameter for which the flow exists to s = 1",
        remedy=f"scale the parameter by less than {stop.s:.6g}",
        index=index,
        s=stop.s,
        point=stop.point,
    )


class Stop:
    """Where a batched integration ended early: the parameter s, the batch entry that ended it, and the last state."""

    def __init__(self, s: float, entry: int, state: np.ndarray):
        self.s, self.entry, self.state, self.point = s, entry, state, state[entry]


def integrate_batch(
    field: Callable[[float, np.ndarray], Any],
    start: np.ndarray,
    rtol: float,
    atol: float,
    first_step: float | None = None,
    min_step: float = 1e-13,
) -> tuple[np.ndarray, Stop | None]:
    """Integrate dy/ds = field(s, y), y of shape=[N, k], over s in [0, 1] with one adaptive step size for all.

    Returns the end and None, or the last state and a `Stop`; `ConvergenceError` after `MAX_STEPS` steps.
    """
    from scipy.integrate import DOP853

    shape = start.shape
    if start.size == 0:
        return start.copy(), None
    # one error norm over N entries would hide one bad entry among many good ones: tighten by sqrt(N)
    rtol = max(rtol / np.sqrt(shape[0]), 3e-14)

    def rhs(s: float, y: np.ndarray) -> np.ndarray:
        return np.asarray(field(s, y.reshape(shape)), dtype=float).ravel()

    with np.errstate(all="ignore"):
        if not np.isfinite(rhs(0.0, start.ravel())).all():
            return start, _stop(field, 0.0, start)
        solver = DOP853(rhs, 0.0, start.ravel(), 1.0, rtol=rtol, atol=atol / np.sqrt(shape[0]), first_step=first_step)
        # a step far below the parameter's own resolution of the end means a finite end, not stiffness
        steps = 0
        while solver.status == "running":
            solver.step()
            steps += 1
            if steps > MAX_STEPS and solver.h_abs < 1e-9:  # a finite end, blurred by rounding
                return solver.y.reshape(shape), _stop(field, float(solver.t), solver.y.reshape(shape))
            if steps > MAX_STEPS:
                raise ConvergenceError(
                    "integration over s in [0, 1]",
                    got=f"{MAX_STEPS} steps to s = {solver.t:.6g}, the last of length {solver.h_abs:.1e}",
                    wanted=f"a field that is smooth to the tolerance rtol = {rtol:.1e}",
                    remedy="loosen rtol and atol: the field is stiff, or its values carry more noise than that",
                    s=float(solver.t),
                )
            if solver.status == "failed" or (solver.status == "running" and solver.h_abs < min_step):
                return solver.y.reshape(shape), _stop(field, float(solver.t), solver.y.reshape(shape))
        end = solver.y.reshape(shape)
    if not np.isfinite(end).all():
        return end, _stop(field, float(solver.t), end)
    return end, None


def _stop(field: Callable[[float, np.ndarray], Any], s: float, y: np.ndarray) -> Stop:
    """The entry whose relative speed is largest, or which is not finite, is the one that ends the flow."""
    speed = np.linalg.norm(np.asarray(field(s, y), dtype=float), axis=-1) / (1e-300 + np.linalg.norm(y, axis=-1))
    entry = int(np.argmax(np.where(np.isfinite(speed), speed, np.inf)))
    return Stop(s, entry, y)
