"""Any file is either refused with a message or describes only valid members."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Domain, Fixed
from tune_paddy.spaces.space import SearchSpace, SpaceError

VALID = (
    (Path(__file__).parents[2] / "search_spaces" / "road_to_the_top.yaml").read_text(encoding="utf-8")
    + """
spaces:
  - arch: [resnet18, resnet34]
    size: [224, [320, 224]]
    resize_size: {low: 320, high: 480, step: 32}
    lr: {low: 1e-3, high: 0.1, log: true}
    accum: [1, 2, auto]
"""
)


def read(text: str) -> SearchSpace | SpaceError:
    """Return the space, or the error that refuses it."""
    try:
        return SearchSpace.parse(text, name="x", base=Path("/base"))
    except SpaceError as error:
        return error


def draw_value(data: st.DataObject, domain: Domain) -> Any:
    """Any value of a domain, as a sampler may choose it."""
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        return data.draw(st.sampled_from(domain.values))
    if domain.integer:
        return data.draw(st.integers(int(domain.low), int(domain.high)))
    return data.draw(st.floats(domain.low, domain.high))


def check_outcome(outcome: SearchSpace | SpaceError, data: st.DataObject) -> None:
    """Every line of an error has a place; every member of a space, and of its rehearsal, is valid."""
    if isinstance(outcome, SpaceError):
        lines = str(outcome).encode().decode().splitlines()
        assert all(re.match(r"x:\d+: .|x: and \d+ more", line) for line in lines)
        return
    assert len(outcome.fingerprint) == 16
    for space in (outcome, outcome.with_stand_ins(str)):
        assert space.recipes or space.spaces
        for recipe in space.recipes:
            MemberConfig(**recipe.values)
        for sub in space.spaces:
            MemberConfig(**{name: draw_value(data, domain) for name, domain in sub.domains.items()})


SIGNS = [*"[]{}:,-?&*!|>%@`'\"#~ \n\t\\0159.", "\x00", "\ud800", "\u2028", "é", "---", "<<: ", "- ", ": "]
WORDS = [
    "1e-3",
    ".nan",
    "null",
    "true",
    "224",
    "auto",
    "\n  - ",
    "\n    ",
    "low: ",
    "arch: ",
    "resize_size: ",
]
EDITS = st.lists(
    st.tuples(st.integers(0, 10**4), st.integers(0, 12), st.sampled_from(SIGNS + WORDS)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150)
@given(edits=EDITS, data=st.data())
def test_edited_files(edits: list[tuple[int, int, str]], data: st.DataObject) -> None:
    """A valid file with random edits is refused with a message, or still valid."""
    text = VALID
    for position, removed, inserted in edits:
        start = position % (len(text) + 1)
        text = text[:start] + inserted + text[start + removed :]
    check_outcome(read(text), data)


@settings(max_examples=150)
@given(text=st.text(), data=st.data())
def test_any_text(text: str, data: st.DataObject) -> None:
    """Any text is refused with a message, or valid."""
    check_outcome(read(text), data)


NUMBERS = (
    st.sampled_from([0, 1, 2, 8, 64, 224, 256, 0.5, 1e-3, True, None, "auto", "pad", -1, 10**30])
    | st.integers(1, 512)
    | st.floats()
)
SIDES = st.integers(32, 400) | st.tuples(st.integers(32, 400), st.integers(32, 400)).map(list)
RANGES = st.fixed_dictionaries(
    {"low": NUMBERS, "high": NUMBERS}, optional={"log": st.booleans(), "step": NUMBERS}
)
SIZES = SIDES | st.lists(SIDES, min_size=1, max_size=4) | RANGES
VALUES = NUMBERS | st.lists(NUMBERS, max_size=4) | RANGES
SUB_SPACES = st.fixed_dictionaries(
    {"arch": st.just("a")},
    optional={
        "size": SIZES,
        "resize_size": SIZES,
        "batch_size": VALUES,
        "accum": st.integers(1, 64) | st.lists(st.sampled_from([1, 2, 4, 64, "auto"]), max_size=4) | RANGES,
        "lr": VALUES,
        "resize": st.lists(st.sampled_from(["squish", "crop", "pad"]), max_size=3),
    },
)


@settings(max_examples=250)
@given(sub=SUB_SPACES, data=st.data())
def test_any_sub_space(sub: dict[str, Any], data: st.DataObject) -> None:
    """Any sub-space that is accepted yields only valid members."""
    check_outcome(read(yaml.safe_dump({"spaces": [sub]})), data)


def ranges(low: int, high: int) -> st.SearchStrategy[dict[str, int]]:
    """Ranges that a parameter between `low` and `high` takes."""
    pairs = st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True).map(sorted)
    return pairs.map(lambda pair: {"low": pair[0], "high": pair[1]})


def domains(values: st.SearchStrategy[Any], low: int, high: int) -> st.SearchStrategy[Any]:
    """Lists of different choices, and ranges."""
    return st.lists(values, min_size=1, max_size=3, unique_by=str) | ranges(low, high)


PAIRS = st.tuples(st.integers(32, 64), st.integers(32, 64)).filter(lambda pair: pair[0] != pair[1]).map(list)
COUPLED = st.fixed_dictionaries(
    {
        "arch": st.just("a"),
        "size": domains(st.integers(32, 64) | PAIRS, 32, 64),
        "resize_size": domains(st.integers(48, 96) | PAIRS | st.none(), 48, 96),
        "batch_size": domains(st.integers(8, 32), 8, 32),
        "accum": domains(st.integers(1, 12) | st.just("auto"), 1, 12),
    }
)


@settings(max_examples=250)
@given(sub=COUPLED, data=st.data())
def test_parameters_that_may_contradict(sub: dict[str, Any], data: st.DataObject) -> None:
    """A sub-space of valid domains is accepted if and only if all of its members are valid."""
    outcome = read(yaml.safe_dump({"spaces": [sub]}))
    check_outcome(outcome, data)
    assert isinstance(outcome, SearchSpace) == all(map(_is_valid, _corners(sub)))


def _corners(sub: dict[str, Any]) -> list[dict[str, Any]]:
    ends = {name: [domain["low"], domain["high"]] for name, domain in sub.items() if isinstance(domain, dict)}
    choices = {name: domain for name, domain in sub.items() if isinstance(domain, list)}
    names = [*ends, *choices]
    return [dict(zip(names, values, strict=True)) for values in product(*ends.values(), *choices.values())]


def _is_valid(values: dict[str, Any]) -> bool:
    try:
        MemberConfig(arch="a", **values)
    except ValidationError:
        return False
    return True
