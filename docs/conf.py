"""The site: `make docs` builds it, with warnings as errors."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from inspect import isroutine
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("GEOMSTATS_BACKEND", "autograd")
os.environ.setdefault("MPLBACKEND", "Agg")

import matplotlib  # noqa: E402

import geoflow  # noqa: E402  chooses the backend of geomstats before the gallery does

matplotlib.use("agg")
# numpydoc reads the signature of a raw docstring before `formulas_are_text` has seen it
warnings.filterwarnings("ignore", message="Unknown section Reference")

project, author = "geoflow", "the geoflow developers"
project_copyright = "the geoflow developers, MIT license"
release = version = geoflow.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.doctest",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery", "auto_gallery/*.py", "auto_gallery/searchindex*", "**/GALLERY_HEADER.rst"]
html_theme = "furo"
html_title = f"geoflow {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
# mathjax comes from the network; the formulas of docstrings are text, and nothing else asks for it
mathjax_path = "https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"

myst_heading_anchors = 3

default_role = "code"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autosummary_generate = False
# the types that users see are those of the docstrings, with shapes: annotations would print private names
autodoc_typehints = "none"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

nitpicky = True
# the base of an error that pickle defines in C
nitpick_ignore = [("py:class", "_pickle.PicklingError")]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
    "reset_modules": ("matplotlib",),
    "min_reported_time": 1,
}

# the pages of the interface -----------------------------------------------------------------------------------------

#: rooms to the titles of their pages, in the order of docs/architecture.md
ROOMS = {
    "maps": "Maps: w = G(x)",
    "potentials": "Potentials: R(w)",
    "flows": "Flows, descents, losses",
    "metrics": "Metrics: the geometry of hess R",
    "realization": "Realization: from R back to a map",
    "theorems": "Theorems: laws and reports",
    "catalog": "Catalogue",
    "spaces": "Spaces: domains and manifolds",
    "numerics": "Derivatives",
    "app": "Pictures and sweeps",
    "": "Results and errors",
}


def public_names() -> dict[str, list[tuple[str, str]]]:
    """Rooms to (module, public name) of the stub, in its order."""
    rooms: dict[str, list[tuple[str, str]]] = {room: [] for room in ROOMS}
    for node in ast.parse((ROOT / "geoflow" / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                parts = f"{node.module}.{alias.name}".split(".")
                rooms[parts[1] if parts[1] in ROOMS else ""].append((str(node.module), alias.name))
    return rooms


def entry_of(module: str, name: str) -> str:
    """The directive of one public name, a class, a function or a module, under the name that users write."""
    value = getattr(geoflow, name)
    if isinstance(value, str):
        return f".. py:data:: geoflow.{name}\n\n   The version of the package, {value}.\n"
    if isinstance(value, ModuleType):
        heading = f"{name}\n{'-' * len(name)}\n\n.. automodule:: {value.__name__}\n   :no-members:\n\n"
        return heading + of_module(value)
    return directive(value, f"geoflow.{name}")


def directive(value: object, path: str) -> str:
    """Where autodoc finds a class or a function, with its members."""
    if isinstance(value, type) and issubclass(value, BaseException):
        return f".. autoexception:: {path}\n   :no-members:\n   :show-inheritance:\n"
    if isinstance(value, type):
        return f".. autoclass:: {path}\n   :members:\n"
    return f".. autofunction:: {path}\n" if isroutine(value) else f".. autodata:: {path}\n   :no-value:\n"


def of_module(module: ModuleType) -> str:
    """Entries of what a public module offers: its __all__, or what it defines; the laws as a table."""
    if module is geoflow.laws:
        rows = [f"   * - ``laws.{law.name}``\n     - {plain(law.statement)}\n" for law in geoflow.laws.LAWS.values()]
        return ".. list-table:: Every law\n   :widths: 40 60\n\n" + "".join(rows)
    offered = getattr(module, "__all__", None) or [
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", "") == module.__name__ and callable(value)
    ]
    return "\n".join(directive(getattr(module, key), f"{module.__name__}.{key}") for key in offered)


def write_interface_pages(*_: object) -> None:
    """docs/api/*.rst from the stub: a page a room, with an entry for each public name."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    pages = {"index.rst": ["API", "===", "", "Every public name, ``import geoflow as gf``.", "", ".. toctree::", ""]}
    for room, names in public_names().items():
        page, title = room or "results", ROOMS[room]
        pages["index.rst"].append(f"   {page}")
        pages[f"{page}.rst"] = [title, "=" * len(title), "", *(entry_of(*name) for name in names)]
    for file, lines in pages.items():
        text = "\n".join(lines) + "\n"
        if not (folder / file).exists() or (folder / file).read_text() != text:
            (folder / file).write_text(text)


# text ---------------------------------------------------------------------------------------------------------------

CODE = re.compile(r"(``[^`]*``|`[^`]*`)")


def plain(line: str) -> str:
    """A line of a docstring with formulas as text: * | and a trailing _ mean nothing outside of `code`."""
    parts = CODE.split(line)
    for k in range(0, len(parts), 2):
        parts[k] = re.sub(r"([\\*|])", r"\\\1", parts[k])
        parts[k] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", parts[k])
    return "".join(f"``{p.strip('`')}``" if k % 2 else p for k, p in enumerate(parts))


def formulas_are_text(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings as people write them, with x^T, |w| and R*, are read as text."""
    for k, line in enumerate(lines):
        if line.strip() == "Reference":  # the heading of numpydoc is the plural
            line, lines[k + 1] = line.replace("Reference", "References"), f"{lines[k + 1]}-"
        bullet = re.match(r"\s*\* ", line)
        start = bullet.end() if bullet else 0
        lines[k] = line[:start] + plain(line[start:])


def links_of_the_site(app: object, name: str, source: list[str]) -> None:
    """Links that work in the repository, to scripts of the gallery and files outside docs/, lead to their pages."""
    source[0] = re.sub(r"\]\((?:docs/)?gallery/(plot_\w+)\.py\)", r"](auto_gallery/\1.rst)", source[0])
    source[0] = source[0].replace("](../CONTRIBUTING.md)", "](contributing.md)")


def setup(app: object) -> None:
    app.connect("builder-inited", write_interface_pages, priority=100)
    app.connect("autodoc-process-docstring", formulas_are_text, priority=100)
    app.connect("source-read", links_of_the_site)
