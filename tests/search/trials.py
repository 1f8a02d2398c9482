"""Trials for tests of watchers."""

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.trial import Trial


def make_trial(member: str, number: int = 0) -> Trial:
    """Return a trial on the CPU, of a member that is never trained."""
    config = MemberConfig(arch="test_resnet")
    return Trial(number, member, "nets", config, TrialMemory(gpu=0.0, accum=1))
