r"""
What does a loop in w leave behind in x?
========================================

**Question.** Any curve of w can be followed by gradient flow with forces that are chosen for it, and x follows: its
lift. If w comes back to where it was, does x?

For a map that commutes it does, and so does the integral of the forces, which is :math:`\nabla R(w)`. Here is one
that does not commute: the covariance :math:`UU^\top` of a 2 x 2 matrix U. Covariances go once around a circle.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

square = gf.catalog.noncommuting["matrix_square"]().parametrization  # U U^T, its entries 11, 12 and 22
U0 = np.array([[1.1, 0.1], [0.3, 0.9]])
w0 = square(U0.ravel())


def circle(radius):
    """A loop of covariances of constant trace from U0 U0^T."""

    def curve(s):
        a, b = radius * (anp.cos(2 * np.pi * s) - 1), radius * anp.sin(2 * np.pi * s)
        return anp.array(w0) + anp.stack([a, b, -a])

    return curve


def angle(lift):
    """The rotation Q with U_end = U_0 Q, in degrees, and how far Q is from being one."""
    Q = np.linalg.solve(U0, lift.x[-1].reshape(2, 2))
    return np.degrees(np.arctan2(Q[1, 0], Q[0, 0])), np.abs(Q @ Q.T - np.eye(2)).max()


radii = 0.4 * 0.5 ** np.arange(5)
lifts = [gf.lift_curve(square, U0.ravel(), circle(radius), n=33) for radius in radii]
angles, misfits = np.array([angle(lift) for lift in lifts]).T

# %%
# The same loop under a map that commutes
# ---------------------------------------

commuting = gf.catalog.parametrizations["hyperbolic"](3)
x0, away = commuting.x0, commuting.parametrization(commuting.x0) - w0
closed = gf.lift_curve(commuting.parametrization, x0, lambda s: circle(0.4)(s) + away, n=9)
print(f"u^2 - v^2: x and mu return to {closed.defect:.0e} of their way; U U^T: to {lifts[0].defect:.2f}")

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.8, 3.2))
turn = np.linspace(0, 2 * np.pi, 100)
unit = np.stack([np.cos(turn), np.sin(turn)])
U = lifts[0].x.reshape(-1, 2, 2)
for k in range(0, 32, 4):
    values, axes = np.linalg.eigh(U[k] @ U[k].T)
    left.plot(*(axes * values**0.5 @ unit), color=plt.colormaps["cividis"](k / 32), lw=1.2)
left.set(aspect="equal", title=r"loop of $UU^\top$, as ellipses", xlabel="first coordinate", ylabel="second")
for j in range(2):
    middle.plot(*U[:, :, j].T, color=f"C{j}", label=f"column {j + 1} of $U$")
    middle.plot(*U[0, :, j], "s", color=f"C{j}")
    middle.plot(*U[-1, :, j], "o", color=f"C{j}", mfc="white")
middle.set(
    aspect="equal", adjustable="datalim", title="its lift: start (square), end (circle)", xlabel="first coordinate"
)
middle.legend(loc="lower left")
right.loglog(radii, np.abs(angles), "o-")
right.loglog(radii, np.abs(angles[-1]) * (radii / radii[-1]) ** 2, ":", color="black", label="proportional to the area")
right.set(xlabel="radius of the loop", ylabel="U is turned by (degrees)", title="what the loop leaves")
right.set_xticks(radii[::2], [f"{radius:g}" for radius in radii[::2]])
right.minorticks_off()
right.legend()
plt.show()

# %%
# Answer
# ------
# A rotation. :math:`UU^\top` is back, so U can only have become :math:`UQ`, and the angle of Q is that of the area
# of the loop times a curvature: the bracket of the gradient fields. With it goes the integral of the forces, and
# with that the potential R.

order = np.polyfit(np.log(radii[2:]), np.log(np.abs(angles[2:])), 1)[0]
law = gf.area_law(square, U0.ravel(), pair=(0, 1))
print(f"turned by {angles[0]:.2f} degrees, Q a rotation to {misfits.max():.0e}; angle goes as radius^{order:.3f}")
print(f"small parallelograms: displacement as side^{law.slope:.3f}, in the limit the bracket to {law.limit_defect:.0e}")
assert closed.defect < 1e-8 and misfits.max() < 1e-7 and abs(angles[0]) > 5
assert abs(order - 2) < 0.05 and abs(law.slope - 2) < 0.05
