"""The implicit bias of u^2 - v^2 on real data: scikit-learn's diabetes set with quadratic features."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from geoflow.bias import bregman_projection, rate_bound
from geoflow.catalog.pairs import hyperbolic
from geoflow.errors import GeoflowError
from geoflow.flows import gradient_flow, mirror_flow
from geoflow.losses import LeastSquares
from geoflow.results import Trajectory

INITIALIZATIONS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
DIRECT = (1.0, 1e-1, 1e-2)
FINAL_TIME = 1e8
LIMIT_TOL = 1e-8
DIRECT_TOL = 1e-6
L1_TOL = 0.01


@dataclass
class BiasRow:
    """Figures of one initialization u0 = v0 = alpha.

    Attributes
    ----------
    limit_gap : float
        |w(T) - Bregman projection|, relative.
    loss : float
        Training loss at T, relative to the loss at 0.
    l1_ratio : float
        |w(T)|_1 over the basis-pursuit optimum.
    rate : float
        Largest t (L(w(t)) - L*) / D_R(w*, w0); at most 1 where the bound holds.
    direct_gap : float or None
        Flow in dual coordinates against gradient flow in x, relative; None where x is too stiff to ask.
    """

    alpha: float
    limit_gap: float = np.nan
    loss: float = np.nan
    l1_ratio: float = np.nan
    rate: float = np.nan
    direct_gap: float | None = None
    error: str = ""
    limit: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    trajectory: Trajectory | None = field(default=None, repr=False)

    @property
    def failures(self) -> list[str]:
        checks = {
            "limit_gap": self.limit_gap <= LIMIT_TOL,
            "rate": self.rate <= 1 + 1e-9,
            "direct_gap": self.direct_gap is None or self.direct_gap <= DIRECT_TOL,
            "l1_ratio": self.alpha > min(INITIALIZATIONS) or abs(self.l1_ratio - 1) <= L1_TOL,
        }
        return [name for name, fine in checks.items() if not fine]

    @property
    def passed(self) -> bool:
        return not self.error and not self.failures

    def as_json(self) -> dict[str, Any]:
        skip = ("limit", "trajectory")
        plain = {k: v for k, v in asdict(self, dict_factory=dict).items() if k not in skip}
        return {**plain, "passed": self.passed, "failures": self.failures, "coefficients": self.limit.tolist()}


def load(n_samples: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standardised quadratic features Z, shape=[n, 65], and responses y, shape=[n], both divided by sqrt n."""
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    X, y = load_diabetes(return_X_y=True)
    chosen = np.random.default_rng(seed).permutation(len(y))[:n_samples]
    Z = PolynomialFeatures(2, include_bias=False).fit_transform(X[chosen])
    Z, y = (Z - Z.mean(0)) / Z.std(0), (y[chosen] - y[chosen].mean()) / y[chosen].std()
    return Z / np.sqrt(n_samples), y / np.sqrt(n_samples)


def basis_pursuit(Z: np.ndarray, y: np.ndarray) -> float:
    """min |w|_1 subject to Zw = y, by linear programming."""
    from scipy.optimize import linprog

    d = Z.shape[1]
    result = linprog(np.ones(2 * d), A_eq=np.c_[Z, -Z], b_eq=y, bounds=(0, None), method="highs")
    return float(result.fun)


def verify_initialization(alpha: float, Z: np.ndarray, y: np.ndarray, l1_optimum: float) -> BiasRow:
    """Flow from u0 = v0 = alpha, in n dual coordinates, and what the theory says of its limit and its rate."""
    row, loss = BiasRow(alpha), LeastSquares(Z, y)
    case = hyperbolic(Z.shape[1], alpha, alpha)
    R, w0 = case.legendre, case.parametrization(case.x0)
    assert R is not None
    times = np.r_[0.0, np.geomspace(1e-3, FINAL_TIME, 120)]
    try:
        flow = mirror_flow(loss, R, w0, times, rtol=1e-10, atol=1e-12, coordinates="nu").unwrap()
        target = bregman_projection(R, Z, y, w0)
        row.limit, row.trajectory = flow.w[-1], flow
        row.limit_gap = float(np.abs(flow.w[-1] - target).max() / np.abs(target).max())
        row.loss = float(flow.loss[-1] / flow.loss[0])
        row.l1_ratio = float(np.abs(flow.w[-1]).sum() / l1_optimum)
        row.rate = rate_bound(R, flow, loss, target).evidence["largest_ratio"]
        if alpha in DIRECT:
            direct = gradient_flow(loss, case.parametrization, case.x0, times, rtol=1e-9, atol=1e-13, method="LSODA")
            direct.unwrap()
            row.direct_gap = float(np.abs(direct.w - flow.w).max() / np.abs(target).max())
    except GeoflowError as error:
        row.error = f"{type(error).__name__}: {error}"
    return row
