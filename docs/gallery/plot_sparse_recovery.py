r"""
Does depth make the limit sparser?
==================================

**Question.** Gradient flow on :math:`|Zw - y|^2/2` through a diagonal network :math:`w = u^L - v^L`, started at
:math:`u = v = \alpha` with no regularizer, has one limit among all interpolating :math:`w`. How close is that limit
to a sparse signal, at which depth :math:`L` and which :math:`\alpha`?

The signal has 10 spikes in dimension 1,000 and is seen through 120 random equations, enough for basis pursuit (the
least :math:`\ell_1` norm) to recover it. By the theorem the limit is the Bregman projection of the start on
:math:`\{Zw = y\}`, so no flow is needed to compute it.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linprog

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

rng = np.random.default_rng(0)
d, n, spikes = 1000, 120, 10
signal = np.zeros(d)
signal[np.sort(rng.choice(d, spikes, replace=False))] = rng.choice([-1, 1], spikes) * rng.uniform(0.5, 1.5, spikes)
Z = rng.standard_normal((n, d)) / np.sqrt(n)
y = Z @ signal
pursuit = linprog(np.ones(2 * d), A_eq=np.c_[Z, -Z], b_eq=y, bounds=(0, None))

# %%
# The limit for every depth and start
# -----------------------------------
# Depth 2 has its R in closed form (hyperbolic entropy); deeper networks get theirs from the map alone.

starts = {2: [1, 0.1, 0.03, 0.01, 1e-3], 3: [1, 0.1, 0.03, 0.01, 3e-3], 5: [1, 0.1, 0.03]}
limits, errors = {}, {}
for depth, alphas in starts.items():
    for alpha in alphas:
        network = gf.catalog.diagonal_network(d, depth=depth, alpha=alpha)
        R = network.legendre or gf.mirror_map(network.parametrization, network.x0)
        limits[depth, alpha] = gf.bregman_projection(R, Z, y, np.zeros(d))
    errors[depth] = [np.linalg.norm(limits[depth, a] - signal) / np.linalg.norm(signal) for a in alphas]

# %%
# The flow itself, all 2,000 weights of it, ends there:

network = gf.catalog.diagonal_network(d, depth=3, alpha=0.1)
flow = gf.gradient_flow(gf.LeastSquares(Z, y), network.parametrization, network.x0, [400.0]).unwrap()
gap = np.abs(flow.w[-1] - limits[3, 0.1]).max()
print(f"depth 3, alpha = 0.1: loss {flow.loss[-1]:.0e}, {gap:.1e} from the Bregman projection")
assert gap < 1e-4

# %%
figure = plt.figure(figsize=(7.6, 4.2))
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
axis = left.subplots()
for (depth, alphas), marker in zip(starts.items(), "os^", strict=True):
    axis.loglog(alphas, errors[depth], marker + "-", label=f"depth {depth}")
axis.invert_xaxis()
axis.set(
    xlabel=r"start $\alpha$", ylabel="relative error of the limit", title=f"{n} equations in $R^{{{d}}}$, least squares"
)
axis.legend(loc="lower left")
right.suptitle(r"the limits from $\alpha = 0.1$, and the signal (circles)", fontsize=10.5)
for k, (depth, axis) in enumerate(zip(starts, right.subplots(3, 1, sharex=True, sharey=True), strict=True)):
    axis.vlines(np.arange(d), 0, limits[depth, 0.1], color=f"C{k}", lw=1)
    axis.plot(np.flatnonzero(signal), signal[signal != 0], "o", mfc="none", mec="black", ms=5, mew=0.8)
    axis.set(ylabel="$w_i$")
    axis.text(0.01, 0.03, f"$u^{depth} - v^{depth}$", transform=axis.transAxes, color=f"C{k}")
axis.set(xlabel="coordinate $i$")
plt.show()

# %%
# Answer
# ------
# Deeper is nearer at every start below 1, by orders of magnitude at small ones, and needs a far larger start for
# the same accuracy. From 1 all three are about as bad: there depth does not matter.

pursuit_error = np.linalg.norm(pursuit.x[:d] - pursuit.x[d:] - signal) / np.linalg.norm(signal)
print(f"basis pursuit: relative error {pursuit_error:.0e}")
for depth, alphas in starts.items():
    print(f"depth {depth}:", ", ".join(f"alpha {a:g}: {e:.1e}" for a, e in zip(alphas, errors[depth], strict=True)))
at = {depth: errors[depth][alphas.index(0.1)] for depth, alphas in starts.items()}
print(f"from 0.1: depth 3 is {at[2] / at[3]:.0f} times as near as depth 2, depth 5 {at[2] / at[5]:.0f} times")
assert at[3] < at[2] / 3 and at[5] < at[2] / 500
assert abs(errors[2][0] - errors[5][0]) < 0.01  # from 1
assert all(two > three > five for two, three, five in zip(errors[2][1:3], errors[3][1:3], errors[5][1:], strict=True))
assert errors[3][-1] < 1e-4 < errors[2][-1]
