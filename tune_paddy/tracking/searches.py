"""Record the run of a search."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tune_paddy.core.errors import InputError, SearchInterruptedError
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.datasets import UsedDataset, describe_experiment, log_dataset
from tune_paddy.tracking.context.provenance import git_revision, host_of, source_tags, this_process
from tune_paddy.tracking.files import log_files
from tune_paddy.tracking.members import close_stale
from tune_paddy.tracking.runs import RecordedRun, check_name, list_searches
from tune_paddy.tracking.schema import KIND, NOTE, OUTCOME, PROCESS, SEARCH, SearchRecord, prefixed
from tune_paddy.tracking.server.creation import create_run
from tune_paddy.tracking.server.health import OPENING_SECONDS
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import save_views, uses_gpu
from tune_paddy.tracking.ui.tags import stored_tags
from tune_paddy.tracking.writing import Ended, finish_run, log_params, set_tags


@contextmanager
def open_search(
    store: Store,
    name: str,
    record: SearchRecord,
    *,
    dataset: UsedDataset,
    write_files: Callable[[], Sequence[Path]],
    tags: Mapping[str, object],
    description: str,
    at_end: Callable[[], None],
    new: bool = False,
) -> Iterator[str]:
    """Keep the run of a search open while the block runs, and close it with the block's outcome.

    Args:
        store: The record, opened for the dataset's experiment.
        name: Name of the search, unique in the record.
        record: Tags of the search.
        dataset: Images that the search uses.
        write_files: Function that writes the files to store with the run, called once the run exists.
        tags: Further tags; a name without a dot gets the prefix `tune_paddy.`.
        description: Markdown for the run's page; empty: the page stays as it is.
        at_end: Clean-up after the last trial, called before the run is closed.
        new: Whether an existing run of this name is that of another search.

    Yields:
        The id of the run.

    Raises:
        InputError: The name is not valid, or the record has another search of that name.
        TunePaddyError: MLflow failed.
    """
    every = {**record.to_tags(), **tags}
    run_id = start_search(
        store, name=name, params=record.settings, tags=every, description=description, new=new
    )

    def close(status: Ended) -> None:
        close_search(store, name, run_id, status, at_end=at_end)

    try:
        close_stale(store, name, all_ended=True)
        log_dataset(store, run_id, dataset)
        describe_experiment(store, dataset)
        # Nothing is lost yet: a storage that is missing or refuses its key is told at once.
        log_files(store, run_id, write_files(), most=OPENING_SECONDS)
        yield run_id
    except BaseException as error:
        close("KILLED" if isinstance(error, KeyboardInterrupt | SearchInterruptedError) else "FAILED")
        raise
    close("FINISHED")


def close_search(
    store: Store, name: str, run_id: str, status: Ended, *, at_end: Callable[[], None] = lambda: None
) -> None:
    """Close the runs of a search's members that are still open, and then its own.

    Args:
        store: The record.
        name: Name of the search.
        run_id: Run of the search.
        status: Its outcome.
        at_end: Clean-up after the last trial.

    Raises:
        TunePaddyError: MLflow failed.
    """
    close_stale(store, name, all_ended=True)
    at_end()
    finish_run(store, run_id, status)


def start_search(
    store: Store,
    *,
    name: str,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    description: str = "",
    new: bool = False,
) -> str:
    """Open the run of a search: a new run, or the existing one.

    Existing parameters stay as they are, since MLflow refuses changes; existing tags are overwritten.

    Args:
        store: The record, opened for an experiment.
        name: Name of the search, unique in the record.
        params: Settings of the search.
        tags: Further tags; a name without a dot gets the prefix `tune_paddy.`.
        description: Markdown for the run's page; empty: the page stays as it is.
        new: Whether an existing run of this name is that of another search.

    Returns:
        The id of the run.

    Raises:
        InputError: The name is not valid, or the record has another search of that name.
        TunePaddyError: MLflow failed.
    """
    client = store.client
    wanted = {
        KIND: "search",
        SEARCH: check_name(name, "search"),
        OUTCOME: "running",
        PROCESS: this_process(),
        **source_tags(git_revision()),
        **prefixed(tags or {}),
    }
    if description:
        wanted[NOTE] = description
    known = recorded_run(store, name)
    if known is None:
        run_id = _begin(store, name, stored_tags(wanted))
    elif new:
        raise _taken(store, name, known)
    else:
        run_id = known.run_id
        call(client.update_run, run_id, status="RUNNING")
        set_tags(client, run_id, wanted)
    log_params(client, run_id, params or {})
    save_views(store, name, run_id, on_gpu=uses_gpu((params or {}).get("gpu", 0)))
    return run_id


def log_seconds(store: Store, run_id: str, seconds: float, *, most: float = math.inf) -> None:
    """Record the running time of a search, over all its sessions, in seconds.

    Args:
        store: The record.
        run_id: Run of the search.
        seconds: The running time.
        most: Longest time to wait for a server that does not answer, in seconds.

    Raises:
        TunePaddyError: MLflow failed.
    """
    set_tags(store.client, run_id, SearchRecord.tags_of(seconds=seconds), most=most)


def log_ending(store: Store, run_id: str, reason: str) -> None:
    """Record why a session of a search ended early, see `ended_by` of `SearchRecord`; empty: it did not.

    Raises:
        TunePaddyError: MLflow failed.
    """
    set_tags(store.client, run_id, SearchRecord.tags_of(ended_by=reason))


def recorded_run(store: Store, search: str) -> RecordedRun | None:
    """Return a search's run, the oldest of several; None: the record has no such search.

    Raises:
        InputError: Another experiment has a search of that name.
        TunePaddyError: MLflow failed.
    """
    known = list_searches(store, search)
    if any(recorded.experiment_id != store.experiment_id for recorded in known):
        raise InputError(
            f"search {search!r} belongs to another dataset in {store.address}; choose another name"
        )
    return known[0] if known else None


def _begin(store: Store, name: str, tags: Mapping[str, str]) -> str:
    """Create the run of a new search; delete it if another process has begun one of its name meanwhile.

    The record refuses no second run of a name, and the clocks of two machines do not say which came first:
    where two begin at the same moment, each finds the other's run, and neither goes on.
    """
    run_id = create_run(store.client, store.experiment_id, name, tags)
    others = [search for search in list_searches(store, name) if search.run_id != run_id]
    if others:
        call(store.client.delete_run, run_id)
        raise _taken(store, name, others[0])
    return run_id


def _taken(store: Store, name: str, other: RecordedRun) -> InputError:
    where = host_of(other.tags.get(PROCESS, "")) or "another machine"
    return InputError(
        f"{store.address} has a search {name!r}, which began on {where}; choose another `name`",
        options=("name",),
    )
