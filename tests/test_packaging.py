"""What an import costs, counted in packages, and the backend, each in a process of its own; one test file a module."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"numpy", "scipy", "matplotlib", "sklearn", "rich", "geomstats", "autograd"}


def run(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "GEOMSTATS_BACKEND"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**clean, **environment}, check=False
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
