"""Tables of pandas, an extra that is imported when it is asked for, and those of trajectories."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from geoflow._typing import Array
from geoflow.errors import ArgumentError

if TYPE_CHECKING:
    import pandas


def frame_of(flow: Any) -> pandas.DataFrame:
    """One row a time, or a time and an entry of the batch, of a `Trajectory`: t, the loss, and the coordinates."""
    pandas = require_pandas("a table of a flow")
    batch = flow.loss.shape[1:]
    rows = len(flow.t) * int(np.prod(batch))
    columns: dict[str, Array] = {"t": np.repeat(flow.t, rows // len(flow.t))}
    for axis, place in enumerate(np.indices(batch)):
        name = "entry" if len(batch) == 1 else f"entry_{axis + 1}"
        columns[name] = np.tile(place.ravel(), len(flow.t))
    columns["loss"] = flow.loss.reshape(rows)
    for name, value in (("w", flow.w), ("mu", flow.mu), ("x", flow.x)):
        if value is not None:
            columns |= _coordinates(name, value, len(batch), rows)
    if batch and flow.statuses.shape == batch:
        columns["status"] = np.tile(flow.statuses.ravel(), len(flow.t))
    return pandas.DataFrame(columns)


def _coordinates(name: str, value: Array, batch_axes: int, rows: int) -> dict[str, Array]:
    """A column a coordinate, counted from 1: w_1, w_2, ..., and x_1_1, x_1_2, ... of matrices."""
    shape = value.shape[1 + batch_axes :]
    flat = value.reshape(rows, -1)
    places = product(*(range(1, n + 1) for n in shape))
    return {f"{name}_{'_'.join(map(str, place))}": flat[:, k] for k, place in enumerate(places)}


def require_pandas(what: str, parquet: bool = False) -> Any:
    """The module pandas, with what it writes Parquet by where that is asked for."""
    try:
        import pandas

        if parquet:
            import pyarrow  # noqa: F401
    except ImportError as error:
        wanted = "pandas and pyarrow" if parquet else "pandas"
        raise ArgumentError(what, f"no {error.name}", wanted, "pip install geoflow[sweep]") from None
    return pandas
