"""Files of the record on a real S3 server, behind MLflow's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tracking.server.conftest import Servers
from tests.tracking.server.processes import ObjectStore
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking.context.datasets import UsedDataset
from tune_paddy.tracking.files import read_file
from tune_paddy.tracking.members import log_member, start_member
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.predictions_file import FILE_NAME
from tune_paddy.tracking.runs import get_search, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import open_search, start_search
from tune_paddy.tracking.store import Store

pytestmark = pytest.mark.cluster


def record(store: Store, search: str, member: str, predictions: Predictions) -> str:
    """Record a finished member; return its run."""
    parent = start_search(store, name=search)
    run = start_member(store, search=search, member=member, parent_run_id=parent, params={"arch": "net"})
    log_member(store, run, predictions, {"objective": 1.0})
    return run


def test_a_missing_file_is_told_without_repetitions(servers: Servers, on_servers: Store) -> None:
    """MLflow's server answers 500 for it, as for a storage that fails."""
    start_search(on_servers, name="bare")
    asked = servers.mlflow.log.count("/artifacts/split.json HTTP")
    with pytest.raises(TunePaddyError, match=r"^MLflow: .*/split\.json: there is no such file$"):
        read_file(on_servers, get_search(on_servers, "bare"), "split.json", most=1, what="a split")
    assert servers.mlflow.log.count("/artifacts/split.json HTTP") == asked + 1


def test_a_truncated_object_costs_its_member_alone(
    servers: Servers, on_servers: Store, make_predictions: Callable[..., Predictions]
) -> None:
    runs = [record(on_servers, "cut", name, make_predictions(seed)) for seed, name in enumerate("ab")]
    storage = servers.storage.client()
    listed = storage.list_objects_v2(Bucket=ObjectStore.bucket)["Contents"]
    (key,) = (found["Key"] for found in listed if found["Key"].endswith(f"{runs[0]}/artifacts/{FILE_NAME}"))
    whole = storage.get_object(Bucket=ObjectStore.bucket, Key=key)["Body"].read()
    storage.put_object(Bucket=ObjectStore.bucket, Key=key, Body=whole[: len(whole) // 2])
    pool = load_pool(on_servers, ["cut"])
    assert {view.member for view in pool.views} == {"b"}
    (refusal,) = pool.refused
    assert refusal.member == "a"
    assert f"run {runs[0]}/{FILE_NAME}" in refusal.reason
    assert "\n" not in refusal.reason
    storage.put_object(Bucket=ObjectStore.bucket, Key=key, Body=whole)
    assert not load_pool(on_servers, ["cut"]).refused


@contextmanager
def without_bucket(storage: ObjectStore) -> Iterator[None]:
    """Remove the bucket while the block runs."""
    storage.empty()
    yield
    storage.client().create_bucket(Bucket=storage.bucket)


@contextmanager
def without_rights(storage: ObjectStore) -> Iterator[None]:
    """Let the storage refuse the server's key while the block runs."""
    storage.allow()
    yield
    storage.allow("s3:*")


@pytest.mark.parametrize("broken", [without_bucket, without_rights])
def test_a_search_whose_files_cannot_be_stored_ends_before_it_trains(
    broken: Callable[[ObjectStore], "contextmanager[None]"],
    servers: Servers,
    on_servers: Store,
    tmp_path: Path,
) -> None:
    (tmp_path / "space.yaml").write_text("recipes: []")
    used = UsedDataset("digits", "abc", "/digits", {"labelled": 1, "classes": 1, "test": 0})
    name, trained = broken.__name__, []

    def search() -> None:
        with open_search(
            on_servers,
            name,
            SearchRecord(),
            dataset=used,
            write_files=lambda: [tmp_path / "space.yaml"],
            tags={},
            description="",
            at_end=lambda: None,
        ):
            trained.append(name)

    words = "^MLflow: the MLflow server at http://127.0.0.1:.* answers 500; read its log, and those of"
    with broken(servers.storage), pytest.raises(TunePaddyError, match=words) as error:
        search()
    assert "\n" not in str(error.value)
    assert not trained
    search()
    assert trained == [name]
    assert get_search(on_servers, name).outcome == "finished"
    assert not list_members(on_servers, name)
