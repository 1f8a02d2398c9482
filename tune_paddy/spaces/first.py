"""Parsing of the members that a sub-space tries first: values within its domains."""

from collections.abc import Mapping
from typing import Any

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import holds, middle
from tune_paddy.spaces.drafts import Parameters
from tune_paddy.spaces.problems import Place, unknown
from tune_paddy.spaces.values import read_fixed, show
from tune_paddy.spaces.yaml_tree import YamlEntry, YamlList, YamlMap, YamlNode


def read_first(node: YamlNode, place: Place, parameters: Parameters) -> tuple[Mapping[str, Any], ...]:
    """Parse the members that a sub-space tries first, and report invalid ones.

    Args:
        node: List of mappings from parameters to values.
        place: Place of the list.
        parameters: Parameters of the sub-space, completed from the defaults.

    Returns:
        Values of all parameters of the sub-space for each member: those that it leaves out are middling.
    """
    if not isinstance(node, YamlList):
        place.refuse(node.line, "should be a list of members; start each with a dash")
        return ()
    middling = {name: middle(domain) for name, domain in parameters.domains.items()}
    members = []
    for index, item in enumerate(node.items):
        if isinstance(item, YamlMap):
            members.append({**middling, **_read_member(item, place[index], parameters)})
        else:
            place[index].refuse(item.line, "should be a mapping from parameters to values")
    return tuple(members)


def _read_member(node: YamlMap, place: Place, parameters: Parameters) -> dict[str, Any]:
    values = ((entry.key, _read_value(entry, place, parameters)) for entry in node.entries)
    return {name: value for name, value in values if value is not _REFUSED}


_REFUSED = object()


def _read_value(entry: YamlEntry, place: Place, parameters: Parameters) -> Any:
    name, domain = entry.key, parameters.domains.get(entry.key)
    if name in parameters.refused:
        return _REFUSED
    if name not in MemberConfig.model_fields:
        place.refuse(entry.line, unknown("parameter", name, MemberConfig.model_fields))
        return _REFUSED
    if domain is None:
        place.refuse(entry.line, f"the sub-space does not set {name}; set it there, or leave it out here")
        return _REFUSED
    value = read_fixed(entry.node, name, place / name)
    if value is None:
        return _REFUSED
    if not holds(domain, value.value):
        (place / name).refuse(entry.node.line, f"{show(entry.node)} lies outside of the sub-space")
        return _REFUSED
    return value.value
