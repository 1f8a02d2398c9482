"""Recipes and sub-spaces while they are read: each parameter's domain, and the line it came from."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Domain, Fixed, change_values
from tune_paddy.spaces.problems import Place, unknown
from tune_paddy.spaces.rules import ArchCheck, arch_problems, contradictions
from tune_paddy.spaces.yaml_tree import YamlEntry, YamlList, YamlMap, YamlNode, YamlScalar

_LONGEST_NAME = 100

ReadDomain = Callable[[YamlNode, str, Place], Domain | None]
"""Reads one parameter; where it is wrong, says so and returns None."""


@dataclass(frozen=True)
class Parameters:
    """The parameters under one heading.

    Attributes:
        domains: Of those that could be read.
        nodes: What these were read from.
        refused: Keys of the others.
    """

    domains: Mapping[str, Domain]
    nodes: Mapping[str, YamlNode]
    refused: frozenset[str]

    def over(self, defaults: "Parameters") -> "Parameters":
        """These, and the defaults of those that are not among them."""
        return Parameters(
            {**defaults.domains, **self.domains},
            {**defaults.nodes, **self.nodes},
            self.refused | (defaults.refused - self.domains.keys()),
        )


@dataclass(frozen=True)
class Draft:
    """A recipe or a sub-space.

    Attributes:
        place: Where it stands.
        line: Of its first key.
        name: As given; None for none.
        parameters: Its own over the defaults.
    """

    place: Place
    line: int
    name: str | None
    parameters: Parameters

    @property
    def arch(self) -> str | None:
        """The architecture, if it is always the same."""
        domain = self.parameters.domains.get("arch")
        return domain.value if isinstance(domain, Fixed) else None


def read_parameters(entries: Iterable[YamlEntry], place: Place, read: ReadDomain, base: Path) -> Parameters:
    """Read parameters of a member, and report unknown and wrong ones.

    Args:
        entries: Keys and what stands under them.
        place: Of the mapping.
        read: Reads one of them.
        base: Folder that relative `pretrained` paths start from.
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


def read_drafts(
    node: YamlNode | None, place: Place, read: ReadDomain, defaults: Parameters, base: Path
) -> list[Draft]:
    """Read a list of recipes or of sub-spaces.

    Args:
        node: The list; None for none.
        place: Of the list.
        read: Reads one parameter.
        defaults: Of every item.
        base: Folder that relative `pretrained` paths start from.
    """
    if node is None:
        return []
    if not isinstance(node, YamlList):
        place.refuse(node.line, "should be a list; start each item with a dash")
        return []
    drafts: list[Draft] = []
    for index, item in enumerate(node.items):
        if isinstance(item, YamlMap):
            drafts.append(_read_draft(item, place[index], read, defaults, base))
        else:
            place[index].refuse(item.line, "should be a mapping from parameters to values")
    _refuse_repeated_names(drafts)
    return drafts


def _read_draft(node: YamlMap, place: Place, read: ReadDomain, defaults: Parameters, base: Path) -> Draft:
    names = [entry for entry in node.entries if entry.key == "name"]
    name = _read_name(names[0].node, place / "name") if names else None
    entries = (entry for entry in node.entries if entry.key != "name")
    return Draft(place, node.line, name, read_parameters(entries, place, read, base).over(defaults))


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
    """Give each draft a name of its own: the given one, or its architecture, or `otherwise`."""
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


def check_draft(draft: Draft, check_arch: ArchCheck | None) -> None:
    """Report what a draft lacks, what contradicts itself, and sizes that its architectures cannot take."""
    parameters = draft.parameters
    if "arch" not in parameters.domains:
        if not parameters.refused:
            draft.place.refuse(draft.line, "no arch; name a timm model here or under defaults")
        return
    if check_arch is not None and "size" not in parameters.refused:
        for arch, problem in arch_problems(parameters.domains, check_arch):
            (draft.place / "arch").refuse(_line_of(arch, parameters.nodes["arch"]), problem)
    if not parameters.refused:
        for message in contradictions(parameters.domains):
            _refuse_contradiction(draft, message)


def _line_of(word: str, node: YamlNode) -> int:
    items = node.items if isinstance(node, YamlList) else (node,)
    return next(
        (item.line for item in items if isinstance(item, YamlScalar) and item.text == word), node.line
    )


def _refuse_contradiction(draft: Draft, message: str) -> None:
    """At the parameter that the message begins with, where it does so."""
    parameter = message.partition(" ")[0]
    node = draft.parameters.nodes.get(parameter)
    if node is None:
        draft.place.refuse(draft.line, message)
    else:
        (draft.place / parameter).refuse(node.line, message)
