"""Create what a repeated request would create twice."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tune_paddy.tracking.client import call

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def create_once(
    client: "MlflowClient", create: Callable[[], "Run"], find: Callable[[], Sequence["Run"]]
) -> str:
    """Create a run, once also if the answer to the first request is lost.

    Before a repetition, the record is asked for the run: a server may store it and fail before it answers.
    If a request that was given up is carried out even later, the newer runs are deleted.

    Args:
        client: MLflow's client of the record.
        create: Function that sends the request.
        find: Function that returns the runs that `create` may have made, oldest first; none before the first
            request.

    Returns:
        The id of the run.

    Raises:
        TunePaddyError: MLflow failed.
    """
    requests = 0

    def attempt() -> "Run":
        nonlocal requests
        requests += 1
        made = find() if requests > 1 else ()
        return made[0] if made else create()

    run = call(attempt)
    if requests == 1:
        return str(run.info.run_id)
    first, *repeated = find() or [run]
    for run in repeated:
        call(client.delete_run, run.info.run_id)
    return str(first.info.run_id)
