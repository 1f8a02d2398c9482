"""Help and shell completion."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import leaves, parse
from tests.cli.conftest import Call

COMMANDS = list(leaves())


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_the_help_of_a_command_has_an_example_that_parses(words: tuple[str, ...], command: Any) -> None:
    examples = [
        line.partition("Example: tune-paddy ")[2] for line in command.help.splitlines() if "Example:" in line
    ]
    assert examples
    for example in examples:
        arguments = shlex.split(example)
        assert tuple(arguments[: len(words)]) == words
        assert parse(arguments)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_every_option_has_a_help_text(words: tuple[str, ...], command: Any) -> None:
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", "")] in (
        [],
        ["context"],
    ), words


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("tune-paddy se", {"search", "select"}),
        ("tune-paddy search x --space pad", {"paddy_search"}),
        ("tune-paddy select ", {"my-search"}),
        ("tune-paddy report ", {"my-search"}),
        ("tune-paddy search x --objective e", {"error_rate"}),
        ("tune-paddy search x --gpu a", {"auto"}),
        ("tune-paddy select x --method best", {"best_single"}),
        ("tune-paddy search x --keep-", {"--keep-weights"}),
    ],
)
def test_the_shell_completes_commands_spaces_searches_and_named_values(
    line: str, completions: set[str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As bash asks for the completions of a line's last word."""
    (tmp_path / "runs/my-search").mkdir(parents=True)
    (tmp_path / "runs/my-search/split.json").write_text("{}")
    (tmp_path / "runs/artifacts").mkdir()
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    monkeypatch.setenv("_TUNE_PADDY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    assert set(call().split()) == completions
