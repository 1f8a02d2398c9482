"""Steps of `run_search`, in their order: refuse what is wrong, import the frameworks, open, train.

The cheap checks come first, since torch and Ray take seconds to import.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from tune_paddy.data.dataset import Dataset
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


def refuse_early(space: "SearchSpace", data: "str | Path | Dataset", settings: Mapping[str, Any]) -> None:
    """Refuse settings that are out of bounds, and a dataset that does not exist, before torch is imported.

    Raises:
        InputError: A setting or the path is wrong.
    """
    from tune_paddy.data.system.text import shown

    space.settings.override(settings)
    if isinstance(data, str | Path) and not Path(data).expanduser().exists():
        raise InputError(f"{shown(data)}: there is no such folder or table of labels", options=("data",))


def import_frameworks(console: "Console") -> None:
    """Import torch and Ray, which takes seconds, and show that on a console."""
    from tune_paddy.data.system.progress.shown import shown_progress

    with shown_progress(console) as progress:
        progress.stage("importing torch and Ray")
        import tune_paddy.search.preflight
        import tune_paddy.search.run
        import tune_paddy.training.networks.model  # noqa: F401 all three for what they import


def check_space(space: "SearchSpace", *, stand_ins: bool) -> "SearchSpace":
    """Check the architectures of a space with timm; return its rehearsal version if asked to.

    Raises:
        InputError: timm does not know an architecture, or it does not take the size.
    """
    from tune_paddy.training.networks.architectures import stand_in
    from tune_paddy.training.networks.model import check_arch

    space.check_archs(check_arch)
    return space.with_stand_ins(stand_in) if stand_ins else space


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
        SearchInterruptedError: A signal interrupted the search; a note has the command that resumes it.
        TunePaddyError: Ray or the record failed.
    """
    from tune_paddy.core.errors import SearchInterruptedError
    from tune_paddy.data.system.progress.shown import shown_progress
    from tune_paddy.search.preflight import ready_session
    from tune_paddy.search.run import run_search

    try:
        with shown_progress(console) as progress, ready_session(plan, progress=progress) as ready:
            return run_search(ready, store, console=console)
    except SearchInterruptedError as error:
        error.add_note(f"to resume it: tune-paddy search --resume {shlex.quote(plan.name)}")
        raise
