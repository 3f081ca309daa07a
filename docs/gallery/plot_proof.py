r"""
How far is a certificate from a proof?
======================================

**Question.** A certificate looks at thousands of points, and something may hide between them. `F.prove()` bounds
the metric error at *every* point of the box, by ball arithmetic. How much larger is what is proved than what was
seen, and what follows for flows?

R is :math:`\sqrt{1 + |w|^2} + |w|^2/4`, which has no structure that would make an embedding exact. Needs
``pip install geoflow[proof]``.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line

R = gf.LegendreFunction(lambda w: anp.sqrt(1 + anp.sum(w**2, axis=-1)) + anp.sum(w**2, axis=-1) / 4, 2, name="round")
box = gf.domains.Box([-0.5, -0.5], [0.5, 0.5])
print(R.prove_legendre(box))


def best(degree):
    """The best F of a degree, whether it meets tol or not."""
    try:
        return gf.realize(R, box, tol=1e-13, method="spectral", max_degree=degree)
    except gf.RealizationError as error:
        return error.evidence["realization"]


degrees = (4, 6, 8, 10, 12, 14, 16, 20)
found = [best(degree) for degree in degrees]
proofs = [F.prove() for F in found]

# %%
# From the metric to the flows
# ----------------------------
# A bound of the metric error is one of the gap between gradient flow on M and mirror flow of R, by Gronwall's
# lemma, for a loss with known bounds of its gradient and its second derivatives on the box.

loss, w0, T = gf.LeastSquares([[0.3, 0.2]], [0.1]), np.array([-0.2, 0.3]), 1.0
lipschitz, gradient = 0.3**2 + 0.2**2, np.hypot(0.3, 0.2) * (0.1 + 0.5 * (0.3 + 0.2))
bounds = [proof.flow_gap(T, lipschitz, gradient) for proof in proofs]
in_w = gf.mirror_flow(loss, R, w0, T, rtol=1e-12, atol=1e-13).unwrap()
gaps = []
for F in found:
    on_m = gf.gradient_flow(loss, F.parametrization, F.embedding(w0), T, rtol=1e-12, atol=1e-13).unwrap()
    gaps.append(np.abs(on_m.w - in_w.w).max())

figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.5))
left.semilogy(degrees, [proof.eps for proof in proofs], "o-", label="proved, every point")
left.semilogy(degrees, [F.certificate.metric_error for F in found], "s--", label="measured, 2500 points and more")
left.set(xlabel="degree of F", ylabel="relative metric error", title="round potential, box of side 1, $R^5$")
left.legend()
right.semilogy(degrees, bounds, "o-", label="proved")
right.semilogy(degrees, gaps, "s--", label="measured")
right.set(xlabel="degree of F", ylabel=r"$|w_{M} - w_{R}|$ up to $t = 1$", title="flow on M against mirror flow of R")
right.legend()
plt.show()

# %%
# Answer
# ------
# A small factor: what is proved is about four times what was measured, down to 1e-10, and nothing was hidden
# between the points. The bound of the flows is larger by more, as it has to hold for every loss and start with
# these constants.

ratios = np.array([proof.eps / F.certificate.metric_error for proof, F in zip(proofs, found, strict=True)])
for degree, proof, bound, gap in zip(degrees, proofs, bounds, gaps, strict=True):
    print(f"degree {degree}: error at most {proof.eps:.1e}, flows at most {bound:.1e} apart, seen {gap:.1e}")
print(f"proved over measured: {ratios.min():.1f} to {ratios.max():.1f}")
print(proofs[-1].argument)
assert all(proofs) and (ratios > 1).all() and ratios.max() < 6
assert all(gap < bound + 1e-11 for gap, bound in zip(gaps, bounds, strict=True))
