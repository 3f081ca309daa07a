"""Errors that say what is wrong, what was got, what was wanted, and what to do."""

from __future__ import annotations

import pickle
import re
from typing import Any

from geoflow._help import entry

#: characters of one sentence of a message, beyond which its middle is left out
LONGEST = 1200
_NUMBER, _BETWEEN = r"[-+]?(?:(?<![\d.])\d+(?:\.\d*)?(?:e[-+]?\d+)?|nan|inf)", r"[\s,\[\]()]+"
_MANY = re.compile(
    rf"((?:{_NUMBER}{_BETWEEN}){{4}})(?:{_NUMBER}{_BETWEEN}){{6,}}((?:{_NUMBER}{_BETWEEN}){{2}}{_NUMBER})"
)


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text on one line: long rows of numbers by their ends, and without its middle where it is long still."""
    if len(text) > 40 * longest:
        text = f"{text[: 20 * longest]} ... {text[-20 * longest :]}"
    text = _MANY.sub(r"\1... \2", " ".join(text.split()))
    if len(text) <= longest:
        return text
    first, last = text[: 2 * longest // 3], text[-longest // 4 :]  # at whole words, where there are any
    return f"{first.rpartition(' ')[0] or first} ... {last.partition(' ')[2] or last}"


def in_a_line(text: str) -> str:
    """What an object says of itself, in at most 300 characters."""
    return shortened(text, 300)


class GeoflowError(Exception):
    """Root of every error geoflow raises on purpose.

    Parameters
    ----------
    what : str
        The quantity or call at fault.
    got, wanted, remedy : str
        What was received, what would be accepted, and what the caller can do.
    **evidence
        Figures and witnesses (``defect``, ``point``, ``index``, ...), kept as attributes and in ``evidence``.
    """

    def __init__(self, what: str, got: str = "", wanted: str = "", remedy: str = "", **evidence: Any):
        self.what, self.got, self.wanted, self.remedy = what, got, wanted, remedy
        self.evidence = evidence
        for name, value in evidence.items():
            setattr(self, name, value)
        parts = [what, got and f"got {got}", wanted and f"wanted {wanted}", remedy]
        super().__init__("; ".join(shortened(part) for part in parts if part))
        self.__notes__ = [f"see {self.help}"]  # what add_note does from Python 3.11 on; Python 3.10 shows none

    @property
    def help(self) -> str:
        """Page and anchor of the entry of the FAQ about such errors, which a traceback shows as a note."""
        return entry(type(self), str(self.args[0]))


class ArgumentError(GeoflowError, ValueError):
    """An argument has a value that makes no sense."""


class ShapeError(GeoflowError, ValueError):
    """An array, or the value of a user's function, has the wrong shape."""


class NotFiniteError(GeoflowError, ValueError):
    """An array has a NaN or an infinity."""


class DomainError(GeoflowError, ValueError):
    """A point is outside the set where the answer exists."""


class InfeasibleError(DomainError):
    """A constraint set does not meet the domain."""


class NotOnManifoldError(DomainError):
    """A point is not on the manifold."""


class NotCommutingError(GeoflowError):
    """The gradient fields of a parametrization do not commute; carries ``defect``, ``point`` and ``pair``."""


class NotIntrinsicError(GeoflowError):
    """The cometric of a parametrization is no function of w; carries ``defect`` and two ``lifts`` of one w."""


class NotRegularError(GeoflowError):
    """The differential of a parametrization is not of full rank; carries ``defect`` and ``point``."""


class NotLegendreError(GeoflowError):
    """A potential is not strictly convex, or its gradient does not blow up, where it has to; carries ``point``."""


class CheckError(GeoflowError):
    """A law was tested and does not hold; carries ``defect``, ``tol`` and ``point``."""


class ConvergenceError(GeoflowError):
    """An iteration or an integrator stopped before it met its tolerance; carries the defect it reached."""


class RealizationError(GeoflowError):
    """An embedding does not meet the tolerance it was asked for."""


class FileError(ArgumentError, RealizationError):
    """A saved realization cannot be written, or a file is not a whole one."""


class NotPicklableError(GeoflowError, pickle.PicklingError):
    """A function or object inside has no name by which another process could import it."""


class DerivativeError(ArgumentError, NotImplementedError):
    """A function uses an operation of which autograd has no derivative; carries `operation`, and `file` and `line`."""


class OperationError(ArgumentError, NotImplementedError):
    """An arithmetic that a recorded map is run on does not have one of its operations; carries `operation`."""


class UserCodeError(ArgumentError):
    """A function of the user raised an exception, which is the `__cause__`; carries `file` and `line` where it did."""


class ProofError(ArgumentError):
    """A proof cannot be attempted: a map that is not recorded, sizes beyond reach, an extra that is not installed."""


class BackendError(GeoflowError, ImportError):
    """geomstats is loaded with a backend that cannot differentiate."""
