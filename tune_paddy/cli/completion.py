"""What a shell offers for an unfinished word; cheap, since a person waits for it at every press of a key."""

from collections.abc import Iterator
from pathlib import Path

RUNS = Path("runs")
"""Where searches are looked for: a shell does not tell what --runs says."""


def complete_search(incomplete: str) -> Iterator[str]:
    """Names of the searches whose files lie in the working folder's `runs`."""
    splits = sorted(RUNS.glob("*/split.json"))
    return (path.parent.name for path in splits if path.parent.name.startswith(incomplete))


def complete_space(incomplete: str) -> Iterator[str]:
    """Names of the search spaces that ship, and YAML files of the working folder."""
    from tune_paddy.spaces.space import shipped_spaces

    names = [*sorted(shipped_spaces()), *sorted(path.name for path in Path().glob("*.yaml"))]
    return (name for name in names if name.startswith(incomplete))
