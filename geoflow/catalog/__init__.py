"""Named parametrizations and potentials: `parametrizations`, `noncommuting`, `potentials`."""

from geoflow.catalog import coordinatewise, manifolds, matrices, pairs, quadratic, sphere  # noqa: F401  each registers its entries
from geoflow.catalog.potentials import potentials
from geoflow.catalog.registry import Case, Entry, Registry, noncommuting, parametrizations

__all__ = ["Case", "Entry", "Registry", "noncommuting", "parametrizations", "potentials"]
