"""The table of the paper: no empty cell, every function exists and runs in a block of the page, every law is one."""

import re
from pathlib import Path

import geoflow as gf

PAGE = (Path(__file__).parent.parent / "docs" / "paper.md").read_text()
BLOCKS = "".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL))
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")][
    1:
]


def test_no_row_is_empty():
    assert len(ROWS) >= 25
    for row in ROWS:
        assert len(row) == 4 and all(row), row


def test_every_function_of_a_row_runs_in_a_block():
    owners = {"G": gf.Parametrization, "R": gf.LegendreFunction, "F": gf.Realization}
    for statement, functions, _, _ in ROWS:
        named = re.findall(r"`(\w+)\.([\w.]+)`", functions)
        assert named, statement
        for owner, name in named:
            if owner == "gf":
                value = gf
                for part in name.split("."):
                    value = getattr(value, part)
                assert f"gf.{name}" in BLOCKS, name
            else:
                assert hasattr(owners[owner], name) and f".{name}" in BLOCKS, name


def test_every_law_of_a_row_is_one():
    for statement, _, laws, _ in ROWS:
        named = re.findall(r"`laws\.(\w+)`", laws)
        assert named and all(name in gf.laws.LAWS for name in named), statement


def test_pages_of_the_gallery_are_shown_beside_what_they_show():
    shown = [re.findall(r"\]\(gallery/(plot_\w+)\.py\)", row[3]) for row in ROWS]
    assert all(pages or row[3] == "-" for pages, row in zip(shown, ROWS, strict=True))
    assert len({page for pages in shown for page in pages}) >= 14
    for page in {page for pages in shown for page in pages}:
        assert (Path(__file__).parent.parent / "docs" / "gallery" / f"{page}.py").exists(), page
