"""Plan a resumed search from its record alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.options import ReadOptions
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resources import uncounted_gpus
from tune_paddy.search.resuming.compatibility import check_same
from tune_paddy.search.resuming.history import Earlier, earlier_sessions, outcomes_with_curve
from tune_paddy.search.resuming.recorded_space import as_recorded, recorded_space
from tune_paddy.search.teaching.teacher import recorded_targets
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.history import read_recorded_search
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
    before = _settings(search)
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
        space=(
            recorded_space(search, store, before) if space is None else as_recorded(search, space, before)
        ),
        settings=before.override(settings),
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


def look_back(plan: SearchPlan, store: Store) -> Earlier:
    """Read the history of a search that a plan resumes.

    Args:
        plan: Plan of the resumed search.
        store: The record.

    Raises:
        InputError: The plan has another space, dataset or split, or another version recorded a member.
        TunePaddyError: MLflow failed.
    """
    recorded = read_recorded_search(
        store, plan.name, metric=plan.settings.objective, curves_of=outcomes_with_curve(plan)
    )
    check_same(plan, recorded)
    return earlier_sessions(plan, recorded)


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
