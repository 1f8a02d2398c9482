"""The two kinds of errors that a person sees as one line."""

from collections.abc import Sequence


class TunePaddyError(Exception):
    """An error whose message alone tells a person what is wrong and what to do; exit status 1.

    Args:
        message: The text; it names parameters as Python callers write them.
        options: Names of the parameters in the message that the command line has as options, such as
            `max_minutes`; the command line shows its own spelling of them.

    Attributes:
        exit_status: The status that the command line returns.
        options: As given.
    """

    exit_status = 1

    def __init__(self, message: str, *, options: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.options = tuple(options)


class InputError(TunePaddyError):
    """Something given from outside is wrong: a file, a folder, an option, a key; exit status 2."""

    exit_status = 2


class InfeasibleError(TunePaddyError):
    """A member does not fit into memory even with one image at a time."""


class DivergedError(TunePaddyError):
    """The loss or the predictions of a member are no longer finite numbers."""


class SearchInterruptedError(TunePaddyError):
    """A search was ended before its trials were done; it can be resumed from the record.

    Attributes:
        exit_status: 128 and the number of the signal, as of a process that it ended; 1 where none came.
        at_once: Whether nothing more shall be done, not even a selection.
    """

    def __init__(self, message: str, *, signal: int | None = 2, at_once: bool = False) -> None:
        super().__init__(message)
        self.exit_status = 1 if signal is None else 128 + signal
        self.at_once = at_once
