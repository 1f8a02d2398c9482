"""Refuse a name that the record does not have, with similar names as a suggestion."""

import difflib
import shlex
from collections.abc import Iterable, Sequence

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.text import shown

MOST = 10
"""Maximum number of existing names to list if none is similar."""


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return the similar names as a question, or else the existing names; empty: there are none.

    >>> suggestion("frist", ["first", "second"]), suggestion("x", ["first", "second"]), suggestion("x", [])
    ("did you mean 'first'?", "there are 'first', 'second'", '')
    """
    known = sorted(set(names))
    within = [one for one in known if name and name.casefold() in one.casefold()]
    nearest = difflib.get_close_matches(name, known, n=3) or within[:3]
    if nearest:
        return f"did you mean {_listed(nearest)}?"
    return f"there are {_listed(known[:MOST])}" if known else ""


def unknown_search(name: str, names: Iterable[str], address: str) -> InputError:
    """Return the error for a search that the record does not have.

    Args:
        name: Name that was asked for.
        names: Names of all searches of the record.
        address: Address of the record, without credentials.
    """
    return InputError(f"no search {name!r} in {address}: {suggestion(name, names) or 'it has none yet'}")


def deleted_search(name: str, experiment: str, number: str) -> InputError:
    """Return the error for a search whose experiment was deleted.

    Args:
        name: Name of the search.
        experiment: Name of the experiment.
        number: MLflow's id of the experiment.
    """
    return InputError(
        f"search {name!r} is in the experiment {experiment!r}, which was deleted; restore it with "
        f"`mlflow experiments restore --experiment-id {number}`"
    )


def unknown_ensemble(name: str, names: Iterable[str], search: str) -> InputError:
    """Return the error for an ensemble that a search does not have.

    Args:
        name: Name that was asked for.
        names: Names of all ensembles of the search.
        search: Name of the search.
    """
    remedy = f"`{shlex.join(['tune-paddy', 'select', search])}` creates one"
    return InputError(
        f"search {search!r} has no ensemble {shown(name)!r}: {suggestion(name, names) or remedy}",
        options=("ensemble",),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
