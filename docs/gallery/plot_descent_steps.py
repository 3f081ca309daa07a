r"""
Are gradient descent and mirror descent the same, step by step?
===============================================================

**Question.** The flows of x and of w are one curve. Their discretizations, gradient descent on :math:`w = x^2`,
mirror descent with the entropy of that map, and natural gradient descent with its metric, are three algorithms. How
far apart are they, and from the flow, at a step that one would use?

The loss is a picture: the mean image of the digit 8, out of the mean images of 0 and of 1, in positive amounts.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

digits = load_digits()
zero, one, eight = (digits.data[digits.target == k].mean(axis=0) for k in (0, 1, 8))
scale = np.linalg.norm(eight)
loss = gf.LeastSquares(np.c_[zero, one] / scale, eight / scale)

square = gf.catalog.parametrizations["square"](2).parametrization
x0 = np.sqrt([0.7, 0.02])
R = gf.mirror_map(square, x0)
T, w0 = 4.0, x0**2
flow = gf.mirror_flow(loss, R, w0, np.linspace(0, T, 200)).unwrap()

# %%
# Three algorithms, one of them in x
# ----------------------------------

runs = {
    "gradient descent of x": lambda h: gf.gradient_descent(loss, square, x0, h, round(T / h)),
    "mirror descent of w": lambda h: gf.mirror_descent(loss, R, w0, h, round(T / h)),
    "natural gradient descent of w": lambda h: gf.natural_gradient_descent(loss, R, w0, h, round(T / h)),
}
steps = 0.2 * 0.5 ** np.arange(6)


def error(run, h):
    """How far the steps are from the flow at the same times, at worst."""
    found = run(h)
    return np.abs(found.w - flow(np.minimum(found.t, T))).max()


errors = {name: [error(run, h) for h in steps] for name, run in runs.items()}

figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.7))
left.plot(*flow.w.T, color="black", lw=1.2, label="the flow")
for (name, run), marker, k in zip(runs.items(), "osD", range(3), strict=True):
    path = run(0.2).w
    left.plot(*path.T, marker, color=f"C{k}", ms=6 - k, mfc="none", label=name)
    right.loglog(steps, errors[name], marker + "-", color=f"C{k}", mfc="none", label=name)
left.set(xlabel="$w_1$, amount of the 0", ylabel="$w_2$, amount of the 1", aspect="equal", adjustable="datalim")
left.set_title("$w = x^2$, least squares, step 0.2")
left.legend(loc="center left", bbox_to_anchor=(0, 0.32), fontsize=8)
right.loglog(steps, 0.3 * steps, ":", color="black", lw=1, label="proportional to the step")
right.set(xlabel="step", ylabel="largest distance from the flow", title="error against step, to t = 4")
right.legend(loc="lower right", fontsize=8)
plt.show()

# %%
# Answer
# ------
# They are not the same, and each tends to the flow with the first order of its step: at one step the algorithms are
# as far from each other as from the flow.

for name, found in errors.items():
    order = np.polyfit(np.log(steps[2:]), np.log(found[2:]), 1)[0]
    print(f"{name}: {found[0]:.1e} from the flow at step 0.2, {found[-1]:.1e} at {steps[-1]:g}, order {order:.2f}")
    assert abs(order - 1) < 0.1
apart = np.abs(runs["gradient descent of x"](0.2).w - runs["mirror descent of w"](0.2).w).max()
print(f"gradient descent and mirror descent at step 0.2: {apart:.1e} apart")
print(f"amounts found: {flow.w[-1].round(3)}, loss {flow.loss[0]:.3f} to {flow.loss[-1]:.3f}")
assert 0.1 < apart / errors["mirror descent of w"][0] < 10
