"""The converse theorem: a Legendre function R to a commuting parametrization whose gradient flow is its mirror flow."""

from geoflow.realization.certificate import Certificate
from geoflow.realization.codazzi import is_hessian
from geoflow.realization.construct import load_realization, realize, realize_metric
from geoflow.realization.realization import Method, Realization
from geoflow.realization.spectral import Stage

__all__ = [
    "Certificate", "Method", "Realization", "Stage", "is_hessian", "load_realization", "realize", "realize_metric",
]  # fmt: skip
