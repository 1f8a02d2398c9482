"""Datasets on MLflow's pages."""

from tune_paddy.tracking.context.datasets import UsedDataset, describe_experiment
from tune_paddy.tracking.schema import NOTE
from tune_paddy.tracking.store import Store

DIGITS = UsedDataset(
    "digits", "d1", "/data/digits", {"labelled": 1438, "select": 719, "test": 359, "classes": 10}
)


def test_an_experiment_describes_its_dataset_and_keeps_a_note_of_the_users_own(store: Store) -> None:
    describe_experiment(store, DIGITS)
    note = store.client.get_experiment(store.experiment_id).tags[NOTE]
    assert note == (
        "1,438 labelled images of 10 classes, 359 to predict.\n\n"
        "Counted at the first search, in `/data/digits`.\n"
    )
    store.client.set_experiment_tag(store.experiment_id, NOTE, "mine")
    describe_experiment(store, DIGITS)
    assert store.client.get_experiment(store.experiment_id).tags[NOTE] == "mine"
