"""Read the record: the runs of searches, members and ensembles; `schema` defines their tags.

| run | `tune_paddy.kind` | parent |
|---|---|---|
| one search | `search` | the experiment of its dataset |
| one member | `member` | its search (`mlflow.parentRunId`) |
| one selection | `ensemble` | its search |
"""

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.client import call, load_mlflow
from tune_paddy.tracking.context.provenance import is_gone
from tune_paddy.tracking.lookup.names import deleted_search, unknown_search
from tune_paddy.tracking.schema import ARCH, ENSEMBLE, FAILURE, KIND, MEMBER, OUTCOME, PARENT, PROCESS, SEARCH
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.tags import known_tags, stored_name

if TYPE_CHECKING:
    from mlflow.entities import Run

SYSTEM = "system/"
"""Prefix of the machine's own metrics."""

ORPHANED = "its process ended without giving a reason"
"""Failure of a run that has not ended although its process has."""

PAGE = 1000
"""Number of runs per request."""

_NAME = re.compile(r"\w[\w .+-]{0,199}")
_NOT_FINITE = frozenset(("nan", "inf", "-inf"))


@dataclass(frozen=True)
class RecordedRun:
    """One run of the record.

    Attributes:
        name: Name of the search, the member or the ensemble.
        kind: `search`, `member` or `ensemble`.
        search: Name of the search that the run belongs to.
        run_id: MLflow's id of the run.
        experiment_id: MLflow's id of the experiment.
        status: MLflow's status: RUNNING, FINISHED, FAILED or KILLED.
        outcome: running, finished, failed, infeasible, diverged, stopped (early, by the scheduler) or
            interrupted (by the user, or because its process ended); a resumed search resumes it.
        failure: Reason why the run did not finish, in one line; empty otherwise.
        started: Start, in seconds since 1970.
        ended: End, in seconds since 1970; None while the run is running.
        metrics: Current value of every metric except the machine's own and NaN, which is no value.
        params: Parameters as text.
        tags: All tags, as text, by the names of `schema`, whose records parse them.
        artifact_uri: Address of the run's artifacts.
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
        """Architecture of a member, timm's name; empty if it was not recorded."""
        return self.tags.get(ARCH) or self.params.get("arch", "")


def parse_params(params: Mapping[str, str]) -> dict[str, Any]:
    """Parse parameters, which the record stores as the output of `str`.

    Example:
        >>> parse_params({"size": "[32, 48]", "lr": "0.01", "resize": "squish", "resize_size": "None"})
        {'size': [32, 48], 'lr': 0.01, 'resize': 'squish', 'resize_size': None}
        >>> parse_params({"pretrained": "False", "low": "-inf", "score": "nan"})
        {'pretrained': False, 'low': -inf, 'score': nan}
    """
    values: dict[str, Any] = {}
    for name, text in params.items():
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # plain text, such as a name
            values[name] = float(text) if text in _NOT_FINITE else text
    return values


def check_name(name: str, what: str) -> str:
    """Return a name if it is valid in tags, folder names and queries.

    Raises:
        InputError: The name is empty, too long, or has other characters than letters, digits and ` .+-_`.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{what} {name!r}: use up to 200 letters, digits, spaces and . + - _, a letter or digit first"
        )
    return name


def find_runs(store: Store, condition: str, experiment_ids: Sequence[str] | None = None) -> list["Run"]:
    """Return all runs that meet a condition, oldest first.

    Args:
        store: The record.
        condition: Condition in MLflow's query language, such as ``tags.`tune_paddy.kind` = 'search'``.
        experiment_ids: Ids of the experiments to query; None: all.
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


def find_tagged(
    store: Store, tag: str, value: str, condition: str, experiment_ids: Sequence[str] | None = None
) -> list["Run"]:
    """Return all runs with a tag of a value, whether MLflow's pages hide the tag or version 0.2.0 wrote it.

    Args:
        store: The record.
        tag: Name of the tag.
        value: Text of the tag.
        condition: Further condition, see `find_runs`.
        experiment_ids: Ids of the experiments to query; None: all.
    """
    # MLflow's query language has no OR.
    return [
        run
        for name in dict.fromkeys((tag, stored_name(tag)))
        for run in find_runs(store, f"{condition} AND tags.`{name}` = '{value}'", experiment_ids)
    ]


def list_searches(store: Store, name: str | None = None) -> tuple[RecordedRun, ...]:
    """Return the searches of the record, over all experiments, oldest first.

    Args:
        store: The record.
        name: Name of the searches; None: every search.
    """
    condition = f"tags.`{KIND}` = 'search'"
    if name is None:
        return tuple(recorded(run) for run in find_runs(store, condition))
    if not _NAME.fullmatch(name):  # it has no place in a query, and no search has it
        return ()
    found = map(recorded, find_runs(store, f"{condition} AND tags.`{SEARCH}` = '{name}'"))
    return tuple(search for search in found if search.name == name)  # some databases find `Night`, too


def get_search(store: Store, name: str) -> RecordedRun:
    """Return the search with a name.

    Raises:
        InputError: The name is unknown; the message lists similar names, or the existing ones.
    """
    for search in list_searches(store, name):
        return search
    for deleted in deleted_searches(store, name):
        raise deleted
    raise unknown_search(name, [search.name for search in list_searches(store)], store.address)


def deleted_searches(store: Store, name: str | None = None) -> tuple[InputError, ...]:
    """Return the error of each search in an experiment that was deleted, as MLflow's page can do.

    Args:
        store: The record.
        name: Name of the search; None: all of them.
    """
    view = load_mlflow().entities.ViewType
    deleted = {
        experiment.experiment_id: experiment.name
        for experiment in call(store.client.search_experiments, view_type=view.DELETED_ONLY)
    }
    if not deleted or (name is not None and not _NAME.fullmatch(name)):
        return ()
    condition = f"tags.`{KIND}` = 'search'" + ("" if name is None else f" and tags.`{SEARCH}` = '{name}'")
    found = call(store.client.search_runs, list(deleted), condition, run_view_type=view.ALL, max_results=PAGE)
    numbers = {recorded(run).name: run.info.experiment_id for run in found}
    return tuple(deleted_search(search, deleted[number], number) for search, number in numbers.items())


def list_members(store: Store, search: str) -> tuple[RecordedRun, ...]:
    """Return every member of a search, of any outcome, sorted by name.

    Raises:
        InputError: The search is unknown.
    """
    return _children(store, search, "member")


def list_ensembles(store: Store, search: str) -> tuple[RecordedRun, ...]:
    """Return every ensemble selected from a search, sorted by name.

    Raises:
        InputError: The search is unknown.
    """
    return _children(store, search, "ensemble")


def read_curve(store: Store, run_id: str, metric: str) -> dict[int, float]:
    """Return the values of a metric: step → the value that was logged last."""
    return {step: value for step, (_, value) in read_timed_curve(store, run_id, metric).items()}


def read_timed_curve(store: Store, run_id: str, metric: str) -> dict[int, tuple[float, float]]:
    """Return the values of a metric: step → time in seconds since 1970, and the value logged last."""
    points = call(store.client.get_metric_history, run_id, metric)
    points = sorted(points, key=lambda point: point.timestamp)
    return {point.step: (point.timestamp / 1000, point.value) for point in points}


def count_epochs(store: Store, run_id: str) -> int:
    """Return the number of epochs that a member has trained so far."""
    return max(read_curve(store, run_id, "train_loss"), default=0)


def recorded(run: "Run") -> RecordedRun:
    """Convert MLflow's run."""
    info, tags = run.info, known_tags(run.data.tags)
    kind = tags.get(KIND, "")
    search = tags.get(SEARCH, "")
    own = ensemble_name(tags.get(ENSEMBLE, ""), info.run_name or "")
    names = {"search": search, "member": tags.get(MEMBER, ""), "ensemble": own}
    # A killed process could not record its end; the reader detects that the process is gone.
    orphaned = info.status == "RUNNING" and PROCESS in tags and is_gone(tags[PROCESS])
    # A process writes the outcome before it ends the run, and may die between the two.
    written = "running" if info.status == "RUNNING" else tags.get(OUTCOME, info.status.lower())
    return RecordedRun(
        name=names.get(kind, info.run_name or ""),
        kind=kind,
        search=search,
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        status=info.status,
        outcome="interrupted" if orphaned else written,
        failure=ORPHANED if orphaned else tags.get(FAILURE, ""),
        started=info.start_time / 1000,
        ended=None if info.status == "RUNNING" or info.end_time is None else info.end_time / 1000,
        metrics={
            key: value
            for key, value in run.data.metrics.items()
            if not key.startswith(SYSTEM) and not math.isnan(value)
        },
        params=dict(run.data.params),
        tags=tags,
        artifact_uri=info.artifact_uri,
    )


def ensemble_name(tag: str, run_name: str) -> str:
    """Return the name of an ensemble: that of its tag, or from its run's name in older records.

    >>> ensemble_name("log_linear", "ensemble log_linear"), ensemble_name("", "ensemble greedy log_loss 3f9a")
    ('log_linear', 'greedy-log_loss-3f9a')
    >>> ensemble_name("", "../mine: renamed in MLflow")
    'mine-renamed-in-MLflow'
    """
    words = re.findall(r"\w[\w.+-]*", run_name.removeprefix("ensemble "))
    return tag or "-".join(words) or "unnamed"


def _children(store: Store, search: str, kind: str) -> tuple[RecordedRun, ...]:
    parent = get_search(store, search)
    condition = f"tags.`{PARENT}` = '{parent.run_id}' AND tags.`{KIND}` = '{kind}'"
    children = [recorded(run) for run in find_runs(store, condition, [parent.experiment_id])]
    return tuple(sorted(children, key=lambda child: child.name))
