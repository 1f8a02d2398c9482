"""The two kinds of errors that a person sees as one line."""


class TunePaddyError(Exception):
    """An error whose message alone tells a person what is wrong and what to do; exit status 1.

    Attributes:
        exit_status: What the command line returns.
    """

    exit_status = 1


class InputError(TunePaddyError):
    """Something given from outside is wrong: a file, a folder, a flag, a key; exit status 2."""

    exit_status = 2


class InfeasibleError(TunePaddyError):
    """A member does not fit into memory even with one image at a time."""


class DivergedError(TunePaddyError):
    """The loss or the predictions of a member are no longer finite numbers."""


class SearchInterruptedError(TunePaddyError):
    """A search was ended before its trials were done; what there is stands in the record.

    Attributes:
        exit_status: 128 and the number of the signal, as of a process that it ended; 1 where none came.
        at_once: Whether nothing more shall be done, not even a selection.
    """

    def __init__(self, message: str, *, signal: int | None = 2, at_once: bool = False) -> None:
        super().__init__(message)
        self.exit_status = 1 if signal is None else 128 + signal
        self.at_once = at_once
