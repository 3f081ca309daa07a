"""w_i = g(x_i): a scalar map on every coordinate; the Hessian metric is 1 / g'(x)^2.

R is the sum over the coordinates of a profile whose derivative is the mirror coordinate, tilted at w0 = G(x0).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.catalog import functions  # noqa: F401  registers the potentials
from geoflow.catalog.registry import Case, Entry, around, parametrizations, potentials
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import KNOWN, PROFILES, Profile
from geoflow.potentials.structure import Separable

Scalar = Callable[[Array], Array]
Legendre = Callable[[Array], LegendreFunction]


def power_legendre(degree: int) -> Legendre:
    """R of x^L, L >= 3: m(w) = -w^{-a} / (L (L - 2)), a = (L - 2) / L; conjugate on m < 0."""
    a, c = (degree - 2) / degree, degree * (degree - 2)
    r = KNOWN(
        lambda w: -(w ** (1 - a)) / (c * (1 - a)), (0.0, np.inf),
        (lambda w: -(w**-a) / c, lambda w: a / c * w ** (-a - 1), lambda w: -a * (a + 1) / c * w ** (-a - 2)),
    )  # fmt: skip
    dual = KNOWN(
        lambda m: (-c * m) ** (-2 / (degree - 2)) / (2 * degree), (-np.inf, 0.0),
        (lambda m: (-c * m) ** (-1 / a), lambda m: c / a * (-c * m) ** (-1 / a - 1)),
    )  # fmt: skip
    return _tilted(r.dual_to(dual))


def _tilted(r: Profile) -> Legendre:
    """w0 to the sum of r over the coordinates, tilted there."""
    return lambda w0: LegendreFunction.composed(Separable(r, len(w0), "R")).tilt(w0)


def _log_secant(m: Array) -> Array:
    """-log cos m, to all digits at 0 and at the ends."""
    middle = anp.abs(m) < 1
    inner, outer = anp.where(middle, m, 0.0), anp.where(middle, 1.0, m)
    return anp.where(middle, -anp.log1p(-(anp.sin(inner) ** 2)) / 2, -anp.log(anp.cos(outer)))


TANH = KNOWN(
    lambda w: w * anp.arctanh(w) / 2, (-1.0, 1.0),
    (lambda w: (w / ((1 - w) * (1 + w)) + anp.arctanh(w)) / 2, lambda w: ((1 - w) * (1 + w)) ** -2.0,
     lambda w: 4 * w * ((1 - w) * (1 + w)) ** -3.0),
)  # fmt: skip
SINH = KNOWN(
    lambda w: w * anp.arctan(w) - anp.log1p(w**2) / 2, (-np.inf, np.inf),
    (anp.arctan, lambda w: 1 / (1 + w**2), lambda w: -2 * w / (1 + w**2) ** 2),
).dual_to(
    KNOWN(_log_secant, (-np.pi / 2, np.pi / 2), (anp.tan, lambda m: 1 / anp.cos(m) ** 2))
)  # fmt: skip
LOGARITHM = KNOWN(
    lambda w: anp.exp(2 * w) / 4, (-np.inf, np.inf),
    (lambda w: anp.exp(2 * w) / 2, lambda w: anp.exp(2 * w), lambda w: 2 * anp.exp(2 * w)),
).dual_to(
    KNOWN(
        lambda m: (m * anp.log(2 * m) - m) / 2, (0.0, np.inf), (lambda m: anp.log(2 * m) / 2, lambda m: 1 / (2 * m))
    )
)  # fmt: skip


def _build(name: str, g: Scalar, slope: Scalar, legendre: Legendre, span: tuple[float, float, float], d: int) -> Case:
    """g on every coordinate, from points spread over an interval, with a bound on mu."""
    low, high, mu_bound = span
    x0 = np.linspace(low, high, d) if d > 1 else np.array([(low + high) / 2])
    G = Parametrization(g, d, d, jacobian=lambda x: slope(x)[..., None] * np.eye(d), name=name)
    return Case(G, x0, legendre(g(x0)), around(x0, 0.3), mu_bound=mu_bound)


_SQUARE: Legendre = lambda w0: (0.25 * potentials["negative_entropy"](len(w0))).tilt(w0)  # noqa: E731
_SINE: Legendre = lambda w0: potentials["fermi_dirac"](len(w0)).compose_affine(0.5, 0.5).tilt(w0)  # noqa: E731

_table: list[tuple[str, str, str, Scalar, Scalar, Legendre, tuple[float, float, float]]] = [
    ("identity", "x", "R", lambda x: 1.0 * x, anp.ones_like, _tilted(PROFILES["quadratic"]), (-0.5, 1.0, 0.5)),
    ("square", "x^2", "w > 0", lambda x: x**2, lambda x: 2 * x, _SQUARE, (0.6, 1.2, 0.5)),
    ("cube", "x^3", "w > 0", lambda x: x**3, lambda x: 3 * x**2, power_legendre(3), (0.6, 1.0, 0.2)),
    ("fourth_power", "x^4", "w > 0", lambda x: x**4, lambda x: 4 * x**3, power_legendre(4), (0.6, 1.0, 0.08)),
    ("exponential", "e^x", "w > 0", anp.exp, anp.exp, _tilted(PROFILES["log_barrier"]), (-0.5, 0.3, 0.4)),
    ("sine", "sin x", "|w| < 1", anp.sin, anp.cos, _SINE, (-0.4, 0.6, 0.5)),
    ("tanh", "tanh x", "|w| < 1", anp.tanh, lambda x: 1 / anp.cosh(x) ** 2, _tilted(TANH), (-0.4, 0.6, 0.5)),
    ("sinh", "sinh x", "R", anp.sinh, anp.cosh, _tilted(SINH), (-0.4, 0.6, 0.5)),
    ("logarithm", "log x", "R", anp.log, lambda x: 1 / x, _tilted(LOGARITHM), (0.9, 1.5, 0.3)),
]
for _name, _formula, _domain, *_rest in _table:
    _known = "R, grad R, hess R" + ("" if _name == "tanh" else ", Q")
    parametrizations.add(
        Entry(_name, "coordinatewise", _formula, _domain, _known, partial(_build, _name, *_rest))  # type: ignore[arg-type]
    )
