"""Errors that the command line shows as one line."""

from collections.abc import Sequence


class TunePaddyError(Exception):
    """Base of errors whose message alone says what is wrong and what to do.

    Args:
        message: The text; it names parameters as Python callers write them.
        options: Names of the parameters in the message that the command line has as options, such as
            `max_minutes`; the command line shows its own spelling of them.

    Attributes:
        exit_status: Exit status of the command line.
        options: Names of the options that caused it.
    """

    exit_status = 1

    def __init__(self, message: str, *, options: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.options = tuple(options)


class InputError(TunePaddyError):
    """Invalid input: a file, a folder, an option or a key; exit status 2."""

    exit_status = 2


class InfeasibleError(TunePaddyError):
    """A member does not fit into memory even with one image at a time."""


class DivergedError(TunePaddyError):
    """The loss or the predictions of a member are not finite."""


class SearchInterruptedError(TunePaddyError):
    """A search was ended before its trials were done; it can be resumed from the record.

    Attributes:
        exit_status: 128 + the signal number, as for a process that the signal ended; 1 without a signal.
        at_once: Whether to stop immediately, without a selection.
    """

    def __init__(self, message: str, *, signal: int | None = 2, at_once: bool = False) -> None:
        super().__init__(message)
        self.exit_status = 1 if signal is None else 128 + signal
        self.at_once = at_once


class MembersFailError(SearchInterruptedError):
    """Members of a search failed one after another; it can be resumed once the cause is mended."""

    def __init__(self, message: str) -> None:
        super().__init__(message, signal=None)
