"""One run of the command line: its steps, its end by a limit of time or Ctrl-C, and its exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from os import _exit
from typing import Any

from geoflow.errors import GeoflowError, shortened

#: exit statuses: every check passed, one failed, no answer because of the call or a user's file; three ends early
PASSED, FAILED, REFUSED, TIMED_OUT, INTERRUPTED, UNREAD = 0, 1, 2, 124, 130, 141
#: seconds after which a run says that it is still at the same step, and that code has to let go of a timeout
QUIET, GRACE = 10.0, 2.0
#: steps that are named when a run says what it has done; of more, such as the rows of a sweep, their number
NAMED = 20


class StoppedError(BaseException):
    """A run ends before its work does; no `except Exception` of a user holds it up."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.reason, self.status = reason, status


class Session:
    """What a run has announced, subject by subject, and when it began; `limit` is in seconds."""

    def __init__(self, limit: float | None = None):
        self.limit, self.steps, self.start, self.moved = limit, list[tuple[str, str]](), time.monotonic(), 0.0
        self._over = threading.Event()
        self._pressed = False
        #: what has ended the run, also where code it reached made another exception of it, as an import does
        self.stopped: StoppedError | None = None

    def announce(self, subject: str, what: str) -> None:
        """Remember a step that begins."""
        self.steps.append((subject, what))
        self.moved = time.monotonic() - self.start

    @property
    def done(self) -> str:
        """Where the run is, and the subjects that it has finished."""
        if not self.steps:
            return "before its first step"
        subject, what = self.steps[-1]
        finished = list(dict.fromkeys(s for s, _ in self.steps if s != subject))
        named = ", ".join(finished) if len(finished) <= NAMED else f"{len(finished)} steps"
        return f"at {subject}: {what}; done: {named or 'nothing'}"

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Raise `StoppedError` at the limit and at Ctrl-C, and end the process where code does not let go of either.

        Signals reach the main thread alone; elsewhere nothing is bounded.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        alarm = getattr(signal, "SIGALRM", None) if self.limit else None
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, alarm) if number is not None}
        signal.signal(signal.SIGINT, self._interrupt)
        if alarm is not None and self.limit:
            signal.signal(alarm, self._expire)
            signal.setitimer(signal.ITIMER_REAL, self.limit)
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            yield
        finally:
            self._over.set()
            if alarm is not None:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, *_: Any) -> None:
        if self._pressed:
            self._leave("interrupted twice", INTERRUPTED)
        self._pressed = True
        self.stopped = StoppedError("interrupted", INTERRUPTED)
        raise self.stopped

    def _expire(self, *_: Any) -> None:
        self.stopped = StoppedError(f"--timeout {self.limit:g} is over", TIMED_OUT)
        raise self.stopped

    def _watch(self) -> None:
        """Say once a step that it takes long, and end a process that holds on after its limit."""
        told = -1
        while not self._over.wait(0.2):
            now = time.monotonic() - self.start
            if self.limit and now > self.limit + GRACE:
                self._leave(f"--timeout {self.limit:g} is over", TIMED_OUT)
            if now - self.moved > QUIET and told != len(self.steps) and not sys.stderr.isatty():
                told = len(self.steps)
                say(f"still running after {now:.0f} s, {self.done}; Ctrl-C ends it, --timeout SECONDS bounds it")

    def _leave(self, reason: str, status: int) -> None:
        say(f"{reason} after {time.monotonic() - self.start:.1f} s, {self.done}")
        _exit(status)


def say(line: str) -> None:
    """One line on stderr, if there still is one."""
    with suppress(Exception):
        print(f"geoflow: {shortened(line, 4000)}", file=sys.stderr, flush=True)


def run_to_status(run: Callable[[], int], session: Session, traceback: bool = False) -> int:
    """Run a command to an exit status: what ends it early, or is raised anywhere, is one line with its place."""
    try:
        with session.bounded():
            status = run()
            sys.stdout.flush()
            return status
    except BaseException as error:
        if (stop := session.stopped) is not None:
            say(f"{stop.reason} after {time.monotonic() - session.start:.1f} s, {session.done}")
            return stop.status
        if BrokenPipeError in (type(error), type(error.__context__)):  # as by | head: what is left goes nowhere
            with suppress(Exception):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return UNREAD
        if traceback:
            sys.excepthook(type(error), error, error.__traceback__)
        say(in_words(error))
        return REFUSED


def in_words(error: BaseException) -> str:
    """An exception as one line: typed errors as they are, with the user's line that led to them; others with it."""
    from geoflow._usercode import described_error, described_place, place_of

    place = place_of(error)
    if isinstance(error, (GeoflowError, OSError)) and (place is None or f"{place[0]}, line {place[1]}" in str(error)):
        return str(error)
    if isinstance(error, GeoflowError):
        return f"{error};{described_place(place)}"
    kind = "SystemExit (a call of exit)" if isinstance(error, SystemExit) else described_error(error)
    if place is None:
        return f"{kind}; no line of yours raised it, --traceback shows where"
    return f"{kind}{described_place(place)}"
