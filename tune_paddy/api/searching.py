"""Steps of `run_search`, in their order: refuse what is wrong, import the frameworks, open, train.

The cheap checks come first, since torch and Ray take seconds to import.
"""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from tune_paddy.core.config import SearchSettings
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.search.building.plan import PlannedSpace
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store


def parse_space(space: "str | Path | SearchSpace") -> "SearchSpace":
    """Return a search space, loaded from its file if it is not loaded yet.

    Raises:
        InputError: There is no such space, or it is invalid.
    """
    from tune_paddy.spaces.space import SearchSpace, find_space

    return space if isinstance(space, SearchSpace) else SearchSpace.load(find_space(space))


def settle(
    space: "SearchSpace | None",
    data: "str | Path | Dataset",
    settings: Mapping[str, Any],
    ray_address: str | None = None,
) -> "SearchSettings":
    """Return the settings of a search, before torch is imported.

    Args:
        space: Loaded search space; None: one is built.
        data: Dataset, or its path.
        settings: Overrides of the settings of the space: setting → value.
        ray_address: Address of a Ray cluster; None: this machine.

    Raises:
        InputError: A setting is out of bounds, the path does not exist, or no space can be built.
    """
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.data.system.text import shown
    from tune_paddy.spaces.building.build import require_buildable

    chosen = (SearchSettings() if space is None else space.settings).override(settings)
    if space is None:
        require_buildable(settings, ray_address)
    if isinstance(data, str | Path) and not Path(data).expanduser().exists():
        raise InputError(f"{shown(data)}: there is no such folder or table of labels", options=("data",))
    return chosen


def import_frameworks(console: "Console") -> float:
    """Import torch and Ray, which takes seconds, and show that on a console; return the seconds."""
    from tune_paddy.data.system.progress.shown import shown_progress

    began = time.monotonic()
    with shown_progress(console) as progress:
        progress.stage("importing torch and Ray")
        import tune_paddy.search.preflight
        import tune_paddy.search.run
        import tune_paddy.training.networks.model  # noqa: F401 all three for what they import
    return time.monotonic() - began


def build(
    dataset: "Dataset",
    settings: Mapping[str, Any],
    weights_dir: Path | None,
    console: "Console",
    *,
    started: float,
    imports: float,
) -> "PlannedSpace":
    """Build the space of a search, and print what it trains; return it with what was timed for it.

    Args:
        dataset: Labelled images and test images.
        settings: Settings that the user chose; `minutes` is among them.
        weights_dir: Folder of pretrained weights, or None.
        console: Output for the stages and the lines.
        started: Start of the call by the monotonic clock, in s.
        imports: Duration of the import of torch, in s.

    Raises:
        InputError: The time is too short for a member, nothing fits the memory, or no network can be used.
    """
    from tune_paddy.data.system.progress.shown import shown_progress
    from tune_paddy.search.building.plan import plan_space_here

    with shown_progress(console) as progress:
        built = plan_space_here(
            dataset, settings, started=started, imports=imports, weights_dir=weights_dir, progress=progress
        )
    for line in built.lines:
        console.print(line, soft_wrap=True)
    return built


def check_space(space: "SearchSpace", *, stand_ins: bool, licences: str | None = None) -> "SearchSpace":
    """Check the architectures of a space with timm; return the part to use, or its rehearsal version.

    Args:
        space: Loaded search space.
        stand_ins: Whether to return the rehearsal version.
        licences: Value of the setting; None: that of the space.

    Raises:
        InputError: timm does not know an architecture, it does not take the size, or the licences leave
            nothing to use.
    """
    from tune_paddy.search.licences import with_licences
    from tune_paddy.training.networks.architectures import stand_in
    from tune_paddy.training.networks.plan import check_arch, check_layers

    space.check_archs(check_arch, check_layers)
    allowed = with_licences(space, licences or space.settings.licences)
    return allowed.with_stand_ins(stand_in) if stand_ins else allowed


def require_weights(space: "SearchSpace", weights_dir: Path | None) -> None:
    """Check that this machine has, or can download, the pretrained weights of a space.

    Raises:
        InputError: The folder or a file is missing.
    """
    from tune_paddy.training.networks.pretrained import check_weights

    check_weights(space.weights(), weights_dir)


def open_dataset(data: "str | Path | Dataset", reading: Mapping[str, Any]) -> "Dataset":
    """Return a dataset, opened with options of reading if it is not open yet.

    Raises:
        InputError: The dataset is invalid, or is open already and there are options.
    """
    from tune_paddy.data.dataset import Dataset

    if not isinstance(data, Dataset):
        return Dataset.open(data, **reading)
    if reading:
        given = tuple(reading)
        raise InputError(f"{given[0]}: the dataset is open already; give it to `Dataset.open`", options=given)
    return data


def make_record(dataset: "Dataset", tracking_uri: str | None, runs: Path) -> "Store":
    """Open the record of a search on a dataset; create it if there is none.

    Raises:
        TunePaddyError: MLflow failed.
    """
    from tune_paddy.tracking.store import open_store

    artifacts = runs.absolute() / "artifacts"
    return open_store(tracking_uri, experiment=dataset.root.name, artifact_root=artifacts, create=True)


def train(plan: "SearchPlan", store: "Store", console: "Console") -> "tuple[RecordedRun, ...]":
    """Train the members of a plan; return their runs, whatever their outcome.

    Raises:
        SearchInterruptedError: A signal interrupted the search, or members failed one after another; a note
            has the command that resumes it.
        TunePaddyError: Ray or the record failed.
    """
    from tune_paddy.core.errors import MembersFailError, SearchInterruptedError
    from tune_paddy.data.system.progress.shown import shown_progress
    from tune_paddy.search.preflight import ready_session
    from tune_paddy.search.run import run_search

    try:
        with shown_progress(console) as progress, ready_session(plan, progress=progress) as ready:
            return run_search(ready, store, console=console)
    except SearchInterruptedError as error:
        again = " --retry-failed" if isinstance(error, MembersFailError) else ""
        error.add_note(f"to resume it: tune-paddy search --resume {shlex.quote(plan.name)}{again}")
        raise
