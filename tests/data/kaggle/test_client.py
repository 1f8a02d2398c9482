"""Kaggle's client: where it looks for credentials, and its translated errors. No test contacts Kaggle."""

from pathlib import Path

import pytest
import requests

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle.client import explain, find_client, has_credentials, reason


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of Kaggle's client in a home folder without credentials."""
    for name in ("USERNAME", "KEY", "API_TOKEN", "API_V1_TOKEN", "CONFIG_DIR"):
        monkeypatch.delenv(f"KAGGLE_{name}", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kaggle").mkdir()
    return tmp_path / ".kaggle"


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_the_error_says_where_they_go() -> None:
    with pytest.raises(InputError, match=r"kaggle\.json, or set KAGGLE_USERNAME and KAGGLE_KEY"):
        find_client()


@pytest.mark.parametrize("name", ["kaggle.json", "access_token", "access_token.txt", "credentials.json"])
def test_each_file_that_the_client_reads_counts_as_credentials(no_credentials: Path, name: str) -> None:
    assert not has_credentials()
    (no_credentials / name).write_text("{}")
    assert has_credentials()


def test_the_environment_counts_if_it_is_complete(
    no_credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert no_credentials.is_dir()
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    assert not has_credentials()
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    assert has_credentials()


def http_error(status: int, words: str = "refused") -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(words, response=response)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (http_error(401), InputError, "create a token"),
        (http_error(403), TunePaddyError, r"competitions/some-contest/rules, signed in as the owner"),
        (http_error(404), InputError, "check the competition's name"),
        (http_error(500), TunePaddyError, "see https://www.kaggle.com/competitions/some-contest"),
        (requests.ConnectionError("no route to host"), TunePaddyError, "check the network and the disk"),
        (
            requests.ConnectionError("Max retries exceeded (Caused by X(...))"),
            TunePaddyError,
            r"no connection \(X\)",
        ),
        (ValueError("surprise"), TunePaddyError, "surprise"),
    ],
)
def test_each_kind_of_error_says_what_to_do(error: Exception, kind: type, words: str) -> None:
    explained = explain(error, "download some-contest", "some-contest")
    assert type(explained) is kind
    with pytest.raises(kind, match=words):
        raise explained
    assert "\n" not in str(explained)


def test_a_reason_contains_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "s3cret-key")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "s3cret-token")
    words = (
        "403 for url: https://storage.example/x.zip?Signature=s3cret&Expires=1 with s3cret-key, "
        "s3cret-token and Authorization: Bearer s3cret-header\nsecond line"
    )
    said = reason(RuntimeError(words))
    assert "s3cret" not in said
    assert said.startswith("403 for url: https://storage.example/x.zip?…")
    assert "second line" not in said
    assert reason(RuntimeError()) == "RuntimeError"
