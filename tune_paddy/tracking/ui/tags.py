"""Tags that MLflow's pages show, and those that they hide.

A run's page lists all its tags except those whose names begin with `mlflow.`. Tags for people keep their
names. All other tags of this program get that prefix in the store, and lose it when they are read: the
rest of the program knows one name per tag. Version 0.2.0 wrote all tags without the prefix.
"""

from collections.abc import Mapping

from tune_paddy.tracking.schema import FAILURE, KIND, MEMBER, OUTCOME, PREFIX, SEARCH

HIDING = "mlflow."
"""Beginning of the names of tags that MLflow's pages do not show."""

_OF_ONE_KIND = ("ensemble", "notes", "space", "refit_of", "kaggle.public", "kaggle.private")
_SHOWN = frozenset({KIND, SEARCH, MEMBER, OUTCOME, FAILURE, *(PREFIX + name for name in _OF_ONE_KIND)})
"""Tags for people: at most six of them on one run."""


def stored_name(name: str) -> str:
    """Return the name of a tag in MLflow's store, for queries and for writing.

    >>> stored_name("tune_paddy.outcome"), stored_name("tune_paddy.process"), stored_name("mlflow.user")
    ('tune_paddy.outcome', 'mlflow.tune_paddy.process', 'mlflow.user')
    """
    return HIDING + name if name.startswith(PREFIX) and name not in _SHOWN else name


def stored_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Convert tags to MLflow's store; see the module.

    A tag for people whose text is empty is left out: a page would show its name alone.
    """
    return {stored_name(name): text for name, text in tags.items() if text or name not in _SHOWN}


def known_tags(stored: Mapping[str, str]) -> dict[str, str]:
    """Convert tags from MLflow's store; where a run has both forms of a name, the hidden one is newer."""
    hidden = {name: text for name, text in stored.items() if name.startswith(HIDING + PREFIX)}
    others = {name: text for name, text in stored.items() if name not in hidden}
    return others | {name.removeprefix(HIDING): text for name, text in hidden.items()}
