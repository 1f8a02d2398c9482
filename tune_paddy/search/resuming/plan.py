"""Plan a resumed search from its record alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.options import ReadOptions
from tune_paddy.search.licences import with_licences
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resources import uncounted_gpus
from tune_paddy.search.teaching.teacher import recorded_targets
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.files import MOST_MIB, SPACE_FILE, read_file
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store

_RECORDED_LATER = ("pixel_range", "copies", "task")
"""Options whose value earlier versions did not record: any value is taken."""


def resumed_plan(
    search: RecordedRun,
    store: Store,
    *,
    settings: Mapping[str, Any],
    reading: Mapping[str, Any] | None = None,
    data: Path | None = None,
    space: SearchSpace | None = None,
    weights_dir: Path | None = None,
    ray_address: str | None = None,
    command: str = "",
    retry_failed: bool = False,
) -> SearchPlan:
    """Plan the resume of a search; arguments that are None keep their recorded value.

    `ready_session` checks that the space and the dataset are unchanged.

    Args:
        search: Recorded run of the search.
        store: The record.
        settings: Overrides of the recorded settings: setting → value.
        reading: Overrides of the recorded options of reading the dataset: option → value.
        data: New path of the dataset.
        space: Search space from a file, to compare with the recorded one.
        weights_dir: Folder of pretrained weights.
        ray_address: Address of a Ray cluster.
        command: Command line of the resume, for the record.
        retry_failed: Whether to retry failed members.

    Raises:
        InputError: A setting is out of bounds, the images are missing or would be read in another way, the
            targets of the search are damaged, or another version recorded it.
        TunePaddyError: MLflow failed.
    """
    record = SearchRecord.from_run(search)
    chosen = _settings(search).override(settings)
    path = data or record.dataset_path or Path()
    if not path.exists():
        raise InputError(
            f"the images of search {search.name!r} are no longer at {path}: restore them, or give "
            "`data` again",
            options=("data",),
        )
    return SearchPlan(
        name=search.name,
        dataset=Dataset.open(path, **_reading(search, record.read_options, reading or {})),
        space=_space(search, store) if space is None else _as_recorded(search, space),
        settings=chosen,
        folder=_folder(search),
        weights_dir=weights_dir or record.weights_dir,
        ray_address=ray_address or record.ray_address or None,
        ray_gpus=uncounted_gpus(),
        command=command,
        data=path,
        competition=record.competition,
        follow_up=record.follow_up or {},
        resumed=True,
        retry_failed=retry_failed,
        targets=recorded_targets(search, store),
    )


def _reading(search: RecordedRun, recorded: ReadOptions, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of reading the images of a resumed search again.

    Files and columns may have other names now, since the fingerprint detects other images or labels. It does
    not depend on the range of the values, on what counts as a copy, on what the labels are and on the columns
    of the split.
    """
    options = recorded.given()
    typed = {**now, **ReadOptions(**now).given()}  # `ordinal` is a task there
    again = replace(recorded, **{name: value for name, value in typed.items() if name != "ordinal"}).given()
    for name in ("pixel_range", "copies", "task", "group", "split_column", "relabel"):
        earlier = options.get(name, again.get(name) if name in _RECORDED_LATER else None)
        if name in typed and again.get(name) != earlier:
            raise InputError(
                f"search {search.name!r} keeps its `{name}`, {earlier or 'none'}, when it is resumed: leave "
                "the option out, or start a search under a new name",
                options=(name,),
            )
    return again


def _settings(search: RecordedRun) -> SearchSettings:
    try:
        return SearchSettings.recorded(SearchRecord.from_run(search).settings)
    except ValidationError as error:
        raise _other_version(search) from error


def _folder(search: RecordedRun) -> Path:
    folder = SearchRecord.from_run(search).folder
    if folder is None:
        raise _other_version(search)
    return folder


def _other_version(search: RecordedRun) -> InputError:
    return InputError(
        f"search {search.name!r} was recorded by another version and cannot be resumed by this one; "
        "select from it, and start a search under a new name"
    )


def _space(search: RecordedRun, store: Store) -> SearchSpace:
    """Return the recorded space, as the search used it, with its base folder."""
    try:
        content = read_file(store, search, SPACE_FILE, most=MOST_MIB[SPACE_FILE], what="a search space")
        text = content.decode()
    except (TunePaddyError, UnicodeDecodeError) as error:
        raise InputError(
            f"search {search.name!r} has no readable {SPACE_FILE} in the record ({error}); "
            "give `space` again",
            options=("space",),
        ) from error
    record = SearchRecord.from_run(search)
    name = record.space or search.name
    space = SearchSpace.parse(text, name=name, base=record.space_base, recorded=True)
    return _as_recorded(search, space)


def _as_recorded(search: RecordedRun, space: SearchSpace) -> SearchSpace:
    """Return a space as a search used it: with the licences that it allowed, and its stand-ins.

    Args:
        search: Recorded run of the search.
        space: The space of its file.

    Raises:
        InputError: Another version recorded the search.
    """
    allowed = with_licences(space, _settings(search).licences)
    if not SearchRecord.from_run(search).stand_ins:
        return allowed
    from tune_paddy.training.networks.architectures import stand_in  # noqa: PLC0415 it takes torch

    return allowed.with_stand_ins(stand_in)
