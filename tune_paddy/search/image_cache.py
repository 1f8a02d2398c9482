"""What a person should know of the image cache while a search runs; the trials themselves fill it."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from rich.console import Console

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Fixed, SubSpace, candidates
from tune_paddy.data.image_cache.cache import CacheRefusedError, ImageSet, Progress, Resizing, machine_cache
from tune_paddy.spaces.space import SearchSpace


def announce_cache(
    limit: float | None, images: ImageSet | None, space: SearchSpace, console: Console
) -> Callable[[], Sequence[Progress]]:
    """Say in one line if some images will not fit into this machine's cache.

    Args:
        limit: GB, see `machine_cache`.
        images: The dataset; None: there is no cache.
        space: Its members' sizes are looked at.
        console: Where the line goes.

    Returns:
        What tells how far the cache is, whenever it is asked.
    """
    cache = machine_cache(limit)
    if cache is None or images is None:
        return tuple
    try:
        for resizing in dict.fromkeys(resizings(space)):
            cache.check(images, resizing)
    except CacheRefusedError as error:
        console.print(f"Without an image cache, each epoch decodes all images anew: {error}", markup=False)
    return lambda: cache.progress(images.fingerprint)


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
