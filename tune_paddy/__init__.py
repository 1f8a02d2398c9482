"""tune_paddy: a Ray Tune-driven ensemble search for image classification.

The names that notebooks and scripts need are attributes of this package. Each is imported on first access,
so that `import tune_paddy` itself imports nothing. No other module may import from this one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tune_paddy.api import (
        Chosen,
        Forecast,
        Pool,
        SearchResult,
        find_label_errors,
        forecast,
        list_ensembles,
        load_ensemble,
        load_pool,
        plot_images,
        run_search,
        select,
        use_ensemble,
    )
    from tune_paddy.core.errors import InputError, TunePaddyError
    from tune_paddy.core.selection.plain import greedy_select
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.spaces.space import SearchSpace

__version__ = "0.2.0"

__all__ = [
    "Chosen",
    "Dataset",
    "Forecast",
    "InputError",
    "Pool",
    "SearchResult",
    "SearchSpace",
    "TunePaddyError",
    "find_label_errors",
    "forecast",
    "greedy_select",
    "list_ensembles",
    "load_ensemble",
    "load_pool",
    "plot_images",
    "run_search",
    "select",
    "use_ensemble",
]

_HOMES = {
    "Dataset": "tune_paddy.data.dataset",
    "InputError": "tune_paddy.core.errors",
    "SearchSpace": "tune_paddy.spaces.space",
    "TunePaddyError": "tune_paddy.core.errors",
    "greedy_select": "tune_paddy.core.selection.plain",
}
"""Name → module that defines it; `tune_paddy.api` has all others."""


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` on first access (PEP 562)."""
    if name not in __all__:
        from tune_paddy.core.arguments.suggestions import did_you_mean  # noqa: PLC0415 nothing else needs it

        hint = "" if name.startswith("_") else did_you_mean(name, __all__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    value = getattr(importlib.import_module(_HOMES.get(name, "tune_paddy.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, also those not yet imported, for completion in notebooks."""
    return sorted(__all__)
