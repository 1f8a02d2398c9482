"""The images of one model of a search, from the number of labelled ones."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.core.timing.cost import Workload

IMAGES = 10_000
"""Default number of labelled images of a forecast without a dataset."""


def workload(
    settings: "SearchSettings",
    labelled: int,
    *,
    select: int | None = None,
    test: int = 0,
    decode: float = 0.0,
) -> "Workload":
    """Count the images that one model trains on and predicts.

    Args:
        settings: Settings of the search: `folds`, `select_share`, `pseudo`, `cpus` and `cache_limit`.
        labelled: Number of labelled images.
        select: Number of images of the select split; None: the share of the settings. Folds replace it.
        test: Number of images to predict.
        decode: Time to read one image from its file on one thread, in s.
    """
    from tune_paddy.core.timing.cost import Workload  # noqa: PLC0415 pydantic; every command line reads `IMAGES`

    if settings.folds:
        select = labelled // settings.folds
    elif select is None:
        select = round(settings.select_share * labelled)
    uncached = decode / max(1, int(settings.cpus)) if settings.cache_limit == 0 else 0.0
    pseudo = test if settings.pseudo is not None else 0
    models = max(1, settings.folds)
    return Workload(
        labelled - select + pseudo,
        select,
        test,
        models,
        uncached,
        cached=settings.cache_limit != 0,
        others=labelled - select if settings.folds else 0,
    )
