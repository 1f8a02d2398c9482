"""Find the image files that a table names, by path, by name or by name without suffix."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from tune_paddy.data.images import SUFFIXES
from tune_paddy.data.layouts.tree import parent_of


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Images of a folder tree, found by what a table may call them.

    Attributes:
        names: Paths of the images relative to the tree, with forward slashes.
    """

    names: Sequence[str]

    def find(self, name: str, folders: Sequence[str] = ("",)) -> list[str]:
        """Return the images that an id can mean; several if it is ambiguous, none if it is unknown.

        A path counts from each of `folders` in turn, otherwise from any folder. A plain name may lie in any
        folder. The suffix may be missing, and its letters may be upper or lower case. An accent may be a
        character of its own, as in names that a Mac has written.

        Args:
            name: Path, name or name without suffix, as a table has it.
            folders: Folders that a path may start from, relative to the tree.
        """
        plain = _normal(name.strip().replace("\\", "/"))
        key = _key(plain)
        for folder in folders:
            found = self._paths.get(f"{folder}/{key}" if folder else key)
            if found:
                return _exact(found, plain)
        parent, _, last = key.rpartition("/")
        same = self._plain.get(last, [])
        if parent:
            same = [one for one in same if _key(one).endswith(f"/{key}")]
        return _exact(same, plain) if "/" not in plain or parent else []

    @cached_property
    def _paths(self) -> dict[str, list[str]]:
        """Path without the suffix → images."""
        return _grouped(self.names, _key)

    @cached_property
    def _plain(self) -> dict[str, list[str]]:
        """Name without folder and suffix → images."""
        return _grouped(self.names, lambda name: _key(name.rpartition("/")[2]))


def has_suffix(name: str) -> bool:
    """Return whether a name ends with the suffix of an image format."""
    return _suffix(name).lower() in SUFFIXES


def without_suffix(name: str) -> str:
    """Return a name without the suffix of an image format; other endings stay.

    >>> without_suffix("a/dog.1.JPG"), without_suffix("dog.1")
    ('a/dog.1', 'dog.1')
    """
    return name[: -len(_suffix(name))] if has_suffix(name) else name


def prefer(found: Sequence[str], *rules: Callable[[str], bool]) -> list[str]:
    """Narrow ambiguous images by rules in order of weight; a rule that fits none is passed over."""
    left = list(found)
    for rule in rules:
        if len(left) > 1:
            left = [name for name in left if rule(name)] or left
    return left


def lies_in(folders: Iterable[str]) -> Callable[[str], bool]:
    """Return the rule that an image lies in one of the folders, at any depth."""
    starts = tuple(f"{folder}/" if folder else "" for folder in folders)
    return lambda name: name.startswith(starts)


def lies_directly_in(label: str) -> Callable[[str], bool]:
    """Return the rule that the folder of an image has the name of a label."""
    return lambda name: parent_of(name).rpartition("/")[2] == label


def _key(name: str) -> str:
    """Return a name without suffix, with each accent in the character that it belongs to."""
    short = without_suffix(name)
    return short if short.isascii() else unicodedata.normalize("NFC", short)


def _normal(name: str) -> str:
    """Return a path without empty parts and dots; pathlib is slow for the names of a long table."""
    return str(PurePosixPath(name)) if "/" in name or not name else name


def _suffix(name: str) -> str:
    """Return the suffix of a path's last part, as pathlib does in ten times the time."""
    at = name.rfind(".", name.rfind("/") + 2)
    return name[at:] if 0 < at < len(name) - 1 else ""


def _exact(found: list[str], name: str) -> list[str]:
    """Keep the images that have the wanted suffix, if one is wanted."""
    if not has_suffix(name):
        return found
    same = [one for one in found if one.endswith(name)]
    return same or [one for one in found if _suffix(one).lower() == _suffix(name).lower()]


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found
