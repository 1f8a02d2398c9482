import pytest

from tune_paddy.training.keeping.best_epoch import best_epoch, ends_early, spared_epochs


def history(*losses: float) -> list[dict[str, float]]:
    return [{"calibrated_log_loss": loss, "log_loss": -loss} for loss in losses]


@pytest.mark.parametrize(
    ("losses", "best"), [((), 0), ((3,), 1), ((3, 2, 4), 2), ((3, 2, 2), 2), ((1, 2, 3), 1), ((3, 2, 1), 3)]
)
def test_the_best_epoch_is_the_first_of_the_lowest_calibrated_loss(losses: list[float], best: int) -> None:
    assert best_epoch(history(*losses)) == best


@pytest.mark.parametrize(
    ("losses", "patience", "frozen", "ends"),
    [
        ((1, 2, 3), 2, 0, True),
        ((1, 2), 2, 0, False),
        ((3, 2, 1), 1, 0, False),
        ((1, 2, 3), 2, 1, True),  # the best epoch may be a frozen one
        ((1, 2, 3), 1, 3, False),  # waiting begins after the frozen epochs
        ((1, 2, 3, 4), 0, 0, False),
        ((), 1, 0, False),
    ],
)
def test_a_training_ends_after_as_many_epochs_without_a_better_one_as_its_patience(
    losses: list[float], patience: int, frozen: int, ends: bool
) -> None:
    assert ends_early(history(*losses), patience=patience, frozen=frozen) is ends


def test_the_best_epoch_of_every_remaining_checkpoint_is_spared() -> None:
    """If the newest one is damaged, the training resumes from the one before, whose best epoch is another."""
    assert spared_epochs(history(3, 1, 2, 0)) == {4, 2}
