r"""
Which separating direction does logistic loss choose?
=====================================================

**Question.** On separable data the logistic loss has no minimiser and the weights go to infinity, ever more slowly.
Their *direction* has a limit. Which one, for a linear model and for :math:`w = u^2 - v^2`, and how long does it
take?

The data are the flowers of iris setosa and versicolor by petal length and width, which a line separates. The
reference directions are of largest margin :math:`\min_k y_k \langle z_k, w\rangle` on the unit ball of
:math:`\ell_2` and of :math:`\ell_1`.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linprog, minimize
from sklearn.datasets import load_iris

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

iris = load_iris()
kept = iris.target < 2
points, y = iris.data[kept, 2:], np.where(iris.target[kept] == 0, 1.0, -1.0)
Z = np.c_[points - points.mean(axis=0), np.ones(kept.sum())]  # two measurements and an offset
signed = y[:, None] * Z
names = {2: "linear model $w = x$", 1: "$w = u^2 - v^2$"}
maps = {2: gf.catalog.diagonal_network(3, depth=1, alpha=0.1), 1: gf.catalog.diagonal_network(3, depth=2, alpha=0.1)}

# %%
# Two references, and two flows to t = 1e8
# ----------------------------------------
# The directions of largest margin, by a linear program and a quadratic one; and mirror flow, which is gradient flow
# of the weights, in logarithmic time.

program = linprog(np.ones(6), A_ub=-np.c_[signed, -signed], b_ub=-np.ones(len(y)), bounds=(0, None))
smooth = minimize(
    lambda w: w @ w, [-1.0, -1.0, 0.0], jac=lambda w: 2 * w, method="SLSQP",
    constraints={"type": "ineq", "fun": lambda w: signed @ w - 1, "jac": lambda w: signed},
)  # fmt: skip
best = {1: program.x[:3] - program.x[3:], 2: smooth.x}

t = np.r_[0.0, np.logspace(-2, 8, 200)]
loss, flows, reached = gf.LogisticLoss(Z, y), {}, {}
for p, case in maps.items():
    flows[p] = gf.mirror_flow(loss, case.legendre, np.zeros(3), t).unwrap()
    w = flows[p].w[1:]
    reached[p] = (w @ signed.T).min(axis=1) / np.linalg.norm(w, ord=p, axis=1) * np.linalg.norm(best[p], ord=p)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6), width_ratios=[1.3, 1])
for k, p in enumerate(maps):
    left.semilogx(t[1:], reached[p], color=f"C{k}", ls="-" if k else "--", label=rf"{names[p]}: $\ell_{p}$ margin")
left.axhline(1, color="black", lw=0.8)
left.set(xlabel="$t$", ylabel="margin of $w(t)/|w(t)|$ / largest", ylim=(0, 1.05))
left.set_title("logistic loss on iris, flow to $t = 10^8$")
left.legend(loc="lower right")
for sign, marker, name in ((1, "o", "setosa"), (-1, "^", "versicolor")):
    right.plot(*points[y == sign].T, marker, color="0.45", ms=4, mfc="none", mew=0.8, label=name)
width = np.array([-0.1, 2.0])
for k, p in enumerate(maps):
    for w, style in ((flows[p].w[-1], "--" if k == 0 else "-"), (best[p], ":")):
        length = points.mean(axis=0)[0] - (w[1] * (width - points.mean(axis=0)[1]) + w[2]) / w[0]
        right.plot(length, width, style, color=f"C{k}", lw=1.4)
right.plot([], [], "k:", label="largest margin")
right.set(xlabel="petal length (cm)", ylabel="petal width (cm)", ylim=(-0.1, 2.0), title="lines at $t = 10^8$")
right.legend(loc="lower right", fontsize=8)
plt.show()

# %%
# Answer
# ------
# The linear model tends to the largest :math:`\ell_2` margin and weighs both measurements; :math:`u^2 - v^2` tends
# to the largest :math:`\ell_1` margin and drops the petal's width. Both are slow, and a hundred million units of
# time leave two or three percent. How soon the regime is left in which the network is a linear model depends on the
# start: from 3 in place of 0.1, the direction at :math:`10^8` is still nearly that of the linear model.

for p in (2, 1):
    at = [reached[p][np.searchsorted(t[1:], time)] for time in (1e2, 1e5)] + [reached[p][-1]]
    directions = [w / np.linalg.norm(w, ord=p) for w in (flows[p].w[-1], best[p])]
    print(f"{names[p]}: {', '.join(f'{a:.1%}' for a in at)} of the largest margin at t = 1e2, 1e5, 1e8")
    print(f"  direction {directions[0].round(3)}, of the largest margin {directions[1].round(3)}")
    assert 0.9 < at[-1] < 1 and at[0] < at[1] < at[2] and flows[p].loss[-1] < 1e-6
large = gf.catalog.diagonal_network(3, depth=2, alpha=3.0)
w = gf.mirror_flow(loss, large.legendre, np.zeros(3), t).unwrap().w[-1]
still, linear = w / np.abs(w).sum(), flows[2].w[-1] / np.abs(flows[2].w[-1]).sum()
print(f"{names[1]} from 3: direction {still.round(3)}, the linear model's {linear.round(3)}, both of l1 norm 1")
assert np.abs(still - linear).max() < 0.05
assert abs(flows[1].w[-1, 1] / flows[1].w[-1, 0]) < 0.1 < abs(flows[2].w[-1, 1] / flows[2].w[-1, 0])
