"""Drafts of recipes and sub-spaces during parsing: each parameter's domain and its YAML node."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Domain, Fixed, candidates, change_values
from tune_paddy.spaces.problems import Place, unknown
from tune_paddy.spaces.rules import ArchCheck, LayersCheck, arch_problems, contradictions, without_effect
from tune_paddy.spaces.yaml_tree import YamlEntry, YamlList, YamlMap, YamlNode, YamlScalar

_LONGEST_NAME = 100

ReadDomain = Callable[[YamlNode, str, Place], Domain | None]
"""Function that parses one parameter; it reports an invalid one and returns None."""

FIRST = "first"
"""Key of the members that a sub-space tries first."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of one mapping.

    Attributes:
        domains: Domain of each valid parameter.
        nodes: YAML node of each valid parameter.
        refused: Keys of invalid parameters.
    """

    domains: Mapping[str, Domain]
    nodes: Mapping[str, YamlNode]
    refused: frozenset[str]

    def over(self, defaults: "Parameters") -> "Parameters":
        """Return these parameters, completed from `defaults`."""
        return Parameters(
            {**defaults.domains, **self.domains},
            {**defaults.nodes, **self.nodes},
            self.refused | (defaults.refused - self.domains.keys()),
        )


ReadFirst = Callable[[YamlNode, Place, Parameters, Path], tuple[Mapping[str, Any], ...]]
"""Function that parses the members that a sub-space tries first, given its parameters and the base folder."""


@dataclass(frozen=True)
class Draft:
    """Recipe or sub-space before validation.

    Attributes:
        place: Place in the file.
        line: Line of its first key.
        name: Name in the file; None: not given.
        parameters: Own parameters, completed from the defaults.
        own: Names of the own parameters.
        first: Values of the members that a sub-space tries first, as written.
    """

    place: Place
    line: int
    name: str | None
    parameters: Parameters
    own: frozenset[str] = frozenset()
    first: tuple[Mapping[str, Any], ...] = ()

    @property
    def frozen(self) -> bool:
        """Whether all its members are frozen."""
        return self.parameters.domains.get("schedule") == Fixed("frozen")

    @property
    def arch(self) -> str | None:
        """Architecture, if it is fixed; otherwise None."""
        domain = self.parameters.domains.get("arch")
        return domain.value if isinstance(domain, Fixed) else None


def read_parameters(entries: Iterable[YamlEntry], place: Place, read: ReadDomain, base: Path) -> Parameters:
    """Parse parameters of a member, and report unknown and invalid ones.

    Args:
        entries: Entries of the mapping.
        place: Place of the mapping.
        read: Function that parses one parameter.
        base: Base folder of relative `pretrained` paths.
    """
    domains: dict[str, Domain] = {}
    nodes: dict[str, YamlNode] = {}
    refused: set[str] = set()
    for entry in entries:
        domain = _read_parameter(entry, place, read)
        if domain is None:
            refused.add(entry.key)
        else:
            domains[entry.key] = _from_base(domain, base) if entry.key == "pretrained" else domain
            nodes[entry.key] = entry.node
    return Parameters(domains, nodes, frozenset(refused))


def _read_parameter(entry: YamlEntry, place: Place, read: ReadDomain) -> Domain | None:
    if entry.key in MemberConfig.model_fields:
        return read(entry.node, entry.key, place / entry.key)
    place.refuse(entry.line, unknown("parameter", entry.key, MemberConfig.model_fields))
    return None


def _from_base(pretrained: Domain, base: Path) -> Domain:
    def absolute(value: bool | str) -> bool | str:
        if isinstance(value, bool) or value.startswith("~"):
            return value
        return str(base / value)

    return change_values(pretrained, absolute)


@dataclass(frozen=True)
class ItemReader:
    """What parses a recipe or a sub-space.

    Attributes:
        parameter: Function that parses one parameter.
        defaults: Default parameters of every item.
        base: Base folder of relative `pretrained` paths.
        first: Function that parses the members that a sub-space tries first; None: recipes have none.
    """

    parameter: ReadDomain
    defaults: Parameters
    base: Path
    first: ReadFirst | None = None


def read_drafts(node: YamlNode | None, place: Place, read: ItemReader) -> list[Draft]:
    """Parse a list of recipes or sub-spaces.

    Args:
        node: List node; None: the section is missing.
        place: Place of the list.
        read: What parses an item.
    """
    if node is None:
        return []
    items = mappings(node, place, "should be a list; start each item with a dash")
    drafts = [_read_draft(item, at, read) for item, at in items]
    _refuse_repeated_names(drafts)
    return drafts


def mappings(node: YamlNode, place: Place, no_list: str) -> Iterator[tuple[YamlMap, Place]]:
    """Yield the mappings of a list with their places, and report what is none.

    Args:
        node: The list.
        place: Its place.
        no_list: Problem to report if it is no list.
    """
    if not isinstance(node, YamlList):
        place.refuse(node.line, no_list)
        return
    for index, item in enumerate(node.items):
        if isinstance(item, YamlMap):
            yield item, place[index]
        else:
            place[index].refuse(item.line, "should be a mapping from parameters to values")


def _read_draft(node: YamlMap, place: Place, read: ItemReader) -> Draft:
    keys = ("name",) if read.first is None else ("name", FIRST)
    apart = {entry.key: entry.node for entry in node.entries if entry.key in keys}
    name = _read_name(apart["name"], place / "name") if "name" in apart else None
    entries = (entry for entry in node.entries if entry.key not in keys)
    own = read_parameters(entries, place, read.parameter, read.base)
    whole = own.over(read.defaults)
    first: tuple[Mapping[str, Any], ...] = ()
    if read.first is not None and FIRST in apart:
        first = read.first(apart[FIRST], place / FIRST, whole, read.base)
    return Draft(place, node.line, name, whole, frozenset(own.domains), first)


def one_per_arch(drafts: Iterable[Draft]) -> list[Draft]:
    """Replace each recipe with a list of architectures by one recipe for each, called NAME-ARCH.

    A list of one architecture is a list, too.
    """
    expanded = [one for draft in drafts for one in _for_each_arch(draft)]
    _refuse_repeated_names(expanded)
    return expanded


def _for_each_arch(draft: Draft) -> Iterator[Draft]:
    if not isinstance(draft.parameters.nodes.get("arch"), YamlList):
        yield draft
        return
    for arch in candidates(draft.parameters.domains["arch"]):
        domains = {**draft.parameters.domains, "arch": Fixed(arch)}
        name = None if draft.name is None else f"{draft.name}-{arch}"
        yield replace(draft, name=name, parameters=replace(draft.parameters, domains=domains))


def _read_name(node: YamlNode, place: Place) -> str | None:
    name = node.text.strip() if isinstance(node, YamlScalar) else ""
    if name and name.isprintable() and len(name) <= _LONGEST_NAME:
        return name
    place.refuse(node.line, f"should be 1 to {_LONGEST_NAME} printable characters on one line")
    return None


def _refuse_repeated_names(drafts: Iterable[Draft]) -> None:
    first: dict[str, str] = {}
    for draft in drafts:
        if draft.name in first:
            draft.place.refuse(draft.line, f"{first[draft.name]} is called {draft.name!r} too; rename one")
        elif draft.name is not None:
            first[draft.name] = draft.place.key


def named(drafts: Iterable[Draft], otherwise: str) -> dict[str, Draft]:
    """Return drafts by unique name: the given name, else the architecture, else `otherwise`."""
    drafts = list(drafts)
    taken = {draft.name for draft in drafts}
    names: dict[str, Draft] = {}
    for draft in drafts:
        name = draft.name or _free(draft.arch or otherwise, taken)
        taken.add(name)
        names[name] = draft
    return names


def _free(name: str, taken: Iterable[str | None]) -> str:
    number = 1
    numbered = name
    while numbered in taken:
        number += 1
        numbered = f"{name}-{number}"
    return numbered


def check_draft(draft: Draft) -> None:
    """Report a missing architecture, and parameters that contradict each other."""
    parameters = draft.parameters
    if "arch" not in parameters.domains:
        if not parameters.refused:
            draft.place.refuse(draft.line, "no arch; name a timm model here or under defaults")
        return
    if not parameters.refused:
        for message in contradictions(parameters.domains):
            _refuse_contradiction(draft, message)
        for name, problem in without_effect(parameters.domains, draft.own):
            (draft.place / name).refuse(parameters.nodes[name].line, problem)


def check_draft_archs(draft: Draft, check_arch: ArchCheck, check_layers: LayersCheck, place: Place) -> None:
    """Report architectures of a valid draft that are unknown or do not support a size or `layer_decay`.

    Args:
        draft: Recipe or sub-space.
        check_arch: Check of an architecture and a size.
        check_layers: Check of an architecture that trains with `layer_decay`.
        place: Place of the draft, at which the problems are reported.
    """
    for arch, problem in arch_problems(draft.parameters.domains, check_arch, check_layers):
        (place / "arch").refuse(_line_of(arch, draft.parameters.nodes["arch"]), problem)


def _line_of(word: str, node: YamlNode) -> int:
    items = node.items if isinstance(node, YamlList) else (node,)
    return next(
        (item.line for item in items if isinstance(item, YamlScalar) and item.text == word), node.line
    )


def _refuse_contradiction(draft: Draft, message: str) -> None:
    """Report a contradiction at the parameter that the message starts with, or else at the draft."""
    parameter, _, problem = message.partition(" ")
    node = draft.parameters.nodes.get(parameter)
    if node is None:
        draft.place.refuse(draft.line, message)
    else:
        (draft.place / parameter).refuse(node.line, problem)
