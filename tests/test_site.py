"""The site: every page is in a toctree, every public name and error has an entry, every anchor and link is there."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import geoflow as gf
from geoflow import _help, errors

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FAQ = (DOCS / "faq.md").read_text()
HEADINGS = re.findall(r"(?m)^#+ (.*)$", re.sub(r"```.*?```", "", FAQ, flags=re.DOTALL))
ANCHORS = [_help.slug(heading) for heading in HEADINGS]


def error_classes():
    """Every class of error in the package, whichever module defines it."""
    for module in pkgutil.walk_packages(gf.__path__, "geoflow."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, todo = [], [errors.GeoflowError]
    while todo:
        found.append(todo.pop())
        todo += found[-1].__subclasses__()
    return sorted({c for c in found if c.__module__.startswith("geoflow.")}, key=lambda c: c.__name__)


def test_every_kind_of_error_has_an_entry():
    classes = error_classes()
    assert len(classes) >= 20
    for kind in classes:
        assert _help.slug(kind.__name__) in ANCHORS, kind
        assert kind("thing").help == f"docs/faq.md#{kind.__name__.lower()}"


def test_every_symptom_has_an_entry_and_is_said_somewhere():
    assert len(set(ANCHORS)) == len(ANCHORS), "two headings with one anchor"
    source = "".join(path.read_text() for path in (ROOT / "geoflow").rglob("*.py") if path.name != "_help.py")
    for words, heading in _help.SYMPTOMS.items():
        assert heading in HEADINGS, heading
        pieces = [words] if words in source else re.split(r"; |= ", words)
        assert all(piece in source for piece in pieces), f"no message says {words!r}"


def raised(call):
    with pytest.raises(gf.GeoflowError) as caught:
        call()
    return caught.value


def test_errors_lead_to_their_entry_and_their_messages_are_no_longer():
    def mixing(x):
        return x - x.mean(axis=0)

    square = gf.Parametrization(lambda x: x**2, 1, 1)
    network = gf.catalog.diagonal_network(1, depth=3, alpha=1.0)
    cases = {
        "it-mixes-batch-entries": lambda: gf.Parametrization(mixing, 2, 2),
        "a-closed-form-differs": lambda: gf.Parametrization(lambda x: x**2, 1, 1, jacobian=lambda x: x[..., None]),
        "outputs-that-do-not-depend-on-x": lambda: gf.Parametrization(lambda x: 0 * x + 1.0, 2, 2),
        "a-flow-ends-before-the-time-asked-for": lambda: gf.joint_flow(network.parametrization, network.x0, [1.0]),
        "w-or-mu-outside-the-range": lambda: gf.mirror_map(square, [1.0]).gradient([-1.0]),
        "unknownnameerror": lambda: gf.catalog.parametrizations["nothing"],
        "shapeerror": lambda: gf.LegendreFunction(lambda w: (w**2).sum(-1), 2)([1.0]),
    }
    for anchor, call in cases.items():
        error = raised(call)
        assert error.help == f"docs/faq.md#{anchor}", (str(error), error.help)
        assert anchor in ANCHORS and error.__notes__ == [f"see {error.help}"] and error.help not in str(error)


def test_links_with_anchors_resolve():
    """Links from page to page, to headings too, and to scripts of the gallery."""
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(
            r"\]\(([\w./-]*\.\w+(?:#[\w-]+)?|#[\w-]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        ):
            file, _, anchor = target.partition("#")
            path = (page.parent / file).resolve() if file else page
            assert path.exists(), (page.name, target)
            if anchor and path.suffix == ".md":
                assert anchor in [_help.slug(h) for h in re.findall(r"(?m)^#+ (.*)$", path.read_text())], target


def test_every_page_is_in_a_toctree():
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), flags=re.DOTALL)
    listed = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    assert len(set(listed)) == len(listed)
    assert sorted(p.stem for p in DOCS.glob("*.md")) == sorted(
        ["index", *(name for name in listed if name not in ("api/index", "auto_gallery/index"))]
    )


def test_recipes_of_add_your_own_take_at_most_40_lines():
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "add_your_own.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 4 and all(len(block.strip().splitlines()) <= 40 for block in blocks)


def test_every_closed_form_is_documented_where_one_chooses():
    page = (DOCS / "how_to_choose.md").read_text()
    for kind in (gf.Parametrization, gf.LegendreFunction):
        named = set(inspect.signature(kind).parameters)
        for form in named & {"jacobian", "hessian_product", "gradient", "hessian", "third_derivative", "conjugate"}:
            assert f"`{form}=`" in page, form


def test_figures_of_the_readme_are_small():
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(shown) == 2
    for figure in shown:
        assert (ROOT / figure).stat().st_size <= 150_000, figure


def conf():
    pytest.importorskip("sphinx")
    pytest.importorskip("sphinx_gallery")
    spec = importlib.util.spec_from_file_location("site_conf", DOCS / "conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_has_an_entry_of_the_interface():
    site = conf()
    rooms = site.public_names()
    named = [name for names in rooms.values() for _, name in names]
    assert sorted(named) == sorted(gf.__all__) and all(rooms.values())
    for names in rooms.values():
        for module, name in names:
            entry = site.entry_of(module, name)
            assert re.search(rf"::? (geoflow\.{name}|geoflow[\w.]*{name})\n", entry), entry
    table = site.entry_of("geoflow.theorems", "laws")
    assert all(f"laws.{law}``" in table for law in gf.laws.LAWS)


def test_docstrings_are_read_as_text():
    site = conf()
    assert site.plain("|w| is at most w* or `x_` of mu_ and ``a*b``") == (
        r"\|w\| is at most w\* or ``x_`` of mu\_ and ``a*b``"
    )
    lines = ["A map.", "", "* R* of x", "Reference", "---------"]
    site.formulas_are_text(None, "class", "G", None, None, lines)
    assert lines == ["A map.", "", r"* R\* of x", "References", "----------"]


def test_the_check_of_the_site_sees_what_is_wrong(tmp_path):
    spec = importlib.util.spec_from_file_location("check_site", DOCS / "check_site.py")
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    (tmp_path / "a.html").write_text('<p id="here"></p><a href="b.html#there">b</a><a href="#here">a</a>')
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="https://example.org">e</a>')
    assert check.problems(tmp_path) == ([], 2, 2) and check.main(str(tmp_path)) == 0
    (tmp_path / "b.html").write_text(
        '<a href="c.html">c</a><a href="a.html#gone">a</a><dt class="sig">f(x: <em>\'Array\'</em>)</dt>'
    )
    wrong, pages, links = check.problems(tmp_path)
    assert (len(wrong), pages, links) == (4, 2, 4) and check.main(str(tmp_path)) == 1
