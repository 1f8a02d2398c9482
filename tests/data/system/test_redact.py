import pytest

from tune_paddy.data.system.text import redact

SECRET = "planted-secret"  # noqa: S105 not one


@pytest.mark.parametrize(
    "name",
    ["KAGGLE_KEY", "KAGGLE_API_TOKEN", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "hf_token"],
)
def test_the_value_of_a_variable_named_like_a_secret_is_redacted_everywhere(name: str) -> None:
    assert redact(f"a{SECRET}b {SECRET}", {name: SECRET}) == "a***b ***"


def test_other_variables_and_short_values_are_not_redacted() -> None:
    environment = {"HOME": "/home/me", "TOKENIZERS_PARALLELISM": "false!!!", "KEY": "1234567"}
    text = " ".join(environment.values())
    assert redact(text, environment) == text


def test_a_secret_that_is_a_prefix_of_another_leaves_no_rest() -> None:
    assert redact("12345678abc", {"A_KEY": "12345678", "B_KEY": "12345678abc"}) == "***"


def test_the_environment_of_this_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    assert redact(SECRET) == "***"
