"""realize: a Legendre function, or any metric, to a certified isometric embedding and its parametrization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from geoflow._validate import require_type
from geoflow.domains import Box, ConvexDomain
from geoflow.errors import (
    ArgumentError,
    ConvergenceError,
    RealizationError,
)
from geoflow.legendre import LegendreFunction
from geoflow.realization import rules, spectral, twist
from geoflow.realization.certificate import relative_metric_error
from geoflow.realization.embedding import Embedding
from geoflow.realization.realization import Method, Realization
from geoflow.realization.region import (
    Metric,
    as_region,
    checked_metric,
    hessian_of,
    require_definite,
    require_in_domain,
    sample_region,
)
from geoflow.realization.spectral import Stage

METHODS = ("auto", "exact", "twist", "spectral")
SOLVER_POINTS = 1500
LARGEST_DIM = 4
Advance = Callable[[str, Stage], None]


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
    """Embed the Hessian metric of R, so that G = F^{-1} is a commuting parametrization: the converse theorem.

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
    region = as_region(box, R.dim) or R.domain
    if region is not R.domain:
        require_in_domain(region, R)
    require_definite(hessian_of(R), region, R)
    tried: list[str] = []
    if method in ("auto", "exact"):
        found = rules.exact_embedding(R)
        if found is not None and ambient_dim in (None, found[0].ambient_dim):
            F = Realization(found[0], hessian_of(R), region, Method("exact", found[1]), tol, R, seed=seed)
            bounded = isinstance(region, Box) and region.bounded and region.dim <= LARGEST_DIM
            if method == "exact" or F.certificate.passed or not bounded:
                return _accept(F)
            tried.append(f"exact rule ({found[1]}) missed tol: {F.certificate.metric_error:.1e}")
        elif method == "exact":
            raise RealizationError(
                f"no exact rule for {R.name}" + ("" if found is None else f" in R^{ambient_dim}"),
                got="a potential without visible structure"
                if found is None
                else f"D = {found[0].ambient_dim} by the rule",
                wanted="a ridge sum, or sums, products, scalings, affine changes or conjugates of such",
                remedy="build R with gf.RidgeSum, R1 + R2, gf.product, compose_affine, or use method='auto'",
            )
        elif found is not None:
            tried.append(f"the exact rule has D = {found[0].ambient_dim}")
        else:
            tried.append("no exact rule applies")
    return _solve(hessian_of(R), region, R, tol, method, ambient_dim, max_degree, frequency, seed, advance, tried)


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
    region = as_region(box, None)
    if region is None:
        raise ArgumentError("box", got="None", wanted="a gf.domains.Box or a pair (lower, upper)")
    metric = checked_metric(metric_matrix, region.dim)
    require_definite(metric, region, None)
    return _solve(metric, region, None, tol, method, ambient_dim, max_degree, frequency, seed, advance, [])


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
        metric = own_metric if potential is None else hessian_of(potential)
        F = Realization(embedding, metric, box, Method(kind, str(data["reason"])), tol, potential, stages)
    gap = float(relative_metric_error(F.map.jacobian(data["probe"]), data["probe_metric"]).max())
    if not gap <= max(10 * tol, 1e-12):
        raise RealizationError(
            f"file {file}",
            got=f"an embedding whose metric differs from the stored one by {gap:.1e} relative",
            wanted=f"at most tol = {tol:.0e}",
            remedy="the file is damaged, or `potential` is another function than the one realized",
            realization=F,
        )
    return _accept(F)


# inside -------------------------------------------------------------------------------------------------------------


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
    if frequency is not None and not (isinstance(frequency, (int, float)) and 0 < frequency < np.inf):
        raise ArgumentError("frequency", got=repr(frequency), wanted="a positive number")


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
    if not (isinstance(region, Box) and region.bounded):
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

        def report(stage: Stage, name: str = name) -> None:
            if advance is not None:
                advance(name, stage)

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
