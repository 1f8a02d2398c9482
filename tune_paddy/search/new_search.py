"""Plan a new search: its name, its settings and the inputs that it records."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune_paddy.core.teaching.words import check_teachers
from tune_paddy.core.timing.speed import TimedNetwork
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.kaggle.fetch import competition_of
from tune_paddy.data.split import folds_of
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resources import uncounted_gpus
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.names import Naming
from tune_paddy.tracking.store import Store


def plan_new_search(
    dataset: Dataset,
    space: SearchSpace,
    naming: Naming,
    *,
    settings: Mapping[str, Any],
    store: Store | None = None,
    data: Path | None = None,
    weights_dir: Path | None = None,
    ray_address: str | None = None,
    command: str = "",
    started: float | None = None,
    timed: tuple[TimedNetwork, ...] = (),
    decode: float = 0.0,
) -> SearchPlan:
    """Plan a new search; start and write nothing. `with_teachers` adds what earlier searches teach it.

    Args:
        dataset: Labelled images and test images.
        space: Recipes and sub-spaces.
        naming: Choice of the name.
        settings: Overrides of the settings of the space: setting → value.
        store: The record; None: it is not open yet, and `with_free_name` checks the name later.
        data: Path that the dataset was opened from; None: the dataset's folder.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Address of a Ray cluster; None: this machine.
        command: Command line that starts the search, for the record.
        started: Start of the command, see `SearchPlan`.
        timed: Timed networks, see `SearchPlan`.
        decode: Time to read one image, see `SearchPlan`.

    Raises:
        InputError: A setting is out of bounds, contradicts another or the dataset's split, or the given name
            is not valid or is taken.
    """
    name = naming.choose(space.name, store)
    chosen = space.settings.override(settings)
    folds = folds_of(dataset, chosen.folds, chosen=chosen.folds > 0 or "folds" in settings)
    chosen = chosen.override({"folds": folds}) if folds != chosen.folds else chosen
    check_teachers(chosen)
    return SearchPlan(
        name=name,
        dataset=dataset,
        space=space,
        settings=chosen,
        folder=naming.runs / name,
        weights_dir=weights_dir,
        ray_address=ray_address,
        ray_gpus=uncounted_gpus(),
        command=command,
        data=data,
        competition=competition_of(dataset.root),
        started=started,
        timed=timed,
        decode=decode,
    )


def with_free_name(plan: SearchPlan, naming: Naming, store: Store) -> SearchPlan:
    """Return the plan of a new search under a name that the record does not use either.

    Raises:
        InputError: The given name is taken.
    """
    name = naming.choose(plan.space.name, store)
    return replace(plan, name=name, folder=naming.runs / name)
