r"""
For which measurements is matrix factorization a mirror flow?
=============================================================

**Question.** A covariance :math:`UU^\top` is learned from measurements :math:`w_i = \langle A_i, UU^\top \rangle`.
Is the flow of the measured values w a mirror flow?

It is one where the :math:`A_i` commute. The autocovariances of a periodic signal are such measurements: all
:math:`A_i` are circulant. Here a 4 x 4 covariance is seen through those at lag 1 and at lag 2, and the second is
then turned by an angle against the first, until it is as far from commuting as the entries of a matrix that is to
be completed.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import expm

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

shift = np.roll(np.eye(4), 1, axis=0)
lag_one, lag_two = (shift + shift.T) / 2, shift @ shift
turn = np.zeros((4, 4))
turn[0, 1], turn[1, 0] = 1.0, -1.0
x0 = np.random.default_rng(0).standard_normal(16) / 2  # U, row by row


def sensing(angle):
    """The map U to two measurements of U U^T, the second turned by an angle in degrees in the plane of two entries."""
    Q = expm(np.radians(angle) * turn)
    A = np.stack([lag_one, Q @ lag_two @ Q.T])

    def measured(x):
        U = anp.reshape(x, (*x.shape[:-1], 4, 4))
        return anp.einsum("iab,...ac,...bc->...i", A, U, U)

    return gf.Parametrization(measured, 16, 2, name=f"U U^T at {angle:g} degrees")


# %%
# Two lags commute: gradient flow of all 16 weights is mirror flow in two values, for any loss.

loss = gf.LeastSquares(np.eye(2), [0.5, -0.3])  # fit the autocovariances 0.5 and -0.3
report = gf.verify_equivalence(loss, sensing(0), x0, t=3.0)
print(report)

# %%
# Two schedules of losses with the same integral of the gradient have one end under mirror flow, and need not
# elsewhere:

angles = np.array([0.0, 5, 10, 20, 30, 45])
gaps = [gf.schedule_gap(sensing(angle), x0, n=16) for angle in angles]
defects = [sensing(angle).check_commuting(x0).defect for angle in angles]

figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.2))
for axis, k in zip(axes, (0, -1), strict=False):
    for flow, style, order in zip(gaps[k].trajectories, ("-", "--"), ("one order", "the other"), strict=True):
        (line,) = axis.plot(*flow.w.T, style, label=order)
        axis.plot(*flow.w[-1], "o", color=line.get_color(), ms=7, mfc="none" if style == "--" else None)
    axis.plot(*gaps[k].trajectories[0].w[0], "ks", label="start")
    axis.set(xlabel="$w_1$ (lag 1)", ylabel="$w_2$ (lag 2, turned)", aspect="equal", adjustable="datalim")
    axis.set_title(rf"$UU^\top$, linear losses, {angles[k]:g}$\degree$")
axes[0].legend()
axes[2].plot(angles, [g.gap for g in gaps], "o-", label="gap of two schedules")
axes[2].plot(angles, defects, "s--", label="bracket, relative")
axes[2].set(xlabel="angle (degrees)", title="how far from mirror flow")
axes[2].legend()
plt.show()

# %%
# Answer
# ------
# Of these for the two lags alone, which commute. The relative bracket of the turned ones is the sine of the angle,
# and the gap between the ends of two schedules, the largest of a random search, grows with it: at five degrees it
# is already two percent of the way, and no potential can have both schedules as its flows.

for angle, gap, defect in zip(angles, gaps, defects, strict=True):
    print(f"{angle:4g} degrees: bracket {defect:.4f}, sine {np.sin(np.radians(angle)):.4f}; {gap}")
assert report and not gaps[0] and all(gaps[1:]) and gaps[1].gap > 0.01
assert np.abs(defects - np.sin(np.radians(angles))).max() < 1e-9
try:
    gf.mirror_map(sensing(5), x0)
except gf.NotCommutingError as error:
    print(f"refused: {error}")
else:
    raise AssertionError("a mirror map of a map that does not commute")
