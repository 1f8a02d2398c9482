"""Every command that reads a file, given malformed and hostile ones: one line and exit status 2."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Call

KINDS: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: None,
    "empty": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path),
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "deep": lambda path: path.write_text("[" * 100_000),
    "latin-1": lambda path: path.write_bytes("Blätter\n".encode("latin-1")),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "terabyte": lambda path: os.truncate(path.touch() or path, 2**40),
}
COMMANDS: dict[str, tuple[str, list[str]]] = {
    "data": ("x.csv", ["data", "check", "{}"]),
    "folder of data": ("train.csv", ["data", "check", "."]),
    "space": ("x.yaml", ["search", ".", "--dry-run", "--space", "{}"]),
    "space for memory": ("x.yaml", ["memory", "--gpu-memory", "1000", "{}"]),
    "calibration": (
        "x.json",
        ["memory", "--arch", "test_resnet", "--gpu-memory", "1000", "--calibration", "{}"],
    ),
    "record": ("x.db", ["select", "search", "--tracking-uri", "sqlite:///{}"]),
    "submission": ("x.csv", ["submit", "{}"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "arguments"), COMMANDS.values(), ids=COMMANDS)
def test_a_malformed_file_is_a_one_line_error(
    tmp_path: Path, name: str, arguments: list[str], kind: str, call: Call
) -> None:
    KINDS[kind](tmp_path / name)
    text = call(*(argument.replace("{}", name) for argument in arguments), status=2)
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "internal error" not in text
