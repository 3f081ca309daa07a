"""Import cost, the command's answer time, and the backend, each in processes of their own."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import geoflow as gf


def run(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "GEOMSTATS_BACKEND"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**clean, **environment}, check=False
    )


def seconds(*arguments, **environment):
    start = time.perf_counter()
    result = run(*arguments, **environment)
    assert result.returncode == 0, result.stderr
    return time.perf_counter() - start


def test_import_costs_little_more_than_geomstats():
    ours, theirs = [], []
    for _ in range(5):
        ours.append(seconds("-c", "import geoflow, geomstats.backend"))
        theirs.append(seconds("-c", "import geomstats.backend", GEOMSTATS_BACKEND="autograd"))
    assert statistics.median(ours) - statistics.median(theirs) <= 0.3


def test_help_answers_at_once():
    command = Path(sys.executable).with_name("geoflow")
    code = f"import subprocess; raise SystemExit(subprocess.call([{str(command)!r}, '--help']))"
    bare = statistics.median(seconds("-c", "import subprocess") for _ in range(5))
    assert statistics.median(seconds("-c", code) for _ in range(5)) - bare < 0.5


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


def test_public_names():
    for name in gf.__all__:
        assert getattr(gf, name) is not None
    assert set(gf.__all__) <= set(dir(gf))
    with pytest.raises(AttributeError, match="nothing"):
        _ = gf.nothing
