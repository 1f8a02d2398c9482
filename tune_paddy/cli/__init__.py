"""The command line: one function per command, which parses, calls and prints.

Heavy imports are inside the commands: `--help` and `select` start without Ray, torch and fastai.
"""

import atexit
import os
import signal
import sys
import warnings
from contextlib import suppress

from tune_paddy.cli import data, demo, memory, report, search, select, serving, show, submit, ui  # noqa: F401 each adds its commands
from tune_paddy.cli.app import app, silence
from tune_paddy.cli.ensembles import use  # noqa: F401 adds its command
from tune_paddy.cli.failures import one_line_errors, print_any_name
from tune_paddy.cli.labels import doctor  # noqa: F401 adds its command
from tune_paddy.data.system.files import cache_folder
from tune_paddy.data.system.gc_policy import collect_rarely
from tune_paddy.data.system.owned_folders import sweep_usual_places
from tune_paddy.search.ray.environment import keep_byte_code


def program() -> None:
    """Run the command line as the program of a process, and exit as soon as everything is closed.

    At exit, Python would spend 3 s on freeing the million objects that importing torch, Ray and MLflow
    creates. This function therefore ends the process right after the last exit handler.
    """
    status = [1]
    atexit.register(_end, status)  # registered first, so that it runs last
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
        with suppress(AttributeError, OSError, ValueError):  # the reader is gone
            stream.flush()
    os._exit(status[0])


def main() -> None:
    """Run the command line; print an error as one line, and exit with 2 for bad input or 1 for a failure."""
    silence.end()
    before, dashes, after = _parted(sys.argv[1:])
    debug = "--debug" in before
    if not debug:
        # Libraries warn each other; users can do nothing about it. Child processes inherit the variable.
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    collect_rarely()
    keep_byte_code(cache_folder("byte_code"))
    sweep_usual_places()
    print_any_name(sys.stdout, sys.stderr)
    arguments = [*(argument for argument in before if argument != "--debug"), *dashes, *after]
    with one_line_errors(debug=debug):
        status = app(arguments, prog_name="tune-paddy", standalone_mode=False)
    sys.exit(status)


def _parted(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Split arguments into those before `--`, `--` itself, and those after it, which are never options."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at : at + 1], arguments[at + 1 :]
