"""Public names of the last release, kept for one more, each with what to write instead."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from geoflow._validate import require_type

#: old name to (module, name there, what to write)
MOVED = {
    "bias": ("geoflow.potentials.projection", "", "gf.bregman_projection, gf.check_rate_bound"),
    "rate_bound": ("geoflow.flows.rates", "check_rate_bound", "gf.check_rate_bound"),
    "verify": ("geoflow.theorems.direct", "", "geoflow.theorems.direct, .converse"),
}
MOVED |= {
    old: (f"geoflow.{new}", "", f"geoflow.{new}")
    for old, new in {
        "composition": "potentials.composition", "descent": "flows.descent", "dual": "metrics.dually_flat",
        "fields": "maps.fields", "holonomy": "maps.holonomy", "induced": "potentials.induced",
        "legendre": "potentials.legendre", "lie_algebra": "maps.lie_algebra", "losses": "flows.losses",
        "obstruction": "theorems.obstruction", "parametrization": "maps.parametrization",
        "profiles": "potentials.profiles", "regularization": "potentials.regularized",
    }.items()
}  # fmt: skip
METHODS: dict[str, tuple[Any, str]] = {
    "affine_image": (lambda G, A, b=0.0: G.affine(A, b), "G.affine(A, b)"),
    "precompose": (lambda G, isometry, space=None: G.precompose(isometry, space), "G.precompose(phi, space)"),
    "restrict_to_leaf": (lambda G, x0: G.on_leaf(x0), "G.on_leaf(x0)"),
}


def get(name: str) -> Any:
    """The object an old name stood for, with a `DeprecationWarning`; `AttributeError` where there never was one."""
    if name in METHODS:
        method, instead = METHODS[name]

        def checked(G: Any, *arguments: Any, **named: Any) -> Any:
            kind = importlib.import_module("geoflow.maps.parametrization").Parametrization
            require_type(G, kind, "G", "wrap the map: gf.Parametrization(f, space, codomain_dim)")
            return method(G, *arguments, **named)

        value: Any = checked
    elif name in MOVED:
        module, attribute, instead = MOVED[name]
        home = importlib.import_module(module)
        value = getattr(home, attribute) if attribute else home
    else:
        raise AttributeError(f"module 'geoflow' has no attribute {name!r}")
    warnings.warn(f"gf.{name} is deprecated; write {instead}", DeprecationWarning, stacklevel=3)
    return value
