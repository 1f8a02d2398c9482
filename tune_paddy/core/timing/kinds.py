"""Kinds of members: those of one kind take the same time for a step."""

from tune_paddy.core.config import MemberConfig

_KIND = ("arch", "size", "resize", "resize_size", "batch_size", "accum", "precision", "optimizer", "head")
"""Parameters that determine the time of a step; the number of epochs and images multiply it."""

_FROZEN_KIND = (*_KIND, "schedule", "flip")
"""The same for a frozen member: it embeds each image in the symmetries of `flip`."""


def kind_of(config: MemberConfig) -> MemberConfig:
    """Return a member with the parameters of `config` that determine the time of its steps."""
    names = _FROZEN_KIND if config.frozen else (*_KIND, "freeze_epochs")
    return MemberConfig(**{name: getattr(config, name) for name in (*names, "tta")})
