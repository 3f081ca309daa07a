"""Names of the types that annotations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: floats, or what autograd puts in their place while it differentiates
Array = NDArray[np.floating[Any]]
#: places in a batch
Index = NDArray[np.integer[Any]]
#: truth values, one a point
Mask = NDArray[np.bool_]
#: points to values, both with the coordinates on the last axis
Map = Callable[[Array], Array]
#: points and one direction or one covector each, to values
Bilinear = Callable[[Array, Array], Array]
#: points, a covector and a direction each, to values
Trilinear = Callable[[Array, Array, Array], Array]
#: (time, state) to its velocity; NaN where there is none
Field = Callable[[float, Array], Array]
#: figures of an error, or of a result, by name
Evidence = dict[str, Any]

__all__ = ["Array", "ArrayLike", "Bilinear", "Evidence", "Field", "Index", "Map", "Mask", "Trilinear"]
