"""What is asked of closed forms when a map is built: that they are the derivatives of the map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, Map, Trilinear
from geoflow.errors import ArgumentError, ShapeError
from geoflow.numerics import autodiff

#: relative defects up to which a closed form is the derivative by autograd, or by central differences
TRACED, DIFFERENCES = 1e-6, 1e-4


def probe_closed_forms(
    function: Map, jacobian: Map | None, hessian_product: Trilinear | None, at: tuple[Array, Map], name: str
) -> None:
    """Compare closed forms with the map at flat points of shape=[N, D], by products with random vectors.

    `at` has the points and the projection of vectors there to the space. The derivative that is compared with is
    autograd's where it can differentiate the map, else a central difference. `ArgumentError` with `defect` where a form
    is wrong, `ShapeError` where its value has another shape.
    """
    x, tangent = at
    rng, (N, D) = np.random.default_rng(3), x.shape
    with np.errstate(all="ignore"):
        d = np.shape(function(x))[-1]
        mu, v = rng.standard_normal((N, d)), tangent(rng.standard_normal((N, D)))
        gradient, traced = _pulled_back(function, x, mu)
        if jacobian is not None:
            J = _shaped(jacobian(x), (N, d, D), f"jacobian of {name}", x)
            along, size = np.einsum("niD,nD->ni", J, v), np.einsum("niD,nD->ni", np.abs(J), np.abs(v))
            if traced:
                wanted, tol = np.asarray(autodiff.jvp(function, x, v)[1]), TRACED
            else:
                wanted, tol = _difference(function, x, v), DIFFERENCES
            _require_close(along, wanted, size, f"jacobian of {name}", "shape [..., d, D], the derivative last", tol)
        if hessian_product is not None:
            if traced:
                wanted, tol = np.asarray(autodiff.jvp(gradient, x, v)[1]), TRACED
            elif jacobian is not None:
                closed = jacobian
                wanted, tol = _difference(lambda y: np.einsum("niD,ni->nD", closed(y), mu), x, v), DIFFERENCES
            else:
                raise ArgumentError(
                    f"hessian_product of {name}", got="a map that autograd cannot differentiate, and no jacobian",
                    wanted="both closed forms", remedy="give jacobian= too, x to shape [..., d, D]",
                )  # fmt: skip
            product = tangent(_shaped(hessian_product(x, mu, v), (N, D), f"hessian_product of {name}", x))
            wanted = tangent(wanted)
            size = np.abs(wanted) + 1e-3 * np.abs(wanted).max(axis=-1, keepdims=True)
            form = "(x, u, v) -> sum_i u_i hess G_i.v"
            _require_close(product, wanted, size, f"hessian_product of {name}", form, tol)


def _pulled_back(function: Map, x: Array, mu: Array) -> tuple[Map, bool]:
    """y to sum_i mu_i dG_i(y) by autograd, and whether that and its derivative can be had."""

    def gradient(y: Array) -> Array:
        return autodiff.value_and_vjp(function, y)[1](mu)

    try:
        autodiff.jvp(gradient, x, np.ones_like(x))
    except Exception:
        return gradient, False
    return gradient, True


def _difference(f: Callable[[Array], Array], x: Array, v: Array) -> Array:
    """The central difference of f along v at a step that suits the size of x."""
    h = 1e-5 * (1e-300 + np.abs(x).max(axis=-1, keepdims=True)) / (1e-300 + np.abs(v).max(axis=-1, keepdims=True))
    up, down = (np.asarray(f(x + s * h * v), dtype=float) for s in (1, -1))
    return (up - down) / (2 * h)


def _shaped(value: Array, shape: tuple[int, ...], what: str, x: Array) -> Array:
    value = np.asarray(value, dtype=float)
    if value.shape != shape:
        raise ShapeError(what, f"shape {value.shape} at flat points of shape {x.shape}", f"shape {shape}")
    return value


def _require_close(a: Array, b: Array, size: Array, what: str, wanted: str, tol: float) -> None:
    both = np.isfinite(a) & np.isfinite(b)
    scale = np.where(both, size, 0.0) + 1e-12 * np.abs(np.where(both, size, 0.0)).max() + 1e-300
    defect = float((np.abs(np.where(both, a - b, 0.0)) / scale).max())
    if not defect <= tol:
        raise ArgumentError(
            what, got=f"values that differ from the derivative of the map by {defect:.1e} relative",
            wanted=f"its derivative in closed form, {wanted}",
            remedy="correct the closed form, or leave it out where autograd can differentiate the map", defect=defect,
        )  # fmt: skip
