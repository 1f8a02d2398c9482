"""Keep Ray Tune from erasing the output of a notebook's cell."""

from typing import Any

from ray.tune import ProgressReporter
from ray.widgets.util import in_notebook


class SilentReporter(ProgressReporter):
    """Reporter that shows nothing.

    In a notebook Ray Tune makes a reporter of its own whatever its verbosity, which clears the cell's output.
    """

    def should_report(self, trials: list[Any], done: bool = False) -> bool:  # noqa: ARG002 Ray's arguments
        """Return False: nothing is reported."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Report nothing."""


def silent_reporter() -> SilentReporter | None:
    """Return a silent reporter in a notebook; elsewhere None, since Ray warns of any."""
    return SilentReporter() if in_notebook() else None
