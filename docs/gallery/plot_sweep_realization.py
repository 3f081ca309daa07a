r"""
Which dimension does which potential need?
==========================================

**Question.** In which :math:`R^D` does the metric of a potential have room: is it the number of variables that says
so, or the potential? Metric error against degree, D and potential answers it, and is a sweep: it can be killed,
goes on where it stopped, and can be read while it runs.

The function and the plan are files, ``docs/sweeps/realization.py`` and ``realization.toml``; from the command line
the whole grid of 180 points is ``geoflow sweep docs/sweeps/realization.toml``. Here it is a quarter of it, in a
folder of its own.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line
sys.path.insert(0, "../sweeps")
import realization  # noqa: E402

# %%
# Run it, and run it again
# ------------------------
# Every finished row is a Parquet file. The second call finds them all and computes nothing.

grid = {
    "potential": ["negative_entropy", "log_sum_exp", "gaussian_log_partition"],
    "dimension": [2, 3, 4, 5],
    "degree": [4, 8, 12, 16],
}
folder = Path(tempfile.mkdtemp())
found = gf.sweep(realization.metric_error, grid, folder, jobs=1)
again = gf.sweep(realization.metric_error, grid, folder, jobs=1)
print(found)

# %%
# The picture, from the folder
# ----------------------------

table = pandas.read_parquet(folder / "rows")
figure = realization.draw(table)
plt.show()

# %%
# Answer
# ------
# Killed or not, the table is the same, for a finished row is never computed again. It says that the dimension is a
# matter of curvature. The entropy is flat and fits into the plane; log-sum-exp is a piece of a sphere, which needs
# three; the Gaussian family, a hyperbolic plane, gets on slowly there and fifty times better in four. From the
# dimension that is enough on, the error falls by about two digits for four more degrees.

assert found.failed == 0 and len(table) == len(found.rows) == 48
assert [row["seconds"] for row in again.rows] == [row["seconds"] for row in found.rows]  # read, and not computed
best = table.pivot_table(index="potential", columns="dimension", values="metric_error", aggfunc="min")
print(best.map("{:.1e}".format))
for name, rows in table[table["dimension"] == 5].groupby("potential"):
    digits = -4 * np.polyfit(rows["degree"], np.log10(rows["metric_error"]), 1)[0]
    print(f"{name}: {digits:.1f} digits for four degrees in R^5")
    assert digits > 1.5
enough = {"negative_entropy": 2, "log_sum_exp": 3, "gaussian_log_partition": 4}
for name, dimension in enough.items():
    assert best.loc[name, dimension] < 1e-6 and (dimension == 2 or best.loc[name, dimension - 1] > 1e-6)
