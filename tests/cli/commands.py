"""Command lines: parsed as the program does, and run so that Ctrl-C reaches them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import tune_paddy.cli  # noqa: F401 adds the commands
from tune_paddy.cli.app import app
from tune_paddy.cli.settings_options import GIVEN

HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""First line of a child's program: what a script starts with `&` ignores Ctrl-C, and so do its children."""


STARTS_LIGHT = """
import json, sys
from tune_paddy.cli import main
from tune_paddy.cli.settings_options import GIVEN
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try: main()
    except SystemExit as end: assert not end.code, (arguments, end.code)
    heavy = {'torch', 'ray', 'fastai', 'timm', 'optuna', 'matplotlib'} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""


def assert_start_light(commands: list[list[str]], folder: Path) -> None:
    """Run commands in a process and a folder of their own: each ends well and has imported nothing heavy."""
    command = [sys.executable, "-c", STARTS_LIGHT, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr


def leaves(group: Any = None, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, by its words."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*names, name))
        else:
            yield (*names, name), command


def parse(arguments: list[str]) -> dict[str, Any]:
    """The values that a command line gives a command's parameters.

    Raises:
        click's exceptions: It cannot be parsed.
    """
    program = typer.main.get_command(app)
    given: dict[str, Any] = {}

    def keep(context: typer.Context | None = None, **values: Any) -> None:
        given.update(values)
        if context is not None:  # options that are generated from fields
            given.update(context.meta.get(GIVEN, {}))

    for _, command in leaves(program):
        command.callback = keep
    program.main(arguments, prog_name="tune-paddy", standalone_mode=False)
    return given
