r"""
How does the accuracy of a realization scale?
=============================================

**Question.** Metric error against degree and dimension D is one number for each potential, degree and D: a sweep.
How is one run, so that it can be killed, resumed, and read while it runs, and what does this one say?

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
    "potential": ["quartic", "logistic_regression", "gaussian_log_partition"],
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

# %%
# Answer
# ------
# Killed or not, the table is the same, for a finished row is never computed again. It says that D = 2 is not enough
# for any of these, whatever the degree, and that with D = 5 the error falls by two digits or so for four more
# degrees, the faster the further the potential is from its singularities.

assert found.failed == 0 and len(table) == len(found.rows) == 48
assert [row["seconds"] for row in again.rows] == [row["seconds"] for row in found.rows]  # read, and not computed
best = table.pivot_table(index="potential", columns="dimension", values="metric_error", aggfunc="min")
print(best.map("{:.1e}".format))
five = table[table["dimension"] == 5]
for name, rows in five.groupby("potential"):
    digits = -4 * np.polyfit(rows["degree"], np.log10(rows["metric_error"]), 1)[0]
    print(f"{name}: {digits:.1f} digits for four degrees in R^5")
    assert digits > 1.5
assert (best[2] > 1e-4).all() and (best[5] < 1e-7).all()
