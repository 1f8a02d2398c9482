"""Errors of a command: one line on standard error, no traceback, and the exit status.

| exit status | cause |
|---|---|
| 2 | bad input: an option, a file, a folder |
| 1 | a failure: no disk space, no network, out of memory, an internal error |
| 130 | interrupted by Ctrl-C |
| 129 | ended by SIGHUP: the terminal was closed |
| 143 | ended by SIGTERM |
"""

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TextIO

import typer

from tune_paddy.cli.app import errors, flag, options_as_typed
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.memory import lacks_memory
from tune_paddy.data.system.signals import HANG_UP, JOB_SIGNALS, is_ignored_hang_up, leave_terminal
from tune_paddy.data.system.text import printable, redact, shown

INTERRUPTED = 130
"""Exit status after SIGINT: 128 plus the signal's number, as in a shell."""

_SPELLINGS = {"data": "DATA", "folder": "--to"}
"""Parameter → its spelling on the command line, if it is not the option of the same name."""


@contextmanager
def one_line_errors(*, debug: bool) -> Iterator[None]:
    """Turn an exception of the block into one line on standard error and an exit status.

    Args:
        debug: Whether to print the traceback first.

    Raises:
        SystemExit: The block raised an exception.
    """
    came: list[int] = []
    try:
        with _ended_by_signals(came):
            yield
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        _discard(sys.stdout)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        if came:
            _print_error(f"ended by {signal.Signals(came[0]).name}; run the same command again")
        sys.exit(128 + came[0] if came else INTERRUPTED)
    except typer.TyperException as error:  # the command line cannot be parsed
        if type(error).__name__ != "NoArgsIsHelpError":  # a private class; it has printed the help
            _print_error(_reason_of_usage(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        _print_error(_reason(error))
        sys.exit(error.exit_status if isinstance(error, TunePaddyError) else 1)


@contextmanager
def _ended_by_signals(came: list[int]) -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the block as Ctrl-C does, so that open resources are closed.

    Args:
        came: List that receives the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    program = os.getpid()

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != program:  # a forked child
            os._exit(128 + number)
        if number == HANG_UP:
            leave_terminal()
        came.append(number)
        raise KeyboardInterrupt

    handled = [number for number in JOB_SIGNALS if not is_ignored_hang_up(number)]
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:  # typer has turned the exception into an exit status
        raise KeyboardInterrupt


def as_typed(error: TunePaddyError) -> str:
    """Return an error's message with its parameters spelt as on the command line.

    A parameter is replaced at the start of the message and in backticks, alone or with a value.

    >>> as_typed(TunePaddyError("use `max_size=9`", options=["max_size"]))
    'use --max-size 9'
    """
    return with_flags(str(error), error.options)


def with_flags(text: str, options: Iterable[str]) -> str:
    """Return a text with parameters spelt as on the command line, at its start and in backticks.

    >>> with_flags("keep them together with `group=patient`", ["group"])
    'keep them together with --group patient'
    """
    names = list(options)
    for name in names:
        text = re.sub(rf"^{re.escape(name)}\b", _SPELLINGS.get(name, flag(name)), text)
    return options_as_typed(text, names, _SPELLINGS)


def print_any_name(*streams: TextIO) -> None:
    """Make streams escape characters that they cannot encode: file names need not be valid text."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):  # a replacement, as in a notebook, may lack the method
            stream.reconfigure(errors="backslashreplace")


def _print_error(reason: str) -> None:
    errors.print(f"error: {printable(redact(reason))}", style="red", soft_wrap=True)


def _reason_of_usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    where = f"; see `{context.command_path} --help`" if context is not None else ""
    reason = " ".join(error.format_message().split()).rstrip(".")
    return reason.replace("Value error, ", "") + where  # pydantic's words, in which typer checks choices


def _reason(error: Exception) -> str:
    if isinstance(error, TunePaddyError):
        return "; ".join((as_typed(error), *getattr(error, "__notes__", ())))
    if isinstance(error, OSError):
        if isinstance(error, FileNotFoundError) and not error.filename and _lacks_working_folder():
            return (
                "the working folder was deleted while the command ran; make it again, and repeat the command"
            )
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    text = shown((str(error) or "no message").strip().splitlines()[0])
    if lacks_memory(error):
        detail = "" if isinstance(error, MemoryError) and not str(error) else f" ({text})"
        return f"out of memory{detail}: free some, or raise the limit of this process or container"
    return (
        f"internal error: {type(error).__name__}: {text}; "
        "run the same command with --debug to see where, and report it"
    )


def _lacks_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that Python's last flush at exit does not fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
