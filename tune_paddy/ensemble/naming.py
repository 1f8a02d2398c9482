"""Names of ensembles: readable, and unique within their search."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.ensemble_file import ENSEMBLE_FILE
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.ensembles import selection_digest
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import EnsembleRecord

BY_HAND = "by-hand"
"""Name of an ensemble with fixed weights."""
_LONGEST = 100


def proposed_name(selection: Selection, options: SelectionOptions, searches: Sequence[str]) -> str:
    """Return a name that says how an ensemble was selected: its method, metric, limits and further searches.

    Args:
        selection: Selection, which names the chosen method.
        options: Options of the selection.
        searches: Names of the searches; the ensemble belongs to the first.
    """
    own = "-".join(_parts(selection, options))
    others = "".join(f"+{search}" for search in searches[1:])
    return f"{own}{others}" if len(own + others) <= _LONGEST else f"{own}+{len(searches) - 1}-searches"


def _parts(selection: Selection, options: SelectionOptions) -> Iterator[str]:
    yield BY_HAND if options.weights else selection.method.replace(", ", "-")
    if options.metric != SelectionOptions.metric:
        yield options.metric
    for limit, unit, units in (
        (options.max_members, "member", "members"),
        (options.max_minutes, "minute", "minutes"),
        (options.max_size, "MiB", "MiB"),
    ):
        if limit is not None:
            yield f"{limit:g}-{unit if limit == 1 else units}"
    if options.speed_factor != SelectionOptions.speed_factor:
        yield f"speed-{options.speed_factor:g}"
    if options.seed != SelectionOptions.seed:
        yield f"seed-{options.seed}"


def choose_name(
    proposed: str, digest: str, *, given: str | None, recorded: Sequence[RecordedRun], folder: Path
) -> str:
    """Return the name of an ensemble: that of the same selection before, the given one, or a free one.

    Args:
        proposed: Name to use if it is free, otherwise with a number.
        digest: Digest of the selection.
        given: Name that the user chose, or None.
        recorded: Runs of all ensembles of the search.
        folder: Folder of the ensembles' folders.

    Raises:
        InputError: The given name belongs to another selection.
    """
    same = [run.name for run in recorded if EnsembleRecord.from_run(run).selection == digest]
    others = {run.name.casefold() for run in recorded if run.name not in same}

    def is_free(name: str) -> bool:
        return name.casefold() not in others and _holds(folder / name) in (None, digest)

    if given is not None:
        if not is_free(given):
            raise InputError(f"there is another ensemble {given!r}; choose another `name`", options=("name",))
        return given
    return next((name for name in same), None) or next(filter(is_free, _numbered(proposed)))


def _numbered(name: str) -> Iterable[str]:
    return itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))


def _holds(folder: Path) -> str | None:
    """Return the digest of the selection that a folder holds; None: there is no such folder."""
    if not folder.exists():
        return None
    try:
        return selection_digest(json.loads((folder / ENSEMBLE_FILE).read_bytes()))
    except (OSError, ValueError, AttributeError):  # not the folder of an ensemble: it is left alone
        return ""
