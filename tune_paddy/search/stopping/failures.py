"""Notice that members fail one after another: the cause may be the machine, not the members."""

from typing import Any

from tune_paddy.core.errors import MembersFailError
from tune_paddy.search.trial import Trial

FAILURES = frozenset(("failed", "infeasible", "diverged"))
"""Outcomes of members that have no predictions since something is wrong with them or with the machine."""

MOST = 10
"""Number of failures in a row after which a search goes on no longer; twice the concurrent trials if more."""


class FailuresInARow:
    """Counts the members that have failed since the last one that did not.

    Once a member has trained, those that diverge or do not fit say something about their own parameters: a
    space may hold many of them, and the search goes on. Until then they count, too.

    Args:
        places: Number of concurrent trials: those that run when a disk is full fail together.
    """

    def __init__(self, places: int = 1) -> None:
        self._most = max(MOST, 2 * places)
        self._reasons: dict[str, str] = {}
        self._trained = False

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Take the end of a member; a trial that died may report its end twice."""
        if state == "failed" or (state in FAILURES and not self._trained):
            self._reasons[trial.member] = " ".join(str(result.get("reason", "")).split()) or state
        elif state in ("finished", "stopped"):
            self._trained = True
            self._reasons.clear()

    def are_many(self) -> bool:
        """Return whether no further member should start."""
        return len(self._reasons) >= self._most

    def error(self, search: str) -> MembersFailError:
        """Return the exception of a search that ends for its failures; there are some.

        Args:
            search: Name of the search.
        """
        member, reason = list(self._reasons.items())[-1]
        return MembersFailError(
            f"search {search} ends, since its last {len(self._reasons)} members failed: {member}: {reason}; "
            "mend the cause, then resume the search"
        )
