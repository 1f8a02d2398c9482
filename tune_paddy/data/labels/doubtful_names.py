"""Names of classes that are probably a slip: another spelling of a class, or a missing value."""

import re
from collections.abc import Iterator, Sequence

from tune_paddy.data.system.text import shown

_MISSING = frozenset(("nan", "na", "n/a", "#n/a", "<na>", "null"))
"""What programs write for a missing value, in small letters."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_BETWEEN_WORDS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")

_MOST = 3
"""Number of pairs that are named."""


def note_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return sentences on classes that may be one, and on one that may be a missing value.

    Args:
        classes: Names of the classes.
    """
    return (*_alike(classes), *_missing(classes))


def _alike(classes: Sequence[str]) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for name in classes:
        found.setdefault(_key(name), []).append(name)
    groups = [names for names in found.values() if len(names) > 1]
    if groups:
        pairs = "; ".join(" and ".join(map(shown, names)) for names in groups[:_MOST])
        more = f"; {len(groups) - _MOST} more" if len(groups) > _MOST else ""
        yield f"classes that differ in spelling only: {pairs}{more}; if they are one, correct the labels"


def _missing(classes: Sequence[str]) -> Iterator[str]:
    odd = next((name for name in classes if name.casefold() in _MISSING), None)
    if odd is not None:
        yield f"class {shown(odd)}: if it means that the label is missing, remove its images"


def _key(name: str) -> str:
    """Return a name without regard to case and to what separates its words; a number as such."""
    if _NUMBER.fullmatch(name):
        return repr(float(name))
    return _BETWEEN_WORDS.sub("", name.strip().casefold())
