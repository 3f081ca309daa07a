r"""
From a potential in a file to its picture
=========================================

**Question.** I have a convex function of my own. Which parametrization has it as its mirror potential, and how do I
see it, with nothing but the command line?

The function below is the negative log-likelihood of a model of 16 counts with two unknown effects that are coupled:
a sum of exponentials and a term that is none. It goes into a file of a few lines.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

folder = Path(tempfile.mkdtemp())
(folder / "mine.py").write_text("""
import autograd.numpy as np
import geoflow as gf

doses = np.linspace(-1, 1, 16)


def likelihood(w):  # rates exp(a + b dose), and a penalty that couples a and b
    rates = np.exp(w[..., :1] + w[..., 1:] * doses)
    return np.mean(rates, axis=-1) + np.sqrt(1 + w[..., 0] ** 2 + w[..., 1] ** 2)


R = gf.LegendreFunction(likelihood, 2, name="counts")
""")

# %%
# One command
# -----------
# ``geoflow realize`` embeds the metric :math:`\nabla^2 R` on a box, measures the result at points that the solver
# never saw, runs gradient flow on M beside mirror flow, and writes pictures, figures and the map itself.

command = ["realize", "mine.py:R", "--box=-1:1", "--tol=1e-7", "--plot=pictures", "--save=mine.npz", "--json=mine.json"]
done = subprocess.run([sys.executable, "-m", "geoflow", *command], cwd=folder, capture_output=True, text=True)
print("$ geoflow", *command)
print(done.stdout)
assert done.returncode == 0, done.stderr
figures = json.loads((folder / "mine.json").read_text())["figures"]

# %%
# What it drew
# ------------

for picture in sorted((folder / "pictures").glob("*.png")):
    pixels = plt.imread(picture)
    figure = plt.figure(figsize=(6.4, 6.4 * pixels.shape[0] / pixels.shape[1]), layout="none")
    figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[]).imshow(pixels)
    print(picture.name)

# %%
# The map it saved
# ----------------
# It is read back, compared with the potential again, and used: a grid of the box as it lies on M, and a flow on it.

sys.path.insert(0, str(folder))
from mine import R  # noqa: E402

F = gf.load_realization(folder / "mine.npz", potential=R)
counts = gf.LeastSquares([[1.0, 0.4]], [0.6])  # any loss: here one more linear observation
w0 = np.array([-0.7, 0.5])
on_m = gf.gradient_flow(counts, F.parametrization, F.embedding(w0), 3.0).unwrap()
in_w = gf.mirror_flow(counts, R, w0, 3.0).unwrap()
gap = np.abs(on_m.w - in_w.w).max()

s = np.linspace(-0.999, 0.999, 81)
lines = [np.stack([np.full(81, c), s], axis=-1) for c in s[::8]] + [
    np.stack([s, np.full(81, c)], axis=-1) for c in s[::8]
]
M = F.embedding(np.array(lines))
centre = M.reshape(-1, F.ambient_dim).mean(axis=0)
axes_of_m = np.linalg.svd(M.reshape(-1, F.ambient_dim) - centre, full_matrices=False)[2][:3]
figure, panels = plt.subplots(2, 1, figsize=(5.6, 5.6), height_ratios=[4, 1], sharex=True)
for panel, (i, j) in zip(panels, ((0, 1), (0, 2)), strict=True):
    for x in M:
        panel.plot(*((x - centre) @ axes_of_m[[i, j]].T).T, color="0.75", lw=0.8)
    path = (on_m.x - centre) @ axes_of_m[[i, j]].T
    panel.plot(*path.T, color="C1", label="gradient flow on M")
    panel.plot(*path[0], "s", color="black", label="start")
    panel.set(aspect="equal", ylabel=f"principal axis {j + 1}")
panels[0].set_title(f"M of counts, box $[-1, 1]^2$, in $R^{F.ambient_dim}$")
panels[1].set(title="the same, from the side", xlabel="principal axis 1", ylabel="axis 3")
panels[0].legend(fontsize=8, loc="upper left")
plt.show()

# %%
# Answer
# ------
# The potential is that of a surface M in :math:`R^5`, with coordinates w read off the nearest point: gradient flow
# on M is its mirror flow. What the command measured, and what is measured again here:

print(f"on the command line: metric error {figures['metric']:.1e}, flows {figures['gap']:.1e} apart")
print(f"read back: metric error {F.certificate.metric_error:.1e}, flows {gap:.1e} apart")
assert F.certificate and F.remeasured and figures["metric"] < 1e-7 and gap < 1e-6
