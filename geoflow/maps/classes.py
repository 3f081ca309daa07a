"""What a map makes of w: a mirror flow, a Riemannian gradient flow, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import describe, require_type
from geoflow.errors import ConvergenceError, DomainError, NotIntrinsicError
from geoflow.maps.holonomy import lift_curve, parallelogram
from geoflow.maps.lie_algebra import LieAlgebra
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import length_of, of_like_fields, points_of_leaf, push_by, shrunk_until, unit_forces
from geoflow.maps.vertical import VERTICAL_TOL, vertical_check
from geoflow.maps.words import largest_pushed
from geoflow.results import Check

COMMUTING, MODULO_FIBRES = "commuting", "commuting modulo fibres"
INTRINSIC, NOT_INTRINSIC = "intrinsic", "not intrinsic"
#: change of C along a fibre, beside the terms of its derivative; and what of those is rounding, beside C itself
INTRINSIC_TOL, ROUNDED = 1e-8, 1e-6
#: difference of two cometrics, beside them, that is more than rounding
SEEN = 1e-10
#: points of the orbit that are looked at, besides x0; loops that are lifted for a witness, and how far a side moves x0
POINTS, LOOPS, LOOP = 2, 3, 0.1


@dataclass(frozen=True, eq=False, repr=False)
class Classification(Portable):
    """What w does under gradient flow through a map, on the leaf through a point.

    The leaf is the orbit of x0 under the gradient fields; its tangent space A(x) is their Lie algebra at x, and its
    fibres over w have the tangent space ker dG(x) cap A(x).

    Attributes
    ----------
    kind : str
        "commuting", "commuting modulo fibres": mirror flow. "intrinsic": the cometric C is a function of w on the leaf,
        and w follows the Riemannian gradient flow w' = -C(w) grad L, of a metric that is not Hessian. "not intrinsic":
        w has no flow of its own.
    commuting, vertical, intrinsic : Check
        [grad G_i, grad G_j] = 0; dG.B = 0 for all iterated brackets B; dC = 0 along the fibres of the leaf. The latter
        two are None where the answer is known before.
    codazzi : float
        Largest part of d_k g_ij - d_i g_kj beside its terms, g = C^{-1}: 0 for a mirror flow; NaN where g is not a
        function of w.
    lifts : array, shape=[2, D], or None
        The witness of "not intrinsic": two points of the leaf over one w with different C, by `cometric_gap` relative.
    leaf_dim, fibre_dim : int
        Dimensions of A(x0), and of ker dG cap A there.
    """

    kind: str
    commuting: Check
    vertical: Check | None
    intrinsic: Check | None
    codazzi: float
    lifts: Array | None
    cometric_gap: float
    leaf_dim: int
    fibre_dim: int
    name: str

    @property
    def is_mirror_flow(self) -> bool:
        """Whether every gradient flow from x0 is a mirror flow in w."""
        return self.kind in (COMMUTING, MODULO_FIBRES)

    @property
    def is_riemannian(self) -> bool:
        """Whether every gradient flow from x0 is a Riemannian gradient flow in w."""
        return self.kind != NOT_INTRINSIC

    def __str__(self) -> str:
        leaf = f"leaf of dimension {self.leaf_dim}, fibres of dimension {self.fibre_dim}"
        if self.is_mirror_flow:
            checked = self.commuting if self.vertical is None else self.vertical
            return f"{self.name}: {self.kind}, a mirror flow; defect {checked.defect:.1e}; {leaf}"
        if self.is_riemannian:
            return f"{self.name}: intrinsic, a Riemannian gradient flow in w, Codazzi defect {self.codazzi:.1e}; {leaf}"
        assert self.intrinsic is not None
        seen = f"two lifts of one w whose C differ by {self.cometric_gap:.1e}"
        if self.lifts is None:
            seen = f"C changes along a fibre by {self.intrinsic.defect:.1e} of its terms, and no two lifts were found"
        return f"{self.name}: not intrinsic, {seen}; {leaf}"

    def require_intrinsic(self) -> None:
        """`NotIntrinsicError` with the two lifts, where w has no flow of its own."""
        if self.is_riemannian:
            return
        assert self.intrinsic is not None
        at = "" if self.lifts is None else f", such as {describe(self.lifts[0])} and {describe(self.lifts[1])}"
        raise NotIntrinsicError(
            f"{self.name} induces no metric on w",
            got=f"cometrics that change along a fibre by {self.intrinsic.defect:.1e} of their terms, "
            f"and by {self.cometric_gap:.1e} between points over one w{at}",
            wanted="a cometric dG dG^T that is a function of w along the leaf through x0",
            remedy="start elsewhere, as from balanced factors, or follow x itself with gradient_flow",
            lifts=self.lifts,
            defect=self.intrinsic.defect,
        )


class _Fibre(NamedTuple):
    """At a point: the dimensions of the leaf and of its fibre; beside their terms, the largest dG.B of a bracket B, and
    the largest change of C along the fibre."""

    leaf_dim: int
    dim: int
    pushed: float
    change: float


def classify(G: Parametrization, x0: ArrayLike) -> Classification:
    """What w = G(x) does under gradient flows from x0, shape=[D]: see `Classification`.

    C = dG dG^T is locally a function of w on the leaf where dC = 0 on ker dG cap A, A the Lie algebra of the fields. If
    all brackets are vertical it is, and B C_ij = [B, X_j] G_i + X_j (B G_i) = 0 for each of them, B; its inverse is
    then a Hessian. Looked at in x0 and two generic points of its orbit: fields that are analytic are alike there.

    Raises
    ------
    NotRegularError, NotOnManifoldError, NotFiniteError
        What `mirror_map` raises of x0.
    ConvergenceError
        When the rank of the Lie algebra is undecided.

    Reference
    ---------
    LWLA22, section 4; Marcotte, Peyre, Gribonval, Intrinsic training dynamics of deep neural networks, 2025.
    """
    require_type(G, Parametrization, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
    x0 = G.require_point(x0, "x0")
    G(x0)  # a typed error where G itself is not defined
    G.check_regular(x0).unwrap()
    commuting, d = G.check_commuting(points_of_leaf(G, x0)), G.codomain_dim
    if commuting:
        return Classification(COMMUTING, commuting, None, None, 0.0, None, 0.0, d, 0, G.name)
    points, algebra = orbit_points(G, x0), LieAlgebra(G.gradient_fields)
    fibres: list[_Fibre] = []
    for x in G.flatten(points)[::-1]:
        fibres.insert(0, _fibre_at(G, algebra, x))
        if not fibres[0].change <= INTRINSIC_TOL:
            break
    points = points[-len(fibres) :]
    vertical = _worst(f"brackets in ker dG of {G.name}", [fibre.pushed for fibre in fibres], VERTICAL_TOL, points)
    changes = [fibre.change for fibre in fibres]
    intrinsic = _worst(f"cometric of {G.name} constant along fibres", changes, INTRINSIC_TOL, points)
    sizes = fibres[0].leaf_dim, fibres[0].dim
    if vertical:
        return Classification(MODULO_FIBRES, commuting, vertical, None, 0.0, None, 0.0, *sizes, G.name)
    if intrinsic:
        codazzi = max(_codazzi_defect(G, x) for x in G.flatten(points))
        return Classification(INTRINSIC, commuting, vertical, intrinsic, codazzi, None, 0.0, *sizes, G.name)
    lifts, gap = _two_lifts(G, x0)
    return Classification(NOT_INTRINSIC, commuting, vertical, intrinsic, np.nan, lifts, gap, *sizes, G.name)


def commutes_modulo_fibres(G: Parametrization, x0: Array) -> bool:
    """Whether all iterated brackets are vertical at x0 and generic points of its orbit; short ones are asked first."""
    points = orbit_points(G, x0)
    if not vertical_check(G.kernel, G.flatten(points), G.name, G.point_shape):
        return False
    return bool(LieAlgebra(G.gradient_fields).check_necessary_condition(G, points))


def orbit_points(G: Parametrization, x0: Array) -> Array:
    """x0 and generic points of its orbit, by three flows in a row as exact as they get; shape=[1 + POINTS, D]."""
    rng = np.random.default_rng(1)
    forces = unit_forces(G, x0, rng.standard_normal((3, POINTS, G.codomain_dim)))

    def reached(size: float) -> Array:
        return of_like_fields(G, x0, push_by(G, x0, size * forces, rtol=1e-13, atol=1e-15), forces[-1])

    return np.concatenate([x0[None], shrunk_until(reached, 0.2 * length_of(x0))[0]])


def _fibre_at(G: Parametrization, algebra: LieAlgebra, x: Array) -> _Fibre:
    """That of the leaf at a flat point."""
    units, rank, tested = algebra.span(x)
    kernel, d = G.kernel, G.codomain_dim
    e = np.asarray(kernel.jacobian(x[None])[0], dtype=float) * units
    pushed, rows = largest_pushed(e, tested)[0], e @ rank.basis.T
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    tangent = np.linalg.svd(rows)[2][d:] @ rank.basis * units
    if len(tangent) == 0:
        return _Fibre(rank.value, 0, pushed, 0.0)
    gradients = np.abs(kernel.gradients(x[None])[0])
    change = np.abs(kernel.derivative_of_cometric(x[None], tangent[None])[0])
    terms = np.einsum("kaD,bD->kab", np.abs(kernel.derivative_of_gradients(x[None], tangent[None])[0]), gradients)
    size = np.sqrt(np.einsum("ii->i", kernel.cometric(x[None])[0]))
    floor = ROUNDED * size[:, None] * size
    defect = float((change / (terms + np.swapaxes(terms, 1, 2) + floor)).max())
    return _Fibre(rank.value, len(tangent), pushed, defect)


def _worst(name: str, defects: list[float], tol: float, points: Array) -> Check:
    n = int(np.argmax(defects))
    return Check(name, defects[n], 1.0, tol, points[n], n_points=len(points), error=NotIntrinsicError)


def _codazzi_defect(G: Parametrization, x: Array) -> float:
    """d_k g_ij - d_i g_kj beside its terms, of g = C^{-1} along horizontal lifts of d/dw_k, outputs at unit length."""
    rows, C = G.kernel.gradients_and_cometric(x[None])
    s = np.sqrt(np.einsum("ii->i", C[0]))
    H = np.linalg.inv(C[0] / (s[:, None] * s))
    lifts = (H @ (rows[0] / s[:, None]))[None]
    dC = G.kernel.derivative_of_cometric(x[None], lifts)[0] / (s[:, None] * s)
    dg = -np.einsum("ij,kjl,lm->kim", H, dC, H)
    size = float(np.abs(dg).max())
    return float(np.abs(dg - np.swapaxes(dg, 0, 1)).max()) / size if size > 0 else 0.0


def _two_lifts(G: Parametrization, x0: Array) -> tuple[Array | None, float]:
    """Two points of the leaf over G(x0) with different C: x0, and where loops in w lead from it; how different."""
    rng, w0, d = np.random.default_rng(2), G(x0), G.codomain_dim
    s = np.sqrt(np.einsum("ii->i", C0 := G.cometric(x0)))
    best: tuple[Array | None, float] = None, 0.0
    x = x0
    for _ in range(LOOPS):
        a, b = (s * v / np.linalg.norm(v) * LOOP * length_of(x0) for v in rng.standard_normal((2, d)))

        def around(size: float, x: Array = x, a: Array = a, b: Array = b) -> Array:
            return lift_curve(G, x, parallelogram(G(x), size * a, size * b)).x[-1]

        try:
            x = shrunk_until(around, 1.0, factor=0.25, tries=6)[0]
        except (DomainError, ConvergenceError):
            continue
        gap = float((np.abs(G.cometric(x) - C0) / (s[:, None] * s)).max())
        if gap > max(best[1], SEEN) and np.abs(G(x) - w0).max() <= 1e-8 * (np.abs(w0).max() + length_of(x0) * s.max()):
            best = np.stack([x0, x]), gap
    return best
