"""Parsing of the members that a sub-space tries first: values within its domains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tune_paddy.core.domains import Fixed, holds, middle
from tune_paddy.spaces.drafts import Parameters, mappings, read_parameters
from tune_paddy.spaces.problems import Place
from tune_paddy.spaces.values import read_fixed, show
from tune_paddy.spaces.yaml_tree import YamlMap, YamlNode


def read_first(
    node: YamlNode, place: Place, parameters: Parameters, base: Path
) -> tuple[Mapping[str, Any], ...]:
    """Parse the members that a sub-space tries first, and report invalid ones.

    Args:
        node: List of mappings from parameters to values.
        place: Place of the list.
        parameters: Parameters of the sub-space, completed from the defaults.
        base: Base folder of relative `pretrained` paths.

    Returns:
        Values of all parameters of the sub-space for each member: those that it leaves out are middling.
    """
    middling = {name: middle(domain) for name, domain in parameters.domains.items()}
    members = mappings(node, place, "should be a list of members; start each with a dash")
    return tuple({**middling, **_read_member(item, at, parameters, base)} for item, at in members)


def _read_member(node: YamlMap, place: Place, parameters: Parameters, base: Path) -> dict[str, Any]:
    """Return the values of a member that lie within the sub-space, and report the others."""
    own = read_parameters(node.entries, place, read_fixed, base)
    values = {name: it.value for name, it in own.domains.items() if isinstance(it, Fixed)}
    for name, value in values.items():
        written, domain = own.nodes[name], parameters.domains.get(name)
        if domain is not None and not holds(domain, value):
            (place / name).refuse(written.line, f"{show(written)} lies outside of the sub-space")
        elif domain is None and name not in parameters.refused:
            place.refuse(
                written.line, f"the sub-space does not set {name}; set it there, or leave it out here"
            )
    return values
