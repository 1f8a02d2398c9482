"""Options that are generated from the fields of settings."""

import inspect
import json
import sys
from dataclasses import dataclass, field, fields
from subprocess import run
from typing import Any, Literal

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

import tune_paddy as tp
from tests.cli.commands import leaves
from tune_paddy.cli.search import SETTINGS
from tune_paddy.cli.settings_options import OptionSource, command_with, field_facts, given
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.data.options import ReadOptions
from tune_paddy.ensemble.options import SelectionOptions


def about(description: str, **others: Any) -> dict[str, Any]:
    return {"description": description, **others}


@dataclass(frozen=True)
class Toy:
    """Settings as a dataclass."""

    height: float | None = field(
        default=None, metadata=about("height of the body", unit="mm", group="Measures")
    )
    most_wheels: int = field(default=4, metadata=about("number of wheels"))
    colours: tuple[str, ...] = field(default=(), metadata=about("names of colours"))


class Paint(BaseModel):
    """Settings as a model."""

    gloss: Literal["matt", "shiny"] = Field("matt", description="finish of the paint")
    coats: float | None = Field(None, description="coats of paint; none: as many as needed")


TOY = OptionSource(lambda: Toy, letters={"colours": "-c"})
PAINT = OptionSource(lambda: Paint)


def make_program() -> typer.Typer:
    program = typer.Typer()

    @program.command(cls=command_with(TOY, PAINT))
    def build(context: typer.Context, name: str = "toy") -> None:
        typer.echo(json.dumps([name, given(context, TOY), given(context, PAINT)]))

    return program


@pytest.mark.parametrize(
    ("typed", "toy", "paint"),
    [
        ("", {}, {}),
        ("--most-wheels 4 --gloss matt", {"most_wheels": 4}, {"gloss": "matt"}),
        ("-c red --colours blue --height 3", {"colours": ["red", "blue"], "height": 3.0}, {}),
    ],
)
def test_given_returns_typed_values_only(typed: str, toy: dict[str, Any], paint: dict[str, Any]) -> None:
    """Also a typed value that equals the default."""
    done = CliRunner().invoke(make_program(), ["--name", "car", *typed.split()])
    assert json.loads(done.output) == ["car", toy, paint]


def test_a_value_that_is_no_choice_is_refused_with_the_choices() -> None:
    done = CliRunner().invoke(make_program(), ["--gloss", "other"])
    assert done.exit_code == 2
    assert "matt" in done.output
    assert "shiny" in done.output


def test_a_value_of_another_type_is_refused() -> None:
    done = CliRunner().invoke(make_program(), ["--most-wheels", "x"])
    assert done.exit_code == 2
    assert "--most-wheels" in done.output


def test_the_help_shows_description_unit_default_values_and_heading() -> None:
    text = " ".join(CliRunner().invoke(make_program(), ["--help"], env={"COLUMNS": "120"}).output.split())
    for words in (
        "─ Measures ─",
        "--height <mm> Height of the body.",
        "Number of wheels. [default: 4]",
        "--gloss <matt|shiny> Finish of the paint. [default: matt]",
        "Coats of paint; default: as many as needed.",
    ):
        assert words in text


def options_of(command: str) -> dict[str, Any]:
    (found,) = (it for words, it in leaves() if words == (command,))
    return {option.name: option for option in found.get_params(typer.Context(found))}


def test_a_search_has_an_option_for_each_of_its_settings_but_one() -> None:
    shown = options_of("search")
    assert SearchSettings.model_fields.keys() - shown.keys() == set(SETTINGS.without) == {"select_share"}
    assert shown.keys() >= {"metric", "method", "weights", "refit"}
    assert shown["cache_limit"].opts == ["--cache-limit"]


def test_a_selection_has_its_options_on_the_command_line_and_in_python() -> None:
    """The Python function has the same options and defaults."""
    known = {option.name: option.default for option in fields(SelectionOptions)}
    assert known.keys() <= options_of("select").keys()
    arguments = dict(inspect.signature(tp.select).parameters)
    del arguments["pool"]
    assert {name: argument.default for name, argument in arguments.items()} == known


def test_the_options_of_reading_a_dataset_are_the_same_in_commands_and_in_python() -> None:
    known = {option.name for option in fields(ReadOptions)}
    (check,) = (it for words, it in leaves() if words == ("data", "check"))
    assert known <= {option.name for option in check.get_params(typer.Context(check))}
    assert known <= options_of("search").keys()
    for function in (tp.run_search, tp.Dataset.open):
        assert known <= inspect.signature(function).parameters.keys()


@pytest.mark.parametrize("settings", [MemberConfig, SearchSettings, ReadOptions, SelectionOptions])
def test_every_field_is_described_by_a_noun_phrase_without_a_full_stop(settings: type[Any]) -> None:
    for facts in field_facts(settings):
        assert facts.description, facts.name
        assert not facts.description.endswith("."), facts.name


@pytest.mark.parametrize(
    ("command", "foreign"),
    [("", {"pydantic", "numpy"}), ("select", {"numpy"}), ("search", {"numpy"})],
)
def test_the_help_of_a_command_imports_no_more_than_it_shows(command: str, foreign: set[str]) -> None:
    script = (
        "import sys\nfrom tune_paddy.cli import main\n"
        "try: main()\n"
        f"finally: assert not {foreign!r} & set(sys.modules), {foreign!r} & set(sys.modules)"
    )
    arguments = [sys.executable, "-c", script, *command.split(), "--help"]
    done = run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ([], {}),
        (["--stop-when-flat"], {"stop_when_flat": True}),
        (["--no-stop-when-flat"], {"stop_when_flat": False}),
    ],
)
def test_a_resumed_search_can_turn_off_what_it_has_recorded(typed: list[str], values: dict[str, Any]) -> None:
    program = typer.Typer()

    @program.command(cls=command_with(SETTINGS))
    def build(context: typer.Context) -> None:
        typer.echo(json.dumps(given(context, SETTINGS)))

    assert json.loads(CliRunner().invoke(program, typed).stdout) == values
