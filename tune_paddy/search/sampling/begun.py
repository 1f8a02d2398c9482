"""The members of a search that have begun: their times, and how they ended."""

from collections.abc import Callable, Collection, Mapping, Sequence

from tune_paddy.core.config import MemberConfig
from tune_paddy.search.sampling.sampler import PastTrial, Proposal
from tune_paddy.search.sampling.shares import Begun


class BegunMembers:
    """Keeps the members that have begun, those of earlier sessions included.

    Args:
        past: Trials of earlier sessions.
        folds: Number of models of a member.
    """

    def __init__(self, past: Sequence[PastTrial], folds: int) -> None:
        self._folds = folds
        self._proposals: dict[int, Proposal] = {}
        self._spent: dict[int, float] = {}
        self._failed: set[int] = set()
        self._stopped: dict[int, float] = {}  # number → share of the epochs that were trained
        for trial in past:
            self.begin(trial.proposal)
            if trial.seconds is not None:
                self.finish(trial.proposal, trial.seconds)
            elif trial.ended and trial.value is None:
                self.lose(trial.proposal, trial.curve, failed=not trial.curve)

    @property
    def proposals(self) -> list[Proposal]:
        """All of them, in the order in which they began."""
        return list(self._proposals.values())

    def begin(self, proposal: Proposal) -> None:
        """Add a member that begins; one that is resumed is already known."""
        self._proposals[proposal.number] = proposal

    def finish(self, proposal: Proposal, seconds: float) -> None:
        """Store the time in s that a finished member took."""
        self._spent[proposal.number] = seconds

    def lose(self, proposal: Proposal, curve: Mapping[int, float], *, failed: bool) -> None:
        """Store that a member has ended without predictions.

        Args:
            proposal: The member.
            curve: Epoch → objective, for the epochs that it trained.
            failed: Whether it failed; otherwise it was stopped.
        """
        if failed:
            self._failed.add(proposal.number)
        else:
            self._stopped[proposal.number] = self.share(proposal, curve)

    def share(self, proposal: Proposal, curve: Mapping[int, float]) -> float:
        """Return the share of its epochs that a member has trained, from 0 to 1.

        Args:
            proposal: The member.
            curve: Epoch → objective, for the epochs that it has trained.
        """
        return min(max(curve, default=0) / (self._folds * proposal.config.total_epochs), 1.0)

    def in_families(
        self,
        family_of: Callable[[Proposal], str | None],
        weights: Mapping[str, float],
        seconds: Mapping[int, float],
        waiting: Collection[Proposal] = (),
    ) -> list[Begun]:
        """Return the members that say something about a sub-space, see `next_family`.

        Args:
            family_of: Function that returns the sub-space of a member; None: it is in none.
            weights: Member → weight in the live ensemble, of all that it was selected from.
            seconds: Number → time of a member in s.
            waiting: Members that wait to be resumed: they do not run.
        """
        idle = {proposal.number for proposal in waiting}
        found = []
        for number, proposal in self._proposals.items():
            family = family_of(proposal)
            if family is None or number in idle:
                continue
            lost = number in self._failed or number in self._stopped
            weight = weights.get(proposal.member, 0.0 if lost else None)
            found.append(Begun(family, weight, seconds[number], number in self._failed))
        return found

    def seconds(self, forecast: Callable[[MemberConfig], float | None]) -> dict[int, float]:
        """Return number → time in s that a member took, or else is expected to take; above 0.

        A failure counts as the whole time that its member was expected to take: one at its start took none.
        A member of which nothing is known counts as an average one, and as 1 s if nothing is known of any.

        Args:
            forecast: Function that returns the expected time of a member in s; None: it is not known.
        """
        known = {number: self._seconds(proposal, forecast) for number, proposal in self._proposals.items()}
        times = [seconds for seconds in known.values() if seconds]
        usual = sum(times) / len(times) if times else 1.0
        return {number: seconds or usual for number, seconds in known.items()}

    def _seconds(self, proposal: Proposal, forecast: Callable[[MemberConfig], float | None]) -> float | None:
        spent = self._spent.get(proposal.number)
        if spent is not None:
            return spent
        whole = forecast(proposal.config)
        return None if whole is None else whole * self._stopped.get(proposal.number, 1.0)
