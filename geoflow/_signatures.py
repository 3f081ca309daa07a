"""Signatures as they are written: annotations are kept as text, which is shown in quotes unless it says otherwise."""

from __future__ import annotations

from types import FunctionType

OWN = __name__.partition(".")[0]


class Written(str):
    """An annotation as it stands in the file, which `inspect.signature` and `help` show without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def unquoted(value: object) -> object:
    """The same function or class; its annotations, or those of its methods and its bases, are shown as written."""
    kinds = value.__mro__ if isinstance(value, type) else ()
    for part in [value, *(part for kind in kinds for part in vars(kind).values())]:
        function = getattr(part, "__func__", part)  # of a class method
        while isinstance(function, FunctionType) and function.__module__.partition(".")[0] == OWN:
            hints = function.__annotations__
            function.__annotations__ = {k: Written(v) if isinstance(v, str) else v for k, v in hints.items()}
            function = getattr(function, "__wrapped__", None)
    return value
