"""The best epoch of a training, and when a training ends early."""

from collections.abc import Mapping, Sequence

CHOSEN_NOTE = "the select split also chose its epoch (keep: best), so its scores are slightly optimistic"


def best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    """Return the number, from 1, of the first epoch with the lowest calibrated log loss; 0 without epochs."""
    losses = [epoch["calibrated_log_loss"] for epoch in history]
    return 1 + losses.index(min(losses)) if losses else 0


def ends_early(history: Sequence[Mapping[str, float]], *, patience: int, frozen: int) -> bool:
    """Return whether a training ends now: `patience` epochs brought none that is better.

    Args:
        history: Metrics of each finished epoch, in order.
        patience: Number of epochs to wait for a better one; 0: a training never ends early.
        frozen: Number of epochs at the beginning in which only the head trains; they do not count as waiting.
    """
    return patience > 0 and len(history) - max(best_epoch(history), frozen) >= patience


def spared_epochs(history: Sequence[Mapping[str, float]]) -> set[int]:
    """Return the epochs whose checkpoints must stay: the best one now, and the best one an epoch ago.

    The latter is needed if the newest checkpoint turns out to be damaged.
    """
    return {best_epoch(history), best_epoch(history[:-1])}
