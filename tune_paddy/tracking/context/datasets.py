"""Record the dataset of a run as MLflow's pages expect it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tune_paddy.tracking.client import call, load_mlflow
from tune_paddy.tracking.schema import NOTE
from tune_paddy.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

CONTEXT = "mlflow.data.context"


@dataclass(frozen=True)
class UsedDataset:
    """A dataset in the record.

    Attributes:
        name: Display name; to MLflow, the same images under another name are another dataset.
        fingerprint: Fingerprint of the images and labels.
        path: Path of the dataset at the time of the search.
        counts: Name → number, such as the number of labelled images.
    """

    name: str
    fingerprint: str
    path: str
    counts: Mapping[str, int]


def log_dataset(store: Store, run_id: str, dataset: UsedDataset) -> None:
    """Record the dataset of a run; MLflow identifies it by name and fingerprint.

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


def describe_experiment(store: Store, dataset: UsedDataset) -> None:
    """Describe a dataset in the note of its experiment, unless it has a note already.

    Raises:
        TunePaddyError: MLflow failed.
    """
    if call(store.client.get_experiment, store.experiment_id).tags.get(NOTE):
        return
    counts = dataset.counts
    note = (
        f"{counts['labelled']:,} labelled images of {counts['classes']:,} classes, "
        f"{counts['test']:,} to predict.\n\nCounted at the first search, in `{dataset.path}`.\n"
    )
    call(store.client.set_experiment_tag, store.experiment_id, NOTE, note)


def pass_on_dataset(store: Store, parent: "Run", run_id: str) -> None:
    """Record the datasets of the parent run on a run.

    Raises:
        TunePaddyError: MLflow failed.
    """
    if parent.inputs and parent.inputs.dataset_inputs:
        call(store.client.log_inputs, run_id, datasets=list(parent.inputs.dataset_inputs))
