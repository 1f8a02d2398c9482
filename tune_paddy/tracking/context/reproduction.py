"""How to train a recorded member again: a search space that holds it alone, and the command."""

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from tune_paddy.tracking.runs import (
    COMMAND,
    DATASET_PATH,
    SEARCH,
    SKIP_CONFLICTS,
    SKIP_CORRUPT,
    WEIGHTS_DIR,
    parse_params,
)

MEMBER_SPACE = "member.yaml"
SHARED = ("seed", "select_share", "folds", "cpus", "gpu", "gpu_memory", "max_accum", "objective")
"""Settings of a search on which its members depend: of the split, and of the machine's share."""


def member_space(origin: str, config: Mapping[str, object], settings: Mapping[str, str]) -> str:
    """Write a search space of which a member is the only recipe.

    Args:
        origin: Recipe or sub-space that it comes from; only a name.
        config: Its configuration, plain values.
        settings: Of its search, as text.
    """
    shared = {name: value for name, value in parse_params(settings).items() if name in SHARED}
    given: dict[str, Any] = {
        "search": {"trials": 1, **_without_none(shared)},
        "recipes": [{"name": origin, **_without_none(config)}],
    }
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True)


def describe_member(member: str, origin: str, search_tags: Mapping[str, str], *, has_space: bool) -> str:
    """Say in Markdown what a member is, and how to train it again.

    Args:
        member: Its name.
        origin: Recipe or sub-space that it comes from; may be empty.
        search_tags: Tags of its search's run.
        has_space: Whether its run has `member.yaml`.
    """
    where = f", from `{origin}`" if origin else ""
    blocks = [f"Member `{member}` of search `{search_tags.get(SEARCH, '')}`{where}."]
    data = search_tags.get(DATASET_PATH)
    if has_space and data:
        words = ["tune-paddy", "search", data, "--space", MEMBER_SPACE]
        weights = search_tags.get(WEIGHTS_DIR)
        words += ["--weights-dir", weights] if weights else []
        skips = {SKIP_CORRUPT: "--skip-corrupt", SKIP_CONFLICTS: "--skip-conflicts"}
        words += [flag for tag, flag in skips.items() if search_tags.get(tag) == "True"]
        command = shlex.join(words)
        blocks.append("Trained again on the same split from the same seed, with this run's `member.yaml`, by")
        blocks.append(f"    {command}")
    elif search_tags.get(COMMAND):
        blocks += ["Trained by", f"    {search_tags[COMMAND]}"]
    return "\n\n".join(blocks) + "\n"


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
