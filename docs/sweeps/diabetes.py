"""Norms of the limit of gradient flow on the diabetes data, against the start and the depth of a diagonal network.

geoflow sweep docs/sweeps/diabetes.toml
python docs/sweeps/diabetes.py               # draws docs/sweeps/diabetes.png from the rows that there are
"""

from functools import cache
from pathlib import Path

import numpy as np

import geoflow as gf


@cache
def data(n=40):
    """Standardised quadratic features of n patients, shape=[n, 65], their responses, and the least l1 and l2 norms."""
    from scipy.optimize import linprog
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    X, y = load_diabetes(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:n]
    Z = PolynomialFeatures(2, include_bias=False).fit_transform(X[rows])
    Z, y = (Z - Z.mean(axis=0)) / Z.std(axis=0) / n**0.5, (y[rows] - y[rows].mean()) / y[rows].std() / n**0.5
    least = linprog(np.ones(2 * Z.shape[1]), A_eq=np.c_[Z, -Z], b_eq=y, bounds=(0, None)).fun
    return Z, y, least, np.linalg.norm(np.linalg.pinv(Z) @ y)


def limit(depth, alpha):
    """The limit of gradient flow through u^L - v^L from u = v = alpha: its norms over the least ones."""
    Z, y, l1, l2 = data()
    network = gf.catalog.diagonal_network(Z.shape[1], depth=depth, alpha=alpha)
    R = network.legendre or gf.mirror_map(network.parametrization, network.x0)
    w = gf.bregman_projection(R, Z, y, np.zeros(R.dim))
    large = int((np.abs(w) > 1e-3 * np.abs(w).max()).sum())
    return {"l1": float(np.abs(w).sum() / l1), "l2": float(np.linalg.norm(w) / l2), "large": large}


def draw(table):
    """Both norms of the limit against the start, a line for every depth."""
    import matplotlib.pyplot as plt

    table = table[table["error"] == ""].sort_values("alpha")
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    for k, (depth, rows) in enumerate(table.groupby("depth")):
        for axis, norm in zip(axes, ("l1", "l2"), strict=True):
            axis.semilogx(
                rows["alpha"], rows[norm], "osD^v"[k % 5] + "-", ms=3.5, color=f"C{k}", label=f"depth {depth}"
            )
    for axis, norm in zip(axes, ("1", "2"), strict=True):
        axis.set(xlabel=r"start $\alpha$", ylabel=rf"$|w|_{norm}$ of the limit / least $\ell_{norm}$ norm")
    axes[0].set_title("$u^L - v^L$ on diabetes data")
    axes[1].set_title("40 equations in $R^{65}$, least squares")
    axes[0].legend()
    return figure


if __name__ == "__main__":
    import matplotlib.pyplot as plt
    import pandas

    here = Path(__file__).parent
    plt.style.use(here.parent / "gallery" / "geoflow.mplstyle")
    draw(pandas.read_parquet(here / "diabetes" / "rows")).savefig(here / "diabetes.png", dpi=150)
