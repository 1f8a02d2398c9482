"""Resuming a search: by its name, or when the same command runs again."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tune_paddy.cli.app import console, load_space, open_record, print_dataset, typed_command
from tune_paddy.core.errors import InputError
from tune_paddy.data.system.text import strip_credentials

if TYPE_CHECKING:
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store


def find_earlier(tracking_uri: str | None, name: str | None) -> "RecordedRun | None":
    """Find the search of this name, or without a name the newest unfinished one of the same command."""
    from tune_paddy.tracking.runs import list_searches
    from tune_paddy.tracking.store import open_store

    try:
        store = open_store(tracking_uri, experiment=None, artifact_root=Path(), create=False)
    except InputError:  # no record yet
        return None
    command = typed_command()
    found = [
        search for search in list_searches(store, name or None) if name or _is_cut_short(search, command)
    ]
    return found[-1] if found else None


def _is_cut_short(search: "RecordedRun", command: str) -> bool:
    from tune_paddy.tracking.schema import SearchRecord

    return SearchRecord.from_run(search).command == command and search.outcome in ("interrupted", "failed")


def offer(search: "RecordedRun", *, named: bool, tracking_uri: str | None = None) -> bool:
    """Ask at a terminal whether to resume an earlier search; elsewhere, print how to resume it.

    Args:
        search: Earlier search.
        named: Whether the user asked for its name.
        tracking_uri: Address of the record; None: the default.

    Raises:
        InputError: The name is taken, and the search is not to be resumed.
    """
    asked = sys.stdin.isatty() and console.is_terminal
    if asked:
        question = f"Search {search.name!r} already exists ({search.outcome}). Resume it?"
        if typer.confirm(question, default=True):
            return True
    address: list[str] = []
    if tracking_uri is not None and tracking_uri != os.environ.get("MLFLOW_TRACKING_URI"):
        address = ["--tracking-uri", strip_credentials(tracking_uri)]
    way = f"to resume it: {shlex.join(['tune-paddy', 'search', '--resume', search.name, *address])}"
    if named:
        raise InputError(f"search {search.name!r} already exists; {way}; or choose another --name")
    if not asked:
        line = f"An earlier search by this command did not finish; {way}"
        console.print(line, style="yellow", soft_wrap=True)
    return False


def plan_again(
    name: str,
    *,
    tracking_uri: str | None,
    overrides: dict[str, Any],
    reading: Mapping[str, Any],
    data: Path | None,
    space: str | None,
    weights_dir: Path | None,
    ray_address: str | None,
    retry_failed: bool,
) -> "tuple[SearchPlan, Store]":
    """Plan the continuation of a recorded search, and print its dataset.

    Args:
        name: Name of the search.
        tracking_uri: Address of the record; None: the default.
        overrides: Settings that were typed; they override the recorded ones where that is allowed.
        reading: Typed options of reading the dataset; they override the recorded ones.
        data: Folder or table of the same images, if they were moved.
        space: Name or path of the same search space; None: the recorded one.
        weights_dir: Folder of pretrained weights; None: the recorded one.
        ray_address: Address of a Ray cluster; None: the recorded one, or this machine.
        retry_failed: Whether to retry failed members.

    Raises:
        InputError: The search is unknown or cannot be resumed.
    """
    from tune_paddy.tracking.runs import get_search

    store = open_record(tracking_uri, Path(), name)
    from tune_paddy.search.resuming.plan import resumed_plan

    search = get_search(store, name)
    plan = resumed_plan(
        search,
        store,
        settings=overrides,
        reading=reading,
        data=data,
        space=None if space is None else load_space(space),
        weights_dir=weights_dir,
        ray_address=ray_address,
        command=typed_command(),
        retry_failed=retry_failed,
    )
    print_dataset(plan.dataset)
    return plan, replace(store, experiment=plan.dataset.root.name, experiment_id=search.experiment_id)
