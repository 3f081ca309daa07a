r"""
What is left of weight decay that is switched off?
==================================================

**Question.** Gradient flow with weight decay :math:`\alpha(t) |x|^2/2` that ends at some time goes on to an
interpolant. Does the limit remember the schedule?

With :math:`w = u^2 - v^2` the gradient of the decay commutes with those of the map. The flow is then mirror flow of
a *moving* potential :math:`R_a`, where a is the integral of the schedule so far, and when it is over its limit is
the Bregman projection by the last :math:`R_a`. The data are 6 of scikit-learn's diabetes patients: 6 equations for
the coefficients of 10 features.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linprog
from sklearn.datasets import load_diabetes

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

X, target = load_diabetes(return_X_y=True)
Z, y = X[:6] * 10, (target[:6] - target.mean()) / target.std()
d, loss = 10, gf.LeastSquares(Z, y)
network = gf.catalog.diagonal_network(d, depth=2, alpha=1.0)
G, x0 = network.parametrization, network.x0


def half_square(x):
    return anp.sum(x**2, axis=-1) / 2


family = gf.regularized_mirror_map(G, x0, half_square)

# %%
# Three schedules of one integral
# -------------------------------

total = 1.5
schedules = {
    "at once": lambda t: total if t < 1 else 0.0,
    "fading": lambda t: total / 8 * max(1 - t / 16, 0.0),
    "late": lambda t: total / 4 * np.exp(-(((t - 15) / 4) ** 2)) / np.sqrt(np.pi),
}
t = np.r_[0, np.geomspace(0.1, 1000, 300)]
flows = {
    name: gf.gradient_flow(loss, G, x0, t, regularizer=half_square, schedule=s).unwrap()
    for name, s in schedules.items()
}
none = gf.gradient_flow(loss, G, x0, t).unwrap()
moving = gf.mirror_flow(loss, family, np.zeros(d), t, schedule=schedules["fading"]).unwrap()
last = family(total)
limit = gf.bregman_projection(last, Z, y, last.w0)
least = linprog(np.ones(2 * d), A_eq=np.c_[Z, -Z], b_eq=y, bounds=(0, None)).fun
amounts = np.linspace(0, 6, 9)
norms = []
for a in amounts:
    R = family(a)
    norms.append(np.abs(gf.bregman_projection(R, Z, y, R.w0)).sum() / least)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6))
strongest = np.argsort(-np.abs(limit))[:3]
for k, ((name, flow), style) in enumerate(zip(flows.items(), ("-", "--", ":"), strict=True)):
    for i in strongest:
        left.semilogx(t[1:], flow.w[1:, i], style, color=f"C{k}", label=name if i == strongest[0] else None)
left.plot(np.full(3, t[-1]), limit[strongest], "ko", label=r"projection by $R_a$, $a = 1.5$")
left.set(
    xlabel="$t$", ylabel="the three largest coefficients", title="$u^2 - v^2$ with decay of integral 1.5, diabetes"
)
left.legend(loc="lower left", fontsize=8)
right.plot(amounts, norms, "-", label="projections by $R_a$")
right.plot(total, np.abs(flows["fading"].w[-1]).sum() / least, "s", color="C1", label="flows, integral 1.5")
right.plot(0, np.abs(none.w[-1]).sum() / least, "^", color="C2", label="flow without decay")
right.axhline(1, color="black", lw=0.8)
right.set(xlabel="$a$, integral of the weight decay", ylabel=r"$|w|_1$ of the limit / least $\ell_1$ norm")
right.set_title("what the decay leaves")
right.legend(fontsize=8)
plt.show()

# %%
# Answer
# ------
# Only its integral. The three schedules have one limit, and it is that of a smaller start, :math:`\alpha e^{-a}` in
# place of :math:`\alpha`: decay that is long over has turned the bias from :math:`\ell_2` towards :math:`\ell_1`.

for name, flow in flows.items():
    gap = np.abs(flow.w[-1] - limit).max()
    print(f"{name}: loss {flow.loss[-1]:.0e}, {gap:.1e} from the projection by the last R_a")
    assert gap < 1e-5 and flow.loss[-1] < 1e-10
moved = np.abs(moving.w - flows["fading"].w).max()
smaller = gf.catalog.diagonal_network(d, depth=2, alpha=np.exp(-total)).legendre
same = np.abs(gf.bregman_projection(smaller, Z, y, np.zeros(d)) - limit).max()
print(f"flow of the weights against mirror flow of the moving R_a: {moved:.1e}")
print(f"limit against that from the start exp(-{total}) without decay: {same:.1e}")
print(f"l1 norm over the least: {norms[0]:.3f} without decay, {norms[2]:.3f} at a = 1.5, {norms[-1]:.4f} at a = 6")
assert moved < 1e-6 and same < 1e-8 and norms[-1] < 1.01 and norms[0] > 1.02
