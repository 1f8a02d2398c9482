"""Load the pool of one or several searches, from the record alone."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Pool, Predictions, Refusal, View, align
from tune_paddy.core.views import PLAIN
from tune_paddy.data.split import read_groups
from tune_paddy.tracking.client import call
from tune_paddy.tracking.files import SPLIT_FILE, fetched, read_text_of_search
from tune_paddy.tracking.predictions_file import FILE_NAME, read_predictions
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members, parse_params, recorded
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.store import Store

REMOTE_DOWNLOADS = 8
"""Number of parallel downloads from a server; on a local disk threads only slow each other down."""


def load_pool(store: Store, searches: Sequence[str]) -> Pool:
    """Align the predictions of all finished members.

    A member whose file is missing, damaged or of another split is refused by name; the others are loaded.

    Args:
        store: The record.
        searches: Names of searches. With more than one, members are named `SEARCH:MEMBER`.

    Returns:
        The pool. It has no views if no member is finished or all were refused.

    Raises:
        InputError: A search is unknown.
        TunePaddyError: MLflow failed.
    """
    names = tuple(dict.fromkeys(searches))
    finished = [
        member for name in names for member in list_members(store, name) if member.status == "FINISHED"
    ]
    finished = _renamed(finished) if len(names) > 1 else finished
    once, again = _once(finished)
    remote = any(not member.artifact_uri.startswith("file:") for member in once)
    with ThreadPoolExecutor(REMOTE_DOWNLOADS if remote else 1) as threads:
        results = list(threads.map(lambda member: _load(store, member), once))
    sound = [
        (_view(m), result) for m, result in zip(once, results, strict=True) if isinstance(result, Predictions)
    ]
    pool = align(sound)
    pool = replace(pool, groups=_groups(store, names, pool))
    broken = [result for result in results if isinstance(result, Refusal)]
    return replace(pool, refused=tuple(sorted((*pool.refused, *broken, *again), key=lambda r: r.member)))


def _groups(store: Store, searches: Sequence[str], pool: Pool) -> NDArray[np.int64] | None:
    """Return the groups of a pool's select images, as one of its searches recorded them with its split."""
    used = {view.search for view in pool.views}
    for name in (name for name in searches if name in used):
        text = read_text_of_search(store, get_search(store, name), SPLIT_FILE)
        group_of = read_groups(text.encode(), pool.split)
        if group_of:
            return np.array([group_of[image] for image in pool.select_ids.tolist()], np.int64)
    return None


def _renamed(members: Iterable[RecordedRun]) -> list[RecordedRun]:
    return [replace(member, name=f"{member.search}:{member.name}") for member in members]


def _once(members: Iterable[RecordedRun]) -> tuple[list[RecordedRun], list[Refusal]]:
    """Keep the earliest run of each member; a duplicate would count twice in an ensemble."""
    kept: dict[str, RecordedRun] = {}
    again: list[Refusal] = []
    for member in sorted(members, key=lambda member: (member.started, member.run_id)):
        first = kept.setdefault(member.name, member)
        if first is not member:
            again.append(
                Refusal(member.name, f"run {member.run_id} repeats run {first.run_id}, which is used")
            )
    return list(kept.values()), again


def load_member(store: Store, run_id: str) -> tuple[View, Predictions]:
    """Read the predictions of one finished member, and the view that represents it in `align`.

    Raises:
        TunePaddyError: The run is unknown, or its predictions cannot be read.
    """
    member = recorded(call(store.client.get_run, run_id))
    result = _load(store, member)
    if isinstance(result, Refusal):
        raise TunePaddyError(f"{result.member}: {result.reason}")
    return _view(member), result


def _load(store: Store, member: RecordedRun) -> Predictions | Refusal:
    """Read one file by its own address; by its run's id, MLflow queries its database three times more."""
    try:
        with fetched(store, member.artifact_uri, FILE_NAME) as path:
            try:
                return read_predictions(path)
            except InputError as error:
                return Refusal(member.name, str(error).replace(str(path), f"run {member.run_id}/{FILE_NAME}"))
    except TunePaddyError as error:
        return Refusal(member.name, f"run {member.run_id} has no {FILE_NAME} to load ({error})")


def _view(member: RecordedRun) -> View:
    return View(
        member=member.name,
        kind=PLAIN,
        run_id=member.run_id,
        arch=member.arch,
        params=member_params(member),
        metrics=member.metrics,
        search=member.search,
    )


def member_params(member: RecordedRun) -> dict[str, Any]:
    """Return the parameters of a member: numbers, truth values, None, text, and sizes as tuples.

    MLflow stores them as text. The recorded proposal has their types; without one, as in records of another
    version, the text decides.
    """
    values = parse_params(member.params)
    proposal = MemberRecord.from_run(member).proposal
    typed = {} if proposal is None else proposal.config.model_dump()
    return {name: _frozen(typed.get(name, value)) for name, value in values.items()}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
