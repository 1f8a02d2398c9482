"""Order and panels of commands and options in help screens."""

from typing import Any

import pytest
import typer

from tests.cli.commands import leaves
from tune_paddy.cli.app import app
from tune_paddy.cli.help.panels import COMMANDS

PROGRAM = typer.main.get_command(app)
FEW = 3
"""Options of a command, beside --help, that need no panels."""


def names() -> list[str]:
    return PROGRAM.list_commands(typer.Context(PROGRAM))  # type: ignore[attr-defined]


def test_commands_stand_in_the_order_of_use() -> None:
    listed = [name for panel in COMMANDS.values() for name in panel]
    assert names() == listed


def test_every_command_is_in_a_panel() -> None:
    context = typer.Context(PROGRAM)
    for name in names():
        assert PROGRAM.get_command(context, name).rich_help_panel in COMMANDS  # type: ignore[attr-defined]


@pytest.mark.parametrize(("words", "command"), list(leaves(PROGRAM)), ids=lambda value: str(value)[:40])
def test_the_options_of_a_command_with_many_stand_in_panels(words: tuple[str, ...], command: Any) -> None:
    PROGRAM.get_command(typer.Context(PROGRAM), words[0])  # type: ignore[attr-defined]
    own = command.get_params(typer.Context(command))
    options = [it for it in own if it.param_type_name == "option" and it.name != "help"]
    without = [option.name for option in options if not option.rich_help_panel]
    assert len(options) <= FEW or not without


def test_the_panel_of_what_stands_first_in_the_help_of_a_search() -> None:
    command = dict(leaves(PROGRAM))[("search",)]
    PROGRAM.get_command(typer.Context(PROGRAM), "search")  # type: ignore[attr-defined]
    panels = [it.rich_help_panel for it in command.get_params(typer.Context(command)) if it.name != "help"]
    shown = list(dict.fromkeys(panel for panel in panels if isinstance(panel, str)))
    assert shown == ["What", "Data", "How long", "Resources", "Selection", "Where"]
