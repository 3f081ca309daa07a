"""What is built, installed and imported, each in a process of its own; what an import costs; one test file a module."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"numpy", "scipy", "matplotlib", "sklearn", "rich", "geomstats", "autograd"}


#: what the extras bring, and what only developers have
EXTRAS = (
    "jax",
    "diffrax",
    "pandas",
    "pyarrow",
    "polars",
    "flint",
    "plotly",
    "sphinx",
    "pytest",
    "hypothesis",
    "mpmath",
)
#: code by which none of them is found
BLOCKED = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def run(*arguments, cwd=None, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "GEOMSTATS_BACKEND"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**clean, **environment}, cwd=cwd, check=False
    )


def packages_after(code):
    """The top-level packages that a fresh process has imported after the code."""
    result = run("-c", f"{code}\nimport sys\nprint('packages', *sorted({{m.split('.')[0] for m in sys.modules}}))")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split()[1:])


def test_import_alone_loads_no_numerics():
    """Names are loaded when they are first used: `import geoflow` itself needs none of what it depends on."""
    assert packages_after("import geoflow") & HEAVY == set()


def test_geomstats_comes_without_what_only_pictures_and_data_need():
    loaded = packages_after("import geoflow, geomstats.backend")
    assert {"geomstats", "autograd", "numpy"} <= loaded
    assert loaded & {"matplotlib", "sklearn", "rich"} == set()


@pytest.mark.parametrize("name", ["Parametrization", "LegendreFunction", "gradient_flow", "mirror_map"])
def test_the_mathematics_loads_no_pictures_and_no_tables(name):
    loaded = packages_after(f"import geoflow\ngeoflow.{name}")
    assert "numpy" in loaded
    assert loaded & {"matplotlib", "rich"} == set()


def test_the_count_sees_an_import():
    assert "numpy" in packages_after("import geoflow, numpy")


def test_help_loads_no_numerics():
    help_alone = "from geoflow.app.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit as end:\n"
    loaded = packages_after(help_alone + "    assert end.code == 0")
    assert loaded & HEAVY == set()


def test_the_command_is_installed_and_answers():
    command = Path(sys.executable).with_name("geoflow")
    result = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "verify" in result.stdout


def test_another_backend_is_refused_plainly():
    result = run("-c", "import geomstats.backend; import geoflow", GEOMSTATS_BACKEND="numpy")
    assert result.returncode == 1
    assert (
        "BackendError" in result.stderr and "got 'numpy'" in result.stderr and "import geoflow before" in result.stderr
    )
    result = run("-c", "import geoflow", GEOMSTATS_BACKEND="pytorch")
    assert "BackendError" in result.stderr
    result = run("-c", "import geoflow, geomstats.backend as gs; print(gs.__name__)")
    assert result.stdout.strip().endswith("autograd")


def test_every_module_of_a_room_has_a_test_file_of_its_name():
    """tests/<room>/test_<name>.py for geoflow/<room>/<name>.py; the laws are tested together, in theorems/test_laws."""
    modules = [path.relative_to(ROOT / "geoflow") for path in (ROOT / "geoflow").glob("*/*.py")]
    wanted = {m.parent / f"test_{m.name}" for m in modules if m.name != "__init__.py"}
    there = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").glob("*/test_*.py")}
    assert sorted(map(str, wanted - there)) == []
    assert sorted(map(str, there - wanted)) == ["theorems/test_laws.py"]


# distributions -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, built from the sdist, and the sdist, of a copy of the tree."""
    pytest.importorskip("build")
    tree, dist = tmp_path_factory.mktemp("tree") / "geoflow", tmp_path_factory.mktemp("dist")
    names = (
        ".git",
        ".venv*",
        "__pycache__",
        "*.egg-info",
        "build",
        "dist",
        ".*_cache",
        "geoflow-demo",
        "_build",
        "shared",
    )
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*names))
    result = run("-m", "build", "--no-isolation", "--outdir", str(dist), str(tree))
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A folder in which the wheel is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    result = run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(built[0]))
    assert result.returncode == 0, result.stderr
    return folder


def test_the_wheel_has_the_package_with_its_types_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = set(wheel.namelist())
        [entries] = [name for name in names if name.endswith("entry_points.txt")]
        assert "geoflow = geoflow.app.cli:main" in wheel.read(entries).decode()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"geoflow"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "geoflow").rglob("*.py")}
    assert modules <= names and {"geoflow/py.typed", "geoflow/__init__.pyi"} <= names
    assert built[0].stat().st_size < 2_000_000


def test_the_sdist_has_tests_docs_and_benchmarks(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in wanted} <= names and len(wanted) > 100
    assert {"README.md", "LICENSE", "CHANGELOG.md", "setup.cfg", "pyproject.toml", "Makefile"} <= names
    assert not any(part in name for name in names for part in ("__pycache__", ".venv", ".git/"))


def test_the_installed_package_runs_without_the_extras(installed, tmp_path):
    code = (
        f"{BLOCKED}import geoflow\nfrom geoflow.app.cli import main\n"
        "assert main(['verify', 'hyperbolic', '--json', 'rows.json']) == 0\n"
        "geoflow.max_margin([[1.0]], [1])\nprint(geoflow.__file__)"
    )
    result = run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(installed / "geoflow" / "__init__.py")
    assert '"passed": true' in (tmp_path / "rows.json").read_text()


@pytest.mark.parametrize(
    "code, extra",
    [
        ("gf.sweep(lambda x: x, {'x': [1]}, 'rows')", "sweep"),
        ("gf.Parametrization(lambda x: x**2, 2, 2, engine='jax')", "jax"),
        (
            "gf.realize(gf.catalog.potentials['burg'](1), gf.domains.Box([0.5], [1.0]), method='spectral').prove()",
            "proof",
        ),
    ],
)
def test_what_an_extra_is_wanted_for_names_it(code, extra, tmp_path):
    text = f"{BLOCKED}import geoflow as gf\ntry:\n    {code}\nexcept gf.GeoflowError as error: print(error)"
    result = run("-c", text, cwd=tmp_path)
    assert result.returncode == 0 and f"geoflow[{extra}]" in result.stdout, result.stdout + result.stderr


def folder_with_a_clone(tmp_path):
    """A folder that contains a clone, which has the name of the package, and a script."""
    clone = tmp_path / "geoflow"
    shutil.copytree(ROOT / "geoflow", clone / "geoflow", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "setup.cfg").write_text((ROOT / "setup.cfg").read_text())
    (tmp_path / "script.py").write_text("import geoflow\nprint(geoflow.__file__, geoflow.Check.__name__)\n")
    return tmp_path


@pytest.mark.parametrize("how", [("script.py",), ("-c", "exec(open('script.py').read())"), ("-m", "script")])
def test_beside_a_clone_the_installed_package_is_imported(how, tmp_path, installed):
    folder = folder_with_a_clone(tmp_path)
    for path, home in ((str(installed), installed / "geoflow"), ("", ROOT / "geoflow")):
        environment = {"PYTHONPATH": path} if path else {}
        if not path and not installed_from_here():
            continue
        result = run(*how, cwd=folder, **environment)
        assert result.stdout.split() == [str(home / "__init__.py"), "Check"], result.stderr


def installed_from_here():
    """Whether the tests run in an environment in which this tree is installed by its path, as `make install` does."""
    return any(
        Path(path).resolve() == ROOT
        for path in run("-c", "import sys; print(*sys.path, sep='\\n')", cwd="/").stdout.split("\n")
        if path
    )


def test_an_editable_install_is_a_path(built, tmp_path):
    """And not a finder that comes after the folder that a script is in, which would then be the package."""
    with tarfile.open(built[1]) as sdist:
        sdist.extractall(tmp_path / "from", filter="data")
    [tree] = (tmp_path / "from").iterdir()
    site = tmp_path / "site"
    make = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    result = run(*make, "--editable", str(tree))
    assert result.returncode == 0, result.stderr
    [pth] = site.glob("*.pth")
    assert pth.read_text().strip() == str(tree) and not list(site.glob("__editable___*finder.py"))


# types ---------------------------------------------------------------------------------------------------------------

WRONG = """
import geoflow as gf
G = gf.Parametrization("squares", space=4, codomain_dim=2)
case = gf.catalog.parametrizations["hyperbolic"](2)
gf.gradient_descent(3, case.parametrization, case.x0, 0.1, 10)
run = gf.gradient_flow(gf.LeastSquares([[1.0]], [1.0]), G, [1.0], 1.0, until={"losses": 1e-3})
run.status = 3
gf.max_margin([[1.0]], [1], "l1")
gf.realize(case.parametrization)
"""


def checked(tmp_path, text):
    """What mypy --strict says of a user's file, in a folder of its own without settings."""
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(text)
    options = ["--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
    return run("-m", "mypy", *options, "user.py", cwd=tmp_path, MYPYPATH=str(ROOT)).stdout


def test_types_of_the_public_surface_hold_in_a_users_file(tmp_path):
    assert checked(tmp_path, (ROOT / "tests" / "typed_user.py").read_text()) == ""
    wrong = checked(tmp_path, WRONG)
    assert [line for line in range(3, 10) if f"user.py:{line}:" not in wrong] == [4], wrong
