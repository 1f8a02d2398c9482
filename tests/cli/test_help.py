"""Help and shell completion."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import leaves, parse

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


def complete(line: str, folder: Path) -> set[str]:
    """Return bash's completions of a line's last word."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    environment = {
        **os.environ,
        "_TUNE_PADDY_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    program = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'tune-paddy'; from tune_paddy.cli import program; program()",
    ]
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    return set(done.stdout.split())


def test_the_shell_completes_commands_spaces_and_searches(tmp_path: Path) -> None:
    (tmp_path / "runs/my-search").mkdir(parents=True)
    (tmp_path / "runs/my-search/split.json").write_text("{}")
    (tmp_path / "runs/artifacts").mkdir()
    assert complete("tune-paddy se", tmp_path) == {"search", "select"}
    assert complete("tune-paddy search x --space pad", tmp_path) == {"paddy_search"}
    assert complete("tune-paddy select ", tmp_path) == {"my-search"}
    assert complete("tune-paddy report ", tmp_path) == {"my-search"}
