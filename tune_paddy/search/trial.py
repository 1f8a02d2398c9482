"""One trial: a member to train, and what of a GPU it is given; plain JSON on its way through Ray Tune."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.tracking.schema import MemberRecord, RecordedProposal


@dataclass(frozen=True)
class Trial:
    """A trial as a searcher proposes it.

    Attributes:
        number: Its number, from 0.
        member: Name of the member that it trains.
        origin: Name of the recipe or the sub-space that the member comes from.
        config: The member.
        memory: What it is given of a GPU.
    """

    number: int
    member: str
    origin: str
    config: MemberConfig
    memory: TrialMemory

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a trial from Ray Tune's configuration of it."""
        return cls(
            number=config["number"],
            member=config["member"],
            origin=config["origin"],
            config=MemberConfig(**config["config"]),
            memory=TrialMemory(**config["memory"]),
        )

    def to_config(self) -> dict[str, Any]:
        """The trial as Ray Tune's configuration: plain JSON."""
        return {
            "number": self.number,
            "member": self.member,
            "origin": self.origin,
            "config": self.params,
            "memory": asdict(self.memory),
        }

    @property
    def params(self) -> dict[str, Any]:
        """The member's configuration as plain JSON."""
        return self.config.model_dump(mode="json")

    @property
    def record(self) -> MemberRecord:
        """What the record holds of the member before it is trained; enough to go on without a sampler."""
        proposal = RecordedProposal(number=self.number, origin=self.origin, config=self.config)
        return MemberRecord(number=self.number, origin=self.origin, proposal=proposal)
