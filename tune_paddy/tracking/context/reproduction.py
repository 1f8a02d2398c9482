"""How to train a recorded member again: a search space with this member alone, and the command."""

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.teaching.words import TAUGHT, teachers_in_words
from tune_paddy.data.options import NEAR
from tune_paddy.tracking.runs import parse_params
from tune_paddy.tracking.schema import SearchRecord

MEMBER_SPACE = "member.yaml"
_RESULT = "**Result:**"
SHARED = ("seed", "select_share", "folds", *TAUGHT, "cpus", "gpu", "gpu_memory", "max_accum", "objective")
"""Settings of a search that affect its members: its split, its teachers, and the resources of a trial."""


def member_space(origin: str, config: Mapping[str, object], settings: Mapping[str, str]) -> str:
    """Return a search space, in YAML, with a member as its only recipe.

    Args:
        origin: Name of the member's recipe or sub-space.
        config: Configuration of the member, plain values.
        settings: Settings of the search, as text.
    """
    parsed = parse_params(settings)
    # A teacher's name may look like a number.
    parsed |= {name: settings[name] for name in ("soften", "pseudo") if parsed.get(name) is not None}
    known = {name: value for name, value in parsed.items() if name in SHARED}
    shared = SearchSettings.recorded(known).model_dump(mode="json", include=set(known))
    given: dict[str, Any] = {
        "search": {"trials": 1, **_without_none(shared)},
        "recipes": [{"name": origin, **_without_none(config)}],
    }
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True)


def describe_member(member: str, origin: str, search: str, searched: SearchRecord, *, has_space: bool) -> str:
    """Describe a member and how to train it again, in Markdown.

    Args:
        member: Name of the member.
        origin: Name of the member's recipe or sub-space; may be empty.
        search: Name of the search.
        searched: Record of the search.
        has_space: Whether the member's run has `member.yaml`.
    """
    where = f", from `{origin}`" if origin else ""
    blocks = [f"Member `{member}` of search `{search}`{where}."]
    taught = teachers_in_words(searched.settings or {})
    if taught:
        blocks.append(f"It was {', and '.join(taught)}.")
    if has_space and searched.dataset_path:
        words = ["tune-paddy", "search", str(searched.dataset_path), "--space", MEMBER_SPACE]
        words += ["--weights-dir", str(searched.weights_dir)] if searched.weights_dir else []
        skips = {"--skip-corrupt": searched.skip_corrupt, "--skip-conflicts": searched.skip_conflicts}
        words += [flag for flag, skipped in skips.items() if skipped]
        words += reading_flags(searched)
        command = shlex.join(words)
        blocks.append("To train it again with the same split and seed, use this run's `member.yaml`:")
        blocks.append(f"    {command}")
    elif searched.command:
        blocks += ["Trained by this command:", f"    {searched.command}"]
    return "\n\n".join(blocks) + "\n"


def with_result(note: str, result: str) -> str:
    """Put a sentence about a member's result at the top of its page, instead of an earlier one.

    Args:
        note: Markdown of the page.
        result: The sentence; empty: the page says nothing about a result.
    """
    first, _, rest = note.partition("\n\n")
    own = rest if first.startswith(_RESULT) else note
    return f"{_RESULT} {result}\n\n{own}" if result else own


def describe_scores(metrics: Mapping[str, float]) -> str:
    """Describe the scores and the training time of a member; empty without scores on the select split.

    >>> describe_scores({"plain/log_loss": 0.42158, "plain/error_rate": 0.1419, "tta/log_loss": 0.45348})
    'log loss 0.4216 (0.4535 with TTA), error 14.2 %.'
    """
    if "plain/log_loss" not in metrics or "plain/error_rate" not in metrics:
        return ""
    tta, seconds = metrics.get("tta/log_loss"), metrics.get("train_seconds_total")
    loss = f"log loss {metrics['plain/log_loss']:.4f}" + (f" ({tta:.4f} with TTA)" if tta is not None else "")
    parts = [loss, f"error {100 * metrics['plain/error_rate']:.1f} %"]
    return ", ".join(parts + ([f"{seconds:,.0f} s of training"] if seconds is not None else [])) + "."


def reading_flags(searched: SearchRecord) -> list[str]:
    """Return the flags that read and compare the images as a search did; none for the defaults."""
    skips = ("skip_corrupt", "skip_conflicts")  # they may have been given without need
    given = {name: value for name, value in (searched.reading or {}).items() if name not in skips}
    if given.get("copies") == NEAR:
        del given["copies"]
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]  # = since LOW may be < 0


def _without_none(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
