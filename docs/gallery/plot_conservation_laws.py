r"""
What does training a two-layer linear network never change?
===========================================================

**Question.** In :math:`W = UV^\top` the weights are more than what they make. Which functions of them are constant
along gradient flow, for every loss, and what becomes of these when training takes steps, or has momentum?

The network predicts petal length and width of the 150 irises from their sepals, through two hidden units.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
from autograd import grad
from scipy.integrate import solve_ivp
from sklearn.datasets import load_iris

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

data = load_iris().data
data = (data - data.mean(axis=0)) / data.std(axis=0) / len(data) ** 0.5
sepals, petals = data[:, :2], data[:, 2:]


def product(x):  # U and V, each 2 x 2, row by row
    U, V = anp.reshape(x[..., :4], (*x.shape[:-1], 2, 2)), anp.reshape(x[..., 4:], (*x.shape[:-1], 2, 2))
    return anp.reshape(anp.einsum("...ia,...ja->...ij", U, V), (*x.shape[:-1], 4))


def loss(w):
    W = anp.reshape(w, (*w.shape[:-1], 2, 2))
    return anp.sum((anp.einsum("ni,...ij->...nj", sepals, W) - petals) ** 2, axis=(-2, -1)) / 2


G = gf.Parametrization(product, 8, 4, name="U V^T")
x0 = np.random.default_rng(4).standard_normal(8) / 2

# %%
# The laws, found and counted
# ---------------------------
# Polynomials of degree two, exact over the rational numbers; their number is the dimension of the weights less that
# of the Lie algebra of the gradient fields, so that no law is missing.

algebra = gf.LieAlgebra(G.gradient_fields)
laws = algebra.conservation_laws(2)
print(laws)
print("The Lie algebra has dimension", algebra.dimension(x0), "among", G.dim, "weights")

# %%
# Flow, steps, momentum
# ---------------------

T = 30.0
flow = gf.gradient_flow(loss, G, x0, T).unwrap()
steps = 0.4 * 0.5 ** np.arange(5)
descents = [gf.gradient_descent(loss, G, x0, h, round(T / h)) for h in steps]
slope = grad(lambda x: loss(product(x)))
moving = solve_ivp(
    lambda t, y: np.r_[y[8:], -slope(y[:8]) - y[8:]],
    (0, T),
    np.r_[x0, np.zeros(8)],
    t_eval=flow.t,
    rtol=1e-8,
    atol=1e-10,
)  # x'' + x' = -grad, from rest
with_momentum = laws.values(moving.y[:8].T)

start = laws.values(x0)
drift = [np.abs(laws.values(run.x) - start).max() for run in descents]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.6), width_ratios=[1.3, 1])
for j in range(len(laws)):
    left.plot(flow.t, laws.values(flow.x)[:, j], color=f"C{j}", label=f"law {j + 1}, flow")
    left.plot(descents[0].t, laws.values(descents[0].x)[:, j], "--", color=f"C{j}", lw=1.2)
    left.plot(flow.t, with_momentum[:, j], ":", color=f"C{j}")
left.plot([], [], "k--", lw=1.2, label=f"steps of {steps[0]:g}")
left.plot([], [], "k:", label="with momentum")
left.set(xlabel="$t$", ylabel="value of the law", title="$UV^\\top$, least squares, iris")
left.legend(fontsize=8, ncols=2, loc="center right", bbox_to_anchor=(1, 0.7))
right.loglog(steps, drift, "o-", label="gradient descent")
right.axhline(np.abs(laws.values(flow.x) - start).max(), color="C1", ls="--", label="gradient flow")
right.set(xlabel="step", ylabel="largest change of a law, to $t = 30$", title="what steps do to the laws")
right.set_xticks(steps, [f"{h:g}" for h in steps])
right.minorticks_off()
right.legend()
plt.show()

# %%
# Answer
# ------
# The entries of :math:`U^\top U - V^\top V`, three numbers, and nothing else. Steps change them in proportion to
# the step, and momentum does away with all three.

kept = np.abs(laws.values(flow.x) - start).max()
order = np.polyfit(np.log(steps[1:]), np.log(drift[1:]), 1)[0]
broken = np.abs(with_momentum - start).max()
print(f"change along the flow {kept:.1e}, in steps of {steps[-1]:g} {drift[-1]:.1e}, with momentum {broken:.2f}")
print(f"the change in steps goes as step^{order:.2f}; loss {flow.loss[0]:.3f} to {flow.loss[-1]:.3f}")
assert laws.exact and laws.complete and len(laws) == 3
assert kept < 1e-6 and abs(order - 1) < 0.15 and broken > 10 * drift[-1]
assert not any(law.survives_momentum for law in laws)
