"""Commands that come next after a selection; only those that apply to it."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.patience import impatient
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.tracking.runs import get_search, list_members
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import MEMBERS, Shelf
from tune_paddy.training.saved.weight_files import weights_bytes


def next_steps(
    store: Store,
    ensemble: Ensemble,
    searches: Sequence[str],
    runs: Path,
    command: Callable[..., str],
) -> dict[str, str]:
    """Return what can be done with an ensemble, and the command that does it.

    Args:
        store: The record.
        ensemble: Recorded ensemble.
        searches: Names of the searches that it was selected from; it is recorded under the first.
        runs: Folder of searches.
        command: Function that quotes the words of a command on this record.

    Returns:
        Short name of the step → command, in the order of use.
    """
    search = searches[0]
    folder = [] if runs == Path("runs") else ["--runs", str(runs)]
    steps = {}
    named = [] if ensemble.standing.current else ["--ensemble", ensemble.name]
    steps["Open it"] = command("report", search, *named, *folder)
    steps["Browse"] = command("ui", search)
    if has_weights(store, ensemble, searches, runs):
        steps["Export"] = command("export", search, f"{search}-model", *named, *folder)
    if ensemble.submission is not None and SearchRecord.from_run(get_search(store, search)).competition:
        steps["Submit"] = command("submit", search, *named, *folder)
    return steps


def has_weights(store: Store, ensemble: Ensemble, searches: Sequence[str], runs: Path) -> bool:
    """Return whether the weights file of each selected member is on this machine or in its storage.

    Args:
        store: The record.
        ensemble: Selected ensemble.
        searches: Names of the searches of its pool.
        runs: Folder of searches, for records without a member's folder.
    """
    chosen = {run_id for run_id, weight in member_weights(ensemble).items() if weight > 0}
    return all(_have_weights(store, name, chosen, runs) for name in searches)


def _have_weights(store: Store, search: str, chosen: Collection[str], runs: Path) -> bool:
    """Return whether the chosen members of a search have weights files; list its storage at most once."""
    usual = runs / search / MEMBERS
    folders = {
        member.name: MemberRecord.from_run(member).folder or usual / member.name
        for member in list_members(store, search)
        if member.run_id in chosen
    }
    lacking = [name for name, folder in folders.items() if not weights_bytes(folder)]
    if not lacking:
        return True
    try:
        shelf = Shelf.of(runs / search, SearchRecord.from_run(get_search(store, search)).settings)
        with impatient():
            return shelf.stored and all(shelf.weights_bytes(lacking).values())
    except TunePaddyError:  # the export itself says why
        return False
