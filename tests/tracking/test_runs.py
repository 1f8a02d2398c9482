from pathlib import Path

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.tracking import runs
from tune_paddy.tracking.members import log_epoch, start_member
from tune_paddy.tracking.runs import deleted_searches, get_search, list_members, list_searches, parse_params
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store


def test_an_unknown_search_gets_the_nearest_names(store: Store) -> None:
    """A misspelled name gives an error that lists similar names."""
    start_search(store, name="paddy-night")
    with pytest.raises(InputError, match=r"no search 'pady-night' in sqlite.*did you mean 'paddy-night'\?"):
        get_search(store, "pady-night")
    with pytest.raises(InputError, match="there are 'paddy-night'"):
        get_search(store, "zzz")


@pytest.mark.parametrize("name", ["x' OR 'a", "night%", "", "NIGHT"])
def test_text_that_is_part_of_no_query_is_an_unknown_name(store: Store, name: str) -> None:
    start_search(store, name="night")
    with pytest.raises(InputError, match="no search"):
        get_search(store, name)


def test_an_empty_record_says_so(store: Store) -> None:
    """There is no name to suggest."""
    with pytest.raises(InputError, match="it has none yet"):
        list_members(store, "night")


def test_a_search_of_a_deleted_experiment_is_named_as_that(store: Store) -> None:
    """MLflow's page deletes experiments; the search is then not listed, but can be restored."""
    start_search(store, name="night")
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(InputError, match=r"'night' is in the experiment '.*', which was deleted; restore it"):
        get_search(store, "night")
    with pytest.raises(InputError, match="no search 'day'"):
        get_search(store, "day")


def test_all_searches_of_deleted_experiments_are_named(store: Store) -> None:
    assert deleted_searches(store) == ()
    for name in ("night", "day"):
        start_search(store, name=name)
    store.client.delete_experiment(store.experiment_id)
    assert [str(error).partition(" is in")[0] for error in deleted_searches(store)] == [
        "search 'day'", "search 'night'",
    ]  # fmt: skip


def test_members_are_listed_by_name_over_all_pages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search with more members than one response of MLflow holds is listed completely."""
    monkeypatch.setattr(runs, "PAGE", 2)
    parent = start_search(store, name="night")
    names = [f"{i:04}-tiny-64" for i in range(5)]
    for name in reversed(names):
        start_member(store, search="night", member=name, parent_run_id=parent, params={"arch": "tiny"})
    members = list_members(store, "night")
    assert [member.name for member in members] == names
    assert {member.arch for member in members} == {"tiny"}


def test_the_machines_own_metrics_are_left_out(store: Store) -> None:
    """Tables of members compare members."""
    parent = start_search(store, name="night")
    log_epoch(store, parent, {"log_loss": 1.0, "system/cpu_utilization_percentage": 99.0}, 0)
    assert get_search(store, "night").metrics == {"log_loss": 1.0}


def test_a_store_opened_to_read_sees_every_experiment(store: Store, tmp_path: Path) -> None:
    """`select NAME` needs no dataset: names are unique in the record."""
    start_search(store, name="night")
    reader = open_store(store.tracking_uri, experiment=None, artifact_root=tmp_path, create=False)
    assert [search.name for search in list_searches(reader)] == ["night"]


@pytest.mark.parametrize(
    "text", ["-" * 6000 + "1", "(" * 6000, "[" * 90 + "]" * 90, "__import__('os').getpid()", "\0", "9" * 6000]
)
def test_a_parameter_that_others_wrote_is_a_value_or_text(text: str) -> None:
    """A record may come from an untrusted source; no parameter is executed."""
    value = parse_params({"lr": text})["lr"]
    assert value == text or isinstance(value, list)
