import pytest

from tune_paddy.data.system.text import redact

SECRET = "planted-secret"  # noqa: S105 not one


@pytest.mark.parametrize(
    "name",
    ["KAGGLE_KEY", "KAGGLE_API_TOKEN", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "hf_token"],
)
def test_what_a_variable_with_a_secrets_name_holds_is_hidden_wherever_it_stands(name: str) -> None:
    assert redact(f"a{SECRET}b {SECRET}", {name: SECRET}) == "a***b ***"


def test_other_variables_and_short_values_are_no_secrets() -> None:
    environment = {"HOME": "/home/me", "TOKENIZERS_PARALLELISM": "false!!!", "KEY": "1234567"}
    text = " ".join(environment.values())
    assert redact(text, environment) == text


def test_of_two_secrets_of_which_one_begins_the_other_nothing_is_left() -> None:
    assert redact("12345678abc", {"A_KEY": "12345678", "B_KEY": "12345678abc"}) == "***"


def test_this_processs_own_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    assert redact(SECRET) == "***"
