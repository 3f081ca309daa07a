r"""
How many dimensions does an isometric embedding need?
=====================================================

**Question.** The converse theorem says "some :math:`R^D`". For a potential of two variables without any structure,
which D is enough, and what happens below it?

A metric of two variables has 3 entries, and F has D coordinates: there are as many equations as unknowns at D = 3,
the dimension of the Janet-Cartan theorem for small pieces. `gf.realize` asks for :math:`d(d+3)/2 = 5` by itself,
where the linearised problem is solvable at every point (Nash's free maps). R is the quartic
:math:`|w|^2/2 + |w|^4/4`.
"""

import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

R = gf.catalog.potentials["quartic"](2)
box = gf.domains.Box([-0.5, -0.5], [0.5, 0.5])


def best(D, degree=24, tol=1e-10):
    """The best F of the spectral solver in R^D, whether it meets tol or not."""
    try:
        return gf.realize(R, box, tol=tol, method="spectral", ambient_dim=D, max_degree=degree)
    except gf.RealizationError as error:
        return error.evidence["realization"]


found = {D: best(D) for D in (2, 3, 4, 5, 6)}

# %%
figure = plt.figure(figsize=(8, 3.7))
left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
for k, (D, F) in enumerate(found.items()):
    ends = [j for j in range(1, len(F.stages)) if F.stages[j].parameter < F.stages[j - 1].parameter]
    for begin, end in zip([0, *ends], [*ends, len(F.stages)], strict=True):  # one line for every start
        degrees, errors = [s.parameter for s in F.stages[begin:end]], [s.fresh for s in F.stages[begin:end]]
        left.semilogy(degrees, errors, "os^Dv"[k] + "-", color=f"C{k}", alpha=1 if end == len(F.stages) else 0.35)
    left.annotate(
        f"$D$ = {D}", (degrees[-1], errors[-1]), (-32 if D == 5 else 6, -3), textcoords="offset points", color=f"C{k}"
    )
left.set(xlabel="degree of the polynomials", ylabel="relative metric error, fresh points")
left.set_title("quartic, box of side 1, spectral")
left.set_xlim(None, 29)
w = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 61)] * 2), axis=-1)
M, error = found[3].embedding(w), np.log10(found[3].metric_error(w) + 1e-17)
shades = plt.Normalize(error.min(), error.max())
right.plot_surface(*np.moveaxis(M, -1, 0), facecolors=plt.colormaps["cividis"](shades(error)), rcount=60, ccount=60)
right.set_box_aspect(np.ptp(M, axis=(0, 1)), zoom=0.9)
right.set(xlabel="$F_1$", ylabel="$F_2$", zlabel="$F_3$", title="M of D = 3, to scale")
right.set(xticks=[-0.5, 0, 0.5], yticks=[-0.5, 0, 0.5], zticks=[0, 0.2])
figure.colorbar(plt.cm.ScalarMappable(shades), ax=right, label=r"$\log_{10}$ of its error", shrink=0.6, pad=0.15)
plt.show()

# %%
# Answer
# ------
# Three, from the right start; from four on, any. In the plane the error stays at a percent whatever the degree: the
# metric is curved. At D = 3 there are as many equations as unknowns and nothing left to choose: two starts get stuck
# (pale), the third, bent more, falls with the degree. One dimension more, and the first start gets to rounding.

for D, F in found.items():
    c = F.certificate
    print(f"D = {D}: error {c.metric_error:.1e} on {c.n_points} fresh points, degree {F.stages[-1].parameter:.0f}")
curvature = R.metric.sectional_curvature(*np.eye(2), np.full(2, 0.5))
print(f"Gauss curvature of the metric at a corner: {curvature:.3f}")
errors = {D: F.certificate.metric_error for D, F in found.items()}
assert errors[2] > 5e-3 and errors[3] < 1e-6
assert max(s.fresh for s in found[3].stages if s.parameter == 18) > 1e-5  # a start that is stuck
assert max(errors[4], errors[5], errors[6]) < 1e-9
