"""How far a parametrization is from inducing mirror flow: witnesses, the best Hessian metric, and time warps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_points, as_positive, require_type
from geoflow.errors import ArgumentError, DomainError
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.losses import LinearSchedule
from geoflow.maps.lifts import Lifted, lift_along
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import length_of, orbit_sample, push_by, shrunk_until, unit_forces
from geoflow.numerics.chebyshev import ProductBasis, pairs, total_degree
from geoflow.results import Check, Trajectory


@dataclass(frozen=True, repr=False)
class ScheduleGap(Portable):
    """Two schedules of losses with the same integral of the gradient, and where they end.

    Truthy where they end at different w: then gradient flow through G from x0 is not mirror flow of any R.
    """

    schedules: tuple[LinearSchedule, LinearSchedule]
    trajectories: tuple[Trajectory, Trajectory]  # of `gradient_flow`, integrated apart from the search
    gap: float  # |w_1 - w_2| at the end, relative to the longer way from w0
    dual_gap: float  # difference of the two integrals of the gradient, relative; it should be 0

    def __bool__(self) -> bool:
        return self.gap > 1e-6 and self.gap > 1e3 * self.dual_gap

    def __str__(self) -> str:
        verdict = "different ends: no mirror flow" if self else "the same end"
        return f"{verdict}; relative gap {self.gap:.1e} at integrals of the gradient equal to {self.dual_gap:.0e}"


def schedule_gap(G: Parametrization, x0: ArrayLike, size: float = 0.3, n: int = 64, seed: int = 0) -> ScheduleGap:
    """Find two loss schedules with equal integrals of the gradient whose gradient flows from x0 end far apart in w.

    The same random forces are applied in two orders; the pair of largest gap is run again through `gradient_flow`.

    Parameters
    ----------
    G : Parametrization
    x0 : array-like, shape=[D]
    size : float
        How far each force moves x, relative to |x0|.
    n : int
        Pairs tried, of two to four forces each.
    seed : int
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0 = G.require_points(x0, "x0")
    rng, d, w0 = np.random.default_rng(seed), G.codomain_dim, G(x0)
    best: tuple[float, Array] | None = None
    for count in (2, 3, 4):
        forces = unit_forces(G, x0, rng.standard_normal((count, n, d)))

        def both_orders(length: float, forces: Array = forces) -> tuple[Array, Array]:
            return G(push_by(G, x0, length * forces)), G(push_by(G, x0, length * forces[::-1]))

        (one, other), length = shrunk_until(both_orders, size * length_of(x0))
        far = np.maximum(np.linalg.norm(one - w0, axis=-1), np.linalg.norm(other - w0, axis=-1))
        gaps = np.linalg.norm(one - other, axis=-1) / np.maximum(far, 1e-300)
        k = int(np.argmax(gaps))
        if best is None or gaps[k] > best[0]:
            best = float(gaps[k]), length * forces[:, k]
    assert best is not None
    schedules = LinearSchedule(best[1]), LinearSchedule(best[1][::-1])
    times = np.linspace(0, len(best[1]), 20 * len(best[1]) + 1)
    # a pulse has continuous first derivatives only: Runge-Kutta of high order in short steps
    flows = [gradient_flow(s, G, x0, times, rtol=1e-11, atol=1e-13, method="DOP853").unwrap() for s in schedules]
    ends, duals = [f.w[-1] for f in flows], [f.mu[-1] for f in flows]
    way = max(np.linalg.norm(w - w0) for w in ends)
    return ScheduleGap(
        schedules=schedules,
        trajectories=(flows[0], flows[1]),
        gap=float(np.linalg.norm(ends[0] - ends[1]) / way),
        dual_gap=float(np.linalg.norm(duals[0] - duals[1]) / np.linalg.norm(best[1], axis=-1).max()),
    )


@dataclass(frozen=True)
class HessianFit:
    """The Hessian metric nearest to the metric that G induces, over a region of w that flows from x0 reach.

    `defect` is the root mean square of |L^T hess R L - I| / sqrt(d), Frobenius, C = L L^T the cometric, at fresh
    points, and `fitted` that at the points that were fitted. It tends to 0 with the degree where the cometric is a
    function of w whose inverse is a Hessian.
    """

    defect: float
    fitted: float
    degree: int
    n_points: int
    n_fresh: int

    def __str__(self) -> str:
        return f"Hessian fit of degree {self.degree}: relative misfit {self.defect:.2e} at {self.n_fresh} fresh points"


def hessian_fit(
    G: Parametrization, x0: ArrayLike, size: float = 0.05, degree: int = 8, n: int = 400, seed: int = 0
) -> HessianFit:
    """Least squares over potentials: how well hess R can match the inverse cometric on the orbit of x0.

    R runs over polynomials of total degree at most `degree` on a box of w. The number ranks parametrizations: it tends
    to 0 with the degree for a commuting one.

    Parameters
    ----------
    G : Parametrization
    x0 : array-like, shape=[D]
    size : float
        How far the three random flows to each point move x, relative to |x0|.
    degree, n, seed : int
        n such that there are twice as many equations as coefficients.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0, d = G.require_points(x0, "x0"), G.codomain_dim
    G.check_regular(x0).unwrap()
    x = orbit_sample(G, x0, size, 2 * n, np.random.default_rng(seed))
    w = G(x)
    basis = ProductBasis(w.min(axis=0) - 1e-9, w.max(axis=0) + 1e-9, total_degree(d, degree))
    if n * d * (d + 1) // 2 < 2 * len(basis):
        wanted = f"at least {2 * len(basis)} equations, twice the {len(basis)} coefficients"
        got = f"{n} points, {n * d * (d + 1) // 2} equations"
        raise ArgumentError("number of points n", got, wanted, "raise n, or lower the degree")
    L = np.linalg.cholesky(G.cometric(x))
    second = basis.derivatives(w, 2)[2]
    H = np.zeros((2 * n, len(basis), d, d))
    for k, (i, j) in enumerate(pairs(d)):
        H[..., i, j] = H[..., j, i] = second[:, k]
    white = np.einsum("nia,nkij,njb->nkab", L, H, L).reshape(2 * n, len(basis), d * d)
    rows = np.swapaxes(white, 1, 2)
    target = np.eye(d).ravel()
    A = rows[:n].reshape(-1, len(basis))
    coefficients = np.linalg.lstsq(A, np.tile(target, n), rcond=1e-13)[0]
    misfit = np.linalg.norm(rows @ coefficients - target, axis=-1) / np.sqrt(d)
    rms = np.sqrt(np.mean(misfit[:n] ** 2)), np.sqrt(np.mean(misfit[n:] ** 2))
    return HessianFit(float(rms[1]), float(rms[0]), degree, n, n)


# time warps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TimeWarp:
    """A factor s > 0 for which s C^{-1} is a Hessian: gradient flow is mirror flow in the time tau' = s(w)."""

    factor: Array  # s at the points asked for, shape=[n], 1 at G(x0)
    mu: Array  # grad R there, shape=[n, d], R the potential of s C^{-1}, 0 at G(x0)
    x: Array  # the lifts of the points, shape=[n, D]
    check: Check  # the equations for grad log s at the lifts, and independence of the path


def time_warp(G: Parametrization, x0: ArrayLike, w: ArrayLike, tol: float = 1e-8) -> TimeWarp:
    """The warp factor s(w) that makes the metric induced from x0 Hessian, where there is one.

    a = grad log s solves Codazzi's equations a_k g_ij - a_i g_kj + d_k g_ij - d_i g_kj = 0 for g = C^{-1}, along lifts.

    Parameters
    ----------
    G : Parametrization
        With the cometric a function of w on the orbit of x0, for example where the orbit has dimension d.
    x0 : array-like, shape=[D]
    w : array-like, shape=[n, d]
        Points reached from G(x0) in straight lines; d >= 2, as every metric on a line is Hessian.
    tol : float

    Reference
    ---------
    Azulay et al., On the implicit bias of initialization shape: beyond infinitesimal mirror descent, ICML 2021.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0, d, tol = G.require_points(x0, "x0"), G.codomain_dim, as_positive(tol)
    if d == 1:
        raise ArgumentError("time warp", "d = 1", "d >= 2", "every metric on a line is Hessian: s = 1")
    w, w0 = as_points(w, d, "w").reshape(-1, d), G(x0)

    def lifted(state: Lifted, way: Array) -> Lifted:
        end, stop = lift_along(G.kernel, state, way, lambda x: log_factor_gradient(G, x)[0])
        if stop is not None:
            got, remedy = f"a lift that ends at s = {stop.s:.3g}", "move w closer to G(x0)"
            raise DomainError("w out of reach from x0", got, "points near G(x0)", remedy, index=stop.entry, s=stop.s)
        return end

    n = len(w)
    start = Lifted(np.broadcast_to(G.flatten(x0), (n, G.dim)), np.zeros((n, d)), np.zeros(n))
    corner = w.copy()
    corner[:, -1] = w0[-1]
    direct, around = lifted(start, w - w0), lifted(lifted(start, corner - w0), w - corner)
    assert direct.mu is not None and direct.log_weight is not None
    assert around.mu is not None and around.log_weight is not None
    residual = log_factor_gradient(G, direct.x)[1]
    end, other = np.c_[direct.log_weight, direct.mu], np.c_[around.log_weight, around.mu]
    path = np.abs(end - other).max(axis=-1) / (1 + np.abs(end).max())
    worst = np.maximum(residual, path)
    check = Check(
        name=f"time warp of {G.name}",
        defect=float(worst.max()),
        scale=1.0,
        tol=tol,
        witness=w[int(np.argmax(worst))],
        detail=f"Codazzi residual {residual.max():.1e}, dependence on the path {path.max():.1e}",
        n_points=n,
        evidence={"remedy": "the metric is not conformal to a Hessian one on the orbit of x0"},
    )
    return TimeWarp(np.exp(direct.log_weight), direct.mu, G.unflatten(direct.x), check)


def log_factor_gradient(G: Parametrization, x: Array) -> tuple[Array, Array]:
    """grad log s by least squares on Codazzi's equations in whitened coordinates, and their relative residual."""
    rows, C = G.kernel.gradients_and_cometric(x)
    d = G.codomain_dim
    L = np.linalg.cholesky(C)  # coordinates u with w = L u: there g = I
    H = np.linalg.inv(C)
    lifts = np.einsum("nia,nij,njD->naD", L, H, rows)  # of the columns of L
    dC = G.kernel.derivative_of_cometric(x, lifts)
    inverse = np.linalg.inv(L)
    dg = -np.einsum("nai,nkij,nbj->nkab", inverse, dC, inverse)  # d_k g_ab in those coordinates
    skew = dg - np.swapaxes(dg, 1, 2)  # [k, i, j]: d_k g_ij - d_i g_kj
    eye = np.eye(d)
    # (a_k delta_ij - a_i delta_kj) = -skew: contract with delta_ij to get (d - 1) a_k
    a = -np.einsum("nkii->nk", skew) / (d - 1)
    fitted = np.einsum("nk,ij->nkij", a, eye) - np.einsum("ni,kj->nkij", a, eye)
    residual = np.abs(fitted + skew).max(axis=(1, 2, 3)) / np.maximum(np.abs(dg).max(axis=(1, 2, 3)), 1e-300)
    return np.einsum("nai,na->ni", inverse, a), residual
