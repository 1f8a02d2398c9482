"""Which images a run used, where MLflow's pages look for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tune_paddy.tracking.client import call, load_mlflow
from tune_paddy.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

CONTEXT = "mlflow.data.context"


@dataclass(frozen=True)
class UsedDataset:
    """A dataset as the record names it.

    Attributes:
        name: For a person; the same images under another name are another dataset to MLflow.
        fingerprint: Of its images and labels.
        path: Where it was.
        counts: Such as the number of labelled images.
    """

    name: str
    fingerprint: str
    path: str
    counts: Mapping[str, int]


def log_dataset(store: Store, run_id: str, dataset: UsedDataset) -> None:
    """Record the dataset of a run; MLflow knows it again by name and fingerprint.

    Raises:
        TunePaddyError: MLflow failed.
    """
    entities = load_mlflow().entities
    entity = entities.Dataset(
        name=dataset.name,
        digest=dataset.fingerprint,
        source_type="local",
        source=json.dumps({"uri": dataset.path}),
        profile=json.dumps(dict(dataset.counts)),
    )
    tags = [entities.InputTag(CONTEXT, "training")]
    call(store.client.log_inputs, run_id, datasets=[entities.DatasetInput(entity, tags)])


def pass_on_dataset(store: Store, parent: "Run", run_id: str) -> None:
    """Give a run the datasets of the run above it.

    Raises:
        TunePaddyError: MLflow failed.
    """
    if parent.inputs and parent.inputs.dataset_inputs:
        call(store.client.log_inputs, run_id, datasets=list(parent.inputs.dataset_inputs))
