"""What a benchmark is: a task, its sizes, the ways of doing it, and a reference; and one cell of it, measured.

A cell is one task at one size. Its ways take turns, so that a change of the machine's speed hits all alike, and the
value of every call is compared with the reference: a fast wrong answer is a wrong answer.
"""

from __future__ import annotations

import importlib.util
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Size = dict[str, float]
Record = dict[str, Any]
ROUNDS = 7
SHORTEST = 2e-3
LARGEST = float(np.finfo(float).max)


class OverBudgetError(BaseException):
    """A call took longer than it may; no `except Exception` on the way keeps it."""


@dataclass(frozen=True)
class Way:
    """One way of doing a task.

    `build` takes the problem to a call without arguments whose value is compared with the reference, or to a pair:
    `prepare`, untimed before every call, and a call of what it returned, for what must not be reused from round to
    round. `needs` are modules that have to be installed.
    """

    name: str
    build: Callable[[Any], Any]
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> str:
        """Why the way cannot be measured, or nothing."""
        missing = [module for module in self.needs if importlib.util.find_spec(module) is None]
        return f"not installed: {', '.join(missing)}" if missing else ""


@dataclass(frozen=True)
class Goal:
    """At a size, a way takes at most so many seconds, or so many times the peer's median where one is named."""

    size: Size
    at_most: float
    peer: str = ""
    way: str = "geoflow"


def relative_error(value: Any, reference: Any, problem: Any = None) -> float:
    """max |value - reference| / max |reference|; inf where shapes differ or the value is not finite."""
    value, reference = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    if value.shape != reference.shape or not np.isfinite(value).all():
        return np.inf
    scale = np.abs(reference).max(initial=0.0)
    return float(np.abs(value - reference).max(initial=0.0) / (scale if scale > 0 else 1.0))


@dataclass(frozen=True)
class Task:
    """A task at several sizes.

    Attributes
    ----------
    problem : callable
        The size, as keywords, to what the ways are given.
    sizes, toy : tuple of dict
        From small to large, and the sizes of `make bench-smoke`.
    ways : tuple of Way
    reference : callable
        The problem to the value that is right.
    tol : float
        The largest error of an answer that is not wrong.
    accuracy : float
        The accuracy asked for: of two errors below it neither is better.
    error : callable
        Value, reference and problem to a number.
    budget : float
        Seconds that one call may take.
    memory : bool
        Whether the peak of the resident memory is measured, each way in a process of its own.
    """

    name: str
    problem: Callable[..., Any]
    sizes: tuple[Size, ...]
    toy: tuple[Size, ...]
    ways: tuple[Way, ...]
    reference: Callable[[Any], Any]
    tol: float
    accuracy: float = 1e-12
    error: Callable[[Any, Any, Any], float] = relative_error
    budget: float = 30.0
    memory: bool = False
    goals: tuple[Goal, ...] = ()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `OverBudgetError` in the block after so many seconds; where no signal comes, the parent process ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(signum: int, frame: Any) -> None:
        raise OverBudgetError

    before = signal.signal(signal.SIGALRM, over)
    # again every second: a signal that falls into a destructor or a callback is swallowed there
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Runner:
    """A way on one problem: its calls timed, its values compared, and what became of it."""

    def __init__(self, way: Way, task: Task, problem: Any, reference: Callable[[], Any], budget: float):
        self.way, self.task, self.problem, self.reference, self.budget = way, task, problem, reference, budget
        self.seconds: list[float] = []
        self.error, self.once, self.inner, self.ended = 0.0, 0.0, 1, ""

    def start(self, repeated: bool) -> None:
        """Build the way and call it once: what is paid once, construction, tracing and compilation, is in here."""
        started = time.perf_counter()

        def first() -> tuple[float, Any]:
            built = self.way.build(self.problem)
            self.prepare, self.call = built if isinstance(built, tuple) else (None, built)
            paid = time.perf_counter() - started
            seconds, value = self._timed()
            return paid + seconds, value

        self.once = self._compared(first)
        if repeated and not self.ended:
            second = self._compared(self._timed) if self.once < SHORTEST * 1000 else self.once
            self.inner = max(1, int(SHORTEST / max(second, 1e-9))) if self.prepare is None else 1

    def again(self) -> None:
        seconds = self._compared(self._timed)
        if not self.ended:
            self.seconds.append(seconds)

    def _timed(self) -> tuple[float, Any]:
        given = () if self.prepare is None else (self.prepare(),)
        started = time.perf_counter()
        for _ in range(self.inner):
            value = self.call(*given)
        return (time.perf_counter() - started) / self.inner, value

    def _compared(self, call: Callable[[], tuple[float, Any]]) -> float:
        """The seconds of a call whose value is compared; 0 where it has none, and then `ended` says why."""
        seconds, value = self._guarded(call) or (0.0, None)
        if not self.ended:
            reference = self.reference()
            error = self._guarded(lambda: float(self.task.error(value, reference, self.problem)))
            if error is not None:
                self.error = max(self.error, LARGEST if np.isnan(error) else min(error, LARGEST))
        return seconds

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """What a call within the budget returns; None where it does not."""
        try:
            with within(self.budget):
                return call()
        except OverBudgetError:
            self.ended = f"over budget: {self.budget:g} s"
        except MemoryError:
            self.ended = "over memory"
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            self.ended = "over memory" if "RESOURCE_EXHAUSTED" in text else f"failed: {text}"
        return None

    @property
    def record(self) -> Record:
        if self.ended:
            return {"way": self.way.name, "status": self.ended}
        median = float(np.median(self.seconds)) if self.seconds else self.once
        return {
            "way": self.way.name,
            "status": "ok" if self.error <= self.task.tol else "WRONG",
            "median_s": median,
            "rounds": len(self.seconds),
            "once_s": max(0.0, self.once - median),
            "error": self.error,
        }


def measure(
    task: Task,
    size: Size,
    budget: float,
    skip: dict[str, str],
    log: Callable[[Record], None],
    *,
    single: bool = False,
    most: int = ROUNDS,
) -> None:
    """Measure one cell; what happens is logged as it does, {"begin": way} and at the end a record a way.

    `skip` says of a way why it is not tried. At most `most` rounds follow the first call, which is all there is where
    `most` is 0. With `single`, every way is called once, and neither timed nor compared: for its memory.
    """
    problem = task.problem(**size)

    @cache
    def reference() -> Any:
        log({"reference": task.name})  # when there is a value to compare, and as long as it takes
        return task.reference(problem)

    runners: list[_Runner] = []
    for way in task.ways:
        reason = way.missing or skip.get(way.name, "")
        if reason:
            log({"way": way.name, "status": reason})
            continue
        runner = _Runner(way, task, problem, reference, budget)
        log({"begin": way.name})
        if single:
            built = way.build(problem)
            prepare, call = built if isinstance(built, tuple) else (None, built)
            call() if prepare is None else call(prepare())
            continue
        runner.start(most > 0)
        runners.append(runner)
        if runner.ended:
            log(runner.record)
    # about twice the budget for all rounds, and at least one
    spent = sum(max(r.once, SHORTEST) for r in runners if not r.ended)
    rounds = min(most, max(1, int(2 * budget / spent))) if spent else 0
    for _ in range(rounds):
        for runner in runners:
            if not runner.ended:
                log({"begin": runner.way.name})
                runner.again()
                if runner.ended:
                    log(runner.record)
    for runner in runners:
        if not runner.ended:
            log(runner.record)
