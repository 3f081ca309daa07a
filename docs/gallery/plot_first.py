r"""
What does a gradient flow look like on the hyperbolic plane?
============================================================

The family of Gaussians on the line has the log-partition function R for its potential, and hess R makes it a hyperbolic
plane. :func:`geoflow.realize` places that plane isometrically in R^6, by Blanusa's closed formula. Gradient flow
on the surface is the mirror flow of R: the two are integrated separately below, and drawn in the half plane of mean and
standard deviation.
"""

import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

R = gf.catalog.potentials["gaussian_log_partition"](2)
F = gf.realize(R)
print(F.method, f"in R^{F.ambient_dim}: {F.reason}")

# %%
# The natural parameters are theta = (m / s^2, -1 / (2 s^2)). The loss pulls towards m = 1, s = 0.5.


def natural(mean, deviation):
    return np.array([mean / deviation**2, -1 / (2 * deviation**2)])


def half_plane(theta):
    variance = -1 / (2 * theta[..., 1])
    return theta[..., 0] * variance, np.sqrt(variance)


start, goal = natural(-1.0, 1.5), natural(1.0, 0.5)
loss = gf.LeastSquares(np.eye(2), goal)
times = np.linspace(0, 4, 200)
on_surface = gf.gradient_flow(loss, F.parametrization, F.embedding(start), times)
mirror = gf.mirror_flow(loss, R, start, times)
gap = abs(on_surface.w - mirror.w).max()
print(f"largest distance between both flows: {gap:.1e}")
assert gap < 1e-5

# %%
# Neither of them is the geodesic, which has no loss to follow.

curve = R.metric.geodesic(initial_point=start, end_point=goal)(np.linspace(0, 1, 200))
figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
axis.plot(*half_plane(on_surface.w), color="#0072B2", linewidth=4, alpha=0.5, label="gradient flow on F(dom R) in R^6")
axis.plot(*half_plane(mirror.w), color="#D55E00", linewidth=1, label="mirror flow of R")
axis.plot(*half_plane(curve.reshape(-1, 2)), color="0.5", linestyle="--", label="geodesic")
axis.plot(*half_plane(np.stack([start, goal])), "k.", label="start and minimiser")
axis.set(
    xlabel="mean",
    ylabel="standard deviation",
    aspect="equal",
    ylim=(0, None),
    title="Gaussians, least squares in theta",
)
axis.legend(fontsize="small")
plt.show()
