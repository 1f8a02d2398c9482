"""What a person should know of the image cache while a search runs; the trials themselves fill it."""

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
        progress: Function that reads how many images are prepared, for each way of resizing in progress.
        note: Why some images will not be cached; None if all fit.
    """

    progress: Callable[[], Sequence[Progress]] = tuple
    note: str | None = None


def watch_cache(limit: float | None, images: ImageSet | None, space: SearchSpace) -> CacheWatch:
    """Check whether the images of a search fit into this machine's cache.

    Args:
        limit: Size of the cache, in GB; see `machine_cache`.
        images: Images of the dataset; None: they are not cached.
        space: Space whose members' sizes are checked.
    """
    cache = machine_cache(limit)
    if cache is None or images is None:
        return CacheWatch()
    note = None
    try:
        for resizing in dict.fromkeys(resizings(space)):
            cache.check(images, resizing)
    except CacheRefusedError as error:
        note = f"Without an image cache, each epoch decodes all images anew: {error}"
    return CacheWatch(lambda: cache.progress(images.fingerprint), note)


def resizings(space: SearchSpace) -> Iterator[Resizing]:
    """Ways of resizing that a space can ask for; of a range its largest size."""
    for recipe in space.recipes:
        config = MemberConfig(**recipe.values)
        yield Resizing(config.item_size, config.resize)
    for sub in space.spaces:
        names = ("resize_size", "size", "resize")
        for resized, size, method in product(*(_values(sub, name) for name in names)):
            side = resized or size
            yield Resizing((side, side) if isinstance(side, int) else side, method)


def _values(sub: SubSpace, name: str) -> tuple[Any, ...]:
    """What a sub-space allows for a parameter; of a range its upper end."""
    return candidates(sub.domains.get(name, Fixed(MemberConfig.model_fields[name].default)))
