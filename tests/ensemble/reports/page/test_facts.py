from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.ensemble.conftest import make_pool, recorded
from tune_paddy.ensemble.reports.page.facts import Fact, facts

WHEN = datetime(2026, 11, 29, 5, 53, tzinfo=UTC)
TAGS = {"tune_paddy.dataset": "/data/paddy", "tune_paddy.space": "nets", "tune_paddy.seconds": "5400"}


def facts_of(
    tracking_uri: str = "", *, labelled: int = 0, tests: int = 20, tags: Mapping[str, str] = TAGS
) -> dict[str, Fact]:
    """Return the facts of a search with two members, one of which failed, by name."""
    files = {f"{n}.jpg": Path() for n in range(labelled)}
    members = [recorded("0000-net"), recorded("0001-net", outcome="failed"), recorded("0002-net", search="x")]
    found = facts(
        make_pool(tests=tests),
        [recorded("night", "search", tags=tags)],
        members,
        images=(files, {}),
        tracking_uri=tracking_uri,
        written=WHEN,
    )
    return {fact.what: fact for fact in found}


def test_date_search_dataset_and_split_are_named() -> None:
    found = facts_of(labelled=1438)
    assert found["Written"].text == "2026-11-29 05:53 UTC"
    assert found["Search"].text == (
        "night: 1 of 2 members finished, space nets, started 1970-01-01 00:16 UTC, ran for 1.5 h"
    )
    assert found["Dataset"].text == "paddy (/data/paddy)"
    assert found["Images"].text == "1,438 labelled images, 20 images to predict, 3 classes"
    assert found["Select split"].text == "60 images judge the members; split abc"
    assert "MLflow" not in found


def test_a_search_with_folds_has_no_select_split() -> None:
    """Every image of the folds judges the members that have not seen it."""
    found = facts_of(tags={**TAGS, "tune_paddy.settings": '{"folds": 5}'})
    assert found["Folds"].text == "5; 60 images judge the members; split abc"
    assert "Select split" not in found


def test_images_that_are_not_found_are_not_counted() -> None:
    assert facts_of(tests=0)["Images"].text == "3 classes"


def test_a_record_on_a_server_is_a_link_without_credentials() -> None:
    fact = facts_of("https://me:secret@mlflow.example.org/")["MLflow"]
    assert fact.link == "https://mlflow.example.org/#/experiments/1/runs/run night"
    assert not fact.command
    assert "secret" not in str(fact)


@pytest.mark.parametrize("uri", ["sqlite:////my runs/mlflow.db", "postgresql://me:secret@host/db"])
def test_a_local_record_is_a_command_that_works_in_any_folder(uri: str) -> None:
    fact = facts_of(uri)["MLflow"]
    assert not fact.link
    assert fact.command.startswith("tune-paddy ui night --tracking-uri ")
    assert "secret" not in fact.command
    assert ("'sqlite:////my runs/mlflow.db'" in fact.command) == uri.startswith("sqlite")
