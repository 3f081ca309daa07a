"""The rooms: imports go up the list only, nobody reaches through an underscore, and nothing grows too long."""

import ast
import statistics
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "geoflow"
# each imports only from those before it; the three in one entry are siblings
ROOMS = ["numerics", "spaces", "maps", "potentials", "metrics flows realization", "catalog", "theorems", "app"]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms.split()}
# the arrows up, each inside a function: the metric of a Legendre function, and objects that draw themselves
LATE = {
    ("geoflow.potentials.legendre", "geoflow.metrics.hessian"),
    ("geoflow._showing", "geoflow.app.plotting"),
    ("geoflow._showing", "geoflow.app.report"),
}


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imports_of(name):
    """The modules of geoflow that a module imports anywhere in its text."""
    found = set()
    for node in ast.walk(TREES[name]):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {n for n in names if n in MODULES}
    # `from package import module` names the package too, which imports nothing of the module
    return {n for n in found if not any(m.startswith(n + ".") for m in found)} - {name}


IMPORTS = {name: imports_of(name) for name in MODULES}


def level_of(name):
    room = name.split(".")[1] if "." in name else ""
    return LEVEL.get(room, -1 if room not in LEVEL and name not in ("geoflow", "geoflow.__main__") else len(ROOMS))


def room_of(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else ""


def test_every_room_is_in_the_list():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(LEVEL)


def arrows_up():
    return {
        (one, other)
        for one, others in IMPORTS.items()
        for other in others
        if room_of(one) != room_of(other) and room_of(other) and level_of(other) >= level_of(one)
    }


def test_each_room_imports_only_from_those_above_it():
    assert arrows_up() - LATE == set()
    assert arrows_up() >= LATE, "an exception is no longer needed: take it out of the list"


def test_no_circle_of_modules():
    edges = {one: {o for o in others if (one, o) not in LATE} for one, others in IMPORTS.items()}
    done = set()
    while free := {name for name in edges if name not in done and edges[name] <= done}:
        done |= free
    assert set(edges) - done == set(), "modules that import each other, directly or by others"


def private_reaches(tree):
    """Attributes x._name of anything but self and cls, unless the class of the method defines that name itself."""
    reaches = []

    def visit(node, own):
        if isinstance(node, ast.ClassDef):
            own = own | names_of(node)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value
            is_self = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            is_super = isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"
            if not (is_self or is_super or node.attr in own):
                reaches.append((node.lineno, node.attr))
        for child in ast.iter_child_nodes(node):
            visit(child, own)

    def names_of(cls):
        defined = {n.name for n in ast.walk(cls) if isinstance(n, ast.FunctionDef)}
        assigned = {n.attr for n in ast.walk(cls) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
        return defined | assigned

    visit(tree, set())
    return reaches


# what autograd calls the value under a tracer is private to autograd; one module knows it
KNOWN = {("geoflow.numerics.autodiff", "_value")}


@pytest.mark.parametrize("name", MODULES)
def test_nobody_reaches_through_an_underscore(name):
    reaches = [r for r in private_reaches(TREES[name]) if (name, r[1]) not in KNOWN]
    assert reaches == []
    imported = [
        alias.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geoflow.")
        for alias in node.names
        if alias.name.startswith("_") and alias.name != "__version__"
    ]
    assert imported == [], "private names of other modules"


def test_the_reach_test_sees_a_reach():
    assert private_reaches(ast.parse("def f(G):\n    return G._flat(1)")) == [(2, "_flat")]
    assert private_reaches(ast.parse("class A:\n    def f(self):\n        self._g = 1\n        return other._g")) == []


def functions():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{name}.{node.name}", node


def test_sizes():
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {n: k for n, k in lines.items() if k > 400} == {}
    assert statistics.median(k for n, k in lines.items() if not MODULES[n].name.startswith("_")) < 200
    assert {n: f.end_lineno - f.lineno + 1 for n, f in functions() if f.end_lineno - f.lineno + 1 > 60} == {}


def test_no_function_has_more_than_7_arguments():
    def count(f):
        every = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
        return len([a for a in every if a.arg not in ("self", "cls")])

    assert {n: count(f) for n, f in functions() if count(f) > 7} == {}


def test_a_file_is_not_named_after_a_function_it_holds():
    shadowed = [
        name
        for name, tree in TREES.items()
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name.rsplit(".", 1)[-1]
    ]
    assert shadowed == []


def test_one_alias_each():
    """np is numpy and anp is autograd.numpy, in every module and every test."""
    tests = {str(p): ast.parse(p.read_text()) for p in Path(__file__).parent.rglob("*.py")}
    wrong = [
        (name, alias.name, alias.asname)
        for name, tree in {**TREES, **tests}.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in ("numpy", "autograd.numpy")
        and alias.asname != {"numpy": "np", "autograd.numpy": "anp"}[alias.name]
    ]
    assert wrong == []


def test_only_four_modules_know_autograds_tracers():
    knowing = [name for name, path in MODULES.items() if "_value" in {a for _, a in private_reaches(TREES[name])}]
    assert knowing == ["geoflow.numerics.autodiff"]
    direct = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autograd")
    }
    assert direct == {f"geoflow.numerics.{n}" for n in ("autodiff", "records", "replay", "rules")}
