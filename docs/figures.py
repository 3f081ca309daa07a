"""The two figures of the README: python docs/figures.py writes docs/figures/*.png, at most 150 kB each."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MultipleLocator

import geoflow as gf

FOLDER = Path(__file__).parent / "figures"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.55"  # Okabe and Ito


def implicit_bias() -> plt.Figure:
    """Flows of u^2 - v^2 from three starts to one line of solutions: the smaller the start, the sparser the limit."""
    loss = gf.LeastSquares([[1.0, 2.0]], [1.0])
    figure, axis = plt.subplots(figsize=(5, 3.6), layout="constrained")
    line = np.array([[-0.1, 0.55], [1.02, -0.01]])
    axis.plot(*line.T, color=GREY, linewidth=1)
    axis.text(0.33, 0.22, "solutions of $w_1 + 2 w_2 = 1$", color="0.3", fontsize=9, rotation=-26.5)
    for alpha, colour, style in ((2.0, GREEN, "-"), (0.1, BLUE, "--"), (1e-4, ORANGE, "-.")):
        case = gf.catalog.diagonal_network(2, depth=2, alpha=alpha)
        G, x0 = case.parametrization, case.x0
        flow = gf.gradient_flow(loss, G, x0, np.linspace(0, 60, 2000)).unwrap()
        limit = gf.bregman_projection(gf.mirror_map(G, x0), loss.Z, loss.y, G(x0))
        assert abs(flow.w[-1] - limit).max() < 1e-6, alpha
        name = rf"$u = v = {alpha:g}$" if alpha >= 1e-3 else r"$u = v = 10^{-4}$"
        axis.plot(*flow.w.T, style, color=colour, label=name)
        axis.plot(*limit, "o", color=colour)
    axis.plot(0.2, 0.4, "x", color="k", label="least $l_2$ norm")
    axis.plot(0.0, 0.5, "+", color="k", markersize=10, label="least $l_1$ norm")
    axis.set(xlim=(-0.05, 1), ylim=(-0.05, 0.56), aspect="equal", xlabel="$w_1$", ylabel="$w_2$")
    axis.set_title("Gradient flow of $w = u^2 - v^2$, and the Bregman\nprojections (dots) where it ends", fontsize=10)
    axis.legend(fontsize=8, loc="upper right")
    return figure


def realized_surface() -> plt.Figure:
    """M = F(R^2) in R^3 for log(1 + e^w1 + e^w2), with a gradient flow on it that is the mirror flow."""
    R = gf.catalog.potentials["log_sum_exp"](2)
    F = gf.realize(R)
    assert F.exact and F.ambient_dim == 3
    grid = np.linspace(-6, 6, 49)
    surface = F.embedding(np.stack(np.meshgrid(grid, grid), axis=-1))
    start, goal = np.array([-4.0, 2.5]), np.array([[2.0, -3.0]])
    flow = gf.gradient_flow(
        gf.LeastSquares(np.eye(2), goal[0]),
        F.parametrization,
        F.embedding(start),
        np.r_[0, np.geomspace(1e-3, 400, 800)],
    )
    mirror = gf.mirror_flow(gf.LeastSquares(np.eye(2), goal[0]), R, start, flow.t)
    assert abs(flow.w - mirror.w).max() < 1e-5
    figure = plt.figure(figsize=(5, 3.8), layout="constrained")
    axis = figure.add_subplot(projection="3d", computed_zorder=False)
    axis.plot_surface(*np.moveaxis(surface, -1, 0), color="0.9", alpha=0.5, linewidth=0, shade=False, zorder=1)
    axis.plot_wireframe(*np.moveaxis(surface, -1, 0), rstride=4, cstride=4, color="0.6", linewidth=0.4, zorder=2)
    axis.plot(*flow.x.T, color=BLUE, linewidth=4, alpha=0.5, label="gradient flow on $M$", zorder=3)
    axis.plot(*F.embedding(mirror.w).T, color=ORANGE, linewidth=1, label="mirror flow of $R$, placed by $F$", zorder=4)
    axis.plot(*flow.x[0], "ko", markersize=4, zorder=5)
    axis.set_box_aspect(np.ptp(surface.reshape(-1, 3), axis=0))
    axis.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="$x_3$")
    for direction in (axis.xaxis, axis.yaxis, axis.zaxis):
        direction.set_major_locator(MultipleLocator(0.5))
    axis.view_init(25, 35)
    axis.set_title(r"$R(w) = \log(1 + e^{w_1} + e^{w_2})$: hess $R$ is part of a sphere", fontsize=10)
    axis.legend(fontsize=8, loc="upper left")
    axis.tick_params(labelsize=7)
    return figure


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for draw in (implicit_bias, realized_surface):
        file = FOLDER / f"{draw.__name__}.png"
        draw().savefig(file, dpi=120)
        print(file.relative_to(FOLDER.parent.parent), file.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
