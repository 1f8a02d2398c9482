"""Record the run of a search."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tune_paddy.core.errors import InputError, SearchInterruptedError
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.datasets import UsedDataset, describe_experiment, log_dataset
from tune_paddy.tracking.context.provenance import git_revision, source_tags, this_process
from tune_paddy.tracking.files import log_files
from tune_paddy.tracking.members import close_stale
from tune_paddy.tracking.runs import check_name, find_runs, list_searches
from tune_paddy.tracking.schema import KIND, NOTE, OUTCOME, PROCESS, SEARCH, SearchRecord, prefixed
from tune_paddy.tracking.server.creation import create_once
from tune_paddy.tracking.server.health import OPENING_SECONDS
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import save_views, uses_gpu
from tune_paddy.tracking.ui.tags import stored_tags
from tune_paddy.tracking.writing import finish_run, log_params, set_tags

Ended = Literal["FINISHED", "FAILED", "KILLED"]
"""Status of a closed run, in MLflow's words."""


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

    Yields:
        The id of the run.

    Raises:
        InputError: The name is not valid, or another experiment has a search of that name.
        TunePaddyError: MLflow failed.
    """
    every = {**record.to_tags(), **tags}
    run_id = start_search(store, name=name, params=record.settings, tags=every, description=description)

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
) -> str:
    """Open the run of a search: a new run, or the existing one.

    Existing parameters stay as they are, since MLflow refuses changes; existing tags are overwritten.

    Args:
        store: The record, opened for an experiment.
        name: Name of the search, unique in the record.
        params: Settings of the search.
        tags: Further tags; a name without a dot gets the prefix `tune_paddy.`.
        description: Markdown for the run's page; empty: the page stays as it is.

    Returns:
        The id of the run.

    Raises:
        InputError: The name is not valid, or another experiment has a search of that name.
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
    run_id = _run_of(store, name)
    if run_id is None:
        experiment, tags_of_run = store.experiment_id, stored_tags(wanted)
        condition = f"tags.`{KIND}` = 'search' AND tags.`{SEARCH}` = '{name}'"
        run_id = create_once(
            client,
            lambda: client.create_run(experiment, tags=tags_of_run, run_name=name),
            lambda: find_runs(store, condition, [experiment]),
        )
    else:
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


def _run_of(store: Store, search: str) -> str | None:
    """Return the id of a search's existing run, the oldest of several; None: it has none."""
    known = [recorded for recorded in list_searches(store) if recorded.name == search]
    if any(recorded.experiment_id != store.experiment_id for recorded in known):
        raise InputError(
            f"search {search!r} belongs to another dataset in {store.address}; choose another name"
        )
    return known[0].run_id if known else None
