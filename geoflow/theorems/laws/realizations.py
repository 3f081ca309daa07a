"""Laws of the converse theorem: embeddings, their inverses, and the brackets they give."""

from __future__ import annotations

import numpy as np

from geoflow._typing import ArrayLike
from geoflow.realization.codazzi import codazzi_brackets, metric_jet
from geoflow.realization.realized import Realization
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.law import Defect, compare, law, size_of


@law("realization", 1e-6, cases.realization, lambda: cases.false_realization(1.01, 1.01, 1.01))
def embedding_is_isometric(F: Realization, w: ArrayLike) -> Defect:
    """dF^T dF = H, in the relative norm || L^{-1} dF^T dF L^{-T} - I ||_2."""
    return size_of(F.metric_error(w)), 1.0


@law("realization", 1e-6, cases.realization, lambda: cases.false_realization(1.0, 1.01, 1.01))
def embedding_jacobian_is_derivative(F: Realization, w: ArrayLike, h: float = 1e-4) -> Defect:
    """dF is the derivative of F, by fourth-order differences of step h."""
    w = np.asarray(w, dtype=float)
    columns = []
    for e in h * np.eye(F.dim):
        outer, inner = F.embedding(w + 2 * e) - F.embedding(w - 2 * e), F.embedding(w + e) - F.embedding(w - e)
        columns.append((8 * inner - outer) / (12 * h))
    return compare(F.jacobian(w), np.stack(columns, axis=-1))


@law("realization", 1e-9, cases.realization, cases.false_inverse)
def nearest_point_inverts(F: Realization, w: ArrayLike, offset: float = 0.0) -> Defect:
    """G(F(w) + normal vector) = w for normal vectors of length `offset` times the reach."""
    w = np.asarray(w, dtype=float)
    x, J = F.embedding(w), F.jacobian(w)
    Q = np.linalg.qr(J)[0]
    normal = np.ones(x.shape) - np.einsum("nDi,nEi->nD", Q, Q * np.ones((F.ambient_dim, 1)))
    length = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-300)
    return compare(F.parametrization(x + offset * min(F.certificate.reach, 1.0) * normal / length), w)


@law(
    "realized metric",
    1e-5,
    lambda: (cases.realized_metric()[0], cases.bent, cases.realized_metric()[1]),
    lambda: (cases.realized_metric()[0], cases.stretched, cases.realized_metric()[1]),
)
def bracket_is_codazzi_defect(F: Realization, metric_matrix: ArrayLike, w: ArrayLike) -> Defect:
    """[grad G_i, grad G_j] on M is dF of the bracket of g^{-1} e_i and g^{-1} e_j: zero exactly where g is Hessian."""
    w = np.asarray(w, dtype=float)
    inside = codazzi_brackets(*metric_jet(metric_matrix, w))
    predicted = np.einsum("nDa,nija->nijD", F.jacobian(w), inside)
    return size_of(F.parametrization.brackets(F.embedding(w)) - predicted), max(
        size_of(predicted), np.finfo(float).tiny
    )
