"""Sentences about classes that claim no more than the number of images supports."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.diagnostics import Found, chance_of_at_most, recalls

UNLIKELY = 0.05
"""Maximum probability of a chance result that is reported as a finding, over all classes together."""
_NAMED = 3
"""Maximum number of classes or pairs that a sentence names."""
_LONGEST = 28
"""Maximum number of characters of a class name in figures and sentences."""
_CLEAR = 3
"""Minimum number of images of a confusion that stands out."""


def describe_recall(counted: Found, classes: Sequence[str]) -> str:
    """Return which classes have a clearly lower recall than all images, or that none has.

    A class's recall is clearly lower if chance alone would rarely give it, with the share of right images
    over all classes: with probability 0.05 in any of the classes (a binomial test, Bonferroni-corrected).
    Classes within one image of the lowest recall count as tied.

    Args:
        counted: Images of each class that are found, of one or more images.
        classes: Class names.
    """
    found = recalls(counted)  # without the classes that have no image
    hits, images = counted.hits, counted.images
    if hits.sum() == images.sum():
        return f"All {images.sum():,} images of the classes are found"
    overall = float(hits.sum() / images.sum())
    lowest = min(recall.share for recall in found.values())
    tied = [code for code, recall in found.items() if recall.share - 1 / recall.images <= lowest + 1e-12]
    low = [code for code in tied if _is_low(int(hits[code]), int(images[code]), overall, len(found))]
    tied.sort(key=lambda code: found[code].share)
    if not low:
        shown = [f"{short(classes[code])!r}, {hits[code]} of {images[code]} images" for code in tied]
        ties = f"{len(tied)} classes are within one image of the lowest"
        which = f"lowest: {shown[0]}" if len(tied) == 1 else ties
        return f"No class has a clearly lower recall than the others; {which}"
    worst = found[low[0]]
    if len(low) == 1:
        interval = f"{worst.share:.1%} ({worst.low:.1%} to {worst.high:.1%})"
        return f"Recall is lowest for {short(classes[low[0]])!r}: {interval}"
    low.sort(key=lambda code: found[code].share)
    return f"Recall is lowest for {_listed([f'{short(classes[c])!r} ({found[c].share:.1%})' for c in low])}"


def _is_low(hits: int, images: int, overall: float, n_classes: int) -> bool:
    return chance_of_at_most(hits, images, overall) * n_classes < UNLIKELY


def describe_confusion(confused: NDArray[np.intp], classes: Sequence[str]) -> str:
    """Return which class is most often taken for another, or that no pair stands out.

    A pair stands out with at least 3 images. Pairs within one image of the most frequent one count as tied.

    Args:
        confused: Number of images, int [true classes, predicted classes].
        classes: Class names.
    """
    wrong = confused - np.diag(confused.diagonal())
    most, total = int(wrong.max(initial=0)), int(wrong.sum())
    if not total:
        return "No image is taken for another class"
    if total == 1:
        ((true, taken),) = np.argwhere(wrong).tolist()
        return f"One image is wrong: {short(classes[true])!r} taken for {short(classes[taken])!r}"
    if most < _CLEAR:
        often = "once" if most == 1 else "twice"
        return f"No class is taken for the same other class more than {often}; {total} images are wrong"
    tied = [(int(wrong[a, b]), a, b) for a, b in np.argwhere(wrong >= most - 1).tolist()]
    tied.sort(key=lambda pair: (-pair[0], pair[1:]))
    pairs = [f"{short(classes[a])!r} taken for {short(classes[b])!r}" for _, a, b in tied]
    if len(tied) == 1:
        return f"Most confused: {pairs[0]}, {most} of {confused[tied[0][1]].sum()} images"
    named = [f"{pair}, {count}" for pair, (count, *_) in zip(pairs, tied, strict=True)]
    return f"Most confused, within one image: {_listed(named, '; ')}"


def short(name: str, longest: int = _LONGEST) -> str:
    """Shorten a class name in the middle, where names differ least.

    >>> short("bacterial_leaf_blight_of_upland_rice", 20)
    'bacterial_…land_rice'
    """
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-(longest - longest // 2 - 1) :]}"


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    rest = len(names) - _NAMED
    return separator.join(names[:_NAMED]) + (f" and {rest} other{'s' * (rest > 1)}" if rest > 0 else "")
