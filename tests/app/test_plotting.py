"""Figures draw what they are given."""

import matplotlib
import numpy as np
import pytest

import geoflow as gf
from geoflow.app import plotting
from geoflow.theorems.converse import converse_example
from geoflow.theorems.direct import standard_losses


@pytest.mark.parametrize("d", [1, 2])
def test_trajectories_and_gap(d):
    case = gf.catalog.parametrizations["sine"](d)
    loss = standard_losses(case, np.random.default_rng(0))["quadratic"]
    report = gf.verify_equivalence(loss, case.parametrization, case.x0, 1.0, legendre=case.legendre)
    axis = plotting.trajectories({"quadratic": report}).axes[0]
    line = axis.get_lines()[0]
    assert np.array_equal(line.get_ydata(), report.gradient_flow.w[:, -1 if d > 1 else 0])
    gap = plotting.gap_over_time({"quadratic": report}).axes[0]
    assert gap.get_yscale() == "log"
    with pytest.raises(gf.ArgumentError):
        plotting.trajectories({})


def test_grid_says_which_one_closes():
    square = gf.catalog.parametrizations["square"](2).parametrization
    parabola = gf.catalog.noncommuting["parabola"]().parametrization
    axes = plotting.joint_flow_grid(square, parabola, [1.0, 0.5], [0.5, 0.2], n=3).axes
    assert "closes" in axes[0].get_title() and "does not close" in axes[1].get_title()
    with pytest.raises(gf.ArgumentError, match=r"R\^2"):
        plotting.joint_flow_grid(gf.catalog.parametrizations["square"](3).parametrization, parabola, [1], [1])


def test_regularization_path():
    figure = plotting.regularization_path([1.0, 0.1], np.array([[1.0, 2.0], [0.0, 2.0]]), [1.5, 1.0])
    assert len(figure.axes[0].get_lines()) == 2


def test_holonomy_draws_the_loop_and_its_lift():
    from geoflow.maps.holonomy import parallelogram

    case = gf.catalog.noncommuting["parabola"]()
    lift = gf.lift_curve(
        case.parametrization, case.x0, parallelogram(case.parametrization(case.x0), [0.1, 0], [0, 0.1])
    )
    axis = plotting.holonomy({"parabola": lift}).axes[0]
    assert np.allclose(axis.get_lines()[2].get_ydata(), lift.mu[:, 1] / np.abs(lift.mu).max())
    with pytest.raises(gf.ArgumentError, match="closed loops"):
        plotting.holonomy({})


def test_a_realization_is_drawn_with_its_stages_and_a_flow(realized, tmp_path):
    F = realized("spectral, log-sum-exp")
    surface = plotting.realized_surface(F, n=8)
    assert "spectral" in surface.axes[0].get_title() and "R^5" in surface.axes[0].get_title()
    lines = plotting.convergence(F).axes[0].get_lines()
    assert np.allclose(lines[0].get_ydata(), [stage.fresh for stage in F.stages])
    flow, mirror = converse_example(F)
    left, right = plotting.flow_on_realization(F, flow, mirror).axes
    assert "R^5" in left.get_title() and np.array_equal(right.get_lines()[0].get_ydata(), mirror.w[:, 0])
    target = tmp_path / "folder" / "surface.png"
    plotting.save(surface, target)
    assert target.read_bytes().startswith(b"\x89PNG")


def test_an_exact_realization_of_an_unbounded_region_is_drawn_too():
    for F in (gf.realize(gf.catalog.potentials["burg"](2)), gf.realize(gf.catalog.potentials["negative_entropy"](1))):
        assert "exact" in plotting.realized_surface(F, n=5).axes[0].get_title()


@pytest.mark.parametrize("side", ["right", "symmetrised"])
def test_cells_are_drawn_in_both_charts(side, tmp_path):
    R = gf.catalog.potentials["negative_entropy"](2)
    cells = gf.VoronoiCells(R, [[1, 2], [3, 0.5], [0.3, 0.3]], side)
    figure = plotting.bregman_cells(cells, [-0.5, -0.5], [4, 4], radius=0.1, n=20)
    left, right = figure.axes
    for axis, move in ((left, np.asarray), (right, R.gradient)):
        lines = axis.get_lines()
        assert np.allclose([line.get_xydata()[0] for line in lines[:3]], move(cells.sites))
        assert np.allclose(lines[3].get_xydata()[0], move(gf.barycentre(R, cells.sites, side=side)))
        quads = axis.collections[0]
        assert len(axis.collections) == 4 and len(quads.get_paths()) == 16**2  # 3 of 20 lines are outside
    corner = np.array([path.vertices[0] for path in left.collections[0].get_paths()])
    colours = left.collections[0].get_facecolors()[:, :3]
    wanted = matplotlib.colors.to_rgba_array([plotting.COLOURS[i] for i in cells.assign(corner)])[:, :3]
    assert np.array_equal(colours, wanted)
    plotting.save(figure, tmp_path / "cells.png")
    for bad, error in (([0, 5], gf.ArgumentError), ([0], gf.ShapeError)):
        with pytest.raises(error, match="cells to draw"):
            plotting.bregman_cells(cells, bad, [4, 4])
    with pytest.raises(gf.ArgumentError, match="R of dimension 3"):
        plotting.bregman_cells(gf.VoronoiCells(gf.catalog.potentials["burg"](3), np.ones((1, 3))), [0, 0], [1, 1])
