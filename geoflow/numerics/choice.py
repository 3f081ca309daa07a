"""Which engine differentiates what a user gives, and whether it is probed: the keywords of maps and potentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from geoflow._validate import require_flag
from geoflow.numerics.engine import require_engine


class EngineOption(TypedDict, total=False):
    """The keywords of an `EngineChoice`, as functions with many others take them."""

    engine: str
    check: bool


@dataclass(frozen=True)
class EngineChoice:
    """An engine by name, and whether what it differentiates is probed when it is given.

    `ArgumentError` where there is no engine of that name, or "jax" is not installed.
    """

    engine: str = "auto"
    check: bool = True

    def __post_init__(self) -> None:
        require_engine(self.engine)
        require_flag(self.check)
