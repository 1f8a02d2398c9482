"""Sending a submission, with a fake of Kaggle's client that records its calls."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle.submit import (
    POLL_SECONDS,
    UPLOAD_FAILED,
    Score,
    Sent,
    find_score,
    label_counts,
    mean_probabilities,
    read_to_send,
    send,
    sent_before,
    wait_for_score,
)

SENT = Sent("some-contest", 7, "submission.csv", "first", "2026-01-01T00:00:00+00:00")


def entry(ref: int, status: str = "COMPLETE", public: str = "0.98", **more: Any) -> SimpleNamespace:
    """A submission as Kaggle lists it."""
    facts = {"file_name": "submission.csv", "description": "first", "private_score": None}
    facts |= {"error_description": None, "total_bytes": 0, "date": None, **more}
    return SimpleNamespace(ref=ref, status=SimpleNamespace(name=status), public_score=public, **facts)


@dataclass
class Client:
    """Fake client that returns `answer` from `competition_submit`, and `listings` one by one."""

    answer: Any = None
    listings: list[list[Any]] = field(default_factory=list)
    sent: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def competition_submit(self, file_name: str, message: str, competition: str, quiet: bool = False) -> Any:
        self.sent.append((file_name, message, competition, quiet))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def competition_submissions(self, competition: str) -> Any:
        assert competition == "some-contest"
        return self.listings.pop(0)

    def competition_download_files(self, *arguments: Any, **options: Any) -> None:
        raise NotImplementedError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "submission.csv"
    path.write_text("image_id,label\na.jpg,blast\nb.jpg,tungro\nc.jpg,blast\n")
    return path


def test_labels_are_counted_the_most_frequent_first(file: Path) -> None:
    assert label_counts(read_to_send(file)) == [("blast", 2), ("tungro", 1)]


def test_columns_of_probabilities_are_averaged_the_largest_first(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "probabilities.csv"
    path.write_text("id,cat,dog\n1,0.25,0.75\n2,0.5,0.5\n")
    assert mean_probabilities(read_to_send(path)) == [("dog", 0.625), ("cat", 0.375)]
    assert label_counts(read_to_send(path)) == []
    assert mean_probabilities(read_to_send(file)) == []


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_to_send(tmp_path / "none.csv")


def test_a_submission_is_sent_with_its_message_and_competition(file: Path) -> None:
    client = Client(SimpleNamespace(message="Successfully submitted", ref=42))
    sent = send(client, file, "first", "some-contest")
    assert client.sent == [(str(file), "first", "some-contest", True)]
    assert (sent.ref, sent.file_name, sent.answer) == (42, "submission.csv", "Successfully submitted")
    assert sent.sent_at.endswith("+00:00")


def test_a_file_that_kaggle_has_is_found_by_name_message_and_size(file: Path) -> None:
    size = file.stat().st_size
    listed = [None, entry(9, description="other"), entry(8, total_bytes=size + 1), entry(7, total_bytes=size)]
    found = sent_before(Client(listings=[listed]), file, "first", "some-contest")
    assert found == Sent("some-contest", 7, "submission.csv", "first", "")
    when = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    found = sent_before(Client(listings=[[entry(6, date=when)]]), file, "first", "some-contest")
    assert found is not None
    assert found.sent_at == "2026-01-02T03:04:05+00:00"
    assert sent_before(Client(listings=[listed[:3]]), file, "first", "some-contest") is None


def test_an_error_is_reported_with_its_reason(file: Path) -> None:
    with pytest.raises(TunePaddyError, match="submit to some-contest: no more today"):
        send(Client(RuntimeError("no more today")), file, "first", "some-contest")


def test_a_failed_upload_is_an_error(file: Path) -> None:
    with pytest.raises(TunePaddyError, match="the upload to Kaggle failed"):
        send(Client(SimpleNamespace(message=UPLOAD_FAILED)), file, "first")


def test_the_message_of_a_failed_upload_is_that_of_kaggles_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package creates a folder and authenticates on import; fake credentials avoid a request."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "none")
    for name in ("API_TOKEN", "API_V1_TOKEN", "CONFIG_DIR"):
        monkeypatch.delenv(f"KAGGLE_{name}", raising=False)
    module = pytest.importorskip("kaggle.api.kaggle_api_extended")
    assert UPLOAD_FAILED == module.KaggleApi.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE


def test_a_score_is_found_by_its_number_among_others() -> None:
    client = Client(listings=[[entry(9, public="0.1"), None, entry(7, private_score="0.97")]])
    assert find_score(client, SENT) == Score("complete", "0.98", "0.97")


def test_without_a_number_the_newest_with_the_same_file_and_message_is_used() -> None:
    numberless = Sent("some-contest", 0, "submission.csv", "first", "")
    client = Client(listings=[[entry(9, description="other"), entry(8, public="0.2"), entry(7)]])
    assert find_score(client, numberless).public == "0.2"


def test_a_submission_that_kaggle_does_not_list_is_an_error() -> None:
    with pytest.raises(TunePaddyError, match="not among the newest"):
        find_score(Client(listings=[[entry(9)]]), SENT)


def test_an_error_of_kaggles_scoring_is_returned() -> None:
    client = Client(listings=[[entry(7, "ERROR", "", error_description="wrong ids")]])
    assert find_score(client, SENT) == Score("error", problem="wrong ids")


def test_a_pending_score_is_polled() -> None:
    client = Client(listings=[[entry(7, "PENDING", "")], [entry(7, "PENDING", "")], [entry(7)]])
    slept: list[float] = []
    score = wait_for_score(client, SENT, minutes=1, clock=lambda: 5.0 * len(slept), sleep=slept.append)
    assert score.public == "0.98"
    assert slept == [POLL_SECONDS] * 2


def test_waiting_ends_with_the_minutes_given() -> None:
    client = Client(listings=[[entry(7, "PENDING", "")]] * 20)
    slept: list[float] = []
    score = wait_for_score(client, SENT, minutes=0.2, clock=lambda: 5.0 * len(slept), sleep=slept.append)
    assert score.pending
    assert len(slept) == 3
