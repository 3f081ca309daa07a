"""The implicit bias: limits of flows against the size of their initialization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from geoflow._typing import ArrayLike
from geoflow._validate import as_finite
from geoflow.app.figures.styling import COLOURS, GREY, colour_of, drawing, entitle
from geoflow.errors import ShapeError

NAMED = len(COLOURS) - 1


def regularization_path(
    alphas: ArrayLike,
    coefficients: ArrayLike,
    ax: Axes | None = None,
    names: Sequence[str] = (),
    subject: str = "Limits of gradient flow",
) -> Axes:
    """Coefficients of the limit, shape=[n_alphas, d], against the initialization; the largest have colours and names.

    `names`, d of them, are those of the features; by default their numbers.
    """
    alphas, w = as_finite(alphas, "initializations"), as_finite(coefficients, "coefficients")
    if w.ndim != 2 or alphas.shape != w.shape[:1] or len(names) not in (0, w.shape[1]):
        got = f"{alphas.shape} initializations, coefficients of shape {w.shape}, {len(names)} names"
        raise ShapeError("regularization path", got, "shapes [n] and [n, d], and d names or none")
    smallest, d = int(np.argmin(alphas)), w.shape[1]
    order = np.argsort(-np.abs(w[smallest]), kind="stable")
    with drawing(ax) as axis:
        for i in order[NAMED:]:
            axis.semilogx(alphas, w[:, i], color=GREY, lw=0.5, zorder=1)
        for rank, i in enumerate(order[:NAMED]):
            label = names[i] if names else f"$w_{{{i + 1}}}$"
            axis.semilogx(alphas, w[:, i], color=colour_of(rank), marker="o", ms=2.5, zorder=3, label=label)
        axis.invert_xaxis()
        axis.set(xlabel=r"initialization $\alpha$", ylabel="coefficient of the limit")
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6.5, handlelength=1.2)
        some = f"the {NAMED} largest of {d} coefficients at the smallest initialization in colour" if d > NAMED else ""
        entitle(axis, subject, some)
        return axis


def norm_ratios(
    alphas: ArrayLike, ratios: ArrayLike, ax: Axes | None = None, subject: str = "Limits of gradient flow"
) -> Axes:
    """The l1 norm of the limit over the least one, of basis pursuit, minus 1, against the initialization."""
    alphas, excess = as_finite(alphas, "initializations"), as_finite(ratios, "ratios") - 1
    if alphas.ndim != 1 or alphas.shape != excess.shape:
        raise ShapeError("ratios", f"shapes {alphas.shape} and {excess.shape}", "one ratio an initialization")
    best = int(np.argmin(alphas))
    with drawing(ax, height=2.2) as axis:
        seen = excess > 0
        axis.loglog(alphas[seen], excess[seen], "o-", color=COLOURS[0])
        axis.invert_xaxis()
        axis.set(xlabel=r"initialization $\alpha$", ylabel=r"$|w_\infty|_1\,/\,$optimum $-\,1$")
        said = f"{100 * excess[best]:.2g} % above that of basis pursuit at $\\alpha$ = {alphas[best]:g}"
        entitle(axis, subject, f"their l1 norm is {said}")
        return axis
