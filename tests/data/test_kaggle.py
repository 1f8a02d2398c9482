from pathlib import Path
from typing import Any

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle import find_client, has_credentials, submit


class Client:
    """Takes what Kaggle's client takes, and keeps it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[tuple[str, str, str]] = []

    def competition_submit(self, file_name: str, message: str, competition: str) -> Any:
        if self.error:
            raise self.error
        self.sent.append((file_name, message, competition))
        return "Successfully submitted"


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_the_error_says_where_they_go() -> None:
    with pytest.raises(InputError, match=r"kaggle\.json, or set KAGGLE_USERNAME and KAGGLE_KEY"):
        find_client()


def test_each_place_of_a_token_counts(no_credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_credentials()
    (no_credentials / "kaggle.json").write_text("{}")
    assert has_credentials()
    (no_credentials / "kaggle.json").unlink()
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    assert not has_credentials()
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    assert has_credentials()


def test_a_submission_is_sent_with_its_message_and_competition(tmp_path: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("image_id,label\n")
    client = Client()
    assert submit(client, file, "first", "some-competition") == "Successfully submitted"
    assert client.sent == [(str(file), "first", "some-competition")]


def test_a_refusal_mentions_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("image_id,label\n")
    with pytest.raises(TunePaddyError, match=r"403 .*accepted the rules"):
        submit(Client(RuntimeError("403 Forbidden")), file, "first")


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no submission"):
        submit(Client(), tmp_path / "none.csv", "first")
