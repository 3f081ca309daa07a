"""The structure of a potential, read off its record: ridges, quadratic forms and soft maxima that add up to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, Map
from geoflow._validate import require_type
from geoflow.maps.parametrization import Parametrization
from geoflow.numerics.records import quiet, record
from geoflow.potentials.categorical import SoftMaximum
from geoflow.potentials.curves import Nodes
from geoflow.potentials.decoupled import FoundCoordinates, find_coordinates
from geoflow.potentials.kernel import ClosedFormula, LegendreKernel
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import PROFILES, Profile
from geoflow.potentials.reading import Reader
from geoflow.potentials.structure import Ridges, Scaled, Structure, Sum, Tilted
from geoflow.potentials.terms import Quadratic, Ridge, SoftMax, Terms, Value
from geoflow.spaces.domains import Box, ConvexDomain

#: largest relative defect of values and Hessians of what is found
AGREE = 1e-10
#: entries of the Hessians that are compared
ENTRIES = 2**20
#: sizes of steps from the interior point at which a profile is asked for values
STEPS = np.geomspace(1e-9, 1e9, 55)


@dataclass(frozen=True, eq=False, repr=False)
class FoundStructure(Portable):
    """What `find_structure` read off a potential; true where all of it was read and agrees.

    Attributes
    ----------
    name : str
        "ridge sum", "quadratic form", "soft maximum", or several of them joined by " + "; "black box" where none.
    parts : tuple of str
        The parts in words.
    potential : LegendreFunction, or None
        R as the sum of its parts, with its structure; None where R stays a black box.
    checked : dict
        Largest relative differences from R at fresh points: "value", "hessian", and the number of "points".
    stopped_at : str
        The first step that was not read, or why what was read was not believed; empty where `potential` is there.
    """

    name: str
    parts: tuple[str, ...] = ()
    potential: LegendreFunction | None = None
    checked: dict[str, float] = field(default_factory=dict)
    stopped_at: str = ""

    def __bool__(self) -> bool:
        return self.potential is not None

    def __str__(self) -> str:
        if self.potential is None:
            return f"black box: {self.stopped_at}"
        figures = ", ".join(f"{k} {v:.1e}" for k, v in self.checked.items() if k != "points")
        return f"{'; '.join(self.parts)} ({figures})" if figures else "; ".join(self.parts)


#: what a profile lacks of the function it stands for, as a multiple of s: s log s is the entropy s log s - s, plus s
SLOPES = {"entropy": 1.0}


class UnfitError(Exception):
    """What was read makes no sum of convex parts."""


@overload
def find_structure(R: LegendreFunction) -> FoundStructure: ...


@overload
def find_structure(R: Parametrization) -> FoundCoordinates: ...


def find_structure(R: LegendreFunction | Parametrization) -> FoundStructure | FoundCoordinates:
    """Read how R is built off the calls that its potential makes: exact embeddings in any dimension.

    R(w) = sum_k r_k(<a_k, w> + b_k) + <w, A w> / 2 + sum_l c_l log sum_k exp(<a_lk, w> + b_lk), plus what is affine;
    r_k convex, A positive semidefinite, c_l > 0. The reading is algebra of the recorded calls, never a fit; values
    and Hessians are compared with those of R at fresh points afterwards. What is not read stays a black box.

    Of a parametrization on R^D, an orthonormal basis in which its coordinates decouple is read off: G(x) =
    sum_k c_k h(<a_k, x> + b_k) with orthogonal a_k, or quadratic forms with commuting matrices.

    Parameters
    ----------
    R : LegendreFunction or Parametrization
        In autograd.numpy. A structure that R has been given is returned as it is.

    Returns
    -------
    FoundStructure, or FoundCoordinates of a parametrization

    Raises
    ------
    ArgumentError
        When R is neither.
    """
    if isinstance(R, Parametrization):
        return find_coordinates(R)
    require_type(
        R,
        LegendreFunction,
        "R",
        "or a map: gf.LegendreFunction(potential, domain), gf.Parametrization(f, space, codomain_dim)",
    )
    if R.structure is not None:
        return FoundStructure(R.name, (f"declared: {type(R.structure).__name__}",), R)
    if not isinstance(R.formula, ClosedFormula):
        return FoundStructure("black box", stopped_at="R is computed, not written as a formula")
    w = _points(R.domain, R.dim)
    recorded, note = record(R.potential, w[0], w)
    if recorded is None:
        return FoundStructure("black box", stopped_at=note)
    with quiet():
        reader = Reader(recorded)
        value = reader.result
        if value is None or value.shape != ():
            return FoundStructure("black box", stopped_at=reader.stopped_at or "its value is no number")
        try:
            parts, structure = _Assembly(reader.terms, value, R.domain, w).whole()
        except UnfitError as error:
            return FoundStructure("black box", stopped_at=str(error))
        return _checked(R, parts, structure, w)


def _points(domain: ConvexDomain, dim: int) -> Array:
    """Fresh points of a domain at three sizes, shape=[N, d]; none at the interior point, which may be special."""
    n = int(np.clip(ENTRIES // dim**2, 2, 40))
    draws = [
        np.reshape(domain.random_point(n, bound=size, rng=17 + k), (n, dim)) for k, size in enumerate((1.0, 0.3, 3.0))
    ]
    centre = domain.interior_point()
    return centre + 0.95 * (np.concatenate(draws) - centre)


def _checked(R: LegendreFunction, parts: list[str], structure: Structure, w: Array) -> FoundStructure:
    """What was read, held against R."""
    structure.name = name = " + ".join(dict.fromkeys(part.partition(" of ")[0] for part in parts))
    found = LegendreFunction.from_kernel(LegendreKernel(structure, R.domain), R.name).set_structure(structure)
    fine = np.isfinite(R.kernel.derivative(0, w))
    w = w[fine]
    if not len(w):
        return FoundStructure("black box", tuple(parts), stopped_at="R is finite at none of the points that were tried")
    f, g = R.kernel.derivative(0, w), found.kernel.derivative(0, w)
    few = w[: max(3, ENTRIES // R.dim**2)]
    H, K = R.kernel.derivative(2, few), found.kernel.derivative(2, few)
    checked = {
        "value": float((np.abs(f - g) / (np.abs(f) + np.abs(f).max())).max()),
        "hessian": float((np.abs(H - K).max((1, 2)) / np.abs(H).max((1, 2))).max()),
        "points": float(len(w)),
    }
    defect = max(checked["value"], checked["hessian"])
    if not defect <= AGREE:
        why = f"read as {name}, which differs from R by {defect:.1e} at {len(w)} fresh points"
        return FoundStructure("black box", tuple(parts), None, checked, why)
    if not np.linalg.eigvalsh(K)[:, 0].min() > 0:
        return FoundStructure("black box", tuple(parts), None, checked, f"read as {name}, which is not strictly convex")
    return FoundStructure(name, tuple(parts), found, checked)


class _Assembly:
    """The value of a potential put together from convex parts."""

    def __init__(self, terms: Terms, value: Value, domain: ConvexDomain, points: Array):
        self.terms, self.value, self.domain, self.points = terms, value, domain, points
        d = self.dim = domain.dim
        self.form, self.soft = np.zeros((d, d)), list[tuple[float, SoftMax]]()
        #: multiples of nodes, direction by direction
        self.ridges: dict[int, dict[int, float]] = {}
        for k, c in value.row(0).items():
            atom = terms.atoms[k]
            if isinstance(atom, Ridge):
                self.ridges.setdefault(atom.direction, {})[atom.node] = c
            elif isinstance(atom, Quadratic):
                self.form = self.form + 2 * c * atom.matrix
            elif isinstance(atom, SoftMax):
                self.soft.append((c, atom))
            else:
                raise UnfitError(
                    f"a term {type(atom).__name__.lower()} is left: a largest entry, a root, or a lone exponential"
                )

    def whole(self) -> tuple[list[str], Structure]:
        """The parts in words, and R as a structure."""
        parts, words = list[Structure](), list[str]()
        squares = self._squares()
        if self.ridges:
            directions = [self.terms.bases[k] for k in self.ridges]
            profiles = self._profiles()
            a, b = np.array([base for base, _ in directions]), np.array([offset for _, offset in directions])
            parts.append(Ridges(a, b, profiles))
            words.append(f"ridge sum of {len(profiles)} with {len(set(map(id, profiles)))} profiles")
        if squares is not None:
            parts.append(squares)
            words.append(f"quadratic form of rank {len(squares.offsets)}")
        for c, soft in self.soft:
            if not c > 0:
                raise UnfitError(f"a soft maximum has the factor {c:.3g}, which is not positive")
            structure: Structure = SoftMaximum(soft.directions, soft.offsets)
            words.append(f"soft maximum of {len(soft.offsets)}")
            parts.append(structure if c == 1 else Scaled(c, self._part(structure)))
        if not parts:
            raise UnfitError("it is affine in w")
        whole = parts[0] if len(parts) == 1 else Sum(*map(self._part, parts))
        slope, offset = self.value.slopes[0], float(self.value.offsets[0])
        return words, Tilted(self._part(whole), slope, offset) if slope.any() or offset else whole

    def _part(self, structure: Structure) -> LegendreFunction:
        """A part as a function on the domain of R, convex and perhaps not strictly."""
        return LegendreFunction.from_kernel(LegendreKernel(structure, self.domain), structure.name).set_structure(
            structure
        )

    def _squares(self) -> Ridges | None:
        """The quadratic form as ridges; squares of the ridges join it where it is indefinite without them."""
        if not self.form.any():
            return None
        least, V = np.linalg.eigh(self.form)
        if least[0] < -1e-14 * np.abs(least).max():
            for direction, row in list(self.ridges.items()):
                a, b = self.terms.bases[direction]
                c = row.pop(Nodes.SQUARE, 0.0)
                self.form = self.form + 2 * c * np.outer(a, a)
                self.value.slopes[0] += 2 * c * b * a
                self.value.offsets[0] += c * b * b
                if not row:
                    del self.ridges[direction]
            least, V = np.linalg.eigh(self.form)
        if least[0] < -1e-14 * np.abs(least).max():
            raise UnfitError(f"its quadratic form has the eigenvalue {least[0]:.3g}")
        kept = least > 1e-15 * np.abs(least).max()
        directions = (V[:, kept] * np.sqrt(least[kept])).T
        return Ridges(
            directions, np.zeros(len(directions)), (PROFILES["quadratic"],) * len(directions), "quadratic form"
        )

    def _profiles(self) -> tuple[Profile, ...]:
        """The profile of every direction; those that are multiples of one share its integral."""
        made, scaled, found = dict[object, Profile](), dict[object, Profile](), list[Profile]()
        centre = self.domain.interior_point()
        for direction, row in self.ridges.items():
            a, b = self.terms.bases[direction]
            nodes = sorted(row)
            factor = abs(row[nodes[0]])
            shape = tuple((k, row[k] / factor) for k in nodes)
            known = shape in self._known
            interval = (0.0, 0.0) if known else self._interval(shape, a, b, float(a @ centre + b))
            key = (shape, interval)
            if key not in made:
                made[key] = self._known.get(shape) or self._read(shape, interval)
            self._take_out_slope(direction, factor * SLOPES.get(made[key].name, 0.0))
            self._require_convex(made[key], a, b)
            found.append(scaled.setdefault((key, factor), made[key] if factor == 1 else _multiple(factor, made[key])))
        return tuple(found)

    def _read(self, shape: tuple[tuple[int, float], ...], interval: tuple[float, float]) -> Profile:
        nodes = self.terms.nodes
        return Profile(nodes.curve(nodes.affine(0.0, [(c, k) for k, c in shape])), interval, name="r", check=False)

    @cached_property
    def _known(self) -> dict[tuple[tuple[int, float], ...], Profile]:
        """Profiles with closed forms, by their nodes."""
        nodes, s = self.terms.nodes, Nodes.VARIABLE
        log = nodes.call(anp.log, (None,), ((0, s),), {})
        entropies = [
            nodes.call(anp.multiply, (None, None), ((0, one), (1, other)), {}) for one, other in ((s, log), (log, s))
        ]
        exp, cosh = (nodes.call(f, (None,), ((0, s),), {}) for f in (anp.exp, anp.cosh))
        softplus = nodes.call(anp.log1p, (None,), ((0, exp),), {})
        return {
            ((Nodes.SQUARE, 1.0),): SQUARE,
            ((log, -1.0),): PROFILES["log_barrier"],
            **{((k, 1.0),): PROFILES["entropy"] for k in entropies},
            ((exp, 1.0),): PROFILES["exp"],
            ((cosh, 1.0),): PROFILES["cosh"],
            ((softplus, 1.0),): PROFILES["softplus"],
        }

    def _take_out_slope(self, direction: int, slope: float) -> None:
        """Add slope s at the base s of a direction to what is affine."""
        a, b = self.terms.bases[direction]
        self.value.slopes[0] += slope * a
        self.value.offsets[0] += slope * b

    def _interval(self, shape: tuple[tuple[int, float], ...], a: Array, b: float, s: float) -> tuple[float, float]:
        """Where <a, w> + b may be: the interval about its value s inside the domain on which the profile is finite."""
        low, high = _range(self.domain, a, b)
        key = self.terms.nodes.affine(0.0, [(c, k) for k, c in shape])
        curve = self.terms.nodes.curve(key)
        ends = []
        for sign, end in ((-1, low), (1, high)):
            steps = STEPS * (1 + abs(s))
            tried = np.concatenate([[s], s + sign * steps[steps < abs(end - s)]])
            values = np.asarray(curve(tried), dtype=float)
            overflown = np.logical_and.accumulate(np.isinf(values)[::-1])[::-1]  # all the way out: no boundary
            fine = np.isfinite(values) | overflown
            k = int(np.argmin(fine))
            ends.append(end if fine.all() else _edge(curve, tried[max(k - 1, 0)], tried[k]))
        return ends[0], ends[1]

    def _require_convex(self, profile: Profile, a: Array, b: float) -> None:
        s = self.points @ a + b
        bend = np.asarray(profile.derivative(2, s), dtype=float)
        low = float(np.nanmin(bend))
        if low < -1e-12 * np.nanmax(np.abs(bend)):
            raise UnfitError(f"the profile of the ridge along {np.round(a[:4], 3)} is not convex: r'' = {low:.3g}")


def _edge(curve: Map, good: float, bad: float) -> float:
    """Where a function stops being finite, by bisection; the round number next to it where there is one."""
    for _ in range(200):
        middle = (good + bad) / 2
        if np.isfinite(np.asarray(curve(np.array([middle])), dtype=float)).all():
            good = middle
        else:
            bad = middle
    nearest = float(np.round(bad, 9))
    return nearest if abs(nearest - bad) < 1e-12 else bad


def _range(domain: ConvexDomain, a: Array, b: float) -> tuple[float, float]:
    """Bounds of <a, w> + b over a domain, by its half-spaces that are parallel; infinite where there are none."""
    if isinstance(domain, Box):
        used = a != 0
        ends = np.sort(np.stack([a[used] * domain.lower[used], a[used] * domain.upper[used]]), axis=0).sum(axis=1) + b
        return float(ends[0]), float(ends[1])
    low, high = -np.inf, np.inf
    for normal, bound in zip(getattr(domain, "A", ()), getattr(domain, "b", ()), strict=True):
        c = float(normal @ a / (a @ a))
        if c and np.abs(normal - c * a).max() <= 1e-14 * np.abs(normal).max():
            end = float(bound / c + b)
            low, high = (low, min(high, end)) if c > 0 else (max(low, end), high)
    return low, high


def _multiple(factor: float, profile: Profile) -> Profile:
    """c r, which shares the integral of r."""
    levels = [lambda s, k=k: factor * profile.derivative(k, s) for k in range(4)]
    found = Profile(
        levels[0], profile.domain, tuple(levels[1:]), lambda s: np.sqrt(factor) * profile.root_integral(s),
        f"{factor:.3g} {profile.name}", check=False,
    )  # fmt: skip
    found.curvature_is_given, found.integral_is_given = profile.curvature_is_given, profile.integral_is_given
    found.own_forms = profile.own_forms
    return found


#: s^2
SQUARE = _multiple(2.0, PROFILES["quadratic"])
