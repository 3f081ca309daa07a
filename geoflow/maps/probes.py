"""What is asked of a map when it is built: its derivatives, its closed forms, the metric of its manifold."""

from __future__ import annotations

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._typing import Array, Bilinear, Index, Map, Trilinear
from geoflow.errors import ArgumentError, ShapeError
from geoflow.maps.kernel import MapKernel
from geoflow.numerics import autodiff
from geoflow.numerics.differences import WIDEST, Slopes, slopes
from geoflow.numerics.probes import OPT_OUT, Points, probe_automatic, probe_closed

#: entries of given Jacobians beyond which they are compared at one point
LARGE = 2**22


def probe_metric(kernel: MapKernel, space: Manifold, x: Array, h: float = 1e-5) -> None:
    """Brackets differentiate the metric: compare with central differences along M, which tell a wrong rule."""
    try:
        rows = kernel.gradients(x)
        v = rows[:, 0] / (1e-300 + np.linalg.norm(rows[:, 0], axis=-1, keepdims=True))
        traced = kernel.derivative_of_gradients(x, v[:, None])[:, 0]
        unit = np.linalg.norm(x, axis=-1)[:, None]
        unit = np.where(unit > 0, unit, 1.0)  # steps are taken, and derivatives are, in units of x
        ends = kernel.gradients(x + h * unit * v), kernel.gradients(x - h * unit * v)
        traced, differences = traced * unit[..., None], (ends[0] - ends[1]) / (2 * h)
        size = np.abs(traced).max(axis=(1, 2)) + np.abs(rows).max(axis=(1, 2)) + 1e-300
        # a wrong rule is wrong everywhere, differences are coarse only where the metric varies fast
        gap = float((np.abs(traced - differences).max(axis=(1, 2)) / size).min())
        got = f"gradients whose derivative by autograd is off by {gap:.1e} from finite differences"
    except Exception as error:
        gap, got = np.inf, f"{type(error).__name__} where gradients are differentiated: {error}"
    if not gap <= 1e-4:
        metric = type(getattr(space, "metric", None)).__name__.replace("NoneType", "inherited metric")
        raise ArgumentError(
            f"{metric} of {type(space).__name__}",
            got=got,
            wanted="`to_tangent` and `inner_product` of batches of points, with correct derivatives in autograd",
            remedy="check the derivative rules of the operations they use (eigenvalues, square roots of matrices)",
            defect=float(gap),
        )


def probe_map(
    function: Map, forms: tuple[Map | None, Trilinear | None], at: Points, d: int, name: str
) -> tuple[int, ...]:
    """Compare the derivatives of a map of flat points, automatic and in closed form, with differences of its values.

    `forms` are jacobian= and hessian_product=, None where they are not given. Returns the numbers of the inputs that
    the map ignores. Raises `ArgumentError`: closed forms with their `defect`, constant outputs with their `outputs`.
    """
    jacobian, product = forms
    if jacobian is None or product is None:
        missing = [f"{form}=" for form, given in (("jacobian", jacobian), ("hessian_product", product)) if not given]
        along, pulled = probe_automatic(function, at, name, 2 if product is None else 1, " and ".join(missing))
    if jacobian is not None or product is not None:
        few = at if len(at.x) * d * at.x.shape[1] <= LARGE else Points(at.x[:1], at.centre, 1)
        along, pulled = _probe_forms(function, jacobian, product, few, d, name)
    constant = np.flatnonzero((along == 0).all(axis=0))
    if len(constant):
        every = len(constant) == d
        told = "it is constant" if every else f"constant outputs {_listed(constant)} of {d}"
        raise ArgumentError(
            f"{name} has outputs that do not depend on x", got=f"{told}: a zero derivative at {len(along)} points",
            wanted="outputs whose gradients can be independent",
            remedy=f"drop them, or compute them from x by operations of autograd.numpy; {OPT_OUT}",
            outputs=tuple(int(i) for i in constant), elsewhere=True,
        )  # fmt: skip
    return tuple(int(j) for j in np.flatnonzero((pulled == 0).all(axis=0)))


def probe_compiled(kernel: MapKernel, at: Points, name: str) -> None:
    """Compare the derivatives that jax gives a map of flat points, forward, in reverse and twice, with differences."""
    N, x, v = len(at.x), at.x, at.directions()
    mu = np.random.default_rng(6).standard_normal((N, kernel.codomain_dim))

    def of_all(function: Bilinear) -> Map:
        return lambda y: function(y, np.tile(mu, (len(y) // N, 1)))

    try:
        with np.errstate(all="ignore"):
            along, what = kernel.pushforward(x, v), f"derivative of {name} by jax"
            probe_closed(along, lambda width: slopes(kernel.value, x, v, width), what, "the map", at, np.abs(along))
            if kernel.flat:
                pulled, bent = kernel.pullback(x, mu) * v, kernel.derivative_of_pullback(x, mu, v)
                weighted, pull = of_all(lambda y, u: (kernel.value(y) * u).sum(1)), of_all(kernel.pullback)
                scale = np.abs(pulled).sum(1)
                probe_closed(pulled.sum(1), lambda w: slopes(weighted, x, v, w), what, "the map", at, scale)
                what, scale = f"second {what}", np.abs(bent).max(axis=1, keepdims=True)
                probe_closed(bent, lambda width: slopes(pull, x, v, width), what, "the first", at, scale)
    except ArgumentError as error:
        raise ArgumentError(
            error.what, error.got, "rules of differentiation that are right, whatever is called",
            f"correct the map's custom_jvp, custom_vjp or stop_gradient; {OPT_OUT}", **error.evidence,
        ) from None  # fmt: skip


def _listed(numbers: Index) -> str:
    return ", ".join(str(int(i)) for i in numbers[:5]) + (", ..." if len(numbers) > 5 else "")


def _probe_forms(
    function: Map, jacobian: Map | None, product: Trilinear | None, at: Points, d: int, name: str
) -> tuple[Array, Array]:
    """Closed forms against differences: of the map, or of its pullback."""
    (N, D), x, v = at.x.shape, at.x, at.directions()
    mu = np.random.default_rng(6).standard_normal((N, d))
    along, pulled = np.ones((N, d)), np.ones((N, D))
    with np.errstate(all="ignore"):
        if jacobian is not None:
            J = _shaped(jacobian(x), (N, d, D), f"jacobian of {name}", x)
            along, pulled = np.einsum("niD,nD->ni", J, v), np.einsum("niD,ni->nD", J, mu)
            scale = np.einsum("niD,nD->ni", np.abs(np.nan_to_num(J, posinf=0, neginf=0)), np.abs(v))
            what = f"jacobian of {name}: jacobian="
            probe_closed(along, lambda width: slopes(function, x, v, width), what, "the map", at, scale)
        if product is not None:
            given = _shaped(product(x, mu, v), (N, D), f"hessian_product of {name}", x)
            given = given if at.tangent is None else np.asarray(at.tangent(given), dtype=float)

            def bent(width: float) -> Slopes:
                return _of_pullback(function, jacobian, mu, at, width)

            scale = np.nan_to_num(np.abs(given), posinf=0).max(axis=1, keepdims=True)
            scale = scale + 1e-3 * np.nan_to_num(np.abs(bent(WIDEST).value)).max(axis=1, keepdims=True)
            what = f"hessian_product of {name}: hessian_product="
            probe_closed(given, bent, what, "the map", at, scale)
    return along, pulled


def _of_pullback(function: Map, jacobian: Map | None, mu: Array, at: Points, width: float) -> Slopes:
    """The derivative of sum_i mu_i dG_i along the directions, by differences of the closed form or of autograd's."""

    def pull(y: Array) -> Array:
        rows = np.tile(mu, (len(y) // len(mu), 1))
        if jacobian is not None:
            p = np.einsum("niD,ni->nD", np.asarray(jacobian(y), dtype=float), rows)
        else:
            p = autodiff.value_and_vjp(function, y)[1](rows)
        if at.tangent is None:
            return p
        many = len(y) // len(mu)  # projected where the derivative is asked for
        return np.concatenate([at.tangent(p[k * len(mu) : (k + 1) * len(mu)]) for k in range(many)])

    return slopes(pull, at.x, at.directions(), width)


def _shaped(value: Array, shape: tuple[int, ...], what: str, x: Array) -> Array:
    value = np.asarray(value, dtype=float)
    if value.shape != shape:
        raise ShapeError(what, f"shape {value.shape} at flat points of shape {x.shape}", f"shape {shape}")
    return value
