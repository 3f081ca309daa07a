r"""
When does an overparametrized model act like a linear one?
==========================================================

**Question.** The same network :math:`w = u^2 - v^2` on the same data has limits from "least :math:`\ell_1` norm"
(the *rich* regime) to "least :math:`\ell_2` norm" (the *kernel* regime, that of the model made linear at its
start). Where between them does a start :math:`u = v = \alpha` lie, and how can it be seen on the potential R?

The data are 40 of scikit-learn's diabetes patients with all 65 quadratic features: fewer equations than unknowns.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linprog
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import PolynomialFeatures

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

X, target = load_diabetes(return_X_y=True)
rows = np.random.default_rng(0).permutation(len(target))[:40]
Z = PolynomialFeatures(2, include_bias=False).fit_transform(X[rows])
Z, y = (Z - Z.mean(0)) / Z.std(0) / 40**0.5, (target[rows] - target[rows].mean()) / target[rows].std() / 40**0.5
d = Z.shape[1]
least_l1 = linprog(np.ones(2 * d), A_eq=np.c_[Z, -Z], b_eq=y, bounds=(0, None)).fun
least_l2 = np.linalg.norm(np.linalg.pinv(Z) @ y)

# %%
# Both norms of the limit, from 1e-4 to 100
# -----------------------------------------
# The limit of gradient flow is the Bregman projection of the start; the point of the weights over it is its lift.
# How far the weights moved, relative to where they began, is what makes the regime a kernel one or not.

alphas = np.logspace(-4, 2, 25)
limits, moved = [], []
for alpha in alphas:
    network = gf.catalog.diagonal_network(d, depth=2, alpha=alpha)
    w = gf.bregman_projection(network.legendre, Z, y, np.zeros(d))
    x = gf.mirror_map(network.parametrization, network.x0).lift(w)
    limits.append(w)
    moved.append(np.linalg.norm(x - network.x0) / np.linalg.norm(network.x0))
l1 = np.abs(limits).sum(axis=1) / least_l1
l2 = np.linalg.norm(limits, axis=1) / least_l2

# %%
# Unit balls of R
# ---------------
# The level of R through (1, 0), for three starts: a square (an :math:`\ell_1` ball) that becomes a circle.

figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6), width_ratios=[1, 1.4])
grid = np.stack(np.meshgrid(*[np.linspace(-1.15, 1.15, 161)] * 2), axis=-1)
for k, alpha in enumerate([1e-4, 0.3, 100]):
    R = gf.catalog.diagonal_network(2, depth=2, alpha=alpha).legendre
    left.contour(*np.moveaxis(grid, -1, 0), R(grid), [float(R([1.0, 0.0]))], colors=f"C{k}")
    left.plot([], [], color=f"C{k}", label=rf"$\alpha$ = {alpha:g}")
left.set(aspect="equal", xlabel="$w_1$", ylabel="$w_2$", title="R of $u^2 - v^2$: its level at (1, 0)")
left.legend(loc="center", handlelength=1.2)
right.semilogx(alphas, l1, "-", label=r"$|w|_1$ / least $\ell_1$ norm")
right.semilogx(alphas, l2, "--", label=r"$|w|_2$ / least $\ell_2$ norm")
edge = alphas[np.argmax(np.array(moved) < 1)]
right.axvspan(edge, alphas[-1], color="0.92", zorder=0)
right.annotate("weights move less\nthan their length", (80, 1.07), ha="right", fontsize=9)
right.set(xlabel=r"start $\alpha$", ylabel="ratio", ylim=(0.98, None))
right.set_title("limit on diabetes data, 40 equations in $R^{65}$")
right.legend()
plt.show()

# %%
# Answer
# ------
# Rich below a hundredth, where the :math:`\ell_1` norm is within one percent of the least, and kernel from one on;
# the two decades between are both. The threshold can be read off the weights: the limit is the :math:`\ell_2` one
# where they move little of their own length.

for k in (0, 8, 12, 16, 24):
    print(f"alpha = {alphas[k]:g}: l1 ratio {l1[k]:.4f}, l2 ratio {l2[k]:.4f}, moved {moved[k]:.2g} of its length")
print(f"from alpha = {edge:.2g} on the weights move less than their length")
assert l1[:9].max() < 1.01 and l2[16:].max() < 1.001
assert (np.diff(l1) > -1e-9).all() and (np.diff(l2) < 1e-9).all()  # one trade, without a way back
