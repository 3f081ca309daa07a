"""A bound on the metric error of a realization at every point of its box, proved in ball arithmetic.

`prove` looks for a plan, degrees, a radius and a matrix polynomial; `argument.bounds` computes what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR
from math import inf
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow._validate import as_finite
from geoflow.errors import ArgumentError, ProofError, RealizationError
from geoflow.numerics.balls import Jet, hessian_of, precision
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from geoflow.numerics.rounded import Floats, Rounded
from geoflow.numerics.stored import record_of, text_of
from geoflow.potentials.interpolants import outline
from geoflow.potentials.proofs import sample
from geoflow.realization.argument import Bounds, Plan, Polynomials, bounds, fields_of
from geoflow.realization.embedding import Embedding
from geoflow.realization.identities import text_of_rule
from geoflow.realization.spectral import SpectralMap
from geoflow.realization.twist import TwistMap
from geoflow.results import Verdict, downward, rounded_to, upward
from geoflow.spaces.domains import Box

#: share of the sampled error that the interpolation of H may add; errors below which it is not followed, and of exact F
SHARE, FLOOR, EXACT = 0.03, 1e-13, 3e-11
#: digits to which what is proved is stated, and how much looser than it is: rounding differs between machines
DIGITS, LOOSER = 3, 1.01


@dataclass(frozen=True, eq=False, repr=False)
class Proof(Verdict):
    """What is proved of an embedding F of H = hess R on a box, for every point of it; truthy where eps < 1.

    Attributes
    ----------
    eps : float
        (1 - eps) H <= dF^T dF <= (1 + eps) H on the whole box; infinite where nothing is proved.
    measured : float
        The largest relative error at the certificate's points, which proves nothing.
    least_eigenvalue, largest_eigenvalue : float
        Bounds of the eigenvalues of H on the box: it is positive definite there, and F an immersion where eps < 1.
    injectivity : float
        c > 0 with |F(w) - F(v)| >= c |w - v| for all w, v of the box; 0 where F is not proved injective.
    box : Box
    argument : str
        In words, how it was proved, or why it was not.
    plan : Plan, or None
        What is needed to compute the bounds again, as `check` does: it is saved with the realization.
    checked : bool
        Whether the bounds were computed here, and not read from a file.
    """

    eps: float
    measured: float
    least_eigenvalue: float
    largest_eigenvalue: float
    injectivity: float
    box: Box
    argument: str
    plan: Plan | None = field(default=None, repr=False)
    checked: bool = True

    @property
    def failures(self) -> list[str]:
        return [] if self.eps < 1 else ["metric error not proved"]

    @property
    def immersion(self) -> bool:
        """Whether dF is proved injective at every point."""
        return self.eps < 1

    def flow_gap(self, t: float, lipschitz: float, gradient: float) -> float:
        """A bound of |w_1(t) - w_2(t)|, gradient flow on M and mirror flow of R from one start, while in the box.

        r (exp(K t) - 1) / (K m) with K = lipschitz / m, r = eps / (1 - eps) sqrt(m'/ m) gradient, m and m' the bounds
        of the eigenvalues of H: by Gronwall in mu = grad R(w), where H (dF^T dF)^{-1} differs from I by at most r.

        Parameters
        ----------
        t, lipschitz, gradient : float
            The time; a Lipschitz constant of grad L, and a bound of |grad L|, on the box. All nonnegative.
        """
        values = as_finite([t, lipschitz, gradient], "time, Lipschitz constant and bound of the gradient")
        if (values < 0).any():
            raise ArgumentError("arguments of flow_gap", got=f"{values}", wanted="nonnegative numbers")
        if not self.eps < 1:
            return inf
        m = self.least_eigenvalue
        if gradient == 0:
            return 0.0
        rest = self.eps / (1 - self.eps) * (self.largest_eigenvalue / m) ** 0.5 * gradient
        K = lipschitz / m
        with np.errstate(over="ignore"):
            grown = t if K * t < 1e-12 else float(np.expm1(K * t)) / K
        return float(rest * grown / m * (1 + 1e-9))

    def unwrap(self) -> Proof:
        """Return the proof, or raise `RealizationError` with the reason."""
        if self.passed:
            return self
        raise RealizationError("proof of a metric error", self.argument, "a bound below 1", "see docs/proof.md")

    def __str__(self) -> str:
        if not self.passed:
            return f"nothing is proved on {self.box}: {self.argument}"
        margin, eps = downward(self.injectivity, 2), upward(self.eps, 3)
        injective = f"injective with margin {margin}" if self.injectivity > 0 else "injective: not proved"
        least, largest = downward(self.least_eigenvalue, 3), upward(self.largest_eigenvalue, 3)
        when = "proved" if self.checked else "proved when it was saved, and not checked again,"
        return (
            f"{when} on all of {self.box}: relative metric error at most {eps} (measured {self.measured:.1e}), "
            f"eigenvalues of H in [{least}, {largest}], {injective}; "
            f"{self.argument}"
        )


def prove(F: Any) -> Proof:
    """A bound of the metric error of a `Realization`, whose module imports this one, on its whole box."""
    R, box = F.potential, F.target.box
    if box is None or box.dim > 3:
        raise ProofError("proof of a realization", f"the region {F.region}", "a bounded box of dimension 1, 2 or 3")
    measured = float(F.certificate.metric_error)
    if R is None:
        if F.proof is None or F.proof.plan is None:
            got, remedy = "one without its potential", "gf.load_realization(file, potential=R)"
            raise ProofError("proof of a realization", got, "F of a Legendre function R", remedy)
        return check(F.proof, None if F.exact else F.map)
    solved = isinstance(F.map, (SpectralMap, TwistMap))
    if not (solved or F.exact):
        raise ProofError("proof of a realization", f"method {F.method!r}", "method 'spectral', 'twist' or 'exact'")
    record = text_of(recorded_or_error(R.potential, sample(box), R.name))
    plan = Plan(record, "" if solved else text_of_rule(F.map, sample(box)), 0.0, False, 0, 0, np.zeros(0))
    with precision() as flint:
        fields = fields_of(flint, plan, box)
        found = outline(fields, SHARE * max(measured, FLOOR if solved else EXACT))
        if isinstance(found, str):
            return Proof(inf, measured, 0.0, inf, 0.0, box, found)
        m = found.nodes(Polynomials(fields, F.map).degree if solved else 0)
    plan = replace(plan, rho=found.rho, fine=found.fine, degree=found.degree, nodes=m, white=found.white)
    return _stated(bounds(plan, box, F.map if solved else None), measured, box, plan)


def check(proof: Proof, embedding: Embedding | None) -> Proof:
    """Compute again what a proof states of an embedding, without its solver; a proof of nothing where it states more.

    The embedding is None of an exact realization, whose rule is in the plan.
    """
    if proof.plan is None:
        return replace(proof, eps=inf)
    found = bounds(proof.plan, proof.box, embedding)
    if not found.eps < 1:
        return _stated(found, proof.measured, proof.box, proof.plan)
    up, down = ROUND_CEILING, ROUND_FLOOR
    numbers = [
        ("eps", proof.eps, found.eps, up),
        ("least eigenvalue", proof.least_eigenvalue, found.least, down),
        ("largest eigenvalue", proof.largest_eigenvalue, found.largest, up),
        ("injectivity", proof.injectivity, found.injectivity, down),
    ]
    false = [(name, told, real) for name, told, real, way in numbers if not _tells(told, real, way)]
    wrong = [f"{name} {told:.9g}, where {real:.9g} is proved" for name, told, real in false]
    if wrong:
        return replace(proof, eps=inf, checked=True, argument=f"it states {', '.join(wrong)}")
    return replace(proof, checked=True, argument=found.argument)


def _tells(told: float, real: float, rounding: str) -> bool:
    """Whether a number is what is stated of a bound: to the safe side, by no more than that, and to as many digits."""
    above, below = (told, real) if rounding == ROUND_CEILING else (real, told)
    return told == float(f"{told:.{DIGITS}g}") and below <= above <= LOOSER**4 * below


def metric_gap(record: str, points: Array, metric: Array) -> float:
    """The largest relative difference of the Hessian of a record from a metric at points, shape=[N, d, d]."""
    with precision() as flint:
        scalar = Floats(flint)
        w = [Rounded(column) for column in points.T]
        jet: Any = Evaluation(record_of(record), scalar.constant)(Jet.variables(scalar, w)).item()
        H = hessian_of(jet, points.shape[1])
    gap = np.stack([np.stack([h.value - metric[:, i, j] for j, h in enumerate(row)]) for i, row in enumerate(H)])
    return float((np.abs(gap).max(axis=(0, 1)) / np.abs(metric).max(axis=(1, 2))).max())


def _stated(found: Bounds, measured: float, box: Box, plan: Plan) -> Proof:
    """Bounds as they are stated: to a few digits, rounded to the safe side."""
    if not found.eps * LOOSER**2 < 1:
        why = found.argument if found.eps == inf else f"the bound {found.eps:.1e} is not below 1: {found.argument}"
        return Proof(inf, measured, 0.0, inf, 0.0, box, why, plan)
    eps, largest = (rounded_to(x * LOOSER, ROUND_CEILING, DIGITS) for x in (found.eps, found.largest))
    least, apart = (rounded_to(x / LOOSER, ROUND_FLOOR, DIGITS) for x in (found.least, found.injectivity))
    return Proof(eps, measured, least, largest, apart, box, found.argument, plan)
