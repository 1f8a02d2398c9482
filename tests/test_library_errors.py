"""Errors of the library name parameters, never options of the command line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tune_paddy"
LIBRARY = [path for path in sorted(PACKAGE.rglob("*.py")) if "cli" not in path.parts]
COMMAND = re.compile(r"`[^`]*`?")
"""A whole command, which may contain options; interpolated values cut it in the source."""
OPTION = re.compile(r"(?<!\S)--[a-z]")


def messages(tree: ast.AST) -> Iterator[str]:
    """Yield the texts in calls of error classes, each f-string as one text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
            for text in node.args:
                constants = [part for part in ast.walk(text) if isinstance(part, ast.Constant)]
                yield "".join(part.value for part in constants if isinstance(part.value, str))


@pytest.mark.parametrize("path", LIBRARY, ids=[str(path.relative_to(PACKAGE)) for path in LIBRARY])
def test_no_error_of_the_library_names_an_option(path: Path) -> None:
    named = [text for text in messages(ast.parse(path.read_text())) if OPTION.search(COMMAND.sub("", text))]
    assert named == []
