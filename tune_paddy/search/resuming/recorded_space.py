"""Find the space that a search began with."""

from collections.abc import Callable

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system import files
from tune_paddy.search.licences import with_licences
from tune_paddy.spaces.space import SearchSpace, find_space
from tune_paddy.tracking.files import MOST_MIB, SPACE_FILE, read_file
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store

_MOST, _WHAT = MOST_MIB[SPACE_FILE], "a search space"


def recorded_space(search: RecordedRun, store: Store, settings: SearchSettings) -> SearchSpace:
    """Return the space of a search as the search used it, with its base folder.

    The run has its text. A search that was killed before it stored the text has it in its folder. If both are
    missing, a shipped space of the recorded name is used. The last two count only with the recorded
    fingerprint.

    Args:
        search: Recorded run of the search.
        store: The record.
        settings: Recorded settings of the search.

    Raises:
        InputError: The space is in none of these places.
        SpaceError: The recorded text is no search space.
    """
    try:
        text = read_file(store, search, SPACE_FILE, most=_MOST, what=_WHAT).decode()
    except (TunePaddyError, UnicodeDecodeError) as error:
        copy = _copy_in_folder(search, settings) or _copy_in_package(search, settings)
        if copy is not None:
            return copy
        raise InputError(
            f"search {search.name!r} has no readable {SPACE_FILE} in the record ({error}); "
            "give `space` again",
            options=("space",),
        ) from error
    return as_recorded(search, _parsed(search, text), settings)


def as_recorded(search: RecordedRun, space: SearchSpace, settings: SearchSettings) -> SearchSpace:
    """Return a space as a search used it: with the licences that it allowed, and its stand-ins.

    Args:
        search: Recorded run of the search.
        space: The space of its file.
        settings: Recorded settings of the search.
    """
    allowed = with_licences(space, settings.licences)
    if not SearchRecord.from_run(search).stand_ins:
        return allowed
    from tune_paddy.training.networks.architectures import stand_in  # noqa: PLC0415 it takes torch

    return allowed.with_stand_ins(stand_in)


def _copy_in_folder(search: RecordedRun, settings: SearchSettings) -> SearchSpace | None:
    """Return the space in the folder of a search; None: it has none, or another one."""
    folder = SearchRecord.from_run(search).folder
    if folder is None:
        return None
    path = folder / SPACE_FILE
    return _if_same(
        search, settings, lambda: _parsed(search, files.read_file(path, most=_MOST, what=_WHAT).decode())
    )


def _copy_in_package(search: RecordedRun, settings: SearchSettings) -> SearchSpace | None:
    """Return the shipped space of the recorded name; None: there is none, or it has changed since."""
    name = SearchRecord.from_run(search).space or ""
    return _if_same(search, settings, lambda: SearchSpace.load(find_space(name)))


def _if_same(
    search: RecordedRun, settings: SearchSettings, read: Callable[[], SearchSpace]
) -> SearchSpace | None:
    """Return a space if it can be read and has the recorded fingerprint."""
    try:
        space = as_recorded(search, read(), settings)
    except (TunePaddyError, UnicodeDecodeError):
        return None
    return space if space.fingerprint == SearchRecord.from_run(search).space_fingerprint else None


def _parsed(search: RecordedRun, text: str) -> SearchSpace:
    record = SearchRecord.from_run(search)
    return SearchSpace.parse(text, name=record.space or search.name, base=record.space_base, recorded=True)
