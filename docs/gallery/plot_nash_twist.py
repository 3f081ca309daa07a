r"""
How does Nash's twist make a short map isometric?
=================================================

**Question.** The converse theorem rests on Nash: any metric on a box is that of a surface in some :math:`R^D`. What
does his construction do, step by step, and what does it cost?

One variable shows it all. The metric is :math:`h = R''` of :math:`R(w) = \cosh 2w`, and the embedding a curve in
:math:`R^3` with :math:`|F'|^2 = h`. First a map that is too short, then a spiral about it that adds what is
missing, then a correction.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import simpson

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

R = gf.LegendreFunction(lambda w: anp.sum(anp.cosh(2 * w), axis=-1), 1, name="cosh 2w")
box = gf.domains.Box([-1.0], [1.0])
w = np.linspace(-1, 1, 4001)[:, None]
h = R.hessian(w)[:, 0, 0]

# %%
# Step 1, too short; step 2, a spiral
# -----------------------------------
# The straight line :math:`bw` with :math:`b^2 < h` everywhere is short by :math:`a^2 = h - b^2`. The spiral of
# radius :math:`a/\lambda` and frequency :math:`\lambda` about it adds :math:`a^2 + a'^2/\lambda^2`: too much by the
# last term.

b = np.sqrt(0.2 * h.min())
a = np.sqrt(h - b**2)
slope = R.third_derivative(w)[:, 0, 0, 0] / (2 * a)  # a'
frequencies = np.array([5.0, 10, 20, 40, 80])
wave = frequencies * np.sqrt(h.mean())  # geoflow counts frequency in units of length of the mean metric
plain = [np.abs(slope**2 / lam**2 / h).max() for lam in wave]

# %%
# Step 3, Kallen's correction
# ---------------------------
# The excess is taken off the metric and the radius computed again, until :math:`b^2 + a^2 + a'^2/\lambda^2 = h`.
# This is what ``method="twist"`` does, here in one dimension and for log-sum-exp in two, where five spirals or more
# are added, one after the other direction.

lse, square = gf.catalog.potentials["log_sum_exp"](2), gf.domains.Box([-1, -1], [1, 1])
curves = [gf.realize(R, box, tol=1e-9, method="twist", frequency=f) for f in frequencies]
surfaces = [gf.realize(lse, square, tol=1e-9, method="twist", frequency=f) for f in 4 * frequencies]
print(surfaces[0])

lengths = [np.linalg.norm(np.diff(F.embedding(w), axis=0), axis=1).sum() for F in curves]
figure = plt.figure(figsize=(8.4, 3.8))
figure.text(0.02, 0.96, r"$F$ of $\cosh 2w$ seen aslant, and the short map")
grid = figure.add_gridspec(3, 2, width_ratios=[1.1, 1], height_ratios=[1.3, 1, 1])
for k in range(3):
    axis = figure.add_subplot(grid[k, 0], aspect="equal")
    x, y, z = curves[k].embedding(w).T
    axis.plot(x, 0 * x, color="0.6", lw=1)  # the short map
    axis.plot(x + 0.4 * z, y + 0.25 * z, color=f"C{k + 3}", lw=1.2)
    axis.set_axis_off()
    axis.set_title(f"frequency {frequencies[k]:g}: length {lengths[k]:.4f}", color=f"C{k + 3}", fontsize=9, y=0.9)
axis = figure.add_subplot(grid[:, 1])
axis.loglog(frequencies, plain, "o-", color="C0", label="steps 1 and 2, d = 1")
axis.loglog(frequencies, [F.certificate.metric_error for F in curves], "s--", color="C1", label="with step 3, d = 1")
axis.loglog(
    4 * frequencies, [F.certificate.metric_error for F in surfaces], "D--", color="C2", label="with step 3, d = 2"
)
axis.loglog(frequencies, [F.certificate.reach for F in curves], "^:", color="C3", label="reach of M, d = 1")
axis.set(xlabel="frequency", ylabel="relative metric error, or reach")
axis.set_title(r"$\cosh 2w$ on $[-1, 1]$, log-sum-exp on $[-1, 1]^2$")
axis.legend(loc="center right", fontsize=8)
plt.show()

# %%
# Answer
# ------
# The spiral alone is off by the square of 1 / frequency; the correction takes that down to the accuracy of the
# amplitudes, at any frequency, even low ones. The cost is the reach: M is as wavy as the frequency is high, and a
# flow on it has to follow.

order = np.polyfit(np.log(frequencies), np.log(plain), 1)[0]
reach = np.polyfit(np.log(frequencies), np.log([F.certificate.reach for F in curves]), 1)[0]
assert np.ptp(lengths) < 1e-3 * lengths[0] and abs(lengths[0] - simpson(h**0.5, x=w[:, 0])) < 1e-3
worst = max(F.certificate.metric_error for F in [*curves, *surfaces])
print(f"without correction: error falls as frequency^{order:.2f}; reach as frequency^{reach:.2f}")
print(f"with it: error at most {worst:.1e}, in R^{curves[0].ambient_dim} and R^{surfaces[0].ambient_dim}")
assert abs(order + 2) < 0.01 and abs(reach + 1) < 0.05
assert worst < 1e-9 < 1e-3 * min(plain)
