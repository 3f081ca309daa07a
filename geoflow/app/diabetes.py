"""The implicit bias of u^2 - v^2 on real data: scikit-learn's diabetes set with quadratic features."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array
from geoflow.catalog.pairs import hyperbolic
from geoflow.errors import GeoflowError
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.losses import LeastSquares
from geoflow.flows.mirror import mirror_flow
from geoflow.flows.rates import check_rate_bound
from geoflow.potentials.projection import bregman_projection
from geoflow.results import Row

INITIALIZATIONS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
DIRECT = (1.0, 1e-1, 1e-2)
FINAL_TIME = 1e8
#: |limit - Bregman projection|, flow in x against the dual flow, both relative, and t (L - L*) / D_R
TOLERANCES = {"limit gap": 1e-8, "direct gap": 1e-6, "rate": 1 + 1e-9}
L1_TOL = 0.01


def load(n_samples: int = 40, seed: int = 0) -> tuple[Array, Array]:
    """Standardised quadratic features Z, shape=[n, 65], and responses y, shape=[n], both divided by sqrt n."""
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    X, y = load_diabetes(return_X_y=True)
    chosen = np.random.default_rng(seed).permutation(len(y))[:n_samples]
    Z = PolynomialFeatures(2, include_bias=False).fit_transform(X[chosen])
    Z, y = (Z - Z.mean(0)) / Z.std(0), (y[chosen] - y[chosen].mean()) / y[chosen].std()
    return Z / np.sqrt(n_samples), y / np.sqrt(n_samples)


def names() -> list[str]:
    """The names of the features: those of the data, their squares and products."""
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    data = load_diabetes()
    features = PolynomialFeatures(2, include_bias=False).fit(data.data[:1])
    return [str(name) for name in features.get_feature_names_out(data.feature_names)]


def basis_pursuit(Z: Array, y: Array) -> float:
    """min |w|_1 subject to Zw = y, by linear programming."""
    from scipy.optimize import linprog

    d = Z.shape[1]
    result = linprog(np.ones(2 * d), A_eq=np.c_[Z, -Z], b_eq=y, bounds=(0, None), method="highs")
    return float(result.fun)


def verify_initialization(alpha: float, Z: Array, y: Array, l1_optimum: float) -> Row:
    """Flow from u0 = v0 = alpha, in n dual coordinates, and what the theory says of its limit and its rate.

    Figures: "limit gap", "loss" (final over initial), "l1 ratio" (over the basis-pursuit optimum), "l1 gap" from 1
    where the initialization is the smallest, "rate", and "direct gap", None where x is too stiff to ask. The limit is
    `results["limit"]`.
    """
    loss, case = LeastSquares(Z, y), hyperbolic(Z.shape[1], alpha, alpha)
    row = Row(f"{alpha:g}", tolerances={**TOLERANCES, "l1 gap": L1_TOL}, details={"alpha": alpha})
    R, w0 = case.legendre, case.parametrization(case.x0)
    assert R is not None
    times = np.r_[0.0, np.geomspace(1e-3, FINAL_TIME, 120)]
    try:
        flow = mirror_flow(loss, R, w0, times, rtol=1e-10, atol=1e-12, coordinates="nu").unwrap()
        target = bregman_projection(R, Z, y, w0)
        row.results.update(limit=flow.w[-1], trajectory=flow)
        row.details["coefficients"] = flow.w[-1].tolist()
        row.figures["limit gap"] = float(np.abs(flow.w[-1] - target).max() / np.abs(target).max())
        row.figures["loss"] = float(flow.loss[-1] / flow.loss[0])
        ratio = float(np.abs(flow.w[-1]).sum() / l1_optimum)
        row.figures["l1 ratio"] = ratio
        row.figures["l1 gap"] = abs(ratio - 1) if alpha <= min(INITIALIZATIONS) else None
        row.figures["rate"] = float(check_rate_bound(R, flow, loss, target).evidence["largest_ratio"])
        row.figures["direct gap"] = None
        if alpha in DIRECT:
            direct = gradient_flow(loss, case.parametrization, case.x0, times, rtol=1e-9, atol=1e-13, method="LSODA")
            row.figures["direct gap"] = float(np.abs(direct.unwrap().w - flow.w).max() / np.abs(target).max())
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row
