"""Command lines a user may get wrong, generated from a seed, each run in a process of its own and judged.

python -m benchmarks.commands [--seed 0] [--count 200] [--limit 25]
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEAD = "import autograd.numpy as np\nimport geoflow as gf\ncalls = 0\n"
MAP = "lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2"
EXCEPTIONS = (
    "1 / 0", "{}['alpha']", "raise RuntimeError('first\\nsecond')", "raise MemoryError", "raise KeyboardInterrupt",
    "np.linalg.inv(np.zeros((2, 2)))", "None.alpha", "raise SystemExit(0)", "raise SystemExit('all is well')",
    "raise RecursionError('deep')", "open('/nowhere/data.csv')", "raise StopIteration", "assert False",
    "undefined_name", "raise GeneratorExit", "raise BrokenPipeError('gone')", "raise NotImplementedError('later')",
    "raise UnicodeError('x' * 5000)", "raise type('Odd', (Exception,), {'__str__': lambda s: 1 / 0})()",
    "import no_such_module", "int('seven')", "[][3]", "raise gf.DomainError('mine')", "raise BaseException('odd')",
)  # fmt: skip
#: where the statement stands: what is verified or realized, and the file around it
PLACES = {
    "import": ("verify", f"{HEAD}{{}}\nG = gf.Parametrization({MAP}, 4, 2)\n"),
    "map": ("verify", f"{HEAD}def f(x):\n    {{}}\n    return ({MAP})(x)\nG = gf.Parametrization(f, 4, 2)\n"),
    "late": (
        "verify",
        f"{HEAD}def f(x):\n    global calls\n    calls += 1\n    if calls > DELAY:\n        {{}}\n"
        f"    return ({MAP})(x)\n"
        "G = gf.Parametrization(f, 4, 2)\n",
    ),
    "sample": (
        "verify",
        f"{HEAD}case = gf.catalog.parametrizations['sine'](2)\ndef draw(n, rng):\n    {{}}\n"
        "import dataclasses\nG = dataclasses.replace(case, sample=draw)\n",
    ),
    "module __getattr__": ("verify", f"{HEAD}def __getattr__(name):\n    {{}}\n"),
    "potential": (
        "realize",
        f"{HEAD}def r(w):\n    {{}}\n    return np.sum(np.cosh(w), axis=-1)\nG = gf.LegendreFunction(r, 2)\n",
    ),
    "late in a potential": (
        "realize",
        f"{HEAD}def r(w):\n    global calls\n    calls += 1\n    if calls > DELAY:\n        {{}}\n"
        "    return np.sum(np.cosh(w), axis=-1) + np.sum(w, axis=-1) ** 4 / 8\nG = gf.LegendreFunction(r, 2)\n",
    ),
    "closed form": (
        "realize",
        f"{HEAD}def h(w):\n    {{}}\nG = gf.LegendreFunction(lambda w: np.sum(np.cosh(w), -1), 2, hessian=h)\n",
    ),
}
#: files that are none, as bytes
FILES = {
    "syntax": (b"G = (\n", "line 1"), "indent": (b"x = 1\n  G = 2\n", "line 2"), "null": (b"G = 1\x00\n", "null"),
    "encoding": (b"# -*- coding: utf-8 -*-\nG = '\xff\xfe'\n", "utf-8"), "latin": (b"# coding: nonsense\nG = 1\n", ""),
    "empty": (b"", "no such name"), "number": (b"G = 3\n", "int"), "none": (b"G = None\n", "NoneType"),
    "class": (b"import geoflow as gf\nG = gf.Parametrization\n", ""), "function": (b"def G(x): return x\n", "function"),
    "liar": (
        b"import geoflow as gf\nclass A:\n    @property\n    def __class__(self): return gf.Parametrization\nG = A()\n",
        "A",
    ),
    "angry": (b"class A:\n    @property\n    def __class__(self): return 1 / 0\nG = A()\n", "A"),
    "echo": (b"class A:\n    def __getattr__(self, name): return self\nG = A()\n", "A"),
    "case": (b"from geoflow.catalog.registry import Case\nG = Case(3, [1.0], None, None)\n", "parametrization"),
    "shape": (b"import geoflow as gf\nG = gf.Parametrization(lambda x: x[..., 7:9], 4, 2)\n", "line 2"),
    "sort": (b"import autograd.numpy as np, geoflow as gf\nG = gf.Parametrization(np.cumprod, 2, 2)\n", "cumprod"),
    "huge": (b"import geoflow as gf\nG = gf.Parametrization(lambda x: x, 10**9, 1)\n", "at most"),
    "huge d": (b"import geoflow as gf\nG = gf.LegendreFunction(lambda w: w.sum(-1), 10**10)\n", "at most"),
    "x0": (b"import geoflow as gf\nx0 = 'a'\nG = gf.Parametrization(lambda x: x**2, 2, 2)\n", "x0"),
}  # fmt: skip
LOOPS = (
    "while True: pass",
    "import time; time.sleep(1000)",
    "while True:\n    try: sum(range(99))\n    except BaseException: pass",
    "np.linalg.eigvals(np.random.default_rng(0).standard_normal((6000, 6000)))",
)
NUMBERS = (
    "0",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e9",
    "1000000000",
    "10" * 30,
    "9" * 5000,
    "1.5",
    "abc",
    "",
    "0x10",
    "1e-400",
    "true",
    "٣",
    "1_0_0_0",
)
OPTIONS = {
    "--dim": "verify sine",
    "--d": "realize burg",
    "--tol": "realize burg",
    "--timeout": "list",
    "--x0": "verify FILE:G",
}
BOXES = (
    "1",
    "a:b",
    "nan:1",
    "0:nan",
    "2:1",
    "1:1",
    "-1,-1,-1:1",
    "",
    ":",
    "1:2:3",
    "-inf:inf",
    "0:1e999",
    "0:1," * 300,
    "--",
    "[-1:1]",
)
#: calls with what they end in: nothing to find fault with, a check that fails, and mistakes of names and places
CALLS = (
    ("list", 0), ("--help", 0), ("verify --help", 0), ("verify sine", 0), ("verify parabola", 0), ("verify burg", 0),
    ("verify FILE:G", 0), ("verify FILE:bad --x0 1,0.5", 1), ("verify FILE:degenerate --x0 1,0.5", 1),
    ("realize quartic --box=-1:1 --dim 2 --method spectral --tol 1e-3", 1), ("", 2), ("demos", 2), ("verify", 2),
    ("verify sin", 2), ("verify FILE", 2), ("verify FILE:", 2), ("verify FILE:H", 2), ("verify FILE:R", 2),
    ("realize FILE:G", 2), ("verify FOLDER:G", 2), ("verify nowhere.py:G", 2), ("verify a.py:b.py:c", 2),
    ("verify maps.txt:G", 2), ("verify sine --x0 1,2", 2), ("verify FILE:G --dim 3", 2), ("realize FILE:R --d 3", 2),
    ("verify FILE:G --x0 1,2", 2), ("verify FILE:G --x0 1,2,3,nan", 2), ("verify FILE:G --x0 1,2,3,1e400", 2),
    ("verify sine --json FOLDER", 2), ("verify sine --json FILE/x.json", 2), ("verify sine --plot FILE", 2),
    ("realize burg --save FOLDER", 2), ("demo --out FILE", 2), ("realize quartic", 2), ("realize burg --box=-1:1", 2),
    ("realize quartic --box=-1:1 --dim 1000000000", 2), ("realize quartic --box=-1:1 --method magic", 2),
    ("verify sine --dim", 2), ("verify sine --dims 3", 2), ("verify :G", 2), ("verify .py:G", 2), ("realize sine", 2),
    ("verify sine nowhere.py:G", 2), ("realize FILE:R", 2),
    # nothing is ignored: options where they mean nothing, near to others, or of another command
    ("--version", 0), ("completion bash", 0), ("completion fish", 2), ("completion", 2), ("--verbose", 2), ("-v", 2),
    ("verify parabola --dim 3", 2), ("verify parabola --x0 1", 2), ("verify burg --prove", 2),
    ("verify burg --x0=1", 2), ("verify FILE:case --x0 1,1", 2), ("verify FILE:G --x0 -1,0.7,0.5,0.3", 0),
    ("verify FILE:G --x0 1;0.5", 2), ("verify FILE:G --x0", 2), ("verify FILE:G --x0 -1", 2), ("verify --dim 3", 2),
    ("verify sine --dims=3", 2), ("verify sine --porve", 2), ("verify sine --box -1:1", 2),
    ("verify sine --save F.npz", 2), ("verify sine --d3", 2), ("verify sine -dim 3", 2),
    ("verify sine --dim three", 2), ("verify sine dim=3", 2), ("verify Sine", 2), ("verify sine,cube", 2),
    ("verify FILE:G:H", 2), ("verify FILE::G", 2), ("verify FILE G", 2), ("verfiy sine", 2), ("sine", 2),
    ("verify sine --json", 2), ("verify sine --json --prove", 2), ("verify sine --plot", 2), ("realize", 2),
    ("realize burg quartic --box=0.5:1", 2), ("realize burg --box 0.5:1 --dims 2", 2),
    ("realize quartic --box -1:1 --x0 1,1", 2), ("realize quartic --box 1:-1", 2), ("realize quartic --box -1:-1", 2),
    ("realize quartic --box -1 1", 2), ("realize quartic --box -1,1", 2), ("realize quartic --box -1,-1,-1:1", 2),
    ("realize quartic --box", 2), ("realize quartic --box -1:1 --tol -1e-8", 2),
    ("realize quartic --box -1:1 --tol 1", 2), ("realize quartic --box -1:1 --method", 2),
    ("realize quartic --box -1:1 --method Spectral", 2), ("realize quartic --box -1:1 --method twist --dim 5", 2),
    ("realize quartic --box -1:1 --dim 1 --method spectral", 2), ("realize quartic --box -1:1 --save FOLDER", 2),
    ("realize gaussian_log_partition --d 3 --box=-1,-2:1,-0.5", 2), ("realize FILE:case", 2),
    ("realize hyperbolic --box -1:1", 2), ("realize quartic --seed 3 --box -1:1", 2), ("sweep", 2),
    ("sweep nowhere.toml", 2), ("sweep FILE", 2), ("sweep FOLDER", 2), ("sweep FILE --jobs 0", 2),
    ("sweep FILE --jobs two", 2), ("sweep FILE --seed 1", 2), ("list all", 2), ("list --dim 2", 2), ("list --json", 2),
    ("list --json FOLDER", 2), ("list --timeout", 2), ("list --timeout -3", 2), ("demo --json FOLDER", 2),
    ("demo out", 2), ("demo --out", 2), ("help", 2), ("verify sine --help --dim x", 0), ("-- verify sine", 2),
    ("verify -- sine", 0),
)  # fmt: skip
#: one of these is in what a mistake is answered with: what is wanted, what is meant, or where it is said
REMEDIES = ("wanted", "did you mean", "--help", ", line ", "--traceback")
GOOD = f"""{HEAD}
G = gf.Parametrization({MAP}, 4, 2, name="mine")
bad = gf.Parametrization(lambda x: np.stack([x[..., 0], x[..., 0] ** 2 + x[..., 1]], -1), 2, 2, name="bad")
degenerate = gf.Parametrization(lambda x: np.stack([x[..., 0], x[..., 0]], -1), 2, 2)
R = gf.LegendreFunction(lambda w: np.sum(np.cosh(w), axis=-1) + np.sum(w, axis=-1) ** 4 / 8, 2)
x0 = [1.0, 0.7, 0.5, 0.3]
case = gf.catalog.parametrizations["square"](2)
"""


@dataclass(frozen=True)
class Line:
    """A command line, the exit status it has to end in, and a word that its last line on stderr has to have."""

    arguments: tuple[str, ...]
    status: int
    word: str = ""
    kind: str = ""


def lines(seed: int, count: int, folder: Path) -> list[Line]:
    """So many command lines, in the proportions of `KINDS`; the files they name are written to the folder."""
    rng = np.random.default_rng(seed)
    (folder / "maps.py").write_text(GOOD)
    kinds = list(KINDS)
    chosen = [kinds[k] for k in rng.choice(len(kinds), count, p=[KINDS[kind] for kind in kinds])]
    makers = {"raises": _raises, "file": _file, "number": _number, "call": _call, "loop": _loop}
    pools: dict[str, list[Line]] = {}
    found = []
    for kind in chosen:  # every sample of a kind once before any comes again
        if not pools.get(kind):
            pools[kind] = makers[kind](rng, folder)
        found.append(pools[kind].pop())
    return found


KINDS = {"raises": 0.42, "file": 0.13, "number": 0.2, "call": 0.22, "loop": 0.03}


def _written(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def _raises(rng: np.random.Generator, folder: Path) -> list[Line]:
    found = []
    for k in rng.permutation(len(EXCEPTIONS) * len(PLACES)):
        place, statement = list(PLACES)[k // len(EXCEPTIONS)], EXCEPTIONS[k % len(EXCEPTIONS)]
        if place == "module __getattr__" and statement == "None.alpha":
            continue  # an AttributeError there says that there is no such name
        command, text = PLACES[place]
        text = text.replace("DELAY", str(int(rng.integers(4, 12 if command == "realize" else 300)))).replace(
            "{}", statement
        )
        # a typed error of a check that fails is that check's
        status = 2 if "DomainError" not in statement or place in ("import", "map", "module __getattr__") else -2
        if status == -2:
            continue
        line = text[: text.index(statement)].count("\n") + 1
        path = _written(folder, f"raises_{k}.py", text)
        box = ("--box=-1:1", "--tol", "1e-3") if command == "realize" else ()
        word = f"{path}, line {line}" if "DomainError" not in statement else "mine"
        found.append(Line((command, f"{path}:G", *box), status, word, f"{place}: {statement[:40]}"))
    return found


def _file(rng: np.random.Generator, folder: Path) -> list[Line]:
    found = []
    for k, (name, (text, word)) in enumerate(FILES.items()):
        path = _written(folder, f"file_{k}.py", text)
        command = "realize" if name == "huge d" else "verify"
        found.append(Line((command, f"{path}:G"), 2, word, name))
    return [found[k] for k in rng.permutation(len(found))]


def _number(rng: np.random.Generator, folder: Path) -> list[Line]:
    pairs = [(option, value) for option in OPTIONS for value in NUMBERS]
    found = []
    for option, value in pairs:
        good = (option, value) in {("--timeout", "1.5"), ("--timeout", "1000000000")} or (
            option == "--timeout" and value in ("٣", "1_0_0_0")
        )
        if good or (option in ("--dim", "--d") and value == "٣"):  # Python reads other digits, too
            continue
        command = OPTIONS[option].replace("FILE", str(folder / "maps.py")).split()
        found.append(Line((*command, f"{option}={value}"), 2, option.strip("-"), f"{option}={value[:20]}"))
    found += [Line(("realize", "quartic", f"--box={box}"), 2, "", f"--box={box[:20]}") for box in BOXES]
    return [found[k] for k in rng.permutation(len(found))]


def calls(folder: Path) -> list[Line]:
    """All of `CALLS`."""
    names = {"FILE": str(folder / "maps.py"), "FOLDER": str(folder)}
    found = []
    for call, status in CALLS:
        words = call.split()
        for name, path in names.items():
            words = [word.replace(name, path) for word in words]
        found.append(Line(tuple(words), status, "", call))
    return found


def _call(rng: np.random.Generator, folder: Path) -> list[Line]:
    found = calls(folder)
    return [found[k] for k in rng.permutation(len(found))]


def _loop(rng: np.random.Generator, folder: Path) -> list[Line]:
    found = []
    for k in rng.permutation(len(LOOPS)):
        body = LOOPS[k].replace("\n", "\n    ")
        text = f"{HEAD}def f(x):\n    {body}\n    return x\nG = gf.Parametrization(f, 2, 2)\n"
        path = _written(folder, f"loop_{k}.py", text)
        found.append(Line(("verify", f"{path}:G", "--timeout", "2"), 124, "--timeout", LOOPS[k][:40]))
    return found


# runs ---------------------------------------------------------------------------------------------------------------


def fault(line: Line, status: int | None, printed: str) -> str:
    """What is wrong with how a command line ended, in words; nothing where nothing is."""
    last = [text for text in printed.splitlines() if not text.startswith("... ")]
    if status is None:
        return "no answer"
    if "Traceback (most" in printed:
        return "a raw traceback"
    if status != line.status:
        return f"exit status {status}, not {line.status}: {' '.join(last)[-200:]}"
    if line.status >= 2 and len([text for text in last if "still running" not in text]) != 1:
        return f"{len(last)} lines: {' | '.join(last)[:300]}"
    if line.word not in printed:
        return f"no {line.word!r} in: {printed[-300:]}"
    if line.status == 2 and not any(word in printed for word in REMEDIES):
        return f"no remedy in: {printed[-300:]}"
    return ""


def run(line: Line, folder: Path, limit: float) -> tuple[int | None, str, float]:
    """Exit status, what was printed on stderr, and seconds, of a process that is forked.

    No status where it takes more than `limit` seconds of a processor, or four times that: machines may be busy.
    """
    from geoflow.app.cli import main

    start, sink = time.monotonic(), folder / "stderr"
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        seconds = int(np.ceil(limit))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(sink, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        status = 99
        try:
            status = main(list(line.arguments))
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    while time.monotonic() - start < 4 * limit:
        ended, code = os.waitpid(child, os.WNOHANG)
        if ended:
            status = None if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)
            return status, sink.read_text(errors="replace"), time.monotonic() - start
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None, sink.read_text(errors="replace"), 4 * limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--limit", type=float, default=25.0)
    options = parser.parse_args()
    import geoflow as gf

    _ = gf.catalog, gf.mirror_map, gf.realize, gf.plotting, gf.laws  # loaded once, before the forks
    counts: Counter[str] = Counter()
    longest = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for line in lines(options.seed, options.count, folder):
            status, printed, seconds = run(line, folder, options.limit)
            wrong = fault(line, status, printed)
            counts["fault" if wrong else f"status {line.status}"] += 1
            longest = max(longest, seconds)
            if wrong:
                print(f"{' '.join(line.arguments)[:120]}  [{line.kind}]\n    {wrong}", flush=True)
    print(f"seed {options.seed}: {dict(sorted(counts.items()))}, longest {longest:.1f} s")
    return int(counts["fault"] > 0)


if __name__ == "__main__":
    sys.exit(main())
