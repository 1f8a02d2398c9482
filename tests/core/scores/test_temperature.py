import numpy as np
import pytest

from tests.core.conftest import RealPool
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.pooling import soften
from tune_paddy.core.scores.temperature import STRENGTH, fit_member_temperatures, fit_temperature


def drawn(n_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them: calibrated by construction."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet([1, 1, 1], n_images)
    labels = (rng.random(n_images)[:, None] > probs.cumsum(axis=1)).sum(axis=1)
    return probs, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature: float) -> None:
    """With many images the penalty is negligible."""
    probs, labels = drawn(20_000)
    assert fit_temperature(soften(probs, 1 / temperature), labels) == pytest.approx(temperature, rel=0.05)


def test_few_images_stay_near_one() -> None:
    """Ten images are not enough evidence for a temperature of 5."""
    probs, labels = drawn(20_000)
    sharp = soften(probs, 0.2)
    assert fit_temperature(sharp, labels) > 4
    assert 1 < fit_temperature(sharp[:10], labels[:10]) < 3


def test_no_other_temperature_has_a_lower_penalised_loss(real_pool: RealPool) -> None:
    """A grid finds nothing better, for a view without zeros, whose loss clipping would change."""
    probs, labels = real_pool.probs[14], real_pool.labels

    def penalised(temperature: float) -> float:
        return log_loss(soften(probs, temperature), labels) + STRENGTH * np.log(temperature) ** 2 / len(
            labels
        )

    found = penalised(fit_temperature(probs, labels))
    assert found <= min(penalised(t) for t in np.geomspace(0.2, 5, 60)) + 1e-6


def test_each_view_has_its_own(real_pool: RealPool) -> None:
    """Each view is fitted separately."""
    own = fit_member_temperatures(real_pool.probs[:3], real_pool.labels)
    assert own.tolist() == [fit_temperature(view, real_pool.labels) for view in real_pool.probs[:3]]
