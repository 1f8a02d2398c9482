"""Parsing of a search space file into settings, recipes and sub-spaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tune_paddy.core.config import RECORDED, SearchSettings
from tune_paddy.core.domains import Fixed, Recipe, SubSpace
from tune_paddy.spaces.domains import read_domain, read_recipe
from tune_paddy.spaces.drafts import (
    Draft,
    ItemReader,
    Parameters,
    check_draft,
    check_draft_archs,
    named,
    one_per_arch,
    read_drafts,
    read_parameters,
)
from tune_paddy.spaces.first import read_first
from tune_paddy.spaces.problems import Place, unknown
from tune_paddy.spaces.rules import ArchCheck, LayersCheck
from tune_paddy.spaces.values import read_fixed, read_value
from tune_paddy.spaces.yaml_tree import YamlMap, YamlNode, YamlScalar, read_yaml

SECTIONS = ("description", "search", "defaults", "recipes", "spaces")
"""Top-level keys of a file."""


@dataclass(frozen=True)
class Sections:
    """Parsed sections of a file; see `SearchSpace`.

    Attributes:
        drafts: Recipes and sub-spaces with their places in the file, for `check_sections`.
    """

    description: str
    settings: SearchSettings
    recipes: tuple[Recipe, ...]
    spaces: tuple[SubSpace, ...]
    drafts: tuple[Draft, ...]


def read_sections(text: str, *, file: str, base: Path, recorded: bool = False) -> Sections:
    """Parse a search space.

    Args:
        text: YAML text.
        file: Name of the file in messages.
        base: Base folder of relative `pretrained` paths.
        recorded: Whether an earlier version may have recorded the space, see `RECORDED`.

    Raises:
        SpaceError: The space is invalid; one line per problem, with file, line and key.
    """
    place = Place(file)
    found = _read_top(read_yaml(text, place.refuse), place)
    sections = _read_sections(found, place, base, RECORDED if recorded else None)
    place.raise_problems()
    return sections


def check_archs(
    drafts: Sequence[Draft], check_arch: ArchCheck, check_layers: LayersCheck = lambda *_: None
) -> None:
    """Check the architectures and sizes of a parsed space.

    Args:
        drafts: Recipes and sub-spaces of one file.
        check_arch: Check that is called once for each architecture and size.
        check_layers: Check of the architectures that train with `layer_decay`.

    Raises:
        SpaceError: An architecture is unknown or does not support a size or `layer_decay`; one line per
            problem.
    """
    ask_once = cache(check_arch)
    found = Place(drafts[0].place.file if drafts else "")
    for draft in drafts:
        check_draft_archs(draft, ask_once, check_layers, replace(draft.place, problems=found.problems))
    found.raise_problems()


def _read_top(root: YamlNode | None, place: Place) -> dict[str, YamlNode]:
    """Return the sections by name; empty ones, whose content may be commented out, count as missing."""
    if root is None:
        return {}
    found: dict[str, YamlNode] = {}
    for entry in _entries(root, place):
        if entry.key not in SECTIONS:
            place.refuse(entry.line, unknown("section", entry.key, SECTIONS))
        elif not (isinstance(entry.node, YamlScalar) and entry.node.value is None):
            found[entry.key] = entry.node
    return found


def _entries(node: YamlNode | None, place: Place) -> tuple[Any, ...]:
    if node is None:
        return ()
    if isinstance(node, YamlMap):
        return node.entries
    place.refuse(node.line, "should be a mapping, such as `key: value`")
    return ()


def _read_sections(
    found: Mapping[str, YamlNode], place: Place, base: Path, context: Mapping[str, Any] | None
) -> Sections:
    heading = place / "defaults"
    defaults = read_parameters(_entries(found.get("defaults"), heading), heading, read_fixed, base)
    of_recipes = ItemReader(read_recipe, defaults, base)
    recipes = one_per_arch(read_drafts(found.get("recipes"), place / "recipes", of_recipes))
    recipes.sort(key=lambda draft: not draft.frozen)  # frozen members are cheap: they run first
    of_spaces = ItemReader(read_domain, defaults, base, read_first)
    spaces = read_drafts(found.get("spaces"), place / "spaces", of_spaces)
    settings = _read_settings(found.get("search"), place / "search", context)
    _check(recipes, spaces, settings, place)
    return Sections(
        _read_description(found.get("description"), place / "description"),
        settings,
        tuple(Recipe(name, _values(draft.parameters)) for name, draft in named(recipes, "recipe").items()),
        tuple(
            SubSpace(name, draft.parameters.domains, draft.first)
            for name, draft in named(spaces, "space").items()
        ),
        (*recipes, *spaces),
    )


def _values(parameters: Parameters) -> dict[str, Any]:
    return {name: domain.value for name, domain in parameters.domains.items() if isinstance(domain, Fixed)}


def _check(recipes: list[Draft], spaces: list[Draft], settings: SearchSettings, place: Place) -> None:
    if not (recipes or spaces or place.problems):
        place.refuse(1, "nothing to train; add recipes or spaces")
    if len(recipes) > settings.trials:
        recipes[settings.trials].place.refuse(
            recipes[settings.trials].line,
            f"search.trials is {settings.trials}, so this recipe would never run; raise it to {len(recipes)}",
        )
    for draft in (*recipes, *spaces):
        check_draft(draft)


def _read_description(node: YamlNode | None, place: Place) -> str:
    if node is None:
        return ""
    if isinstance(node, YamlScalar) and all(char.isprintable() or char in "\n\t" for char in node.text):
        return node.text.strip()
    place.refuse(node.line, "should be printable text")
    return ""


def _read_settings(node: YamlNode | None, place: Place, context: Mapping[str, Any] | None) -> SearchSettings:
    values: dict[str, Any] = {}
    for entry in _entries(node, place):
        if entry.key not in SearchSettings.model_fields:
            place.refuse(entry.line, unknown("setting", entry.key, SearchSettings.model_fields))
            continue
        value = read_value(entry.node, SearchSettings, entry.key, place / entry.key, context)
        if value is not None:
            values[entry.key] = value.value
    try:
        return SearchSettings(**values)
    except ValidationError as error:  # settings that contradict each other
        place.refuse(node.line if node else 1, error.errors()[0]["msg"].removeprefix("Value error, "))
        return SearchSettings()
