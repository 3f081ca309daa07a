"""realize: a Legendre function, or any metric, to a certified isometric embedding and its parametrization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from geoflow._typing import ArrayLike, Map
from geoflow._validate import as_options, require_type
from geoflow.errors import ArgumentError, ConvergenceError, RealizationError
from geoflow.potentials.found import find_structure
from geoflow.potentials.legendre import LegendreFunction
from geoflow.realization import files, rules
from geoflow.realization.certificate import certify, relative_metric_error
from geoflow.realization.embedding import Embedding
from geoflow.realization.methods import METHODS, Budget, BudgetOptions, Task
from geoflow.realization.realized import Realization
from geoflow.realization.spectral import SPECTRAL
from geoflow.realization.target import Target, as_region, checked_metric
from geoflow.realization.twist import TWIST
from geoflow.spaces.domains import ConvexDomain

if TYPE_CHECKING:
    from typing_extensions import Unpack

SOLVER_POINTS = 1500
LARGEST_DIM = 4
#: times what was measured when F was saved, up to which another sample of points measures the same
UNLIKE = 10


def realize(
    R: LegendreFunction,
    box: ConvexDomain | Sequence[ArrayLike] | None = None,
    tol: float = 1e-8,
    method: str = "auto",
    **budget: Unpack[BudgetOptions],
) -> Realization:
    """Embed the Hessian metric of R, so that G = F^{-1} is a commuting parametrization: the converse theorem.

    dF^T dF = hess R on the box; gradient flow of every loss through `F.parametrization` is mirror flow of R.

    Parameters
    ----------
    R : LegendreFunction
        Its structure (`RidgeSum`, sums, products, scalings, affine changes, conjugates) is used where there is one;
        where there is none, `find_structure` reads it off the potential.
    box : Box, or pair (lower, upper), or ConvexDomain, optional
        A solver needs a bounded box inside int dom R. An exact F is good on all of dom R; the region, by default dom R,
        is where it is certified.
    tol : float
        Relative metric error to meet at points the solver never saw.
    method : str
        "exact", "twist" (any smooth metric, D near 20, wavy), "spectral" (D = d(d+3)/2), or "auto": exact where a rule
        applies, else the cheapest solver that meets tol.
    **budget
        Fields of `geoflow.realization.methods.Budget`: `ambient_dim`, `max_degree`, `frequency`, `seed`, `advance`.

    Raises
    ------
    RealizationError
        When tol is not met; carries the best F found as `realization`.
    NotLegendreError, DomainError
        When the Hessian is not positive definite in the box, or the box leaves dom R; with the `point`.
    ArgumentError
        When the Hessian is not that of the potential.

    Reference
    ---------
    LWLA22, theorem 4.9; J. Nash, Ann. Math. 60 (1954) and 63 (1956); A. Kallen, Ark. Mat. 16 (1978).
    """
    require_type(R, LegendreFunction, "R", "wrap the potential: gf.LegendreFunction(potential, domain)")
    limits = _require_options(method, tol, as_options(Budget, budget, "realize"))
    target = Target.hessian(R, as_region(box, R.dim))
    target.require_in_domain()
    target.require_hessian(tol)
    target.require_definite()
    tried: list[str] = []
    if method in ("auto", "exact"):
        F = _exact(target, R, tol, limits, tried)
        if F is not None and (method == "exact" or F.certificate.passed or target.box is None or R.dim > LARGEST_DIM):
            return _accept(F)
        if method == "exact":
            wanted = "a ridge sum, or sums, products, scalings, affine changes or conjugates of such"
            remedy = "build R with gf.RidgeSum, R1 + R2, gf.product, compose_affine, or use method='auto'"
            raise RealizationError(f"no exact rule for {R.name}", tried[-1], wanted, remedy)
    return _solve(target, tol, method, limits, tried)


def realize_metric(
    metric_matrix: Map,
    box: ConvexDomain | Sequence[ArrayLike],
    tol: float = 1e-8,
    method: str = "auto",
    **budget: Unpack[BudgetOptions],
) -> Realization:
    """Embed any smooth Riemannian metric on a box isometrically; its G commutes only if the metric is Hessian.

    Parameters
    ----------
    metric_matrix : callable
        w of shape=[..., d] to g(w) of shape=[..., d, d], symmetric positive definite, else a `NotLegendreError`.
    box : Box, or pair (lower, upper)
    tol, method, **budget
        As for `realize`, with its errors; there are no exact rules.
    """
    limits = _require_options(method, tol, as_options(Budget, budget, "realize_metric"))
    if method == "exact":
        raise ArgumentError("method", got="'exact'", wanted="'auto', 'twist' or 'spectral': a bare metric has no rules")
    if not callable(metric_matrix):
        raise ArgumentError("metric_matrix", got=type(metric_matrix).__name__, wanted="a callable w -> g(w)")
    region = as_region(box, None)
    if region is None:
        raise ArgumentError("box", got="None", wanted="a gf.domains.Box or a pair (lower, upper)")
    target = Target(checked_metric(metric_matrix, region.dim), region, sources=(metric_matrix,))
    target.require_definite()
    return _solve(target, tol, method, limits, [])


def load_realization(
    file: str | PathLike[str], potential: LegendreFunction | None = None, tol: float | None = None
) -> Realization:
    """Read what `Realization.save` wrote; with the potential, certify it again.

    Parameters
    ----------
    file : path
    potential : LegendreFunction, optional
        R. Needed for an exact realization. Without it the certificate is the one that was measured when F was saved,
        `remeasured` is False, and the metric is compared with the stored one at the points that the file has.
    tol : float, optional
        Relative metric error to meet; by default what F was saved with. Whatever it is, F is refused where its error
        is not what the file says was measured.

    Raises
    ------
    FileError
        When the file is not a whole saved realization; an `ArgumentError`, and a `RealizationError`.
    ArgumentError
        When an exact realization comes without its potential, or the Hessian is not that of the potential.
    RealizationError
        When F does not have the metric of the potential, or misses tol.
    """
    saved, asked = files.read(file), tol
    tol = saved.tol if tol is None else tol
    _require_options("auto", tol, Budget())
    if potential is not None:
        require_type(potential, LegendreFunction, "potential", "wrap it: gf.LegendreFunction(potential, domain)")
        if potential.dim != saved.probe.shape[1]:
            got, wanted = f"one of R^{potential.dim}", f"the one that was realized, of R^{saved.probe.shape[1]}"
            raise ArgumentError(f"potential for file {file}", got, wanted)
    if saved.embedding is not None:
        assert saved.box is not None
        if potential is None:
            target = Target(files.StoredMetric(saved.probe, saved.probe_metric), saved.box)
            certificate = saved.certificate if asked is None else replace(saved.certificate, tol=float(tol))
        else:
            target = Target.hessian(potential, saved.box)
            target.require_in_domain()
            target.require_hessian(tol)
            certificate = certify(saved.embedding, target, tol)
        F = Realization(saved.embedding, target, saved.method, saved.reason, certificate, saved.stages)
    elif potential is not None:
        F = realize(potential, saved.box, tol=tol, method="exact")
    else:
        got = f"an exact realization ({saved.reason}) without the Legendre function it realizes"
        raise ArgumentError(f"file {file}", got, "its potential", "gf.load_realization(file, potential=R)")
    F.proof = saved.proof
    _require_what_was_measured(F, saved, f"file {file}")
    return _accept(F)


# inside -------------------------------------------------------------------------------------------------------------


def _require_what_was_measured(F: Realization, saved: files.Saved, what: str) -> None:
    """Refuse an F whose metric error, at the points of the file or at fresh ones, is not what the file says it is."""
    measured = saved.certificate.metric_error
    gap = float(relative_metric_error(F.map.jacobian(saved.probe), saved.probe_metric).max())
    if F.remeasured and not F.exact:
        gap = float(np.max([gap, F.certificate.metric_error]))
    limit = max(UNLIKE * measured, 1e-12)
    if not gap <= limit:
        got = f"an embedding whose metric differs by {gap:.1e} relative from the one that it is of"
        remedy = "the file is damaged, or `potential` is another function than the one realized"
        wanted = f"at most {limit:.0e}, as {measured:.1e} was measured when it was saved"
        raise RealizationError(what, got, wanted, remedy, realization=F, defect=gap)


def _require_options(method: str, tol: float, budget: Budget) -> Budget:
    names = ("auto", "exact", *METHODS)
    if method not in names:
        raise ArgumentError("method", got=repr(method), wanted=f"one of {names}")
    if not (isinstance(tol, (int, float)) and 0 < tol < 1):
        raise ArgumentError("tol", got=repr(tol), wanted="a relative metric error between 0 and 1")
    if budget.ambient_dim is not None and method == "twist":
        got = f"{budget.ambient_dim} with method='twist'"
        raise ArgumentError("ambient_dim", got, "method='spectral': a twist sets its own D")
    return budget


def _exact(target: Target, R: LegendreFunction, tol: float, budget: Budget, tried: list[str]) -> Realization | None:
    """The realization by a rule, or None, with what was tried."""
    found, note = rules.exact_embedding(R), ""
    if found is None and R.structure is None:
        read = find_structure(R)
        note = f" (its record: {read.stopped_at})" if read.stopped_at else ""
        found = None if read.potential is None else rules.exact_embedding(read.potential)
    if found is None or budget.ambient_dim not in (None, found[0].ambient_dim):
        tried.append(
            f"no exact rule applies{note}" if found is None else f"the exact rule has D = {found[0].ambient_dim}"
        )
        return None
    try:
        certificate = certify(found[0], target, tol, seed=budget.seed, exact=True)
    except ConvergenceError as error:  # a profile that is flat somewhere, as s^4 at 0: its embedding is not smooth
        if R.structure is not None:
            raise
        tried.append(f"the embedding by what its record shows is not computed: {error.what}, {error.got}")
        return None
    F = Realization(found[0], target, "exact", found[1], certificate)
    tried.append(f"exact rule ({found[1]}) missed tol: {certificate.metric_error:.1e}")
    return F


def _solve(target: Target, tol: float, method: str, budget: Budget, tried: list[str]) -> Realization:
    """Spectral or twist or one after the other; the first that is certified."""
    d, box = target.region.dim, target.box
    if box is None:
        remedy = "; ".join(["pass gf.domains.Box(lower, upper), on the command line --box LOW:HIGH", *tried[-1:]])
        raise ArgumentError("box", f"{target.region}", "a bounded box: a solver works on a compact region", remedy)
    if d > LARGEST_DIM:
        wanted = f"d <= {LARGEST_DIM}, or a potential with an exact rule"
        remedy = "build R from gf.RidgeSum, sums and products, so that its structure is visible"
        got = "; ".join(tried) or f"d = {d}"
        raise RealizationError(f"numerical realization in dimension {d}", got, wanted, remedy)
    if budget.ambient_dim is not None and budget.ambient_dim < d:
        raise ArgumentError("ambient_dim", got=f"{budget.ambient_dim}", wanted=f"at least d = {d}")
    order, fresh_error = _order(method, budget, d), _fresh_error(target, budget)
    tell = budget.advance or (lambda name, stage: None)
    task = Task(target.metric, np.array(box.lower), np.array(box.upper), tol / 3, fresh_error, budget)
    best: Realization | None = None
    for name in order:
        try:
            found = METHODS[name].solve(replace(task, advance=partial(tell, name)))
        except ConvergenceError as error:
            tried.append(f"{name}: {error}")
            continue
        certificate = certify(found.embedding, target, tol, seed=budget.seed)
        F = Realization(found.embedding, target, name, "; ".join([*tried, found.reason]), certificate, found.stages)
        if certificate.passed:
            return F
        tried.append(f"{name} ({found.reason}): {F.certificate.metric_error:.1e}")
        if best is None or not best.certificate.metric_error <= F.certificate.metric_error:
            best = F
    if best is None:
        wanted = f"relative metric error {tol:.0e}"
        raise RealizationError("realization", "; ".join(tried), wanted, _remedy(order), realization=None)
    raise _refusal(best, order)


def _order(method: str, budget: Budget, d: int) -> list[str]:
    """The solvers to try, one after the other."""
    if method != "auto":
        return [method]
    if budget.max_degree is not None or budget.ambient_dim is not None:
        return [SPECTRAL.name]
    if budget.frequency is not None:
        return [TWIST.name]
    # measured: at d <= 2 the spectral map takes seconds and is far cheaper to use; above, the twist is faster
    return [SPECTRAL.name, TWIST.name] if d <= 2 else [TWIST.name, SPECTRAL.name]


def _fresh_error(target: Target, budget: Budget) -> Callable[[Embedding], float]:
    """An embedding's largest relative metric error at points that no solver sees; infinite where one is not finite.

    Random ones, corners, edges, and where the quantities that the metric is computed from are extreme.
    """
    fresh = target.sample(SOLVER_POINTS, np.random.default_rng([budget.seed, 7]))
    fresh = np.concatenate([fresh, target.corners, target.edges, target.found.points])
    wanted = target.metric(fresh)

    def error(F: Embedding) -> float:
        slices = [slice(k, k + 500) for k in range(0, len(fresh), 500)]
        errors = np.concatenate([relative_metric_error(F.jacobian(fresh[k]), wanted[k]) for k in slices])
        return float(errors.max()) if np.isfinite(errors).all() else np.inf

    return error


def _accept(F: Realization) -> Realization:
    if F.certificate.passed:
        return F
    raise _refusal(F, [F.method])


def _refusal(F: Realization, order: list[str]) -> RealizationError:
    c, name = F.certificate, "the metric" if F.potential is None else F.potential.name
    evidence = {"realization": F, "certificate": c, "defect": c.metric_error, "point": c.witness}
    got = "; ".join(c.failures) + f" [{F.method} ({F.reason})]"
    what, wanted = f"realization of {name} in R^{F.ambient_dim}", "a certificate that passes"
    return RealizationError(what, got, wanted, _remedy(order), **evidence)


def _remedy(order: list[str]) -> str:
    if order == ["exact"]:
        return "raise tol, or certify on a region further from the boundary of dom R"
    others = [f"use method='{name}'" for name in METHODS if name not in order]
    hints = [*(METHODS[name].remedy for name in order), "shrink the box", "raise tol", *others]
    return ", ".join(hints[:-1]) + ", or " + hints[-1]
