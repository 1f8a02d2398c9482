"""Helpers for command lines: parse them as the program does, and run them so that Ctrl-C reaches them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

import tune_paddy.cli  # noqa: F401 adds the commands
from tune_paddy.cli.app import app
from tune_paddy.cli.settings_options import GIVEN

HEARS_CTRL_C = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
"""First line of a child's program: background jobs of a script ignore Ctrl-C, and so do their children."""


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
    """Run commands in one process; assert that each succeeds and imports nothing heavy."""
    command = [sys.executable, "-c", STARTS_LIGHT, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr


def leaves(group: Any = None, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that is not a group, with its words."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*names, name))
        else:
            yield (*names, name), command


def parse(arguments: list[str]) -> dict[str, Any]:
    """Return the values of a command line: parameter → value; of generated options, only the typed ones.

    Raises:
        click's exceptions: The command line is invalid.
    """
    program = typer.main.get_command(app)
    given: dict[str, Any] = {}

    for _, command in leaves(program):
        command.callback = lambda **values: given.update(values)
    with suppress(typer.Exit), program.make_context("tune-paddy", list(arguments)) as context:
        program.invoke(context)
        given.update(context.meta.get(GIVEN, {}))
    return given
