"""Create what a repeated request would create twice.

Each creation has a tag with a random text, its mark. A server may carry out a request and fail before it
answers: the mark tells what it created from what another process creates under the same name at that moment.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.tracking.client import call
from tune_paddy.tracking.schema import PREFIX
from tune_paddy.tracking.ui.tags import stored_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")

MARK = stored_name(f"{PREFIX}creation")
"""Tag of the mark, as MLflow stores it; its pages hide it."""


def create_run(
    client: "MlflowClient", experiment_id: str, name: str, tags: Mapping[str, str], start: int | None = None
) -> str:
    """Create a run, once also if the answer to the first request is lost.

    Args:
        client: MLflow's client of the record.
        experiment_id: Id of the experiment.
        name: Name of the run.
        tags: Tags as MLflow stores them.
        start: Start in milliseconds since 1970; None: now.

    Returns:
        The id of the run.

    Raises:
        TunePaddyError: MLflow failed.
    """
    mark = secrets.token_hex(8)

    def create() -> "Run":
        return client.create_run(experiment_id, start, {**tags, MARK: mark}, name)

    def find() -> Sequence["Run"]:
        order = ["attributes.start_time ASC"]
        return client.search_runs([experiment_id], f"tags.`{MARK}` = '{mark}'", order_by=order)

    run = _create_once(create, find, lambda late: client.delete_run(late.info.run_id))
    return str(run.info.run_id)


def create_model_version(client: "MlflowClient", name: str, source: str, run_id: str) -> str:
    """Create a version of a registered model, once also if the answer to the first request is lost.

    Args:
        client: MLflow's client of the record.
        name: Name of the registered model, created if missing.
        source: Address of the model's files.
        run_id: Run that the files belong to.

    Returns:
        Number of the version.

    Raises:
        TunePaddyError: MLflow failed.
    """
    _create_model(client, name)
    mark = secrets.token_hex(8)

    def create() -> "ModelVersion":
        return client.create_model_version(name, source, run_id=run_id, tags={MARK: mark})

    def find() -> Sequence["ModelVersion"]:
        known = client.search_model_versions(f"name = '{name}'")
        marked = [version for version in known if version.tags.get(MARK) == mark]
        return sorted(marked, key=lambda version: int(version.version))

    made = _create_once(create, find, lambda late: client.delete_model_version(name, late.version))
    return str(made.version)


def _create_model(client: "MlflowClient", name: str) -> None:
    """Create a registered model if it is missing; another process, or a lost request, may do it meanwhile."""

    def is_known() -> bool:
        return bool(call(client.search_registered_models, f"name = '{name}'"))

    if is_known():
        return
    try:
        call(client.create_registered_model, name)
    except TunePaddyError:
        if not is_known():
            raise


def _create_once(
    create: Callable[[], T], find: Callable[[], Sequence[T]], delete: Callable[[T], object]
) -> T:
    """Send a request until it is answered; return what it created.

    Before a repetition, the record is asked for what the request may have created. If a request that was
    given up is carried out even later, the newer results are deleted.

    Args:
        create: Function that sends the request.
        find: Function that returns what `create` has created, oldest first.
        delete: Function that removes a result.
    """
    requests = 0

    def attempt() -> T:
        nonlocal requests
        requests += 1
        made = find() if requests > 1 else ()
        return made[0] if made else create()

    result = call(attempt)
    if requests == 1:
        return result
    first, *repeated = call(find) or [result]
    for late in repeated:
        call(delete, late)
    return first
