"""A trial is the same on both sides of Ray Tune."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.schema import MemberRecord

mib = st.floats(0, 1e6)
trials = st.builds(
    Trial,
    number=st.integers(0, 10**6),
    member=st.text(),
    origin=st.text(),
    config=st.builds(
        MemberConfig, arch=st.just("net"), size=st.tuples(st.integers(32, 64), st.integers(32, 64))
    ),
    memory=st.builds(TrialMemory, st.floats(0, 16), st.integers(1, 64), st.none() | mib, mib, mib, mib, mib),
)


@given(trials)
def test_a_trial_survives_the_round_trip_through_ray_tunes_configuration(trial: Trial) -> None:
    """The configuration is plain JSON, so Ray can send and store it."""
    assert Trial.from_config(json.loads(json.dumps(trial.to_config()))) == trial


@given(trials)
def test_the_record_of_a_trial_contains_its_proposal(trial: Trial) -> None:
    proposal = MemberRecord.from_tags(trial.record.to_tags()).proposal
    assert proposal
    assert (proposal.number, proposal.origin, proposal.config) == (trial.number, trial.origin, trial.config)
