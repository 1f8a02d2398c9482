"""Find the weights files of an ensemble's members, and report missing ones."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import EVALUATION_FACTOR
from tune_paddy.core.views import EMA
from tune_paddy.data.ensemble_file import DescribedEnsemble
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.member_files import read_config
from tune_paddy.training.saved.shelf import MEMBERS, Shelf
from tune_paddy.training.saved.weight_files import missing_files


@dataclass(frozen=True)
class Source:
    """Location of a member's trained models.

    Attributes:
        name: Name of the member in its ensemble.
        run: MLflow run of the member.
        config: Configuration of the member.
        folders: Folder in an export → folder of the trained model; one entry, or one per fold.
    """

    name: str
    run: RecordedRun
    config: MemberConfig
    folders: Mapping[str, Path]

    @property
    def batch_size(self) -> int:
        """Batch size of the member's original prediction: equal batches give equal digits."""
        accum = max(1, int(self.run.metrics.get("accum", 1)))
        return EVALUATION_FACTOR * -(-self.config.batch_size // accum)


def find_sources(store: Store, described: DescribedEnsemble, runs: Path) -> tuple[Source, ...]:
    """Find the models of every member with a positive ensemble weight.

    Args:
        store: Record of the searches.
        described: Description of the ensemble.
        runs: Folder of searches, for records without a member's folder.

    Raises:
        InputError: Weights files are missing; the message names the members and how to train them again.
        TunePaddyError: The storage of a search failed.
    """
    members = {run.run_id: run for name in described.searches for run in list_members(store, name)}
    searches = {name: get_search(store, name) for name in described.searches}
    folds = {name: _n_folds(search) for name, search in searches.items()}
    shelves = {
        name: Shelf.of(runs / name, SearchRecord.from_run(search).settings)
        for name, search in searches.items()
    }
    chosen = {view.member: members[view.run_id] for view, _ in described.weights if view.run_id in members}
    averaged = {view.member for view, _ in described.weights if view.kind == EMA}
    parts = {
        name: _parts(run, folds[run.search], runs, stored=shelves[run.search].stored)
        for name, run in chosen.items()
    }
    for name, run in chosen.items():
        shelves[run.search].fetch_weights(run.name, parts[name], average=name in averaged)
    gone = {
        name: folders[0]
        for name, folders in parts.items()
        if any(missing_files(folder, average=name in averaged) for folder in folders)
    }
    lost = [view.member for view, _ in described.weights if view.member not in chosen]
    if gone or lost:
        raise InputError(_missing(described, [*gone, *dict.fromkeys(lost)], next(iter(gone.values()), None)))
    return tuple(
        Source(name, chosen[name], read_config(folders[0]), _named(number, folders))
        for number, (name, folders) in enumerate(parts.items())
    )


def _n_folds(search: RecordedRun) -> int:
    text = search.params.get("folds", "0")
    return int(text) if text.isdecimal() and int(text) > 1 else 0


def _parts(run: RecordedRun, folds: int, runs: Path, *, stored: bool) -> list[Path]:
    """Return the folders of a member's models; below `runs` if a storage gives them to another machine."""
    folder, usual = MemberRecord.from_run(run).folder, runs / run.search / MEMBERS / run.name
    if folder is None or (stored and not folder.is_dir()):
        folder = usual
    return [folder / f"fold-{fold}" for fold in range(folds)] or [folder]


def _named(number: int, folders: list[Path]) -> dict[str, Path]:
    own = f"members/{number:02d}"
    if len(folders) == 1:
        return {own: folders[0]}
    return {f"{own}/{folder.name}": folder for folder in folders}


def _missing(described: DescribedEnsemble, names: list[str], folder: Path | None) -> str:
    members = len(dict.fromkeys(view.member for view, _ in described.weights))
    where = "" if folder is None else f" (the first should be in {folder})"
    return (
        f"the weights files of {len(names)} of {members} members are missing{where}: {', '.join(names)}. "
        "They were deleted, or `keep_weights` did not keep them. "
        f"`tune-paddy select {shlex.join(described.searches)} --refit all` trains the members again and "
        "keeps them, for `tune-paddy export` of the refit; the next search keeps every member's with "
        "`keep_weights: all`"
    )
