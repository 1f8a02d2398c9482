"""A group whose default command need not be named."""

import pytest

from tests.cli.commands import parse


@pytest.mark.parametrize("words", [["memory"], ["memory", "forecast"]])
def test_the_default_command_runs_with_and_without_its_name(words: list[str]) -> None:
    assert parse([*words, "digits_demo", "--n-classes", "3"])["n_classes"] == 3


def test_another_command_of_the_group_has_options_of_its_own() -> None:
    assert "space" not in parse(["memory", "calibrate", "--from-runs"])
