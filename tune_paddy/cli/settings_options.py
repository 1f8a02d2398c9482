"""Command-line options generated from the fields of settings, so that each is described once."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cached_property, partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from tune_paddy.cli.app import flag
from tune_paddy.cli.help.panels import panel_of, panel_rank

_CHOICES_WIDTH = 24
"""Columns of the choices of an option that fit beside its name and its help."""

GIVEN = "tune_paddy.given"
"""Key of a context's `meta` for the typed values of generated options."""


@dataclass(frozen=True)
class FieldFacts:
    """Description of a field of settings.

    Attributes:
        name: Name of the field.
        annotation: Type, without the bounds.
        default: Default value; `MISSING`: the field is required.
        description: Meaning, as a noun phrase.
        group: Heading in the help, or "".
        unit: Unit of the value, or "".
        choices: Function that returns the names of the values; None: the values have no names.
        further: Names that are allowed beside the choices, in words, or "".
        allowed: Function that returns whether a name is allowed; None: the choices are.
        bounds: Bounds: `gt`, `ge`, `lt` or `le` → number.
        negative: Whether a second option, `--no-…`, turns off what a space or a record has turned on.
    """

    name: str
    annotation: Any
    default: Any
    description: str
    group: str = ""
    unit: str = ""
    choices: Callable[[], Sequence[str]] | None = None
    further: str = ""
    allowed: Callable[[str], bool] | None = None
    bounds: Mapping[str, float] = field(default_factory=dict)
    negative: bool = False


def field_facts(settings: type[Any]) -> Iterator[FieldFacts]:
    """Read the fields of settings in order.

    Args:
        settings: Pydantic model whose fields have descriptions, with `group` and `unit` as
            `json_schema_extra`; or dataclass whose fields have all of them as metadata.
    """
    if is_dataclass(settings):
        hints = get_type_hints(settings)
        for known in fields(settings):
            yield FieldFacts(known.name, hints[known.name], known.default, **known.metadata)
        return
    for name, known in settings.model_fields.items():
        literals = tuple(_literals(known.annotation))
        yield FieldFacts(
            name,
            known.annotation,
            MISSING if known.is_required() else known.default,
            known.description,
            bounds=bounds_among(known.metadata),
            choices=partial(tuple, literals) if literals else None,
            further=" or ".join(word for part in get_args(known.annotation) for word in described(part)),
            **(known.json_schema_extra or {}),
        )


def bounds_among(rules: Sequence[Any]) -> dict[str, float]:
    """Return the bounds among the rules of a pydantic field: `gt`, `ge`, `lt` or `le` → number."""
    names = ("gt", "ge", "lt", "le")
    return {name: getattr(rule, name) for rule in rules for name in names if hasattr(rule, name)}


def _literals(annotation: Any) -> Iterator[str]:
    """Yield the values of the Literals in an annotation."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _literals(part)


def described(annotation: Any) -> list[str]:
    """Return what an `Annotated` type says about its values in words; empty if it says nothing."""
    rules = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    words = (getattr(rule, "description", None) for rule in rules)
    return [word for word in words if word]


@dataclass(frozen=True)
class OptionSource:
    """Fields that become options of a command.

    Attributes:
        load: Function that imports and returns the class of the settings.
        only: Names of the fields; None: all fields.
        without: Names of fields without an option.
        letters: Name of a field → its short option.
    """

    load: Callable[[], type[Any]]
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    letters: Mapping[str, str] | None = None

    def facts(self) -> list[FieldFacts]:
        """Return the descriptions of the fields."""
        return [
            facts
            for facts in field_facts(self.load())
            if facts.name not in self.without and (self.only is None or facts.name in self.only)
        ]


def search_settings() -> type[Any]:
    """Import and return the settings of a search, whose fields are options of several commands."""
    from tune_paddy.core.config import SearchSettings

    return SearchSettings


LICENCES = OptionSource(search_settings, only=("licences",))
"""The option of a command that uses a space without a search."""


def command_with(*sources: OptionSource) -> type[TyperCommand]:
    """Return the class of a command that has an option for each field of the sources.

    The options are created on first access, so that the list of all commands needs no pydantic. The
    command's function reads their values with `given`.
    """

    class CommandWithSettings(TyperCommand):
        @cached_property
        def generated(self) -> list[Any]:
            return _options([facts for source in sources for facts in source.facts()], sources)

        def get_params(self, ctx: Any) -> list[Any]:
            *own, help_option = super().get_params(ctx)
            return [*sorted([*own, *self.generated], key=panel_rank), help_option]

        def invoke(self, ctx: Any) -> Any:
            values = {option.name: ctx.params.pop(option.name) for option in self.generated}
            ctx.meta[GIVEN] = {name: value for name, value in values.items() if _is_typed(ctx, name)}
            return super().invoke(ctx)

    return CommandWithSettings


def given(context: typer.Context, source: OptionSource) -> dict[str, Any]:
    """Return the typed values of a source's options: field → value."""
    names = {facts.name for facts in source.facts()}
    return {name: value for name, value in context.meta[GIVEN].items() if name in names}


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _options(described: Sequence[FieldFacts], sources: Sequence[OptionSource]) -> list[Any]:
    """Create typer's options from fields, by means of a function with these parameters."""
    letters = {name: letter for source in sources for name, letter in (source.letters or {}).items()}

    def takes_options() -> None: ...

    command: Any = takes_options
    command.__signature__ = inspect.Signature(
        [_parameter(facts, letters.get(facts.name)) for facts in described]
    )
    program = typer.Typer(add_completion=False)
    program.command()(command)
    return list(typer.main.get_command(program).params)


def _parameter(facts: FieldFacts, letter: str | None) -> inspect.Parameter:
    option = typer.Option(
        *[_flags(facts), *([letter] if letter else [])],
        help=option_help(facts),
        metavar=_metavar(facts),
        rich_help_panel=panel_of(facts.name) or facts.group or None,
        autocompletion=None if facts.choices is None else _completion(facts.choices),
    )
    kind = typed_as(facts)
    default = facts.default
    if kind is str and isinstance(default, float):
        default = f"{default:g}"
    return inspect.Parameter(
        facts.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None if default == () else default,
        annotation=Annotated[kind | None, option],
    )


def _flags(facts: FieldFacts) -> str:
    """Return a field's option, with the one that turns it off if there is one."""
    return f"{flag(facts.name)}/{flag(f'no_{facts.name}')}" if facts.negative else flag(facts.name)


def _completion(choices: Callable[[], Sequence[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [name for name in choices() if name.startswith(incomplete)]

    return complete


def _metavar(facts: FieldFacts) -> str | None:
    """Return the word for an option's value; None: typer chooses it, and lists few or short choices."""
    if facts.unit:
        return f"<{facts.unit}>"
    return "<choice>" if _has_many_choices(facts) else None


def _has_many_choices(facts: FieldFacts) -> bool:
    """Return whether the choices would be broken in the middle of a word at 80 columns."""
    return facts.choices is not None and len("|".join(facts.choices())) > _CHOICES_WIDTH


def option_help(facts: FieldFacts) -> str:
    """Return the help text of an option: the description as a sentence, and many choices after it."""
    text = facts.description[0].upper() + facts.description[1:]
    if facts.default is None:  # a space says `none`; the command line omits the option
        text = text.replace("; none:", "; default:")
    if facts.choices is None or not _has_many_choices(facts):
        return f"{text}."
    names = [*facts.choices(), *([f"or {facts.further}"] if facts.further else [])]
    return f"{text}. One of: {', '.join(names)}."


def typed_as(facts: FieldFacts) -> Any:
    """Return the type that the command line parses.

    A field all of whose values have names gets a choice of them; others a number, a list of texts, or a text
    that the settings check.
    """
    annotation = facts.annotation
    parts = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    if get_origin(annotation) is tuple:
        return list[str]
    names = () if facts.choices is None or facts.further else tuple(facts.choices())
    if names and (get_origin(annotation) is Literal or annotation is str):
        return Literal[names]
    return parts[0] if len(parts) == 1 and parts[0] in (int, float, bool) else str
