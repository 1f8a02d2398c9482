"""Plan a search again from its record alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.dataset import Dataset
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resources import uncounted_gpus
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.files import MOST_MIB, SPACE_FILE, read_file
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store


def resumed_plan(
    search: RecordedRun,
    store: Store,
    *,
    settings: Mapping[str, Any],
    data: Path | None = None,
    space: SearchSpace | None = None,
    weights_dir: Path | None = None,
    ray_address: str | None = None,
    command: str = "",
    retry_failed: bool = False,
) -> SearchPlan:
    """Plan a search that goes on; what is not given again is as it was.

    Whether the space and the dataset are still the same is looked at when the search runs.

    Args:
        search: As the record has it.
        store: The record.
        settings: That replace those of the last session: setting → value.
        data: Where the dataset is now; None: where it was.
        space: As it was given again; None: as it was recorded.
        weights_dir: Folder of pretrained weights; None: the one that it had.
        ray_address: Of a cluster; None: the one that it had.
        command: How it goes on, for the record.
        retry_failed: Whether members that failed are tried again.

    Raises:
        InputError: A setting is out of its bounds, the images are gone, or the search was recorded by
            another version.
        TunePaddyError: MLflow failed.
    """
    record = SearchRecord.from_run(search)
    chosen = _settings(search).override(settings)
    path = data or record.dataset_path or Path()
    if not path.exists():
        raise InputError(
            f"the images of search {search.name!r} are no longer at {path}: bring them back there, or give "
            "`data` again",
            options=("data",),
        )
    return SearchPlan(
        name=search.name,
        # What was left out before is left out again; the fingerprint tells whether it is the same.
        dataset=Dataset.open(path, skip_corrupt=True, skip_conflicts=True),
        space=space or _space(search, store),
        settings=chosen,
        folder=_folder(search),
        weights_dir=weights_dir or record.weights_dir,
        ray_address=ray_address or record.ray_address or None,
        ray_gpus=uncounted_gpus(),
        command=command,
        data=path,
        asked=record.asked or {},
        goes_on=True,
        retry_failed=retry_failed,
    )


def _settings(search: RecordedRun) -> SearchSettings:
    try:
        return SearchSettings.model_validate(SearchRecord.from_run(search).settings)  # None is refused, too
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
    """The space as it was, its architectures and paths included."""
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
    space = SearchSpace.parse(text, name=record.space or search.name, base=record.space_base)
    if not record.stand_ins:
        return space
    from tune_paddy.training.networks.architectures import stand_in  # noqa: PLC0415 it takes torch

    return space.with_stand_ins(stand_in)
