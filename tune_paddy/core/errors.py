"""Errors that the command line shows as one line."""


class TunePaddyError(Exception):
    """Base of errors whose message alone says what is wrong and what to do.

    Attributes:
        exit_status: Exit status of the command line.
    """

    exit_status = 1


class InputError(TunePaddyError):
    """Invalid input: a file, a folder, a flag or a key."""

    exit_status = 2


class InfeasibleError(TunePaddyError):
    """A member does not fit into memory even with one image at a time."""


class DivergedError(TunePaddyError):
    """The loss or the predictions of a member are not finite."""


class SearchInterruptedError(TunePaddyError):
    """A search was interrupted before its trials finished; the record keeps its finished members.

    Attributes:
        exit_status: 128 + the signal number, as for a process that the signal ended; 1 without a signal.
        at_once: Whether to stop immediately, without a selection.
    """

    def __init__(self, message: str, *, signal: int | None = 2, at_once: bool = False) -> None:
        super().__init__(message)
        self.exit_status = 1 if signal is None else 128 + signal
        self.at_once = at_once
