"""The options of the command line, each with the numbers it takes; nothing heavy is imported."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

from geoflow._version import __version__
from geoflow.errors import shortened

#: a command: the options to an exit status
Command = Callable[[argparse.Namespace], int]
#: largest d of the laws, which form d^3 entries a point, and largest D of an embedding
LARGEST_D, LARGEST_AMBIENT, LONGEST_RUN = 100, 10_000, 10_000_000
REPORT = "write report.html, a page with interactive pictures that needs no network: pip install geoflow[report]"
STATUSES = """exit status:
  0    every check passed
  1    a check failed
  2    no answer, because of the call or of an exception in your file
  124  --timeout is over
  130  Ctrl-C
  141  what reads the output has ended"""
EXAMPLES = {
    "demo": ("geoflow demo", "geoflow demo --out pictures --json figures.json --timeout 600"),
    "verify": (
        "geoflow verify hyperbolic sine --dim 5", "geoflow verify maps.py:G --x0 1,0.7,-0.5,0.3 --json figures.json",
        "geoflow verify matrix_square maps.py:G --prove",
    ),
    "realize": (
        "geoflow realize quartic --box -1:1 --plot pictures",
        "geoflow realize gaussian_log_partition --box -1,-2:1,-0.5 --method spectral --save F.npz",
        "geoflow realize mine.py:R --box -1:1 --tol 1e-6 --prove --json F.json",
    ),
    "check": ("geoflow check F.npz", "geoflow check F.npz --json proof.json"),
    "sweep": ("geoflow sweep study.toml", "geoflow sweep study.toml --jobs 2 --json ended.json"),
    "list": ("geoflow list", "geoflow list --json catalogue.json"),
    "completion": (
        "geoflow completion bash > ~/.local/share/bash-completion/completions/geoflow",
        "geoflow completion zsh > ~/.geoflow-completion.zsh; echo 'source ~/.geoflow-completion.zsh' >> ~/.zshrc",
    ),
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, and takes numbers below zero wherever it takes a value."""

    def __init__(self, **options: Any):
        super().__init__(**options, formatter_class=argparse.RawDescriptionHelpFormatter)
        # what begins like a number is a value: -1:1 of --box, -1,0.5 of --x0
        self._negative_number_matcher = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        if chosen := re.match(r"argument COMMAND: invalid choice: '(.*?)'", message):
            near = get_close_matches(chosen[1], self.commands, n=1)
            message = f"no command {chosen[1]!r}; {f'did you mean {near[0]}' if near else ', '.join(self.commands)}"
        self.exit(2, f"{self.prog}: {shortened(message, 400)}; see {self.prog} --help\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, with the option that an unknown one is near to."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            name, command = rest[0].partition("=")[0], getattr(options, "name", "")
            near = get_close_matches(name, self.options_of(command), n=1, cutoff=0.7)
            others = [other for other, own in self.commands.items() if name in own.options_of()]
            remedy = f"did you mean {near[0]}" if near else f"geoflow {command} has no such argument"
            if others:
                remedy = f"{name} is for {', '.join(others)}"
            told = shortened(" ".join(rest), 200)
            self.exit(2, f"{self.prog} {command}: unknown {told}; {remedy}; see geoflow {command} --help\n")
        return options

    def options_of(self, command: str = "") -> dict[str, tuple[str, ...] | None]:
        """The options of a command: to None for a flag, to the values it has to choose from, or to no such values."""
        if command:
            return self.commands[command].options_of()
        return {
            name: None if action.nargs == 0 else tuple(map(str, action.choices or ()))
            for action in self._actions for name in action.option_strings
        }  # fmt: skip

    @property
    def commands(self) -> dict[str, Parser]:
        """The parsers of all commands."""
        found: dict[str, Parser] = {}
        for action in self._actions:
            if isinstance(action.choices, dict):
                found.update(action.choices)
        return found


def parser(run: Mapping[str, Command]) -> Parser:
    """The parser of all commands, by the functions that run them."""
    description = "Commuting parametrizations, Legendre functions and mirror flows."
    whole = Parser(prog="geoflow", description=description, epilog=STATUSES)
    whole.add_argument("--version", action="version", version=f"geoflow {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND", dest="name")
    common = Parser(add_help=False)
    common.add_argument("--json", type=_file, metavar="FILE", help="write the answer, with every figure, as JSON")
    common.add_argument("--timeout", type=_timeout, metavar="SECONDS", help="end the run then, with exit status 124")
    common.add_argument("--traceback", action="store_true", help="print the whole traceback of an error too")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        examples = "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[name])])
        added = commands.add_parser(
            name, parents=[common], help=text, description=text, epilog=f"{examples}\n\n{STATUSES}"
        )
        added.set_defaults(run=run[name])
        return added

    shown = command("demo", "run both theorems over the catalogue, and the bias on real data")
    text = "folder of pictures and results.json (default: %(default)s)"
    shown.add_argument("--out", type=_folder, default="geoflow-demo", help=text)
    shown.add_argument("--jobs", type=_jobs, help="processes (default: one for each core, at most 4)")
    _verify_options(command("verify", "run the laws on catalogue entries or on your own parametrization"))
    _realize_options(command("realize", "embed a Hessian metric, and run gradient flow on the result"))
    checked = command("check", "compute again what is proved of a saved realization, without its solver")
    checked.add_argument("file", metavar="FILE.npz", help="written by realize --prove --save, or by F.prove(); F.save")
    swept = command("sweep", "run a function of yours over a grid, row by row, and go on where it was ended")
    swept.add_argument(
        "spec", metavar="SPEC.toml", help='function = "FILE.py:NAME", folder, and a table [grid] of lists'
    )
    swept.add_argument("--jobs", type=_jobs, default=-1, help="processes (default: one for each core)")
    swept.add_argument("--retry", action="store_true", help="compute rows with an error again")
    command("list", "list the catalogue")
    completed = command("completion", "print a script for the shell, by which TAB completes commands and options")
    completed.add_argument("shell", choices=("bash", "zsh"))
    return whole


def _verify_options(verify: argparse.ArgumentParser) -> None:
    text = "maps and potentials of the catalogue, or maps of yours"
    verify.add_argument("targets", nargs="+", metavar="NAME|FILE.py:OBJECT", help=text)
    verify.add_argument("--dim", type=_dimension, help="dimension d of catalogue entries (default: 2)")
    verify.add_argument("--x0", help="start of your own map, comma-separated (default: its module's x0)")
    text = "decide the brackets exactly where the map is rational, and say what is proved"
    verify.add_argument("--prove", action="store_true", help=text)
    verify.add_argument(
        "--plot", type=_folder, metavar="DIR", help="write pictures of trajectories and gaps, PNG and SVG"
    )
    verify.add_argument("--report", type=_folder, metavar="DIR", help=REPORT)


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
    realize.add_argument(
        "--plot", type=_folder, metavar="DIR", help="write pictures of M, the solver and flows, PNG and SVG"
    )
    realize.add_argument("--report", type=_folder, metavar="DIR", help=REPORT)
    realize.add_argument("--save", type=_file, metavar="FILE.npz", help="write the realization")


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
    if not text or not above.is_dir() or not _takes_files(above):
        what = "is not writable" if above.is_dir() else "is no folder"
        raise _refused(text, "a folder that can be written", f"{above} {what}")
    return text


def _takes_files(folder: Path) -> bool:
    """Whether a file can be made there, which permissions alone do not say."""
    try:
        with TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _refused(text: str, wanted: str, remedy: str) -> argparse.ArgumentTypeError:
    got = shortened(repr(text), 80)
    return argparse.ArgumentTypeError("; ".join(part for part in (f"got {got}", f"wanted {wanted}", remedy) if part))
