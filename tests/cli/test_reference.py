"""The reference names every option, setting and parameter."""

import dataclasses
import subprocess
import sys

import typer

from tests.cli.commands import leaves
from tune_paddy.cli.reference import reference
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.ensemble.options import SelectionOptions


def test_it_names_every_command_and_option() -> None:
    sections = {part.partition("`")[0]: part for part in reference().split("### `tune-paddy ")}
    for words, command in leaves():
        section = sections[" ".join(words)]
        for option in command.get_params(typer.Context(command)):
            named = option.opts if option.param_type_name == "option" else [option.name.upper()]
            assert all(f"`{name}`" in section for name in named), (words, named)
            assert option.help in section, (words, named)


def test_it_describes_every_field() -> None:
    text = reference()
    described = {
        **{name: known.description for name, known in MemberConfig.model_fields.items()},
        **{name: known.description for name, known in SearchSettings.model_fields.items()},
        **{it.name: it.metadata["description"] for it in dataclasses.fields(SelectionOptions)},
    }
    for name, description in described.items():
        rows = [row for row in text.splitlines() if row.startswith(f"| `{name}` |")]
        assert any(row.endswith(f"| {description} |") for row in rows), name


def test_values_have_bounds_units_and_names() -> None:
    lines = reference().splitlines()
    for row in (
        "| `batch_size` | 64 | integer in [1, 65536] |  | images per optimizer step |",
        "| `gpu_memory` | none | number > 0 | MiB | memory of each GPU; none: detected |",
        "| `max_minutes` | none | number > 0 | minutes | maximum time to predict the test set |",
        "| `drop_path` | 0 | number in [0, 1) |  | stochastic depth of the body |",
        "| `scheduler` | none | none, asha |  | asha: stop the worse half of trials midway |",
    ):
        assert row in lines


def test_it_is_printed() -> None:
    command = [sys.executable, "-m", "tune_paddy.cli.reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == reference()
