"""The answer of a command as a JSON file, whatever the command ended in."""

from __future__ import annotations

import argparse
import math
from typing import Any

from geoflow.app.session import PASSED, REFUSED, in_words


def answered(options: argparse.Namespace) -> int:
    """Run a command; what it put in `options.content` is written to --json, with its verdict, also where it raised.

    `passed` is whether the exit status is 0; `error` is what was raised, where something was.
    """
    options.content, status, raised = {}, REFUSED, None
    try:
        status = options.run(options)
        return status
    except BaseException as error:
        stop = options.session.stopped
        raised = in_words(error) if stop is None else stop.reason
        raise
    finally:
        if options.json:
            from geoflow.app.tables import write_json

            content = {"command": options.command, **options.content, "passed": status == PASSED}
            write_json(options.json, plain(content if raised is None else {**content, "error": raised}))


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite as strings, and of anything else its words."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):  # of numpy
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
