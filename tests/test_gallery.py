"""Pages of the gallery: each asks a question, draws, and asserts its answer; the cheapest run, and so do the sweeps."""

import ast
import importlib.util
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import geoflow as gf
from geoflow.app.sweeps import read_plan

DOCS = Path(__file__).parent.parent / "docs"
GALLERY, SWEEPS = DOCS / "gallery", DOCS / "sweeps"
PAGES = sorted(GALLERY.glob("plot_*.py"))
CHEAPEST = ("plot_max_margin.py", "plot_rich_and_kernel.py", "plot_voronoi.py")
NAMES = [page.stem.removeprefix("plot_") for page in PAGES]


def cells(page):
    """The cells of a page after the first, each from its line # %% on."""
    return re.split(r"(?m)^# %%.*$", page.read_text())[1:]


def test_there_are_pages():
    assert len(PAGES) >= 14 and all((GALLERY / name).exists() for name in CHEAPEST)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_asks_draws_and_asserts(page):
    tree = ast.parse(page.read_text(), page.name)
    title, underline, *text = ast.get_docstring(tree).splitlines()
    assert title and set(underline) == {"="} and len(underline) >= len(title)
    question = re.search(r"\*\*Question\.\*\*(.*?)\n\n", "\n".join(text) + "\n\n", flags=re.DOTALL)
    assert question and "?" in question.group(1)
    figures = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ("subplots", "figure")
    ]
    assert figures or "draw(table)" in page.read_text()
    last = cells(page)[-1]
    assert page.read_text().removesuffix(last).removesuffix("# %%").rstrip().endswith("plt.show()")
    assert re.match(r"\n# Answer\n# -+\n# \w", last), "the last cell is the answer, in words"
    assert "print(" in last and re.search(r"(?m)^ *assert ", last)
    assert len(page.read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_uses_what_is_public(page):
    tree = ast.parse(page.read_text(), page.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(alias.name == "geoflow" for alias in node.names if alias.name.startswith("geoflow"))
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("geoflow")
        if isinstance(node, ast.Attribute):
            assert not re.match("_[a-z]", node.attr) or node.attr == "_define_embedding_space", node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "gf":
                assert hasattr(gf, node.attr), node.attr


@pytest.mark.parametrize("name", CHEAPEST)
def test_a_page_runs(name, monkeypatch, capsys):
    monkeypatch.chdir(GALLERY)
    monkeypatch.setattr(plt, "show", lambda: None)  # it closes figures, or warns that there is no window
    assert matplotlib.get_backend().lower() == "agg"
    plt.close("all")  # what other tests left open
    with plt.rc_context():
        exec(compile((GALLERY / name).read_text(), name, "exec"), {"__name__": "__main__"})
        drawn = [plt.figure(number) for number in plt.get_fignums()]
        assert drawn and all(axis.get_xlabel() and axis.get_title() for axis in drawn[0].axes)
        plt.close("all")
    assert capsys.readouterr().out


def test_the_style_can_be_told_apart_and_read():
    style = matplotlib.rc_params_from_file(GALLERY / "geoflow.mplstyle", use_default_template=False)
    assert len(set(style["axes.prop_cycle"].by_key()["color"])) == 7
    assert (
        min(style[f"{name}size"] for name in ("font.", "axes.label", "xtick.label", "ytick.label", "legend.font")) >= 9
    )


def module(name):
    spec = importlib.util.spec_from_file_location(name, SWEEPS / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("name", "sizes", "some"),
    [
        ("realization", (6, 5, 6), {"potential": ["quartic"], "dimension": [2, 5], "degree": [4, 8]}),
        ("diabetes", (5, 20), {"depth": [1, 2], "alpha": [0.01, 10.0]}),
    ],
)
def test_a_shipped_sweep(name, sizes, some, tmp_path):
    function, grid, folder, _ = read_plan(SWEEPS / f"{name}.toml")
    assert tuple(map(len, grid.values())) == sizes and folder == SWEEPS / name
    assert all(set(values) <= set(grid[key]) or key == "alpha" for key, values in some.items())
    found = gf.sweep(function, some, tmp_path, jobs=1)
    assert found.failed == 0
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(tmp_path / "rows")
    with plt.rc_context():
        figure = module(name).draw(table)
        lines = [line for axis in figure.axes for line in axis.get_lines()]
        assert len(lines) == 2 * (2 if name == "diabetes" else 1)
        assert all(len(line.get_xdata()) == 2 and np.isfinite(line.get_ydata()).all() for line in lines)
        plt.close("all")


def test_the_sweeps_say_what_is_known():
    few = module("diabetes").limit(2, 1e-3)
    assert few["l1"] < 1.01 and few["l2"] > 1.1
    linear = module("diabetes").limit(1, 1e-3)
    assert linear["l2"] == pytest.approx(1.0, abs=1e-9)
    plane = module("realization").metric_error("quartic", 8, 2)
    free = module("realization").metric_error("quartic", 8, 5)
    assert free["metric_error"] < 1e-4 < plane["metric_error"]
