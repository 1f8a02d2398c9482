"""Problems of a search space, collected with file, line and key, and reported together."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from operator import itemgetter

from tune_paddy.core.errors import InputError

_SHOWN = 20
_LONGEST = 400


class SpaceError(InputError):
    """Invalid search space; the message has one line per problem."""


@dataclass(frozen=True)
class Place:
    """Place in a file at which problems are reported.

    Attributes:
        file: Name of the file in messages.
        key: Path of keys, such as `spaces[1].lr`; empty at the top level.
        problems: (line, text) pairs, shared by all places of the file.
    """

    file: str
    key: str = ""
    problems: list[tuple[int, str]] = field(default_factory=list)

    def __truediv__(self, key: str) -> "Place":
        """Return the place of `key` in a mapping."""
        return replace(self, key=f"{self.key}.{key}" if self.key else key)

    def __getitem__(self, index: int) -> "Place":
        """Return the place of a list item, counted from 0."""
        return replace(self, key=f"{self.key}[{index}]")

    def refuse(self, line: int, message: str) -> None:
        """Record a problem in `line`, counted from 1."""
        text = f"{self.key}: {message}" if self.key else message
        text = " ".join(text.split())
        self.problems.append((line, text if len(text) <= _LONGEST else text[:_LONGEST] + "…"))

    def raise_problems(self) -> None:
        """Raise the recorded problems, if any.

        Raises:
            SpaceError: Problems were recorded; the message lists them by line.
        """
        problems = sorted(dict.fromkeys(self.problems), key=itemgetter(0))
        lines = [f"{self.file}:{line}: {text}" for line, text in problems]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [f"{self.file}: and {len(lines) - _SHOWN} more"]
        if lines:
            raise SpaceError("\n".join(lines))


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Return a message that no `what` is called `given`, with similar or all known names."""
    names = list(known)
    near = get_close_matches(given[:100], names, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    return f"no {what} is called {shorten(given)!r}; {hint}"


def shorten(text: str, limit: int = 60) -> str:
    """Truncate text for a message."""
    return text if len(text) <= limit else text[:limit] + "…"
