"""Maps that are functions of single coordinates in some orthonormal basis, mixed linearly: read off their record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index
from geoflow.errors import GeoflowError, UserCodeError
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow
from geoflow.numerics.records import quiet, record
from geoflow.potentials.curves import Nodes
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import KNOWN, PROFILES, Profile
from geoflow.potentials.reading import LARGEST, Reader
from geoflow.potentials.structure import Separable
from geoflow.potentials.terms import Quadratic, Ridge, Value
from geoflow.spaces.domains import WholeSpace

#: relative differences: of what is read from G, of axes from orthogonal ones, of mu from that of the joint flow
AGREE, ORTHOGONAL, CLOSED = 1e-11, 1e-13, 1e-8
_R = (-np.inf, np.inf)
_SINH = KNOWN(
    lambda v: v * anp.arctan(v) - anp.log1p(v**2) / 2, _R,
    (anp.arctan, lambda v: 1 / (1 + v**2), lambda v: -2 * v / (1 + v**2) ** 2), name="arctangent",
)  # fmt: skip


def _separable(profile: Profile, d: int) -> LegendreFunction:
    return LegendreFunction.composed(Separable(profile, d, profile.name))


#: h to R of v_i = h(y_i), where hess R = 1 / h'^2 as a function of v
KINDS: dict[str, tuple[Any, Callable[[int], LegendreFunction]]] = {
    "exp": (anp.exp, lambda d: _separable(PROFILES["log_barrier"], d)),
    "sin": (anp.sin, lambda d: _separable(PROFILES["fermi_dirac"], d).compose_affine(0.5, 0.5)),
    "log": (anp.log, lambda d: (0.25 * _separable(PROFILES["exp"], d)).compose_affine(2.0)),
    "sinh": (anp.sinh, lambda d: _separable(_SINH, d)),
}


class CoupledError(Exception):
    """What was read does not decouple."""


@dataclass(frozen=True, eq=False, repr=False)
class FoundCoordinates(Portable):
    """What `find_structure` read off a map: G(x) = sum_k lines_k h(rates_k <axes_k, x> + shifts_k) + offset.

    Attributes
    ----------
    parametrization : Parametrization
    name : str
        "coordinatewise", "orthogonal mixing of coordinates" or "simultaneously diagonal quadratics"; "black box" where
        there is none.
    kind : str
        h: "square", "exp", "sin", "log" or "sinh"; empty for a black box.
    axes, lines : array, shape=[K, D], shape=[d, K]
        Orthonormal axes, and what each adds to G.
    rates, shifts : array, shape=[K]
    offset : array, shape=[d]
    checked : dict
        The largest relative difference from G at fresh points, "value".
    stopped_at : str
        The step that was not read, or why what was read does not decouple.
    """

    parametrization: Parametrization
    name: str = "black box"
    kind: str = ""
    axes: Array = field(default_factory=lambda: np.zeros((0, 0)))
    lines: Array = field(default_factory=lambda: np.zeros((0, 0)))
    rates: Array = field(default_factory=lambda: np.zeros(0))
    shifts: Array = field(default_factory=lambda: np.zeros(0))
    offset: Array = field(default_factory=lambda: np.zeros(0))
    checked: dict[str, float] = field(default_factory=dict)
    stopped_at: str = ""

    def __bool__(self) -> bool:
        return bool(self.kind)

    def __str__(self) -> str:
        if not self:
            return f"black box: {self.stopped_at}"
        return f"{self.name}: {self.kind} along {len(self.axes)} axes (value {self.checked['value']:.1e})"

    def value(self, x: ArrayLike) -> Array:
        """G by what was read, shape=[..., D] to shape=[..., d]."""
        t = np.asarray(x, dtype=float) @ self.axes.T * self.rates + self.shifts
        return np.asarray((np.square if self.kind == "square" else KINDS[self.kind][0])(t) @ self.lines.T + self.offset)

    def closed_form(self, x0: ArrayLike) -> LegendreFunction | None:
        """R of G from x0, shape=[D], as `gf.mirror_map` normalises it: closed, or by a closed Q; None without either.

        Its mirror coordinates are compared with the joint flow of G at four points: None where they differ by more than
        1e-8.
        """
        start = np.asarray(x0, dtype=float)
        try:  # what was read is an offer: where it has no value, or no flow to be compared with, there is none
            found = _potential(self, start) if self else None
            if found is None:
                return None
            mu = np.random.default_rng(31).standard_normal((4, found.dim))
            size = self._smallest_force(start)
            mu *= size / np.linalg.norm(mu, axis=1, keepdims=True)
            w = self.parametrization(joint_flow(self.parametrization, start, mu))
        except UserCodeError:
            raise
        except GeoflowError:
            return None
        with quiet():
            gap = np.abs(found.kernel.derivative(1, w) - mu).max() / size
        return found if gap <= CLOSED else None

    def _smallest_force(self, x0: Array) -> float:
        """|mu| that moves squares by a tenth of themselves at most, and other functions by a tenth of their unit."""
        rate = np.maximum(np.abs(self.rates).max(), 1e-300)
        if self.kind == "square":
            return float(0.1 / np.maximum(np.abs(self.lines).max(), 1e-300) / rate**2)
        steepest = np.linalg.norm(self.parametrization.kernel.jacobian(x0[None])[0], axis=-1).max()
        return float(0.1 / rate / np.maximum(steepest, 1e-300))


def find_coordinates(G: Parametrization) -> FoundCoordinates:
    """Read off a map on R^D in which basis its coordinates decouple."""
    points = np.random.default_rng(19).uniform(0.5, 1.5, (6, G.kernel.dim)) * np.r_[1.0, 1, 1, 0.3, 0.3, 0.3][:, None]
    if not G.kernel.flat:
        return FoundCoordinates(G, stopped_at="M is not Euclidean: its gradients are not those of the record")
    if G.kernel.dim**2 > LARGEST:
        return FoundCoordinates(G, stopped_at=f"a basis of R^{G.kernel.dim} is too large to be read")
    recorded, note = record(G.kernel.value, points[0], points)
    if recorded is None:
        return FoundCoordinates(G, stopped_at=note)
    with quiet():
        reader = Reader(recorded)
        value = reader.result
        if value is None or value.shape != (G.codomain_dim,):
            return FoundCoordinates(G, stopped_at=reader.stopped_at or "its value is no vector")
        try:
            ridges = all(isinstance(reader.terms.atoms[k], Ridge) for k in value.atoms)
            found = (_along_ridges(G, reader, value) if ridges else None) or _quadratics(G, reader, value)
        except CoupledError as error:
            return FoundCoordinates(G, stopped_at=str(error))
        wanted, got = G.kernel.value(points), found.value(points)
    defect = float(np.max(np.abs(got - wanted) / np.abs(wanted).max(axis=1, keepdims=True)))
    found.checked["value"] = defect
    if not defect <= AGREE:
        return FoundCoordinates(
            G, checked={"value": defect}, stopped_at=f"what was read differs from G by {defect:.1e}"
        )
    return found


def _along_ridges(G: Parametrization, reader: Reader, value: Value) -> FoundCoordinates | None:
    """Functions along axes that are orthogonal; None where they are not, or are squares with affine terms."""
    terms, atoms = reader.terms, [reader.terms.atoms[k] for k in value.atoms]
    ridges = [atom for atom in atoms if isinstance(atom, Ridge)]
    directions = [r.direction for r in ridges]
    if not ridges:
        raise CoupledError("it is affine in x")
    nodes = {r.node for r in ridges}
    a = np.array([terms.bases[k][0] for k in directions])
    shifts = np.array([terms.bases[k][1] for k in directions])
    rates = np.linalg.norm(a, axis=1)
    axes = a / rates[:, None]
    crossed = np.abs(axes @ axes.T - np.eye(len(axes))).max() > ORTHOGONAL
    if nodes == {Nodes.SQUARE}:
        if crossed or value.slopes.any():
            return None
        kind = "square"
    else:
        names = {terms.nodes.call(f, (None,), ((0, Nodes.VARIABLE),), {}): name for name, (f, _) in KINDS.items()}
        kind = names.get(next(iter(nodes)), "") if len(nodes) == 1 else ""
        if not kind:
            raise CoupledError("functions of one coordinate each, other than squares, exp, sin, log and sinh")
        if value.slopes.any():
            raise CoupledError(f"affine terms beside {kind}")
    if crossed:
        raise CoupledError("functions along directions that are not orthogonal")
    aligned = np.all(np.count_nonzero(axes, axis=1) == 1)
    name = "coordinatewise" if aligned else "orthogonal mixing of coordinates"
    return FoundCoordinates(G, name, kind, axes, value.weights, rates, shifts, value.offsets)


def _quadratics(G: Parametrization, reader: Reader, value: Value) -> FoundCoordinates:
    """Quadratic forms whose matrices commute, in the basis of their eigenvectors, squares completed."""
    d, D = value.slopes.shape
    if d * D * D > LARGEST:
        raise CoupledError(f"{d} quadratic forms of R^{D} are too many")
    M, slopes, offsets = np.zeros((d, D, D)), value.slopes.copy(), value.offsets.copy()
    for c, k in zip(value.weights.T, value.atoms, strict=True):
        atom = reader.terms.atoms[k]
        if isinstance(atom, Quadratic):
            M += c[:, None, None] * atom.matrix
        elif isinstance(atom, Ridge) and atom.node == Nodes.SQUARE:
            a, b = reader.terms.bases[atom.direction]
            M += c[:, None, None] * np.outer(a, a)
            slopes, offsets = slopes + 2 * b * np.outer(c, a), offsets + c * b * b
        else:
            raise CoupledError("quadratic forms beside other functions")
    sizes = np.abs(M).max(axis=(1, 2), keepdims=True)
    unit = M / np.where(sizes > 0, sizes, 1.0)
    V = np.linalg.eigh(np.tensordot(np.random.default_rng(23).uniform(0.5, 1.5, d), unit, axes=1))[1]
    turned = V.T @ unit @ V
    lines = np.einsum("ikk->ik", turned)
    apart = float(np.abs(turned - lines[:, :, None] * np.eye(D)).max())
    if apart > 1e-12 * D:
        raise CoupledError(f"quadratic forms that are not diagonal in one basis: off it by {apart:.1e}")
    lines, along = lines * sizes[:, :, 0], slopes @ V
    used = np.abs(lines / np.where(sizes[:, :, 0] > 0, sizes[:, :, 0], 1.0)).max(axis=0) > 1e-13
    size = np.abs(slopes).max(initial=0.0)
    squares = np.where(used, np.sum(lines**2, axis=0), 1.0)
    shifts = np.where(used, np.sum(lines * along, axis=0) / (2 * squares), 0.0)
    if np.abs(along - 2 * lines * shifts).max() > 1e-13 * size:
        raise CoupledError("linear terms that no shift of x takes into the quadratic forms")
    offsets = offsets - lines @ shifts**2
    axes, ones = V.T[used], np.ones(int(used.sum()))
    name = "simultaneously diagonal quadratics"
    return FoundCoordinates(G, name, "square", axes, lines[:, used], ones, shifts[used], offsets)


# R ------------------------------------------------------------------------------------------------------------------


def _potential(found: FoundCoordinates, x0: Array) -> LegendreFunction | None:
    """R where lines are a basis of R^d, each met by one axis or, with squares, by some of both signs; else by Q."""
    t = found.axes @ x0 * found.rates + found.shifts
    lines, w0, d = found.lines, found.value(x0), len(found.offset)
    if found.kind == "square":
        # along an axis of rate r, t' = 2 r^2 <mu, line> t
        grown = t != 0
        lines, rates, t = lines[:, grown], found.rates[grown], t[grown]
        B, place, factor = _distinct(lines * rates**2)
        if B.shape[1] == d and np.allclose(np.abs(factor), 1, rtol=1e-13, atol=0) and np.linalg.cond(B) < 1e8:
            weights = t**2 / rates**2
            up, down = (np.bincount(place[s], weights[s], d).astype(float) for s in (factor > 0, factor < 0))
            if np.all(up > 0) and (np.all(down == 0) or np.all(down > 0)):
                v0 = np.linalg.solve(B, w0 - found.offset)
                part = 0.25 * (_separable(PROFILES["entropy"], d) if not down.any() else _hypentropy(up, down))
                return _mixed(part, B, found.offset, w0) if np.isfinite(v0).all() else None
        return _of_exponentials(lines * rates**2, t**2 / rates**2, found.offset, w0)
    equal = np.allclose(found.rates, found.rates[0], rtol=1e-13, atol=0)
    if lines.shape != (d, d) or not equal or np.linalg.cond(lines) >= 1e8:
        return None
    return _mixed(float(found.rates[0] ** -2) * KINDS[found.kind][1](d), lines, found.offset, w0)


def _distinct(lines: Array) -> tuple[Array, Index, Array]:
    """Columns up to a factor: the distinct ones, shape=[d, m], which of them each is, and its factor."""
    lead = lines[np.argmax(np.abs(lines) > 0.999 * np.abs(lines).max(axis=0), axis=0), np.arange(lines.shape[1])]
    keys = np.round(lines / lead, 10).T + 0.0
    _, first, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    place = place.ravel()
    B = lines[:, first]
    return B, place, lead / lead[first][place]


def _mixed(part: LegendreFunction, B: Array, offset: Array, w0: Array) -> LegendreFunction:
    """R(w) = part(B^{-1} (w - offset)), tilted at w0."""
    diagonal = not np.any(B - np.diag(np.diag(B)))
    C = np.diag(1 / np.diag(B)) if diagonal else np.linalg.inv(B)
    return part.compose_affine(C, -C @ offset).tilt(w0)


def _hypentropy(up: Array, down: Array) -> LegendreFunction:
    """v = up e^m - down e^-m = b sinh(m + log(up / down) / 2), b = 2 sqrt(up down).

    r(v) = v arsinh(v / b) - sqrt(v^2 + b^2), up to what is affine.
    """
    b = 2 * np.sqrt(up * down)
    r = KNOWN(
        lambda v: v * anp.arcsinh(v / b) - anp.sqrt(v**2 + b**2), _R,
        (lambda v: anp.arcsinh(v / b), lambda v: 1 / anp.sqrt(v**2 + b**2), lambda v: -v / (v**2 + b**2) ** 1.5),
    )  # fmt: skip
    dual = KNOWN(lambda m: b * anp.cosh(m), _R, (lambda m: b * anp.sinh(m), lambda m: b * anp.cosh(m)))
    return LegendreFunction.composed(Separable(r.dual_to(dual), len(b), "hyperbolic entropy", uniform=False))


def _of_exponentials(lines: Array, weights: Array, offset: Array, w0: Array) -> LegendreFunction:
    """R of Q(mu) = sum_k y_k (exp(4 <l_k, mu>) - 1) / 4 + <offset, mu>.

    Q is moved, since a solution mu = 0, that at w0, has no digits of its own; the tilt at w0 moves it back.
    """
    moved = np.full(len(offset), 0.25 / np.abs(lines).sum(axis=0).max())

    def along(mu: Array) -> Array:
        return 4 * anp.matmul(mu - moved, lines)

    Q = LegendreFunction(
        lambda mu: anp.sum(weights * anp.expm1(along(mu)), axis=-1) / 4 + anp.matmul(mu - moved, offset),
        WholeSpace(len(offset)),
        gradient=lambda mu: anp.matmul(weights * anp.exp(along(mu)), lines.T) + offset,
        hessian=lambda mu: 4 * anp.einsum("...k,ik,jk->...ij", weights * anp.exp(along(mu)), lines, lines),
        name="Q of quadratics",
    )
    return Q.conjugate.tilt(w0)
