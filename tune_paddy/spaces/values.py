"""Parsing of one parameter value by the rules of its field.

Values are normalised: a square size becomes its side, another size (height, width), and an integer for a
float parameter a float. So 224 and [224, 224] are the same choice.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tune_paddy.core.config import MAX_SIDE, MemberConfig, requirement
from tune_paddy.core.domains import Fixed, side_or_pair
from tune_paddy.spaces.problems import Place, shorten
from tune_paddy.spaces.yaml_tree import YamlList, YamlMap, YamlNode, YamlScalar

SIZES = ("size", "resize_size")
"""Parameters whose value may be a pair."""


def read_fixed(node: YamlNode, parameter: str, place: Place) -> Fixed | None:
    """Parse a member's parameter with one value; report an invalid one and return None."""
    if isinstance(node, YamlMap):
        place.refuse(node.line, "a range belongs under spaces; give one value")
        return None
    if isinstance(node, YamlList) and parameter not in SIZES:
        place.refuse(node.line, "a list of choices belongs under spaces; give one value")
        return None
    return read_value(node, MemberConfig, parameter, place)


def read_value(
    node: YamlNode,
    model: type[BaseModel],
    name: str,
    place: Place,
    context: Mapping[str, Any] | None = None,
) -> Fixed | None:
    """Parse one value of the field `name` of `model`; report an invalid one and return None.

    Args:
        node: Node of the value.
        model: Model of the field.
        name: Name of the field.
        place: Place at which a problem is reported.
        context: Validation context, see `checked`.
    """
    try:
        return Fixed(checked(model, name, _plain(node), context))
    except ValueError as error:
        place.refuse(node.line, f"{show(node)} {error}")
        return None


def checked(model: type[BaseModel], name: str, value: Any, context: Mapping[str, Any] | None = None) -> Any:
    """Validate and normalise a field's value.

    Args:
        model: Model of the field.
        name: Name of the field.
        value: The value.
        context: Validation context: `RECORDED`, or None.

    Raises:
        ValueError: The value is invalid; the message continues after the value: "should be …".
    """
    if value == "none" and model.model_fields[name].default is None:
        return None  # common spelling; YAML's keyword is null
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("should be a finite number")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("holds non-printable characters; remove them")
    if isinstance(value, str) and not value.strip():
        raise ValueError("should not be empty")
    try:
        return side_or_pair(_adapter(model, name).validate_python(value, strict=True, context=context))
    except ValidationError as error:
        raise ValueError(_sentence(name, error)) from None


@cache
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Return the validator of one field, without the model's checks across fields."""
    field = model.model_fields[name]
    rules: Any = (field.annotation, *field.metadata)
    return TypeAdapter(Annotated[rules] if field.metadata else rules[0])


def _sentence(name: str, error: ValidationError) -> str:
    if name in SIZES:
        return f"should be a side, or a pair [height, width], of 8 to {MAX_SIDE} px"
    return requirement(error.errors())


def _plain(node: YamlNode) -> Any:
    if isinstance(node, YamlScalar):
        return node.value
    return tuple(map(_plain, node.items)) if isinstance(node, YamlList) else node


def show(node: YamlNode) -> str:
    """Return a value as messages show it: numbers and keywords as written, text in quotes."""
    if isinstance(node, YamlMap):
        return "a mapping"
    if isinstance(node, YamlList):
        return shorten(f"[{', '.join(map(show, node.items))}]")
    if node.value is None:
        return "an empty value"
    return repr(shorten(node.text)) if isinstance(node.value, str) else shorten(node.text)
