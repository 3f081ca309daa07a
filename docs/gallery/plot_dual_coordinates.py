r"""
Where are the weights, if all one kept is the sum of gradients?
===============================================================

**Question.** The direct theorem says that the weights of gradient flow are a function
:math:`x(t) = \psi(x_0; \mu(t))` of one vector, :math:`\mu(t) = -\int_0^t \nabla L(w)\,ds`, whatever the loss was.
How much of the training can be thrown away, and from which other starts is the same R seen?

The map is :math:`w = A_i(x)`, two quadratic forms of three weights that are diagonal in one basis, so that their
fields commute; D = 3 and d = 2.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

V = np.linalg.qr(np.array([[2.0, 1.0, 0.3], [-1.0, 2.0, 0.5], [0.2, -0.6, 1.0]]))[0]
a = np.array([[1.0, 0.4, -0.7], [-0.3, 0.9, 0.5]])  # eigenvalues of A_1 and A_2
A = np.einsum("ki,ji,li->jkl", V, a, V)
G = gf.Parametrization(lambda x: anp.einsum("...k,jkl,...l->...j", x, A, x) / 2, 3, 2, name="two forms")
x0 = V @ np.array([0.8, 0.6, 0.7])
G.check_commuting(x0).unwrap()
G.check_regular(x0).unwrap()

# %%
# Three trainings, kept as three vectors
# --------------------------------------
# Each loss has its own path and its own clock. Of each only the integral of its gradient is kept, at 60 times.

losses = {
    "least squares": gf.LeastSquares([[1.0, 0.5], [0.0, 1.0]], [1.2, 0.5]),
    "logistic": gf.LogisticLoss([[1.0, -0.4], [0.3, 1.0], [-0.6, 0.2]], [1, 1, -1]),
    "of time": lambda w, t: anp.sum((w - anp.array([anp.sin(3 * t), 1.0])) ** 2),
}
flows = {name: gf.gradient_flow(loss, G, x0, np.linspace(0, 2, 60)) for name, loss in losses.items()}
lost = {name: np.abs(gf.joint_flow(G, x0, flow.mu) - flow.x).max() for name, flow in flows.items()}

# %%
# The map from mu to w is the gradient of a convex Q
# --------------------------------------------------
# On the left what is kept, over level sets of Q, the conjugate of the induced R; on the right the same flows in w,
# over those of R = <w, mu> - Q. Both are computed from the map alone.

R = gf.mirror_map(G, x0)
Q, w0 = R.conjugate, G(x0)
every = np.concatenate([flow.mu for flow in flows.values()])
low, high = every.min(axis=0) - 0.12, every.max(axis=0) + 0.12
mu = np.stack(np.meshgrid(np.linspace(low[0], high[0], 31), np.linspace(low[1], high[1], 31)), axis=-1)
w, values = Q.gradient(mu), Q(mu)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.7))
left.contour(*np.moveaxis(mu, -1, 0), values, 9, colors="0.8", linewidths=0.9)
right.contour(*np.moveaxis(w, -1, 0), np.sum(w * mu, axis=-1) - values, 9, colors="0.8", linewidths=0.9)
for k, (name, flow) in enumerate(flows.items()):
    left.plot(*flow.mu.T, color=f"C{k}")
    right.plot(*flow.w.T, color=f"C{k}", label=name)
left.plot(0, 0, "s", color="k")
right.plot(*w0, "s", color="k", label="start")
left.set(xlabel=r"$\mu_1$", ylabel=r"$\mu_2$", aspect="equal", title=r"what is kept: $\mu$, over Q")
right.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal", title=r"$w = \nabla Q(\mu)$, over R")
right.legend(fontsize=8)
plt.show()

# %%
# Answer
# ------
# All of it but :math:`\mu`: two numbers are the three weights, at every time of every loss. The Hessian of Q is
# the matrix :math:`dG\,dG^T` there; the leaf of two dimensions that they reach has the same R; and any other point
# of that leaf as a start has it too, up to an affine function, :math:`R_1 = D_{R_0}(\cdot, G(x_1))`.

kept = np.concatenate([flow.mu[::6] for flow in flows.values()])
w = Q.gradient(kept)
x1 = gf.joint_flow(G, x0, np.array([0.2, -0.1]))
R1, on_leaf = gf.mirror_map(G, x1), G.on_leaf(x0)
gaps = {
    "weights from mu, and those of training": max(lost.values()),
    "gradient of Q, and the map there": np.abs(w - G(gf.joint_flow(G, x0, kept))).max(),
    "Hessian of Q, and dG dG^T there": np.abs(Q.hessian(kept) - G.cometric(gf.joint_flow(G, x0, kept))).max(),
    "R of another start, and the divergence to it": np.abs(R1(w) - R.bregman_divergence(w, G(x1))).max(),
    "Hessian of R, and the metric of the leaf": np.abs(R.hessian(w) @ on_leaf.cometric(w) - np.eye(2)).max(),
}
for name, gap in gaps.items():
    print(f"{name}: {gap:.1e} apart")
assert max(gaps.values()) < 1e-7
