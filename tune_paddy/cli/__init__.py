"""The command line: one function per command, which parses, calls and prints.

Heavy imports stand inside the commands: `--help` and `select` start without Ray, torch and fastai.
"""

import atexit
import gc
import os
import sys
import warnings

from tune_paddy.cli import data, demo, memory, report, search, select, serving, show, submit, ui  # noqa: F401 each adds its commands
from tune_paddy.cli.app import app
from tune_paddy.cli.failures import print_any_name, told_in_one_line
from tune_paddy.data.cache_folder import cache_folder
from tune_paddy.search.environment import keep_byte_code


def main() -> None:
    """Run the command line: an error is one line, exit status 2 for bad input and 1 for failure."""
    before, dashes, after = _parted(sys.argv[1:])
    debug = "--debug" in before
    if not debug:
        # Of the libraries to each other: a person can do nothing about them. Child processes inherit it.
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    _collect_rarely()
    keep_byte_code(cache_folder("byte_code"))
    print_any_name(sys.stdout, sys.stderr)
    arguments = [*(argument for argument in before if argument != "--debug"), *dashes, *after]
    with told_in_one_line(debug=debug):
        status = app(arguments, prog_name="tune-paddy", standalone_mode=False)
    sys.exit(status)


def _collect_rarely() -> None:
    """Spare the garbage collector the hundreds of thousands of objects that imports leave for good.

    By Python's own thresholds it walks them again and again while they grow, a quarter of the time that
    importing MLflow takes, and twice more as the process ends, 0.5 s.
    """
    gc.set_threshold(100_000, 20, 20)
    atexit.register(_forget_objects)


def _forget_objects() -> None:
    if "triton" not in sys.modules:  # it complains of each object that is still there
        gc.freeze()


def _parted(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    """What stands before `--`, it, and what stands behind it: names there are no options."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at : at + 1], arguments[at + 1 :]
