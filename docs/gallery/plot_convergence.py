r"""
What never grows while an overparametrized model trains?
========================================================

**Question.** For convex losses the paper proves that the divergence :math:`D_R(w^*, w(t))` to *every* minimiser
falls, that the loss is within :math:`D_R(w^*, w_0) / t` of its least value, and that w converges. How far is the
bound from what a flow does, and which of many minimisers does it reach?

The data are 30 of scikit-learn's diabetes patients with their 10 features and all 45 products of two: fewer
equations than unknowns, so that minimisers fill a subspace. The model is :math:`w = u^2 - v^2`.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import PolynomialFeatures

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

X, target = load_diabetes(return_X_y=True)
rows = np.random.default_rng(1).permutation(len(target))[:30]
Z = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(X[rows])
Z, y = (Z - Z.mean(0)) / Z.std(0) / 30**0.5, (target[rows] - target[rows].mean()) / target[rows].std() / 30**0.5
d = Z.shape[1]

# %%
# One flow, and five minimisers
# -----------------------------
# The limit is known before the flow: it is the Bregman projection of the start. The others are it plus a random
# vector of the null space of Z.

network = gf.catalog.diagonal_network(d, depth=2, alpha=0.1)
R, loss = gf.mirror_map(network.parametrization, network.x0), gf.LeastSquares(Z, y)
w0 = network.parametrization(network.x0)
times = np.r_[0.0, np.geomspace(1e-2, 1e4, 80)]
flow = gf.mirror_flow(loss, R, w0, times)
limit = gf.implicit_bias(loss, R, w0)
null = np.linalg.svd(Z)[2][np.linalg.matrix_rank(Z) :]
others = limit + 0.15 * np.random.default_rng(0).standard_normal((4, len(null))) @ null
minimisers = np.concatenate([limit[None], others])

# %%
# The divergence to each, and the loss under its bound
# ----------------------------------------------------

divergence = np.stack([R.bregman_divergence(np.broadcast_to(w, flow.w.shape), flow.w) for w in minimisers])
excess = flow.loss[1:]  # the least loss is 0
bound = divergence[0, 0] / flow.t[1:]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6))
for k, path in enumerate(divergence):
    words = "the limit" if k == 0 else "other minimisers" if k == 1 else None
    left.loglog(flow.t[1:], np.maximum(path[1:], 1e-16), color="C1" if k == 0 else "0.6", label=words)
left.set(xlabel="time $t$", ylabel="$D_R(w^*, w(t))$", ylim=(1e-12, None), title="to every minimiser it falls")
left.legend()
right.loglog(flow.t[1:], bound, "--", color="C1", label=r"$D_R(w^*, w_0) / t$")
right.loglog(flow.t[1:], np.maximum(excess, 1e-22), color="C0", label=r"$L(w(t)) - L(w^*)$")
right.set(xlabel="time $t$", ylabel="excess of the loss", ylim=(1e-16, None), title="the loss, and its bound")
right.legend()
plt.show()

# %%
# Answer
# ------
# All divergences fall, at one speed: those to any two minimisers differ by a constant, and so only the one to the
# nearest, which is the limit, can fall to 0. The bound holds at every time, nearly with equality nowhere: it allows
# 1 / t for ever, and the flow is exponential once the features that fit are found.

rate = gf.check_rate_bound(R, flow, loss, limit)
print(rate)
constant = np.ptp(divergence[1:] - divergence[0], axis=1).max()
print(f"largest rise of a divergence: {max(0.0, np.diff(divergence, axis=1).max()):.1e}")
print(f"differences of divergences change by {constant:.1e}")
print(f"the flow ends {np.abs(flow.w[-1] - limit).max():.1e} from the limit")
assert rate and np.diff(divergence, axis=1).max() < 1e-9 and constant < 1e-7
assert np.abs(flow.w[-1] - limit).max() < 1e-6 and (excess <= bound).all()
