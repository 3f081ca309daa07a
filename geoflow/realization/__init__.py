"""The converse theorem: a Legendre function R to a commuting parametrization whose gradient flow is its mirror flow."""

from geoflow.realization.certificate import Certificate
from geoflow.realization.realize import Method, Realization, is_hessian, load_realization, realize, realize_metric
from geoflow.realization.spectral import Stage

__all__ = [
    "Certificate", "Method", "Realization", "Stage", "is_hessian", "load_realization", "realize", "realize_metric",
]  # fmt: skip
