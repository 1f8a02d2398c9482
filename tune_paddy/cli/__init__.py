"""The command line: one function per command, which parses, calls and prints.

Heavy imports stand inside the commands: `--help` and `select` start without Ray, torch and fastai.
"""

import atexit
import os
import signal
import sys
import warnings
from contextlib import suppress

from tune_paddy.cli import data, demo, memory, report, search, select, serving, show, submit, ui  # noqa: F401 each adds its commands
from tune_paddy.cli.app import app
from tune_paddy.cli.failures import print_any_name, told_in_one_line
from tune_paddy.data.system.files import cache_folder
from tune_paddy.data.system.gc_policy import collect_rarely
from tune_paddy.search.ray.environment import keep_byte_code


def program() -> None:
    """Run the command line as a process of its own, which ends as soon as everything is closed.

    When Python ends, it takes apart the million objects that importing torch, Ray and MLflow has made, which
    takes 3 s. So the process ends right after the last function that was registered to run at exit.
    """
    status = [1]
    atexit.register(_end, status)  # before anything else, so that it comes last
    try:
        main()
    except SystemExit as end:
        status[0] = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except KeyboardInterrupt:
        status[0] = 128 + signal.SIGINT
        raise


def _end(status: list[int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status[0])


def main() -> None:
    """Run the command line: an error is one line, exit status 2 for bad input and 1 for failure."""
    before, dashes, after = _parted(sys.argv[1:])
    debug = "--debug" in before
    if not debug:
        # Of the libraries to each other: a person can do nothing about them. Child processes inherit it.
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    collect_rarely()
    keep_byte_code(cache_folder("byte_code"))
    print_any_name(sys.stdout, sys.stderr)
    arguments = [*(argument for argument in before if argument != "--debug"), *dashes, *after]
    with told_in_one_line(debug=debug):
        status = app(arguments, prog_name="tune-paddy", standalone_mode=False)
    sys.exit(status)


def _parted(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """What stands before `--`, it, and what stands behind it: names there are no options."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at : at + 1], arguments[at + 1 :]
