"""What is wrong in a search space: collected with file, line and key, and shown all at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from operator import itemgetter

from tune_paddy.core.errors import InputError

_SHOWN = 20
_LONGEST = 400


class SpaceError(InputError):
    """A search space that cannot be used; the message has one line for each problem."""


@dataclass(frozen=True)
class Place:
    """Somewhere in a file that problems can be reported at.

    Attributes:
        file: As a person names it.
        key: Path of keys, such as `spaces[1].lr`; empty at the top.
        problems: Shared by all places of the file: (line, text).
    """

    file: str
    key: str = ""
    problems: list[tuple[int, str]] = field(default_factory=list)

    def __truediv__(self, key: str) -> "Place":
        """The place under `key` of a mapping."""
        return replace(self, key=f"{self.key}.{key}" if self.key else key)

    def __getitem__(self, index: int) -> "Place":
        """The place of an item of a list, counted from 0."""
        return replace(self, key=f"{self.key}[{index}]")

    def refuse(self, line: int, message: str) -> None:
        """Note a problem in `line` (from 1)."""
        text = f"{self.key}: {message}" if self.key else message
        text = " ".join(text.split())
        self.problems.append((line, text if len(text) <= _LONGEST else text[:_LONGEST] + "…"))

    def raise_problems(self) -> None:
        """Do nothing if all is well.

        Raises:
            SpaceError: Problems were noted; they are told in the order of their lines.
        """
        problems = sorted(dict.fromkeys(self.problems), key=itemgetter(0))
        lines = [f"{self.file}:{line}: {text}" for line, text in problems]
        if len(lines) > _SHOWN:
            lines[_SHOWN:] = [f"{self.file}: and {len(lines) - _SHOWN} more"]
        if lines:
            raise SpaceError("\n".join(lines))


def unknown(what: str, given: str, known: Iterable[str]) -> str:
    """Say that there is no `what` called `given`, and which known names are near or which there are."""
    names = list(known)
    near = get_close_matches(given[:100], names, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    return f"no {what} is called {shorten(given)!r}; {hint}"


def shorten(text: str, limit: int = 60) -> str:
    """Cut long text from a file, for a message."""
    return text if len(text) <= limit else text[:limit] + "…"
