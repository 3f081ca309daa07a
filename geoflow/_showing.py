"""Objects that draw themselves: pictures and pages are made in the last room, which is asked when one is wanted."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoflow._pickling import Portable

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Shown(Portable):
    """A base of classes whose objects have a picture."""

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the object on `ax`, by default on a figure of its own, and return the Axes.

        The options are those of the function of `gf.plotting` that draws objects of this class.
        """
        from geoflow.app.plotting import plot

        return plot(self, ax, **options)


class Paged(Shown):
    """A base of classes whose objects have a page."""

    def to_html(self, path: str | PathLike[str]) -> Path:
        """Write one HTML page that needs no network, with interactive pictures and what is claimed, in words.

        It needs `pip install geoflow[report]`. Written whole or not at all; returns the path.

        Raises
        ------
        ArgumentError
            Where the extra is missing.
        FileError
            Where the page cannot be written; what was there stays.
        """
        from geoflow.app.report import write_page

        return write_page(self, path)
