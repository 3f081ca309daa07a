"""What flows, in words: the kind of flow, the map or the potential, and the loss, by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec

from geoflow.results import Trajectory

P = ParamSpec("P")


def titled(kind: str, relation: str) -> Callable[[Callable[P, Trajectory]], Callable[P, Trajectory]]:
    """A flow of (loss, map or potential, ...) whose trajectories say so: `kind` LOSS, `relation` NAME."""

    def named(function: Callable[P, Trajectory]) -> Callable[P, Trajectory]:
        @wraps(function)
        def run(*args: P.args, **options: P.kwargs) -> Trajectory:
            found = function(*args, **options)
            given = dict(zip(("loss", "subject"), args, strict=False))
            loss = given.get("loss", options.get("loss"))
            subject = given.get("subject", options.get("G", options.get("R")))
            name = getattr(subject, "name", type(subject).__name__)
            return replace(found, title=f"{kind} of {name_of_loss(loss)}, {relation} {name}")

        return run

    return named


def name_of_loss(loss: Any) -> str:
    """The name of a function or of a class; "a loss" of what has none."""
    name = getattr(loss, "__name__", None) or type(loss).__name__
    return name if name.isidentifier() else "a loss"
