"""The options of the command line, each with the numbers it takes; nothing heavy is imported."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from geoflow.errors import shortened

#: a command: the options to an exit status
Command = Callable[[argparse.Namespace], int]
#: largest d of the laws, which form d^3 entries a point, and largest D of an embedding
LARGEST_D, LARGEST_AMBIENT, LONGEST_RUN = 100, 10_000, 10_000_000
EPILOG = (
    "exit status: 0 every check passed; 1 a check failed; 2 no answer, because of the call or an exception in your"
    " file; 124 --timeout is over; 130 Ctrl-C"
)


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {shortened(message, 400)}; see {self.prog} --help\n")


def parser(
    demo: Command, verify: Command, realize: Command, check: Command, sweep: Command, listing: Command
) -> argparse.ArgumentParser:
    """The parser of all commands."""
    description = "Commuting parametrizations, Legendre functions and mirror flows."
    whole = Parser(prog="geoflow", description=description, epilog=EPILOG)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    common = Parser(add_help=False)
    common.add_argument("--timeout", type=_timeout, metavar="SECONDS", help="end the run then, with exit status 124")
    common.add_argument("--traceback", action="store_true", help="print the whole traceback of an error too")

    def command(name: str, run: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=text, description=text, epilog=EPILOG)
        added.set_defaults(run=run)
        return added

    shown = command("demo", demo, "run both theorems over the catalogue, and the bias on real data")
    text = "folder of figures and figures.json (default: %(default)s)"
    shown.add_argument("--out", type=_folder, default="geoflow-demo", help=text)
    _verify_options(command("verify", verify, "run the laws on catalogue entries or on your own parametrization"))
    _realize_options(command("realize", realize, "embed a Hessian metric, and run gradient flow on the result"))
    checked = command("check", check, "compute again what is proved of a saved realization, without its solver")
    checked.add_argument("file", metavar="FILE.npz", help="written by realize --prove --save, or by F.prove(); F.save")
    swept = command("sweep", sweep, "run a function of yours over a grid, row by row, and go on where it was ended")
    swept.add_argument(
        "spec", metavar="SPEC.toml", help='function = "FILE.py:NAME", folder, and a table [grid] of lists'
    )
    swept.add_argument("--jobs", type=_jobs, default=-1, help="processes (default: one for each core)")
    command("list", listing, "list the catalogue")
    return whole


def _verify_options(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("targets", nargs="+", metavar="NAME|FILE.py:OBJECT")
    verify.add_argument("--dim", type=_dimension, help="dimension d of catalogue entries (default: 2)")
    verify.add_argument("--x0", help="start of your own map, comma-separated (default: its module's x0)")
    text = "decide the brackets exactly where the map is rational, and say what is proved"
    verify.add_argument("--prove", action="store_true", help=text)
    verify.add_argument("--json", type=_file, metavar="FILE", help="write every figure")
    verify.add_argument("--plot", type=_folder, metavar="DIR", help="write trajectories and gaps as PNG")


def _realize_options(realize: argparse.ArgumentParser) -> None:
    realize.add_argument("target", metavar="NAME|FILE.py:OBJECT", help="a potential of the catalogue, or your own")
    realize.add_argument("--d", type=_dimension, help="dimension d of a catalogue potential (default: 2)")
    realize.add_argument("--box", metavar="LOW,..:HIGH,..", help="as -1,-2:1,-0.5, or one LOW:HIGH for all coordinates")
    realize.add_argument("--dim", type=_ambient, help="ambient dimension D (default: d(d+3)/2, or by the rule)")
    text = "relative metric error to meet (default: %(default)s)"
    realize.add_argument("--tol", type=_tolerance, default=1e-8, help=text)
    realize.add_argument("--method", default="auto", choices=("auto", "exact", "twist", "spectral"))
    text = "bound the metric error on the whole box by ball arithmetic: pip install geoflow[proof]"
    realize.add_argument("--prove", action="store_true", help=text)
    realize.add_argument("--plot", type=_folder, metavar="DIR", help="write M, the convergence and the flows as PNG")
    realize.add_argument("--save", type=_file, metavar="FILE.npz", help="write the realization")
    realize.add_argument("--json", type=_file, metavar="FILE", help="write every figure")


def _jobs(text: str) -> int:
    return _whole(text, 1000, "leave it out for one process a core")


# values -------------------------------------------------------------------------------------------------------------


def _whole(text: str, most: int, remedy: str) -> int:
    try:
        value = int(text) if len(text) < 100 else None
    except ValueError:
        value = None
    if value is None or not 1 <= value <= most:
        raise _refused(
            text, f"an integer, at least 1 and at most {most}", remedy if value is not None and value > most else ""
        )
    return value


def _dimension(text: str) -> int:
    return _whole(text, LARGEST_D, "laws form d^3 entries a point: for a larger d run those you need in Python")


def _ambient(text: str) -> int:
    return _whole(text, LARGEST_AMBIENT, "an embedding needs d(d+3)/2 dimensions at most")


def _number(text: str, low: float, high: float, wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low < value < high:
        raise _refused(text, wanted, "")
    return value


def _tolerance(text: str) -> float:
    return _number(text, 0.0, 1.0, "a number between 0 and 1, such as 1e-8")


def _timeout(text: str) -> float:
    return _number(text, 0.0, LONGEST_RUN, f"seconds, a positive number below {LONGEST_RUN}")


def _file(text: str) -> str:
    """A file that can be written: found out before a long run, not after it."""
    path = Path(text)
    if not text or path.is_dir():
        raise _refused(text, "the name of a file", "it is a folder" if text else "")
    if path.exists() and not os.access(path, os.W_OK):
        raise _refused(text, "a file that can be written", "change its permissions, or name another")
    _folder(str(path.parent))
    return text


def _folder(text: str) -> str:
    """A folder that is there or can be made."""
    path = Path(text).absolute()
    above = next(p for p in (path, *path.parents) if p.exists())
    if not text or not above.is_dir() or not os.access(above, os.W_OK):
        what = "is not writable" if above.is_dir() else "is no folder"
        raise _refused(text, "a folder that can be written", f"{above} {what}")
    return text


def _refused(text: str, wanted: str, remedy: str) -> argparse.ArgumentTypeError:
    got = shortened(repr(text), 80)
    return argparse.ArgumentTypeError("; ".join(part for part in (f"got {got}", f"wanted {wanted}", remedy) if part))
