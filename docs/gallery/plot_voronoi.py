r"""
On which side of a divergence does a centre stand?
==================================================

**Question.** A Bregman divergence is not symmetric. Each cell of a Voronoi diagram is what lies nearest to its
site: does the picture change when the site stands on the other side?

The sites are normals fitted to petal length of the three species of iris, and R the log-partition function of the
normal family: the divergence from a site on the left is :math:`KL(p, \text{site})`, from one on the right
:math:`KL(\text{site}, p)`.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

iris, normal = load_iris(), gf.families.gaussian()
R = normal.log_partition
sites = np.array([normal.maximum_likelihood(iris.data[iris.target == k, 2:3]) for k in range(3)])

mean, sd = np.meshgrid(np.linspace(0, 8, 241), np.linspace(0.05, 2.0, 161))
theta = normal.convert(np.stack([mean, sd**2], axis=-1), "ordinary", "natural")
sides = ("left", "right", "symmetrised")
cells = {side: gf.VoronoiCells(R, sites, side=side) for side in sides}
nearest = {side: c.assign(theta) for side, c in cells.items()}
centres = {side: gf.barycentre(R, sites, side=side) for side in sides}


def shown(natural):  # mean and standard deviation
    m, variance = np.moveaxis(normal.convert(natural, "natural", "ordinary"), -1, 0)
    return m, variance**0.5


# %%
# Balls of one radius about the sites are drawn too: they are as different as the cells.

figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), sharey=True)
for axis, side in zip(axes, sides, strict=True):
    axis.pcolormesh(mean, sd, nearest[side], cmap=plt.matplotlib.colors.ListedColormap(["C0", "C1", "C2"]), alpha=0.3)
    for k, name in enumerate(iris.target_names):
        axis.contour(mean, sd, cells[side].divergences(theta)[..., k], [0.5], colors=f"C{k}", linewidths=1.2)
        axis.plot(*shown(sites[k]), "o", color=f"C{k}", mec="white", label=name)
    axis.plot(*shown(centres[side]), "*", color="black", ms=9, label="barycentre")
    axis.set(xlabel="mean (cm)", title={"left": "left: KL(p, site)", "right": "right: KL(site, p)"}.get(side, side))
axes[0].set_ylabel("standard deviation (cm)")
figure.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %%
# Answer
# ------
# It does. Sites on the left have cells that are polyhedra in expectations, and the barycentre with the mean of the
# moments: wide enough for all three. Sites on the right have polyhedra in natural coordinates, and a barycentre
# nearly as narrow as the narrowest. The symmetrised divergence lies between.

moved = {side: (nearest[side] != nearest["left"]).mean() for side in sides[1:]}
print(", ".join(f"{share:.1%} of the picture has another site for side {side}" for side, share in moved.items()))
for side in sides:
    m, deviation = shown(centres[side])
    print(f"{side} barycentre: mean {m:.2f} cm, standard deviation {deviation:.2f} cm")
inside = theta[40:120, 40:200]  # walls are flat: the difference of two divergences is affine in mu, or in theta
for side, chart in (("left", R.gradient(inside)), ("right", inside)):
    difference = cells[side].divergences(inside) @ [1.0, -1.0, 0.0]
    design = np.c_[chart.reshape(-1, 2), np.ones(chart[..., 0].size)]
    misfit = difference.ravel() - design @ np.linalg.lstsq(design, difference.ravel(), rcond=None)[0]
    print(f"side {side}: walls flat to {np.abs(misfit).max() / np.abs(difference).max():.0e}")
    assert np.abs(misfit).max() < 1e-9 * np.abs(difference).max()
assert moved["right"] > 0.1 > 0.01 and moved["symmetrised"] < moved["right"]
assert shown(centres["left"])[1] > shown(centres["symmetrised"])[1] > shown(centres["right"])[1]
