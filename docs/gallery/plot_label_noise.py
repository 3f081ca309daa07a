r"""
Does label noise change the implicit bias?
==========================================

**Question.** Gradient flow through :math:`w = u^2 - v^2` from a large start tends to a dense interpolant. Training
with labels that are noisy in every step is known to find a sparse one. What does the noise change: is it seen by
gradient descent and by mirror descent alike?

The theorem covers noise that holds for a while: gradient flow with it is mirror flow with it. Steps of gradient
descent are no flow. Both are run here with the same noise, 12 equations for a signal of 3 spikes in dimension 30,
from u = v = 1/2.
"""

import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

rng = np.random.default_rng(0)
d, n, step, n_steps = 30, 12, 0.01, 40_000
signal = np.zeros(d)
signal[[3, 11, 20]] = 1.0, -0.8, 0.6
Z = rng.standard_normal((n, d)) / np.sqrt(n)
loss = gf.LeastSquares(Z, Z @ signal)
network = gf.catalog.diagonal_network(d, depth=2, alpha=0.5)
G, R = network.parametrization, network.legendre
xi = np.random.default_rng(1).standard_normal((n_steps, n))


def noise(k):  # labels y + xi_k instead of y
    return -xi[k] @ Z


descent = gf.gradient_descent(loss, G, network.x0, step, n_steps, noise=noise)
mirror = gf.mirror_descent(loss, R, np.zeros(d), step, n_steps // 8, noise=noise)

# %%
# Where each of them is, without the noise
# ----------------------------------------
# The noise keeps w moving. To see which interpolant it moves about, it is switched off after k steps and the flow
# followed to its limit: gradient flow from the weights of gradient descent, mirror flow from the w of mirror
# descent.

after = np.array([0, 300, 1000, 2500, 5000, 10_000, 15_000, 20_000, 30_000, 40_000])
limits = gf.gradient_flow(loss, G, descent.x[after], [150.0]).unwrap().w[-1]
early = after[after < len(mirror.w)]
mirror_limits = np.array([gf.bregman_projection(R, Z, loss.y, mirror.w[k]) for k in early])
projection = gf.bregman_projection(R, Z, loss.y, np.zeros(d))


def error(w):
    return np.linalg.norm(w - signal, axis=-1) / np.linalg.norm(signal)


# %%
# What moved
# ----------
# Gradient flow conserves every product :math:`u_i v_i`, and R depends on the start through them alone. A step
# multiplies the product by :math:`1 - (2 \eta g_i)^2`, g the noisy gradient: less than one, whatever its sign.

u, v = descent.x[:, :d], descent.x[:, d:]
forces = np.diff(descent.mu, axis=0) / step
predicted = network.x0[0] ** 2 * np.exp(-4 * step**2 * np.cumsum(forces**2, axis=0))

figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.6))
left.plot(after, error(limits), "o-", label="gradient descent")
left.plot(early, error(mirror_limits), "s--", label="mirror descent")
left.axhline(error(projection), color="black", lw=0.8)
left.annotate("limit of gradient flow", (n_steps, error(projection)), ha="right", va="bottom", fontsize=9)
left.set(xlabel="steps with label noise", ylabel="relative distance of the limit to the signal", ylim=(0, None))
left.set_title(r"$w = u^2 - v^2$, least squares in $R^{30}$")
left.legend()
shown = np.arange(0, n_steps, 200)
for k, i in enumerate([3, 11, 20, 0, 1]):
    right.semilogy(shown, (u * v)[shown, i], color=f"C{k}", label=f"$i$ = {i}" + (" (spike)" if signal[i] else ""))
    right.semilogy(shown, predicted[shown, i], ":", color="black", lw=1)
right.set(
    xlabel="steps with label noise",
    ylabel="$u_i v_i$",
    title=r"products, and $\alpha^2 \exp(-4\eta^2 \sum g_i^2)$ (dotted)",
)
right.legend(loc="lower left")
plt.show()

# %%
# Answer
# ------
# Noise changes nothing for mirror descent: :math:`\nabla R(w)` stays in the span of the data, and without noise it
# returns to the limit of the flow. Gradient descent drifts across the leaves: every :math:`u_i v_i` decays, as if
# the start had been ever smaller, and a small start is what makes the limit sparse.

stays = np.abs(mirror_limits - projection).max()
off = np.abs(np.log((u * v)[-1] / predicted[-1])).max()
print(f"mirror descent: limits differ from that of the flow by {stays:.0e}")
before, end = error(limits[0]), error(limits[-1])
print(f"gradient descent: distance from the signal {before:.3f} without noise, {end:.3f} after {n_steps} steps")
print(f"products fell from 0.25 to {(u * v)[-1].max():.1e} or less; log of the prediction off by at most {off:.2f}")
assert stays < 1e-8 and end < 0.1 * before
assert off < 0.05 * np.abs(np.log(predicted[-1] * 4)).max()
