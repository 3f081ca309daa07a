"""The one style of every picture: colours, sizes, titles, scales of axes, and how pictures are saved."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from geoflow._typing import Array, ArrayLike
from geoflow.errors import ArgumentError
from geoflow.spaces.domains import Box

# Okabe and Ito's palette, distinguishable with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "0.72"
#: of quantities, light where they are large; even in lightness for any colour vision
MAP = "cividis"
#: a column of a paper, in inches, and characters of a line of a title over it
COLUMN, LINE = 3.4, 46
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlelocation": "left",
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "font.size": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "image.cmap": MAP,
    "svg.hashsalt": "geoflow",
    "savefig.dpi": 300,
    "figure.dpi": 150,
}
#: largest ratio of two widths that axes of equal scale are drawn for
LONGEST = 25.0


def style() -> AbstractContextManager[None]:
    """A context in which figures are made as geoflow makes its own: `with gf.plotting.style(): plt.subplots()`."""
    return matplotlib.rc_context(STYLE)


@contextmanager
def drawing(ax: Axes | None, height: float = 2.6, solid: bool = False) -> Iterator[Any]:
    """The Axes to draw on: the given one, or that of a new figure of pyplot, one column wide, in the style.

    `solid` asks for one with three axes.
    """
    if ax is not None:
        if not isinstance(ax, Axes):
            got = f"an array of {np.size(ax)} Axes" if isinstance(ax, np.ndarray) else type(ax).__name__
            raise ArgumentError("ax", got, "a matplotlib Axes", "pass one of them, or none for a figure of its own")
        if solid != (ax.name == "3d"):
            remedy = 'plt.subplots(subplot_kw={"projection": "3d"})' if solid else "plt.subplots()"
            two, three = "an Axes of the plane", "one with three axes"
            raise ArgumentError("ax", *((two, three) if solid else (three, two)), remedy)
        yield ax
        return
    import matplotlib.pyplot as plt

    with style():
        figure = plt.figure(figsize=(COLUMN, height), layout="constrained")
        made = figure.add_subplot(projection="3d" if solid else None)
        made.tick_params(labelsize=STYLE["xtick.labelsize"])  # ticks that are made later are of the style, too
        yield made


def sheet(
    rows: int = 1, columns: int = 1, height: float = 2.6, solid: tuple[int, ...] = ()
) -> tuple[Figure, list[Any]]:
    """A figure one column wide that no window shows, and its Axes row by row; those of `solid` have three axes."""
    figure = Figure(figsize=(COLUMN, height), layout="constrained")
    axes = [
        figure.add_subplot(rows, columns, k + 1, projection="3d" if k in solid else None) for k in range(rows * columns)
    ]
    return figure, axes


def save(picture: Axes | Figure, path: str | PathLike[str]) -> tuple[Path, Path]:
    """Write a picture as PNG and as SVG, under one name, making the folder; returns both paths."""
    figure: Any = picture.get_figure(root=True) if isinstance(picture, Axes) else picture
    stem = Path(path)
    stem = stem.with_suffix("") if stem.suffix in (".png", ".svg") else stem
    png, svg = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    stem.parent.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(png)
        layout = figure.get_layout_engine()
        figure.set_layout_engine("none")  # it is laid out
        figure.savefig(svg, metadata={"Date": None})  # the same picture is the same file
        figure.set_layout_engine(layout)
    return png, svg


def entitle(ax: Any, *lines: str, width: int = LINE) -> None:
    """A title of lines, each wrapped at the width of the picture."""
    words = [line[0].upper() + line[1:] if k == 0 else line for k, line in enumerate(filter(None, lines))]
    ax.set_title("\n".join(textwrap.fill(line, width) for line in words), loc="left", multialignment="left")


def below(ax: Any, handles: Any, columns: int) -> None:
    """A legend under the axes, where it hides nothing."""
    columns = min(columns, len(handles))
    ax.legend(handles=handles, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.2), columnspacing=1.0)


def colour_of(k: int) -> str:
    """The k-th colour; they come again."""
    return COLOURS[k % len(COLOURS)]


def equal(ax: Any, points: ArrayLike) -> None:
    """One scale for both axes of the plane, if the points are not far longer than wide; said in a corner where not."""
    spans = np.ptp(_rows(points), axis=0)
    if spans.min() > 0 and spans.max() > LONGEST * spans.min():
        ax.annotate("axes of different scale", (1, 1), xycoords="axes fraction", ha="right", va="top", fontsize=6)
    else:
        ax.set_aspect("equal", adjustable="datalim")


def equal_solid(ax: Any, points: ArrayLike) -> None:
    """One scale for three axes, each at least a quarter as long as the longest, so that a plane can be seen."""
    rows = _rows(points)
    low, high = rows.min(axis=0), rows.max(axis=0)
    half = np.maximum((high - low) / 2, max(float((high - low).max()), 1e-300) / 8)
    middle = (low + high) / 2
    for letter, m, h in zip("xyz", middle, half, strict=True):
        getattr(ax, f"set_{letter}lim")(m - 1.05 * h, m + 1.05 * h)
        getattr(ax, f"{letter}axis").set_major_locator(matplotlib.ticker.MaxNLocator(4 if h > half.max() / 2 else 2))
    ax.set_box_aspect(half / half.max())
    ax.tick_params(pad=-2)


def face(ax: Any, points: Array) -> None:
    """Look at points of R^3, shape=[N, 3], aslant from the side to which they are flattest."""
    axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2]
    eye = axes[2] * np.copysign(1.0, axes[2, 2]) - 0.7 * axes[1] * np.copysign(1.0, axes[1, 1]) + 0.4 * axes[0]
    elevation = np.degrees(np.arctan2(eye[2], np.hypot(eye[0], eye[1])))
    ax.view_init(elev=float(elevation), azim=float(np.degrees(np.arctan2(eye[1], eye[0]))))


def _rows(points: ArrayLike) -> Array:
    rows = np.asarray(points, dtype=float)
    rows = rows.reshape(-1, rows.shape[-1])
    return rows[np.isfinite(rows).all(axis=1)]


def in_words(region: Any) -> str:
    """A region as a title names it: a box by its sides."""
    if not isinstance(region, Box) or region.dim > 4:
        return str(region)
    sides = [f"[{low:g}, {high:g}]" for low, high in zip(region.lower, region.upper, strict=True)]
    if len(sides) > 1 and len(set(sides)) == 1:
        return f"{sides[0]}^{len(sides)}"
    return " x ".join(sides)
