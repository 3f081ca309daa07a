"""Metric error of an embedding against its degree and its dimension D, for six potentials of two variables.

geoflow sweep docs/sweeps/realization.toml
python docs/sweeps/realization.py            # draws docs/sweeps/realization.png from the rows that there are
"""

from pathlib import Path

import geoflow as gf

#: potentials of the catalogue, each with a box of side 1 in its domain
BOXES = {
    "quartic": ([-0.5, -0.5], [0.5, 0.5]),
    "log_sum_exp": ([-0.5, -0.5], [0.5, 0.5]),
    "logistic_regression": ([-0.5, -0.5], [0.5, 0.5]),
    "soft_max_affine": ([-0.5, -0.5], [0.5, 0.5]),
    "negative_entropy": ([0.5, 0.5], [1.5, 1.5]),
    "gaussian_log_partition": ([-0.5, -1.5], [0.5, -0.5]),
}


def metric_error(potential, degree, dimension):
    """The relative metric error at fresh points of the best F of this degree that the spectral solver finds in R^D."""
    R, box = gf.catalog.potentials[potential](2), gf.domains.Box(*BOXES[potential])
    try:
        F = gf.realize(R, box, tol=1e-13, method="spectral", ambient_dim=dimension, max_degree=degree)
    except gf.RealizationError as error:  # what was reached is the figure asked for
        F = error.evidence["realization"]
        if F is None:
            raise
    c = F.certificate
    return {"metric_error": c.metric_error, "reach": c.reach, "injectivity": c.injectivity_margin}


def draw(table):
    """A panel for every potential of a table of rows: error against degree, a line for every D."""
    import matplotlib.pyplot as plt

    table = table[table["error"] == ""].sort_values("degree")
    names = [name for name in BOXES if name in set(table["potential"])]
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(8.4, 0.6 + 2.5 * lines), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, names, strict=False):
        for k, (dimension, rows) in enumerate(table[table["potential"] == name].groupby("dimension")):
            axis.semilogy(
                rows["degree"], rows["metric_error"], "osD^v"[k % 5] + "-", color=f"C{k}", label=f"D = {dimension}"
            )
        axis.set_title(name.replace("_", " "))
    axes.flat[0].set_xticks(sorted(set(table["degree"])))
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    figure.supxlabel("degree of the polynomials of F", fontsize=10)
    figure.supylabel("relative metric error, fresh points", fontsize=10)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


if __name__ == "__main__":
    import matplotlib.pyplot as plt
    import pandas

    here = Path(__file__).parent
    plt.style.use(here.parent / "gallery" / "geoflow.mplstyle")
    draw(pandas.read_parquet(here / "realization" / "rows")).savefig(here / "realization.png", dpi=150)
