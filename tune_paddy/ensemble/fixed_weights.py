"""Fixed ensemble weights, given as patterns such as `vit*=2`, to rebuild a known ensemble."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import View
from tune_paddy.core.views import KINDS, PLAIN, TTA

MOST = 1_000_000
"""Largest weight; the sum of many must stay finite."""

_DIGIT = "\0"
"""Placeholder for any digit, in the name of a future member."""

_SIDES = [_DIGIT * width for width in range(1, 5)]
_SIZES = [*_SIDES, *(f"{height}x{width}" for height in _SIDES for width in _SIDES)]
"""Possible ends of members' names."""

_SET = re.compile(r"\[!?.[^]]*\]")
"""Character set of a pattern, such as `[0-9]` or `[!a]`."""

_SEPARATOR = re.compile(r"[-_.:]")
"""Separator of the parts of a name."""


def parse_weights(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Parse `PATTERN=WEIGHT` texts; a text may contain several, separated by commas.

    Raises:
        InputError: A text has another form, or its weight is not a number from 0 to `MOST`.
    """
    pairs: list[tuple[str, float]] = []
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        pattern, _, number = text.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not pattern or not 0 <= weight <= MOST:
            raise InputError(
                f"weights {text!r}: write PATTERN=WEIGHT, such as 'vit*=2', with a weight from 0 to {MOST:,}",
                options=("weights",),
            )
        pairs.append((pattern, weight))
    return pairs


def require_possible(
    pairs: Sequence[tuple[str, float]], architectures: Sequence[str], n_members: int
) -> None:
    """Refuse patterns that cannot match any member of a search that has not begun.

    Args:
        pairs: Patterns and weights of `parse_weights`.
        architectures: Architectures of the search space.
        n_members: Maximum number of members; names begin with their numbers, of four digits or more.

    Raises:
        InputError: A pattern cannot match any member.
    """
    numbers = [_DIGIT * width for width in range(4, max(4, len(str(n_members - 1))) + 1)]
    stems = dict.fromkeys(arch.partition(".")[0] for arch in architectures)
    names = [f"{number}-{stem}-{size}" for number in numbers for stem in stems for size in _SIZES]
    for pattern, _ in pairs:
        member, kind = _parts(pattern)
        glob = _SET.sub("?", member.rpartition(":")[2])  # the name of a search may precede
        possible = any(fnmatchcase(arch, member) for arch in architectures) or any(
            _may_equal(glob, name) for name in names
        )
        if not possible or not any(fnmatchcase(known, kind) for known in KINDS):
            raise _no_match(pattern, architectures, ())


def _parts(pattern: str) -> tuple[str, str]:
    """Split a pattern into those of a member and of a kind of view; the latter is `*` without a slash."""
    member, slash, kind = pattern.rpartition("/")
    return (member, kind) if slash else (pattern, "*")


def _may_equal(glob: str, name: str) -> bool:
    """Whether a pattern of `*` and `?` may match a name with placeholders for digits."""
    reached = {0}  # positions in the name where a match of the pattern's prefix may end
    for sign in glob:
        if sign == "*":
            reached = set(range(min(reached, default=len(name) + 1), len(name) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(name) and _fits(sign, name[at])}
    return len(name) in reached


def _fits(sign: str, open_sign: str) -> bool:
    return sign in ("?", open_sign) or (open_sign == _DIGIT and sign.isdecimal())


def _no_match(pattern: str, architectures: Iterable[str], members: Iterable[str]) -> InputError:
    """Return the error for a pattern without a match, with a similar one that matches, if any.

    Args:
        pattern: Pattern, with or without the kind of view.
        architectures: Architectures of the members.
        members: Names of the members; empty before a search.
    """
    known = list(dict.fromkeys(architectures))
    better = _similar(pattern, [*known, *members])
    hint = f"did you mean {better!r}? The" if better else "the"
    return InputError(
        f"weights: {pattern!r} matches no member; {hint} architectures are {', '.join(known)}",
        options=("weights",),
    )


def _similar(pattern: str, names: Sequence[str]) -> str | None:
    """Return the pattern most similar to one without a match that matches one of the names, or None."""
    member, kind = _parts(pattern)
    kinds = [kind] if any(fnmatchcase(known, kind) for known in KINDS) else [TTA]
    core = member.strip("*").lower()
    words = dict.fromkeys(word for name in names for word in _words(name))
    for word in [core, *difflib.get_close_matches(core, words, n=1)]:
        better = f"*{word}*"
        if word and any(fnmatchcase(name, better) for name in names):
            return f"{better}/{kinds[0]}" if "/" in pattern else better
    return None


def _words(name: str) -> Iterator[str]:
    """Yield the beginnings of a name at its separators, and its parts: `vit`, `vit_large`, `large`, …."""
    yield from (name[: end.start()] for end in _SEPARATOR.finditer(name))
    yield from (part for part in _SEPARATOR.split(name) if not part.isdecimal())
    yield name


def weigh(views: Sequence[View], pairs: Sequence[tuple[str, float]]) -> list[float]:
    """Return the weight of each view: 1 for a member's tta view, or its plain view without tta; 0 for others.

    A pattern changes the weights of the views that it matches; the last match wins. It is compared with the
    member's name, its name after that of its search, as in `SEARCH:MEMBER`, and its architecture. A slash
    and a kind may follow, such as `*/plain`: the pattern then changes only these views.

    Raises:
        InputError: A pattern matches no view, or all weights are 0.
    """
    with_tta = {view.member for view in views if view.kind == TTA}
    counted = [view.kind == (TTA if view.member in with_tta else PLAIN) for view in views]
    weights = [float(counts) for counts in counted]
    for pattern, weight in pairs:
        matched = [number for number, view in enumerate(views) if _matches(view, pattern)]
        if not matched:
            raise _no_match(pattern, (view.arch for view in views), (view.member for view in views))
        for number in matched:
            if "/" in pattern or counted[number]:
                weights[number] = weight
    if not any(weights):
        raise InputError("weights: every member has weight 0; raise at least one", options=("weights",))
    return weights


def _matches(view: View, pattern: str) -> bool:
    member, kind = _parts(pattern)
    own = view.member.rpartition(":")[2]
    names = (view.member, own, f"{view.search}:{own}", view.arch)
    return fnmatchcase(view.kind, kind) and any(fnmatchcase(name, member) for name in names)
