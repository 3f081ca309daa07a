r"""
Which start does which depth need?
==================================

**Question.** On real data there is no signal to compare with, only norms. At which start has a diagonal network of
depth 1 to 5 the least :math:`\ell_1` norm among the interpolants of the diabetes data, and at which the least
:math:`\ell_2` norm?

Twenty starts and five depths are 100 points of a sweep: ``geoflow sweep docs/sweeps/diabetes.toml``. The rows are
read back from Parquet files, which pandas and polars can do while the sweep runs. Here are seven of the starts.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas

import geoflow as gf

plt.style.use("geoflow.mplstyle")  # beside this page; without the file, drop the line
sys.path.insert(0, "../sweeps")
import diabetes  # noqa: E402

folder = Path(tempfile.mkdtemp())
grid = {"depth": [1, 2, 3, 4, 5], "alpha": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]}
found = gf.sweep(diabetes.limit, grid, folder, jobs=1)
table = pandas.read_parquet(folder / "rows")
figure = diabetes.draw(table)
plt.show()

# %%
# Answer
# ------
# Depth 1 is linear: whatever the start, its limit has the least :math:`\ell_2` norm. The deeper the network, the
# larger the start that is small enough for :math:`\ell_1`; from about one on all depths are linear models.

nearest = table[table["l1"] < 1.01].groupby("depth")["alpha"].max()
print(table.pivot(index="alpha", columns="depth", values="l1").round(4))
print("largest of these starts within one percent of the least l1 norm, by depth:", nearest.to_dict())
assert found.failed == 0 and len(table) == 35
assert (table[table["depth"] == 1]["l2"] < 1 + 1e-6).all() and (table[table["alpha"] == 3.0]["l2"] < 1.01).all()
assert nearest[2] < nearest[3] <= nearest[5] and 1 not in nearest
