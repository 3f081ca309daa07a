r"""
What does the Gaussian family look like from outside?
=====================================================

**Question.** The normal distributions with Fisher's metric are a hyperbolic plane, which no smooth surface in space
without edges can be. In which :math:`R^D` does the family live with its own lengths, and what does its picture
show?

The log-partition function of the family is a Legendre function R, and Fisher's metric its Hessian. `gf.realize`
knows R by its structure, and answers with Blanusa's embedding of the whole plane in :math:`R^6`, a closed form. The
two normals that are joined here are those of petal length of iris setosa and virginica.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

iris = load_iris()
normal = gf.families.gaussian()
R = normal.log_partition
F = gf.realize(R)
print(F)
petals = [iris.data[iris.target == k, 2:3] for k in (0, 2)]
a, b = (normal.maximum_likelihood(length) for length in petals)

# %%
# Three ways between two normals
# ------------------------------
# The geodesic of Fisher's metric, and the two straight lines: in natural coordinates (mixtures of log densities),
# and in expectation coordinates (mixtures of moments).

s = np.linspace(0, 1, 20_001)
tangent = R.metric.log(b, a)
ways = {
    "Fisher's geodesic": R.metric.exp(s[:, None] * tangent, a),
    "straight in natural coordinates": a + s[:, None] * (b - a),
    "straight in expectations": R.inverse_gradient(R.gradient(a) + s[:, None] * (R.gradient(b) - R.gradient(a))),
}
in_space = {name: F.embedding(way) for name, way in ways.items()}
lengths = {name: np.linalg.norm(np.diff(x, axis=0), axis=1).sum() for name, x in in_space.items()}

# %%
# In the half plane of mean and deviation, and in six dimensions
# --------------------------------------------------------------
# The mean is drawn divided by the root of 2: there geodesics are half circles about points of the axis.

figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.6))
for (name, way), style in zip(ways.items(), ("-", "--", "-."), strict=True):
    m, variance = normal.convert(way, "natural", "ordinary").T
    left.plot(m / 2**0.5, variance**0.5, style, label=name)
for point, name, side in ((a, "setosa", "left"), (b, "virginica", "right")):
    m, variance = normal.convert(point, "natural", "ordinary")
    left.plot(m / 2**0.5, variance**0.5, "ko")
    left.annotate(name, (m / 2**0.5, variance**0.5), (0, -6), textcoords="offset points", va="top", ha=side)
left.set(xlabel=r"mean / $\sqrt{2}$ (cm)", ylabel="standard deviation (cm)", aspect="equal", ylim=(-0.15, 3.1))
left.set_title("normals of petal length, metric of Fisher")
left.legend(loc="upper center", fontsize=8)
geodesic = in_space["Fisher's geodesic"]
way = np.r_[0, np.linalg.norm(np.diff(geodesic, axis=0), axis=1).cumsum()]
for k, style in enumerate(["-", "--", "-", "--", "-", "--"]):
    right.plot(way, geodesic[:, k] - geodesic[0, k], style, lw=1.5, label=f"$F_{k + 1}$")
right.set(xlabel="length along $F$(geodesic)", ylabel="coordinate, from its start")
right.set_title(f"the geodesic in $R^{{{F.ambient_dim}}}$, exact embedding")
right.legend(loc="upper left", ncols=2, fontsize=8)
plt.show()

# %%
# Answer
# ------
# In six dimensions, by a closed form that is good on all of the family. Lengths of curves are kept, and distances
# are not: two coordinates carry the curve along, four vibrate and take up the length that a surface without room
# for it has to hide.

curvature = R.metric.sectional_curvature(*np.eye(2), a)
distance, chord = float(R.metric.dist(a, b)), np.linalg.norm(geodesic[-1] - geodesic[0])
print(f"curvature {curvature:.10f}; Fisher's distance {distance:.6f}, straight through R^6 {chord:.3f}")
for name, length in lengths.items():
    print(f"length in R^6 of what is {name}: {length:.6f}")
assert F.exact and F.ambient_dim == 6 and F.certificate.metric_error < 1e-10
assert abs(curvature + 0.5) < 1e-10
assert abs(lengths["Fisher's geodesic"] / distance - 1) < 1e-5 and chord < distance / 2
assert min(lengths, key=lengths.get) == "Fisher's geodesic"
