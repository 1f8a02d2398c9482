"""The command line: one function per command, which parses, calls and prints.

Heavy imports stand inside the commands: `--help` and `select` start without Ray, torch and fastai.
"""

import os
import sys
import traceback
import warnings

from tune_paddy.cli import data, memory, search, select  # noqa: F401 each adds its commands
from tune_paddy.cli.app import app, errors
from tune_paddy.core.errors import TunePaddyError


def main() -> None:
    """Run the command line: an error is one line, exit status 2 for bad input and 1 for failure."""
    debug = "--debug" in sys.argv
    if not debug:
        # Of the libraries to each other: a person can do nothing about them. Child processes inherit it.
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
    try:
        app([argument for argument in sys.argv[1:] if argument != "--debug"])
    except TunePaddyError as error:
        if debug:
            traceback.print_exc()
        errors.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if debug:
            traceback.print_exc()
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        errors.print(f"error: {reason}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
