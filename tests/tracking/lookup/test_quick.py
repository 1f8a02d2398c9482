from pathlib import Path

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.ensembles import log_ensemble
from tune_paddy.tracking.lookup.ensembles import get_ensemble
from tune_paddy.tracking.lookup.quick import check_names
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store


@pytest.fixture
def ensembles(store: Store) -> dict[str, str]:
    """Two ensembles of the search `night`, one of them recorded by an older version: name → run id."""
    start_search(store, name="night")
    runs = {
        name: log_ensemble(
            store, search="night", name=name, selection_dict={"kind": name}, files=[], metrics={}, params={}
        )
        for name in ("greedy", "old")
    }
    store.client.delete_tag(runs["old"], "tune_paddy.ensemble")
    store.client.update_run(runs["old"], name="ensemble top log_loss 12ab")
    return {"greedy": runs["greedy"], "top-log_loss-12ab": runs["old"]}


def test_the_quick_check_agrees_with_the_record(store: Store, ensembles: dict[str, str]) -> None:
    for name, run_id in ensembles.items():
        for wanted in (name, run_id, run_id[:6]):
            check_names(store.tracking_uri, ["night"], wanted)
            assert get_ensemble(store, "night", wanted).run_id == run_id
    for wanted in ("gredy", "12ab", next(iter(ensembles.values()))[:3]):
        refusals = []
        for ask in (
            lambda wanted=wanted: check_names(store.tracking_uri, ["night"], wanted),
            lambda wanted=wanted: get_ensemble(store, "night", wanted),
        ):
            with pytest.raises(InputError, match="has no ensemble") as caught:
                ask()
            refusals.append(str(caught.value))
        assert refusals[0] == refusals[1]


def test_an_unknown_search_is_refused_with_a_suggestion(store: Store) -> None:
    start_search(store, name="night")
    check_names(store.tracking_uri, ["night"])
    with pytest.raises(InputError, match=r"no search 'nigth' in .*: did you mean 'night'\?"):
        check_names(store.tracking_uri, ["night", "nigth"])


def test_a_search_of_a_deleted_experiment_is_named_as_that(store: Store) -> None:
    start_search(store, name="night")
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(InputError, match=r"'night' is in the experiment '.*', which was deleted; restore it"):
        check_names(store.tracking_uri, ["night"])
    with pytest.raises(InputError, match="no search 'day'"):
        check_names(store.tracking_uri, ["day"])


def test_a_database_that_cannot_be_read_is_left_to_the_record(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    check_names(f"sqlite:///{tmp_path}/mlflow.db", ["night"])
    check_names(f"sqlite:///{tmp_path}/missing.db", ["night"])
    check_names("http://127.0.0.1:9", ["night"])
