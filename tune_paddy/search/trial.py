"""One trial: a member to train and its share of a GPU, with conversion to Ray Tune's configuration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.tracking.schema import MemberRecord, RecordedProposal


@dataclass(frozen=True)
class Trial:
    """A proposed trial.

    Attributes:
        number: Number of the trial, from 0.
        member: Name of the member to train.
        origin: Name of the recipe or sub-space that the member comes from.
        config: Configuration of the member.
        memory: Share of a GPU, accum and memory limit.
        proposed_by: What proposed the member, a value of `Proposer`; empty: unknown.
    """

    number: int
    member: str
    origin: str
    config: MemberConfig
    memory: TrialMemory
    proposed_by: str = ""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a trial from its Ray Tune configuration."""
        return cls(
            number=config["number"],
            member=config["member"],
            origin=config["origin"],
            config=MemberConfig(**config["config"]),
            memory=TrialMemory(**config["memory"]),
            proposed_by=config["proposed_by"],
        )

    def to_config(self) -> dict[str, Any]:
        """Return the trial as a Ray Tune configuration, plain JSON."""
        return {
            "number": self.number,
            "member": self.member,
            "origin": self.origin,
            "config": self.params,
            "memory": asdict(self.memory),
            "proposed_by": self.proposed_by,
        }

    @property
    def params(self) -> dict[str, Any]:
        """The member's configuration as plain JSON."""
        return self.config.model_dump(mode="json")

    @property
    def record(self) -> MemberRecord:
        """Record of the member before training; a resume needs no sampler state beside it."""
        proposal = RecordedProposal(number=self.number, origin=self.origin, config=self.config)
        return MemberRecord(
            number=self.number, origin=self.origin, proposed_by=self.proposed_by, proposal=proposal
        )
