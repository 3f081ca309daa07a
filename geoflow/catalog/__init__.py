"""Named parametrizations and potentials: `parametrizations`, `noncommuting`, `potentials`."""

from geoflow.catalog import (  # noqa: F401  each registers its entries
    coordinatewise,
    functions,
    manifolds,
    matrices,
    pairs,
    quadratic,
    spheres,
)
from geoflow.catalog.registry import Case, Entry, Registry, noncommuting, parametrizations, potentials

__all__ = ["Case", "Entry", "Registry", "noncommuting", "parametrizations", "potentials"]
