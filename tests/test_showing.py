"""Objects draw themselves, and write their page."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import geoflow as gf


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def report():
    case = gf.catalog.parametrizations["hyperbolic"](2)
    return gf.verify_equivalence(gf.LeastSquares([[1.0, 2.0]], [1.0]), case.parametrization, case.x0, 1.0)


def test_plot_draws_on_the_axes_it_is_given_or_on_its_own(report):
    F = gf.realize(gf.catalog.potentials["simplex_entropy"](2))
    R = gf.catalog.potentials["burg"](2)
    for value, solid in ((report.gradient_flow, False), (report, False), (R, False), (F, True)):
        ax = value.plot()
        assert ax.figure.canvas.manager is not None and ax.figure in map(plt.figure, plt.get_fignums())  # fig.show()
        assert ax.has_data() and ax.get_title(loc="left")
        _, own = plt.subplots(subplot_kw={"projection": "3d"} if solid else {})
        assert value.plot(own) is own and own.has_data()


def test_plot_refuses_axes_of_another_kind(report):
    _, axes = plt.subplots(1, 2)
    with pytest.raises(gf.ArgumentError, match="an array of 2 Axes"):
        report.plot(axes)
    with pytest.raises(gf.ArgumentError, match="ax; got str"):
        report.gradient_flow.plot("ax")
    with pytest.raises(gf.ArgumentError, match="three axes"):
        gf.realize(gf.catalog.potentials["burg"](2)).plot(axes[0])
    solid = plt.figure().add_subplot(projection="3d")
    with pytest.raises(gf.ArgumentError, match="wanted an Axes of the plane"):
        report.plot(solid)


def test_objects_that_are_drawn_are_copied_and_pickled_as_before(report):
    import copy
    import pickle

    flow = pickle.loads(pickle.dumps(report.mirror_flow))
    assert flow.title == report.mirror_flow.title != "" and np.array_equal(flow.w, report.mirror_flow.w)
    assert copy.copy(report.gradient_flow).title == report.gradient_flow.title
