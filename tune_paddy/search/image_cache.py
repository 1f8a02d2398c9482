"""State of the image cache, for the user of a search; the trials fill the cache themselves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Fixed, SubSpace, candidates
from tune_paddy.data.image_cache.cache import CacheRefusedError, ImageSet, Progress, Resizing, machine_cache
from tune_paddy.spaces.space import SearchSpace


@dataclass(frozen=True)
class CacheWatch:
    """This machine's image cache, as seen by a search.

    Attributes:
        progress: Function that returns the number of prepared images for each resizing in progress.
        note: Reason why some images are not cached; None if all fit.
    """

    progress: Callable[[], Sequence[Progress]] = tuple
    note: str | None = None


def watch_cache(limit: float | None, images: ImageSet | None, space: SearchSpace) -> CacheWatch:
    """Check whether the images of a search fit into this machine's cache.

    Args:
        limit: Size of the cache, in GB; see `machine_cache`.
        images: Images of the dataset; None: no cache.
        space: Search space, whose sizes are checked.
    """
    cache = machine_cache(limit)
    if cache is None or images is None:
        return CacheWatch()
    note = None
    try:
        for resizing in dict.fromkeys(resizings(space)):
            cache.check(images, resizing)
    except CacheRefusedError as error:
        note = f"The images are not cached, so each epoch decodes them again: {error}"
    return CacheWatch(lambda: cache.progress(images.fingerprint), note)


def resizings(space: SearchSpace) -> Iterator[Resizing]:
    """Yield the resizings that a space allows; a range counts with its largest size."""
    for recipe in space.recipes:
        config = MemberConfig(**recipe.values)
        yield Resizing(config.item_size, config.resize)
    for sub in space.spaces:
        names = ("resize_size", "size", "resize")
        for resized, size, method in product(*(_values(sub, name) for name in names)):
            side = resized or size
            yield Resizing((side, side) if isinstance(side, int) else side, method)


def _values(sub: SubSpace, name: str) -> tuple[Any, ...]:
    """Return the values that a sub-space allows for a parameter; of a range, its upper bound."""
    return candidates(sub.domains.get(name, Fixed(MemberConfig.model_fields[name].default)))
