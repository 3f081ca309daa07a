r"""
Why is exponentiated gradient a flow on a sphere?
=================================================

**Question.** Exponentiated gradient multiplies the weights of a mixture by :math:`e^{-\eta \nabla L}` and
normalises them. What curve does it follow, for short steps, and in which geometry is that curve gradient descent?

With :math:`w_i = x_i^2` a mixture is a point of the unit sphere: its weights are positive and sum to 1. The map
commutes on the sphere, and its R is a quarter of the simplex entropy.

The mixture: 60 unlabelled flowers, and the mean measurements of the three species of iris. Which share of each is
among them?
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

import geoflow as gf  # before geomstats, whose backend it chooses

# isort: split
from geomstats.geometry.hypersphere import Hypersphere

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

iris = load_iris()
means = np.stack([iris.data[iris.target == k].mean(axis=0) for k in range(3)])
rng = np.random.default_rng(1)
species = rng.choice(3, 60, p=[0.15, 0.6, 0.25])
flowers = np.stack([rng.choice(iris.data[iris.target == k]) for k in species])


def loss(w):  # of the first two shares; the third is what is left
    shares = anp.concatenate([w, 1 - anp.sum(w, axis=-1, keepdims=True)], axis=-1)
    return anp.sum((shares @ means - flowers.mean(axis=0)) ** 2, axis=-1)


# %%
# One flow, three ways
# --------------------
# On the sphere; in the simplex, as mirror flow of the entropy; and in steps of the textbook's formula.

sphere = gf.Parametrization(lambda x: x[..., :2] ** 2, space=Hypersphere(2), codomain_dim=2, name="squares")
x0, t = np.sqrt([0.05, 0.05, 0.9]), np.linspace(0, 6, 200)
R = 0.25 * gf.catalog.potentials["simplex_entropy"](2)
on_sphere = gf.gradient_flow(loss, sphere, x0, t).unwrap()
in_simplex = gf.mirror_flow(loss, R, x0[:2] ** 2, t).unwrap()
gap = np.abs(on_sphere.w - in_simplex.w).max()

step, shares = 0.01, np.array([0.05, 0.05, 0.9])
textbook, slope = [shares], lambda w: 2 * means @ (w @ means - flowers.mean(axis=0))
for _ in range(600):
    shares = shares * np.exp(-4 * step * slope(shares))
    shares = shares / shares.sum()
    textbook.append(shares)
textbook, shown = np.array(textbook), np.unique(np.geomspace(1, 600, 30).astype(int))
library = gf.mirror_descent(loss, R, x0[:2] ** 2, step, 600)

# %%
figure = plt.figure(figsize=(7.6, 3.8))
left = figure.add_subplot(1, 2, 1, projection="3d")
a, b = np.meshgrid(*[np.linspace(0, np.pi / 2, 30)] * 2)
octant = np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)
left.plot_surface(*octant, color="0.85", alpha=0.5, linewidth=0)
left.plot(*on_sphere.x.T, color="C0")
left.plot(*np.sqrt(textbook[shown]).T, "o", color="C1", ms=4, mfc="none")
left.plot(*x0[:, None], "ks")
left.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="$x_3$")
left.set_title("gradient flow on the sphere, $w = x^2$", y=0.97)
left.view_init(25, 35)
left.set_box_aspect((1, 1, 1), zoom=0.85)
right = figure.add_subplot(1, 2, 2)
corners = np.array([[0, 0], [1, 0], [0.5, 0.75**0.5]])


def plane(w):  # barycentric coordinates: an equilateral triangle
    return (np.concatenate([w, 1 - w.sum(axis=-1, keepdims=True)], axis=-1) @ corners).T


right.fill(*corners.T, facecolor="0.93", edgecolor="0.4")
right.plot(*plane(on_sphere.w), color="C0", label="$x^2$ of the flow on the sphere")
right.plot(
    *plane(textbook[shown, :2]), "o", color="C1", ms=4, mfc="none", label=rf"some of 600 steps, $\eta$ = {4 * step:g}"
)
right.plot(*plane(x0[None, :2] ** 2), "ks", label="start")
for corner, name, where in zip(corners, iris.target_names, ("right", "left", "center"), strict=True):
    right.annotate(name, corner, (0, -13 if corner[1] == 0 else 5), textcoords="offset points", ha=where)
right.set(aspect="equal", xlim=(-0.2, 1.2), ylim=(-0.35, 1.0))
right.set_title("mirror flow of the entropy, shares of species", y=0.97)
right.axis("off")
right.legend(loc="lower center", fontsize=8)
plt.show()

# %%
# Answer
# ------
# It follows gradient flow of the sphere's own metric, in the coordinates :math:`x = \sqrt w`. Its steps are mirror
# descent of the entropy, to rounding, and within O(step) of that flow.

same = np.abs(library.w - textbook[:, :2]).max()
print(f"flow on the sphere against mirror flow in the simplex: gap {gap:.1e}")
print(f"textbook formula against gf.mirror_descent: {same:.1e}")


def distance(h):
    steps = gf.mirror_descent(loss, R, x0[:2] ** 2, h, round(6 / h))
    return np.abs(steps.w - in_simplex(steps.t.clip(max=6))).max()


order = gf.fitted_order(distance, [0.02, 0.01, 0.005])
print(f"steps tend to the flow with order {order:.2f} of the step")
found, true = on_sphere.w[-1], np.bincount(species, minlength=3)[:2] / 60
print(
    f"shares found {found.round(3)} and {1 - found.sum():.3f}, in the sample {true.round(3)} and {1 - true.sum():.3f}"
)
assert gap < 1e-8 and same < 1e-12 and abs(order - 1) < 0.15
assert np.abs(found - true).max() < 0.1
