from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowException

from tune_paddy.core.errors import InputError
from tune_paddy.data.system import repetition
from tune_paddy.tracking import searches
from tune_paddy.tracking.ensembles import log_ensemble
from tune_paddy.tracking.members import fail_member, start_member
from tune_paddy.tracking.runs import list_ensembles, list_members, list_searches
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.server.creation import MARK, create_model_version
from tune_paddy.tracking.store import Store, open_store

LOST = MlflowException(
    "API request to http://host:5000/api failed: ('Connection aborted.', RemoteDisconnected)"
)


@pytest.fixture
def lossy(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A record that carries out the next request of a kind, but whose answer is lost."""
    client = store.client

    def lose(method: str) -> None:
        send, lost = getattr(type(client), method), []

        def once(*arguments: object, **options: object) -> object:
            answer = send(*arguments, **options)
            if not lost:
                lost.append(answer)
                raise LOST
            return answer

        monkeypatch.setattr(type(client), method, once)

    monkeypatch.setattr(repetition, "pauses", lambda: iter([0.0] * 9))
    return lose


def test_a_run_whose_creation_was_not_answered_is_not_created_again(
    store: Store, lossy: Callable[[str], None]
) -> None:
    parent = start_search(store, name="night")
    lossy("create_run")
    run = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    assert [member.run_id for member in list_members(store, "night")] == [run]


def test_a_search_whose_creation_was_not_answered_has_one_run(
    store: Store, lossy: Callable[[str], None]
) -> None:
    lossy("create_run")
    run = start_search(store, name="night")
    found = store.client.search_runs([store.experiment_id])
    assert [known.info.run_id for known in found] == [run]


def test_a_run_that_a_late_request_creates_as_well_is_deleted(
    store: Store, lossy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is carried out after the second: the record has no run between the two."""
    parent = start_search(store, name="night")
    client = type(store.client)
    find, asked = client.search_runs, []

    def late(*arguments: Any, **options: Any) -> Any:
        if MARK in str(arguments):
            asked.append(arguments)
        return [] if len(asked) == 1 and MARK in str(arguments) else find(*arguments, **options)

    monkeypatch.setattr(client, "search_runs", late)
    lossy("create_run")
    run = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    assert len(asked) == 2
    assert [member.run_id for member in list_members(store, "night")] == [run]


def test_a_repeated_creation_leaves_the_run_of_another_process_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two `select` record the same selection at once, and the database is locked for the first."""
    start_search(store, name="night")
    client = type(store.client)
    create, requests, others = client.create_run, [], []

    def select() -> str:
        return log_ensemble(
            store, search="night", name="all", selection_dict={"a": 1}, files=[], metrics={}, params={}
        )

    def crossed(*arguments: Any, **options: Any) -> Any:
        requests.append(arguments)
        if len(requests) == 1:
            raise MlflowException("database is locked")
        if len(requests) == 2:
            others.append(select())
        return create(*arguments, **options)

    monkeypatch.setattr(repetition, "pauses", lambda: iter([0.0] * 9))
    monkeypatch.setattr(client, "create_run", crossed)
    own = select()
    assert own not in others
    assert {run.run_id for run in list_ensembles(store, "night")} == {own, *others}


def test_a_search_that_another_process_begins_at_the_same_moment_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has looked for the name before the other created its run."""
    first = start_search(store, name="night")
    monkeypatch.setattr(searches, "recorded_run", lambda *_: None)
    with pytest.raises(InputError, match=r"has a search 'night', which began on .*; choose another `name`"):
        start_search(store, name="night", new=True)
    assert [run.run_id for run in list_searches(store)] == [first]


def test_a_new_search_does_not_continue_the_run_of_another(store: Store) -> None:
    first = start_search(store, name="night")
    with pytest.raises(InputError, match="has a search 'night', which began on"):
        start_search(store, name="night", new=True)
    assert start_search(store, name="night") == first


@pytest.mark.parametrize("lost", ["create_model_version", "create_registered_model"])
def test_a_model_whose_registration_was_not_answered_has_one_version(
    store: Store, lossy: Callable[[str], None], lost: str
) -> None:
    run = start_search(store, name="night")
    lossy(lost)
    assert create_model_version(store.client, "paddy", "/exported/model", run) == "1"
    assert [known.version for known in store.client.search_model_versions("name = 'paddy'")] == [1]
    assert create_model_version(store.client, "paddy", "/exported/model", run) == "2"


def test_a_tag_whose_deletion_was_not_answered_is_gone(store: Store, lossy: Callable[[str], None]) -> None:
    parent = start_search(store, name="night")
    first = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    fail_member(store, first, "its process died", "interrupted")
    lossy("delete_tag")
    again = start_member(store, search="night", member="a", parent_run_id=parent, params={"arch": "net"})
    assert again == first
    assert [member.failure for member in list_members(store, "night")] == [""]


def test_an_experiment_whose_creation_was_not_answered_is_used(
    store: Store, lossy: Callable[[str], None], tmp_path: Path
) -> None:
    lossy("create_experiment")
    other = open_store(store.tracking_uri, experiment="other", artifact_root=tmp_path, create=True)
    found = store.client.get_experiment_by_name("other")
    assert found is not None
    assert found.experiment_id == other.experiment_id
