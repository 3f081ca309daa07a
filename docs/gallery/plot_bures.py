r"""
Which metric does the factorization give to covariances?
========================================================

**Question.** :math:`UU^\top` does not commute, and gradient flow of U is no mirror flow. Does the covariance still
follow a gradient flow of its own, and of which metric?

`gf.classify` asks whether the cometric depends on :math:`UU^\top` alone. It does, and the metric it gives, computed
here from the map and nothing else, is compared with geomstats' Bures-Wasserstein metric. The covariances are those
of the sepals of two species of iris.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

import geoflow as gf  # before geomstats, whose backend it chooses

# isort: split
from geomstats.geometry.spd_matrices import SPDBuresWassersteinMetric, SPDMatrices

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

iris = load_iris()
A, B = (np.cov(iris.data[iris.target == k, :2].T) * 10 for k in (0, 2))  # setosa and virginica
A[0, 1] = A[1, 0] = -A[0, 1]  # turned over, so that there is some way to go


def entries(S):
    return S[..., [0, 0, 1], [0, 1, 1]]


square = gf.catalog.noncommuting["matrix_square"]().parametrization
U0 = np.linalg.cholesky(A).ravel()
kind = gf.classify(square, U0)
print(kind)

# %%
# Two geodesics
# -------------

induced = gf.induced_metric(square, U0)
spd = SPDMatrices(2, equip=False)
spd.equip_with_metric(SPDBuresWassersteinMetric)
bures = spd.metric

t = np.linspace(0, 1, 25)
ours = induced.exp(t[:, None] * induced.log(entries(B), entries(A)), entries(A))
theirs = entries(np.array([bures.exp(s * bures.log(B, A), A) for s in t]))
straight = entries(A) + t[:, None] * (entries(B) - entries(A))

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), width_ratios=[1.8, 1])
turn = np.linspace(0, 2 * np.pi, 100)
unit = np.stack([np.cos(turn), np.sin(turn)])
rows = {
    "induced by $UU^\\top$": (ours, "C0", "-"),
    "Bures-Wasserstein": (theirs, "C1", ":"),
    "straight": (straight, "C2", "--"),
}
for k in range(0, 25, 4):
    for row, (name, (way, colour, style)) in enumerate(rows.items()):
        values, axes = np.linalg.eigh(way[k][[[0, 1], [1, 2]]])
        x, y = axes * values**0.5 @ unit
        down = -3.4 if row == 2 else 0
        left.plot(x + k, y + down, style, color=colour, lw=3 if row == 1 else 1.5, label=name if k == 0 else None)
left.set(
    aspect="equal",
    title="sepals of two irises: ways between covariances",
    xlabel="from setosa to virginica, moved aside",
)
left.set(xticks=[], yticks=[], frame_on=False)
left.legend(loc="lower center", bbox_to_anchor=(0.5, -0.5), ncols=3, fontsize=8)
for row, (name, (way, colour, style)) in enumerate(rows.items()):
    right.plot(t, way[:, 0] * way[:, 2] - way[:, 1] ** 2, style, color=colour, lw=4 if row == 1 else 1.8, label=name)
right.set(xlabel="share of the way", ylabel="determinant", title="areas of the ellipses, squared", ylim=(0, None))
plt.show()

# %%
# Answer
# ------
# It does, of the Bures-Wasserstein metric, that of optimal transport between normals: the metric that the map
# induces agrees with it to rounding, geodesics and distances alike. It is no Hessian metric, which is why there is
# no R.

gap = np.abs(ours - theirs).max()
distances = float(induced.dist(entries(A), entries(B))), float(bures.dist(A, B))
print(f"geodesics: {gap:.1e} apart; distances {distances[0]:.12f} and {distances[1]:.12f}")
assert kind.is_riemannian and not kind.is_mirror_flow
assert gap < 1e-9 and abs(distances[0] - distances[1]) < 1e-9
