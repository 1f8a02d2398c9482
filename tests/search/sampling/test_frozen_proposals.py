"""Proposals of frozen members."""

from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial, Proposal
from tune_paddy.spaces.space import SearchSpace

SPACE = """
defaults: {epochs: 5, lr: 0.1}
recipes:
  - {name: slow, arch: c}
  - {name: quick, arch: [a, b], schedule: frozen, size: 64}
spaces:
  - {name: frozen, arch: [a, b], schedule: frozen, size: [64, 96], label_smoothing: {low: 0.0, high: 0.2}}
  - {name: trained, arch: [a, b], lr: {low: 0.001, high: 0.1, log: true}}
"""


def sampler() -> MemberSampler:
    space = SearchSpace.parse(SPACE, name="x")
    return MemberSampler(space.recipes, space.spaces, seed=3)


def ask(source: MemberSampler, value: float) -> Proposal:
    """Return the next proposal, and report its end."""
    proposal = source.ask()
    assert proposal is not None
    source.tell(proposal.number, value, {}, pruned=False)
    return proposal


def test_a_resumed_search_knows_its_frozen_members_and_proposes_the_same_as_an_uninterrupted_one() -> None:
    """Also where defaults set what has no effect on them."""
    whole = sampler()
    losses = [1.0, 0.7, 0.4, 0.9, 0.3, 0.8, 0.5, 0.6]
    proposals = [ask(whole, loss) for loss in losses]
    assert [proposal.origin for proposal in proposals[:3]] == ["quick-a", "quick-b", "slow"]
    assert {proposal.origin for proposal in proposals[3:]} == {"frozen", "trained"}
    resumed = sampler()
    done = [PastTrial(one, ended=True, value=loss) for one, loss in zip(proposals[:6], losses, strict=False)]
    assert resumed.replay(done) == []
    assert [ask(resumed, loss).config for loss in losses[6:]] == [one.config for one in proposals[6:]]
    assert [trial.params for trial in resumed.trials()] == [trial.params for trial in whole.trials()]
