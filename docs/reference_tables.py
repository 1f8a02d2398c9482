"""MkDocs hook: fill the reference pages with tables of the fields and options that the program has now.

A page asks for a table with a line such as `{{ table: MemberConfig }}`. `reference` is the only place that
knows how a table is made.
"""

import re
from dataclasses import MISSING, fields
from typing import Any

import typer
from pydantic import BaseModel

import tune_paddy.cli  # noqa: F401 registers the commands
from tune_paddy.cli.app import app
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.ensemble.options import SelectionOptions

_PLACE = re.compile(r"^\{\{ table: (\w+) \}\}$", re.MULTILINE)
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace every request for a table; MkDocs calls this for each page."""
    return _PLACE.sub(lambda place: reference(place[1]), markdown)


def reference(name: str) -> str:
    """Return the Markdown of one reference table.

    Args:
        name: `MemberConfig`, `SearchSettings`, `SelectionOptions`, or `commands` for the whole command line.
    """
    if name == "commands":
        return "\n\n".join(
            _command(words, command) for words, command in sorted(_commands(), key=lambda found: found[0])
        )
    if name == "SelectionOptions":
        return _selection_table()
    return _model_table({"MemberConfig": MemberConfig, "SearchSettings": SearchSettings}[name])


def _model_table(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    rows = [
        [
            f"`{key}`",
            f"`{_yaml(field['default'])}`" if "default" in field else "required",
            _values(field),
            field["description"],
        ]
        for key, field in schema["properties"].items()
    ]
    return _table(["key", "default", "values", "meaning"], rows)


def _selection_table() -> str:
    described = {str(option.name): option.help for option in dict(_commands())["select",].params}
    rows = [
        [
            f"`{field.name}`",
            "required" if field.default is MISSING else f"`{_yaml(field.default)}`",
            described[field.name],
        ]
        for field in fields(SelectionOptions)
    ]
    return _table(["keyword of `tp.select`", "default", "meaning"], rows)


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(field: dict[str, Any]) -> str:
    """The values that JSON schema allows for a field, in words."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(map(_values, field["anyOf"])))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    names = {
        "null": "none",
        "array": "a side or [height, width]",
        "boolean": "true or false",
        "string": "text",
    }
    kind = names.get(field["type"], field["type"])
    bounds = [text.format(f"{field[key]:,.10g}") for key, text in _BOUNDS.items() if key in field]
    return f"{kind} {', '.join(bounds)}".rstrip()


def _commands(group: Any = None, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    group = group or typer.main.get_command(app)
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, command in group.commands.items():
        path = (*words, name)
        found += _commands(command, path) if hasattr(command, "commands") else [(path, command)]
    return found


def _command(words: tuple[str, ...], command: Any) -> str:
    about, _, rest = command.help.partition("\n\n")
    examples = re.findall(r"tune-paddy .*", rest)
    lines = [f"## {' '.join(words)}", about.strip(), "```sh", *examples, "```"]
    rows = [
        [_names(param), _shown_default(param), param.help or ""]
        for param in command.params
        if param.name != "context"
    ]
    return "\n\n".join(
        [*lines[:2], "\n".join(lines[2:]), _table(["argument or option", "default", "meaning"], rows)]
    )


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.metavar or param.name.upper()}`"
    return ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])


def _shown_default(param: Any) -> str:
    if param.required:
        return "required"
    value = param.default
    if value is None or value is False or value == [] or "Sentinel" in repr(value):
        return ""
    return f"`{value}`"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
