"""The public pictures: what is drawn is what was computed, on the Axes that are given."""

import inspect
import re
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import geoflow as gf
from geoflow.app import plotting
from geoflow.app.figures import styling
from geoflow.theorems.converse import converse_example
from geoflow.theorems.direct import standard_losses


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def reports():
    """A report of a quadratic loss through u^2 - v^2 in dimension d, each made once."""
    made = {}

    def get(d):
        if d not in made:
            case = gf.catalog.parametrizations["hyperbolic"](d)
            loss = standard_losses(case, np.random.default_rng(0))["quadratic"]
            made[d] = gf.verify_equivalence(loss, case.parametrization, case.x0, 1.0, legendre=case.legendre)
        return made[d]

    return get


def title(ax):
    return ax.get_title(loc="left")


def test_every_public_picture_takes_axes_and_returns_them():
    drawing = set(plotting.__all__) - {"COLOURS", "STYLE", "save", "style"}
    for name in drawing:
        signature = inspect.signature(getattr(plotting, name))
        assert signature.parameters["ax"].default is None and signature.return_annotation == "Axes", name
    assert set(plotting.__all__) == {n for n in vars(plotting) if n in plotting.__all__}


def test_the_palette_is_okabe_and_itos_and_differs_in_lightness():
    """Two colours of one lightness look alike in print."""
    assert plotting.COLOURS[:2] == ("#0072B2", "#D55E00") and len(set(plotting.COLOURS)) == 7
    light = [np.dot(matplotlib.colors.to_rgb(c), [0.2126, 0.7152, 0.0722]) for c in plotting.COLOURS]
    assert np.ptp(light) > 0.6


def test_paths_in_the_plane_have_equal_axes_and_every_name_in_the_title(reports):
    report = reports(2)
    ax = report.plot()
    lines = ax.get_lines()
    assert np.array_equal(lines[0].get_xydata(), report.gradient_flow.w)
    assert np.array_equal(lines[1].get_xydata(), report.mirror_flow.w)
    assert ax.get_aspect() == 1.0
    for word in ("LeastSquares", "hyperbolic", report.legendre.name, f"{report.gap:.1e}"):
        assert word in title(ax).replace("\n", " ")


def test_no_coordinate_of_a_path_is_dropped(reports):
    """In space for d = 3, on three axes; against time, every one of them, otherwise."""
    flow = reports(3).gradient_flow
    ax = flow.plot()
    assert ax.name == "3d"
    assert np.allclose(np.array(ax.get_lines()[0].get_data_3d()).T, flow.w)
    plane = plt.subplots()[1]
    assert drawn_against_time(flow.plot(plane), flow) == {0, 1, 2}
    many = reports(9).gradient_flow
    ax = many.plot()
    assert drawn_against_time(ax, many) == set(range(9)) and "6 of 9" in title(ax)
    one = gf.gradient_flow(lambda w: (w[0] - 1) ** 2, gf.Parametrization(lambda x: x**2, 1, 1), [0.5], 1.0)
    assert drawn_against_time(one.plot(), one) == {0}


def drawn_against_time(ax, flow):
    lines = [line.get_xydata() for line in ax.get_lines()]
    lines += [segment for collection in ax.collections for segment in collection.get_segments()]
    return {
        i for i in range(flow.w.shape[1]) for line in lines
        if line.shape == (len(flow.t), 2) and np.array_equal(line, np.column_stack([flow.t, flow.w[:, i]]))
    }  # fmt: skip


def test_a_batch_a_long_vector_and_a_flow_that_ends_early_are_drawn():
    G = gf.Parametrization(lambda x: x**2, 2, 2)
    batch = gf.gradient_flow(lambda w: ((w - 2) ** 2).sum(), G, [[1.0, 0.5], [0.5, 1.5], [2.0, 2.0]], 1.0)
    ends = [line.get_xydata()[-1] for line in batch.plot().get_lines() if len(line.get_xydata()) == len(batch.t)]
    assert np.array_equal(ends, batch.w[-1])
    wide = gf.Parametrization(lambda x: x**2, 1000, 1000)
    flow = gf.gradient_flow(gf.LeastSquares(np.eye(1000)[:3], np.ones(3)), wide, np.linspace(0.1, 1, 1000), 0.1)
    assert len(drawn_against_time(flow.plot(), flow)) == 1000
    cut = replace(batch, w=np.where(np.arange(len(batch.t))[:, None, None] > 50, np.nan, batch.w))
    assert cut.plot().has_data()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_paths_of_every_size_and_paths_far_longer_than_wide(scale):
    t = np.linspace(0, 1, 20)
    flow = trajectory_of(scale * np.column_stack([np.cos(t), np.sin(t)]), t)
    ax = flow.plot()
    low, high = ax.get_xlim()
    assert low < scale * np.cos(1) and high > scale and high - low < 10 * scale
    long = trajectory_of(np.column_stack([scale * t, t**2 / scale]), t).plot()
    assert long.get_aspect() == "auto" and "different scale" in long.texts[0].get_text()


def trajectory_of(w, t):
    return gf.Trajectory(t, w, None, w, np.zeros(len(t)), gf.Status.SUCCESS, "", lambda s: w)


def test_the_gaps_of_few_maps_are_lines_and_those_of_many_a_distribution(reports):
    ax = plotting.gap_over_time({"quadratic": reports(2)})
    gap = reports(2).gap_over_time
    assert ax.get_yscale() == "log" and np.array_equal(ax.get_lines()[0].get_ydata(), gap[gap > 0])
    with pytest.raises(gf.ArgumentError, match=r"gf\.plotting\.gaps"):
        plotting.gap_over_time({str(k): reports(2) for k in range(26)})
    ax = plotting.gaps({f"map_{d}": {"quadratic": reports(d)} for d in (2, 3, 9)})
    dots = sorted(float(line.get_xdata()[0]) for line in ax.get_lines() if line.get_marker() == "o")
    assert np.allclose(dots, sorted(reports(d).gap for d in (2, 3, 9)), rtol=1e-12)
    assert sorted(label.get_text() for label in ax.get_yticklabels()) == ["map 2", "map 3", "map 9"]
    for bad in (plotting.trajectories, plotting.gap_over_time, plotting.gaps):
        with pytest.raises(gf.ArgumentError):
            bad({})


def test_a_grid_says_whether_it_closes_and_draws_its_gap():
    square = gf.catalog.parametrizations["square"](2).parametrization
    parabola = gf.catalog.noncommuting["parabola"]().parametrization
    closes, bent = (
        plotting.joint_flow_grid(square, [1.0, 0.5], n=3),
        plotting.joint_flow_grid(parabola, [0.5, 0.2], n=3),
    )
    assert "\ncloses" in title(closes) and "does not close" in title(bent) and "parabola" in title(bent).lower()
    assert bent.get_aspect() == 1.0
    assert "gap between the far corners" in [text.get_text() for text in bent.get_legend().get_texts()]
    (gap,) = [line.get_xydata() for line in bent.get_lines() if line.get_label().startswith("gap")]
    told = float(re.search(r"gap (\S+)", title(bent)).group(1))
    assert np.isclose(np.linalg.norm(gap[1] - gap[0]), told, rtol=0.05) and told > 0.01
    with pytest.raises(gf.ArgumentError, match=r"R\^2"):
        plotting.joint_flow_grid(gf.catalog.parametrizations["square"](3).parametrization, [1, 1, 1])
    with pytest.raises(gf.ShapeError, match="x0"):
        plotting.joint_flow_grid(square, [1.0])


def test_a_loop_and_its_lift_are_drawn_in_their_own_units():
    from geoflow.maps.holonomy import parallelogram

    case = gf.catalog.noncommuting["parabola"]()
    G = case.parametrization
    lift = gf.lift_curve(G, case.x0, parallelogram(G(case.x0), [0.1, 0], [0, 0.1]))
    for of in ("w", "mu", "x"):
        ax = plotting.holonomy(lift, of=of, name="parabola")
        assert np.array_equal(ax.get_lines()[0].get_xydata(), getattr(lift, of)[:, :2])
        assert "arabola" in title(ax)
    with pytest.raises(gf.ArgumentError, match="one of w, mu, x"):
        plotting.holonomy(lift, of="t")
    open_curve = gf.lift_curve(G, case.x0, [G(case.x0), G(case.x0) + 0.1])
    with pytest.raises(gf.ArgumentError, match="closed loop"):
        plotting.holonomy(open_curve)


def test_the_regularization_path_names_its_features():
    w = np.array([[1.0, 2.0], [0.0, 2.5]])
    ax = plotting.regularization_path([1.0, 0.1], w, names=["bmi", "bp"])
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert np.array_equal(lines["bmi"], w[:, 0]) and np.array_equal(lines["bp"], w[:, 1])
    assert "$w_{2}$" in [line.get_label() for line in plotting.regularization_path([1.0, 0.1], w).get_lines()]
    with pytest.raises(gf.ShapeError, match="regularization path"):
        plotting.regularization_path([1.0, 0.1, 0.01], w)
    with pytest.raises(gf.ShapeError, match="3 names"):
        plotting.regularization_path([1.0, 0.1], w, names=["a", "b", "c"])


def test_the_norm_is_said_as_it_was_found():
    ax = plotting.norm_ratios([1.0, 0.1], [1.5, 1.25])
    assert np.allclose(ax.get_lines()[0].get_ydata(), [0.5, 0.25]) and "25 % above" in title(ax).replace("\n", " ")
    with pytest.raises(gf.ShapeError):
        plotting.norm_ratios([1.0, 0.1], [1.5])


def test_a_surface_is_drawn_in_one_scale_and_says_what_its_axes_are(realized):
    F = realized("spectral, log-sum-exp")
    ax = plotting.realized_surface(F, n=8)
    words = title(ax).replace("\n", " ")
    assert "spectral" in words and "R^5" in words and "[-1, 1]^2" in words and "principal axes" in words
    spans = [np.diff(getattr(ax, f"get_{letter}lim")())[0] for letter in "xyz"]
    assert np.allclose(spans / np.max(spans), ax._box_aspect / np.max(ax._box_aspect), rtol=1e-6)
    exact = gf.realize(gf.catalog.potentials["simplex_entropy"](2))
    assert exact.ambient_dim == 3
    ax = plotting.realized_surface(exact, n=6)
    assert ax.get_xlabel() == "$x_1$" and "principal" not in title(ax)


def test_a_flow_on_m_is_drawn_where_it_is(realized):
    F = realized("spectral, a sphere")
    flow, mirror = converse_example(F)
    ax = plotting.flow_on_realization(F, flow, n=8)
    assert np.allclose(np.array(ax.get_lines()[0].get_data_3d()).T, flow.x)  # D = 3: M itself
    assert len(ax.collections) == 1
    with pytest.raises(gf.ArgumentError, match="which has no x"):
        plotting.flow_on_realization(F, mirror)


def test_the_stages_and_the_error_of_a_solver(realized):
    F = realized("spectral, log-sum-exp")
    lines = plotting.convergence(F).get_lines()
    assert np.allclose(lines[0].get_ydata(), [stage.fresh for stage in F.stages])
    ax = plotting.metric_error(F, n=5)
    assert np.array_equal(ax.get_lines()[0].get_xydata()[0], F.certificate.witness)
    assert f"{F.certificate.metric_error:.1e}" in title(ax)
    assert plotting.metric_error(realized("twist, log-sum-exp")).get_ylabel() == "share of points below"
    with pytest.raises(gf.ArgumentError, match="metric_error"):
        plotting.convergence(gf.realize(gf.catalog.potentials["burg"](2)))


def test_an_exact_realization_of_an_unbounded_region_is_drawn_too():
    for F in (gf.realize(gf.catalog.potentials["burg"](2)), gf.realize(gf.catalog.potentials["negative_entropy"](1))):
        assert "exact" in title(plotting.realized_surface(F, n=5))
        assert plotting.metric_error(F, n=5).has_data()


@pytest.mark.parametrize("d", [1, 2, 4])
def test_a_potential_is_drawn_over_a_box(d):
    R = gf.catalog.potentials["negative_entropy"](d)
    ax = R.plot()
    assert R.name in title(ax) or R.name.capitalize() in title(ax)
    if d != 2:
        line = ax.get_lines()[0].get_xydata()
        w = np.ones((len(line), d))
        w[:, 0] = line[:, 0] if d == 1 else R.domain.interior_point()[0]
        assert np.isfinite(line).all() and (d > 1 or np.allclose(line[:, 1], R(w)))
    R.plot(lower=np.full(d, -1.0), upper=np.full(d, 1.0), n=8)  # half of it is outside, and stays empty
    for bad in ({"lower": np.zeros(d)}, {"lower": np.ones(d), "upper": np.zeros(d)}):
        with pytest.raises(gf.ArgumentError, match="box to draw"):
            R.plot(**bad)


def test_an_induced_potential_is_drawn(reports):
    case = gf.catalog.parametrizations["hyperbolic"](2)
    assert gf.mirror_map(case.parametrization, case.x0).plot(n=8).has_data()


@pytest.mark.parametrize("side", ["right", "symmetrised"])
def test_cells_are_drawn_in_both_charts(side, tmp_path):
    R = gf.catalog.potentials["negative_entropy"](2)
    cells = gf.VoronoiCells(R, [[1, 2], [3, 0.5], [0.3, 0.3]], side)
    for dual, move in ((False, np.asarray), (True, R.gradient)):
        ax = plotting.bregman_cells(cells, [-0.5, -0.5], [4, 4], dual=dual, radius=0.1, n=20)
        lines = ax.get_lines()
        assert np.allclose([line.get_xydata()[0] for line in lines[:3]], move(cells.sites))
        assert np.allclose(lines[3].get_xydata()[0], move(gf.barycentre(R, cells.sites, side=side)))
        quads = ax.collections[0]
        assert len(ax.collections) == 4 and len(quads.get_paths()) == 16**2  # 3 of 20 lines are outside
        if not dual:
            corner = np.array([path.vertices[0] for path in quads.get_paths()])
            wanted = [plotting.COLOURS[i] for i in cells.assign(corner)]
            colours = quads.get_facecolors()[:, :3]
            assert np.array_equal(colours, matplotlib.colors.to_rgba_array(wanted)[:, :3])
    for bad, error in (([0, 5], gf.ArgumentError), ([0], gf.ShapeError)):
        with pytest.raises(error, match="cells to draw"):
            plotting.bregman_cells(cells, bad, [4, 4])
    with pytest.raises(gf.ArgumentError, match="R of dimension 3"):
        plotting.bregman_cells(gf.VoronoiCells(gf.catalog.potentials["burg"](3), np.ones((1, 3))), [0, 0], [1, 1])


def test_pictures_are_saved_twice_and_the_same_each_time(reports, tmp_path):
    ax = reports(2).plot()
    png, svg = plotting.save(ax, tmp_path / "folder" / "flow.png")
    assert (png.name, svg.name) == ("flow.png", "flow.svg") and png.read_bytes().startswith(b"\x89PNG")
    again = plotting.save(reports(2).plot().figure, tmp_path / "again")[1].read_bytes()
    assert b"<svg" in again and svg.read_bytes() == again
    assert plotting.save(ax, tmp_path / "v1.5")[0].name == "v1.5.png"


def test_a_figure_of_its_own_is_a_column_wide_and_in_the_style(reports):
    ax = reports(2).plot()
    assert ax.figure.get_size_inches()[0] == styling.COLUMN == 3.4
    assert ax.xaxis.get_ticklabels()[0].get_fontsize() >= 7 and not ax.spines["top"].get_visible()
    with plotting.style():
        assert matplotlib.rcParams["font.size"] == styling.STYLE["font.size"]
    assert matplotlib.rcParams["font.size"] != styling.STYLE["font.size"]


def test_what_has_no_picture_says_so():
    with pytest.raises(gf.ArgumentError, match="object to draw; got int"):
        plotting.plot(3)
