"""How a search is resumed: by its name, or when the same command comes again."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tune_paddy.cli.app import console, load_space, print_dataset, typed_command
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store


def find_earlier(tracking_uri: str | None, name: str | None) -> "RecordedRun | None":
    """The search of a name, or the newest unfinished one of the same command; None where there is none."""
    from tune_paddy.tracking.runs import list_searches
    from tune_paddy.tracking.store import open_store

    try:
        store = open_store(tracking_uri, experiment=None, artifact_root=Path(), create=False)
    except InputError:  # no record yet
        return None
    command = typed_command()
    found = [
        search
        for search in list_searches(store)
        if (search.name == name if name else _is_cut_short(search, command))
    ]
    return found[-1] if found else None


def _is_cut_short(search: "RecordedRun", command: str) -> bool:
    from tune_paddy.tracking.schema import SearchRecord

    return SearchRecord.from_run(search).command == command and search.outcome in ("interrupted", "failed")


def offer(search: "RecordedRun", *, named: bool) -> bool:
    """Ask whether an earlier search shall be resumed, where somebody can answer.

    Raises:
        InputError: It shall not, or nobody can answer, and its name is asked for.
    """
    asked = sys.stdin.isatty() and console.is_terminal
    if asked:
        state = "was interrupted" if search.outcome == "interrupted" else f"has {search.outcome}"
        question = f"There is a search {search.name!r}, which {state}. Go on with it?"
        if typer.confirm(question, default=True):
            return True
    way = f"go on with it: tune-paddy search --resume {search.name}"
    if named:
        raise InputError(f"there is a search {search.name!r}; {way}; or choose another --name")
    if not asked:
        console.print(f"This command was given before, and cut short; {way}", style="yellow", soft_wrap=True)
    return False


def plan_again(
    name: str,
    *,
    tracking_uri: str | None,
    overrides: dict[str, Any],
    data: Path | None,
    space: str | None,
    weights_dir: Path | None,
    ray_address: str | None,
    retry_failed: bool,
) -> "tuple[SearchPlan, Store]":
    """Plan a search again from its name; options given once more replace what they may, or must agree.

    Raises:
        InputError: There is no such search, or it cannot be resumed.
    """
    from tune_paddy.search.resuming.plan import resumed_plan
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.schema import SearchRecord
    from tune_paddy.tracking.store import open_store

    store = open_store(tracking_uri, experiment=None, artifact_root=Path(), create=False)
    search = get_search(store, name)
    loaded = None
    if space is not None:
        loaded = load_space(space)
        if SearchRecord.from_run(search).stand_ins:
            from tune_paddy.training.networks.architectures import stand_in

            loaded = loaded.with_stand_ins(stand_in)
    plan = resumed_plan(
        search,
        store,
        settings=overrides,
        data=data,
        space=loaded,
        weights_dir=weights_dir,
        ray_address=ray_address,
        command=typed_command(),
        retry_failed=retry_failed,
    )
    print_dataset(plan.dataset)
    return plan, replace(store, experiment=plan.dataset.root.name, experiment_id=search.experiment_id)
