"""The reference as Markdown: every command, setting and parameter, generated from their definitions.

`python -m tune_paddy.cli.reference` prints it.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

import tune_paddy.cli  # noqa: F401 adds the commands
from tune_paddy.cli.app import app
from tune_paddy.cli.settings_options import FieldFacts, bounds_among, described, field_facts
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.ensemble.options import SelectionOptions

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
"""Name of a bound in pydantic → its sign."""

_KINDS = {"str": "text", "list[str]": "texts", "int": "integer", "int range": "integer", "float": "number"}
"""Typer's name of a type → the word for it."""


def reference() -> str:
    """Return the whole reference."""
    sections = [
        "# Reference",
        "## Commands",
        *commands(),
        "## Settings of a search",
        "Keys under `search:` in a search space; options of `tune-paddy search` override them.",
        settings_table(SearchSettings),
        "## Options of a selection",
        "Options of `tune-paddy select`, and keyword arguments of `tune_paddy.select`.",
        settings_table(SelectionOptions),
        "## Parameters of a member",
        "Keys of `defaults:`, recipes and spaces in a search space.",
        settings_table(MemberConfig),
    ]
    return "\n\n".join(sections) + "\n"


def settings_table(settings: type[Any]) -> str:
    """Return a table with one row per field.

    Args:
        settings: Class that `field_facts` can read.
    """
    rows = [
        (
            f"`{facts.name}`",
            default_words(facts.default),
            allowed_values(facts),
            facts.unit,
            facts.description,
        )
        for facts in field_facts(settings)
    ]
    return _table(("key", "default", "values", "unit", "meaning"), rows)


def default_words(default: Any) -> str:
    """Format a default as in YAML.

    >>> [default_words(value) for value in (MISSING, None, True, 0.5, (224, 224), ())]
    ['required', 'none', 'true', '0.5', '224', 'none']
    """
    if default is MISSING:
        return "required"
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return str(default[0])
    return f"{default:g}" if isinstance(default, float) else str(default)


def allowed_values(facts: FieldFacts) -> str:
    """Describe the values that a field accepts."""
    if facts.choices is not None and facts.annotation is str:
        return ", ".join([*facts.choices(), *([f"or {facts.further}"] if facts.further else [])])
    return " or ".join(_values(facts.annotation, facts.bounds))


def _values(annotation: Any, bounds: Mapping[str, float]) -> Iterator[str]:
    """Describe the values of each part of an annotation."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield ", ".join(parts)
    elif origin in (Union, UnionType):
        for part in parts:
            yield from _values(part, bounds) if part is not NoneType else ()
    elif origin is Annotated:
        inner = [rule for extra in parts[1:] if isinstance(extra, FieldInfo) for rule in extra.metadata]
        yield from described(annotation) or _values(parts[0], bounds_among(inner))
    elif origin is tuple:
        yield "texts" if parts[0] is str else f"one or two of: {' or '.join(_values(parts[0], {}))}"
    elif annotation is bool:
        yield "true or false"
    else:
        yield {int: "integer", float: "number", str: "text"}[annotation] + _interval(bounds)


def _interval(bounds: Mapping[str, float]) -> str:
    """Format the bounds of a number; a round bracket excludes the bound itself."""
    if len(bounds) != 1:
        low = f"[{bounds['ge']}" if "ge" in bounds else f"({bounds.get('gt')}"
        high = f"{bounds['le']:.10g}]" if "le" in bounds else f"{bounds.get('lt')})"
        return f" in {low}, {high}" if bounds else ""
    ((name, value),) = bounds.items()
    return f" {_SIGNS[name]} {value}"


def commands() -> Iterator[str]:
    """Yield for each command its heading, its help and the table of its arguments and options."""
    program = typer.main.get_command(app)
    context = typer.Context(program, info_name="tune-paddy")
    yield from _commands(program, context)


def _commands(group: Any, context: typer.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        own = typer.Context(command, info_name=name, parent=context)
        if hasattr(command, "commands"):
            yield from _commands(command, own)
        else:
            yield f"### `{own.command_path}`"
            yield _as_code(command.help)
            parameters = sorted(command.get_params(own), key=_is_option)
            rows = [_row(parameter, own) for parameter in parameters]
            yield _table(("argument or option", "value", "default", "meaning"), rows)


def _as_code(text: str) -> str:
    """Format the help of a command, with its examples as code."""
    lines = []
    for line in text.splitlines():
        intro, found, example = line.partition(": tune-paddy ")
        lines.append(f"{intro}: `tune-paddy {example}`" if found else line)
    return "\n".join(lines)


def _row(parameter: Any, context: typer.Context) -> tuple[str, str, str, str]:
    is_option = _is_option(parameter)
    names = ", ".join(f"`{name}`" for name in (parameter.opts if is_option else [parameter.name.upper()]))
    kind = "" if is_option and parameter.is_flag else parameter.display_type_rich(ctx=context).strip("<>")
    default = "required" if parameter.required else _typed(parameter.default)
    variable = f" Environment variable: `{parameter.envvar}`." if parameter.envvar else ""
    return names, _KINDS.get(kind, kind), default, parameter.help + variable


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def _typed(default: Any) -> str:
    """Format a default as typed; empty for None and for flags that are off."""
    return "" if default is None or default is False else f"`{default}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in (head, *rows))
    first, *others = lines
    return "\n".join([first, f"|{'---|' * len(head)}", *others])


if __name__ == "__main__":
    sys.stdout.write(reference())
