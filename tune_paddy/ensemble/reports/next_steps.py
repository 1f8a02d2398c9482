"""Commands that come next after a selection; only those that apply to it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import MEMBERS, members_in
from tune_paddy.training.saved.weight_files import WEIGHTS, weights_bytes


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
    members = [member for name in searches for member in list_members(store, name)]
    return all(
        weights_bytes(MemberRecord.from_run(member).folder or runs / member.search / MEMBERS / member.name)
        or _is_stored(store, member)
        for member in members
        if member.run_id in chosen
    )


def _is_stored(store: Store, member: RecordedRun) -> bool:
    """Return whether the weights file of a member is in the storage of its search."""
    settings = SearchRecord.from_run(get_search(store, member.search)).settings
    try:
        stored = members_in(settings, member.search)
        return stored is not None and any(
            name.endswith(WEIGHTS) for name in stored.folder(member.name).files()
        )
    except TunePaddyError:  # the export itself says why
        return False
