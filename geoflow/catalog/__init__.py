"""Named parametrizations and potentials: `parametrizations`, `noncommuting`, `potentials`."""

# each module registers its entries
from geoflow.catalog import coordinatewise, functions, manifolds, matrices, pairs, quadratic, spheres  # noqa: F401
from geoflow.catalog.networks import diagonal_network
from geoflow.catalog.registry import Case, Entry, Registry, noncommuting, parametrizations, potentials

__all__ = ["Case", "Entry", "Registry", "diagonal_network", "noncommuting", "parametrizations", "potentials"]
