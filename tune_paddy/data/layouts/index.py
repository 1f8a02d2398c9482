"""Find the image files that a table names, by path, by name or by name without suffix."""

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

        A path counts from each of `folders` in turn. A plain name may lie in any folder. The suffix may be
        missing, and its letters may be upper or lower case.

        Args:
            name: Path, name or name without suffix, as a table has it.
            folders: Folders that a path may start from, relative to the tree.
        """
        plain = str(PurePosixPath(name.strip().replace("\\", "/")))
        for folder in folders:
            found = self._paths.get(_key(f"{folder}/{plain}" if folder else plain))
            if found:
                return _exact(found, plain)
        return _exact(self._plain.get(_key(plain), []), plain) if "/" not in plain else []

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
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def without_suffix(name: str) -> str:
    """Return a name without the suffix of an image format; other endings stay.

    >>> without_suffix("a/dog.1.JPG"), without_suffix("dog.1")
    ('a/dog.1', 'dog.1')
    """
    return name[: -len(PurePosixPath(name).suffix)] if has_suffix(name) else name


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
    return without_suffix(name)


def _exact(found: list[str], name: str) -> list[str]:
    """Keep the images that have the wanted suffix, if one is wanted."""
    if not has_suffix(name):
        return found
    same = [one for one in found if one.endswith(name)]
    return same or [
        one for one in found if PurePosixPath(one).suffix.lower() == PurePosixPath(name).suffix.lower()
    ]


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found
