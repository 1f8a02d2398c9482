"""How a command ends that cannot go on: one line for a person, no traceback, the right exit status.

| exit status | when |
|---|---|
| 2 | what was given is wrong: an option, a file, a folder |
| 1 | it failed: no space, no network, out of memory, a mistake in this program |
| 130 | a person ended it |
| 143 | the system, or somebody, ended it with SIGTERM |
"""

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

import typer

from tune_paddy.cli.app import errors, flag
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.text import printable, redact, shown

INTERRUPTED = 130
"""128 + SIGINT's number, as a shell has it."""

_SPELLINGS = {"data": "DATA", "folder": "--to"}
"""Parameters whose name on the command line is another."""


@contextmanager
def told_in_one_line(*, debug: bool) -> Iterator[None]:
    """End the process with a line on stderr for whatever is raised within the block.

    Args:
        debug: Show the traceback before.

    Raises:
        SystemExit: Something was raised.
    """
    came: list[int] = []
    try:
        with _ended_by_sigterm(came):
            yield
            sys.stdout.flush()
    except BrokenPipeError:  # who read our output has enough of it, such as `head`
        _discard(sys.stdout)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        if came:
            _tell("ended by SIGTERM; give the same command again")
        sys.exit(128 + came[0] if came else INTERRUPTED)
    except typer.TyperException as error:  # the command line itself cannot be understood
        if type(error).__name__ != "NoArgsIsHelpError":  # a private class, which has shown the help
            _tell(_reason_of_usage(error))
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        _tell(_reason(error))
        sys.exit(error.exit_status if isinstance(error, TunePaddyError) else 1)


@contextmanager
def _ended_by_sigterm(came: list[int]) -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what is open is closed.

    Args:
        came: Gets the signal's number.
    """
    if threading.current_thread() is not threading.main_thread():  # only it may handle signals
        yield
        return
    program = os.getpid()

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != program:  # a child that was forked
            os._exit(128 + number)
        came.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if came:  # typer has made an exit status of the exception
        raise KeyboardInterrupt


def as_typed(error: TunePaddyError) -> str:
    """An error's message with the names of parameters as they are typed on the command line.

    A name is found at the start of the message and in backticks, alone or with a value.

    >>> as_typed(TunePaddyError("use `max_size=9`", options=["max_size"]))
    'use --max-size 9'
    """
    text = str(error)
    for name in error.options:
        known, typed = re.escape(name), _SPELLINGS.get(name, flag(name))
        text = re.sub(rf"^{known}\b|`{known}`", typed, text)
        text = re.sub(rf"`{known}=([^`]*)`", rf"{typed} \1", text)
    return text


def print_any_name(*streams: TextIO) -> None:
    """Let streams escape what they cannot encode: names of files need not be valid text."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):  # what took its place, as in a notebook, may have none
            stream.reconfigure(errors="backslashreplace")


def _tell(reason: str) -> None:
    errors.print(f"error: {printable(redact(reason))}", style="red", soft_wrap=True)


def _reason_of_usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    where = f"; see `{context.command_path} --help`" if context is not None else ""
    return " ".join(error.format_message().split()).rstrip(".") + where


def _reason(error: Exception) -> str:
    if isinstance(error, TunePaddyError):
        return "; ".join((as_typed(error), *getattr(error, "__notes__", ())))
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    text = shown((str(error) or "without a word").strip().splitlines()[0])
    return (
        f"this program made a mistake: {type(error).__name__}: {text}; "
        "run the same command with --debug to see where, and report that"
    )


def _discard(stream: TextIO) -> None:
    """Let Python's own last flush succeed, which else would complain of the broken pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
