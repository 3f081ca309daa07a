"""A run ends by its limit, by Ctrl-C, or by what is raised: one line, and its status."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import geoflow as gf
from geoflow.app.session import Session, StoppedError, in_words, run_to_status


def spin():
    while True:
        pass


def test_a_limit_of_time_ends_a_run_and_says_what_was_done(capsys):
    session = Session(0.2)

    def run():
        session.announce("sine", "brackets")
        session.announce("square", "flows")
        spin()

    assert run_to_status(run, session) == 124
    printed = capsys.readouterr().err
    assert "--timeout 0.2 is over" in printed and "at square: flows; done: sine" in printed
    assert printed.count("\n") == 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_reads_the_output_may_end_first():
    code = "import sys; from geoflow.app.cli import main; sys.exit(main(['list']))"
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdout.close()
    assert run.communicate()[1] == b"" and run.returncode == 141


def test_of_many_steps_the_number_is_said():
    session = Session()
    for k in range(1, 181):
        session.announce(f"row {k} of 180", "1 s left")
    assert session.done == "at row 180 of 180: 1 s left; done: 179 steps"


def test_ctrl_c_is_told_from_an_interrupt_that_code_raises(capsys):
    def pressed():
        os.kill(os.getpid(), signal.SIGINT)
        spin()

    before = signal.getsignal(signal.SIGINT)
    assert run_to_status(pressed, Session()) == 130
    assert "interrupted after" in capsys.readouterr().err and signal.getsignal(signal.SIGINT) is before

    def raised():
        raise KeyboardInterrupt

    assert run_to_status(raised, Session()) == 2
    assert f"KeyboardInterrupt at {__file__}, line" in capsys.readouterr().err


def test_code_that_swallows_everything_is_ended_too(tmp_path):
    path = tmp_path / "deaf.py"
    path.write_text("while True:\n    try: sum(range(99))\n    except BaseException: pass\n")
    start = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "geoflow", "verify", f"{path}:G", "--timeout", "0.5"], capture_output=True, timeout=120
    )
    assert ended.returncode == 124 and b"--timeout 0.5 is over" in ended.stderr and time.monotonic() - start < 120


def test_what_an_import_makes_of_the_end_is_the_end_still(capsys):
    """A module in C that is interrupted while it is imported raises an ImportError of its own."""

    def run():
        try:
            spin()
        except StoppedError:
            raise ImportError("initialization failed") from None

    assert run_to_status(run, Session(0.2)) == 124
    assert "--timeout 0.2 is over" in capsys.readouterr().err


def test_a_limit_passes_what_catches_exceptions():
    assert not issubclass(StoppedError, Exception)


def test_statuses_pass_and_other_threads_are_not_bounded():
    assert run_to_status(lambda: 1, Session()) == 1
    found = []
    thread = threading.Thread(target=lambda: found.append(run_to_status(lambda: 0, Session(1.0))))
    thread.start()
    thread.join()
    assert found == [0]


def test_exceptions_in_words():
    def words(act):
        with pytest.raises(BaseException) as caught:
            act()
        return in_words(caught.value)

    assert words(lambda: 1 / 0).startswith(f"ZeroDivisionError: division by zero at {__file__}, line")
    assert words(lambda: sys.exit(0)).startswith("SystemExit")
    line = words(lambda: gf.Parametrization(lambda x: 1 / 0, 2, 2))
    assert line.count(", line ") == 1 and "G raised ZeroDivisionError" in line
    assert "\n" not in words(lambda: gf.domains.Orthant(2).require(np.array([[-1.0, 1.0]] * 40)))
    assert "--traceback" in in_words(KeyError("inside"))

    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError

    assert in_words(SilentError()).startswith("SilentError: a message that cannot be printed")
