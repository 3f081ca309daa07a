"""The geometry behind implicit bias: commuting parametrizations, Legendre functions and mirror flows.

``import geoflow as gf`` gives the public names below; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from geoflow._version import __version__
from geoflow.errors import (
    ArgumentError,
    BackendError,
    CheckError,
    ConvergenceError,
    DomainError,
    GeoflowError,
    InfeasibleError,
    NotCommutingError,
    NotFiniteError,
    NotLegendreError,
    NotOnManifoldError,
    NotRegularError,
    RealizationError,
    ShapeError,
)


def _choose_backend() -> None:
    """Ask geomstats for its autograd backend, and say so plainly when another one is already loaded."""
    loaded = sys.modules.get("geomstats.backend")
    if loaded is None:
        name = os.environ.setdefault("GEOMSTATS_BACKEND", "autograd")
    else:
        name = loaded.__name__.removeprefix("geomstats.")
    if name != "autograd":
        raise BackendError(
            "geomstats backend",
            got=f"{name!r}",
            wanted="'autograd', which geoflow differentiates with",
            remedy="import geoflow before geomstats, or set the environment variable GEOMSTATS_BACKEND=autograd",
        )


_choose_backend()

_HOME = {
    "VectorField": "fields",
    "lie_bracket": "fields",
    "joint_flow": "fields",
    "LieAlgebra": "lie_algebra",
    "Parametrization": "parametrization",
    "LegendreFunction": "legendre",
    "HessianMetric": "metrics",
    "DuallyFlatManifold": "dual",
    "Check": "results",
    "Status": "results",
    "Trajectory": "results",
    "EquivalenceReport": "results",
    "LeastSquares": "losses",
    "LogisticLoss": "losses",
    "gradient_flow": "flows",
    "mirror_flow": "flows",
    "mirror_map": "induced",
    "bregman_projection": "bias",
    "rate_bound": "bias",
    "verify_equivalence": "verify",
    "Profile": "profiles",
    "RidgeSum": "composition",
    "product": "composition",
    "affine_image": "maps",
    "precompose": "maps",
    "identity": "maps",
    "restrict_to_leaf": "maps",
    "lift_curve": "holonomy",
    "area_law": "holonomy",
    "schedule_gap": "obstruction",
    "hessian_fit": "obstruction",
    "time_warp": "obstruction",
    "gradient_descent": "descent",
    "mirror_descent": "descent",
    "natural_gradient_descent": "descent",
    "fitted_order": "descent",
    "Realization": "realization",
    "Certificate": "realization",
    "realize": "realization",
    "realize_metric": "realization",
    "is_hessian": "realization",
    "load_realization": "realization",
}
_MODULES = (
    "autodiff", "bias", "catalog", "composition", "descent", "domains", "dual", "errors", "fields", "flows", "holonomy",
    "induced", "laws", "legendre", "lie_algebra", "losses", "maps", "metrics", "obstruction", "parametrization",
    "plotting", "profiles", "realization", "regularization", "results", "spaces", "verify",
)  # fmt: skip

__all__ = [
    "ArgumentError", "BackendError", "CheckError", "ConvergenceError", "DomainError", "GeoflowError",
    "InfeasibleError", "NotCommutingError", "NotFiniteError", "NotLegendreError", "NotOnManifoldError",
    "NotRegularError", "RealizationError", "ShapeError", "__version__", *_HOME, *_MODULES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"geoflow.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"geoflow.{name}")
    else:
        raise AttributeError(f"module 'geoflow' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from geoflow import autodiff, catalog, domains, laws, plotting
    from geoflow.bias import bregman_projection, rate_bound
    from geoflow.composition import RidgeSum, product
    from geoflow.descent import fitted_order, gradient_descent, mirror_descent, natural_gradient_descent
    from geoflow.dual import DuallyFlatManifold
    from geoflow.fields import VectorField, joint_flow, lie_bracket
    from geoflow.flows import gradient_flow, mirror_flow
    from geoflow.holonomy import area_law, lift_curve
    from geoflow.induced import mirror_map
    from geoflow.legendre import LegendreFunction
    from geoflow.lie_algebra import LieAlgebra
    from geoflow.losses import LeastSquares, LogisticLoss
    from geoflow.maps import affine_image, identity, precompose, restrict_to_leaf
    from geoflow.metrics import HessianMetric
    from geoflow.obstruction import hessian_fit, schedule_gap, time_warp
    from geoflow.parametrization import Parametrization
    from geoflow.profiles import Profile
    from geoflow.realization import Certificate, Realization, is_hessian, load_realization, realize, realize_metric
    from geoflow.results import Check, EquivalenceReport, Status, Trajectory
    from geoflow.verify import verify_equivalence
