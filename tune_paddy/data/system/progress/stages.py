"""What long work reports: its stages, and how much of a stage is done."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tune_paddy.data.system.text import duration


class Progress(Protocol):
    """Receiver of the progress of long work; library code reports to it and prints nothing itself."""

    def stage(self, what: str, total: int | None = None) -> None:
        """Begin a stage, which ends the stage before.

        Args:
            what: Name of the stage, such as `starting Ray`.
            total: Number of units of work in the stage; None: unknown.
        """

    def advance(self, count: int = 1) -> None:
        """Count finished units of the stage.

        Args:
            count: Number of newly finished units.
        """

    def clear(self) -> None:
        """End the stage without a next one; a display disappears."""


class Silent:
    """Progress that nobody sees."""

    def stage(self, what: str, total: int | None = None) -> None:
        """Ignore a stage."""

    def advance(self, count: int = 1) -> None:
        """Ignore finished units."""

    def clear(self) -> None:
        """Do nothing."""


SILENT: Progress = Silent()
"""Default progress of library functions."""


@dataclass
class Stage:
    """A running stage.

    Attributes:
        what: Name of the stage.
        total: Number of units; None: unknown.
        clock: Monotonic clock, in seconds.
        done: Number of finished units.
    """

    what: str
    total: int | None = None
    clock: Callable[[], float] = time.monotonic
    done: int = 0

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def seconds(self) -> float:
        """Time since the stage began, in seconds."""
        return self.clock() - self._began

    def words(self) -> str:
        """Return the stage in one line: its name, its share done, its duration and the time left.

        The time left is shown once it can be told from the pace so far.
        """
        spent = self.seconds
        parts = [duration(spent)] if spent >= 1 else []
        if self.total:
            parts.insert(0, f"{min(self.done / self.total, 1):.0%}".replace("%", " %"))
            left = spent * (self.total - self.done) / self.done if self.done else 0.0
            parts += [f"about {duration(left)} left"] if spent >= 1 and left >= 1 else []
        return f"{self.what}… {', '.join(parts)}".rstrip()
