"""Every python block of the README and the docs runs; every law the theorems name exists and is tested."""

import re
from pathlib import Path

import pytest

import geoflow as gf
from geoflow.realization.methods import METHODS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_python_blocks_run(page):
    registers = (gf.catalog.parametrizations.entries, gf.laws.LAWS, METHODS)
    registered = [dict(register) for register in registers]
    namespace = {}
    try:
        for block in blocks(page):
            exec(compile(block, page.name, "exec"), namespace)
    finally:
        for register, entries in zip(registers, registered, strict=True):
            register.clear()
            register.update(entries)


def test_the_readmes_entry_is_at_most_40_lines():
    (block,) = [b for b in blocks(ROOT / "README.md") if "parametrizations.add" in b]
    assert len(block.strip().splitlines()) <= 40


def test_a_new_manifold_takes_at_most_40_lines():
    (block,) = blocks(ROOT / "docs" / "new_manifold.md")
    assert len(block.strip().splitlines()) <= 40


def test_laws_named_in_the_theorems_exist_and_are_tested():
    named = set(re.findall(r"`laws\.(\w+)`", "".join(page.read_text() for page in PAGES)))
    assert len(named) >= 30
    for name in named:
        assert callable(getattr(gf.laws, name)), name
        assert name in gf.laws.LAWS, name


def test_the_architecture_page_names_files_that_exist():
    """Every file of the ten answers, every room and every file of each."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    answers = page[page.index("## Where would I change") :]
    answers = answers[: answers.index("\n## ")]
    files = re.findall(r"`((?:\w+/)+\w+\.py)`", answers)
    assert len(files) == 10
    for file in files:
        assert (ROOT / "geoflow" / file).exists(), file
    listed = page[page.index("## The files") :].split("\n## ")[0]
    rooms = re.split(r"\n\*\*(\w+)/\*\*\n", listed)
    assert rooms[1::2] == re.findall(r"(?m)^\| `(\w+)/`", page)
    for room, text in zip(rooms[1::2], rooms[2::2], strict=True):
        named = re.findall(r"`((?:\w+/)?\w+\.py)`", text)
        found = {str(p.relative_to(ROOT / "geoflow" / room)) for p in (ROOT / "geoflow" / room).rglob("*.py")}
        assert sorted(f for f in found if not f.endswith("__init__.py")) == sorted(named), room


def test_links_between_pages_resolve():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if target.endswith(".md"):
                assert (page.parent / target).exists(), (page.name, target)
