"""Reading the record: the runs of searches, members and ensembles; `schema` says what their tags hold.

| run | `tune_paddy.kind` | stands under |
|---|---|---|
| one search | `search` | the experiment of its dataset |
| one member | `member` | its search (`mlflow.parentRunId`) |
| one selection | `ensemble` | its search |
"""

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.provenance import is_gone
from tune_paddy.tracking.schema import ARCH, FAILURE, KIND, MEMBER, OUTCOME, PARENT, PROCESS, SEARCH
from tune_paddy.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

SYSTEM = "system/"
"""What the names of the machine's own metrics begin with."""

ORPHANED = "its process ended without a word"
"""Why a run has not ended although nobody works on it any more."""

PAGE = 1000
"""Runs per request."""

_NAME = re.compile(r"\w[\w .+-]{0,199}")


@dataclass(frozen=True)
class RecordedRun:
    """One run as it stands in the record.

    Attributes:
        name: Of the search or the member; an ensemble's run name.
        kind: `search`, `member` or `ensemble`.
        search: Name of the search it belongs to.
        run_id: MLflow's id.
        experiment_id: Of its experiment.
        status: MLflow's: RUNNING, FINISHED, FAILED or KILLED.
        outcome: running, finished, failed, infeasible, diverged, stopped (by the scheduler) or interrupted:
            by a person, or by the end of its process; a search that goes on takes it up again.
        failure: Why it did not finish, in one line; empty otherwise.
        started: Seconds since 1970.
        ended: Seconds since 1970; None while it runs.
        metrics: Current value of every metric but the machine's own.
        params: Parameters as text.
        tags: All tags, as text; the records of `schema` read them.
        artifact_uri: Where its files are.
    """

    name: str
    kind: str
    search: str
    run_id: str
    experiment_id: str
    status: str
    outcome: str
    failure: str
    started: float
    ended: float | None
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    artifact_uri: str

    @property
    def arch(self) -> str:
        """Architecture of a member, timm's name; empty when it was not recorded."""
        return self.tags.get(ARCH) or self.params.get("arch", "")


def parse_params(params: Mapping[str, str]) -> dict[str, Any]:
    """Turn parameters back into values: the record keeps what `str` makes of them.

    Example:
        >>> parse_params({"size": "[32, 48]", "lr": "0.01", "resize": "squish", "resize_size": "None"})
        {'size': [32, 48], 'lr': 0.01, 'resize': 'squish', 'resize_size': None}
    """
    values: dict[str, Any] = {}
    for name, text in params.items():
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # plain text, such as a name
            values[name] = text
    return values


def check_name(name: str, what: str) -> str:
    """Return a name fit for tags, folders and queries.

    Raises:
        InputError: It is empty, too long, or has other characters than letters, digits and ` .+-_`.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{what} {name!r}: use up to 200 letters, digits, spaces and . + - _, a letter or digit first"
        )
    return name


def find_runs(store: Store, condition: str, experiment_ids: Sequence[str] | None = None) -> list["Run"]:
    """All runs that meet a condition of MLflow's query language, the oldest first.

    Args:
        store: The record.
        condition: Such as ``tags.`tune_paddy.kind` = 'search'``.
        experiment_ids: Where to look; None: in every experiment.
    """
    client = store.client
    if experiment_ids is None:
        experiment_ids = [experiment.experiment_id for experiment in call(client.search_experiments)]
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = call(
            client.search_runs,
            list(experiment_ids),
            condition,
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return runs


def list_searches(store: Store) -> tuple[RecordedRun, ...]:
    """Every search of the record, over all experiments, the oldest first."""
    return tuple(recorded(run) for run in find_runs(store, f"tags.`{KIND}` = 'search'"))


def get_search(store: Store, name: str) -> RecordedRun:
    """The search of a name.

    Raises:
        InputError: There is none; the message names the nearest, or those there are.
    """
    searches = list_searches(store)
    for search in searches:
        if search.name == name:
            return search
    names = sorted({search.name for search in searches})
    nearest = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {_listed(nearest)}?" if nearest else f"there are {_listed(names[:10])}"
    raise InputError(f"no search {name!r} in {store.address}: {hint if names else 'it has none yet'}")


def list_members(store: Store, search: str) -> tuple[RecordedRun, ...]:
    """Every member of a search, whatever became of it, by name.

    Raises:
        InputError: There is no such search.
    """
    return _children(store, search, "member")


def list_ensembles(store: Store, search: str) -> tuple[RecordedRun, ...]:
    """Every ensemble selected from a search, by name.

    Raises:
        InputError: There is no such search.
    """
    return _children(store, search, "ensemble")


def read_curve(store: Store, run_id: str, metric: str) -> dict[int, float]:
    """All values of a metric: step → the one that was logged last."""
    points = call(store.client.get_metric_history, run_id, metric)
    return {point.step: point.value for point in sorted(points, key=lambda point: point.timestamp)}


def count_epochs(store: Store, run_id: str) -> int:
    """Epochs that a member has trained so far."""
    return max(read_curve(store, run_id, "train_loss"), default=0)


def recorded(run: "Run") -> RecordedRun:
    """Bring MLflow's run into ours."""
    info, tags = run.info, dict(run.data.tags)
    kind = tags.get(KIND, "")
    search = tags.get(SEARCH, "")
    names = {"search": search, "member": tags.get(MEMBER, "")}
    # A process that was killed could not say so: whoever reads the record sees that it is gone.
    orphaned = info.status == "RUNNING" and PROCESS in tags and is_gone(tags[PROCESS])
    return RecordedRun(
        name=names.get(kind, info.run_name or ""),
        kind=kind,
        search=search,
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        status=info.status,
        outcome="interrupted" if orphaned else tags.get(OUTCOME, info.status.lower()),
        failure=ORPHANED if orphaned else tags.get(FAILURE, ""),
        started=info.start_time / 1000,
        ended=None if info.status == "RUNNING" or info.end_time is None else info.end_time / 1000,
        metrics={key: value for key, value in run.data.metrics.items() if not key.startswith(SYSTEM)},
        params=dict(run.data.params),
        tags=tags,
        artifact_uri=info.artifact_uri,
    )


def _children(store: Store, search: str, kind: str) -> tuple[RecordedRun, ...]:
    parent = get_search(store, search)
    condition = f"tags.`{PARENT}` = '{parent.run_id}' AND tags.`{KIND}` = '{kind}'"
    children = [recorded(run) for run in find_runs(store, condition, [parent.experiment_id])]
    return tuple(sorted(children, key=lambda child: child.name))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
