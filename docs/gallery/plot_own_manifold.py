r"""
Is the potential of balanced weights another one?
=================================================

**Question.** Weights of :math:`w = u^2 - v^2` that start with :math:`uv = c` keep that product for ever. If the
model is *restricted* to those balanced weights, a manifold of half the dimension, and flows by the metric of that
manifold, does anything change in w?

Balanced weights are a level set, so they are a manifold of one's own in 25 lines: the level set, its derivative,
and how to project to it and to its tangent space.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf  # before geomstats, whose backend it chooses

# isort: split
from geomstats.geometry.base import LevelSet
from geomstats.geometry.euclidean import Euclidean

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line


class Balanced(LevelSet):
    """u_i v_i = c_i and u_i, v_i > 0: a hyperbola for each of the d pairs x_i = (u_i, v_i), in R^{2d}."""

    def __init__(self, c):
        self.c = np.asarray(c, dtype=float)
        super().__init__(dim=len(self.c), equip=False)

    def _define_embedding_space(self):
        return Euclidean(2 * len(self.c), equip=False)

    def submersion(self, x):
        u, v = anp.split(x, 2, axis=-1)
        return u * v - self.c

    def tangent_submersion(self, vector, x):
        (u, v), (du, dv) = anp.split(x, 2, axis=-1), anp.split(vector, 2, axis=-1)
        return du * v + u * dv

    def to_tangent(self, vector, x):
        u, v = anp.split(x, 2, axis=-1)
        off = self.tangent_submersion(vector, x) / (u**2 + v**2)
        return vector - anp.concatenate([v * off, u * off], axis=-1)

    def projection(self, x):  # along u^2 - v^2 = const, the normals' own curves
        u, v = anp.split(x, 2, axis=-1)
        w = u**2 - v**2
        length = anp.sqrt(w**2 + 4 * self.c**2)
        return anp.concatenate([anp.sqrt((length + w) / 2), anp.sqrt((length - w) / 2)], axis=-1)

    def random_point(self, n_samples=1, bound=1.0):
        u = np.exp(np.random.default_rng(0).uniform(-bound, bound, (n_samples, len(self.c))))
        return np.concatenate([u, self.c / u], axis=-1)


def squares(x):
    u, v = anp.split(x, 2, axis=-1)
    return u**2 - v**2


# %%
# The same map on all weights, and on balanced ones
# -------------------------------------------------

c = np.array([0.05, 0.4])
M, x0 = Balanced(c), np.concatenate([c**0.5, c**0.5])
restricted = gf.Parametrization(squares, M, 2, name="u^2 - v^2 on uv = c")
whole = gf.Parametrization(squares, 4, 2, name="u^2 - v^2")
loss = gf.LeastSquares([[1.0, 1.0]], [1.5])
report = gf.verify_equivalence(loss, restricted, x0, t=4.0)
print(report)
R, R_whole = gf.mirror_map(restricted, x0), gf.mirror_map(whole, x0)
free = gf.gradient_flow(loss, whole, x0, 4.0)

figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6))
u = np.geomspace(0.02, 2, 400)
for k in range(2):
    left.plot(u, c[k] / u, color="0.7", lw=3, label="level sets $u_i v_i = c_i$" if k == 0 else None)
    left.plot(*report.gradient_flow.x[:, [k, k + 2]].T, color=f"C{k}", label=f"flow of the pair $i$ = {k + 1}")
    left.plot(*x0[[k, k + 2]], "s", color=f"C{k}")
left.set(
    aspect="equal", xlim=(0, 1.5), ylim=(0, 1.5), xlabel="$u$", ylabel="$v$", title="least squares on the level set"
)
left.legend(fontsize=8)
s = np.linspace(-1.5, 1.5, 121)
for k in range(2):
    w = np.zeros((121, 2))
    w[:, k] = s
    right.plot(s, R_whole(w), color="0.7", lw=5)
    right.plot(s, R(w), color=f"C{k}", label=f"$c$ = {c[k]:g}")
right.plot([], [], color="0.7", lw=5, label="of all weights")
right.set(xlabel="$w_i$", ylabel="$R$", title="R along the two axes, from balanced weights")
right.legend()
plt.show()

# %%
# Answer
# ------
# Nothing. The level set is the leaf that the flow never leaves, and a leaf has the R of the whole: what depends on
# the level, the smaller c the nearer R to the l1 norm, depends on it in both in the same way.

w = np.random.default_rng(1).uniform(-1.5, 1.5, (50, 2))
gaps = {
    "gradients of R, restricted and whole": np.abs(R.gradient(w) - R_whole.gradient(w)).max(),
    "gradient of R and arsinh(w / 2c) / 4": np.abs(R.gradient(w) - np.arcsinh(w / (2 * c)) / 4).max(),
    "flows of w, restricted and whole": np.abs(report.gradient_flow.w - free.w).max(),
    "restricted flow from its level set": np.abs(M.submersion(report.gradient_flow.x)).max(),
}
for name, gap in gaps.items():
    print(f"{name}: {gap:.1e} apart")
assert report and max(gaps.values()) < 1e-7
