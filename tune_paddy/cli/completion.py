"""Shell completion of arguments; cheap, because it runs at every press of the Tab key."""

from collections.abc import Iterator
from pathlib import Path

RUNS = Path("runs")
"""Folder of searches; completion does not know the value of --runs."""


def complete_search(incomplete: str) -> Iterator[str]:
    """Complete the name of a search in the working folder's `runs`."""
    splits = sorted(RUNS.glob("*/split.json"))
    return (path.parent.name for path in splits if path.parent.name.startswith(incomplete))


def complete_space(incomplete: str) -> Iterator[str]:
    """Complete the name of a shipped search space, or of a YAML file in the working folder."""
    from tune_paddy.spaces.space import shipped_spaces

    names = [*sorted(shipped_spaces()), *sorted(path.name for path in Path().glob("*.yaml"))]
    return (name for name in names if name.startswith(incomplete))
